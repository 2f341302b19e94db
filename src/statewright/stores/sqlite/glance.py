"""Reading one row on the thread that asks for it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from .batch import answer_rows, row_of_id
from .connection import Settings, connect
from .fault import FAULTS
from .row import Row, time_text

_SLOW: Final = 0.001
"""Seconds; a read that takes longer has gone to the disk, or waited."""
_PAUSE: Final = 1.0
"""Seconds for which reads are left to the thread after a slow one."""


class Glance:
    """A connection for reads of one row, without a change of thread.

    To hand a read to another thread and to be woken by its answer costs the event loop more than the read does, as long
    as the pages are in memory. Where they are not, one read is slow, and the next ones are left to the thread.

    Args:
        settings: Of the store; not of one in memory, which has one connection only.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()  # several event loops may ask
        self._slow_until = 0.0
        self._is_closed = False
        self._connection: sqlite3.Connection | None = None

    def load(self, id: str) -> tuple[Row | None] | None:
        """Return the row of a workflow, in a tuple; `None` if it is better left to the thread."""
        return self._look(lambda connection: row_of_id(connection, id))

    def recall(self, id: str, key: str) -> tuple[Row | None] | None:
        """Return the row of an idempotency key, in a tuple; `None` if it is better left to the thread."""
        expired = time_text(self._settings.clock() - self._settings.retention)
        return self._look(lambda connection: answer_rows(connection, [(id, key)], expired=expired).get((id, key)))

    def changes(self) -> int | None:
        """Return a number that is another one after each change that other connections commit; `None` if unknown."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return None if self._is_closed else int(self._open().execute("PRAGMA data_version").fetchone()[0])
        except FAULTS:
            return None  # whoever waits polls anyway
        finally:
            self._lock.release()

    def _look(self, read: Callable[[sqlite3.Connection], Row | None]) -> tuple[Row | None] | None:
        if time.monotonic() < self._slow_until or not self._lock.acquire(blocking=False):
            return None
        try:
            return (self._timed(read),)
        except Exception:  # noqa: BLE001 - whatever it is, the thread meets it, too, and says so
            return None
        finally:
            self._lock.release()

    def _timed(self, read: Callable[[sqlite3.Connection], Row | None]) -> Row | None:
        connection = self._open()
        began = time.monotonic()
        row = read(connection)
        ended = time.monotonic()
        if ended - began > _SLOW:
            self._slow_until = ended + _PAUSE
        return row

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._settings)
            self._connection.execute("PRAGMA query_only = ON")
            self._connection.execute("PRAGMA busy_timeout = 0")  # an event loop must not wait
        return self._connection

    def close(self) -> None:
        """Close the connection; no read opens it again."""
        with self._lock:
            self._slow_until = float("inf")
            self._is_closed = True
            if self._connection is not None:
                with suppress(*FAULTS):
                    self._connection.close()
                self._connection = None

    def abandon(self) -> sqlite3.Connection | None:
        """Give the connection up in a forked child, which must keep it."""
        return self._connection
