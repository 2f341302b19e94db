"""Mechanisms that are broken on purpose: the tests of the sound ones would notice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from statewright import MemoryStore, SaveOptions, Worker, WorkflowExecutor
from statewright.testing import FaultyStore, ManualClock
from tests.engine.workshop import (
    ZERO,
    Begin,
    Paper,
    Sell,
    Set,
    Store,
    Weather,
    bell_router,
    booked,
    booking,
    ledger_router,
    rung,
    shop_router,
)

HOUR = timedelta(hours=1)


class Deciding:
    """Shops and ledgers over a store in memory, with a reactor in between."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.weather = Weather()
        self.shops: WorkflowExecutor[Any] = WorkflowExecutor(shop_router(), store)
        self.ledgers: WorkflowExecutor[Any] = WorkflowExecutor(ledger_router(self.weather), store)
        self.worker = Worker(store, [self.shops, self.ledgers], reactors=booking(), start=0, backoff=ZERO)

    async def sell(self, *amounts: int) -> None:
        """Sell so much, with one command."""
        (await self.shops.execute("s-1", Sell(amounts=list(amounts)))).unwrap()


# --- the position saved before the delivery --------------------------------------------------------------------------


async def _through_a_crash(hastily: bool) -> list[int]:  # noqa: FBT001 - says which of two
    """Return what is booked when a worker dies in the middle of a page, and another one goes on."""
    market = Deciding(MemoryStore())
    await market.sell(1, 2, 3)
    role = market.worker._roles[-1]
    [fence] = await market.store.acquire_leases([role.name], "dying", HOUR)
    await market.store.start_reader(role.name, 0)
    if hastily:
        [commit] = await market.store.commits()
        await market.store.advance_reader(role.name, commit.position, [], fence)
        deliveries = role._resolve(commit)
    else:
        await role._expand(fence)
        deliveries = await market.store.due_deliveries(role.name)
    await role._send(deliveries[0], deliveries[0].command, fence)  # and here it dies
    await market.store.release_leases([fence])
    await market.worker.run_until_idle()
    return await booked(market.ledgers)


async def test_a_position_saved_before_the_delivery() -> None:
    """Were the position saved before what was decided, a crash would lose deliveries; stored together, none is lost."""
    assert await _through_a_crash(hastily=True) == [1]
    assert await _through_a_crash(hastily=False) == [1, 2, 3]


async def _printed_through_a_crash(hastily: bool) -> list[int]:  # noqa: FBT001 - says which of two
    """Return which versions are printed when a worker dies after the first, and another one goes on."""
    store, paper = MemoryStore(), Paper()
    shops: WorkflowExecutor[Any] = WorkflowExecutor(shop_router(), store)
    for amount in range(3):
        (await shops.execute("s-1", Sell(amounts=[amount]))).unwrap()
    worker = Worker(store, [shops], publishers=[paper], start=0)
    role = worker._roles[-1]
    [fence] = await store.acquire_leases([role.name], "dying", HOUR)
    await store.start_reader(role.name, 0)
    page = await store.commits()
    if hastily:
        await store.advance_reader(role.name, page[-1].position, [], fence)
    await paper.publish(page[0])  # and here it dies
    await store.release_leases([fence])
    await worker.run_until_idle()
    return [commit.version for commit in paper.printed]


async def test_a_position_saved_before_publishing() -> None:
    """Were the position saved before the commits are published, a crash would lose some; it repeats some instead."""
    assert await _printed_through_a_crash(hastily=True) == [1]
    assert await _printed_through_a_crash(hastily=False) == [1, 1, 2, 3]


# --- a timer claimed without a fence ---------------------------------------------------------------------------------


async def _by_two_who_read_it(execute: Callable[..., Awaitable[Any]]) -> list[str]:
    """Return what rings when a paused worker goes on after another one has executed its timer."""
    clock, store = ManualClock(), MemoryStore()
    bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(clock=clock), store)
    (await bells.execute("b-1", Begin())).unwrap()
    (await bells.execute("b-1", Set(delay=HOUR))).unwrap()
    [late] = await store.acquire_leases(["timers:bell"], "paused", HOUR)
    [timer] = await store.due_timers(["bell"], now=clock.advance(HOUR))
    await store.release_leases([late])
    await Worker(store, [bells], clock=clock).run_until_idle()
    await execute(bells, timer, late)
    return await rung(bells)


async def test_a_timer_claimed_without_a_fence() -> None:
    """Were a timer executed as any command, a late worker would ring again; its generation and the fence forbid it."""

    async def unclaimed(bells: WorkflowExecutor[Any], timer: Any, fence: Any) -> None:
        await bells.execute(timer.workflow_id, {"type": timer.command.type, "payload": timer.command.data})

    async def claimed(bells: WorkflowExecutor[Any], timer: Any, fence: Any) -> None:
        await bells._deliver(timer.workflow_id, timer.command, fence, timer=timer)

    assert await _by_two_who_read_it(unclaimed) == ["bell", "bell"]
    assert await _by_two_who_read_it(claimed) == ["bell"]


class UnfencedStore(MemoryStore):
    """Saves whatever a worker decided, whoever holds the lease now."""

    def _check_fences(self, fences: Any) -> None:
        pass


@pytest.mark.parametrize(("kind", "found"), [(UnfencedStore, [1]), (MemoryStore, [])])
async def test_a_delivery_without_a_fence(kind: type[MemoryStore], found: list[int]) -> None:
    """Were the fence not checked with the save, a late worker would act under a lease that has passed on."""
    market = Deciding(kind())
    await market.sell(1)
    role = market.worker._roles[-1]
    [late] = await market.store.acquire_leases([role.name], "paused", HOUR)
    await market.store.start_reader(role.name, 0)
    await role._expand(late)
    [delivery] = await market.store.due_deliveries(role.name)
    await market.store.release_leases([late])
    await market.store.acquire_leases([role.name], "another", HOUR)

    await role._send(delivery, delivery.command, late)

    assert await booked(market.ledgers) == found


# --- keys recorded outside of the transaction ------------------------------------------------------------------------


class LateKeysStore(MemoryStore):
    """Records keys in a second step, which a crash in between prevents."""

    has_crashed = False

    def submit(self, options: SaveOptions) -> asyncio.Future[None]:
        if self.has_crashed or not any(commit.idempotency_key for commit in options.commits):
            return super().submit(options)
        self.has_crashed = True
        commits = tuple(replace(commit, idempotency_key=None) for commit in options.commits)
        return super().submit(replace(options, commits=commits))


@pytest.mark.parametrize(("kind", "found"), [(LateKeysStore, [1, 1]), (MemoryStore, [1])])
async def test_keys_outside_of_the_transaction(kind: type[MemoryStore], found: list[int]) -> None:
    """Were keys recorded after the save, a crash in between would book twice; saved together, it books once."""
    faulty = FaultyStore(kind())
    market = Deciding(faulty)
    await market.sell(1)
    faulty.fail(faulty.calls["save"] + 1, how="after")

    async with asyncio.timeout(30):
        while len(await booked(market.ledgers)) < len(found) or await faulty._store.readers() == []:
            await market.worker.run_until_idle()
            await asyncio.sleep(0.01)
        while (await market.store.readers())[0].undelivered:
            await market.worker.run_until_idle()
            await asyncio.sleep(0.01)

    assert await booked(market.ledgers) == found
