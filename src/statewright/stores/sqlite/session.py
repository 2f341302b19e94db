"""One opening of a store: its threads, from `setup` to `close`."""

from __future__ import annotations

import asyncio
import sqlite3
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from ..._engine.bell import Bell
from .connection import Database, Settings
from .ear import Ear
from .glance import Glance
from .reader import Reader
from .request import Inbox, Work
from .writer import Writer

T = TypeVar("T")

_ORPHANS: Final[list[Any]] = []
"""Connections that a forked child inherited: never closed nor collected, which would touch the parent's file."""

_FORKED: Final = (
    "the store was opened before this process was forked, and a SQLite connection does not survive that: "
    "open the store in the child, with `async with store:`"
)


class Session:
    """An open store.

    Args:
        settings: Of the store.
    """

    def __init__(self, settings: Settings) -> None:
        self.bell = Bell()
        self.is_forked = False
        self._settings = settings
        self._writer = Writer(settings, self.bell)
        self._reader = None if settings.in_memory else Reader(settings)
        self._glance = None if settings.in_memory else Glance(settings)
        self.ear = Ear(self._glance, self.bell)
        self._writer.start()
        # A store that nobody closed, and nobody has any more, does not leave its threads behind.
        inboxes = [self._writer.inbox] if self._reader is None else [self._reader.inbox, self._writer.inbox]
        weakref.finalize(self, _end, inboxes, self._glance).atexit = False

    @property
    def inbox(self) -> Inbox:
        """Where loads, recalls and saves are put."""
        return self._writer.inbox

    async def opened(self) -> None:
        """Wait until the file is open.

        Raises:
            StoreError: It cannot be opened.
        """
        await asyncio.wrap_future(self._writer.opened)

    @property
    def glance(self) -> Glance | None:
        """Where one row is read at once; `None` if the thread is to be asked, because there are many callers.

        Of many callers, one that does not wait for its load saves alone, and breaks up what they would save together.
        """
        return self._glance if self._writer.has_one_caller else None

    async def write(self, function: Callable[[Database], T]) -> T:
        """Run a function on the thread that writes."""
        return await _perform(self._writer.inbox, function)

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function that reads one page; it holds up no save, but in memory, where there is one connection."""
        if self._reader is None or self.is_forked:
            return await self.write(lambda database: function(database.connection))
        self._reader.start()
        return await _perform(self._reader.inbox, function)

    async def close(self) -> None:
        """Let both threads finish what they were given, and end."""
        if not self.is_forked:
            await asyncio.shield(self._finish())

    async def _finish(self) -> None:
        # The writer closes last: with the last connection SQLite makes a checkpoint, and that needs the side lock.
        if self._glance is not None:
            self._glance.close()
        if self._reader is not None:
            self._reader.end()
            await asyncio.wrap_future(self._reader.ended)
        self._writer.inbox.end()
        await asyncio.wrap_future(self._writer.ended)

    def abandon(self) -> None:
        """Give everything up in a forked child: file and threads belong to the parent."""
        self.is_forked = True
        database = self._writer.database
        _ORPHANS.append(getattr(database, "connection", None))
        database.lock.abandon()
        self._writer.inbox.replace(_FORKED)
        if self._glance is not None:
            _ORPHANS.append(self._glance.abandon())
            self._glance = None
        if self._reader is not None:
            _ORPHANS.append(self._reader.connection)
            self._reader.inbox.replace(_FORKED)


def _end(inboxes: Sequence[Inbox], glance: Glance | None) -> None:
    if glance is not None:
        glance.close()
    for inbox in inboxes:
        inbox.end()


async def _perform(inbox: Inbox, function: Callable[[Any], T]) -> T:
    work = Work(asyncio.get_running_loop(), function)
    inbox.put(work)
    result: T = await work.future
    return result
