"""Sending a batch of saves until each of them has an outcome."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, TypeAlias

from ..._engine.ports import Fence
from ...errors import ExecutionError, LeaseLostError, StoreError, StoreUnavailableError
from .entry import Entry
from .fault import FAULTS, Fault, translate
from .link import Link, Row
from .rows import array, batch_call, stored_of
from .runner import Pause, Runner, fault_on, unavailable
from .short import short_call
from .statements import Statements
from .timers import agenda_params, fence_params

Batch: TypeAlias = Sequence[Entry]
"""Saves in order of id, so that no two batches wait for each other, and each id at most once."""

_MOST_ATTEMPTS: Final = 8
"""After failures that the server reports. A lost connection is bounded by time alone."""
_GRACE: Final = 1.0
"""Seconds by which the server's own timeout comes before ours."""
_LEAST_PATIENCE: Final = 0.1
"""Seconds to try for a connection, however long the saves have been waiting already."""


class Saver:
    """Settles batches of saves.

    Args:
        runner: For what may run twice.
        statements: Of the schema.
        set_aside: Takes an entry whose row somebody keeps locked, so that it waits alone.
        acknowledge: Gives entries that were saved their answers.
    """

    def __init__(
        self,
        runner: Runner,
        statements: Statements,
        set_aside: Callable[[Entry], None],
        acknowledge: Callable[[Batch], None],
    ) -> None:
        self._runner = runner
        self._connections = runner.connections
        self.bounds = runner.bounds
        self._sql = statements
        self._set_aside = set_aside
        self._acknowledge = acknowledge
        self._now = asyncio.get_running_loop().time

    async def save(self, batch: Batch, *, alone: bool = False) -> None:
        """Settle a batch: every entry has its outcome afterwards, or was set aside.

        Args:
            batch: What to save.
            alone: The one entry waits for its row as long as its call may last.
        """
        pause = Pause()
        attempts = 0
        while batch:
            failed = await self._attempt(batch, alone=alone)
            if failed is None:
                return
            exc, fault = failed
            attempts += fault is not Fault.LOST
            match fault:
                case Fault.LOST | Fault.STALE | Fault.AGAIN if attempts <= _MOST_ATTEMPTS:
                    batch = self._in_time(batch, translate(exc, fault))
                case Fault.BLOCKED if not alone:
                    await self._part(batch)
                    return
                case Fault.DATA if len(batch) > 1:
                    await self._halve(batch)
                    return
                case _:
                    _refuse(batch, self._refusal(exc, fault))
                    return
            await pause()

    async def _attempt(self, batch: Batch, *, alone: bool) -> tuple[BaseException, Fault] | None:
        """Send a batch once; return what failed, if something did."""
        try:
            link = await self._connections.acquire(self._patience(batch))
        except StoreError as error:
            _refuse(batch, error)
            return None
        try:
            lost = await self._send(link, batch, alone=alone)
        except FAULTS as exc:
            return exc, self._give_back(link, batch, fault_on(link, exc))
        except BaseException as exc:
            self._give_back(link, batch, Fault.LOST)
            _refuse(batch, unavailable("the store was interrupted", exc))
            raise
        if alone:
            self._connections.discard(link)  # with the lock timeout that was set on it
        else:
            self._connections.release(link)
        await self._settle(batch, lost)
        return None

    async def _send(self, link: Link, batch: Batch, *, alone: bool) -> set[str]:
        """Send a batch; return the ids of saves that lost."""
        timeout = self.bounds.attempt
        if alone:
            remaining = max(self._deadline(batch[0]) - self._now(), _LEAST_PATIENCE)
            timeout = remaining + _GRACE
            await link.fetch(b"SELECT set_config('lock_timeout', $1, false)", (f"{remaining * 1000:.0f}ms",))
        if len(batch) == 1 and (call := short_call(batch[0].rows, batch[0].agenda)) is not None:
            name, params = call
            saved = await link.fetch(self._sql[name], params, timeout=timeout)
            return set() if saved else {batch[0].id}
        agendas = [entry.agenda for entry in batch if entry.agenda is not None]
        name, params = batch_call((row for entry in batch for row in entry.rows), agenda_params(agendas))
        return {id for (id,) in await link.fetch(self._sql[name], params, timeout=timeout)}

    def _give_back(self, link: Link, batch: Batch, fault: Fault) -> Fault:
        self._connections.discard(link)
        if fault is Fault.LOST:
            self._connections.distrust()
            for entry in batch:
                entry.is_unsettled = True
        return fault

    # --- outcomes --------------------------------------------------------------------------------------------------

    async def _settle(self, batch: Batch, lost: set[str]) -> None:
        saved = [entry for entry in batch if entry.id not in lost]
        if saved:
            self._acknowledge(saved)
        if lost:
            await self._tell([entry for entry in batch if entry.id in lost])

    async def _tell(self, losers: Batch) -> None:
        """Tell losers what was there; one that had been sent before may turn out to have won."""
        following = (str(entry.options.expected_version + 1) for entry in losers)
        params = (array(entry.id for entry in losers), array(following))
        try:
            fallen = await self._fallen(fence for entry in losers for fence in entry.options.fences)
            found = await self._runner.fetch(self._sql["found"], params)
        except StoreError as error:
            _refuse(losers, unavailable(f"a race was lost, and what won could not be read: {error}", error.__cause__))
            return
        by_id = {row[0]: row for row in found}
        for entry in losers:
            self._judge(entry, by_id[entry.id], fallen.intersection(entry.options.fences))

    async def _fallen(self, fences: Iterable[Fence]) -> set[Fence]:
        """Return which leases have passed on: an epoch that has passed does not come back."""
        some = list(set(fences))
        rows = await self._runner.fetch(self._sql["fallen"], fence_params(some)) if some else []
        return {Fence(name, epoch) for name, epoch in rows}

    def _judge(self, entry: Entry, row: Row, fallen: Collection[Fence]) -> None:
        current = None if row[1] is None else stored_of(row[1:12])
        if fallen and row[12] != (entry.first_commit_id or entry.commit_id):
            lost = next(iter(fallen))
            entry.refuse(LeaseLostError(lost.name, lost.epoch))
        elif not entry.is_unsettled:
            entry.lose(current)
        elif entry.first_commit_id is None:
            # A save without commits leaves no trace once the next one has come: then nobody knows.
            if current is not None and current.commit_id == entry.commit_id:
                self._acknowledge([entry])
            else:
                entry.refuse(StoreUnavailableError())
        elif row[12] == entry.first_commit_id:
            self._acknowledge([entry])
        elif row[12] is None:
            entry.refuse(StoreUnavailableError())  # pruned or forgotten: unknown
        else:
            entry.lose(current)

    def _refusal(self, exc: BaseException, fault: Fault) -> ExecutionError:
        if fault is Fault.BLOCKED:
            return unavailable(
                f"another transaction has kept the workflow locked for {self.bounds.call:g} s; nothing was saved", exc
            )
        error = translate(exc, fault)
        if fault is Fault.WRONG:
            # To whoever saves, the one question is whether it was saved.
            return unavailable(f"{error}; nothing was saved", exc)
        return error

    # --- what holds others up --------------------------------------------------------------------------------------

    async def _part(self, batch: Batch) -> None:
        """Set aside what waits for somebody's lock, and save the rest."""
        if len(batch) == 1:
            self._set_aside(batch[0])
            return
        locked = await self._locked(batch)
        rest = [entry for entry in batch if entry.id not in locked]
        for entry in batch:
            if entry.id in locked:
                self._set_aside(entry)
        if locked:
            await self.save(rest)
        else:
            await self._halve(batch)  # free again, or locked by an insert, which no look at the rows can find

    async def _locked(self, batch: Batch) -> set[str]:
        try:
            rows = await self._runner.fetch(self._sql["locked"], (array(entry.id for entry in batch),))
        except StoreError:
            return set()
        return {id for (id,) in rows}

    async def _halve(self, batch: Batch) -> None:
        middle = (len(batch) + 1) // 2
        await self.save(batch[:middle])
        await self.save(batch[middle:])

    # --- time ------------------------------------------------------------------------------------------------------

    def _deadline(self, entry: Entry) -> float:
        return entry.began + self.bounds.call

    def _in_time(self, batch: Batch, error: ExecutionError) -> Batch:
        """Return the entries that have time for another attempt; the others are refused."""
        now = self._now()
        _refuse([entry for entry in batch if now >= self._deadline(entry)], error)
        return [entry for entry in batch if now < self._deadline(entry)]

    def _patience(self, batch: Batch) -> float:
        # What was never sent fails early, so that callers learn of an outage; what was sent has to be settled.
        until = max(entry.began + (self.bounds.call if entry.is_unsettled else self.bounds.connect) for entry in batch)
        return max(until - self._now(), _LEAST_PATIENCE)


def _refuse(batch: Iterable[Entry], error: ExecutionError) -> None:
    for entry in batch:
        entry.refuse(copy.copy(error))  # each caller raises an object of its own
