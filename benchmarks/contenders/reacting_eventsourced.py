"""The peer with process applications: `eventsourcing`, a projection that is itself event-sourced.

What it books is saved together with the position of the event, so that an effect happens once. A second process would
book the same events and fail, so there is one. On PostgreSQL its projection runner subscribes; on SQLite, where it has
no subscriptions, the process application pulls again and again, and each application has a file of its own. Cache as
in its fastest configuration: one process writes. Without its stored functions: with them, bookings were missing here.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import Application, ProcessingEvent
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Tracking
from eventsourcing.projection import EventSourcedProjectionRunner
from eventsourcing.system import ProcessApplication

from .. import bookkeeping
from ..bookkeeping import ORDERS, Book, Booking, book, booking, ledger_id, order_id
from ..deliveries import Log, measure
from ..setting import Setting
from ..timing import Measurement
from ..work import ITEMS_KEPT, full_order
from .eventsourced import FASTEST, postgres_environment

BACKLOG = 800
"""Events to be worked off for each measured second."""
SECTION = 256
"""Events that are pulled at once."""
NAP = 0.001
"""Seconds between two pulls."""


class StoredOrder(Aggregate):
    """An order."""

    @event("Opened")
    def __init__(self, name: str, items: list[str]) -> None:
        self.name = name
        self.items = items

    @staticmethod
    def create_id(name: str) -> UUID:
        """Return the id that stands for a name."""
        return uuid5(NAMESPACE_URL, name)

    class Added(Aggregate.Event):
        """An item was put on the order."""

        number: int
        item: str

    @event(Added)
    def add(self, number: int, item: str) -> None:  # noqa: ARG002 - what its event carries
        """Put one more item on the order."""
        self.items = [*self.items, item][-ITEMS_KEPT:]


class StoredLedger(Aggregate):
    """What was ordered."""

    @event("Opened")
    def __init__(self, name: str) -> None:
        self.name = name
        self.book = Book()

    @staticmethod
    def create_id(name: str) -> UUID:
        """Return the id that stands for a name."""
        return uuid5(NAMESPACE_URL, name)

    @event("Booked")
    def take(self, number: int, item: str) -> None:
        """Book an item."""
        self.book = book(self.book, Booking(number=number, item=item))


class Orders(Application[UUID]):
    """The application around the orders."""

    log_section_size = SECTION


class Ledgers(ProcessApplication[UUID]):
    """Books what was ordered."""

    pull_section_size = SECTION
    deliveries: ClassVar[Log | None] = None
    """Of the worker process."""

    def policy(self, domain_event: Any, processing_event: ProcessingEvent[UUID]) -> None:
        """Book an item on the order's ledger."""
        if not isinstance(domain_event, StoredOrder.Added):
            return
        ledger: StoredLedger = self.repository.get(StoredLedger.create_id(ledger_id(domain_event.number)))
        ledger.take(domain_event.number, domain_event.item)
        processing_event.collect_events(ledger)

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Note what is saved."""
        super().process_event(domain_event, tracking)
        if self.deliveries is not None and isinstance(domain_event, StoredOrder.Added):
            self.deliveries.note(domain_event.number)


def process_application(setting: Setting) -> Measurement:
    """One process application, at its fastest."""
    serve = _serve_subscribed if setting.dsn else _serve_pulling
    return measure(setting, _opened(setting), serve, workers=1, backlog=BACKLOG)


def _environment(setting: Setting) -> dict[str, str]:
    if setting.dsn:
        return postgres_environment(setting) | FASTEST
    return FASTEST | {
        "PERSISTENCE_MODULE": "eventsourcing.sqlite",
        "ORDERS_SQLITE_DBNAME": str(setting.directory / "orders.db"),
        "LEDGERS_SQLITE_DBNAME": str(setting.directory / "ledgers.db"),
        "SQLITE_LOCK_TIMEOUT": "30",
    }


@contextmanager
def _opened(setting: Setting) -> Generator[_Orders]:
    with Orders(_environment(setting)) as application:
        yield _Orders(setting, application)


class _Orders:
    """Where items are added, in this process."""

    def __init__(self, setting: Setting, application: Orders) -> None:
        self._setting = setting
        self._application = application
        self._orders = [StoredOrder(order_id(number), full_order().items) for number in range(ORDERS)]

    def fill(self, numbers: range) -> None:
        self._application.save(*self._orders)
        with Ledgers(_environment(self._setting)) as ledgers:
            ledgers.save(*(StoredLedger(ledger_id(number)) for number in range(ORDERS)))
        for first in range(0, len(numbers), ORDERS):
            self._application.save(*(self._added(number) for number in numbers[first : first + ORDERS]))

    def commit(self, number: int) -> None:
        self._application.save(self._added(number))

    def _added(self, number: int) -> StoredOrder:
        order = self._orders[number % ORDERS]
        order.add(number, booking(number).item)
        return order

    def check(self, count: int) -> None:
        with Ledgers(_environment(self._setting)) as ledgers:
            ids = [StoredLedger.create_id(ledger_id(number)) for number in range(ORDERS)]
            found: list[StoredLedger] = [ledgers.repository.get(id) for id in ids]
        bookkeeping.check([ledger.book for ledger in found], count)


def _serve_subscribed(setting: Setting, log: Log, stop: Event) -> None:
    Ledgers.deliveries = log
    environment = _environment(setting)
    with EventSourcedProjectionRunner(application_class=Orders, projection_class=Ledgers, env=environment) as runner:
        while not stop.is_set():
            runner.run_forever(timeout=0.1)


def _serve_pulling(setting: Setting, log: Log, stop: Event) -> None:
    Ledgers.deliveries = log
    with Orders(_environment(setting)) as orders, Ledgers(_environment(setting)) as ledgers:
        ledgers.follow(orders.name, orders.notification_log)
        while not stop.is_set():
            before = len(log.stamps)
            ledgers.pull_and_process(orders.name)
            if len(log.stamps) == before:
                time.sleep(NAP)
