"""What a worker asks of a store, in PostgreSQL: timers, leases, readers, the outbox and dead letters."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

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
from ..._model.commit import RecordedMessage
from ..._model.plain import to_text, to_value
from ...errors import LeaseLostError
from .rows import Field, array, check_text
from .timers import fence_params, length_text, moment_text

if TYPE_CHECKING:
    from .link import Row
    from .session import Session


class PostgresTimers:
    """Timers, through whichever connection."""

    async def _ask(self, name: str, *params: Field) -> list[Row]:
        """Send a statement by its name; return its rows."""
        raise NotImplementedError

    async def _act(self, name: str, fence: Fence, *params: Field) -> None:
        """Send a statement that changes something only while a lease is in force.

        Raises:
            LeaseLostError: It has passed to another owner.
        """
        [(held,)] = await self._ask(name, check_text("lease", fence.name), str(fence.epoch), *params)
        if not held:
            raise LeaseLostError(fence.name, fence.epoch)

    async def timer_stands(self, id: str, key: str, generation: str) -> bool:
        """Return whether a timer is still set, in this generation."""
        return bool(await self._ask("timers_standing", *map(array, ([id], [key], [generation]))))

    async def due_timers(
        self, definitions: Collection[str], *, limit: int = 100, now: datetime | None = None
    ) -> list[DueTimer]:
        """Return timers of these definitions that are due by the server's clock, or at `now`; the oldest first."""
        return [
            _timer(row)
            for row in await self._ask("due_timers", array(definitions), str(check_limit(limit)), moment_text(now))
        ]

    async def timers(self, id: str) -> list[DueTimer]:
        """Return a workflow's timers that wait for their time, the next one first."""
        return [_timer(row) for row in await self._ask("timers_of", check_text("id", id))]

    async def until_next_due(self, definitions: Collection[str], *, now: datetime | None = None) -> timedelta | None:
        """Return how long until the earliest timer of these definitions is due; `None` if there is none."""
        for (until,) in await self._ask("until_next_due", array(definitions), moment_text(now)):
            length: timedelta = until
            return length
        return None

    async def finish_timer(self, timer: DueTimer, fence: Fence) -> None:
        """Remove a timer that is done with, if it still stands."""
        await self._act("finish_timer", fence, *_identity(timer))

    async def postpone_timer(
        self, timer: DueTimer, delay: timedelta, attempts: int, fence: Fence, *, now: datetime | None = None
    ) -> None:
        """Let a timer be due again after a delay, if it still stands."""
        later = (moment_text(now), length_text(delay), str(attempts))
        await self._act("postpone_timer", fence, *_identity(timer), *later)

    async def bury_timer(self, timer: DueTimer, error: Mapping[str, Any], attempts: int, fence: Fence) -> None:
        """Park a timer as a dead letter, if it still stands."""
        await self._act("bury_timer", fence, *_identity(timer), json.dumps(dict(error)), str(attempts))


