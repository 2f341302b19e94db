"""Opening, setting up and closing a PostgreSQL store."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from statewright.errors import DefinitionError, StoreError, StoreUnavailableError
from statewright.stores.postgres import PostgresStore
from statewright.stores.postgres.schema import migrations
from statewright.testing.contract.samples import ID, check_stored, following, loaded, opening
from tests.postgres_server import PostgresServer

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = pytest.mark.postgres

MakeStore = Callable[..., PostgresStore]


# --- what is said at once ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "settings", "names"),
    [
        ("postgresql+psycopg://ann:secret@h/d", {}, "connection string"),
        (7, {}, "int"),
        ("dbname=x", {"schema": ""}, "schema"),
        ("dbname=x", {"schema": "a\0b"}, "schema"),
        ("dbname=x", {"schema": "x" * 64}, "63"),
        ("dbname=x", {"schema": "pg_mine"}, "pg_"),
        ("dbname=x", {"max_connections": 1}, "2 connections"),
        ("dbname=x", {"max_connections": True}, "max_connections"),
        ("dbname=x", {"timeout": timedelta(0)}, "timeout"),
        ("dbname=x", {"poll": 3}, "poll"),
    ],
)
def test_wrong_arguments(source: Any, settings: dict[str, Any], names: str) -> None:
    """A wrong argument is a DefinitionError that names it, and never quotes a password."""
    with pytest.raises(DefinitionError, match=names) as caught:
        PostgresStore(source, **settings)
    assert "secret" not in str(caught.value)


@pytest.mark.slow
def test_a_missing_driver_names_the_command() -> None:
    """Without psycopg the package can be imported, and making a store says how to install it."""
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from statewright.stores.postgres import PostgresStore\n"
        "try: PostgresStore('dbname=x')\n"
        "except ImportError as exc: print(exc)"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 'pip install "statewright[postgres]"' in answer.stdout


async def test_a_store_that_is_not_open_says_so() -> None:
    """Before it is opened, every call is a StoreError that tells how to open it."""
    store = PostgresStore("dbname=x")

    with pytest.raises(StoreError, match="async with store"):
        await store.load(ID)
    with pytest.raises(StoreError, match="not open"):
        await store.save(opening())
    with pytest.raises(StoreError, match="not open"):
        await store.commits()
    with pytest.raises(StoreError, match="not open"):
        await anext(store.subscribe())
    assert not store.is_open


async def test_another_event_loop_is_told(postgres_store: PostgresStore) -> None:
    """A call from another event loop is a StoreError that says so, and harms nothing."""
    errors: list[BaseException] = []

    def other() -> None:
        try:
            asyncio.run(postgres_store.save(opening()))
        except StoreError as error:
            errors.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    await asyncio.to_thread(thread.join)

    assert ["another event loop" in str(error) for error in errors] == [True]
    await postgres_store.save(opening())


# --- opening and closing -------------------------------------------------------------------------------------------


async def test_a_store_can_be_opened_again(make_postgres_store: MakeStore) -> None:
    """After it was closed it can be opened again, and what was saved is there; entering twice is one opening."""
    store = make_postgres_store()
    async with store:
        async with store:
            await store.save(opening())
        assert store.is_open
    assert not store.is_open
    async with store:
        check_stored(await loaded(store), opening().snapshot)


async def test_closing_waits_for_saves(make_postgres_store: MakeStore) -> None:
    """A store that is closed with saves under way answers all of them first."""
    store = make_postgres_store()
    async with store:
        saving = [store.submit(opening(f"w-{number}")) for number in range(500)]
        behind = store.submit(following(opening("w-0")))
    assert all(outcome.done() and outcome.exception() is None for outcome in [*saving, behind])


async def test_closing_leaves_nothing(postgres: PostgresServer, make_postgres_store: MakeStore) -> None:
    """A closed store has no connection left, also when a subscriber was listening."""
    source = make_conninfo(postgres.dsn, application_name="counted")
    async with make_postgres_store(source) as store:
        await asyncio.gather(*(store.save(opening(f"w-{number}")) for number in range(10)))
        stream = store.subscribe()
        await anext(stream)
        assert await _connections(postgres, "counted") > 0
        await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(10):
        while await _connections(postgres, "counted"):  # noqa: ASYNC110 - a server process ends after its connection
            await asyncio.sleep(0.01)


async def _connections(postgres: PostgresServer, name: str) -> int:
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        row = await (await connection.execute(query, (name,))).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_server_that_is_not_there(postgres_schema: str) -> None:
    """Opening a store on a server that does not answer fails in bounded time, as StoreUnavailableError."""
    store = PostgresStore("host=127.0.0.1 port=1 dbname=x", connect_timeout=timedelta(milliseconds=100))
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailableError, match="cannot be reached"):
            await store.setup()
    assert not store.is_open


# --- the schema ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_eight_stores_set_up_at_once(postgres: PostgresServer, make_postgres_store: MakeStore) -> None:
    """Any number of processes may set up a new schema at the same time."""
    stores = [make_postgres_store(max_connections=2) for _ in range(8)]

    await asyncio.gather(*(store.setup() for store in stores))

    await asyncio.gather(*(store.save(opening(f"w-{number}")) for number, store in enumerate(stores)))
    assert await stores[0].count() == 8
    await asyncio.gather(*(store.close() for store in stores))


async def test_the_printed_sql_is_what_setup_does(
    postgres: PostgresServer, postgres_schema: str, make_postgres_store: MakeStore
) -> None:
    """A schema made by the printed SQL is the same as one made by `setup`, and needs no further set-up."""
    async with make_postgres_store():
        made = await _columns(postgres, postgres_schema)
    printed = f"{postgres_schema}_printed"
    try:
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(PostgresStore.schema_sql(printed).encode())
        assert await _columns(postgres, printed) == made
        async with PostgresStore(postgres.dsn, schema=printed, auto_setup=False) as store:
            await store.save(opening())
    finally:
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(f'DROP SCHEMA "{printed}" CASCADE'.encode())


async def _columns(postgres: PostgresServer, schema: str) -> list[tuple[Any, ...]]:
    query = """
        SELECT c.relname, c.reloptions, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, l.collname,
          replace(pg_get_indexdef(i.indexrelid), n.nspname, '')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        LEFT JOIN pg_index i ON i.indexrelid = c.oid
        WHERE n.nspname = %s ORDER BY 1, 3"""
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        return await (await connection.execute(query, (schema,))).fetchall()


async def test_a_missing_schema_is_named(make_postgres_store: MakeStore) -> None:
    """Without set-up, a store on an empty database says what to do."""
    with pytest.raises(StoreError, match="setup"):
        async with make_postgres_store(auto_setup=False):
            pass


async def test_a_newer_schema_is_refused(
    postgres: PostgresServer, postgres_schema: str, make_postgres_store: MakeStore
) -> None:
    """A schema that newer code has upgraded is left alone, and the message says what to do."""
    async with make_postgres_store():
        pass
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        table = f"{postgres_schema}.statewright_schema"
        connection.execute(f"INSERT INTO {table} (version, name) VALUES (1000, 'later')".encode())

    with pytest.raises(StoreError, match="upgrade statewright"):
        await make_postgres_store().setup()


async def test_somebody_elses_tables_are_left_alone(
    postgres: PostgresServer, postgres_schema: str, make_postgres_store: MakeStore
) -> None:
    """A schema with a table of the same name that is not ours is refused, and nothing in it is changed."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {postgres_schema}".encode())
        connection.execute(f"CREATE TABLE {postgres_schema}.workflow (mine int)".encode())

    with pytest.raises(StoreError, match="a schema of its own"):
        await make_postgres_store().setup()

    assert [row[0] for row in await _columns(postgres, postgres_schema)] == ["workflow"]


