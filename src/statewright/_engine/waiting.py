"""Waiting for what follows from a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from ..errors import StoreError, unsupported
from .ports import HistoryStore, ReaderStore

_FIRST_PAUSE = timedelta(milliseconds=2)
_LONGEST_PAUSE = timedelta(milliseconds=100)


async def wait_until_passed(store: Any, id: str, version: int, by: Iterable[str], timeout: timedelta) -> bool:
    """Wait until readers have dealt with a commit: a publisher published it, a reactor's commands are delivered.

    Args:
        store: A store that keeps the positions of readers.
        id: The workflow.
        version: Of the commit.
        by: Names of reactors and publishers.
        timeout: How long to wait at most.

    Returns:
        Whether all have; a dead letter on the way lets it time out.

    Raises:
        StoreError: The store failed, or knows no readers.
    """
    if not isinstance(store, ReaderStore) or not isinstance(store, HistoryStore):
        raise unsupported(f"store {type(store).__name__} knows no readers: implement `ReaderStore` and `HistoryStore`")
    found = await store.history(id, after=version - 1, limit=1)
    if not found or found[0].version != version:
        raise StoreError(f"workflow {id!r} has no commit with version {version} any more")
    limit = asyncio.timeout(timeout.total_seconds())
    try:
        async with limit:
            for name in by:
                pause = _FIRST_PAUSE
                while not await _has_passed(store, name, id, found[0].position):
                    # No store tells of positions: they are looked at, less and less often.
                    await asyncio.sleep(pause.total_seconds())
                    pause = min(pause * 2, _LONGEST_PAUSE)
    except TimeoutError:
        if not limit.expired():
            raise  # the store's own
        return False
    return True


async def _has_passed(store: ReaderStore, name: str, id: str, position: int) -> bool:
    for reader in (f"reactor:{name}", f"publisher:{name}"):
        reached = await store.reader_position(reader)
        if reached is not None:
            return reached >= position and not await store.has_undelivered(reader, id, position)
    return False  # it has not started yet
