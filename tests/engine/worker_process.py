"""A worker in a process of its own, which notes what it does, and may stop in the middle of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from statewright import Commit, Observer, Worker, WorkflowExecutor
from statewright.stores.postgres import PostgresStore
from statewright.stores.sqlite import SQLiteStore
from tests.engine.workshop import Book, Ring, bell_router, booking, ledger_router, shop_router

ROOT = Path(__file__).parents[2]
STOP = 471
"""Who books this amount, or rings a bell of this name, stops its process before the save, once."""
PATIENCE = 60.0


class Notes(Observer):
    """A file that many processes add lines to."""

    def __init__(self, path: str, store: Any) -> None:
        self._store = store
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.has_stopped = False

    def write(self, *words: object) -> None:
        """Add a line; whole, whoever else adds one."""
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())

    def failed(self, error: Exception, workflow: Any, command: Any) -> None:
        self.write("failed", type(error).__name__)

    async def _stop(self) -> None:
        if isinstance(self._store, SQLiteStore):
            # SQLite's lock is the file's: a process that is stopped inside a transaction would stop all others. The
            # thread that writes stops it by itself, and so between two transactions.
            await self._store._opened().write(stop_here)
        else:
            stop_here()

    async def attempted(self, ctx: Any, call_next: Any) -> Any:
        """Note an attempt, as a middleware."""
        command = ctx.command
        if not isinstance(command, Book | Ring):
            return await call_next()
        name = command.amount if isinstance(command, Book) else command.name
        self.write("attempted", type(command).__name__, ctx.id, name, time.time())
        result = await call_next()
        if str(name) == str(STOP) and not self.has_stopped:
            self.has_stopped = True
            await self._stop()
        return result


def stop_here(*_: object) -> None:
    """Stop the process until somebody lets it go on."""
    os.kill(os.getpid(), signal.SIGSTOP)


class NotingPublisher:
    """Notes what it publishes."""

    name = "notes"

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    async def publish(self, commit: Commit) -> None:
        """Add a line for a commit."""
        self._notes.write("published", commit.workflow_id, commit.version, commit.id)


def store_at(place: dict[str, str]) -> Any:
    """Return the store at a place."""
    if "path" in place:
        return SQLiteStore(place["path"], auto_setup=False, timeout=timedelta(seconds=20))
    return PostgresStore(place["dsn"], schema=place["schema"], max_connections=6, auto_setup=False)


def place_of(store: Any) -> dict[str, str]:
    """Return where a store is."""
    settings = store._settings
    if isinstance(store, SQLiteStore):
        return {"path": settings.path}
    return {"dsn": settings.source, "schema": settings.schema}


async def work(place: dict[str, str], notes_path: str, lease: float, skew: float, *, publishes: bool) -> None:
    """Work until the process is told to end, on a machine whose clock is so many seconds wrong."""
    async with store_at(place) as store:
        notes = Notes(notes_path, store)
        executors: list[WorkflowExecutor[Any]] = []
        for router in (shop_router(), ledger_router(), bell_router()):
            # Not as `clock=`, which would take the place of the store's: it is the host's that is wrong.
            on_host: Any = router
            on_host._now = lambda: datetime.now(UTC) + timedelta(seconds=skew)
            executor: WorkflowExecutor[Any] = WorkflowExecutor(router, store)
            executors.append(executor.use(notes.attempted).observe(notes))
        worker = Worker(
            store,
            executors,
            reactors=booking(),
            publishers=[NotingPublisher(notes)] if publishes else [],
            start=0,
            lease=timedelta(seconds=lease),
            poll=timedelta(milliseconds=50),
        )
        running = asyncio.ensure_future(worker.run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running


class WorkerProcess:
    """The same, as its parent sees it."""

    def __init__(self, store: Any, notes: Path, *, lease: float, skew: float = 0.0, publishes: bool = True) -> None:
        words = [json.dumps(place_of(store)), str(notes), str(lease), str(skew), "yes" * publishes]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.worker_process", *words], cwd=ROOT, stdin=subprocess.DEVNULL
        )

    def pause(self) -> None:
        """Stop it where it is."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it where it is."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def end(self) -> int:
        """Ask it to end; return its exit code."""
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        return self._process.wait(PATIENCE)

    def wait_until_stopped(self) -> None:
        """Wait until it has stopped itself.

        Raises:
            TimeoutError: It has not.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            pid, _ = os.waitpid(self._process.pid, os.WUNTRACED | os.WNOHANG)
            if pid:
                return
            time.sleep(0.01)
        raise TimeoutError


if __name__ == "__main__":
    place, notes_path, lease, skew, publishes = sys.argv[1:]
    asyncio.run(work(json.loads(place), notes_path, float(lease), float(skew), publishes=bool(publishes)))