async def test_odd_schema_names(postgres: PostgresServer) -> None:
    """A schema's name is quoted, whatever is in it."""
    name = 'Odd "name"; --%s {0} é'
    try:
        async with PostgresStore(postgres.dsn, schema=name) as store:
            await store.save(opening())
            await store.save(following(opening(), idempotency_key="k", fingerprint="{}"))
            assert [commit.position for commit in await store.commits()] == [1, 2]
            assert await store.forget(ID)
    finally:
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(psycopg.sql.SQL("DROP SCHEMA {} CASCADE").format(psycopg.sql.Identifier(name)))


async def test_a_role_without_the_right_to_create(
    postgres: PostgresServer, postgres_schema: str, make_postgres_store: MakeStore
) -> None:
    """Once the schema is there, a role that may only read and write the tables opens the store and works."""
    role = f"{postgres_schema}_clerk"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(PostgresStore.schema_sql(postgres_schema).encode())
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'".encode())
        connection.execute(f"GRANT USAGE ON SCHEMA {postgres_schema} TO {role}".encode())
        rights = f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {postgres_schema} TO {role}"
        connection.execute(rights.encode())
    try:
        async with make_postgres_store(make_conninfo(postgres.dsn, user=role, password="x")) as store:
            await store.save(opening())
            assert [commit.position for commit in await store.history(ID)] == [1]
    finally:
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {role}".encode())
            connection.execute(f"DROP ROLE {role}".encode())


