"""The peer with queues: DBOS. An order and the booking's place in the queue are saved in one transaction; workers book.

Booking is a datasource transaction, whose record DBOS commits with it, so that an effect happens once. Its queue is as
fast as it gets: looked at every ten milliseconds, many bookings at once, in no order. (Kept in order per ledger, in
partitions of one, it is a fraction of that.) On SQLite the file has a write-ahead log, which is not its default.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, SQLAlchemyDatasource

from .. import bookkeeping
from ..bookkeeping import ORDERS, Book, Booking, book, booking, ledger_id, order_id
from ..deliveries import Log, measure
from ..setting import Setting
from ..timing import Measurement
from ..work import ITEMS_KEPT, Draft, full_order

BACKLOG = 100
"""Events to be worked off for each measured second."""
QUEUE = "bookings"
AT_ONCE, AT_ONCE_SQLITE = 32, 12
"""Bookings under way in one worker process; more than these wait for each other."""
LOOK = 0.01
"""Seconds between two looks at the queue."""

CREATE = sa.text("CREATE TABLE workflow (id varchar PRIMARY KEY, version integer NOT NULL, data varchar NOT NULL)")
FILL = sa.text("INSERT INTO workflow VALUES (:id, 1, :data)")
LOCK = sa.text("UPDATE workflow SET version = version WHERE id = :id")
LOAD = sa.text("SELECT data, version FROM workflow WHERE id = :id")
SAVE = sa.text("UPDATE workflow SET data = :data, version = version + 1 WHERE id = :id AND version = :version")
BOOKS = sa.text("SELECT data FROM workflow WHERE id LIKE 'ledger-%'")


def one_worker(setting: Setting) -> Measurement:
    """One worker."""
    return _measure(setting, 1)


def four_workers(setting: Setting) -> Measurement:
    """Four workers."""
    return _measure(setting, 4)


def _measure(setting: Setting, workers: int) -> Measurement:
    return measure(setting, _opened(setting), _serve, workers=workers, backlog=BACKLOG)


def _address(setting: Setting) -> str:
    if setting.dsn:
        return setting.dsn.replace("postgresql://", "postgresql+psycopg://")
    return f"sqlite:///{setting.directory / 'orders.db'}"


def _at_once(setting: Setting) -> int:
    return AT_ONCE if setting.dsn else AT_ONCE_SQLITE


def _launch(setting: Setting, name: str) -> None:
    DBOS(
        config={
            "name": "bookings",
            "application_version": "1",
            "executor_id": name,
            "system_database_url": _address(setting),
            "log_level": "ERROR",
            "sys_db_pool_size": _at_once(setting),
            "max_executor_threads": _at_once(setting),
        }
    )
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=_at_once(setting), polling_interval_sec=LOOK)


@contextmanager
def _opened(setting: Setting) -> Generator[_Orders]:
    engine = sa.create_engine(_address(setting))
    if not setting.dsn:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    _launch(setting, "setup")
    DBOS.destroy()
    client = DBOSClient(system_database_engine=engine, application_name="bookings")
    try:
        yield _Orders(engine, client)
    finally:
        client.destroy()
        engine.dispose()


class _Orders:
    """Where items are added, in this process."""

    def __init__(self, engine: sa.Engine, client: DBOSClient) -> None:
        self._engine = engine
        self._client = client
        with engine.begin() as connection:
            connection.execute(CREATE)

    def fill(self, numbers: range) -> None:
        order, ledger = full_order().model_dump_json(), Book().model_dump_json()
        rows = [{"id": order_id(number), "data": order} for number in range(ORDERS)]
        rows += [{"id": ledger_id(number), "data": ledger} for number in range(ORDERS)]
        with self._engine.begin() as connection:
            connection.execute(FILL, rows)
            for number in numbers:
                self._add(connection, number)

    def commit(self, number: int) -> None:
        with self._engine.begin() as connection:
            self._add(connection, number)

    def _add(self, connection: sa.Connection, number: int) -> None:
        added, id = booking(number), order_id(number)
        text, version = connection.execute(LOAD, {"id": id}).one()
        items = [*Draft.model_validate_json(text).items, added.item][-ITEMS_KEPT:]
        state = Draft(items=items).model_dump_json()
        connection.execute(SAVE, {"id": id, "data": state, "version": version})
        options: Any = {"workflow_name": "book_item", "queue_name": QUEUE, "app_version": "1"}
        self._client.enqueue_in_transaction(connection, options, number, added.item)

    def check(self, count: int) -> None:
        with self._engine.connect() as connection:
            found = [Book.model_validate_json(text) for (text,) in connection.execute(BOOKS)]
        bookkeeping.check(found, count, in_order=False)


def _serve(setting: Setting, log: Log, stop: Event) -> None:
    datasource = SQLAlchemyDatasource.create(_address(setting), engine_kwargs={"pool_size": _at_once(setting)})
    options: Any = {"name": "change", "isolation_level": "READ COMMITTED" if setting.dsn else "SERIALIZABLE"}

    def change(number: int, item: str) -> None:
        session, id = datasource.sql_session(), ledger_id(number)
        # A write first: on SQLite the driver begins no transaction before one.
        session.execute(LOCK, {"id": id})
        text, version = session.execute(LOAD, {"id": id}).one()
        ledger = book(Book.model_validate_json(text), Booking(number=number, item=item))
        session.execute(SAVE, {"id": id, "data": ledger.model_dump_json(), "version": version})

    @DBOS.workflow(name="book_item")
    def book_item(number: int, item: str) -> None:
        datasource.run_tx_step(options, change, number, item)
        log.note(number)

    _launch(setting, f"worker-{os.getpid()}")
    stop.wait()
    DBOS.destroy(workflow_completion_timeout_sec=30)
