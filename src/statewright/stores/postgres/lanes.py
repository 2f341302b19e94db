"""Tasks that work while there is something to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast


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
            self._tasks.add(self._loop.create_task(self._run()))

    async def _run(self) -> None:
        self._beginning = False
        try:
            await self._work()
        finally:
            # Here, not in a callback of the task, which runs a turn of the loop later: what came in during that turn
            # would find all lanes busy, and nobody would take it.
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def quiet(self) -> None:
        """Wait until nobody works."""
        while self._tasks:
            await asyncio.wait(self._tasks)