class PostgresAgenda(PostgresTimers):
    """The part of a `PostgresStore` that workers use; the ports say what each method does."""

    def _opened(self) -> Session:
        raise NotImplementedError

    async def _ask(self, name: str, *params: Field) -> list[Row]:
        session = self._opened()
        return await session.runner.fetch(session.sql[name], params)

    # --- timers ----------------------------------------------------------------------------------------------------

    async def timer_stands(self, id: str, key: str, generation: str) -> bool:
        """Return whether a timer is still set, in this generation; asked for at the same time, asked together."""
        return await self._opened().standing.ask((id, key, generation)) is not None

    # --- leases ----------------------------------------------------------------------------------------------------

    async def acquire_leases(self, names: Collection[str], owner: str, duration: timedelta) -> list[Fence]:
        """Take the leases that are free or have run out, renew the owner's own, and return all that it holds."""
        rows = await self._ask("acquire_leases", array(names), owner, length_text(duration))
        return [Fence(name, epoch) for name, epoch in rows]

    async def release_leases(self, fences: Collection[Fence]) -> None:
        """Give leases back; those that have passed to another owner are left alone."""
        await self._ask("release_leases", *fence_params(list(fences)))

    # --- readers ---------------------------------------------------------------------------------------------------

    async def last_position(self) -> int:
        """Return the position of the last commit; 0 if there is none."""
        await self._opened().log.number_all()
        [(last,)] = await self._ask("last_position")
        return int(last)

    async def reader_position(self, name: str) -> int | None:
        """Return how far a reader has read; `None` if it never started."""
        for (position,) in await self._ask("reader_position", name):
            return int(position)
        return None

    async def start_reader(self, name: str, position: int) -> None:
        """Let a reader start after a position, unless it has started already."""
        await self._ask("start_reader", check_text("reader", name), str(position))

    async def advance_reader(self, name: str, position: int, deliveries: Sequence[Delivery], fence: Fence) -> None:
        """Store what was decided on the commits up to a position, and the position, together."""
        await self._act("advance_reader", fence, check_text("reader", name), str(position), *_columns(deliveries))

    async def due_deliveries(self, name: str, *, limit: int = 100, now: datetime | None = None) -> list[Delivery]:
        """Return deliveries of a reader in order; what stands behind a blocked one of the same source is left out."""
        return [
            _delivery(row) for row in await self._ask("due_deliveries", name, str(check_limit(limit)), moment_text(now))
        ]

    async def finish_deliveries(self, ids: Collection[int], fence: Fence) -> None:
        """Remove deliveries that are done with."""
        await self._act("finish_deliveries", fence, array(map(str, ids)))

    async def postpone_delivery(
        self, id: int, delay: timedelta, attempts: int, fence: Fence, *, now: datetime | None = None
    ) -> None:
        """Let a delivery be due again after a delay; what follows from its source waits."""
        await self._act("postpone_delivery", fence, str(id), moment_text(now), length_text(delay), str(attempts))

    async def replace_delivery(self, id: int, deliveries: Sequence[Delivery], fence: Fence) -> None:
        """Put what a reactor decided at last in the place of the delivery that stands for its failure."""
        await self._act("replace_delivery", fence, str(id), *_columns(deliveries))

    async def bury_delivery(self, id: int, error: Mapping[str, Any], attempts: int, fence: Fence) -> None:
        """Park a delivery as a dead letter; what follows from its source waits."""
        await self._act("bury_delivery", fence, str(id), json.dumps(dict(error)), str(attempts))

    async def has_undelivered(self, name: str, source_id: str, position: int) -> bool:
        """Return whether something that a reader decided for a source, up to a position, is not delivered."""
        return bool(await self._ask("has_undelivered", name, source_id, str(position)))

    async def readers(self) -> list[ReaderStatus]:
        """Return how far each reader has read."""
        last = await self.last_position()
        return [
            ReaderStatus(name=name, position=position, lag=max(0, last - position), undelivered=undelivered)
            for name, position, undelivered in await self._ask("readers")
        ]

    async def wait_for_change(self, timeout: timedelta) -> None:
        """Return when something was saved, here or as far as is heard elsewhere, at the latest after the timeout.

        From the first call on the store listens for notifications, until it is closed.
        """
        session = self._opened()
        heard = session.bell.rung
        await session.listen()
        await session.bell.wait(heard, timeout.total_seconds())

    # --- dead letters ----------------------------------------------------------------------------------------------

    async def dead_letters(self, *, after: str = "", limit: int = 100) -> list[DeadLetter]:
        """Return dead letters with an id above `after`, in order of id."""
        limit = check_limit(limit)
        found: list[DeadLetter] = []
        if after < _TIMERS:
            number = _number_after(after)
            found += [_dead_delivery(row) for row in await self._ask("dead_deliveries", str(number), str(limit))]
        if len(found) < limit:
            generation = after.removeprefix(_TIMERS) if after >= _TIMERS else ""
            found += [_dead_timer(row) for row in await self._ask("dead_timers", generation, str(limit - len(found)))]
        return found  # deliveries sort before timers, as their ids do

    async def retry_dead_letter(self, id: str) -> bool:
        """Let a dead letter be tried again, from the first attempt; return whether there is one with this id."""
        return await self._end("retry", id)

    async def drop_dead_letter(self, id: str) -> bool:
        """Remove a dead letter; what waited behind it goes on. Return whether there was one with this id."""
        return await self._end("drop", id)

    async def _end(self, verb: str, id: str) -> bool:
        if id.startswith(_TIMERS) and "\0" not in id:
            return bool(await self._ask(f"{verb}_timer", id.removeprefix(_TIMERS)))
        number = id.removeprefix(_DELIVERIES)
        is_ours = id.startswith(_DELIVERIES) and number.isdecimal() and len(number) == _DIGITS
        return is_ours and bool(await self._ask(f"{verb}_delivery", number))


