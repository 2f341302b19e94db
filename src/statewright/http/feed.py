"""One look at a store's log for all who watch it: nobody who reads slowly holds up the others."""

from __future__ import annotations

import asyncio
import bisect
import logging
from collections import deque
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import Any, Final

from .._engine.ports import CommitLog, ReaderStore
from .._model.commit import Commit
from ..errors import PositionPrunedError, unsupported

_log: Final = logging.getLogger("statewright.http")
_KEPT: Final = 1024
"""Of the latest commits so many are at hand; who is further behind reads from the store."""
_PAGE: Final = 500
_PAUSE: Final = 1.0
"""Seconds before a store that failed is asked again."""
_MOST: Final = 2**53 - 1


class Watcher:
    """Somebody who wants to know when there is something new."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    def call(self) -> None:
        """Say that there is something new."""
        self._news.set()

    async def wait(self) -> None:
        """Return when something new has come since the last time."""
        await self._news.wait()
        self._news.clear()


class Feed:
    """The end of a store's log. It follows the log while anybody watches, and keeps the latest commits.

    Each watcher has its own place in the log. What the feed keeps does not grow with the number of watchers, nor with
    how slowly they read.

    Args:
        store: The store; it has to keep a log to be watched.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._watchers: dict[tuple[str, str], set[Watcher]] = {}
        self._recent: deque[Commit] = deque(maxlen=_KEPT)
        self._from = 0
        """All commits above this position are among the recent ones."""
        self._follower: asyncio.Task[None] | None = None

    def log(self) -> CommitLog:
        """Return the store's log.

        Raises:
            StoreError: It has none.
        """
        if not isinstance(self._store, CommitLog):
            name = type(self._store).__name__
            raise unsupported(f"store {name} cannot be watched: implement `commits` and `subscribe` (CommitLog)")
        return self._store

    @contextmanager
    def watch(self, kind: str, name: str, start: int) -> Generator[Watcher]:
        """Yield a watcher of one workflow (`kind="id"`) or of a definition (`kind="definition"`).

        Args:
            kind: What is watched.
            name: Its id or name.
            start: Everything above this position is told.
        """
        watcher = Watcher()
        key = (kind, name)
        self._watchers.setdefault(key, set()).add(watcher)
        if self._follower is None:
            self._begin(start)
        try:
            yield watcher
        finally:
            self._watchers[key].discard(watcher)
            if not self._watchers[key]:
                del self._watchers[key]
            if not self._watchers and self._follower is not None:
                self._follower.cancel()
                self._follower = None

    def _begin(self, start: int) -> None:
        self._recent.clear()
        self._from = start
        self._follower = asyncio.get_running_loop().create_task(self._follow(start), name="statewright-feed")

    async def _follow(self, after: int) -> None:
        while True:
            try:
                async for commit in self.log().subscribe(after=after):
                    after = commit.position
                    self._keep(commit)
            except PositionPrunedError as error:
                after = self._from = max(after, error.horizon)
                self._recent.clear()
            except Exception as error:  # noqa: BLE001 - watchers wait until the store is back
                _log.warning("the log cannot be read; trying again", extra={"error": type(error).__name__})
                await asyncio.sleep(_PAUSE)

    def _keep(self, commit: Commit) -> None:
        if len(self._recent) == self._recent.maxlen:
            self._from = self._recent[0].position
        self._recent.append(commit)
        for key in (("id", commit.workflow_id), ("definition", commit.definition)):
            for watcher in self._watchers.get(key, ()):
                watcher.call()

    async def read(self, after: int) -> list[Commit]:
        """Return some commits above a position, in order; none if there are none yet.

        Raises:
            PositionPrunedError: Some of them have been pruned.
            StoreError: The store failed.
        """
        if self._follower is not None and after >= self._from:
            begin = bisect.bisect_right(self._recent, after, key=lambda commit: commit.position)
            return [self._recent[index] for index in range(begin, min(begin + _PAGE, len(self._recent)))]
        return await self.log().commits(after=after, limit=_PAGE)

    async def end(self) -> int:
        """Return the position of the last commit; 0 if there is none.

        Raises:
            StoreError: The store failed.
        """
        if isinstance(self._store, ReaderStore):
            return await self._store.last_position()
        return await _search_end(self.log())


async def _search_end(log: CommitLog) -> int:
    """Find the last position of a log that cannot tell it, by halving."""
    low, high = 0, 1
    while high < _MOST and await _is_beyond(log, high):
        low, high = high, high * 2
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (middle, high) if await _is_beyond(log, middle) else (low, middle)
    return high if await _is_beyond(log, low) else low


async def _is_beyond(log: CommitLog, position: int) -> bool:
    """Return whether there is a commit above a position."""
    try:
        return bool(await log.commits(after=position, limit=1))
    except PositionPrunedError as error:
        return position < error.horizon or bool(await log.commits(after=error.horizon, limit=1))


async def pages(feed: Feed, watcher: Watcher, after: int) -> AsyncIterator[list[Commit]]:
    """Yield what comes in, from a position on; an empty page means that everything has been read for now."""
    while True:
        found = await feed.read(after)
        if found:
            after = found[-1].position
        yield found
        if not found:
            await watcher.wait()
