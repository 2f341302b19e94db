"""What the engine asks of a store: two methods, and small sisters for what needs more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol, runtime_checkable

from .._model.commit import Commit, NewCommit, RecordedMessage
from .._model.snapshot import StoredWorkflow, WorkflowSnapshot
from .._model.timer import DueTimer, RenamedState, TimerWrite

_log: Final = logging.getLogger("statewright.store")


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
    renamed: RenamedState | None = None
    """Without commits: a migration gave the state another name, and its timers go along."""

    @property
    def events(self) -> tuple[RecordedMessage, ...]:
        """The events of all commits, oldest first."""
        return tuple(event for commit in self.commits for event in commit.events)

    @property
    def timers(self) -> tuple[TimerWrite, ...]:
        """What happens to the workflow's timers, in order; applied only if the save wins."""
        renamed = (self.renamed,) if self.renamed is not None else ()
        return (*renamed, *(write for commit in self.commits for write in commit.timers))


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


class Outcome(asyncio.Future[None]):
    """The outcome of a save, which tells one listener at once: a future of its own tells in the loop's next turn."""

    listener: Callable[[BaseException | None], object] | None = None

    def settle(self, error: BaseException | None = None) -> None:
        """Say how the save ended, unless that has been said."""
        if self.done():
            return
        if error is None:
            self.set_result(None)
        else:
            self.set_exception(error)

    def set_result(self, result: None) -> None:
        """Say that the save succeeded."""
        super().set_result(result)
        if self.listener is not None:
            self.listener(None)

    def set_exception(self, exception: type | BaseException) -> None:
        """Say how the save failed."""
        super().set_exception(exception)
        error = self.exception()  # a caller that went away leaves nobody to look at it
        if self.listener is not None:
            self.listener(error)

    def cancel(self, msg: Any | None = None) -> bool:
        """Say that the save was given up."""
        is_cancelled = super().cancel(msg)
        if is_cancelled and self.listener is not None:
            self.listener(asyncio.CancelledError())
        return is_cancelled


def error_of_save(saving: asyncio.Future[None]) -> BaseException | None:
    """Return what a save that has ended raised, its cancellation included; `None` if it succeeded."""
    return asyncio.CancelledError() if saving.cancelled() else saving.exception()


@runtime_checkable
class FoldingStore(StoreAdapter, Protocol):
    """A store that saves several commits of one workflow at once."""

    def submit(self, options: SaveOptions) -> asyncio.Future[None]:
        """Begin a save and return its outcome as a future of the running loop; an `Outcome` is the fastest.

        As `save`, but nobody's cancellation stops it. A `ConcurrencyConflictError` may carry the row that was found
        as its attribute `current` (a `StoredWorkflow`), which saves the caller a load.
        """
        ...


@runtime_checkable
class BatchingStore(Protocol):
    """A store that saves several workflows in one transaction, and says how many."""

    @property
    def batch_listeners(self) -> list[Callable[[int], object]]:
        """Told how many saves each committed batch held; perhaps on another thread, and not for long."""
        ...


def tell_batch(listeners: Iterable[Callable[[int], object]], saves: int) -> None:
    """Tell listeners how many saves a committed batch held; one that raises is logged, and harms nobody."""
    for listener in listeners:
        try:
            listener(saves)
        except Exception:  # noqa: BLE001 - it is logged, and the batch is saved
            _log.exception("a listener to batches failed", extra={"listener": repr(listener)})


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
    fingerprint: str = field(repr=False)
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

    async def until_next_due(self, definitions: Collection[str], *, now: datetime | None = None) -> timedelta | None:
        """Return how long until the earliest timer of these definitions is due; `None` if there is none."""
        ...

    async def finish_timer(self, timer: DueTimer, fence: Fence) -> None:
        """Remove a timer that is done with, if it still stands.

        Raises:
            LeaseLostError: The lease passed to another owner; nothing was changed.
        """
        ...

    async def postpone_timer(
        self, timer: DueTimer, delay: timedelta, attempts: int, fence: Fence, *, now: datetime | None = None
    ) -> None:
        """Let a timer be due again after a delay, if it still stands.

        Raises:
            LeaseLostError: The lease passed to another owner; nothing was changed.
        """
        ...

    async def bury_timer(self, timer: DueTimer, error: Mapping[str, Any], attempts: int, fence: Fence) -> None:
        """Park a timer as a dead letter, if it still stands. It still belongs to its state, and goes with it.

        Raises:
            LeaseLostError: The lease passed to another owner; nothing was changed.
        """
        ...


