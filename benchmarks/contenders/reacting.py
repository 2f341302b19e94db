"""Statewright: a reactor that books what was ordered, run by workers in processes of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from multiprocessing.synchronize import Event
from typing import Any

from statewright import (
    Commit,
    Context,
    Observer,
    Reactors,
    Send,
    Source,
    SyncExecutor,
    Worker,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
)
from statewright.stores.postgres import PostgresStore
from statewright.stores.sqlite import SQLiteStore

from .. import bookkeeping
from ..bookkeeping import ORDERS, Book, Booking, book, booking, ledger_id, order_id
from ..deliveries import Log, measure
from ..setting import Setting
from ..timing import Measurement
from ..work import CALLERS, ITEMS_KEPT, Draft, full_order

BACKLOG = 3_000
"""Events to be worked off for each measured second."""


class Add(Booking):
    """Put one more item on the order."""


class Added(Booking):
    """An item was put on the order."""


class Booked(Booking):
    """An item was booked."""


class Order(Workflow[Draft, Add, Added], name="order"):
    """An order that keeps its last ten items."""


class Ledger(Workflow[Book, Booking, Booked], name="ledger"):
    """What was ordered."""


orders = WorkflowRouter(Order)
ledgers = WorkflowRouter(Ledger)
reactors = Reactors()


@orders.on
def add(order: Draft, command: Add, ctx: Context[Added]) -> Draft:
    """Put the item on the order, and say so."""
    ctx.emit(Added(number=command.number, item=command.item))
    return Draft(items=[*order.items, command.item][-ITEMS_KEPT:])


@ledgers.on
def take(ledger: Book, command: Booking, ctx: Context[Booked]) -> Book:
    """Book the item, and say so."""
    ctx.emit(Booked(number=command.number, item=command.item))
    return book(ledger, command)


@reactors.on
def book_what_was_added(event: Added, source: Source) -> Send:
    """Book each item on the order's ledger."""
    return Send("ledger", source.workflow_id.replace("order", "ledger"), Booking(number=event.number, item=event.item))


def one_worker(setting: Setting) -> Measurement:
    """One worker."""
    return _measure(setting, 1)


def two_workers(setting: Setting) -> Measurement:
    """Two workers."""
    return _measure(setting, 2)


def four_workers(setting: Setting) -> Measurement:
    """Four workers."""
    return _measure(setting, 4)


def _measure(setting: Setting, workers: int) -> Measurement:
    return measure(setting, _opened(setting), _serve, workers=workers, backlog=BACKLOG)


def _store(setting: Setting) -> SQLiteStore | PostgresStore:
    return PostgresStore(setting.dsn) if setting.dsn else SQLiteStore(setting.directory / "orders.db")


@contextmanager
def _opened(setting: Setting) -> Generator[_Orders]:
    with ExitStack() as stack:
        yield _Orders(setting, stack)


class _Orders:
    """Where items are added, in this process."""

    def __init__(self, setting: Setting, stack: ExitStack) -> None:
        self._setting = setting
        self._stack = stack
        self._executor: SyncExecutor[Any] | None = None

    def fill(self, numbers: range) -> None:
        asyncio.run(self._fill(numbers))
        self._executor = self._stack.enter_context(WorkflowExecutor(orders, _store(self._setting)).sync())

    async def _fill(self, numbers: range) -> None:
        async with _store(self._setting) as store:
            executor, books = WorkflowExecutor(orders, store), WorkflowExecutor(ledgers, store)
            await asyncio.gather(*(executor.create(order_id(number), full_order()) for number in range(ORDERS)))
            await asyncio.gather(*(books.create(ledger_id(number), Book()) for number in range(ORDERS)))

            async def call(caller: int) -> None:
                for number in numbers[caller::CALLERS]:
                    (await executor.execute(order_id(number), _command(number))).unwrap()

            await asyncio.gather(*(call(caller) for caller in range(CALLERS)))

    def commit(self, number: int) -> None:
        if self._executor is None:
            raise RuntimeError("filled first")
        self._executor.execute(order_id(number), _command(number)).unwrap()

    def check(self, count: int) -> None:
        self._stack.close()
        asyncio.run(self._check(count))

    async def _check(self, count: int) -> None:
        async with _store(self._setting) as store:
            executor = WorkflowExecutor(ledgers, store)
            found = [await executor.get(ledger_id(number)) for number in range(ORDERS)]
            bookkeeping.check([ledger.data for ledger in found if ledger is not None], count)
            saved = sum(ledger.version - 1 for ledger in found if ledger is not None)
            dead, waiting = await store.dead_letters(), sum(each.undelivered for each in await store.readers())
        if (saved, len(dead), waiting) != (count, 0, 0):
            raise RuntimeError(f"{count} events left {saved} commits, {len(dead)} dead letters, {waiting} undelivered")


def _command(number: int) -> Add:
    return Add(**booking(number).model_dump())


def _serve(setting: Setting, log: Log, stop: Event) -> None:
    asyncio.run(_work(setting, log, stop))


async def _work(setting: Setting, log: Log, stop: Event) -> None:
    async with _store(setting) as store:
        books = WorkflowExecutor(ledgers, store)
        books.observe(_Stamps(log))
        worker = Worker(store, [WorkflowExecutor(orders, store), books], reactors=reactors, start=0)
        running = asyncio.create_task(worker.run())
        stopping = asyncio.create_task(asyncio.to_thread(stop.wait))
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()


class _Stamps(Observer):
    """Notes each booking when it is durable."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def committed(self, commit: Commit) -> None:
        """Note it."""
        if commit.command is not None:
            self._log.note(commit.command.data["number"])
