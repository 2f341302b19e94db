"""Workers that are killed and paused at random: nothing is lost, doubled, early, or out of order."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from statewright import Commit, WorkflowExecutor
from tests.engine.worker_process import WorkerProcess
from tests.engine.workshop import (
    Begin,
    Ring,
    Sell,
    Set,
    Store,
    bell_router,
    booked,
    ledger_router,
    rung,
    shop_router,
)

pytest_plugins = ["tests.fixtures.stores"]

SOURCES = 70
COMMANDS = 10
EVENTS = 10
"""Deliveries: the product of these."""
BELLS = 100
TIMERS = 30
"""Timers: the product of these."""
SKEWS = (0.0, 300.0, -300.0)
"""How many seconds the clocks of the workers' machines are wrong: there are as many workers."""
LEASE = 1.0
LONGEST = 240.0
"""Seconds after which the test gives up."""


@dataclass
class Storm:
    """Worker processes, and what happens to them."""

    store: Store
    notes: Path
    seed: int
    workers: list[WorkerProcess] = field(default_factory=list)
    killed: int = 0
    paused: int = 0

    def begin(self) -> None:
        """Start the workers."""
        self.dice = random.Random(self.seed)
        self.workers = [self._worker(number) for number in range(len(SKEWS))]

    def _worker(self, number: int) -> WorkerProcess:
        return WorkerProcess(self.store, self.notes, lease=LEASE, skew=SKEWS[number])

    async def strike(self) -> None:
        """Kill a worker and start another one, or pause one past its lease."""
        await asyncio.sleep(self.dice.uniform(0.2, 0.6))
        number = self.dice.randrange(len(SKEWS))
        if self.dice.random() < 0.5:
            self.killed += 1
            await asyncio.to_thread(self.workers[number].kill)
            self.workers[number] = self._worker(number)
        else:
            self.paused += 1
            self.workers[number].pause()
            await asyncio.sleep(LEASE * self.dice.uniform(1.1, 1.6))
            self.workers[number].resume()

    async def end(self) -> None:
        """End all workers."""
        for worker in self.workers:
            with suppress(ProcessLookupError):
                await asyncio.to_thread(worker.end)


