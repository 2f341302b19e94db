"""A deploy in mid-delivery: the reactor's code changes between two attempts, and nothing is lost or done twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from statewright import Reactors, Send, Source, Worker, WorkflowExecutor
from statewright.errors import DefinitionError
from tests.engine.workshop import ZERO, Book, Sell, Sold, Store, Weather, booked, ledger_router, shop_router

pytest_plugins = ["tests.fixtures.stores"]

HOUR = timedelta(hours=1)
FOREVER = datetime(9000, 1, 1, tzinfo=UTC)

Decide = Callable[[int], Sequence[int]]
"""What is booked when an amount is sold."""


def triple(amount: int) -> list[int]:
    """Decide as the code did before the deploy."""
    return [amount + 1, amount + 2, amount + 3]


def reacting(decide: Decide, name: str = "book") -> Reactors:
    """Return a reactor with this code, under a stored name; the function's own name is another one."""
    reactors = Reactors()

    @reactors.on(name=name)
    def whatever_it_is_called_today(event: Sold, source: Source) -> list[Send]:
        return [Send("ledger", event.to, Book(amount=amount)) for amount in decide(event.amount)]

    return reactors


class Market:
    """A shop, and a ledger that follows it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.weather = Weather()
        self.shops: WorkflowExecutor[Any] = WorkflowExecutor(shop_router(), store)
        self.ledgers: WorkflowExecutor[Any] = WorkflowExecutor(ledger_router(self.weather), store)

    def worker(self, reactors: Reactors, *, start: Any = 0, backoff: timedelta = HOUR) -> Worker:
        """Return a worker with this code."""
        executors = [self.shops, self.ledgers]
        return Worker(self.store, executors, reactors=reactors, start=start, backoff=backoff, retries=9)

    async def sell(self, amount: int) -> None:
        """Sell something."""
        (await self.shops.execute("s-1", Sell(amounts=[amount]))).unwrap()

    async def work(self, worker: Worker) -> list[int]:
        """Let a worker work, and return what is booked."""
        await worker.run_until_idle()
        return await booked(self.ledgers)

    async def stuck_at(self, amount: int) -> list[int]:
        """Deliver with the old code until one attempt fails, and return what is booked by then."""
        self.weather.raises[amount] = OSError("down")
        found = await self.work(self.worker(reacting(triple)))
        self.weather.raises.clear()
        return found

    async def hurry(self) -> None:
        """Let what waits to be tried again be due now."""
        [fence] = await self.store.acquire_leases(["reactor:book"], "hurry", HOUR)
        for delivery in await self.store.due_deliveries("reactor:book", now=FOREVER):
            await self.store.postpone_delivery(delivery.id, ZERO, delivery.attempts, fence)
        await self.store.release_leases([fence])


def _fail(amount: int) -> list[int]:
    raise ZeroDivisionError


NEW_CODE: dict[str, Decide] = {
    "other order": lambda amount: triple(amount)[::-1],
    "other payload": lambda amount: [each + 100 for each in triple(amount)],
    "more": lambda amount: [*triple(amount), 99],
    "fewer": lambda amount: triple(amount)[:1],
    "nothing": lambda amount: [],
    "broken": _fail,
}


@pytest.mark.parametrize("change", NEW_CODE)
@pytest.mark.parametrize("first_fails", [True, False], ids=["none delivered", "some delivered"])
async def test_what_was_decided_is_delivered(store: Store, change: str, *, first_fails: bool) -> None:
    """After a failed attempt other code takes over: what the old code decided is delivered, and nothing else of it."""
    market = Market(store)
    await market.sell(0)
    assert await market.stuck_at(1 if first_fails else 2) == ([] if first_fails else [1])

    await market.hurry()

    assert await market.work(market.worker(reacting(NEW_CODE[change]))) == [1, 2, 3]


@pytest.mark.parametrize("change", NEW_CODE)
async def test_a_death_before_the_row_was_removed(store: Store, change: str) -> None:
    """A worker that delivers and dies leaves its rows: other code delivers the very same again, without effect."""
    market = Market(store)
    await market.sell(0)
    role = market.worker(reacting(triple))._roles[-1]
    [fence] = await store.acquire_leases([role.name], "dying", HOUR)
    await store.start_reader(role.name, 0)
    await role._expand(fence)
    for delivery in (await store.due_deliveries(role.name))[:2]:
        assert await role._send(delivery, delivery.command, fence) is None
    await store.release_leases([fence])
    assert await booked(market.ledgers) == [1, 2]

    assert await market.work(market.worker(reacting(NEW_CODE[change]))) == [1, 2, 3]


@pytest.mark.slow
async def test_old_and_new_code_side_by_side(make_store: Any) -> None:
    """In a rolling deploy each event is decided by one of both codes, as a whole, and delivered once."""
    async with make_store() as one, make_store() as two:
        old, new = Market(one), Market(two)
        workers = [old.worker(reacting(triple)), new.worker(reacting(lambda amount: [amount + 5, amount + 6]))]
        for turn, amount in enumerate(range(0, 80, 10)):
            await old.sell(amount)
            await workers[turn % 2].run_until_idle()

        expected = [each for amount in range(0, 80, 20) for each in [*triple(amount), amount + 15, amount + 16]]
        assert await booked(new.ledgers) == expected


async def test_a_function_may_be_renamed(store: Store) -> None:
    """A reactor whose function has another name, in another module, goes on under its stored name."""
    market = Market(store)
    await market.sell(0)
    await market.stuck_at(2)
    await market.hurry()
    moved = Reactors()

    def book_anew(event: Sold, source: Source) -> Send:
        return Send("ledger", event.to, Book(amount=event.amount))

    book_anew.__module__ = "somewhere.else"
    moved.on(name="book")(book_anew)
    await market.sell(7)

    assert await market.work(market.worker(moved)) == [1, 2, 3, 7]


async def test_another_stored_name_is_not_taken_by_mistake(store: Store) -> None:
    """A worker that knows a reactor under another name does not begin unless it is told where; nothing is done."""
    market = Market(store)
    await market.sell(0)
    await market.stuck_at(2)
    await market.hurry()

    with pytest.raises(DefinitionError, match="reactor:record has no position yet"):
        await market.worker(reacting(triple, "record"), start=None).run_until_idle()

    assert await booked(market.ledgers) == [1]
    assert await market.work(market.worker(reacting(triple))) == [1, 2, 3]


async def test_another_stored_name_goes_on_where_the_old_one_ended(store: Store) -> None:
    """Begun where the old name ended, the new one decides what comes later; what the old one decided stays its own."""
    market = Market(store)
    await market.sell(0)
    await market.stuck_at(2)
    await market.hurry()
    position = await store.reader_position("reactor:book")
    await market.sell(10)

    new = market.worker(reacting(triple, "record"), start=position)
    assert await market.work(new) == [1, 11, 12, 13]
    assert [(status.name, status.undelivered) for status in await store.readers()] == [
        ("reactor:book", 2),
        ("reactor:record", 0),
    ]
    await store.acquire_leases(["reactor:record"], "nobody", HOUR)
    drained = Reactors()
    drained.on(name="book")(_nothing)

    assert await market.work(market.worker(drained)) == [1, 11, 12, 13, 2, 3]


def _nothing(event: Sold, source: Source) -> None:
    """Decide nothing more, and deliver what is left."""
