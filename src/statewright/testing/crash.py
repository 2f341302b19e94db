"""Every point at which a scenario can be cut off by its store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar, get_args

from .._engine.ports import StoreAdapter
from .faulty import FaultKind, FaultyCall, FaultyStore

StoreT = TypeVar("StoreT", bound=StoreAdapter)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """One call of a scenario, and how it fails."""

    on: FaultyCall
    call: int
    how: FaultKind

    def __str__(self) -> str:
        return f"{self.on} {self.call}, {self.how}"


@dataclass(frozen=True, slots=True)
class CrashRun(Generic[StoreT, ResultT]):
    """What one run of a scenario left behind."""

    point: CrashPoint | None
    """Where it was cut off; `None` for the run without a fault."""
    store: StoreT
    """The store beneath the faults."""
    result: ResultT | None
    """What the scenario returned; `None` if it did not come to its end."""
    error: Exception | None
    """What the scenario raised, if it did. A scenario that hung was cancelled, which is no error."""


async def crash_points(
    scenario: Callable[[FaultyStore], Awaitable[ResultT]], make_store: Callable[[], StoreT]
) -> AsyncGenerator[CrashRun[StoreT, ResultT], None]:
    """Walk every crash point of a scenario: the first run has no fault, then each call fails in each way.

    A call that hangs never gets through, and the scenario is cancelled while it waits, as if its process had been
    killed. What must hold afterwards is yours to say:

    ```python
    async for run in crash_points(scenario, MemoryStore):
        order = await WorkflowExecutor(router, run.store).get("order-1")
        assert order is None or order.data.items == ["tea"], run.point
    ```

    Args:
        scenario: Does the same on each store that it is given.
        make_store: Gives a new, empty store. One that is an async context manager is opened for its run.

    Raises:
        RuntimeError: A run did not come to its crash point: the scenario does not do the same each time.
    """
    async with _run(scenario, make_store(), None) as (run, calls):
        yield run
    for point in _points(calls):
        async with _run(scenario, make_store(), point) as (run, _):
            yield run


def _points(calls: Mapping[FaultyCall, int]) -> list[CrashPoint]:
    return [
        CrashPoint(on, call, how)
        for on, count in calls.items()
        for call in range(1, count + 1)
        for how in get_args(FaultKind)
    ]


@asynccontextmanager
async def _run(
    scenario: Callable[[FaultyStore], Awaitable[ResultT]], store: StoreT, point: CrashPoint | None
) -> AsyncGenerator[tuple[CrashRun[StoreT, ResultT], Mapping[FaultyCall, int]]]:
    faulty = FaultyStore(store)
    if point is not None:
        faulty.fail(point.call, on=point.on, how=point.how)
    async with faulty:
        result, error = await _until_cut_off(scenario, faulty)
        if point is not None and faulty.calls[point.on] < point.call:
            raise RuntimeError(f"the scenario came to its end before {point}: it does not do the same each time")
        yield CrashRun(point, store, result, error), dict(faulty.calls)


async def _until_cut_off(
    scenario: Callable[[FaultyStore], Awaitable[ResultT]], faulty: FaultyStore
) -> tuple[ResultT | None, Exception | None]:
    """Run a scenario to its end, or until one of its calls hangs, and kill it there."""
    running = asyncio.ensure_future(scenario(faulty))
    hanging = asyncio.ensure_future(faulty.until_hanging())
    try:
        await asyncio.wait({running, hanging}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hanging.cancel()
        cut_off = not running.done()
        running.cancel()
        await asyncio.wait({running})
        await faulty.crash()
    if cut_off and running.cancelled():
        return None, None
    error = running.exception()
    if error is None:
        return running.result(), None
    if isinstance(error, Exception):
        return None, error
    raise error
