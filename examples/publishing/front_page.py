"""The front page: a workflow of its own, which is told what is published and what is not any more."""

from typing import Final, TypeAlias

from pydantic import BaseModel

from statewright import Workflow, WorkflowRouter

ID: Final = "front-page"
"""There is one."""
ROOM: Final = 3


class Headline(BaseModel):
    """A line that leads to an article."""

    article: str
    title: str


class Page(BaseModel):
    """What is on it, the newest first."""

    headlines: list[Headline]


class Feature(BaseModel):
    """Put an article on top."""

    article: str
    title: str


class Remove(BaseModel):
    """Take an article off."""

    article: str


Command: TypeAlias = Feature | Remove


class FrontPage(Workflow[Page, Command], name="front-page"):
    """What everybody sees first."""


router = WorkflowRouter(FrontPage)


@router.on
def feature(page: Page | None, command: Feature) -> Page:
    """Begin the page with the first article, and keep it short."""
    headlines = [] if page is None else page.headlines
    newest = Headline(article=command.article, title=command.title)
    others = [each for each in headlines if each.article != command.article]
    return Page(headlines=[newest, *others][:ROOM])


@router.on
def remove(page: Page, command: Remove) -> Page:
    """Leave the others where they are."""
    return Page(headlines=[each for each in page.headlines if each.article != command.article])
