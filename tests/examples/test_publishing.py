from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from examples.publishing.__main__ import main
from examples.publishing.article import (
    ACTOR,
    CLOCK,
    Approve,
    Article,
    ArticlePublished,
    ArticleRetracted,
    Command,
    Draft,
    InReview,
    InThePast,
    NotAReviewer,
    NotYours,
    OwnArticle,
    Publish,
    Published,
    Ready,
    RequestChanges,
    Retract,
    Review,
    Revise,
    Schedule,
    State,
    Submit,
    Text,
    Write,
    router,
)
from examples.publishing.front_page import Feature, Remove
from examples.publishing.front_page import router as page_router
from examples.publishing.office import Office, name_actor, reactors
from statewright import (
    CallNext,
    Context,
    Failure,
    MemoryStore,
    Middleware,
    Send,
    Source,
    Success,
    UnexpectedError,
    Worker,
    WorkflowExecutor,
    WorkflowRouter,
)
from statewright.diagram import analyse
from statewright.testing import ManualClock, explore, given

TEA = Text(title="On tea", body="Tea is good.")
IN_REVIEW = InReview(author="ann", text=TEA, reviewers=["bob", "eve"])
PUBLISHED = Published(author="ann", text=TEA, published_at=ManualClock().now())
READY = Ready(author="ann", text=TEA, approvals=[Review(reviewer="bob", note="")])


@pytest.fixture
def office() -> Office:
    return Office(MemoryStore())


async def send(office: Office, actor: str, *commands: Command) -> Article:
    """Send commands in somebody's name, and return the article."""
    results = [await office.articles.execute("a-1", each, metadata={"actor": actor}) for each in commands]
    return results[-1].unwrap().workflow


async def refused(office: Office, actor: str, command: Command) -> Exception:
    """Send a command that is to be refused, and return the refusal."""
    result = await office.articles.execute("a-1", command, metadata={"actor": actor})
    assert isinstance(result, Failure)
    return result.error


async def test_all_reviewers_have_to_approve(office: Office) -> None:
    """An article is ready with the approval of the last reviewer, not before."""
    await send(office, "ann", Write(text=TEA), Submit(reviewers=["bob", "eve", "bob"]))

    assert (await send(office, "bob", Approve(), Approve(note="again"))).state == "InReview"
    approved = await send(office, "eve", Approve())

    assert isinstance(approved.data, Ready)
    assert [(each.reviewer, each.note) for each in approved.data.approvals] == [("bob", "again"), ("eve", "")]


async def test_reviewers_at_the_same_time(office: Office) -> None:
    """Of approvals that come at once none is lost."""
    names = [f"reviewer-{number}" for number in range(5)]
    await send(office, "ann", Write(text=TEA), Submit(reviewers=names))

    await asyncio.gather(*(send(office, name, Approve()) for name in names))

    found = await office.articles.get("a-1")
    assert found is not None
    assert isinstance(found.data, Ready)
    assert sorted(each.reviewer for each in found.data.approvals) == names


async def test_one_reviewer_sends_it_back(office: Office) -> None:
    """What a reviewer wants changed reaches the author, and earlier approvals are gone."""
    await send(office, "ann", Write(text=TEA), Submit(reviewers=["bob", "eve"]))
    await send(office, "bob", Approve())

    back = await send(office, "eve", RequestChanges(note="Say why."))

    assert back.data == Draft(author="ann", text=TEA, wanted_changes=[Review(reviewer="eve", note="Say why.")])


async def test_who_may_judge(office: Office) -> None:
    """Neither strangers nor the author judge an article, and nobody else submits it."""
    await send(office, "ann", Write(text=TEA))
    assert isinstance(await refused(office, "bob", Submit(reviewers=["eve"])), NotYours)
    assert isinstance(await refused(office, "bob", Revise(text=TEA)), NotYours)
    assert isinstance(await refused(office, "ann", Submit(reviewers=["ann"])), OwnArticle)
    await send(office, "ann", Submit(reviewers=["bob"]))

    stranger = await refused(office, "max", Approve())

    assert isinstance(stranger, NotAReviewer)
    assert stranger.reviewers == ["bob"]
    assert isinstance(await refused(office, "ann", Approve()), OwnArticle)


async def test_command_needs_an_actor(office: Office) -> None:
    """A caller that does not say in whose name it asks is wrong, and nothing is saved."""
    result = await office.articles.execute("a-1", Write(text=TEA))

    assert isinstance(result, Failure)
    assert isinstance(result.error, UnexpectedError)
    assert await office.articles.get("a-1") is None


