"""What a store promises, it promises around a codec, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from statewright import MemoryStore
from statewright.stores.codec import AESGCMCodec, CodecStore, CompressionCodec
from statewright.stores.sqlite import SQLiteStore
from statewright.testing import StoreContract

KEYS = {"k1": bytes(range(32))}


def coded(store: Any) -> CodecStore:
    return CodecStore(store, CompressionCodec(), AESGCMCodec(KEYS))


class TestCodecAroundMemory(StoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[CodecStore]:
        async with coded(MemoryStore()) as store:
            yield store


class TestCodecAroundSQLite(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[CodecStore]:
        self.path = tmp_path / "coded.db"
        async with coded(SQLiteStore(self.path)) as store:
            yield store

    def reopen(self, store: Any) -> CodecStore:
        return coded(SQLiteStore(self.path))
