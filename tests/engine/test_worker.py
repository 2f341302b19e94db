"""Workers: who may act, what wakes them, how they stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from statewright import Commit, MemoryStore, Worker, WorkflowExecutor
from statewright.errors import DefinitionError
from statewright.stores.sqlite import SQLiteStore
from statewright.testing import FaultyStore
from tests.engine.worker_process import STOP, WorkerProcess
from tests.engine.workshop import (
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

PATIENCE = 30.0
HOUR = timedelta(hours=1)
SOON = timedelta(milliseconds=20)


class Town:
    """All three workflows over a store."""

    def __init__(self, store: Store, **facts: Any) -> None:
        self.store = store
        self.shops: WorkflowExecutor[Any] = WorkflowExecutor(shop_router(), store)
        self.ledgers: WorkflowExecutor[Any] = WorkflowExecutor(ledger_router(), store)
        self.bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(), store)
        self.paper = Paper()
        usual: dict[str, Any] = {"start": 0, "lease": timedelta(seconds=1), "poll": SOON}
        executors = [self.shops, self.ledgers, self.bells]
        self.worker = Worker(store, executors, reactors=booking(), publishers=[self.paper], **usual | facts)

    async def sell(self, *amounts: int, at: str = "s-1") -> Any:
        """Sell so much, with one command."""
        return (await self.shops.execute(at, Sell(amounts=list(amounts)))).unwrap()

    async def until_booked(self, *amounts: int) -> None:
        """Wait until exactly this is booked."""
        async with asyncio.timeout(PATIENCE):
            while await booked(self.ledgers) != list(amounts):  # noqa: ASYNC110 - the worker is the clock
                await asyncio.sleep(0.005)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[asyncio.Task[None]]:
        """Let the worker run for the length of a block."""
        task = asyncio.create_task(self.worker.run())
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


# --- running and stopping --------------------------------------------------------------------------------------------


async def test_it_is_woken_by_a_save(store: Store) -> None:
    """A worker that sleeps is woken by what is saved, long before it would look by itself."""
    town = Town(store, poll=HOUR, lease=HOUR)
    async with town.working():
        await town.sell(1)
        await town.until_booked(1)
        await asyncio.sleep(0.05)
        await town.sell(2)
        await town.until_booked(1, 2)


async def test_it_sleeps_until_a_timer_is_due(store: Store) -> None:
    """A worker that sleeps wakes up for the next timer by itself, also for one that is set meanwhile."""
    town = Town(store, poll=HOUR, lease=HOUR)
    async with town.working():
        (await town.bells.execute("b-1", Begin())).unwrap()
        (await town.bells.execute("b-1", Set(delay=timedelta(milliseconds=60), key="a"))).unwrap()
        (await town.bells.execute("b-1", Set(delay=timedelta(milliseconds=30), key="b", ring=Ring(name="b")))).unwrap()
        async with asyncio.timeout(PATIENCE):
            while sorted(await rung(town.bells)) != ["b", "bell"]:  # noqa: ASYNC110 - the worker is the clock
                await asyncio.sleep(0.005)


async def test_it_hears_other_processes(make_store: Any) -> None:
    """What another process saves is noticed, at the latest with the next poll."""
    async with make_store() as ours, make_store() as theirs:
        town = Town(ours)
        async with town.working():
            await Town(theirs).sell(1)
            await town.until_booked(1)


async def test_it_stops_cleanly(store: Store) -> None:
    """A worker that is cancelled finishes what is under way, and gives its leases back at once."""
    town = Town(store, lease=HOUR)
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slowly(ctx: Any, call_next: Any) -> Any:
        begun.set()
        await may_end.wait()
        return await call_next()

    town.ledgers.use(slowly)
    await town.sell(1)
    task = asyncio.create_task(town.worker.run())
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await booked(town.ledgers) == [1]
    assert await store.due_deliveries("reactor:book") == []
    assert len(await store.acquire_leases(["reactor:book", "timers:bell"], "another", HOUR)) == 2


async def test_a_store_that_fails_is_waited_for(store: Store) -> None:
    """A worker whose store fails goes on when the store is back."""
    faulty = FaultyStore(store)
    town = Town(faulty)
    for call in range(2, 6):
        faulty.fail(call)
    async with town.working():
        await town.sell(1)
        await town.until_booked(1)
    assert await store.dead_letters() == []


async def test_a_definition_error_ends_it(store: Store) -> None:
    """A worker that was not told where to begin says so, and does not run."""
    await Town(store).sell(1)

    with pytest.raises(DefinitionError, match="start=0"):
        await Town(store, start=None).worker.run()


# --- leases ----------------------------------------------------------------------------------------------------------


async def test_roles_of_another_worker_are_left_to_it(store: Store) -> None:
    """What another worker holds is not touched, and is taken over when that one gives it back."""
    town = Town(store)
    await town.sell(1)
    held = await store.acquire_leases(["reactor:book", "publisher:paper"], "another", HOUR)

    await town.worker.run_until_idle()
    assert await booked(town.ledgers) == []
    assert town.paper.printed == []

    await store.release_leases(held)
    await town.worker.run_until_idle()
    assert await booked(town.ledgers) == [1]


async def test_a_lease_that_has_run_out_is_taken_over(store: Store) -> None:
    """A worker takes over from one that has fallen silent."""
    town = Town(store)
    await town.sell(1)
    await store.acquire_leases(["reactor:book"], "silent", timedelta(milliseconds=50))

    async with town.working():
        await town.until_booked(1)


@pytest.mark.slow
async def test_leases_are_renewed(store: Store) -> None:
    """While a worker runs, nobody gets its roles, however long it runs."""
    town = Town(store, lease=timedelta(seconds=2))
    async with town.working():
        await town.sell(1)
        await town.until_booked(1)
        for _ in range(30):
            assert await store.acquire_leases(["reactor:book"], "another", HOUR) == []
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("call", ["commits", "due_timers", "due_deliveries", "wait_for_change", "acquire_leases"])
async def test_a_store_call_that_is_cancelled_by_nobody(
    store: Store, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the store's driver cancels a call by itself, the worker goes on."""
    town, failures = Town(store), 2
    asked = getattr(store, call)

    async def fails(*args: Any, **options: Any) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise asyncio.CancelledError
        return await asked(*args, **options)

    monkeypatch.setattr(store, call, fails)
    async with town.working() as working:
        await town.sell(1)
        await town.until_booked(1)
        assert failures == 0
        assert not working.done()