async def test_published_by_the_clock() -> None:
    """A date publishes an article; a later date replaces an earlier one, and publishing by hand cancels it."""
    clock, store = ManualClock(), MemoryStore()
    timed = WorkflowRouter(Article, clock=clock).include(router)
    articles = WorkflowExecutor(timed, store).use(name_actor)
    worker = Worker(store, [articles], clock=clock)
    tomorrow = clock.now() + timedelta(days=1)
    for id in ("by-clock", "by-hand"):
        (await articles.create(id, READY)).unwrap()
        for at in (tomorrow, tomorrow + timedelta(days=1)):
            (await articles.execute(id, Schedule(at=at), metadata={"actor": "ann"})).unwrap()
    (await articles.execute("by-hand", Publish(), metadata={"actor": "ann"})).unwrap()

    clock.advance(timedelta(days=1))
    await worker.run_until_idle()
    early = await articles.get("by-clock")
    clock.advance(timedelta(days=1))
    await worker.run_until_idle()

    late, by_hand = await articles.get("by-clock"), await articles.get("by-hand")
    assert early is not None
    assert early.state == "Ready"
    assert late is not None
    assert late.data == Published(author="ann", text=TEA, published_at=clock.now())
    assert by_hand is not None
    assert by_hand.version == 4
    assert await store.timers("by-hand") == []


async def test_dates_are_in_the_future(office: Office) -> None:
    """Nothing is scheduled for a moment that has passed."""
    (await office.articles.create("a-1", READY)).unwrap()

    error = await refused(office, "ann", Schedule(at=ManualClock().now() - timedelta(days=1)))

    assert isinstance(error, InThePast)


async def test_front_page_follows(office: Office) -> None:
    """The front page shows the newest three, and not what was retracted."""
    for number in range(1, 5):
        created = await office.articles.create(f"a-{number}", READY.model_copy(update={"text": titled(number)}))
        published = await office.articles.execute(created.unwrap().workflow.id, Publish(), metadata={"actor": "ann"})
        published.unwrap()
    await office.worker.run_until_idle()
    assert await office.headlines() == ["Article 4", "Article 3", "Article 2"]

    (await office.articles.execute("a-3", Retract(reason="wrong"), metadata={"actor": "ann"})).unwrap()
    await office.worker.run_until_idle()

    assert await office.headlines() == ["Article 4", "Article 2"]


def titled(number: int) -> Text:
    return Text(title=f"Article {number}", body="")


def test_reactors_are_a_pure_mapping() -> None:
    """What follows from an event can be looked at without any store."""
    source = Source(workflow_id="a-1", definition="article", version=4, position=9, metadata={})

    assert reactors.resolve(ArticlePublished(title="On tea"), source) == [
        Send("front-page", "front-page", Feature(article="a-1", title="On tea"))
    ]
    assert reactors.resolve(ArticleRetracted(), source) == [Send("front-page", "front-page", Remove(article="a-1"))]


def test_front_page_is_begun_by_the_first_article() -> None:
    """A handler for `None` and a state begins what is not there, and goes on with what is."""
    page = given(page_router, None).when(Feature(article="a-1", title="1"), Feature(article="a-2", title="2"))

    assert [each.article for each in page.workflow.data.headlines] == ["a-2", "a-1"]
    page.when(Feature(article="a-1", title="new"))
    assert [each.title for each in page.workflow.data.headlines] == ["new", "2"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("actor", "start"), [("ann", None), ("bob", IN_REVIEW), ("ann", READY), (CLOCK, READY), ("ann", PUBLISHED)]
)
def test_articles_keep_to_their_definition(actor: str, start: State | None) -> None:
    """Whoever sends what and when, nothing unexpected comes of it."""
    acting = WorkflowRouter(Article).include(router).use(acting_as(actor))

    tried = explore(acting, start=start, sequences=20, length=5)

    assert tried.accepted


def test_only_what_is_retracted_is_at_its_end() -> None:
    """Every state is reached, and all but one are left again."""
    assert analyse(router).is_sound
    assert analyse(router).ends == ("Retracted",)
    assert analyse(page_router).is_sound


def acting_as(actor: str) -> Middleware:
    """Return a middleware that says who acts."""

    async def named(ctx: Context, call_next: CallNext) -> Success | Failure:
        ctx[ACTOR] = actor
        return await call_next()

    return named


async def test_program_leads_to_the_front_page(capsys: pytest.CaptureFixture[str]) -> None:
    """The program shows an article on the front page, and then none."""
    await main()

    printed = capsys.readouterr().out
    assert "max: Approve is not for max to say, but for bob and eve\n" in printed
    assert printed.endswith("front page: ['On tea']\nann: Retract -> Retracted\nfront page: []\n")
