"""Telling what a worker does, and how far it is behind."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from ..errors import StoreError
from .ports import ReaderStatus

_log = logging.getLogger("statewright.worker")

MOST_DUE: Final = 256
"""So many timers that are due are counted at most."""
_TIMERS: Final = "timers:"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleStatus:
    """What a worker did in one of its roles, and how far it is behind."""

    role: str
    """`timers:<definition>`, `reactor:<name>` or `publisher:<name>`."""
    acted: int
    """Timers executed, commands delivered or commits published since this was last told."""
    lag: int
    """How many commits are not read yet; of timers, how many are due, at most 256."""
    undelivered: int
    """Commands of a reactor that wait to be delivered, dead letters included."""
    late: timedelta
    """How long the first commit that is not read, or timer that is due, has waited, by this machine's clock."""


WorkerObserver: TypeAlias = Callable[[Sequence[RoleStatus]], object]
"""Is told of the roles that a worker holds; nothing when it has stopped."""


class Watch:
    """Tells one observer of a worker.

    Args:
        store: The worker's.
        clock: Judges whether timers are due, in the place of the store's clock.
        observer: One that raises is logged and changes nothing.
        every: How long to wait in between.
    """

    def __init__(
        self, store: Any, clock: Callable[[], datetime] | None, observer: WorkerObserver, every: timedelta
    ) -> None:
        self._store = store
        self._clock = clock
        self._observer = observer
        self._every = every.total_seconds()
        self._acted: Counter[str] = Counter()

    def note(self, role: str, count: int) -> None:
        """Note that something was done."""
        self._acted[role] += count

    async def run(self, held: Callable[[], Collection[str]]) -> None:
        """Tell again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._every)
            await self.tell(held())

    async def tell(self, held: Collection[str]) -> None:
        """Tell of roles that are held, and of those in which something was done that is not told yet."""
        try:
            readers = {status.name: status for status in await self._store.readers()}
            found = [await self._status(role, readers) for role in sorted({*held, *self._acted})]
        except StoreError as error:
            _log.warning("a worker could not be watched", extra={"error": str(error)})
        else:
            for status in found:
                self._acted[status.role] -= status.acted  # more may have been done meanwhile
            self._acted = +self._acted
            self._hand_over(found)

    def end(self) -> None:
        """Tell that nothing is held any more."""
        self._hand_over([])

    async def _status(self, role: str, readers: dict[str, ReaderStatus]) -> RoleStatus:
        if role.startswith(_TIMERS):
            now = None if self._clock is None else self._clock()
            due = await self._store.due_timers([role.removeprefix(_TIMERS)], limit=MOST_DUE, now=now)
            lag, undelivered, since = len(due), 0, due[0].due_at if due else None
        else:
            status = readers.get(role)
            lag, undelivered = (status.lag, status.undelivered) if status is not None else (0, 0)
            since = await self._first_unread(status) if status is not None and lag else None
        late = timedelta() if since is None else max(timedelta(), self._now() - since)
        return RoleStatus(role=role, acted=self._acted[role], lag=lag, undelivered=undelivered, late=late)

    async def _first_unread(self, status: ReaderStatus) -> datetime | None:
        page = await self._store.commits(after=status.position, limit=1)
        return page[0].recorded_at if page else None

    def _now(self) -> datetime:
        return datetime.now(UTC) if self._clock is None else self._clock()

    def _hand_over(self, statuses: Sequence[RoleStatus]) -> None:
        try:
            self._observer(statuses)
        except Exception:  # noqa: BLE001 - it is logged, and an observer changes nothing
            _log.exception("observer failed", extra={"observer": repr(self._observer)})
