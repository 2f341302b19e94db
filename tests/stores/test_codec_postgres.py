"""A codec around PostgreSQL, and inside a caller's transaction."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from statewright.errors import ConcurrencyConflictError
from statewright.stores.codec import AESGCMCodec, CodecStore
from statewright.stores.postgres import PostgresStore
from statewright.testing import StoreContract
from statewright.testing.contract.samples import ID, following, loaded, opening
from tests.postgres_server import PostgresServer

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = pytest.mark.postgres

MARKER = "marker-4711"


@pytest.fixture
def coded(postgres_store: PostgresStore) -> CodecStore:
    return CodecStore(postgres_store, AESGCMCodec({"k": bytes(32)}))


class TestCodecAroundPostgres(StoreContract):
    @pytest.fixture
    def store(self, coded: CodecStore) -> CodecStore:
        return coded


async def test_no_data_is_in_the_tables(coded: CodecStore, postgres: PostgresServer, postgres_schema: str) -> None:
    """No table of the schema holds any of the data."""
    await coded.save(opening(data={"secret": MARKER}, metadata={"user": MARKER}))

    assert (await loaded(coded)).snapshot.data == {"secret": MARKER}
    with psycopg.connect(postgres.dsn) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (postgres_schema,))
        rows = [
            str(row)
            for (table,) in tables.fetchall()
            for row in connection.execute(f'SELECT t::text FROM "{postgres_schema}"."{table}" t').fetchall()
        ]
    assert any(ID in row for row in rows)
    assert [row for row in rows if MARKER in row] == []


async def test_bound_store_encodes(coded: CodecStore, postgres: PostgresServer) -> None:
    """What is saved in a caller's transaction is encoded, seen there, and visible to others with its commit."""
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        bound: Any = coded.bind(connection)
        assert bound.bound
        assert coded.bind(connection) is bound
        created = opening(data={"secret": MARKER})
        await bound.save(created)
        assert (await loaded(bound)).snapshot.data == {"secret": MARKER}
        with pytest.raises(ConcurrencyConflictError):
            await bound.save(created)
        await bound.save(following(created, data={"secret": "x"}))
        assert await coded.load(ID) is None
        await connection.commit()

    assert (await loaded(coded)).snapshot.data == {"secret": "x"}
    raw = await coded.inner.load(ID)
    assert raw is not None
    assert raw.snapshot.data.startswith("statewright:k.")
