"""Callers who mean it: each command has a key of its own, and is sent again until it is answered with a success."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, TypeVar

from statewright import ConcurrencyConflictError, Failure, StoreError, Success, WorkflowExecutor
from tests.engine.load_process import Mark, Tallies, router

from .tally import Recovery, Tally

T = TypeVar("T")

BOUND: Final = 12.0
"""Seconds after which a call is taken for one that never ends; the stores' own timeouts are far below."""
PATIENCE: Final = 60.0
_READS: Final = 0.1
"""How many of the calls are reads."""
_PAUSE: Final = 0.02
"""Seconds, on average, until a caller sends a command again."""


@dataclass(slots=True)
class Caller:
    """Sends one command after the other."""

    number: int
    executor: WorkflowExecutor[Tallies]
    chance: random.Random
    last_success: float = 0.0


@dataclass(slots=True)
class Crowd:
    """Callers on the same workflows, through executors of several stores.

    Args:
        stores: The stores; callers take them in turn.
        ids: The workflows.
        tally: To count in.
    """

    stores: Sequence[Any]
    ids: Sequence[str]
    tally: Tally
    acknowledged: dict[tuple[str, str], int] = field(default_factory=dict)
    """Version of each acknowledged command, by workflow and mark."""
    is_over: bool = False
    _latest: dict[str, int] = field(default_factory=dict)
    """The highest version of each workflow that was acknowledged."""
    _callers: list[Caller] = field(default_factory=list)
    _successes: list[float] = field(default_factory=list)
    """When each success was known."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, callers: int) -> None:
        """Call until `is_over`; what was begun is brought to its end."""
        executors = [WorkflowExecutor(router, store, retries=100) for store in self.stores]
        self._callers = [
            Caller(number, executors[number % len(executors)], random.Random(number)) for number in range(callers)
        ]
        await asyncio.gather(*map(self._call_on, self._callers))

    async def until(self, more: int) -> None:
        """Wait for so many more acknowledged commands."""
        wanted = self.tally.acked + more
        async with asyncio.timeout(PATIENCE):
            while self.tally.acked < wanted:
                await self._next()

    async def recovered(self, since: float) -> None:
        """Wait until every caller has had a success since a moment, and note how long that took."""
        async with asyncio.timeout(PATIENCE):
            while min(caller.last_success for caller in self._callers) < since:
                await self._next()
        first = self._successes[bisect_left(self._successes, since)]
        self.tally.recoveries.append(Recovery(first - since, monotonic() - since))

    async def _next(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _call_on(self, caller: Caller) -> None:
        turn = 0
        while not self.is_over:
            turn += 1
            id = caller.chance.choice(self.ids)
            if caller.chance.random() < _READS:
                await self._read(caller, id)
            else:
                await self._execute(caller, id, f"{caller.number}-{turn}")

    async def _execute(self, caller: Caller, id: str, mark: str) -> None:
        """Send a command until it is accepted."""
        self.tally.sent += 1
        while not await self._attempt(caller, id, mark):  # noqa: ASYNC110 - as long as it takes
            await asyncio.sleep(_PAUSE * 2 * caller.chance.random())

    async def _attempt(self, caller: Caller, id: str, mark: str) -> bool:
        self.tally.calls += 1
        result = await self._timed(caller.executor.execute(id, Mark(mark=mark), idempotency_key=mark))
        match result:
            case Success(version=version, replayed=replayed):
                self._succeed(caller, id, mark, version)
                self.tally.replayed += replayed
                return True
            case Failure(error=StoreError() | ConcurrencyConflictError() as error):
                self.tally.failures[type(error).__name__] += 1
            case Failure(error=error):
                self.tally.escaped[type(error).__name__] += 1
            case None:
                pass
        return False

    def _succeed(self, caller: Caller, id: str, mark: str, version: int) -> None:
        self.tally.acked += 1
        self.acknowledged[id, mark] = version
        self._latest[id] = max(version, self._latest.get(id, 0))
        caller.last_success = monotonic()
        self._successes.append(caller.last_success)
        self._changed.set()

    async def _read(self, caller: Caller, id: str) -> None:
        known = self._latest.get(id, 0)
        try:
            workflow = await self._timed(caller.executor.get(id))
        except StoreError as error:
            self.tally.failures[type(error).__name__] += 1
            return
        if workflow is not None:
            self.tally.stale += workflow.version < known

    async def _timed(self, call: Awaitable[T]) -> T | None:
        """Return what a call returns, or `None` if that is nothing that a caller may be left with."""
        began = monotonic()
        try:
            async with asyncio.timeout(BOUND):
                return await call
        except StoreError:
            raise  # from a read
        except Exception as exc:  # noqa: BLE001 - what escapes is what is looked for
            self.tally.escaped[type(exc).__name__] += 1
            return None
        finally:
            self.tally.longest = max(self.tally.longest, monotonic() - began)
