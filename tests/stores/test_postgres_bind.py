"""Saving in a transaction of the caller's: all of it becomes visible together, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from statewright._model.snapshot import WorkflowSnapshot
from statewright.errors import (
    ConcurrencyConflictError,
    DefinitionError,
    InvalidDataError,
    StoreError,
    StoreUnavailableError,
)
from statewright.stores.postgres import PostgresStore
from statewright.testing import StoreContract
from statewright.testing.contract.samples import BEGAN, ID, check_stored, following, loaded, opening
from tests.postgres_server import PostgresServer

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = pytest.mark.postgres

MakeStore = Callable[..., PostgresStore]


class TestBoundStore(StoreContract):
    """A bound store keeps the contract, within one transaction."""

    @pytest.fixture
    async def store(self, postgres: PostgresServer, postgres_store: PostgresStore) -> AsyncIterator[Any]:
        async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
            yield postgres_store.bind(connection)
            await connection.rollback()

    @pytest.mark.skip(reason="positions come with the caller's commit: tests/stores/test_postgres_log.py")
    async def test_positions_rise_with_versions(self, store: Any, history_store: Any) -> None:
        """Not before the caller commits."""


# --- each kind of connection ---------------------------------------------------------------------------------------

Open = Callable[[], AbstractAsyncContextManager[tuple[Any, Callable[[str], Any]]]]


@pytest.fixture
async def engine(postgres: PostgresServer) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(_url(postgres, "postgresql+psycopg"))
    yield engine
    await engine.dispose()


def _url(postgres: PostgresServer, driver: str) -> URL:
    parts: dict[str, Any] = conninfo_to_dict(postgres.dsn)
    return URL.create(driver, parts["user"], parts["password"], parts["host"], int(parts["port"]), parts["dbname"])


@pytest.fixture(params=["psycopg", "psycopg autocommit", "connection", "session"])
def begin(request: pytest.FixtureRequest, postgres: PostgresServer, engine: AsyncEngine) -> Open:
    """Open a transaction in one of the ways that users do; the block's end commits, an exception rolls back."""

    @asynccontextmanager
    async def by_psycopg() -> AsyncIterator[tuple[Any, Callable[[str], Any]]]:
        async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
            yield connection, lambda query: connection.execute(query.encode())

    @asynccontextmanager
    async def by_autocommit() -> AsyncIterator[tuple[Any, Callable[[str], Any]]]:
        connecting = psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True)
        async with await connecting as connection, connection.transaction():
            yield connection, lambda query: connection.execute(query.encode())

    @asynccontextmanager
    async def by_connection() -> AsyncIterator[tuple[Any, Callable[[str], Any]]]:
        async with engine.connect() as connection:
            yield connection, lambda query: connection.execute(text(query))
            await connection.commit()

    @asynccontextmanager
    async def by_session() -> AsyncIterator[tuple[Any, Callable[[str], Any]]]:
        async with AsyncSession(engine) as session:
            yield session, lambda query: session.execute(text(query))
            await session.commit()

    ways = {
        "psycopg": by_psycopg,
        "psycopg autocommit": by_autocommit,
        "connection": by_connection,
        "session": by_session,
    }
    chosen: Open = ways[request.param]
    return chosen


@pytest.fixture
async def invoices(postgres: PostgresServer, postgres_store: PostgresStore) -> str:
    """A table of the user's own."""
    table = f"{postgres_store._settings.schema}.invoice"
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        await connection.execute(f"CREATE TABLE {table} (id text PRIMARY KEY)".encode())
    return table


async def _invoices(postgres: PostgresServer, table: str) -> int:
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        row = await (await connection.execute(f"SELECT count(*) FROM {table}".encode())).fetchone()
    assert row is not None
    return int(row[0])


