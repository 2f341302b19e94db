"""Telling those who wait for commits that there may be new ones."""

from __future__ import annotations

import asyncio


class Bell:
    """Rung when something was saved, here or, as far as is known, elsewhere."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        self.rung = 0
        """How often it was rung: look here first, then at the commits, and no ring in between is missed."""

    def ring(self) -> None:
        """Wake all who wait."""
        self.rung += 1
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            _wake(future)

    async def wait(self, heard: int, seconds: float) -> None:
        """Wait until it is rung more often than `heard`, or until some time has passed."""
        if self.rung != heard:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.add(future)
        alarm = loop.call_later(seconds, _wake, future)
        try:
            await future
        finally:
            alarm.cancel()
            self._waiting.discard(future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
