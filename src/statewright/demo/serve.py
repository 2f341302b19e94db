"""The day of orders, live: lived through slowly behind the console, day after day, until somebody stops it."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

import uvicorn

from .._engine.executor import WorkflowExecutor
from ..http import create_app
from ..stores.sqlite import SQLiteStore
from .day import make_day
from .order import Order, router
from .plan import Story
from .shift import Shift

HOST = "127.0.0.1"
"""Nobody else on the network can reach it: the demo knows no tokens."""
_HEAD_START = 0.25
"""So much of the first day is over before anybody looks, so that there is something in every state."""
_CALLERS = 6


class Pace:
    """Lets so many moments happen in a second, on average, and no bursts.

    Args:
        rate: Moments a second.
    """

    def __init__(self, rate: float) -> None:
        self._between = 1 / rate
        self._next = 0.0

    async def __call__(self) -> None:
        """Wait until it is the next one's turn."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next)
        self._next = turn + self._between
        await asyncio.sleep(turn - now)


async def serve_day(
    path: Path, *, orders: int, seed: int, rate: float, port: int, on_ready: Callable[[str], None]
) -> None:
    """Serve API and console on loopback while the day goes on; return when the process is told to stop.

    Args:
        path: A SQLite file.
        orders: How many a day has.
        seed: As for `make_day`.
        rate: Moments a second.
        port: Where to listen; 0 for any that is free.
        on_ready: Told the console's address once it answers.

    Raises:
        OSError: The port is taken.
        StoreError: The file cannot be opened.
    """
    with _listening(port) as listener:
        async with SQLiteStore(path) as store:
            executor = WorkflowExecutor(router, store)
            app = create_app([executor])
            server = _Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
            server.on_started = lambda: on_ready(f"http://{HOST}:{listener.getsockname()[1]}/")
            life = asyncio.create_task(_live(executor, orders, seed, rate))
            life.add_done_callback(lambda _: setattr(server, "should_exit", True))
            try:
                await server.serve([listener])
            finally:
                life.cancel()
                await asyncio.gather(life, return_exceptions=True)


class _Server(uvicorn.Server):
    """Says when it answers."""

    on_started: Callable[[], None]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        # uvicorn would raise the signal again when it is done, and end the process before the store is closed.
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_started()


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
    except OSError as exc:
        listener.close()
        raise OSError(exc.errno, exc.strerror, f"{HOST}:{port}") from exc
    return listener


async def _live(executor: WorkflowExecutor[Order], orders: int, seed: int, rate: float) -> None:
    pace = Pace(rate)
    today = datetime.now(UTC).date()
    for number in itertools.count():
        stories = make_day(orders, seed + number, today + timedelta(days=number))
        stories = [dataclasses.replace(story, id=f"day{number + 1}-{story.id}") for story in stories]
        begun = round(orders * _HEAD_START) if number == 0 else 0
        early, late = stories[:begun], stories[begun:]
        await _shift(executor, early).run()
        await _shift(executor, late, pace).run()


def _shift(executor: WorkflowExecutor[Order], stories: list[Story], pace: Pace | None = None) -> Shift:
    return Shift(executor, stories, callers=_CALLERS, before_moment=pace)
