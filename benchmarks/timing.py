"""Measurement loops: one caller, a crowd of tasks, a crowd of threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

CHUNK = 32
"""Operations between two looks at the clock, where one operation takes microseconds."""
WARM_UP = 0.25
"""Part of the measured time that is spent before it, unmeasured."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run in a process of its own found."""

    value: float
    """In the scenario's unit."""
    facts: dict[str, float] = field(default_factory=dict)
    """Whatever else was seen: latencies in milliseconds, retries per success, ..."""

    def to_dict(self) -> dict[str, Any]:
        """Return the measurement as JSON-safe data."""
        return asdict(self)


def repeat(step: Callable[[int], object], seconds: float, *, chunk: int = CHUNK) -> Measurement:
    """Call `step` with 0, 1, 2, ... for about so many seconds; return calls per second."""
    count = 0
    for duration in (seconds * WARM_UP, seconds):
        first, started = count, perf_counter()
        while perf_counter() - started < duration:
            for _ in range(chunk):
                step(count)
                count += 1
        elapsed = perf_counter() - started
    return Measurement((count - first) / elapsed, {"calls": count})


async def repeat_async(step: Callable[[int], Awaitable[object]], seconds: float, *, chunk: int = CHUNK) -> Measurement:
    """As `repeat`, but await each call before the next."""
    count = 0
    for duration in (seconds * WARM_UP, seconds):
        first, started = count, perf_counter()
        while perf_counter() - started < duration:
            for _ in range(chunk):
                await step(count)
                count += 1
        elapsed = perf_counter() - started
    return Measurement((count - first) / elapsed, {"calls": count})


@dataclass(slots=True)
class _Window:
    """Counts what a crowd finished between two moments."""

    latencies: list[float] = field(default_factory=list)
    """Of every finished call, in the order in which they finished. Appending is atomic under the GIL."""
    is_open: bool = True

    def measure(self, first: int, last: int, elapsed: float) -> Measurement:
        seen = sorted(self.latencies[first:last])
        facts: dict[str, float] = {"calls": len(self.latencies)}
        if seen:
            middle, late = seen[len(seen) // 2], seen[len(seen) * 99 // 100]
            facts |= {"p50_ms": middle * 1e3, "p99_ms": late * 1e3}
        return Measurement(len(seen) / elapsed, facts)


async def crowd(step: Callable[[int, int], Awaitable[object]], callers: int, seconds: float) -> Measurement:
    """Let so many tasks call `step(caller, turn)`, each one call at a time; return calls per second of all."""
    window = _Window()

    async def call(caller: int) -> None:
        turn = 0
        while window.is_open:
            started = perf_counter()
            await step(caller, turn)
            window.latencies.append(perf_counter() - started)
            turn += 1

    async with asyncio.TaskGroup() as group:
        for caller in range(callers):
            group.create_task(call(caller))
        await asyncio.sleep(seconds * WARM_UP)
        first, opened = len(window.latencies), perf_counter()
        await asyncio.sleep(seconds)
        elapsed, last = perf_counter() - opened, len(window.latencies)
        window.is_open = False
    return window.measure(first, last, elapsed)


def crowd_of_threads(step: Callable[[int, int], object], callers: int, seconds: float) -> Measurement:
    """As `crowd`, with threads, for what cannot be awaited."""
    window, failures = _Window(), []

    def call(caller: int) -> None:
        turn = 0
        try:
            while window.is_open:
                started = perf_counter()
                step(caller, turn)
                window.latencies.append(perf_counter() - started)
                turn += 1
        except BaseException as error:  # noqa: BLE001 - told to the main thread, which raises it
            failures.append(error)

    threads = [threading.Thread(target=call, args=(caller,), daemon=True) for caller in range(callers)]
    for thread in threads:
        thread.start()
    pause = threading.Event()
    pause.wait(seconds * WARM_UP)
    first, opened = len(window.latencies), perf_counter()
    pause.wait(seconds)
    elapsed, last = perf_counter() - opened, len(window.latencies)
    window.is_open = False
    for thread in threads:
        thread.join(timeout=60)
    if failures:
        raise failures[0]
    return window.measure(first, last, elapsed)
