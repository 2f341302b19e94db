"""The parts put together: who sends a command, and what follows from an event."""

from typing import Final

from examples.publishing import article as articles
from examples.publishing import front_page as pages
from examples.publishing.article import ACTOR, CLOCK, Article, ArticlePublished, ArticleRetracted
from examples.publishing.front_page import Feature, FrontPage, Remove
from statewright import (
    CallNext,
    Execution,
    Failure,
    MemoryStore,
    PostgresStore,
    Reactors,
    Send,
    Source,
    SQLiteStore,
    Success,
    UnexpectedError,
    Worker,
    WorkflowExecutor,
)

reactors: Final = Reactors()


@reactors.on
def feature(event: ArticlePublished, source: Source) -> Send:
    """What is published goes to the front page."""
    return Send(FrontPage.name, pages.ID, Feature(article=source.workflow_id, title=event.title))


@reactors.on(name="unfeature")
def remove(_: ArticleRetracted, source: Source) -> Send:
    """What is retracted leaves it."""
    return Send(FrontPage.name, pages.ID, Remove(article=source.workflow_id))


async def name_actor(ctx: Execution, call_next: CallNext) -> Success | Failure:
    """Hand the caller's name on to the handler: `execute(..., metadata={"actor": name})`."""
    # Metadata is the server's own word. Were it taken from a request as it is, anybody could be the clock.
    actor = CLOCK if "timer" in ctx.metadata else ctx.metadata.get("actor")
    if not isinstance(actor, str):
        return Failure(UnexpectedError("a command of an article needs an actor in its metadata"))
    ctx[ACTOR] = actor
    return await call_next()


class Office:
    """Executors and worker over one store."""

    def __init__(self, store: MemoryStore | SQLiteStore | PostgresStore) -> None:
        self.articles: WorkflowExecutor[Article] = WorkflowExecutor(articles.router, store).use(name_actor)
        self.pages: WorkflowExecutor[FrontPage] = WorkflowExecutor(pages.router, store)
        self.worker = Worker(store, [self.articles, self.pages], reactors=reactors, start=0)

    async def headlines(self) -> list[str]:
        """Return what is on the front page."""
        page = await self.pages.get(pages.ID)
        return [] if page is None else [headline.title for headline in page.data.headlines]