async def test_visible_together(
    postgres: PostgresServer, postgres_store: PostgresStore, begin: Open, invoices: str
) -> None:
    """Workflow, commits, key and the caller's own row appear with the caller's commit, and not before."""
    options = opening(idempotency_key="k", fingerprint="{}")
    async with begin() as (connection, execute):
        bound = postgres_store.bind(connection)
        await bound.save(options)
        await execute(f"INSERT INTO {invoices} VALUES ('i-1')")
        later = following(options, count=2)
        await bound.save(later)

        check_stored(await loaded(bound), later.snapshot)
        assert await bound.recall(ID, "k") is not None
        assert [commit.version for commit in await bound.history(ID)] == [1, 2, 3]
        assert await bound.snapshot_at(ID, 2) is not None
        assert [stored.version for stored in await bound.find()] == [3]
        assert await bound.count(definition="order", state="Draft") == 1
        assert await bound.count_by_state("order") == {"Draft": 1}

        assert await postgres_store.load(ID) is None
        assert await postgres_store.recall(ID, "k") is None
        assert await postgres_store.commits() == []
        assert await _invoices(postgres, invoices) == 0

    check_stored(await loaded(postgres_store), later.snapshot)
    assert await postgres_store.recall(ID, "k") is not None
    assert [commit.position for commit in await postgres_store.commits()] == [1, 2, 3]
    assert await _invoices(postgres, invoices) == 1


async def test_a_bound_save_alone_is_committed(postgres_store: PostgresStore, begin: Open) -> None:
    """A bound save is all that the caller's transaction holds, and its commit commits it."""
    async with begin() as (connection, _):
        await postgres_store.bind(connection).save(opening())
    assert await postgres_store.load(ID) is not None


