"""Calls within calls: what a handler or middleware executes while its own command is being decided.

A call that is being decided holds its workflow, and a call that it makes may have to wait for another one. Waits that
go round in a circle would never end, so that the call that closes a circle is refused.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Held(Protocol):
    """A lane, as far as it matters here."""

    @property
    def holder(self) -> ActiveCall | None:
        """The call that is being decided; `None` where none is, or its code has not begun."""
        ...


class ActiveCall:
    """A call whose middleware and handler are running, as the calls that they make see it.

    Args:
        owner: What tells apart workflows of one id: the lanes of its store.
        id: The workflow.
    """

    __slots__ = ("id", "is_active", "owner", "parent", "waits")

    def __init__(self, owner: object, id: str) -> None:
        self.owner = owner
        self.id = id
        self.is_active = False
        self.parent: ActiveCall | None = None
        """The call that made this one, if a call did."""
        self.waits: tuple[Held, ...] = ()
        """The lanes in whose queues calls stand that this one has made, directly or not."""


executing: ContextVar[ActiveCall | None] = ContextVar("statewright_executing", default=None)


def outer_calls() -> Iterator[ActiveCall]:
    """Yield the calls that the running code belongs to, from the inside out; tasks that they started belong to them."""
    call = executing.get()
    while call is not None:
        if call.is_active:
            yield call
        call = call.parent


def is_reentrant(owner: object, id: str) -> bool:
    """Return whether the running code belongs to a call that is already executing this workflow."""
    return any(call.owner is owner and call.id == id for call in outer_calls())


def closes_circle(lane: Held) -> bool:
    """Return whether waiting for a lane would be waiting for a call that, over some way, waits for the running one."""
    ours = set(outer_calls())
    lanes, seen = [lane], set[ActiveCall]()
    while lanes:
        holder = lanes.pop().holder
        if holder in ours:
            return True
        if holder is not None and holder not in seen:
            seen.add(holder)
            lanes.extend(holder.waits)
    return False


@contextmanager
def waiting_for(lane: Held) -> Generator[None, None, None]:
    """Let the calls that the running code belongs to be known to wait for a lane."""
    calls = list(outer_calls())
    for call in calls:
        call.waits = (*call.waits, lane)
    try:
        yield
    finally:
        for call in calls:
            waits = list(call.waits)
            waits.remove(lane)
            call.waits = tuple(waits)
