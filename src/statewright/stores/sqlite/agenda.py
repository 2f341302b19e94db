"""What a worker asks of a store, in SQLite: timers, leases, readers, the outbox and dead letters."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from ..._engine.argument import check_limit
from ..._engine.ports import (
    DeadLetter,
    DeadLetterStore,
    Delivery,
    DueTimer,
    Fence,
    LeaseStore,
    ReaderStatus,
    ReaderStore,
    TimerCatalog,
    TimerStore,
)
from . import outbox
from . import timer as timers
from .connection import Database, Settings
from .row import time_text
from .session import Session

T = TypeVar("T")


class SQLiteAgenda:
    """The part of a `SQLiteStore` that workers use; the ports say what each method does."""

    _settings: Settings

    def _opened(self) -> Session:
        raise NotImplementedError

    def _time(self, now: datetime | None = None, later: timedelta = timedelta()) -> str:
        return time_text((now or self._settings.clock()) + later)

    async def _change(self, change: Callable[[sqlite3.Connection], T], fence: Fence | None = None) -> T:
        """Change something in a transaction of its own, while a lease is in force."""

        def work(database: Database) -> T:
            with database.transaction() as connection:
                timers.check_fences(connection, [] if fence is None else [fence])
                return change(connection)

        return await self._opened().write(work)

    # --- timers ----------------------------------------------------------------------------------------------------

    async def timer_stands(self, id: str, key: str, generation: str) -> bool:
        """Return whether a timer is still set, in this generation."""
        return await self._opened().read(lambda connection: timers.stands(connection, id, key, generation))

    async def due_timers(
        self, definitions: Collection[str], *, limit: int = 100, now: datetime | None = None
    ) -> list[DueTimer]:
        """Return timers of these definitions that are due, the oldest first."""
        present, limit = self._time(now), check_limit(limit)
        return await self._opened().read(lambda connection: timers.due(connection, definitions, limit, present))

    async def timers(self, id: str) -> list[DueTimer]:
        """Return a workflow's timers that wait for their time, the next one first."""
        return await self._opened().read(lambda connection: timers.waiting(connection, id))

    async def until_next_due(self, definitions: Collection[str], *, now: datetime | None = None) -> timedelta | None:
        """Return how long until the earliest timer of these definitions is due; `None` if there is none."""
        due_at = await self._opened().read(lambda connection: timers.next_due(connection, definitions))
        return None if due_at is None else max(timedelta(), due_at - (now or self._settings.clock()))

    async def finish_timer(self, timer: DueTimer, fence: Fence) -> None:
        """Remove a timer that is done with, if it still stands."""
        await self._change(lambda connection: timers.finish(connection, timer), fence)

    async def postpone_timer(
        self, timer: DueTimer, delay: timedelta, attempts: int, fence: Fence, *, now: datetime | None = None
    ) -> None:
        """Let a timer be due again after a delay, if it still stands."""
        due_at = self._time(now, delay)
        await self._change(lambda connection: timers.postpone(connection, timer, due_at, attempts), fence)

    async def bury_timer(self, timer: DueTimer, error: Mapping[str, Any], attempts: int, fence: Fence) -> None:
        """Park a timer as a dead letter, if it still stands."""
        await self._change(lambda connection: timers.bury(connection, timer, error, attempts), fence)

    # --- leases ----------------------------------------------------------------------------------------------------

    async def acquire_leases(self, names: Collection[str], owner: str, duration: timedelta) -> list[Fence]:
        """Take the leases that are free or have run out, renew the owner's own, and return all that it holds."""
        now = self._settings.clock()
        present, until = time_text(now), time_text(now + duration)
        return await self._change(lambda connection: outbox.acquire(connection, names, owner, present, until))

    async def release_leases(self, fences: Collection[Fence]) -> None:
        """Give leases back; those that have passed to another owner are left alone."""
        present = self._time()
        await self._change(lambda connection: outbox.release(connection, fences, present))

    # --- readers ---------------------------------------------------------------------------------------------------

    async def last_position(self) -> int:
        """Return the position of the last commit; 0 if there is none."""
        return await self._opened().read(outbox.last_position)

    async def reader_position(self, name: str) -> int | None:
        """Return how far a reader has read; `None` if it never started."""
        return await self._opened().read(lambda connection: outbox.position(connection, name))

    async def start_reader(self, name: str, position: int) -> None:
        """Let a reader start after a position, unless it has started already."""
        await self._change(lambda connection: outbox.start(connection, name, position))

    async def advance_reader(self, name: str, position: int, deliveries: Sequence[Delivery], fence: Fence) -> None:
        """Store what was decided on the commits up to a position, and the position, together."""
        now = self._time()
        await self._change(lambda connection: outbox.advance(connection, name, position, deliveries, now), fence)

    async def due_deliveries(self, name: str, *, limit: int = 100, now: datetime | None = None) -> list[Delivery]:
        """Return deliveries of a reader in order; what stands behind a blocked one of the same source is left out."""
        present, limit = self._time(now), check_limit(limit)
        return await self._opened().read(lambda connection: outbox.due(connection, name, limit, present))

    async def finish_deliveries(self, ids: Collection[int], fence: Fence) -> None:
        """Remove deliveries that are done with."""
        await self._change(lambda connection: outbox.finish(connection, ids), fence)

    async def postpone_delivery(
        self, id: int, delay: timedelta, attempts: int, fence: Fence, *, now: datetime | None = None
    ) -> None:
        """Let a delivery be due again after a delay; what follows from its source waits."""
        due_at = self._time(now, delay)
        await self._change(lambda connection: outbox.postpone(connection, id, due_at, attempts), fence)

    async def replace_delivery(self, id: int, deliveries: Sequence[Delivery], fence: Fence) -> None:
        """Put what a reactor decided at last in the place of the delivery that stands for its failure."""
        now = self._time()
        await self._change(lambda connection: outbox.replace(connection, id, deliveries, now), fence)

    async def bury_delivery(self, id: int, error: Mapping[str, Any], attempts: int, fence: Fence) -> None:
        """Park a delivery as a dead letter; what follows from its source waits."""
        await self._change(lambda connection: outbox.bury(connection, id, error, attempts), fence)

    async def has_undelivered(self, name: str, source_id: str, position: int) -> bool:
        """Return whether something that a reader decided for a source, up to a position, is not delivered."""
        return await self._opened().read(
            lambda connection: outbox.has_undelivered(connection, name, source_id, position)
        )

    async def readers(self) -> list[ReaderStatus]:
        """Return how far each reader has read."""
        return await self._opened().read(outbox.statuses)

    async def wait_for_change(self, timeout: timedelta) -> None:
        """Return when something may have been saved, by whichever process, at the latest after the timeout."""
        session = self._opened()
        await session.ear.wait(session.bell.rung, timeout.total_seconds())

    # --- dead letters ----------------------------------------------------------------------------------------------

    async def dead_letters(self, *, after: str = "", limit: int = 100) -> list[DeadLetter]:
        """Return dead letters with an id above `after`, in order of id."""
        most = check_limit(limit)
        return await self._opened().read(lambda connection: outbox.dead_letters(connection, after, most))

    async def retry_dead_letter(self, id: str) -> bool:
        """Let a dead letter be tried again, from the first attempt; return whether there is one with this id."""
        now = self._time()
        return await self._change(lambda connection: outbox.retry(connection, id, now))

    async def drop_dead_letter(self, id: str) -> bool:
        """Remove a dead letter; what waited behind it goes on. Return whether there was one with this id."""
        return await self._change(lambda connection: outbox.drop(connection, id))


if TYPE_CHECKING:
    _timers: type[TimerStore] = SQLiteAgenda
    _timer_catalog: type[TimerCatalog] = SQLiteAgenda
    _leases: type[LeaseStore] = SQLiteAgenda
    _readers: type[ReaderStore] = SQLiteAgenda
    _letters: type[DeadLetterStore] = SQLiteAgenda
