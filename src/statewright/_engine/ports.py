"""What the engine asks of a store: two methods, and small sisters for what needs more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from .._model.commit import Commit, NewCommit, RecordedMessage
from .._model.snapshot import StoredWorkflow, WorkflowSnapshot
from .._model.timer import DueTimer, TimerWrite


@dataclass(frozen=True, slots=True)
class Fence:
    """A worker's right to act, until somebody else takes it over with a higher epoch."""

    name: str
    epoch: int


@dataclass(frozen=True)
class SaveOptions:
    """One compare-and-swap: what is to be saved, and what must be there now."""

    id: str
    snapshot: WorkflowSnapshot
    """The workflow after the save; `snapshot.version` is the stored version from then on."""
    expected_version: int
    """The version that must be stored now; 0: the workflow must not exist."""
    commits: tuple[NewCommit, ...] = ()
    """What happened, oldest first, with dense versions; empty when only the stored form changes (a migration)."""
    expected_commit_id: str | None = None
    """Where given, the stored row must have been written by this save: a version alone comes back after `forget`."""

    has_timers: bool = False
    """Whether the workflow has, or ever had, a timer: kept beside the row for `StoredWorkflow.has_timers`."""
    fences: tuple[Fence, ...] = ()
    """Leases that must not have passed to another owner: checked in the save's own transaction."""

    @property
    def events(self) -> tuple[RecordedMessage, ...]:
        """The events of all commits, oldest first."""
        return tuple(event for commit in self.commits for event in commit.events)

    @property
    def timers(self) -> tuple[TimerWrite, ...]:
        """What happens to the workflow's timers, in order; applied only if the save wins."""
        return tuple(write for commit in self.commits for write in commit.timers)


class StoreAdapter(Protocol):
    """Keep the latest snapshot of every workflow. These two methods are enough for a store of your own."""

    async def load(self, id: str) -> StoredWorkflow | None:
        """Return what is stored under this id, or `None`."""
        ...

    async def save(self, options: SaveOptions) -> None:
        """Save if, and only if, the stored version is the expected one; durable when it returns.

        Raises:
            ConcurrencyConflictError: The stored version is another one; `(id, expected, actual)`.
            StoreUnavailableError: Nothing was saved.
            InvalidDataError: The data itself cannot be stored; nothing was saved.
            OutcomeUnknownError: It may have been saved. Any other exception is taken for this one.
        """
        ...


@runtime_checkable
class FoldingStore(StoreAdapter, Protocol):
    """A store that saves several commits of one workflow at once."""

    def submit(self, options: SaveOptions) -> asyncio.Future[None]:
        """Begin a save and return its outcome as a future of the running loop.

        As `save`, but nobody's cancellation stops it. A `ConcurrencyConflictError` may carry the row that was found
        as its attribute `current` (a `StoredWorkflow`), which saves the caller a load.
        """
        ...


@runtime_checkable
class HistoryStore(Protocol):
    """A store that keeps commits and can go back in time."""

    async def history(self, id: str, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        """Return a workflow's commits with a version above `after`, oldest first."""
        ...

    async def snapshot_at(self, id: str, version: int) -> WorkflowSnapshot | None:
        """Return the workflow as it was after the commit with this version; `None` if there is no such commit."""
        ...


@runtime_checkable
class CommitLog(Protocol):
    """A store whose commits can be read in one order, across all workflows."""

    async def commits(self, *, after: int = 0, limit: int = 1000) -> list[Commit]:
        """Return commits with a position above `after`, in order of position; none is ever skipped.

        Raises:
            PositionPrunedError: Some of what was asked for has been pruned.
        """
        ...

    def subscribe(self, *, after: int = 0) -> AsyncIterator[Commit]:
        """Yield commits with a position above `after`, and wait for more."""
        ...


@runtime_checkable
class Catalog(Protocol):
    """A store that can list and count what it holds."""

    async def find(
        self, *, definition: str | None = None, state: str | None = None, after: str = "", limit: int = 100
    ) -> list[StoredWorkflow]:
        """Return workflows with an id above `after`, in order of id (by code point)."""
        ...

    async def count(self, *, definition: str | None = None, state: str | None = None) -> int:
        """Return how many workflows there are."""
        ...

    async def count_by_state(self, definition: str) -> Mapping[str, int]:
        """Return how many workflows of a definition are in each state that has any."""
        ...


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """What an idempotency key was used for: enough to give the first answer again."""

    command: str
    """Stored name of the command."""
    fingerprint: str
    """Canonical JSON of the command's fields that were set."""
    snapshot: WorkflowSnapshot
    """The workflow as it was after the command."""
    events: tuple[RecordedMessage, ...]


@runtime_checkable
class IdempotentStore(Protocol):
    """A store that records idempotency keys with its saves."""

    async def recall(self, id: str, key: str) -> RecordedAnswer | None:
        """Return what was recorded under this key of this workflow, or `None`."""
        ...


@runtime_checkable
class TimerStore(Protocol):
    """A store that saves timers with the state (`SaveOptions.timers`) and says which are due."""

    async def timer_stands(self, id: str, key: str, generation: str) -> bool:
        """Return whether a timer is still set, in this generation."""
        ...

    async def due_timers(
        self, definitions: Collection[str], *, limit: int = 100, now: datetime | None = None
    ) -> list[DueTimer]:
        """Return timers of these definitions that are due by the store's clock, or at `now`; the oldest first."""
        ...

    async def next_due(self, definitions: Collection[str]) -> datetime | None:
        """Return when the earliest timer of these definitions is due; `None` if there is none."""
        ...

    async def finish_timer(self, timer: DueTimer, fence: Fence) -> None:
        """Remove a timer that is done with, if it still stands.

        Raises:
            LeaseLostError: The lease passed to another owner; nothing was changed.
        """
        ...

    async def postpone_timer(self, timer: DueTimer, delay: timedelta, attempts: int, fence: Fence) -> None:
        """Let a timer be due again after a delay, if it still stands.

        Raises:
            LeaseLostError: The lease passed to another owner; nothing was changed.
        """
        ...


@runtime_checkable
class ErasingStore(Protocol):
    """A store that can forget a workflow."""

    async def forget(self, id: str) -> bool:
        """Remove everything that is kept of a workflow, in one transaction; return whether there was anything."""
        ...


class Clock(Protocol):
    """Where the time comes from."""

    def __call__(self) -> datetime:
        """Return the present, aware."""
        ...


__all__ = [
    "Catalog",
    "Clock",
    "CommitLog",
    "DueTimer",
    "ErasingStore",
    "Fence",
    "FoldingStore",
    "HistoryStore",
    "IdempotentStore",
    "RecordedAnswer",
    "SaveOptions",
    "StoreAdapter",
    "StoredWorkflow",
    "TimerStore",
    "TimerWrite",
]