class Work:
    """What is to be done, and how much of it is done."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.shops: WorkflowExecutor[Any] = WorkflowExecutor(shop_router(), store)
        self.ledgers: WorkflowExecutor[Any] = WorkflowExecutor(ledger_router(), store)
        self.bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(), store)
        self.due: dict[tuple[str, str], datetime] = {}

    async def ask(self, seconds: float, dice: random.Random) -> None:
        """Sell everything and set all timers, due within some seconds."""
        await asyncio.gather(*(self._sell(f"s-{number}") for number in range(SOURCES)))
        await asyncio.gather(*(self._set(f"b-{number}", seconds, dice) for number in range(BELLS)))

    async def _sell(self, id: str) -> None:
        for first in range(0, COMMANDS * EVENTS, EVENTS):
            amounts = list(range(first, first + EVENTS))
            (await self.shops.execute(id, Sell(amounts=amounts, to=f"l-{id}"))).unwrap()

    async def _set(self, id: str, seconds: float, dice: random.Random) -> None:
        (await self.bells.execute(id, Begin())).unwrap()
        for number in range(TIMERS):
            at = datetime.now(UTC) + timedelta(seconds=dice.uniform(0, seconds))
            self.due[id, str(number)] = at
            ring = Ring(name=str(number))
            (await self.bells.execute(id, Set(at=at, key=str(number), ring=ring))).unwrap()

    async def is_done(self) -> bool:
        """Return whether everything has come to its end."""
        if await self.store.until_next_due(["bell"]) is not None:
            return False
        return all(status.lag == 0 and status.undelivered == 0 for status in await self.store.readers())


def inversions(published: Iterable[tuple[str, int]]) -> int:
    """Return how many commits were published for the first time after a later one of their workflow."""
    seen: dict[str, set[int]] = defaultdict(set)
    found = 0
    for id, version in published:
        if version not in seen[id]:
            found += any(other > version for other in seen[id])
            seen[id].add(version)
    return found


@pytest.mark.slow
async def test_killed_and_paused_at_random(make_store: Any, tmp_path: Path, record_property: Any) -> None:
    """Workers die, sleep and have wrong clocks: ten thousand deliveries and timers act once each, in time, in order."""
    seed = random.randrange(2**32)
    record_property("seed", seed)
    async with make_store() as store:
        work, storm = Work(store), Storm(store, tmp_path / "notes", seed)
        await work.ask(15.0, random.Random(seed))
        storm.begin()
        began = time.monotonic()
        try:
            async with asyncio.timeout(LONGEST):
                while not await work.is_done():
                    await storm.strike()
        finally:
            await storm.end()
        took = time.monotonic() - began

        amounts = list(range(COMMANDS * EVENTS))
        for number in range(SOURCES):
            # One list says it all: nothing lost, nothing twice, nothing out of order.
            assert await booked(work.ledgers, f"l-s-{number}") == amounts, f"seed {seed}"
        names = sorted(map(str, range(TIMERS)))
        for number in range(BELLS):
            assert sorted(await rung(work.bells, f"b-{number}")) == names, f"seed {seed}"
        assert await store.dead_letters() == []
        report = await _read(storm, work)
        assert (report["inversions"], report["early"]) == (0, 0), f"seed {seed}"
        record_property("report", report)
        print(f"\n{report} in {took:.1f} s, killed {storm.killed}, paused {storm.paused}, seed {seed}")  # noqa: T201


async def _read(storm: Storm, work: Work) -> dict[str, Any]:
    lines = [line.split() for line in storm.notes.read_text().splitlines()]
    published = [(line[1], int(line[2])) for line in lines if line[0] == "published"]
    attempts = Counter(tuple(line[1:4]) for line in lines if line[0] == "attempted")
    commits = await work.store.commits(limit=100_000)
    assert set(published) == {(commit.workflow_id, commit.version) for commit in commits}
    for id, times in _times(commits).items():
        assert times == sorted(times), f"the times of {id} go back"
    return {
        "deliveries and timers": len(attempts),
        "attempted again": f"{sum(attempts.values()) / len(attempts) - 1:.2%}",
        "published again": f"{len(published) / len(commits) - 1:.2%}",
        "inversions": inversions(published),
        "early": early(work.due, [line[2:] for line in lines if line[:2] == ["attempted", "Ring"]]),
        "refused for a lost lease": sum(line == ["failed", "LeaseLostError"] for line in lines),
    }


def early(due: Mapping[tuple[str, str], datetime], attempts: Iterable[Sequence[str]]) -> int:
    """Return how many timers were begun before their time, by a clock that is right."""
    return sum(float(moment) < due[id, name].timestamp() for id, name, moment in attempts)


def _times(commits: Iterable[Commit]) -> dict[str, list[datetime]]:
    times: dict[str, list[datetime]] = defaultdict(list)
    for commit in commits:
        times[commit.workflow_id].append(commit.recorded_at)
    return times


def test_the_count_of_early_timers_counts() -> None:
    """What was begun before its moment is early, whatever the clock of the machine that did it says."""
    due = {("b-1", "one"): datetime.fromtimestamp(1000.0, UTC)}
    assert early(due, [("b-1", "one", "1000.0"), ("b-1", "one", "1000.5")]) == 0
    assert early(due, [("b-1", "one", "999.9")]) == 1


def test_the_count_of_inversions_counts() -> None:
    """What is published first after a later version is an inversion; a repetition is none."""
    assert inversions([("a", 1), ("b", 1), ("a", 2), ("a", 1), ("a", 2), ("a", 3)]) == 0
    assert inversions([("a", 1), ("a", 3), ("a", 2), ("a", 3)]) == 1