async def test_gone_together(
    postgres: PostgresServer, postgres_store: PostgresStore, begin: Open, invoices: str
) -> None:
    """When the caller's transaction is rolled back, nothing of it is left."""

    async def fail_at_the_end() -> None:
        async with begin() as (connection, execute):
            await execute(f"INSERT INTO {invoices} VALUES ('i-1')")
            await postgres_store.bind(connection).save(opening(idempotency_key="k", fingerprint="{}"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_at_the_end()

    assert await postgres_store.load(ID) is None
    assert await postgres_store.commits() == []
    assert await postgres_store.recall(ID, "k") is None
    assert await _invoices(postgres, invoices) == 0


async def test_a_conflict_leaves_the_transaction_usable(
    postgres: PostgresServer, postgres_store: PostgresStore, begin: Open, invoices: str
) -> None:
    """After a lost race, or data that the server refuses, the caller's transaction goes on and commits."""
    await postgres_store.save(opening())
    await postgres_store.save(following(opening()))
    broken = WorkflowSnapshot.of_text("bad", "order", "Draft", "{no json", 1, 1, BEGAN, BEGAN)
    bad = opening("bad")
    [commit] = bad.commits
    object.__setattr__(bad, "snapshot", broken)
    object.__setattr__(commit, "snapshot", broken)

    async with begin() as (connection, execute):
        bound = postgres_store.bind(connection)
        await execute(f"INSERT INTO {invoices} VALUES ('i-1')")
        for late in (opening(), following(opening()), following(opening(), count=3)):
            with pytest.raises(ConcurrencyConflictError) as caught:
                await bound.save(late)
            assert caught.value.actual_version == 2
            assert caught.value.current.version == 2  # type: ignore[attr-defined]
        with pytest.raises(ConcurrencyConflictError) as caught:
            await bound.save(following(opening("nobody")))
        assert caught.value.actual_version == 0
        with pytest.raises(InvalidDataError):
            await bound.save(bad)
        await bound.save(following(await loaded(bound)))
        await execute(f"INSERT INTO {invoices} VALUES ('i-2')")

    assert (await loaded(postgres_store)).version == 3
    assert await _invoices(postgres, invoices) == 2


async def test_nothing_is_left_behind(postgres: PostgresServer, postgres_store: PostgresStore) -> None:
    """The caller's session is as it was: its settings, its savepoints, its open transaction."""
    query = "SELECT name, setting FROM pg_settings ORDER BY name"
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        before = await (await connection.execute(query)).fetchall()
        bound = postgres_store.bind(connection)
        await bound.save(opening())
        with pytest.raises(ConcurrencyConflictError):
            await bound.save(opening())

        assert await (await connection.execute(query)).fetchall() == before
        assert connection.info.transaction_status == TransactionStatus.INTRANS
        with pytest.raises(psycopg.errors.InvalidSavepointSpecification):
            await connection.execute("ROLLBACK TO SAVEPOINT statewright_save")
        await connection.rollback()
        assert not connection.closed
    assert await postgres_store.load(ID) is None


# --- races ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_a_race_above_read_committed(postgres: PostgresServer, postgres_store: PostgresStore, level: str) -> None:
    """Above READ COMMITTED a lost race is a conflict without an actual version, and the transaction goes on."""
    await postgres_store.save(opening("calm"))
    await postgres_store.save(opening())
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        await connection.execute(f"SET TRANSACTION ISOLATION LEVEL {level}".encode())
        bound = postgres_store.bind(connection)
        stored = await loaded(bound)
        await postgres_store.save(following(opening()))
        await postgres_store.save(opening("new"))
        for late in (following(stored), opening("new"), following(opening(), count=2), opening("calm")):
            with pytest.raises(ConcurrencyConflictError) as caught:
                await bound.save(late)
            assert caught.value.actual_version is None
        await bound.save(opening("mine"))
        await connection.commit()
    assert await postgres_store.load("mine") is not None


@pytest.mark.slow
async def test_waiting_for_a_lock_is_bounded(postgres: PostgresServer, make_postgres_store: MakeStore) -> None:
    """A bound save that waits for another transaction gives up after the store's timeout, and harms nothing."""
    async with (
        make_postgres_store(timeout=timedelta(milliseconds=200)) as store,
        await psycopg.AsyncConnection.connect(postgres.dsn) as one,
        await psycopg.AsyncConnection.connect(postgres.dsn) as two,
    ):
        await store.save(opening())
        await store.bind(one).save(following(opening()))
        await store.bind(two).save(opening("other"))
        async with asyncio.timeout(5):
            with pytest.raises(StoreUnavailableError, match="locked"):
                await store.bind(two).save(following(opening()))
        await one.rollback()
        await store.bind(two).save(following(opening()))
        await two.commit()
        assert (await loaded(store)).version == 2
        assert await store.load("other") is not None


@pytest.mark.slow
async def test_a_deadlock_is_no_end(postgres: PostgresServer, postgres_store: PostgresStore) -> None:
    """Of two transactions that wait for each other, one save fails, and its transaction can go on or roll back."""
    await asyncio.gather(postgres_store.save(opening("a")), postgres_store.save(opening("b")))

    async def save_both(first: str, second: str, met: asyncio.Barrier) -> BaseException | None:
        async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
            bound = postgres_store.bind(connection)
            await bound.save(following(opening(first)))
            await met.wait()
            try:
                await bound.save(following(opening(second)))
            except (StoreUnavailableError, ConcurrencyConflictError) as error:
                await connection.rollback()
                return error
            return None

    met = asyncio.Barrier(2)
    async with asyncio.timeout(20):
        answers = await asyncio.gather(save_both("a", "b", met), save_both("b", "a", met))

    assert sorted(type(answer).__name__ for answer in answers) == ["NoneType", "StoreUnavailableError"]
    assert (await loaded(postgres_store, "a")).version == 2
    assert (await loaded(postgres_store, "b")).version == 2


async def test_a_cancelled_save_leaves_the_transaction_usable(
    postgres: PostgresServer, postgres_store: PostgresStore
) -> None:
    """A caller that is cancelled while its bound save waits for a lock can go on in its transaction."""
    await postgres_store.save(opening())
    async with (
        await psycopg.AsyncConnection.connect(postgres.dsn) as one,
        await psycopg.AsyncConnection.connect(postgres.dsn) as two,
    ):
        await postgres_store.bind(one).save(following(opening()))
        saving = asyncio.ensure_future(postgres_store.bind(two).save(following(opening())))
        await _until_waiting(postgres, two.info.backend_pid)
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving

        assert two.info.transaction_status == TransactionStatus.INTRANS
        await postgres_store.bind(two).save(opening("other"))
        await two.commit()
    assert await postgres_store.load("other") is not None


async def _until_waiting(postgres: PostgresServer, pid: int) -> None:
    query = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s"
    async with (
        asyncio.timeout(10),
        await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as connection,
    ):
        while await (await connection.execute(query, (pid,))).fetchone() != ("Lock",):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_save_that_comes_after_the_end(postgres: PostgresServer, postgres_store: PostgresStore) -> None:
    """A bound save that gets its turn after the caller's transaction has ended saves nothing, and says so."""
    async with await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as connection:
        await connection.execute("BEGIN")
        busy = asyncio.ensure_future(connection.execute("SELECT pg_sleep(0.1)"))
        await asyncio.sleep(0)
        ending = asyncio.ensure_future(connection.execute("ROLLBACK"))
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailableError, match="nothing was saved"):
            await postgres_store.bind(connection).save(opening())
        await asyncio.gather(busy, ending)
        assert connection.info.transaction_status == TransactionStatus.IDLE
    assert await postgres_store.load(ID) is None


# --- what cannot be bound ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thing", [None, "postgresql://", object()])
async def test_what_cannot_be_bound(postgres_store: PostgresStore, thing: Any) -> None:
    """Anything but a connection is a DefinitionError that says what is expected."""
    with pytest.raises(DefinitionError, match="AsyncConnection"):
        postgres_store.bind(thing)


async def test_a_synchronous_connection(postgres: PostgresServer, postgres_store: PostgresStore) -> None:
    """A synchronous connection cannot be bound, and the message says why."""
    with psycopg.connect(postgres.dsn) as connection, pytest.raises(DefinitionError, match="synchronous"):
        postgres_store.bind(connection)  # type: ignore[arg-type]


async def test_another_driver(postgres: PostgresServer, postgres_store: PostgresStore) -> None:
    """SQLAlchemy over another driver is a StoreError that names the one that is needed."""
    pytest.importorskip("asyncpg", reason="asyncpg, another driver of SQLAlchemy, is not installed")
    engine = create_async_engine(_url(postgres, "postgresql+asyncpg"))
    async with engine.connect() as connection:
        with pytest.raises(StoreError, match=r"postgresql\+psycopg"):
            await postgres_store.bind(connection).save(opening())
    await engine.dispose()


async def test_without_a_transaction(postgres: PostgresServer, postgres_store: PostgresStore) -> None:
    """In autocommit mode without an open transaction nothing is saved, and the message says what to write."""
    async with await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as connection:
        with pytest.raises(StoreUnavailableError, match="transaction"):
            await postgres_store.bind(connection).save(opening())
    assert await postgres_store.load(ID) is None


async def test_sqlalchemy_in_autocommit(engine: AsyncEngine, postgres_store: PostgresStore) -> None:
    """The same for SQLAlchemy's isolation level AUTOCOMMIT."""
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        with pytest.raises(StoreUnavailableError, match="transaction"):
            await postgres_store.bind(connection).save(opening())
    assert await postgres_store.load(ID) is None


async def test_a_transaction_that_has_failed(postgres: PostgresServer, postgres_store: PostgresStore) -> None:
    """A transaction that an error of the caller's has ended is named, and can still be rolled back."""
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            await connection.execute("SELECT * FROM nowhere")
        with pytest.raises(StoreUnavailableError, match="failed before"):
            await postgres_store.bind(connection).save(opening())
        await connection.rollback()
        await postgres_store.bind(connection).save(opening())


async def test_a_closed_connection(
    postgres: PostgresServer, postgres_store: PostgresStore, engine: AsyncEngine
) -> None:
    """A connection that is closed already is named."""
    connection = await psycopg.AsyncConnection.connect(postgres.dsn)
    await connection.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        await postgres_store.bind(connection).save(opening())
    closed: AsyncConnection = await engine.connect()
    await closed.close()
    with pytest.raises(StoreUnavailableError, match="SQLAlchemy"):
        await postgres_store.bind(closed).save(opening())


async def test_a_store_that_is_not_open(postgres: PostgresServer, make_postgres_store: MakeStore) -> None:
    """Binding needs an open store."""
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        with pytest.raises(StoreError, match="not open"):
            make_postgres_store().bind(connection)


async def test_one_connection_has_one_bound_store(
    postgres: PostgresServer, postgres_store: PostgresStore, engine: AsyncEngine
) -> None:
    """Binding a connection again gives the same store, which says that it is bound; another connection has its own."""
    async with (
        await psycopg.AsyncConnection.connect(postgres.dsn) as one,
        await psycopg.AsyncConnection.connect(postgres.dsn) as two,
        AsyncSession(engine) as session,
    ):
        bound = postgres_store.bind(one)
        assert postgres_store.bind(one) is bound
        assert postgres_store.bind(two) is not bound
        with_session = postgres_store.bind(session)
        assert postgres_store.bind(session) is with_session
        assert bound.bound
        assert not postgres_store.bound
