"""What a wrapped store may be able to do beside loading and saving, each with its data encoded and decoded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, Final

from ..._engine.ports import (
    BatchingStore,
    Catalog,
    CommitLog,
    DeadLetter,
    DeadLetterStore,
    Delivery,
    DueTimer,
    ErasingStore,
    Fence,
    FoldingStore,
    HistoryStore,
    IdempotentStore,
    LeaseStore,
    ReaderStore,
    RecordedAnswer,
    SaveOptions,
    StoredWorkflow,
    TimerCatalog,
    TimerStore,
    error_of_save,
)
from ..._model.commit import Commit
from ..._model.snapshot import WorkflowSnapshot
from ...errors import ConcurrencyConflictError
from .coder import Coder


def _as_it_is(name: str) -> Callable[..., Awaitable[Any]]:
    """Return a method that hands a call on: there is nothing in it to encode or decode."""

    async def call(self: Ability, *arguments: Any, **options: Any) -> Any:
        return await getattr(self._store, name)(*arguments, **options)

    call.__name__ = name
    call.__doc__ = "As the wrapped store."
    return call


class Ability:
    """What the abilities share with the store that they become part of."""

    _store: Any
    _coder: Coder


class Folding(Ability):
    """Saves of several commands at once."""

    def submit(self, options: SaveOptions) -> asyncio.Future[None]:
        """Begin a save, encoded; return its outcome."""
        inner: asyncio.Future[None] = self._store.submit(self._coder.options(options))
        outer: asyncio.Future[None] = inner.get_loop().create_future()
        if inner.done():
            self._hand_on(inner, outer)
        else:
            inner.add_done_callback(lambda done: self._hand_on(done, outer))
        return outer

    def _hand_on(self, inner: asyncio.Future[None], outer: asyncio.Future[None]) -> None:
        error = error_of_save(inner)
        if outer.done():
            return  # nobody is interested any more
        if isinstance(error, asyncio.CancelledError):
            outer.cancel()
        elif error is not None:
            if isinstance(error, ConcurrencyConflictError):
                self._coder.conflict(error)
            outer.set_exception(error)
        else:
            outer.set_result(None)


class Batches(Ability):
    """Sizes of batches."""

    @property
    def batch_listeners(self) -> list[Callable[[int], object]]:
        """Those of the wrapped store."""
        listeners: list[Callable[[int], object]] = self._store.batch_listeners
        return listeners


class History(Ability):
    """Commits of one workflow, and its states in the past."""

    async def history(self, id: str, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        """Return a workflow's commits, decoded."""
        return [self._coder.commit(commit) for commit in await self._store.history(id, after=after, limit=limit)]

    async def snapshot_at(self, id: str, version: int) -> WorkflowSnapshot | None:
        """Return a workflow as it was at a version, decoded."""
        snapshot = await self._store.snapshot_at(id, version)
        return None if snapshot is None else self._coder.snapshot(snapshot)


class Log(Ability):
    """Commits of all workflows."""

    async def commits(self, *, after: int = 0, limit: int = 1000) -> list[Commit]:
        """Return commits with a position above `after`, decoded."""
        return [self._coder.commit(commit) for commit in await self._store.commits(after=after, limit=limit)]

    async def subscribe(self, *, after: int = 0) -> AsyncIterator[Commit]:
        """Yield commits with a position above `after`, decoded, and wait for more."""
        commits: AsyncGenerator[Commit] = self._store.subscribe(after=after)
        async with aclosing(commits):
            async for commit in commits:
                yield self._coder.commit(commit)


class Listing(Ability):
    """Lists and counts."""

    async def find(
        self, *, definition: str | None = None, state: str | None = None, after: str = "", limit: int = 100
    ) -> list[StoredWorkflow]:
        """Return workflows in order of id, decoded."""
        found = await self._store.find(definition=definition, state=state, after=after, limit=limit)
        return [self._coder.stored(stored) for stored in found]

    count = _as_it_is("count")
    count_by_state = _as_it_is("count_by_state")


class Keys(Ability):
    """Idempotency keys."""

    async def recall(self, id: str, key: str) -> RecordedAnswer | None:
        """Return what was recorded under an idempotency key, decoded."""
        answer = await self._store.recall(id, key)
        return None if answer is None else self._coder.answer(answer)


