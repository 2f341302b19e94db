"""Who may have a connection when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from ...errors import StoreError, StoreUnavailableError
from .fault import FAULTS, unreachable

if TYPE_CHECKING:
    from .link import Link
    from .sources import Source

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.25
_SHORTEST_ATTEMPT: Final = 0.1


class Connections:
    """Gives out connections in order of asking, never more than `size` at once.

    Args:
        source: Where they come from.
        size: How many there may be.
    """

    def __init__(self, source: Source, size: int) -> None:
        self.size = size
        self._source = source
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Link] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._trimmer: asyncio.TimerHandle | None = None
        self._used = 0
        self._unused: asyncio.Event | None = None
        self._loop = asyncio.get_running_loop()

    async def acquire(self, patience: float) -> Link:
        """Return a connection that nobody else uses.

        Args:
            patience: Seconds to wait for it, at most.

        Raises:
            StoreUnavailableError: There was none.
            StoreError: There never will be.
        """
        deadline = self._loop.time() + patience
        if self._slots.locked():
            await self._wait_for_slot(deadline, patience)
        else:
            await self._slots.acquire()  # at once
        self._used += 1
        try:
            if self._unused is not None:
                raise StoreError("the PostgresStore was closed meanwhile")
            return self._pop_idle() or await self._open(deadline)
        except BaseException:
            self._free_slot()
            raise

    def release(self, link: Link) -> None:
        """Give a connection back; one in an unknown state is closed."""
        self._free_slot()
        if not link.is_clean or self._unused is not None:
            self._close_later(link)
            return
        link.released_at = self._loop.time()
        self._idle.append(link)
        if self._trimmer is None:
            self._trimmer = self._loop.call_later(self._source.keep, self._trim)

    def discard(self, link: Link) -> None:
        """Give a connection back that is of no more use."""
        self._free_slot()
        self._close_later(link)

    def distrust(self) -> None:
        """Close what nobody uses: one connection was lost, and the others may have gone with it."""
        while self._idle:
            self._close_later(self._idle.pop())

    @asynccontextmanager
    async def borrow(self, patience: float) -> AsyncGenerator[Link]:
        """Use a connection for the length of a block; after a failure it is kept only if it is as before."""
        link = await self.acquire(patience)
        try:
            yield link
        except asyncio.CancelledError:
            self.discard(link)
            raise
        except BaseException:
            self.release(link)
            raise
        else:
            self.release(link)

    async def close(self) -> None:
        """Wait for what is in use, which takes no longer than its call may, and close everything; give out no more."""
        self._unused = asyncio.Event()
        if self._used:
            await self._unused.wait()
        if self._trimmer is not None:
            self._trimmer.cancel()
            self._trimmer = None
        self.distrust()
        while self._closing:
            await asyncio.wait(self._closing)

    def _free_slot(self) -> None:
        self._slots.release()
        self._used -= 1
        if not self._used and self._unused is not None:
            self._unused.set()

    async def _wait_for_slot(self, deadline: float, patience: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        except TimeoutError as exc:
            raise StoreUnavailableError(
                f"all {self.size} connections have been busy for {patience:.3g} s; nothing was saved"
            ) from exc

    def _pop_idle(self) -> Link | None:
        while self._idle:
            link = self._idle.pop()
            if link.is_clean:
                return link
            self._close_later(link)
        return None

    async def _open(self, deadline: float) -> Link:
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._source.open(max(deadline - self._loop.time(), _SHORTEST_ATTEMPT))
            except FAULTS as exc:
                if self._loop.time() + pause >= deadline:
                    raise unreachable(exc) from exc
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _trim(self) -> None:
        """Close what has not been used for a while: the first ones, because the last one released is the next used."""
        self._trimmer = None
        oldest = self._loop.time() - self._source.keep
        while self._idle and self._idle[0].released_at <= oldest:
            self._close_later(self._idle.pop(0))
        if self._idle:
            self._trimmer = self._loop.call_at(self._idle[0].released_at + self._source.keep, self._trim)

    def _close_later(self, link: Link) -> None:
        closing = self._loop.create_task(self._source.close(link))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