async def test_a_role_without_rights_is_told(
    postgres: PostgresServer, postgres_schema: str, make_postgres_store: MakeStore
) -> None:
    """A missing permission is a StoreError that names it; for a save it says that nothing was saved."""
    role = f"{postgres_schema}_guest"
    async with make_postgres_store() as owner:
        await owner.save(opening())
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'".encode())
            connection.execute(f"GRANT USAGE ON SCHEMA {postgres_schema} TO {role}".encode())
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {postgres_schema} TO {role}".encode())
        try:
            async with make_postgres_store(make_conninfo(postgres.dsn, user=role, password="x")) as guest:
                check_stored(await loaded(guest), opening().snapshot)
                with pytest.raises(StoreUnavailableError, match=r"permission.*nothing was saved"):
                    await guest.save(following(opening()))
        finally:
            with psycopg.connect(postgres.dsn, autocommit=True) as connection:
                connection.execute(f"DROP OWNED BY {role}".encode())
                connection.execute(f"DROP ROLE {role}".encode())


@pytest.mark.slow
async def test_a_database_that_is_not_utf8_is_refused(postgres: PostgresServer, postgres_schema: str) -> None:
    """A database that cannot hold every text is refused when the store is opened."""
    name = f"{postgres_schema}_latin"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'".encode())
        try:
            with pytest.raises(StoreError, match="UTF8"):
                await PostgresStore(make_conninfo(postgres.dsn, dbname=name)).setup()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_migrations_are_numbered_without_gaps() -> None:
    """The steps of the schema are 1, 2, 3, ..."""
    assert [step.version for step in migrations()] == list(range(1, len(migrations()) + 1))


# --- a pool of the user's ------------------------------------------------------------------------------------------


@pytest.fixture
async def pool(postgres: PostgresServer) -> AsyncIterator[AsyncConnectionPool[Any]]:
    async with AsyncConnectionPool(postgres.dsn, min_size=1, max_size=3, timeout=5) as pool:
        yield pool


async def test_a_pool_is_given_back_as_it_was(
    pool: AsyncConnectionPool[Any], make_postgres_store: MakeStore, postgres_schema: str
) -> None:
    """The pool stays open, with its connections as they were: settings, autocommit, no transaction, no listening."""
    query = "SELECT name, setting FROM pg_settings WHERE name <> 'application_name' ORDER BY name"
    async with pool.connection() as connection:
        before = await (await connection.execute(query)).fetchall()
    async with make_postgres_store(pool) as store:
        await asyncio.gather(*(store.save(opening(f"w-{number}")) for number in range(50)))
        stream = store.subscribe()
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    assert not pool.closed
    for _ in range(3):
        async with pool.connection() as connection:
            assert not connection.autocommit
            assert await (await connection.execute(query)).fetchall() == before
            assert await (await connection.execute("SELECT * FROM pg_listening_channels()")).fetchall() == []


async def test_an_idle_store_keeps_no_connection_of_a_pool(
    pool: AsyncConnectionPool[Any], make_postgres_store: MakeStore
) -> None:
    """Soon after the last call, the user can have every connection of the pool."""
    async with make_postgres_store(pool) as store:
        await asyncio.gather(*(store.save(opening(f"w-{number}")) for number in range(50)))

        async with asyncio.timeout(5), pool.connection(), pool.connection(), pool.connection():
            pass

        await store.save(following(opening()))


