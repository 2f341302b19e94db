"""A `SQLiteStore` whose connections do what a test says, and processes that use a file."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from statewright.stores.sqlite import SQLiteStore

PATIENCE = 30.0
"""Seconds after which a test gives up on a thread or process."""


class Watched(sqlite3.Connection):
    """A connection that tells of every statement before it is run."""

    watch: Callable[[Watched, str], None]
    pragmas: tuple[str, ...] = ()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for pragma in self.pragmas:
            super().execute(pragma)

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        type(self).watch(self, sql)
        return super().execute(sql, *parameters)

    def really(self, sql: str) -> None:
        """Run a statement that is not told of."""
        super().execute(sql)


def watched_store(
    path: Path | str, watch: Callable[[Watched, str], None] | None = None, *pragmas: str, **options: Any
) -> SQLiteStore:
    """Return a store that tells of every statement on each of its connections."""
    told = staticmethod(watch or (lambda connection, sql: None))
    connection_class = type("Told", (Watched,), {"watch": told, "pragmas": pragmas})
    store_class = type("WatchedStore", (SQLiteStore,), {"connection_class": connection_class})
    store: SQLiteStore = store_class(path, **options)
    return store


class Gate:
    """Holds the COMMITs of a store while it is shut; it begins open."""

    def __init__(self) -> None:
        self.commits = 0
        """How many have come since it was shut for the first time."""
        self._reached = threading.Semaphore(0)
        self._open = threading.Event()
        self._open.set()

    def watch(self, _connection: Watched, sql: str) -> None:
        """Stand before a statement."""
        if sql != "COMMIT":
            return
        if not self._open.is_set():
            self._reached.release()
            if not self._open.wait(PATIENCE):
                raise RuntimeError("a gate was never opened")
        self.commits += 1

    async def reached(self) -> None:
        """Wait until a COMMIT stands before the gate."""
        assert await asyncio.to_thread(self._reached.acquire, timeout=PATIENCE), "no COMMIT came"

    def shut(self) -> None:
        """Hold the next COMMITs."""
        self.commits = 0
        self._open.clear()

    def open(self) -> None:
        """Let all COMMITs pass."""
        self._open.set()


def driver_error(code: int, message: str = "as told by a test") -> sqlite3.OperationalError:
    """Return an exception as the driver raises it for a result code of SQLite."""
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


def started(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python process that can be talked to by lines."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str], said: str | None = None) -> list[str]:
    """Wait for the end of a process, which must be a good one, and return the lines that it printed."""
    out, err = process.communicate(said, timeout=PATIENCE * 2)
    assert process.returncode == 0, err
    return out.splitlines()
