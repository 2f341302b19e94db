"""All lanes of one store."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Awaitable
from typing import Final

from ..errors import ConcurrencyConflictError
from .lane import Lane
from .memory import Memory
from .ports import FoldingStore, IdempotentStore, SaveOptions, StoreAdapter, StoredWorkflow, TimerStore

MAX_COMMANDS: Final = 256
"""How many commands a fold holds."""

_identity: Final = id  # methods below have arguments of this name


class Lanes:
    """The lanes of one store instance; executors over the same store share them."""

    def __init__(self, store: StoreAdapter) -> None:
        self.store = store
        folding = store if isinstance(store, FoldingStore) else None
        self._folding: FoldingStore | None = folding
        # Asked once: to ask whether a store has all methods of a protocol costs as much as a small command.
        self.answers: IdempotentStore | None = store if isinstance(store, IdempotentStore) else None
        """The store, if it records idempotency keys."""
        self.timers: TimerStore | None = store if isinstance(store, TimerStore) else None
        """The store, if it keeps timers."""
        self.is_bound: bool = bool(getattr(store, "bound", False))
        self.max_commands = MAX_COMMANDS if folding is not None and not self.is_bound else 1
        self.keeps_standing = self.max_commands > 1
        """Whether a command may rest on what was saved last; a user's own two methods are asked each time."""
        self._lanes: dict[tuple[int, str], Lane] = {}
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        remembers = self.max_commands > 1 and bool(getattr(store, "is_cacheable", False))
        self.memory: Memory | None = Memory() if remembers else None
        """Where the store lets workflows be remembered."""

    def enter(self, id: str) -> Lane:
        """Return the lane of a workflow on the running loop."""
        loop = asyncio.get_running_loop()
        key = (_identity(loop), id)
        lane = self._lanes.get(key)
        if lane is None or lane._loop is not loop:
            if loop not in self._loops:
                self._meet(loop)
            lane = self._lanes[key] = Lane(self, loop, id)
            if self.memory is not None:
                lane._standing = self.memory.recall(id)
        return lane

    def drop(self, lane: Lane) -> None:
        """Forget a lane that nobody is in."""
        key = (_identity(lane._loop), lane.id)
        if self._lanes.get(key) is not lane:
            return  # it was dropped before; what it knows may have been forgotten since
        del self._lanes[key]
        if self.memory is not None and lane._standing is not None:
            self.memory.keep(lane.id, lane._standing)

    def _meet(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let go of lanes whose loop was closed while somebody was in them: there is a new loop now."""
        self._loops.add(loop)
        for key, lane in list(self._lanes.items()):
            if lane._loop.is_closed():
                del self._lanes[key]

    def load(self, id: str) -> Awaitable[StoredWorkflow | None]:
        """Read a workflow."""
        return self.store.load(id)

    def submit(self, options: SaveOptions) -> asyncio.Future[None]:
        """Begin a save that nobody's cancellation stops."""
        if self._folding is not None:
            return self._folding.submit(options)
        return asyncio.ensure_future(self.store.save(options))

    def may_retry(self, conflict: ConcurrencyConflictError) -> bool:
        """Return whether a lost race may be decided again: above READ COMMITTED the caller's transaction may not."""
        return not (self.is_bound and conflict.actual_version is None)


_MAKING: Final = threading.Lock()
_KNOWN: weakref.WeakValueDictionary[int, Lanes] = weakref.WeakValueDictionary()


def lanes_of(store: StoreAdapter) -> Lanes:
    """Return the lanes of a store instance."""
    # Keyed by identity, because a store need be neither hashable nor weakly referable; a `Lanes` holds its store, so
    # that the identity cannot be another's while the entry lives.
    with _MAKING:
        lanes = _KNOWN.get(id(store))
        if lanes is None or lanes.store is not store:
            lanes = _KNOWN[id(store)] = Lanes(store)
        return lanes