async def test_a_pool_that_is_not_open_is_named(postgres: PostgresServer, make_postgres_store: MakeStore) -> None:
    """A pool that was not opened is a StoreError that says whose business that is."""
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(postgres.dsn, open=False)
    with pytest.raises(StoreError, match="open it before the store"):
        await make_postgres_store(pool).setup()


@pytest.mark.slow
async def test_a_pool_that_is_busy(postgres: PostgresServer, make_postgres_store: MakeStore) -> None:
    """When the user keeps every connection, calls fail in bounded time, and work again afterwards."""
    async with (
        AsyncConnectionPool(postgres.dsn, min_size=2, max_size=2) as pool,
        make_postgres_store(pool, connect_timeout=timedelta(milliseconds=200)) as store,
    ):
        async with pool.connection(), pool.connection(), asyncio.timeout(5):
            with pytest.raises(StoreUnavailableError):
                await store.save(opening())
            with pytest.raises(StoreUnavailableError):
                await store.load(ID)
        await store.save(opening())


async def test_a_pool_that_is_too_small(postgres: PostgresServer, make_postgres_store: MakeStore) -> None:
    """A pool of one connection is refused at once."""
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(postgres.dsn, min_size=1, max_size=1, open=False)
    with pytest.raises(DefinitionError, match="2 connections"):
        make_postgres_store(pool)


@pytest.mark.slow
async def test_a_small_pool_is_not_used_up_by_locks(
    pool: AsyncConnectionPool[Any], postgres: PostgresServer, make_postgres_store: MakeStore
) -> None:
    """With a pool of three connections and many locked workflows, the others are saved and loaded meanwhile."""
    async with make_postgres_store(pool) as store, await psycopg.AsyncConnection.connect(postgres.dsn) as caller:
        created = [opening(f"w-{number:02}") for number in range(20)]
        await asyncio.gather(*map(store.save, created))
        for options in created[:10]:
            await store.bind(caller).save(following(options))

        outcomes = [store.submit(following(options)) for options in created]
        async with asyncio.timeout(5):
            await asyncio.gather(*outcomes[10:])
            assert await store.load("w-03") is not None
        assert not any(outcome.done() for outcome in outcomes[:10])
        await caller.rollback()
        async with asyncio.timeout(5):
            await asyncio.gather(*outcomes)


async def test_what_is_acknowledged_is_durable(postgres: PostgresServer, make_postgres_store: MakeStore) -> None:
    """Where commits need not wait for the disk by default, those of the store wait; other settings stay as they are."""

    async def setting(value: str) -> str:
        source = make_conninfo(postgres.dsn, options=f"-c synchronous_commit={value}")
        async with make_postgres_store(source) as store:
            [(found,)] = await store._session.runner.fetch(b"SELECT current_setting('synchronous_commit')")  # type: ignore[union-attr]
            return str(found)

    assert await setting("off") == "on"
    assert await setting("remote_apply") == "remote_apply"


async def test_sessions_are_read_committed(postgres: PostgresServer, make_postgres_store: MakeStore) -> None:
    """Where transactions are serializable by default those of the store are not: a lost race is to be seen as it is."""
    source = make_conninfo(postgres.dsn, options="-c default_transaction_isolation=serializable")
    async with make_postgres_store(source) as store:
        [(found,)] = await store._session.runner.fetch(b"SELECT current_setting('transaction_isolation')")  # type: ignore[union-attr]
    assert found == "read committed"


@pytest.mark.slow
async def test_all_connections_are_busy(make_postgres_store: MakeStore) -> None:
    """When all connections are in use for long, who waits for one is told so in bounded time; then all is well."""
    async with make_postgres_store(max_connections=2, connect_timeout=timedelta(milliseconds=300)) as store:
        assert store._session is not None
        connections = store._session.connections
        async with connections.borrow(1), connections.borrow(1), asyncio.timeout(5):
            with pytest.raises(StoreUnavailableError, match="busy"):
                await store.load(ID)
            with pytest.raises(StoreUnavailableError, match=r"busy.*nothing was saved"):
                await store.save(opening())
        await store.save(opening())