# --- rows ------------------------------------------------------------------------------------------------------------

_DELIVERIES = "delivery-"
_TIMERS = "timer-"
_DIGITS = 16


def _number_after(after: str) -> int:
    number = after.removeprefix(_DELIVERIES)
    return int(number) if after.startswith(_DELIVERIES) and number.isdecimal() else 0


def _identity(timer: DueTimer) -> tuple[str, str, str]:
    return timer.workflow_id, timer.key, timer.generation


def _timer(row: Row) -> DueTimer:
    workflow_id, definition, key, generation, command, data, state, keep, due_at, attempts = row
    message = RecordedMessage.of_text(command, data)
    return DueTimer(workflow_id, definition, key, generation, message, state, keep, due_at.astimezone(UTC), attempts)


def _columns(deliveries: Sequence[Delivery]) -> list[str]:
    rows = [_delivery_row(delivery) for delivery in deliveries]
    return [array(row[column] for row in rows) for column in range(12)]


def _delivery_row(delivery: Delivery) -> tuple[Field, ...]:
    command = delivery.command
    return (
        delivery.reader,
        str(delivery.position),
        str(delivery.number),
        delivery.source_id,
        delivery.commit_id,
        check_text("key", delivery.key),
        delivery.target,
        check_text("id", delivery.target_id),
        None if command is None else command.type,
        None if command is None else command.text,
        "t" if delivery.is_droppable else "f",
        to_text(dict(delivery.metadata)),
    )


def _delivery(row: Row) -> Delivery:
    id, reader, position, number, source_id, commit_id, target, target_id, command, data, droppable, meta, tried = row
    return Delivery(
        id=id,
        reader=reader,
        position=position,
        number=number,
        source_id=source_id,
        commit_id=commit_id,
        target=target,
        target_id=target_id,
        command=None if command is None else RecordedMessage.of_text(command, data),
        is_droppable=droppable,
        metadata=to_value(meta),
        attempts=tried,
    )


def _dead_delivery(row: Row) -> DeadLetter:
    id, reader, source_id, target, target_id, command, data, position, attempts, error = row
    return DeadLetter(
        id=f"{_DELIVERIES}{id:0{_DIGITS}d}",
        kind="reactor" if command is None else "delivery",
        reader=reader,
        workflow_id=source_id,
        target=target,
        target_id=target_id,
        command=None if command is None else RecordedMessage.of_text(command, data),
        position=position,
        attempts=attempts,
        error=to_value(error),
    )


def _dead_timer(row: Row) -> DeadLetter:
    generation, definition, workflow_id, command, data, attempts, error = row
    return DeadLetter(
        id=f"{_TIMERS}{generation}",
        kind="timer",
        reader=f"timers:{definition}",
        workflow_id=workflow_id,
        target=definition,
        target_id=workflow_id,
        command=RecordedMessage.of_text(command, data),
        position=None,
        attempts=attempts,
        error=to_value(error),
    )


if TYPE_CHECKING:
    _timers: type[TimerStore] = PostgresTimers
    _timer_catalog: type[TimerCatalog] = PostgresTimers
    _leases: type[LeaseStore] = PostgresAgenda
    _readers: type[ReaderStore] = PostgresAgenda
    _letters: type[DeadLetterStore] = PostgresAgenda
