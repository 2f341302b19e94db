"""A definition for crowds: a tally that knows the last marks that were added, so that its size stays what it is."""

from __future__ import annotations

from pydantic import BaseModel

from statewright import Context, Workflow, WorkflowRouter

KEPT = 10


class Tally(BaseModel):
    """What has been added up."""

    count: int = 0
    last: list[int] = []


class Add(BaseModel):
    """Add a mark; each is sent once."""

    mark: int


class Added(BaseModel):
    """A mark was added."""

    mark: int


class Counting(Workflow[Tally, Add, Added], name="tally"):
    """A tally."""


router = WorkflowRouter(Counting)


@router.on
def begin(_: None, command: Add, ctx: Context[Added]) -> Tally:
    """Begin with the first mark."""
    ctx.emit(Added(mark=command.mark))
    return Tally(count=1, last=[command.mark])


@router.on
def add(tally: Tally, command: Add, ctx: Context[Added]) -> Tally:
    """Count one more."""
    ctx.emit(Added(mark=command.mark))
    return Tally(count=tally.count + 1, last=[*tally.last, command.mark][-KEPT:])
