"""Telling other processes that there are new commits: a hint, behind which everybody polls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from ...errors import StoreError
from .bell import Bell
from .fault import FAULTS
from .link import Link
from .runner import Runner
from .statements import Statements, quoted

_logger: Final = logging.getLogger("statewright.postgres")

_GAP: Final = 0.02
"""Seconds between two notifications; after a pause the first one leaves at once. They are no part of a save: PostgreSQL
lets transactions that notify commit one after the other, and would undo with it what group commit gains."""
_LOOK: Final = 1.0
"""Seconds between two looks whether anybody listens."""
_HEARD: Final = 60.0
"""For how many seconds a listener promises to listen."""
_LEAST_CONNECTIONS: Final = 4
"""With fewer, none is spent on listening."""


class Herald:
    """Notifies of commits, and listens for notifications.

    Args:
        runner: For what may run twice.
        statements: Of the schema.
        bell: What to ring when something is heard.
    """

    def __init__(self, runner: Runner, statements: Statements, bell: Bell) -> None:
        self._runner = runner
        self._sql = statements
        self._bell = bell
        self._loop = asyncio.get_running_loop()
        self._is_heard = False
        self._looked_at = self._loop.time()
        self._told_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._listeners = 0
        self._is_closed = False

    def tell(self) -> None:
        """Say that something was saved."""
        if self._timer is None and not self._is_closed:
            due = self._told_at + _GAP if self._is_heard else self._looked_at + _LOOK
            self._timer = self._loop.call_later(max(0.0, due - self._loop.time()), self._begin_telling)

    def _begin_telling(self) -> None:
        self._timer = None
        self._told_at = self._loop.time()
        if self._telling is None or self._telling.done():
            self._telling = self._loop.create_task(self._tell())
        else:
            # What is being told may have been asked too early to include what was saved since.
            self._telling.add_done_callback(lambda _: self.tell())

    async def _tell(self) -> None:
        try:
            if not self._is_heard or self._loop.time() > self._looked_at + _LOOK:
                [(self._is_heard,)] = await self._runner.fetch(self._sql["is_heard"])
                self._looked_at = self._loop.time()
            if self._is_heard:
                await self._runner.fetch(self._sql["notify"], (self._sql.channel,))
        except StoreError:
            pass  # those who wait poll anyway

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None]:
        """Listen for the length of a block, on one connection for all such blocks."""
        self._listeners += 1
        if self._listening is None and self._runner.connections.size >= _LEAST_CONNECTIONS:
            self._listening = self._loop.create_task(self._listen())
        try:
            yield
        finally:
            self._listeners -= 1
            if not self._listeners:
                await self._stop_listening()

    async def close(self) -> None:
        """Tell and hear no more."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._telling is not None:
            await asyncio.wait([self._telling])
        await self._stop_listening()

    async def _stop_listening(self) -> None:
        task, self._listening = self._listening, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _listen(self) -> None:
        while True:
            try:
                link = await self._runner.connections.acquire(self._runner.bounds.connect)
                try:
                    await self._listen_on(link)
                finally:
                    await link.connection.close()  # not to be given to others while it listens
                    self._runner.connections.discard(link)
            except (StoreError, *FAULTS) as exc:
                _logger.debug("not listening for commits, only polling: %s", exc)
                await asyncio.sleep(_LOOK)

    async def _listen_on(self, link: Link) -> None:
        await link.run(f"LISTEN {quoted(self._sql.channel)}")
        while True:
            await link.fetch(self._sql["listen"], (f"{_HEARD} seconds",), timeout=self._runner.bounds.attempt)
            self._bell.ring()  # for what came before
            async for _ in link.connection.notifies(timeout=_HEARD / 2):
                self._bell.ring()
