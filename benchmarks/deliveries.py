"""Measurement of what follows from commits: how many deliveries per second, and how long after the commit each came.

First a backlog is worked off by worker processes, then events are committed one after the other at a steady pace, which
everybody can keep, and each is followed until its effect is committed. Moments are read from the clock that all
processes of a machine share.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import Any, Protocol, TypeAlias

from .setting import Setting
from .timing import WARM_UP, Measurement

PACE = 100
"""Events per second while the lag is measured."""
PACED = 2.0
"""For how many times the measured seconds."""
SETTLING = 1.2
"""Seconds of that pace before: whoever commits has to learn that somebody listens."""
PATIENCE = 120.0
"""Seconds until deliveries that do not come are taken for lost."""
_LOOK = 0.005

_spawning = multiprocessing.get_context("spawn")


class Source(Protocol):
    """Where events are committed."""

    def fill(self, numbers: range) -> None:
        """Commit the events of a backlog, as fast as it goes."""
        ...

    def commit(self, number: int) -> None:
        """Commit one event; it is durable afterwards."""
        ...

    def check(self, count: int) -> None:
        """Look at what is stored.

        Raises:
            RuntimeError: An event has not had its effect, or has had it twice, or before an earlier one.
        """
        ...


class Log:
    """What one worker process delivered, and when."""

    def __init__(self, counter: Any) -> None:
        self._counter = counter
        self.stamps: list[tuple[int, float]] = []

    def note(self, number: int) -> None:
        """Note that the effect of an event has just been committed."""
        self.stamps.append((number, time.monotonic()))
        self._counter.value = len(self.stamps)


Serve: TypeAlias = Callable[[Setting, Log, Event], None]
"""What a worker process does, until the event is set."""


def measure(
    setting: Setting, source: AbstractContextManager[Source], serve: Serve, *, workers: int, backlog: float
) -> Measurement:
    """Return deliveries per second, with the lag among the facts.

    Args:
        setting: Of the run.
        source: Opened before the workers start.
        serve: What each of them does.
        workers: How many processes.
        backlog: Events to be worked off, for each measured second: about as many as can be.
    """
    waiting = max(100, round(backlog * setting.seconds))
    settling, paced = round(PACE * SETTLING), max(50, round(PACE * setting.seconds * PACED))
    with source as events:
        events.fill(range(waiting))
        crew = _Crew(setting, serve, workers)
        try:
            crew.wait_until(waiting)
            committed = _commit_at_pace(events, range(waiting, waiting + settling + paced))
            crew.wait_until(waiting + settling + paced)
        finally:
            stamps = crew.stop()
        events.check(waiting + settling + paced)
    return _figures(stamps, committed, waiting, paced)


def _commit_at_pace(events: Source, numbers: range) -> dict[int, float]:
    """Commit events at a steady pace; return the moment at which each was acknowledged."""
    committed: dict[int, float] = {}
    began = time.monotonic()
    for place, number in enumerate(numbers):
        time.sleep(max(0.0, began + place / PACE - time.monotonic()))
        events.commit(number)
        committed[number] = time.monotonic()
    return committed


def _figures(stamps: list[tuple[int, float]], committed: dict[int, float], waiting: int, paced: int) -> Measurement:
    if sorted(number for number, _ in stamps) != list(range(waiting + len(committed))):
        raise RuntimeError(f"{waiting + len(committed)} events had {len(stamps)} effects, and not one each")
    moments = sorted(moment for number, moment in stamps if number < waiting)
    first = round(waiting * WARM_UP)
    rate = (waiting - 1 - first) / (moments[-1] - moments[first])
    measured = waiting + len(committed) - paced
    lags = sorted(moment - committed[number] for number, moment in stamps if number >= measured)
    # A delivery may be committed before the one who committed the event has heard of it.
    middle, late = (max(0.0, lags[len(lags) * part // 100]) for part in (50, 99))
    return Measurement(rate, {"deliveries": len(stamps), "p50_ms": middle * 1e3, "p99_ms": late * 1e3})


class _Crew:
    """The worker processes of a run."""

    def __init__(self, setting: Setting, serve: Serve, workers: int) -> None:
        self._stop = _spawning.Event()
        self._counters = [_spawning.Value("q", 0, lock=False) for _ in range(workers)]
        self._ends: list[Connection] = []
        self._workers: list[Any] = []
        for counter in self._counters:
            ours, theirs = _spawning.Pipe(duplex=False)
            worker = _spawning.Process(target=_work, args=(setting, serve, counter, self._stop, theirs), daemon=True)
            worker.start()
            theirs.close()
            self._ends.append(ours)
            self._workers.append(worker)

    def wait_until(self, count: int) -> None:
        """Wait until so many deliveries are committed.

        Raises:
            RuntimeError: A worker has ended, or it takes too long.
        """
        deadline = time.monotonic() + PATIENCE
        while (seen := sum(counter.value for counter in self._counters)) < count:
            if any(not worker.is_alive() for worker in self._workers):
                raise RuntimeError(f"a worker ended after {seen} of {count} deliveries")
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {seen} of {count} deliveries in {PATIENCE:g} s")
            time.sleep(_LOOK)

    def stop(self) -> list[tuple[int, float]]:
        """Let the workers come to an end, and return what all of them noted."""
        self._stop.set()
        stamps: list[tuple[int, float]] = []
        for end, worker in zip(self._ends, self._workers, strict=True):
            if end.poll(PATIENCE):
                try:
                    stamps += end.recv()
                except EOFError:
                    pass  # it has ended with an error, which it has printed
            worker.join(PATIENCE)
        return stamps


def _work(setting: Setting, serve: Serve, counter: Any, stop: Event, end: Connection) -> None:
    log = Log(counter)
    serve(setting, log, stop)
    end.send(log.stamps)
    end.close()
