"""Positions: nothing is skipped, and nobody waits for somebody's open transaction."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from statewright.errors import InvalidDataError, PositionPrunedError, StoreError
from statewright.stores.postgres import PostgresStore, log
from statewright.testing.contract.samples import BEGAN, ID, following, loaded, opening
from tests.postgres_server import PostgresServer

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = pytest.mark.postgres

MakeStore = Callable[..., PostgresStore]

PATIENCE = 30.0


@pytest.fixture
async def caller(postgres: PostgresServer) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection of a caller's, on which a transaction may stay open."""
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        yield connection
        await connection.rollback()


async def _ids(store: PostgresStore, after: int = 0) -> list[tuple[int, str]]:
    return [(commit.position, commit.workflow_id) for commit in await store.commits(after=after)]


# --- gaps ----------------------------------------------------------------------------------------------------------


async def test_a_commit_that_becomes_visible_late(
    postgres_store: PostgresStore, caller: psycopg.AsyncConnection[Any]
) -> None:
    """A is saved and stays open, B is saved and read, A commits: A comes after B, and is not skipped."""
    await postgres_store.bind(caller).save(opening("a"))
    await postgres_store.save(opening("b"))

    assert await _ids(postgres_store) == [(1, "b")]
    await caller.commit()
    assert await _ids(postgres_store, after=1) == [(2, "a")]


async def test_a_transaction_that_began_early(
    postgres_store: PostgresStore, caller: psycopg.AsyncConnection[Any]
) -> None:
    """A transaction that got its id before all others, and saves and commits after them, is not skipped."""
    await caller.execute("SELECT pg_current_xact_id()")
    await postgres_store.save(opening("b"))
    assert await _ids(postgres_store) == [(1, "b")]
    await postgres_store.save(opening("c"))

    await postgres_store.bind(caller).save(opening("a"))
    assert await _ids(postgres_store, after=1) == [(2, "c")]
    await caller.commit()

    assert await _ids(postgres_store, after=2) == [(3, "a")]


@pytest.mark.slow
async def test_a_transaction_in_another_database(
    postgres: PostgresServer, postgres_store: PostgresStore, postgres_schema: str
) -> None:
    """A write transaction that is open in another database of the server holds up nobody."""
    name = f"{postgres_schema}_other"
    async with await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as administrator:
        await administrator.execute(f"CREATE DATABASE {name}".encode())
        try:
            async with await psycopg.AsyncConnection.connect(make_conninfo(postgres.dsn, dbname=name)) as other:
                await other.execute("CREATE TABLE t (n int)")
                await postgres_store.save(opening("a"))
                assert await _ids(postgres_store) == [(1, "a")]
                await other.rollback()
        finally:
            await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


async def test_versions_stay_in_order(postgres_store: PostgresStore, caller: psycopg.AsyncConnection[Any]) -> None:
    """For one workflow positions rise with versions, whatever transactions they were saved in, and in folds, too."""
    first = opening()
    await postgres_store.bind(caller).save(first)
    await postgres_store.save(opening("other", count=3))
    second = following(first, count=3)
    await postgres_store.bind(caller).save(second)
    await _ids(postgres_store)
    await caller.commit()
    await postgres_store.save(following(second, count=2))

    history = await postgres_store.history(ID)

    assert [commit.version for commit in history] == [1, 2, 3, 4, 5, 6]
    assert [commit.position for commit in history] == [4, 5, 6, 7, 8, 9]


async def test_what_was_rolled_back_leaves_no_gap(
    postgres_store: PostgresStore, caller: psycopg.AsyncConnection[Any]
) -> None:
    """A save that was rolled back takes no position."""
    await postgres_store.bind(caller).save(opening("a"))
    await caller.rollback()
    await postgres_store.save(opening("b"))
    assert await _ids(postgres_store) == [(1, "b")]


@pytest.mark.slow
async def test_many_readers_beside_many_writers(make_postgres_store: MakeStore) -> None:
    """Readers on several stores that go on from the last position all see the same commits, each once, versions rising.

    Some of the writers keep their transactions open for a while, so that commits become visible in another order than
    that in which they were inserted.
    """
    async with make_postgres_store() as one, make_postgres_store() as two:
        total = 12 * 15

        async def write(store: PostgresStore, id: str) -> None:
            dice = random.Random(id)
            options = opening(id)
            async with await psycopg.AsyncConnection.connect(one._settings.source) as connection:  # type: ignore[arg-type]
                for _ in range(15):
                    if dice.random() < 0.5:
                        await store.save(options)
                    else:
                        await store.bind(connection).save(options)
                        await asyncio.sleep(dice.random() / 50)
                        await connection.commit()
                    options = following(options)

        async def read(store: PostgresStore) -> list[tuple[int, str, int]]:
            seen: list[tuple[int, str, int]] = []
            while len(seen) < total:
                page = await store.commits(after=seen[-1][0] if seen else 0, limit=7)
                seen += [(commit.position, commit.workflow_id, commit.version) for commit in page]
                await asyncio.sleep(0)
            return seen

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            reading = [tasks.create_task(read(store)) for store in (one, two, one, two)]
            for number in range(12):
                tasks.create_task(write((one, two)[number % 2], f"w-{number}"))

        logs = [task.result() for task in reading]
        assert logs.count(logs[0]) == 4
        assert [position for position, _, _ in logs[0]] == list(range(1, total + 1))
        for number in range(12):
            assert [version for _, id, version in logs[0] if id == f"w-{number}"] == list(range(1, 16))


