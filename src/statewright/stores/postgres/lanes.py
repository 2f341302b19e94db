"""Tasks that work while there is something to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Lanes:
    """Up to so many tasks at once, each begun when something comes in that no earlier one will take.

    A task begins on the next turn of the loop, so that whatever comes in during this turn is taken together. There is
    no timer: what comes in while all lanes are busy waits for the first that returns.

    Args:
        limit: How many tasks there may be.
        work: Works until there is nothing left to do.
    """

    def __init__(self, limit: int, work: Callable[[], Awaitable[None]]) -> None:
        self._limit = limit
        self._work = work
        self._tasks: set[asyncio.Task[None]] = set()
        self._beginning = False
        self._loop = asyncio.get_running_loop()

    @property
    def busy(self) -> int:
        """How many tasks there are."""
        return len(self._tasks)

    def call(self) -> None:
        """Say that something came in."""
        if not self._beginning and len(self._tasks) < self._limit:
            self._beginning = True
            task = self._loop.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        self._beginning = False
        await self._work()

    async def quiet(self) -> None:
        """Wait until nobody works."""
        while self._tasks:
            await asyncio.wait(self._tasks)
