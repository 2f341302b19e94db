"""Noticing what other processes commit: SQLite tells nobody, but it counts."""

from __future__ import annotations

import time
from typing import Final

from ..._engine.bell import Bell
from .glance import Glance

_LOOK: Final = 0.01
"""Seconds between two looks while somebody waits; one takes some microseconds, and no thread."""


class Ear:
    """Rings the bell of a store when the file was changed by somebody else.

    It looks only while somebody waits, and for all who wait at once. What it misses, those who wait find by polling.

    Args:
        glance: Reads on the event loop's thread; `None` for a store in memory, which nobody shares.
        bell: What to ring.
    """

    def __init__(self, glance: Glance | None, bell: Bell) -> None:
        self._glance = glance
        self._bell = bell
        self._seen: int | None = None
        self._next_look = 0.0

    async def wait(self, heard: int, seconds: float | None) -> None:
        """Wait until the bell is rung more often than `heard`, or until some time has passed."""
        if self._glance is None:
            await self._bell.wait(heard, seconds)
            return
        end = float("inf") if seconds is None else time.monotonic() + seconds
        while self._bell.rung == heard and (remaining := end - time.monotonic()) > 0:
            self._look(self._glance)
            await self._bell.wait(heard, min(_LOOK, remaining))

    def _look(self, glance: Glance) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return  # somebody else who waits has just looked
        self._next_look = now + _LOOK / 2
        changes = glance.changes()
        if changes is not None and changes != self._seen:
            # The first look has nothing to compare with, so that it may ring for nothing.
            self._seen = changes
            self._bell.ring()
