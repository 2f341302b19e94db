"""Watching a worker: what it does, and how far it is behind, for whoever wants to hear of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from statewright import MemoryStore, RoleStatus, Worker, WorkflowExecutor
from statewright.errors import DefinitionError, StoreUnavailableError
from statewright.testing import ManualClock
from tests.engine.workshop import (
    ZERO,
    Begin,
    Paper,
    Ring,
    Sell,
    Set,
    Store,
    bell_router,
    booked,
    booking,
    ledger_router,
    rung,
    shop_router,
)

pytest_plugins = ["tests.fixtures.stores"]

HOUR = timedelta(hours=1)
SOON = timedelta(milliseconds=10)
NOBODY: list[RoleStatus] = []


class Town:
    """All three workflows over a store, a worker, and what its observer was told."""

    def __init__(self, store: Store, **facts: Any) -> None:
        self.store = store
        self.shops: WorkflowExecutor[Any] = WorkflowExecutor(shop_router(), store)
        self.ledgers: WorkflowExecutor[Any] = WorkflowExecutor(ledger_router(), store)
        self.bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(), store)
        self.paper = Paper()
        self.told: list[list[RoleStatus]] = []
        usual: dict[str, Any] = {"start": 0, "backoff": HOUR, "reactors": booking(), "publishers": [self.paper]}
        self.worker = Worker(store, [self.shops, self.ledgers, self.bells], **usual | facts)
        self.worker.observe(self.hear, every=SOON)

    def hear(self, statuses: Sequence[RoleStatus]) -> None:
        """Write down what is told."""
        self.told.append(list(statuses))

    def of(self, role: str, telling: int = -2) -> RoleStatus:
        """Return what was told of a role, at last before the end."""
        return next(status for status in self.told[telling] if status.role == role)

    async def sell(self, *amounts: int, at: str = "s-1") -> None:
        """Sell so much, with one command."""
        (await self.shops.execute(at, Sell(amounts=list(amounts)))).unwrap()


async def test_what_was_done(store: Store) -> None:
    """An observer is told how many timers, deliveries and publications there were, each once, and that all is done."""
    town = Town(store)
    await town.sell(1, 2, 3)
    (await town.bells.execute("b-1", Begin())).unwrap()
    (await town.bells.execute("b-1", Set(delay=ZERO, ring=Ring(name="one")))).unwrap()
    (await town.bells.execute("b-1", Set(delay=ZERO, key="refused", ring=Ring(is_refused=True)))).unwrap()

    await town.worker.run_until_idle()

    assert (await rung(town.bells), await booked(town.ledgers)) == (["one"], [1, 2, 3])
    done = {status.role: status.acted for status in town.told[0]}
    sums = {"timers:shop": 0, "timers:ledger": 0, "timers:bell": 1, "reactor:book": 3}
    assert done == sums | {"publisher:paper": len(town.paper.printed)}
    assert {(status.lag, status.undelivered, status.late) for status in town.told[0]} == {(0, 0, ZERO)}
    assert town.told[1:] == [NOBODY]

    await town.worker.run_until_idle()
    assert {status.acted for status in town.told[2]} == {0}


async def test_how_far_it_is_behind(store: Store) -> None:
    """What cannot be published or delivered shows as a lag, in commits, commands and time."""
    town = Town(store)
    town.paper.failures = 1000
    await town.sell(1, 1000, 2)
    await town.sell(3)

    await town.worker.run_until_idle()

    publishing, delivering = town.of("publisher:paper"), town.of("reactor:book")
    assert (publishing.acted, publishing.lag) == (0, 3)
    assert ZERO < publishing.late < timedelta(minutes=1)
    assert (delivering.acted, delivering.lag, delivering.undelivered, delivering.late) == (1, 0, 3, ZERO)


async def test_timers_that_are_late() -> None:
    """Timers that wait for a dependency show how many are due, and for how long."""
    clock, store = ManualClock(), MemoryStore()
    bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(clock=clock), store)
    told: list[Sequence[RoleStatus]] = []
    worker = Worker(store, [bells], clock=clock).observe(told.append)
    for id in ("b-1", "b-2"):
        (await bells.execute(id, Begin())).unwrap()
        (await bells.execute(id, Set(delay=HOUR))).unwrap()
    await store.acquire_leases(["timers:bell"], "another", HOUR)
    worker._acted("timers:bell", 5)  # as if it had held the role until now
    clock.advance(3 * HOUR)

    await worker.run_until_idle()

    assert list(told[0]) == [RoleStatus(role="timers:bell", acted=5, lag=2, undelivered=0, late=2 * HOUR)]


async def test_roles_of_others_are_not_told(store: Store) -> None:
    """Of many workers, each tells of the roles that it holds, so that nothing is counted twice."""
    town = Town(store)
    await store.acquire_leases(["reactor:book"], "another", HOUR)
    await town.worker.run_until_idle()

    assert {status.role for status in town.told[0]} == set(town.worker.roles) - {"reactor:book"}


async def test_while_it_runs(store: Store) -> None:
    """A worker that runs tells again and again, and when it has stopped that it holds nothing."""
    town = Town(store)
    working = asyncio.create_task(town.worker.run())
    await town.sell(1)
    async with asyncio.timeout(30):
        while sum(status.acted for told in town.told for status in told if status.role == "reactor:book") < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        before = len(town.told)
        while len(town.told) < before + 2:  # noqa: ASYNC110 - the worker is the clock
            await asyncio.sleep(0.005)
    working.cancel()
    await asyncio.wait([working])

    assert town.told[-1] == NOBODY
    assert all(told for told in town.told[:-1])
    assert sum(status.acted for told in town.told for status in told if status.role == "reactor:book") == 1


async def test_observers_change_nothing(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """One that raises is logged, and so is a store that cannot be asked; the worker works on."""
    town = Town(store)

    def complain(statuses: Sequence[RoleStatus]) -> None:
        raise ZeroDivisionError

    town.worker.observe(complain)
    await town.sell(1)
    await town.worker.run_until_idle()
    assert await booked(town.ledgers) == [1]
    assert [record.getMessage() for record in caplog.records] == ["observer failed"] * 2

    async def readers() -> list[Any]:
        raise StoreUnavailableError

    store.readers = readers
    await town.sell(2)
    caplog.set_level(logging.WARNING)
    await town.worker.run_until_idle()
    assert await booked(town.ledgers) == [1, 2]
    assert "a worker could not be watched" in caplog.messages


def test_observers_that_are_none() -> None:
    """What cannot be called, or would have to be awaited, is refused, and so is a pause that is none."""

    async def later(statuses: Sequence[RoleStatus]) -> None: ...

    worker = Worker(MemoryStore())
    for observer in (None, later, 7):
        with pytest.raises(DefinitionError, match="synchronous function"):
            worker.observe(observer)
    with pytest.raises(DefinitionError, match="every"):
        worker.observe(print, every=ZERO)


async def test_a_lag_is_never_negative() -> None:
    """Where the machine's clock is behind that of the commits, nothing is late before its time."""
    store = MemoryStore()
    ahead = ManualClock(datetime.now(UTC) + HOUR)
    shops: WorkflowExecutor[Any] = WorkflowExecutor(shop_router(), store)
    shops.router._clock = ahead
    told: list[Sequence[RoleStatus]] = []
    paper = Paper(failures=1)
    worker = Worker(store, [shops], publishers=[paper], start=0, backoff=HOUR).observe(told.append)
    (await shops.execute("s-1", Sell(amounts=[1]))).unwrap()

    await worker.run_until_idle()

    assert [(status.lag, status.late) for status in told[0] if status.role == "publisher:paper"] == [(1, ZERO)]


async def test_what_could_not_be_told_is_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store fails in the middle of a report, nothing that was done is left out of the next one."""
    store = MemoryStore()
    town = Town(store)
    await town.sell(1, 2)
    await town.worker.run_until_idle()
    watch, asked = town.worker._watches[0], store.due_timers
    town.worker._acted("reactor:book", 5)

    async def fails(*_: Any, **__: Any) -> Any:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(store, "due_timers", fails)
    await watch.tell(["timers:bell"])
    monkeypatch.setattr(store, "due_timers", asked)
    await watch.tell(["timers:bell"])
    await watch.tell(["reactor:book"])

    assert [town.of("reactor:book", telling).acted for telling in (-2, -1)] == [5, 0]
