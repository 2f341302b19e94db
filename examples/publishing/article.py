"""An article, from the first draft to the front page: several people, each with a say of their own."""

from datetime import datetime
from typing import Annotated, TypeAlias

from pydantic import AwareDatetime, BaseModel, Field

from statewright import Context, ContextKey, DomainError, Workflow, WorkflowRouter

# --- states ---------------------------------------------------------------------------------------------------------


class Text(BaseModel):
    """What readers will read."""

    title: str
    body: str


class Review(BaseModel):
    """What one reviewer says."""

    reviewer: str
    note: str


class Draft(BaseModel):
    """Its author is still writing."""

    author: str
    text: Text
    wanted_changes: list[Review] = []


class InReview(BaseModel):
    """Reviewers are reading: it goes on when all have approved, and back when one does not."""

    author: str
    text: Text
    reviewers: list[str]
    approvals: list[Review] = []


class Ready(BaseModel):
    """Approved by all; waits to be published, by hand or by the clock."""

    author: str
    text: Text
    approvals: list[Review]
    publish_at: datetime | None = None


class Published(BaseModel):
    """Everybody can read it."""

    author: str
    text: Text
    published_at: datetime


class Retracted(BaseModel):
    """It was published, and is not any more."""

    text: Text
    reason: str


# --- commands -------------------------------------------------------------------------------------------------------


class Write(BaseModel):
    """Begin an article."""

    text: Text


class Revise(BaseModel):
    """Write it anew."""

    text: Text


class Submit(BaseModel):
    """Ask colleagues to read it."""

    reviewers: Annotated[list[str], Field(min_length=1, max_length=5)]


class Approve(BaseModel):
    """It can be published, says a reviewer."""

    note: str = ""


class RequestChanges(BaseModel):
    """It cannot be published like this, says a reviewer."""

    note: Annotated[str, Field(min_length=1)]


class Schedule(BaseModel):
    """Publish it later."""

    at: AwareDatetime


class Publish(BaseModel):
    """Publish it now; also what the timer sends."""


class Retract(BaseModel):
    """Take it off."""

    reason: str


# --- events and refusals --------------------------------------------------------------------------------------------


class ReviewRequested(BaseModel):
    """Somebody has something to read."""

    reviewers: list[str]


class ArticlePublished(BaseModel):
    """There is something new to read."""

    title: str


class ArticleRetracted(BaseModel):
    """It is not to be read any more."""


class NotYours(DomainError):
    """Only the author may do this."""

    author: str


class NotAReviewer(DomainError):
    """Only those may judge who were asked."""

    reviewers: list[str]


class OwnArticle(DomainError):
    """Nobody judges their own work."""


class InThePast(DomainError):
    """It cannot be published before now."""

    now: datetime


# --- the workflow ---------------------------------------------------------------------------------------------------

State: TypeAlias = Draft | InReview | Ready | Published | Retracted
Command: TypeAlias = Write | Revise | Submit | Approve | RequestChanges | Schedule | Publish | Retract
Event: TypeAlias = ReviewRequested | ArticlePublished | ArticleRetracted
Refusal: TypeAlias = NotYours | NotAReviewer | OwnArticle | InThePast
Ctx: TypeAlias = Context[Event]

ACTOR: ContextKey[str] = ContextKey("actor")
"""Who sends the command: put there by `examples.publishing.office`."""
CLOCK = "the clock"
"""Who sends what a timer sends."""


class Article(Workflow[State, Command, Event, Refusal], name="article"):
    """An article, from the first draft to the front page."""


router = WorkflowRouter(Article)


@router.on
def write(_: None, command: Write, ctx: Ctx) -> Draft:
    """Whoever begins an article is its author."""
    return Draft(author=ctx[ACTOR], text=command.text)


@router.on
def revise(draft: Draft, command: Revise, ctx: Ctx) -> Draft:
    """Only the author writes; what reviewers wanted stays in sight."""
    _check_author(draft, ctx)
    return Draft(author=draft.author, text=command.text, wanted_changes=draft.wanted_changes)


@router.on
def submit(draft: Draft, command: Submit, ctx: Ctx) -> InReview:
    """Ask each reviewer once, and never the author."""
    _check_author(draft, ctx)
    if draft.author in command.reviewers:
        raise OwnArticle
    reviewers = list(dict.fromkeys(command.reviewers))
    ctx.emit(ReviewRequested(reviewers=reviewers))
    return InReview(author=draft.author, text=draft.text, reviewers=reviewers)


@router.on
def approve(article: InReview, command: Approve, ctx: Ctx) -> InReview | Ready:
    """Count each reviewer once; the last approval makes it ready."""
    reviewer = _reviewer(article, ctx)
    others = [each for each in article.approvals if each.reviewer != reviewer]
    approvals = [*others, Review(reviewer=reviewer, note=command.note)]
    if len(approvals) < len(article.reviewers):
        article.approvals = approvals
        return article
    return Ready(author=article.author, text=article.text, approvals=approvals)


@router.on
def request_changes(article: InReview, command: RequestChanges, ctx: Ctx) -> Draft:
    """One reviewer is enough to send it back; approvals of the old text count no more."""
    wanted = Review(reviewer=_reviewer(article, ctx), note=command.note)
    return Draft(author=article.author, text=article.text, wanted_changes=[wanted])


@router.on
def schedule(article: Ready, command: Schedule, ctx: Ctx) -> Ready:
    """Let the clock publish it; another date replaces this one."""
    _check_author(article, ctx)
    if command.at <= ctx.now:
        raise InThePast(now=ctx.now)
    ctx.schedule(Publish(), at=command.at)
    article.publish_at = command.at
    return article


@router.on
def publish(article: Ready, _: Publish, ctx: Ctx) -> Published:
    """Publish it; a timer that was to do so is gone with the state."""
    if ctx[ACTOR] != CLOCK:
        _check_author(article, ctx)
    ctx.emit(ArticlePublished(title=article.text.title))
    return Published(author=article.author, text=article.text, published_at=ctx.now)


@router.on
def retract(article: Published, command: Retract, ctx: Ctx) -> Retracted:
    """Take it off, and say why."""
    _check_author(article, ctx)
    ctx.emit(ArticleRetracted())
    return Retracted(text=article.text, reason=command.reason)


def _check_author(article: Draft | Ready | Published, ctx: Ctx) -> None:
    if ctx[ACTOR] != article.author:
        raise NotYours(author=article.author)


def _reviewer(article: InReview, ctx: Ctx) -> str:
    actor = ctx[ACTOR]
    if actor == article.author:
        raise OwnArticle
    if actor not in article.reviewers:
        raise NotAReviewer(reviewers=article.reviewers)
    return actor