async def test_metadata_of_a_delivery_cannot_be_changed(store: Store) -> None:
    """A handler that a worker calls is given metadata to read, as any other."""
    town, caught = Town(store), list[Exception]()

    async def scribbles(ctx: Any, call_next: Any) -> Any:
        try:
            ctx.metadata["note"] = "mine"
        except TypeError as error:
            caught.append(error)
        return await call_next()

    town.ledgers.router.use(scribbles)
    await town.sell(1)
    await town.worker.run_until_idle()

    assert await booked(town.ledgers) == [1]
    assert len(caught) == 1
    [*_, last] = await town.ledgers.history("l-1") or await store.commits()
    assert "note" not in last.metadata


async def test_two_workers_divide_nothing_and_double_nothing(make_store: Any) -> None:
    """Two workers that run at once deliver everything once, in order."""
    async with make_store() as one, make_store() as two:
        towns = [Town(one), Town(two)]
        async with towns[0].working(), towns[1].working():
            for amount in range(30):
                await towns[amount % 2].sell(amount)
            await towns[0].until_booked(*range(30))


@pytest.mark.slow
@pytest.mark.parametrize("skew", [timedelta(minutes=5), timedelta(minutes=-5)], ids=["ahead", "behind"])
async def test_a_clock_that_is_wrong(make_store: Any, skew: timedelta) -> None:
    """A worker whose machine's clock is five minutes wrong changes nothing: no loss, nothing twice, early or late."""
    async with make_store() as right, make_store() as wrong:
        towns = [Town(right), Town(wrong)]
        routers: list[Any] = [executor.router for executor in (towns[1].shops, towns[1].ledgers, towns[1].bells)]
        for router in routers:
            router._now = lambda: datetime.now(UTC) + skew  # the machine's present; the router has no clock of its own
        bells = list(zip(("b-1", "b-2"), towns, strict=True))
        for id, town in bells:
            (await town.bells.execute(id, Begin())).unwrap()
            (await town.bells.execute(id, Set(delay=timedelta(minutes=4)))).unwrap()
            (await town.bells.execute(id, Set(delay=timedelta(), key="now", ring=Ring(name="now")))).unwrap()
        async with towns[0].working(), towns[1].working():
            for amount in range(10):
                await towns[amount % 2].sell(amount)
            await towns[0].until_booked(*range(10))
            async with asyncio.timeout(PATIENCE):
                while [await rung(town.bells, id) for id, town in bells] != [["now"], ["now"]]:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        until = await right.until_next_due(["bell"])

        assert timedelta(minutes=3) < until <= timedelta(minutes=4)
        assert [await rung(towns[0].bells, id) for id, _ in bells] == [["now"], ["now"]]


async def test_leases_by_clocks_that_disagree(tmp_path: Path) -> None:
    """Workers whose stores' own clocks differ take leases from each other, and still do nothing twice."""
    path = tmp_path / "town.db"
    async with (
        SQLiteStore(path) as right,
        SQLiteStore(path, clock=lambda: datetime.now(UTC) + timedelta(minutes=5)) as fast,
    ):
        towns = [Town(right), Town(fast)]
        async with towns[0].working(), towns[1].working():
            for amount in range(30):
                await towns[amount % 2].sell(amount)
            await towns[0].until_booked(*range(30))
        assert await right.dead_letters() == []


