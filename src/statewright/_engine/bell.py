"""Telling whoever waits for commits that there are new ones."""

from __future__ import annotations

import asyncio
import threading


class Bell:
    """Rung on any thread, heard on any number of event loops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[asyncio.Future[None]] = set()
        self.rung = 0
        """How often it was rung: look here first, then at the commits, and no ring in between is missed."""

    def ring(self) -> None:
        """Wake all who wait."""
        with self._lock:
            self.rung += 1
            waiting, self._waiting = self._waiting, set()
        for future in waiting:
            try:
                future.get_loop().call_soon_threadsafe(_wake, future)
            except RuntimeError:
                pass  # the loop is closed

    async def wait(self, heard: int, seconds: float | None) -> None:
        """Wait until the bell is rung more often than `heard`, or until some time has passed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self.rung != heard:
                return
            self._waiting.add(future)
        alarm = None if seconds is None else loop.call_later(seconds, _wake, future)
        try:
            await future
        finally:
            if alarm is not None:
                alarm.cancel()
            with self._lock:
                self._waiting.discard(future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