@runtime_checkable
class TimerCatalog(Protocol):
    """A store that can list the timers of a workflow."""

    async def timers(self, id: str) -> list[DueTimer]:
        """Return a workflow's timers that wait for their time, the next one first; dead letters are left out."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A command that a reactor decided on and that has not been delivered: one row of the outbox."""

    id: int
    """Given by the store; 0 before it is stored."""
    reader: str
    """`reactor:<name>`."""
    position: int
    """Of the source's commit."""
    number: int
    """Its place among the Sends of the commit, from 0; -1 for a commit whose reactor raised."""
    source_id: str
    """The workflow that the event came from."""
    commit_id: str
    """Of the source's commit."""
    target: str
    """Name of the definition that it goes to."""
    target_id: str
    command: RecordedMessage | None
    """`None` for a commit whose reactor raised: it is resolved again when it is retried."""
    is_droppable: bool
    """Whether a refusal is dropped instead of becoming a dead letter."""
    metadata: Mapping[str, Any]
    """What is kept with the target's commit."""
    attempts: int = 0

    @property
    def key(self) -> str:
        """The idempotency key under which it is delivered."""
        return f"{self.reader}:{self.commit_id}:{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A timer or a delivery that has been given up, until somebody retries or drops it."""

    id: str
    kind: Literal["timer", "delivery", "reactor"]
    """What it was: a timer's command, a reactor's command, or a commit on which a reactor raised."""
    reader: str
    """`reactor:<name>`, or `timers:<definition>`."""
    workflow_id: str
    """The timer's workflow, or the source of the event: what follows from it waits."""
    target: str
    """Name of the definition that the command goes to."""
    target_id: str
    command: RecordedMessage | None
    position: int | None
    """Of the source's commit, for what a reactor decided."""
    attempts: int
    error: Mapping[str, Any]
    """Why: the error's `to_dict()`, without what no client may see."""

    def to_dict(self) -> dict[str, Any]:
        """Return the dead letter as JSON-safe data, its command whole."""
        return {
            "id": self.id,
            "kind": self.kind,
            "reader": self.reader,
            "workflow_id": self.workflow_id,
            "target": self.target,
            "target_id": self.target_id,
            "command": None if self.command is None else self.command.to_dict(),
            "position": self.position,
            "attempts": self.attempts,
            "error": dict(self.error),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderStatus:
    """How far a reactor or publisher has read."""

    name: str
    """`reactor:<name>` or `publisher:<name>`."""
    position: int
    lag: int
    """How far the store's last position is ahead, at most so many commits."""
    undelivered: int
    """Deliveries that wait, dead letters included."""


@runtime_checkable
class LeaseStore(Protocol):
    """A store that grants a role to one worker at a time, by its own clock."""

    async def acquire_leases(self, names: Collection[str], owner: str, duration: timedelta) -> list[Fence]:
        """Take the leases that are free or have run out, with a higher epoch, and renew the owner's own.

        Returns:
            All that the owner holds now.
        """
        ...

    async def release_leases(self, fences: Collection[Fence]) -> None:
        """Give leases back; those that have passed to another owner are left alone."""
        ...


@runtime_checkable
class ReaderStore(Protocol):
    """A store that keeps the positions of readers, and what reactors decided until it is delivered."""

    async def last_position(self) -> int:
        """Return the position of the last commit; 0 if there is none."""
        ...

    async def reader_position(self, name: str) -> int | None:
        """Return how far a reader has read; `None` if it never started."""
        ...

    async def start_reader(self, name: str, position: int) -> None:
        """Let a reader start after a position, unless it has started already."""
        ...

    async def advance_reader(self, name: str, position: int, deliveries: Sequence[Delivery], fence: Fence) -> None:
        """Store what was decided on the commits up to a position, and the position, together.

        Raises:
            LeaseLostError: The lease passed to another owner; nothing was changed.
        """
        ...

    async def due_deliveries(self, name: str, *, limit: int = 100, now: datetime | None = None) -> list[Delivery]:
        """Return deliveries of a reader in order of position and number.

        What stands behind a parked or postponed delivery of the same source is left out.
        """
        ...

    async def finish_deliveries(self, ids: Collection[int], fence: Fence) -> None:
        """Remove deliveries that are done with.

        Raises:
            LeaseLostError: The lease passed to another owner; nothing was changed.
        """
        ...

    async def postpone_delivery(
        self, id: int, delay: timedelta, attempts: int, fence: Fence, *, now: datetime | None = None
    ) -> None:
        """Let a delivery be due again after a delay; what follows from its source waits.

        Raises:
            LeaseLostError: The lease passed to another owner; nothing was changed.
        """
        ...

    async def replace_delivery(self, id: int, deliveries: Sequence[Delivery], fence: Fence) -> None:
        """Put what a reactor decided at last in the place of the delivery that stands for its failure.

        Raises:
            LeaseLostError: The lease passed to another owner; nothing was changed.
        """
        ...

    async def bury_delivery(self, id: int, error: Mapping[str, Any], attempts: int, fence: Fence) -> None:
        """Park a delivery as a dead letter; what follows from its source waits.

        Raises:
            LeaseLostError: The lease passed to another owner; nothing was changed.
        """
        ...

    async def has_undelivered(self, name: str, source_id: str, position: int) -> bool:
        """Return whether something that a reader decided for a source, up to a position, is not delivered."""
        ...

    async def readers(self) -> list[ReaderStatus]:
        """Return how far each reader has read."""
        ...

    async def wait_for_change(self, timeout: timedelta) -> None:
        """Return when something may have been saved, at the latest after the timeout."""
        ...


@runtime_checkable
class DeadLetterStore(Protocol):
    """A store whose dead letters can be looked at, retried and dropped."""

    async def dead_letters(self, *, after: str = "", limit: int = 100) -> list[DeadLetter]:
        """Return dead letters with an id above `after`, in order of id."""
        ...

    async def retry_dead_letter(self, id: str) -> bool:
        """Let a dead letter be tried again, from the first attempt; return whether there is one with this id."""
        ...

    async def drop_dead_letter(self, id: str) -> bool:
        """Remove a dead letter; what waited behind it goes on. Return whether there was one with this id."""
        ...


@runtime_checkable
class ErasingStore(Protocol):
    """A store that can forget a workflow."""

    async def forget(self, id: str) -> bool:
        """Remove everything that is kept of a workflow, in one transaction; return whether there was anything."""
        ...


@runtime_checkable
class PruningStore(Protocol):
    """A store that can do without old commits."""

    async def prune(self, *, before_position: int | None = None, older_than: timedelta | None = None) -> int:
        """Delete old commits, and return how many; what is still needed stays.

        The newest commit of a workflow stays, and so does what a reactor or publisher has not read. Reading on from
        below what was deleted is a `PositionPrunedError` from then on.

        Args:
            before_position: Delete commits below this position.
            older_than: Delete commits recorded longer ago than this.

        Raises:
            InvalidDataError: Neither was given.
        """
        ...


@runtime_checkable
class Publisher(Protocol):
    """Where commits are published to: a broker, a webhook, a log."""

    name: str
    """The key of its position in the store."""

    async def publish(self, commit: Commit) -> None:
        """Publish a commit; raise if it could not be: it is tried again.

        Delivery is at least once and in order for each workflow; a repetition carries the same `commit.id`.
        """
        ...


class Clock(Protocol):
    """Where the time comes from."""

    def __call__(self) -> datetime:
        """Return the present, aware."""
        ...


__all__ = [
    "BatchingStore",
    "Catalog",
    "Clock",
    "CommitLog",
    "DeadLetter",
    "DeadLetterStore",
    "Delivery",
    "DueTimer",
    "ErasingStore",
    "Fence",
    "FoldingStore",
    "HistoryStore",
    "IdempotentStore",
    "LeaseStore",
    "PruningStore",
    "Publisher",
    "ReaderStatus",
    "ReaderStore",
    "RecordedAnswer",
    "SaveOptions",
    "StoreAdapter",
    "StoredWorkflow",
    "TimerCatalog",
    "TimerStore",
    "TimerWrite",
]
