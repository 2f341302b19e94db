"""Floors of what follows from commits: a loop that reads on in the table of events, and books in the same database.

Booking, the loop's position and the event of the booking are one transaction, so that an effect happens once. There is
one such loop: two would have to agree on who reads what.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from multiprocessing.synchronize import Event
from typing import Any

from psycopg import Connection

from .. import bookkeeping
from ..bookkeeping import ORDERS, Book, Booking, book, booking, ledger_id, order_id
from ..deliveries import Log, measure
from ..setting import Setting
from ..timing import Measurement
from ..work import ITEMS_KEPT, Draft, full_order, present

BACKLOG = 3_000
"""Events to be worked off for each measured second."""
PAGE = 256
NAP = 0.001
"""Seconds between two looks for more."""

SQLITE = """
CREATE TABLE workflow (id TEXT PRIMARY KEY, version INTEGER NOT NULL, data TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE event (
    position INTEGER PRIMARY KEY, workflow_id TEXT NOT NULL, version INTEGER NOT NULL,
    type TEXT NOT NULL, data TEXT NOT NULL, recorded_at TEXT NOT NULL
);
CREATE TABLE reader (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO reader VALUES ('booking', 0);
"""
POSTGRES = """
CREATE TABLE workflow (id text PRIMARY KEY, version integer NOT NULL, data json NOT NULL) WITH (fillfactor = 50);
CREATE TABLE event (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, workflow_id text NOT NULL, version integer NOT NULL,
    type text NOT NULL, data json NOT NULL, recorded_at timestamptz NOT NULL
);
CREATE TABLE reader (name text PRIMARY KEY, position bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO reader VALUES ('booking', 0);
"""
STATEMENTS = {
    "fill": "INSERT INTO workflow VALUES (?, 1, ?)",
    "load": "SELECT data, version FROM workflow WHERE id = ?",
    "save": "UPDATE workflow SET data = ?, version = version + 1 WHERE id = ? AND version = ?",
    "tell": "INSERT INTO event (workflow_id, version, type, data, recorded_at) VALUES (?, ?, ?, ?, ?)",
    "read": "SELECT position, workflow_id, data FROM event WHERE position > ? AND type = 'Added' "
    f"ORDER BY position LIMIT {PAGE}",
    "advance": "UPDATE reader SET position = ? WHERE name = 'booking'",
    "books": "SELECT data FROM workflow WHERE id LIKE 'ledger-%'",
}


class Tables:
    """One connection and the statements of its database."""

    def __init__(self, setting: Setting) -> None:
        self.connection: Any
        if setting.dsn:
            self.connection = Connection.connect(setting.dsn, autocommit=True)
            as_text = {"data,": "data::text,", "data FROM": "data::text FROM", "%": "%%", "?": "%s"}
            self._begin = "BEGIN"
        else:
            self.connection = sqlite3.connect(setting.directory / "raw.db", isolation_level=None, timeout=30)
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA synchronous = FULL")
            as_text = {}
            self._begin = "BEGIN IMMEDIATE"
        self._texts = dict(STATEMENTS)
        for name in ("load", "read", "books"):
            for old, new in as_text.items():
                self._texts[name] = self._texts[name].replace(old, new)
        if setting.dsn:
            for name in ("fill", "save", "tell", "advance"):
                self._texts[name] = self._texts[name].replace("?", "%s")

    def run(self, name: str, *params: Any) -> Any:
        """Run a statement."""
        return self.connection.execute(self._texts[name], params)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Write what the block writes at once, or not at all."""
        self.connection.execute(self._begin)
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def change(self, id: str, data: str, version: int, type: str, event: str) -> None:
        """Save a workflow and its event."""
        if self.run("save", data, id, version).rowcount != 1:
            raise RuntimeError(f"somebody else saved {id}")
        self.run("tell", id, version + 1, type, event, present().isoformat())


class _Orders:
    """Where items are added, in this process."""

    def __init__(self, setting: Setting) -> None:
        self.tables = Tables(setting)
        connection = self.tables.connection
        connection.execute(POSTGRES) if setting.dsn else connection.executescript(SQLITE)

    def fill(self, numbers: range) -> None:
        with self.tables.transaction():
            for number in range(ORDERS):
                self.tables.run("fill", order_id(number), full_order().model_dump_json())
                self.tables.run("fill", ledger_id(number), Book().model_dump_json())
        with self.tables.transaction():
            for number in numbers:
                self._add(number)

    def commit(self, number: int) -> None:
        with self.tables.transaction():
            self._add(number)

    def _add(self, number: int) -> None:
        added, id = booking(number), order_id(number)
        text, version = self.tables.run("load", id).fetchone()
        items = [*Draft.model_validate_json(text).items, added.item][-ITEMS_KEPT:]
        self.tables.change(id, Draft(items=items).model_dump_json(), version, "Added", added.model_dump_json())

    def check(self, count: int) -> None:
        found = [Book.model_validate_json(text) for (text,) in self.tables.run("books").fetchall()]
        bookkeeping.check(found, count)


def one_by_one(setting: Setting) -> Measurement:
    """One transaction for each delivery."""
    return measure(setting, _opened(setting), _serve_one_by_one, workers=1, backlog=BACKLOG)


def page_by_page(setting: Setting) -> Measurement:
    """One transaction for each page of deliveries."""
    return measure(setting, _opened(setting), _serve_page_by_page, workers=1, backlog=4 * BACKLOG)


@contextmanager
def _opened(setting: Setting) -> Generator[_Orders]:
    events = _Orders(setting)
    with closing(events.tables.connection):
        yield events


def _serve_one_by_one(setting: Setting, log: Log, stop: Event) -> None:
    _serve(setting, log, stop, 1)


def _serve_page_by_page(setting: Setting, log: Log, stop: Event) -> None:
    _serve(setting, log, stop, PAGE)


def _serve(setting: Setting, log: Log, stop: Event, size: int) -> None:
    tables, position = Tables(setting), 0
    with closing(tables.connection):
        while not stop.is_set():
            page = tables.run("read", position).fetchall()
            for first in range(0, len(page), size):
                some = page[first : first + size]
                with tables.transaction():
                    numbers = [_book(tables, order, Booking.model_validate_json(text)) for _, order, text in some]
                    position = some[-1][0]
                    tables.run("advance", position)
                for number in numbers:
                    log.note(number)
            if not page:
                time.sleep(NAP)


def _book(tables: Tables, order: str, added: Booking) -> int:
    id = order.replace("order", "ledger")
    text, version = tables.run("load", id).fetchone()
    ledger = book(Book.model_validate_json(text), added)
    tables.change(id, ledger.model_dump_json(), version, "Booked", added.model_dump_json())
    return added.number