# --- histories -----------------------------------------------------------------------------------------------------


async def test_a_history_does_not_wait_for_a_large_backlog(
    postgres_store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody has read for long, a history numbers its own workflow before all others, and nothing is skipped."""
    monkeypatch.setattr(log, "_CHUNK", 5)
    await asyncio.gather(*(postgres_store.save(opening(f"w-{number:02}")) for number in range(30)))
    await postgres_store.save(opening("z", count=7))

    history = await postgres_store.history("z")

    positions = [commit.position for commit in history]
    assert positions == list(range(positions[0], positions[0] + 7))
    assert positions[0] <= 11
    everything = await postgres_store.commits()
    assert [commit.position for commit in everything] == list(range(1, 38))
    assert len({(commit.workflow_id, commit.version) for commit in everything}) == 37


async def test_a_sequencer_that_was_emptied(postgres: PostgresServer, postgres_store: PostgresStore) -> None:
    """A store whose own bookkeeping was deleted by hand says so, instead of waiting for ever."""
    await postgres_store.save(opening())
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        await connection.execute(f"DELETE FROM {postgres_store._settings.schema}.sequencer".encode())
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(StoreError, match="sequencer"):
            await postgres_store.history(ID)


# --- waiting for more ----------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_subscriber_hears_other_processes(make_postgres_store: MakeStore) -> None:
    """A subscriber that would not poll for an hour is woken by saves through another store."""
    async with make_postgres_store(poll=timedelta(hours=1)) as reader, make_postgres_store() as writer:
        seen: asyncio.Queue[int] = asyncio.Queue()

        async def read() -> None:
            async for commit in reader.subscribe():
                seen.put_nowait(commit.version)

        reading = asyncio.ensure_future(read())
        async with asyncio.timeout(PATIENCE):
            options = opening()
            await writer.save(options)
            assert await seen.get() == 1
            for version in range(2, 5):
                options = following(options)
                await writer.save(options)
                assert await seen.get() == version
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def test_a_subscriber_without_notifications_polls(make_postgres_store: MakeStore) -> None:
    """With too few connections to spend one on listening, a subscriber polls."""
    async with (
        make_postgres_store(poll=timedelta(milliseconds=10), max_connections=2) as reader,
        make_postgres_store() as writer,
    ):
        stream = reader.subscribe()
        waiting = asyncio.ensure_future(anext(stream))
        await writer.save(opening())
        async with asyncio.timeout(PATIENCE):
            assert (await waiting).workflow_id == ID
        await stream.aclose()  # type: ignore[attr-defined]


async def test_a_subscription_ends_with_its_store(make_postgres_store: MakeStore) -> None:
    """A subscriber that waits when the store is closed gets a StoreError."""
    store = make_postgres_store(poll=timedelta(hours=1))
    async with store:
        waiting = asyncio.ensure_future(anext(store.subscribe()))
        await store.commits()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(StoreError, match="not open"):
            await waiting


# --- pruning -------------------------------------------------------------------------------------------------------


async def test_prune_by_position(postgres_store: PostgresStore) -> None:
    """Commits below a position go, never the newest of a workflow; who would skip some is told so."""
    await postgres_store.save(opening("a", count=4))
    await postgres_store.save(opening("b"))
    await postgres_store.save(following(await loaded(postgres_store, "a"), idempotency_key="k", fingerprint="{}"))

    assert await postgres_store.prune(before_position=6) == 4

    assert [commit.version for commit in await postgres_store.history("a")] == [5]
    assert [commit.version for commit in await postgres_store.history("b")] == [1]
    assert await postgres_store.snapshot_at("a", 2) is None
    assert await postgres_store.recall("a", "k") is not None
    for after in (0, 3):
        with pytest.raises(PositionPrunedError) as caught:
            await postgres_store.commits(after=after)
        assert (caught.value.after, caught.value.horizon) == (after, 4)
    with pytest.raises(PositionPrunedError):
        await anext(postgres_store.subscribe())
    assert await _ids(postgres_store, after=4) == [(5, "b"), (6, "a")]
    assert await postgres_store.prune(before_position=6) == 0


async def test_prune_beyond_the_end(postgres_store: PostgresStore) -> None:
    """Pruning numbers what has no position yet, and a position beyond the end is the end."""
    await postgres_store.save(opening("a", count=3))
    assert await postgres_store.prune(before_position=1000) == 2
    await postgres_store.save(following(await loaded(postgres_store, "a")))
    assert [position for position, _ in await _ids(postgres_store, after=2)] == [3, 4]


async def test_prune_by_age(postgres_store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits that are older go, up to the first that is not, in steps that keep others going."""
    monkeypatch.setattr(log, "_PRUNED", 4)
    now = await _now(postgres_store)
    old = opening("old", count=10, updated_at=now - timedelta(days=9))
    await postgres_store.save(old)
    await postgres_store.save(opening("young", count=2, updated_at=now))
    await postgres_store.save(following(old, count=3, updated_at=now - timedelta(days=9)))

    assert await postgres_store.prune(older_than=timedelta(days=7)) == 10

    assert [commit.version for commit in await postgres_store.history("old")] == [11, 12, 13]
    assert [commit.version for commit in await postgres_store.history("young")] == [1, 2]
    assert await postgres_store.prune(older_than=timedelta(days=7)) == 0


async def _now(store: PostgresStore) -> Any:
    async with await psycopg.AsyncConnection.connect(store._settings.source) as connection:  # type: ignore[arg-type]
        row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
    assert row is not None
    return row[0]


async def test_prune_of_what(postgres_store: PostgresStore) -> None:
    """Pruning needs a position or an age."""
    with pytest.raises(InvalidDataError, match="before_position"):
        await postgres_store.prune()


async def test_positions_never_come_back(postgres_store: PostgresStore) -> None:
    """After everything was forgotten, positions go on where they were."""
    await postgres_store.save(opening("a", count=3))
    assert len(await _ids(postgres_store)) == 3
    await postgres_store.forget("a")
    assert await _ids(postgres_store) == []
    await postgres_store.save(opening("a"))
    assert await _ids(postgres_store, after=3) == [(4, "a")]


# --- keys and forgetting -------------------------------------------------------------------------------------------


async def test_keys_expire(make_postgres_store: MakeStore) -> None:
    """A key is remembered for its retention, by the server's clock; then it may be used for another command."""
    async with make_postgres_store(idempotency_retention=timedelta(milliseconds=50)) as store:
        first = opening(idempotency_key="k", fingerprint="1")
        await store.save(first)
        assert await store.recall(ID, "k") is not None
        async with asyncio.timeout(PATIENCE):
            while await store.recall(ID, "k") is not None:  # noqa: ASYNC110 - the server's clock is not ours to advance
                await asyncio.sleep(0.01)

        await store.save(following(first, idempotency_key="k", fingerprint="2"))

        answer = await store.recall(ID, "k")
        assert answer is not None
        assert answer.fingerprint == "2"


@pytest.mark.slow
async def test_expired_keys_are_deleted(postgres: PostgresServer, make_postgres_store: MakeStore) -> None:
    """Saves with keys delete those that have expired, so that the table does not grow for ever."""
    async with make_postgres_store(idempotency_retention=timedelta(microseconds=1)) as store:
        for round_ in range(3):
            keyed = (opening(f"w-{round_}-{n}", idempotency_key="k", fingerprint="{}") for n in range(400))
            await asyncio.gather(*map(store.save, keyed))
        schema = store._settings.schema
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        row = await (await connection.execute(f"SELECT count(*) FROM {schema}.idempotency".encode())).fetchone()
    assert row is not None
    assert row[0] < 1200


async def test_forget_waits_for_an_open_transaction(
    postgres: PostgresServer, postgres_store: PostgresStore, caller: psycopg.AsyncConnection[Any]
) -> None:
    """Forgetting waits for a caller's transaction that saves the workflow, and takes its commits, too."""
    await postgres_store.save(opening())
    await postgres_store.bind(caller).save(following(opening(), idempotency_key="k", fingerprint="{}"))
    forgetting = asyncio.ensure_future(postgres_store.forget(ID))
    query = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
    async with (
        asyncio.timeout(PATIENCE),
        await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as connection,
    ):
        pattern = f"%DELETE FROM%{postgres_store._settings.schema}%"
        while not await (await connection.execute(query, (pattern,))).fetchall():  # noqa: ASYNC110 - until it waits
            await asyncio.sleep(0.01)
    assert not forgetting.done()
    await caller.commit()

    assert await forgetting is True
    assert await postgres_store.commits() == []
    assert await postgres_store.recall(ID, "k") is None
    again = opening(created_at=BEGAN)
    await postgres_store.save(again)
    assert [commit.id for commit in await postgres_store.history(ID)] == [again.commits[0].id]
