"""What the roles of a worker have in common: each is one thing that one worker does at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..errors import DomainError, ExecutionError, LeaseLostError, RoutingError, StatewrightError, StoreError
from .backoff import pause
from .ports import Fence

if TYPE_CHECKING:
    from .executor import WorkflowExecutor

PAGE: Final = 256
"""How many commits, deliveries or timers are taken at a time."""
SOON: Final = timedelta(milliseconds=100)
"""When something is tried again that failed through nobody's fault."""
_LONGEST: Final = timedelta(minutes=5)


@dataclass(slots=True)
class Toolbox:
    """What all roles of a worker share."""

    store: Any
    executors: Mapping[str, WorkflowExecutor[Any]]
    clock: Callable[[], datetime] | None
    retries: int
    backoff: timedelta
    acted: Callable[[str, int], None]
    """Notes that something was done in a role: so many timers, deliveries or commits."""

    def now(self) -> datetime | None:
        """Return the present of the worker's own clock; `None` for the store's."""
        return None if self.clock is None else self.clock()

    def pause(self, attempts: int) -> timedelta:
        """Return how long to wait before another attempt."""
        return pause(self.backoff, attempts, _LONGEST)


class Role(Protocol):
    """One thing that one worker does at a time."""

    name: str

    async def step(self, fence: Fence) -> bool:
        """Do what is due now, or a page of it; return whether there was anything.

        Raises:
            LeaseLostError: Another worker has taken over.
            StoreError: The store failed.
        """
        ...

    async def until_due(self) -> timedelta | None:
        """Return how long until something is due that no commit will announce; `None` if nothing is."""
        ...


async def all_of(doing: Iterable[Any]) -> list[Any]:
    """Do several things at once; the first failure is raised when all have come to an end.

    Raises:
        StoreError: One of them was cancelled, and nobody had asked for that.
    """
    outcomes = await asyncio.gather(*doing, return_exceptions=True)
    failures = [_as_failure(each) for each in outcomes if isinstance(each, BaseException)]
    lost = next((each for each in failures if isinstance(each, LeaseLostError)), None)
    if failures:
        raise lost or failures[0]
    return outcomes


def _as_failure(raised: BaseException) -> BaseException:
    if not isinstance(raised, asyncio.CancelledError):
        return raised
    failure = StoreError("a step of a worker was cancelled, and nobody had asked for that")
    failure.__cause__ = raised
    return failure


def is_no_handler(error: StatewrightError) -> bool:
    """Return whether a command has no handler in the workflow's state."""
    return isinstance(error, RoutingError) and error.code == "NO_HANDLER"


def is_refusal(error: StatewrightError) -> bool:
    """Return whether a command was refused by the rules of its target, so that trying again is in vain."""
    return isinstance(error, DomainError) or is_no_handler(error)


def shown(error: ExecutionError) -> dict[str, Any]:
    """Return an error as it is kept with a dead letter."""
    facts = error.to_dict()
    if error.__cause__ is not None:
        facts["cause"] = type(error.__cause__).__name__
    return facts
