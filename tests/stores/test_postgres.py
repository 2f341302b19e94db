"""The PostgreSQL store under the contract of all stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from statewright.stores.postgres import PostgresStore
from statewright.testing import StoreContract
from tests.postgres_server import PostgresServer

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = pytest.mark.postgres


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, postgres_store: PostgresStore) -> PostgresStore:
        return postgres_store

    def reopen(self, store: Any) -> PostgresStore:
        return PostgresStore(store._settings.source, schema=store._settings.schema)


class TestOnAPool(StoreContract):
    """The same, on connections that are borrowed from a pool of the user's with settings of its own."""

    @pytest.fixture
    async def store(
        self, postgres: PostgresServer, make_postgres_store: Callable[..., PostgresStore]
    ) -> AsyncIterator[PostgresStore]:
        async def configure(connection: psycopg.AsyncConnection[Any]) -> None:
            await connection.execute("SET TimeZone = 'Asia/Kathmandu'")
            await connection.execute("SET default_transaction_isolation = 'serializable'")
            await connection.commit()

        kwargs = {"row_factory": psycopg.rows.dict_row, "cursor_factory": psycopg.AsyncClientCursor}
        async with (
            AsyncConnectionPool(postgres.dsn, kwargs=kwargs, configure=configure, min_size=1, max_size=4) as pool,
            make_postgres_store(pool) as store,
        ):
            yield store
