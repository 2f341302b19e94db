"""`SQLiteStore` keeps what every store promises, in a file and in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from statewright.stores.sqlite import SQLiteStore
from statewright.testing import StoreContract


class TestFile(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
        async with SQLiteStore(tmp_path / "workflows.db") as store:
            yield store

    def reopen(self, store: SQLiteStore) -> SQLiteStore:
        return SQLiteStore(store._settings.path)


class TestMemory(StoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[SQLiteStore]:
        async with SQLiteStore(":memory:") as store:
            yield store