class Timers(Ability):
    """Commands that wait for their time."""

    timer_stands = _as_it_is("timer_stands")

    async def due_timers(
        self, definitions: Collection[str], *, limit: int = 100, now: datetime | None = None
    ) -> list[DueTimer]:
        """Return timers that are due, decoded."""
        found = await self._store.due_timers(definitions, limit=limit, now=now)
        return [self._coder.timer(timer) for timer in found]

    until_next_due = _as_it_is("until_next_due")

    async def finish_timer(self, timer: DueTimer, fence: Fence) -> None:
        """Remove a timer that is done with."""
        await self._store.finish_timer(self._coder.encode_timer(timer), fence)

    async def postpone_timer(
        self, timer: DueTimer, delay: timedelta, attempts: int, fence: Fence, *, now: datetime | None = None
    ) -> None:
        """Let a timer be due again after a delay."""
        await self._store.postpone_timer(self._coder.encode_timer(timer), delay, attempts, fence, now=now)

    async def bury_timer(self, timer: DueTimer, error: Mapping[str, Any], attempts: int, fence: Fence) -> None:
        """Park a timer as a dead letter, encoded."""
        encoded = self._coder.encode_timer(timer)
        await self._store.bury_timer(encoded, self._coder.encode_error(error), attempts, fence)


class TimerList(Ability):
    """Lists of timers."""

    async def timers(self, id: str) -> list[DueTimer]:
        """Return a workflow's timers, decoded."""
        return [self._coder.timer(timer) for timer in await self._store.timers(id)]


class Leases(Ability):
    """Roles that one worker has at a time."""

    acquire_leases = _as_it_is("acquire_leases")
    release_leases = _as_it_is("release_leases")


class Readers(Ability):
    """Positions of reactors and publishers, and what reactors decided."""

    last_position = _as_it_is("last_position")
    reader_position = _as_it_is("reader_position")
    start_reader = _as_it_is("start_reader")
    finish_deliveries = _as_it_is("finish_deliveries")
    postpone_delivery = _as_it_is("postpone_delivery")
    has_undelivered = _as_it_is("has_undelivered")
    readers = _as_it_is("readers")
    wait_for_change = _as_it_is("wait_for_change")

    async def advance_reader(self, name: str, position: int, deliveries: Sequence[Delivery], fence: Fence) -> None:
        """Store what was decided, encoded, and the position."""
        encoded = [self._coder.encode_delivery(delivery) for delivery in deliveries]
        await self._store.advance_reader(name, position, encoded, fence)

    async def due_deliveries(self, name: str, *, limit: int = 100, now: datetime | None = None) -> list[Delivery]:
        """Return deliveries, decoded."""
        found = await self._store.due_deliveries(name, limit=limit, now=now)
        return [self._coder.delivery(delivery) for delivery in found]

    async def replace_delivery(self, id: int, deliveries: Sequence[Delivery], fence: Fence) -> None:
        """Put deliveries in the place of one, encoded."""
        encoded = [self._coder.encode_delivery(delivery) for delivery in deliveries]
        await self._store.replace_delivery(id, encoded, fence)

    async def bury_delivery(self, id: int, error: Mapping[str, Any], attempts: int, fence: Fence) -> None:
        """Park a delivery as a dead letter, with its error encoded."""
        await self._store.bury_delivery(id, self._coder.encode_error(error), attempts, fence)


class DeadLetters(Ability):
    """What was given up."""

    async def dead_letters(self, *, after: str = "", limit: int = 100) -> list[DeadLetter]:
        """Return dead letters, decoded."""
        return [self._coder.dead_letter(each) for each in await self._store.dead_letters(after=after, limit=limit)]

    retry_dead_letter = _as_it_is("retry_dead_letter")
    drop_dead_letter = _as_it_is("drop_dead_letter")


class Erasing(Ability):
    """Forgetting."""

    forget = _as_it_is("forget")


class Pruning(Ability):
    """Removing old commits."""

    prune = _as_it_is("prune")


ABILITIES: Final[tuple[tuple[type[Any], type[Ability]], ...]] = (
    (FoldingStore, Folding),
    (BatchingStore, Batches),
    (HistoryStore, History),
    (CommitLog, Log),
    (Catalog, Listing),
    (IdempotentStore, Keys),
    (TimerStore, Timers),
    (TimerCatalog, TimerList),
    (LeaseStore, Leases),
    (ReaderStore, Readers),
    (DeadLetterStore, DeadLetters),
    (ErasingStore, Erasing),
)
"""Protocols and what stands for them: all are named, so that what stores learn later is not handed on unencoded."""
