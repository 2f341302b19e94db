"""What a worker needs of a store, in memory: timers, leases, positions and the outbox."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ..._engine.argument import check_limit
from ..._engine.ports import DeadLetter, Delivery, DueTimer, Fence, ReaderStatus, SaveOptions
from ...errors import LeaseLostError
from .timer import Timer, Timers


@dataclass(slots=True)
class _Lease:
    owner: str
    epoch: int
    until: datetime


@dataclass(slots=True)
class _Row:
    """A row of the outbox."""

    delivery: Delivery
    due_at: datetime
    error: Mapping[str, Any] | None = None
    """Why it is parked."""


class MemoryAgenda:
    """Timers, leases, positions and the outbox of a `MemoryStore`. Its clock is the machine's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # an executor's `sync()` runs on a thread of its own
        self._timers = Timers()
        self._leases: dict[str, _Lease] = {}
        self._readers: dict[str, int] = {}
        self._outbox: dict[int, _Row] = {}
        self._last_delivery = 0

    async def last_position(self) -> int:
        """Return the position of the last commit; 0 if there is none."""
        raise NotImplementedError

    # --- with a save -----------------------------------------------------------------------------------------------

    def _check_fences(self, fences: Iterable[Fence]) -> None:
        for fence in fences:
            lease = self._leases.get(fence.name)
            if lease is None or lease.epoch != fence.epoch:
                raise LeaseLostError(fence.name, fence.epoch)

    def _keep_timers(self, options: SaveOptions) -> None:
        if writes := options.timers:
            now = _now()
            for write in writes:
                self._timers.write(options.id, options.snapshot.definition, write, now)

    def _first_needed(self, end: int) -> int:
        """Return the first position that a reader or something undelivered still needs, at most `end`."""
        unread = [position + 1 for position in self._readers.values()]
        undelivered = [row.delivery.position for row in self._outbox.values()]
        return min([end, *unread, *undelivered])

    def _forget_agenda(self, id: str) -> None:
        self._timers.forget(id)
        for number, row in list(self._outbox.items()):
            if id in (row.delivery.source_id, row.delivery.target_id):
                del self._outbox[number]

    # --- timers ----------------------------------------------------------------------------------------------------

    async def timer_stands(self, id: str, key: str, generation: str) -> bool:
        """Return whether a timer is still set, in this generation."""
        with self._lock:
            return self._timers.standing(id, key, generation) is not None

    async def due_timers(
        self, definitions: Collection[str], *, limit: int = 100, now: datetime | None = None
    ) -> list[DueTimer]:
        """Return timers of these definitions that are due, the oldest first."""
        with self._lock:
            return self._timers.due(definitions, now or _now(), check_limit(limit))

    async def timers(self, id: str) -> list[DueTimer]:
        """Return a workflow's timers that wait for their time, the next one first."""
        with self._lock:
            return self._timers.waiting(id)

    async def until_next_due(self, definitions: Collection[str], *, now: datetime | None = None) -> timedelta | None:
        """Return how long until the earliest timer of these definitions is due; `None` if there is none."""
        with self._lock:
            first = self._timers.first(definitions)
        return None if first is None else max(timedelta(), first - (now or _now()))

    async def finish_timer(self, timer: DueTimer, fence: Fence) -> None:
        """Remove a timer that is done with, if it still stands."""
        with self._lock:
            if self._held(timer, fence):
                self._timers.remove(timer.workflow_id, timer.key)

    async def postpone_timer(
        self, timer: DueTimer, delay: timedelta, attempts: int, fence: Fence, *, now: datetime | None = None
    ) -> None:
        """Let a timer be due again after a delay, if it still stands."""
        with self._lock:
            if standing := self._held(timer, fence):
                self._timers.put_back(standing, (now or _now()) + delay, attempts)

    async def bury_timer(self, timer: DueTimer, error: Mapping[str, Any], attempts: int, fence: Fence) -> None:
        """Park a timer as a dead letter, if it still stands."""
        with self._lock:
            if standing := self._held(timer, fence):
                self._timers.park(standing, error, attempts)

    def _held(self, timer: DueTimer, fence: Fence) -> Timer | None:
        self._check_fences([fence])
        return self._timers.standing(timer.workflow_id, timer.key, timer.generation)

    # --- leases ----------------------------------------------------------------------------------------------------

    async def acquire_leases(self, names: Collection[str], owner: str, duration: timedelta) -> list[Fence]:
        """Take the leases that are free or have run out, and renew the owner's own; return all that it holds."""
        now, held = _now(), []
        for name in names:
            lease = self._leases.get(name)
            if lease is None or lease.until <= now or lease.owner == owner:
                is_own = lease is not None and lease.owner == owner and lease.until > now
                epoch = 1 if lease is None else lease.epoch + (not is_own)
                self._leases[name] = _Lease(owner, epoch, now + duration)
                held.append(Fence(name, epoch))
        return held

    async def release_leases(self, fences: Collection[Fence]) -> None:
        """Give leases back; those that have passed to another owner are left alone."""
        for fence in fences:
            lease = self._leases.get(fence.name)
            if lease is not None and lease.epoch == fence.epoch:
                lease.until = _now()
                lease.owner = ""

    # --- readers ---------------------------------------------------------------------------------------------------

    async def reader_position(self, name: str) -> int | None:
        """Return how far a reader has read; `None` if it never started."""
        return self._readers.get(name)

    async def start_reader(self, name: str, position: int) -> None:
        """Let a reader start after a position, unless it has started already."""
        self._readers.setdefault(name, position)

    async def advance_reader(self, name: str, position: int, deliveries: Sequence[Delivery], fence: Fence) -> None:
        """Store what was decided on the commits up to a position, and the position, together."""
        self._check_fences([fence])
        for delivery in deliveries:
            self._put(delivery)
        self._readers[name] = max(position, self._readers.get(name, 0))

    def _put(self, delivery: Delivery) -> None:
        self._last_delivery += 1
        self._outbox[self._last_delivery] = _Row(replace(delivery, id=self._last_delivery), _now())

    async def due_deliveries(self, name: str, *, limit: int = 100, now: datetime | None = None) -> list[Delivery]:
        """Return deliveries of a reader in order; what stands behind a blocked one of the same source is left out."""
        limit = check_limit(limit)
        present, found, blocked = now or _now(), [], set()
        for row in self._rows_of(name):
            if row.error is not None or row.due_at > present:
                blocked.add(row.delivery.source_id)
            elif row.delivery.source_id not in blocked:
                found.append(row.delivery)
        return found[:limit]

    def _rows_of(self, name: str) -> list[_Row]:
        rows = [row for row in list(self._outbox.values()) if row.delivery.reader == name]
        return sorted(rows, key=lambda row: (row.delivery.position, row.delivery.number))

    async def finish_deliveries(self, ids: Collection[int], fence: Fence) -> None:
        """Remove deliveries that are done with."""
        self._check_fences([fence])
        for id in ids:
            self._outbox.pop(id, None)

    async def postpone_delivery(
        self, id: int, delay: timedelta, attempts: int, fence: Fence, *, now: datetime | None = None
    ) -> None:
        """Let a delivery be due again after a delay; what follows from its source waits."""
        self._check_fences([fence])
        if row := self._outbox.get(id):
            row.delivery = replace(row.delivery, attempts=attempts)
            row.due_at = (now or _now()) + delay

    async def replace_delivery(self, id: int, deliveries: Sequence[Delivery], fence: Fence) -> None:
        """Put what a reactor decided at last in the place of the delivery that stands for its failure."""
        self._check_fences([fence])
        self._outbox.pop(id, None)
        for delivery in deliveries:
            self._put(delivery)

    async def bury_delivery(self, id: int, error: Mapping[str, Any], attempts: int, fence: Fence) -> None:
        """Park a delivery as a dead letter; what follows from its source waits."""
        self._check_fences([fence])
        if row := self._outbox.get(id):
            row.delivery = replace(row.delivery, attempts=attempts)
            row.error = error

    async def has_undelivered(self, name: str, source_id: str, position: int) -> bool:
        """Return whether something that a reader decided for a source, up to a position, is not delivered."""
        rows = (row.delivery for row in self._rows_of(name))
        return any(each.source_id == source_id and each.position <= position for each in rows)

    async def readers(self) -> list[ReaderStatus]:
        """Return how far each reader has read."""
        last = await self.last_position()
        return [
            ReaderStatus(name=name, position=at, lag=max(0, last - at), undelivered=len(self._rows_of(name)))
            for name, at in sorted(self._readers.items())
        ]

    # --- dead letters ----------------------------------------------------------------------------------------------

    async def dead_letters(self, *, after: str = "", limit: int = 100) -> list[DeadLetter]:
        """Return dead letters with an id above `after`, in order of id."""
        most = check_limit(limit)
        with self._lock:
            timers, rows = list(self._timers.parked.values()), list(self._outbox.values())
        letters = [_dead_timer(timer.due, timer.error) for timer in timers]
        letters += [_dead_delivery(row.delivery, row.error) for row in rows if row.error is not None]
        found = sorted(letters, key=lambda letter: letter.id)
        return [letter for letter in found if letter.id > after][:most]

    async def retry_dead_letter(self, id: str) -> bool:
        """Let a dead letter be tried again, from the first attempt; return whether there is one with this id."""
        with self._lock:
            if (timer := self._timers.parked.get(id.removeprefix(_TIMER))) and id.startswith(_TIMER):
                self._timers.put_back(timer, timer.due.due_at, 0)  # due by the worker's clock, which may be another
                return True
        for row in list(self._outbox.values()):
            if row.error is not None and _delivery_id(row.delivery) == id:
                row.delivery, row.error, row.due_at = replace(row.delivery, attempts=0), None, _now()
                return True
        return False

    async def drop_dead_letter(self, id: str) -> bool:
        """Remove a dead letter; what waited behind it goes on. Return whether there was one with this id."""
        with self._lock:
            if (timer := self._timers.parked.get(id.removeprefix(_TIMER))) and id.startswith(_TIMER):
                self._timers.remove(timer.due.workflow_id, timer.due.key)
                return True
        for number, row in list(self._outbox.items()):
            if row.error is not None and _delivery_id(row.delivery) == id:
                del self._outbox[number]
                return True
        return False


_TIMER: Final = "timer-"
"""What the ids of timers that are dead letters begin with."""


def _now() -> datetime:
    return datetime.now(UTC)


def _timer_id(timer: DueTimer) -> str:
    return _TIMER + timer.generation


def _delivery_id(delivery: Delivery) -> str:
    return f"delivery-{delivery.id:016d}"


def _dead_timer(timer: DueTimer, error: Mapping[str, Any] | None) -> DeadLetter:
    return DeadLetter(
        id=_timer_id(timer),
        kind="timer",
        reader=f"timers:{timer.definition}",
        workflow_id=timer.workflow_id,
        target=timer.definition,
        target_id=timer.workflow_id,
        command=timer.command,
        position=None,
        attempts=timer.attempts,
        error=dict(error or {}),
    )


def _dead_delivery(delivery: Delivery, error: Mapping[str, Any] | None) -> DeadLetter:
    return DeadLetter(
        id=_delivery_id(delivery),
        kind="reactor" if delivery.command is None else "delivery",
        reader=delivery.reader,
        workflow_id=delivery.source_id,
        target=delivery.target,
        target_id=delivery.target_id,
        command=delivery.command,
        position=delivery.position,
        attempts=delivery.attempts,
        error=dict(error or {}),
    )
