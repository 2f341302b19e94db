"""Many callers on two executors over the same data: what they see is linearizable, and broken variants are caught.

Each executor has a store object of its own, as another process would, and the stores take their time: when a load or a
save goes on is decided by a seed, so that every run is the same.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Self

import pytest

from statewright import (
    ConcurrencyConflictError,
    Failure,
    MemoryStore,
    NotFoundError,
    SaveOptions,
    StoredWorkflow,
    Success,
    WorkflowExecutor,
)
from statewright._engine.fold import Call
from statewright._engine.lane import Lane
from statewright.testing import Operation, check_linearizable
from tests.engine.counter import Add, Begin, Counter, Full, counters

IDS = ["a", "b"]
CALLERS = 8
CALLS = 25


class SlowStore(MemoryStore):
    """A view on shared data; loads and saves take a while, and are done at some moment of it."""

    is_cacheable = True

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance

    def view(self) -> Self:
        """Return another store object over the same data."""
        other = object.__new__(type(self))
        other.__dict__ = self.__dict__
        return other

    async def pause(self) -> None:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)

    async def load(self, id: str) -> StoredWorkflow | None:
        await self.pause()
        stored = await super().load(id)
        await self.pause()
        return stored

    def submit(self, options: SaveOptions) -> asyncio.Future[None]:
        return asyncio.ensure_future(self.save(options))

    async def save(self, options: SaveOptions) -> None:
        await self.pause()
        self._save(options)
        await self.pause()


class Unchecked(SlowStore):
    """Saves over whatever is there."""

    async def save(self, options: SaveOptions) -> None:
        await self.pause()
        row = self._rows.get(options.id)
        actual = 0 if row is None else row.current.version
        held = SaveOptions(options.id, options.snapshot, actual, options.commits)
        self._save(held)
        await self.pause()


class ReadsBeforeItWrites(SlowStore):
    """Compares the version and swaps in two steps, between which another one comes in."""

    async def save(self, options: SaveOptions) -> None:
        row = self._rows.get(options.id)
        actual = 0 if row is None else row.current.version
        if actual != options.expected_version:
            raise ConcurrencyConflictError(options.id, options.expected_version, actual)
        await asyncio.sleep(0)
        row = self._rows.get(options.id)
        actual = 0 if row is None else row.current.version
        self._save(SaveOptions(options.id, options.snapshot, actual, options.commits))


class Replica(SlowStore):
    """Answers loads from a copy that lags behind."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(chance)
        self.copies: dict[str, StoredWorkflow | None] = {}

    async def load(self, id: str) -> StoredWorkflow | None:
        if self.chance.random() < 0.3:
            self.copies[id] = await super().load(id)
        return self.copies.get(id)


class Hasty(SlowStore):
    """Says that a save is done when it has only been accepted."""

    def submit(self, options: SaveOptions) -> asyncio.Future[None]:
        saving = super().submit(options)
        saving.add_done_callback(lambda done: done.cancelled() or done.exception())
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class Caller:
    """Sends one command after the other, and writes down when and with what answer."""

    def __init__(self, executor: WorkflowExecutor[Counter], number: int, chance: random.Random) -> None:
        self.executor = executor
        self.number = number
        self.chance = chance
        self.seen: list[Operation] = []

    async def run(self, tick: Callable[[], int]) -> None:
        for call in range(CALLS):
            id = self.chance.choice(IDS)
            kind = self.chance.choices(["write", "read", "refused"], [6, 2, 2])[0]
            value = f"{self.number}-{call}"
            called = tick()
            what, version = await self.do(kind, id, value)
            if version is not None:
                note = value if what == "write" else None
                self.seen.append(Operation(what, id, called, tick(), version, value=note))

    async def do(self, kind: str, id: str, value: str) -> tuple[Any, int | None]:
        """Do it, and return what came of it: a write, a read or a refusal, and the version written or seen."""
        if kind == "read":
            workflow = await self.executor.get(id)
            return "read", 0 if workflow is None else workflow.version
        command = Add(n=101) if kind == "refused" else Add(n=0, note=value)  # beyond a hundred there is no room
        match await self.executor.execute(id, command):
            case Success(version=version):
                return "write", version
            case Failure(error=Full() as error):
                return "refused", seen_by(error)
            case Failure(error=NotFoundError()):
                return "refused", 0
            case Failure(error=ConcurrencyConflictError()):
                return "refused", None
            case failure:
                raise AssertionError(failure)


def seen_by(error: Full) -> int | None:
    """Return the version that a refusal was decided on, which middleware left on it."""
    return error.__dict__.get("_seen_version")


async def mark(ctx: Any, call_next: Any) -> Any:
    """Leave on each refusal the version that it was decided on."""
    result = await call_next()
    if not result.ok and isinstance(result.error, Full):
        result.error.__dict__["_seen_version"] = ctx.stored.version
    return result


async def run(make: Callable[[random.Random], SlowStore], seed: int) -> list[Operation]:
    """Let callers of two executors loose, and return what they saw."""
    chance = random.Random(seed)
    store = make(chance)
    executors = [WorkflowExecutor(counters(), each, retries=50).use(mark) for each in (store, store.view())]
    for id in IDS:
        assert (await executors[0].execute(id, Begin())).ok
    ticks = iter(range(10**9))
    callers = [Caller(executors[n % 2], n, random.Random(f"{seed}-{n}")) for n in range(CALLERS)]
    async with asyncio.timeout(30):
        await asyncio.gather(*(caller.run(lambda: next(ticks)) for caller in callers))
    return [operation for caller in callers for operation in caller.seen]


def violations(seen: list[Operation]) -> list[Any]:
    return check_linearizable(seen, initial=dict.fromkeys(IDS, 1))


@pytest.mark.parametrize("seed", range(25))
async def test_what_callers_see_is_linearizable(seed: int) -> None:
    """Writes, reads and refusals of two executors over the same data can all be put in one order."""
    seen = await run(SlowStore, seed)

    assert violations(seen) == []
    counts = {kind: sum(operation.kind == kind for operation in seen) for kind in ("write", "read", "refused")}
    assert counts["write"] >= 80
    assert min(counts["read"], counts["refused"]) >= 20


async def caught(make: Callable[[random.Random], SlowStore]) -> bool:
    for seed in range(6):
        if violations(await run(make, seed)):
            return True
    return False


@pytest.mark.parametrize("store", [Unchecked, ReadsBeforeItWrites, Replica, Hasty], ids=lambda each: each.__name__)
async def test_a_broken_store_is_caught(store: Any) -> None:
    """A store that loses updates, lags behind or acknowledges too early is found out."""
    assert await caught(store)


def answers_at_once(lane: Lane, call: Call, answer: Any) -> Any:
    """Refuse on whatever is remembered, without asking the store again, or waiting for what it rests on."""
    lane._running = None
    lane._continue()
    return answer


def ignores_lost_races(lane: Lane, fold: Any, conflict: Any) -> None:
    """Take a save that lost its race for one that won."""
    lane._acknowledge(fold)


@pytest.mark.parametrize(("name", "broken"), [("answer", answers_at_once), ("_lose", ignores_lost_races)])
async def test_a_broken_lane_is_caught(name: str, broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusing on what is remembered, or taking a lost race for a save, is found out."""
    monkeypatch.setattr(Lane, name, broken)

    assert await caught(SlowStore)
