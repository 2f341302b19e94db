"""Those who are told of batches: they hear of what was committed, and harm nobody."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from statewright import ConcurrencyConflictError, MemoryStore
from statewright.testing.contract.samples import following, opening

pytest_plugins = ["tests.fixtures.stores"]


async def test_a_listener_that_raises_harms_nobody(store: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; the save is answered, and so are those that follow."""
    if isinstance(store, MemoryStore):
        pytest.skip("saves one at a time")
    heard: list[int] = []

    def raises(_: int) -> None:
        raise RuntimeError("a gauge that is gone")

    store.batch_listeners.extend([raises, heard.append])
    created = opening()

    async with asyncio.timeout(30):
        with caplog.at_level(logging.ERROR, "statewright.store"):
            await store.save(created)
        await store.save(following(created))

    assert heard == [1, 1]
    assert "a gauge that is gone" in caplog.text


async def test_losers_are_not_counted(store: Any) -> None:
    """A listener is told of saves that were committed, and of no batch in which all have lost."""
    if isinstance(store, MemoryStore):
        pytest.skip("saves one at a time")
    heard: list[int] = []
    created = opening()
    await store.save(created)
    store.batch_listeners.append(heard.append)

    with pytest.raises(ConcurrencyConflictError):
        await store.save(created)
    await store.save(following(created))

    assert heard == [1]