# --- processes -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("what", ["delivery", "timer"])
async def test_a_paused_worker_that_wakes_up_late(make_store: Any, tmp_path: Path, what: str) -> None:
    """A process that is stopped between decision and save, and goes on when its lease has passed, saves nothing."""
    notes = tmp_path / "notes"
    async with make_store() as store:
        town = Town(store)
        if what == "delivery":
            await town.sell(STOP)
        else:
            (await town.bells.execute("b-1", Begin())).unwrap()
            (await town.bells.execute("b-1", Set(delay=timedelta(), ring=Ring(name=str(STOP))))).unwrap()
        role = "reactor:book" if what == "delivery" else "timers:bell"

        async def effects() -> list[Any]:
            return await booked(town.ledgers) if what == "delivery" else await rung(town.bells)

        process = WorkerProcess(store, notes, lease=1.0, publishes=False)
        try:
            await asyncio.to_thread(process.wait_until_stopped)
            fence = await _taken_over(store, role)
            process.resume()
            await _noted(notes, "failed LeaseLostError")
            assert await effects() == []

            await store.release_leases([fence])
            async with asyncio.timeout(PATIENCE):
                while not await effects():  # noqa: ASYNC110 - the worker is the clock
                    await asyncio.sleep(0.01)
        finally:
            code = await asyncio.to_thread(process.end)

        assert code == 0
        assert await effects() == [STOP if what == "delivery" else str(STOP)]
        assert await store.due_deliveries("reactor:book") == []


async def _taken_over(store: Store, role: str) -> Any:
    async with asyncio.timeout(PATIENCE):
        while True:
            for fence in await store.acquire_leases([role], "test", HOUR):
                return fence
            await asyncio.sleep(0.01)


async def _noted(notes: Path, line: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while line not in notes.read_text().splitlines():  # noqa: ASYNC110, ASYNC240 - the worker is the clock
            await asyncio.sleep(0.01)


# --- waiting for effects ---------------------------------------------------------------------------------------------


async def test_waiting_until_readers_have_passed(store: Store) -> None:
    """A caller can wait until a reactor has delivered, and a publisher published, what its command led to."""
    town = Town(store)
    async with town.working():
        sold = await town.sell(1, 2, 3)

        assert await town.shops.wait_for(sold, ["book", "paper"], timeout=timedelta(seconds=PATIENCE))

        assert await booked(town.ledgers) == [1, 2, 3]
        assert ("s-1", 1) in town.paper.lines()


async def test_waiting_for_nobody(store: Store) -> None:
    """Waiting ends with its timeout when nobody works, when a reader is unknown, and behind a dead letter."""
    town = Town(store)
    refused = await town.sell(1000)
    behind = await town.sell(1)

    assert not await town.shops.wait_for(behind, ["book"], timeout=SOON)
    await town.worker.run_until_idle()

    assert not await town.shops.wait_for(refused, ["book"], timeout=SOON)
    assert not await town.shops.wait_for(behind, ["book"], timeout=SOON)
    assert not await town.shops.wait_for(behind, ["unknown"], timeout=SOON)
    assert await town.shops.wait_for(behind, ["paper"], timeout=timedelta(seconds=PATIENCE))
    [letter] = await store.dead_letters()
    await store.drop_dead_letter(letter.id)
    await town.worker.run_until_idle()
    assert await town.shops.wait_for(behind, ["book"], timeout=timedelta(seconds=PATIENCE))


def test_a_store_that_cannot_serve_a_worker() -> None:
    """A store without timers, leases and positions is refused by name of what it lacks."""

    class Bare:
        async def load(self, id: str) -> None: ...

        async def save(self, options: Any) -> None: ...

    with pytest.raises(DefinitionError, match="CommitLog, TimerStore, LeaseStore, ReaderStore"):
        Worker(Bare())
    with pytest.raises(DefinitionError, match="start is a position"):
        Worker(MemoryStore(), start=-1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"retries": -1}, "retries is an integer from 0"),
        ({"retries": True}, "retries is an integer from 0"),
        ({"backoff": timedelta(seconds=-1)}, "backoff is a timedelta zero or more"),
        ({"backoff": 5}, "backoff is a timedelta"),
        ({"lease": timedelta()}, "lease is a timedelta above zero"),
        ({"poll": 1.0}, "poll is a timedelta above zero"),
    ],
)
def test_a_worker_refuses_numbers_that_are_none(wrong: Any, said: str) -> None:
    """A number that would only fail in the midst of the work is refused when the worker is made."""
    with pytest.raises(DefinitionError, match=said):
        Worker(MemoryStore(), **wrong)


@pytest.mark.parametrize("name", ["", "p" * 201, "pub\0lisher", "\ud800"])
def test_a_publisher_has_a_name_that_a_store_can_keep(name: str) -> None:
    """A name under which no position could be kept is refused when the worker is made."""

    class Nobody:
        def __init__(self) -> None:
            self.name = name

        async def publish(self, commit: Commit) -> None: ...

    with pytest.raises(DefinitionError, match="a publisher has a name of 1 to 200 characters"):
        Worker(MemoryStore(), publishers=[Nobody()])
