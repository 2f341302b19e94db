"""A store whose saves the test lets through, one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from statewright import MemoryStore, SaveOptions, StoredWorkflow


class HeldStore:
    """A memory store whose saves, and loads where asked, wait until the test decides about them."""

    def __init__(self, inner: MemoryStore | None = None) -> None:
        self.inner = inner or MemoryStore()
        self.saves: list[SaveOptions] = []
        self.loads = 0
        self.holds = False
        self.holds_loads = False
        self._held: list[tuple[SaveOptions, asyncio.Future[None]]] = []
        self._held_loads: list[asyncio.Future[None]] = []

    async def load(self, id: str) -> StoredWorkflow | None:
        self.loads += 1
        if self.holds_loads:
            held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._held_loads.append(held)
            await held
        return await self.inner.load(id)

    async def save(self, options: SaveOptions) -> None:
        await self.submit(options)

    def submit(self, options: SaveOptions) -> asyncio.Future[None]:
        self.saves.append(options)
        if not self.holds:
            return self.inner.submit(options)
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.append((options, outcome))
        return outcome

    async def recall(self, id: str, key: str) -> object:
        return await self.inner.recall(id, key)

    @property
    def waiting(self) -> int:
        """How many saves are held."""
        return len(self._held)

    async def until_saving(self) -> None:
        """Wait until a save is held."""
        while not self._held:  # noqa: ASYNC110 - one turn of the loop at a time, no clock
            await asyncio.sleep(0)

    async def until_loading(self) -> None:
        """Wait until a load is held."""
        while not self._held_loads:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)

    def let_load(self, error: Exception | None = None) -> None:
        """Let the first held load go on, or fail."""
        held = self._held_loads.pop(0)
        if held.cancelled():
            return
        if error is None:
            held.set_result(None)
        else:
            held.set_exception(error)

    def let_save(self) -> None:
        """Do the first held save."""
        options, outcome = self._held.pop(0)
        done = self.inner.submit(options)
        if (error := done.exception()) is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    def fail_save(self, error: Exception) -> None:
        """Let the first held save fail without doing it."""
        self._held.pop(0)[1].set_exception(error)


async def settled(condition: Callable[[], bool] = lambda: False, turns: int = 20) -> None:
    """Let the event loop run until nothing more can happen by itself, or until a condition holds."""
    for _ in range(turns):
        if condition():
            return
        await asyncio.sleep(0)
