"""A million pending timers cost nothing until they are due: counted in rows and steps, not in seconds."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from statewright import MemoryStore, Worker, WorkflowExecutor
from statewright._model.timer import LeftState, SetTimer
from statewright.stores.postgres import PostgresStore
from statewright.stores.sqlite import SQLiteStore
from statewright.testing.contract.samples import opening
from statewright.testing.contract.timing import REMIND
from tests.engine.workshop import ZERO, Begin, Set, Store, bell_router, rung
from tests.postgres_server import PostgresServer

pytest_plugins = ["tests.fixtures.stores"]

PENDING = 1_000_000
DUE = 3
NEXT_YEAR = datetime.now(UTC) + timedelta(days=365)


async def set_due_timers(store: Store) -> None:
    """Set some timers that are due at once."""
    bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(), store)
    for number in range(DUE):
        (await bells.execute(f"b-{number}", Begin())).unwrap()
        (await bells.execute(f"b-{number}", Set(delay=ZERO))).unwrap()


async def ring_what_is_due(store: Store) -> None:
    """Let a worker execute what is due, and see that it did."""
    bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(), store)
    await Worker(store, [bells]).run_until_idle()
    assert [await rung(bells, f"b-{number}") for number in range(DUE)] == [["bell"]] * DUE


# --- in memory -------------------------------------------------------------------------------------------------------


class Moment(datetime):
    """A time that counts how often it is compared."""

    compared = 0

    def _compare(self, other: Any, how: str) -> Any:
        Moment.compared += 1
        return getattr(datetime, how)(self, other)

    def __eq__(self, other: object) -> Any:
        return self._compare(other, "__eq__")

    def __lt__(self, other: Any) -> Any:
        return self._compare(other, "__lt__")

    def __le__(self, other: Any) -> Any:
        return self._compare(other, "__le__")

    def __gt__(self, other: Any) -> Any:
        return self._compare(other, "__gt__")

    def __hash__(self) -> int:
        return super().__hash__()


async def _many(store: MemoryStore, total: int) -> None:
    for number in range(total):
        at = Moment.fromtimestamp(NEXT_YEAR.timestamp() + number * 7919 % total, UTC)
        timer = SetTimer("remind", f"g-{number}", REMIND, "Draft", keep=False, at=at, delay=None)
        await store.save(opening(f"w-{number}", timers=(timer,)))


@pytest.mark.slow
async def test_in_memory() -> None:
    """Of ten thousand timers in memory, a look at what is due compares a few, and so does each save."""
    store, total = MemoryStore(), 10_000
    await _many(store, total)

    Moment.compared = 0
    assert await store.due_timers(["order"]) == []
    assert Moment.compared <= 1

    first = await store.until_next_due(["order"])
    assert first is not None
    assert first > timedelta(days=364)
    late = NEXT_YEAR + timedelta(seconds=20)
    Moment.compared = 0
    due = await store.due_timers(["order"], now=late, limit=DUE)
    assert [timer.due_at for timer in due] == [datetime.fromtimestamp(NEXT_YEAR.timestamp() + n, UTC) for n in range(3)]
    assert 0 < Moment.compared < 50

    Moment.compared = 0
    timer = SetTimer("remind", "g-new", REMIND, "Draft", keep=False, at=Moment.now(UTC), delay=None)
    await store.save(opening("w-new", timers=(timer,)))
    assert [timer.workflow_id for timer in await store.due_timers(["order"])] == ["w-new"]
    assert Moment.compared < 50


async def test_what_was_ended_in_memory_is_cleared_away() -> None:
    """Timers that are set and ended again and again leave nothing behind, nor do they hide what is due."""
    store = MemoryStore()
    stays = SetTimer("stays", "g-s", REMIND, "Draft", keep=False, at=NEXT_YEAR, delay=None)
    await store.save(opening("stays", timers=(stays,)))
    for number in range(200):
        timer = SetTimer("remind", f"g-{number}", REMIND, "Draft", keep=False, at=None, delay=ZERO)
        await store.save(opening(f"w-{number}", timers=(timer, LeftState("Placed"))))

    assert await store.due_timers(["order"]) == []
    [fence] = await store.acquire_leases(["timers:order"], "ann", timedelta(hours=1))
    for attempts in range(200):
        [timer] = await store.due_timers(["order"], now=NEXT_YEAR)
        await store.postpone_timer(timer, ZERO, attempts, fence, now=NEXT_YEAR)
    assert [timer.key for timer in await store.due_timers(["order"], now=NEXT_YEAR)] == ["stays"]
    assert len(store._timers._queues["order"]._heap) < 10


# --- in SQLite -------------------------------------------------------------------------------------------------------

_FILL_SQLITE = """
WITH RECURSIVE pending (n) AS (SELECT ? UNION ALL SELECT n + 1 FROM pending WHERE n < ?)
INSERT INTO timer (workflow_id, key, generation, definition, state, keep, command, command_data, due_at)
SELECT printf('w-%07d', n), 'Ring', 'g-' || n, 'bell', 'Idle', 0, 'Ring', '{}', ? FROM pending"""


class Steps:
    """Counts what SQLite's machine does on a store's connections, and writes down what it is asked."""

    def __init__(self) -> None:
        self.count = 0
        self.asked: set[str] = set()

    def _step(self) -> int:
        self.count += 1
        return 0

    def _watch(self, connection: sqlite3.Connection) -> None:
        connection.set_progress_handler(self._step, 1)
        connection.set_trace_callback(self.asked.add)

    async def watch(self, store: SQLiteStore) -> None:
        """Count from now on, also what the thread does that writes."""
        await store._opened().read(self._watch)
        await store._opened().write(lambda database: self._watch(database.connection))

    async def of(self, asking: Any) -> int:
        """Return how many steps a question costs."""
        before = self.count
        await asking
        return self.count - before


async def _looking(path: Path) -> tuple[int, int]:
    """Return how many steps it takes to see what is due, and when the next one is."""
    async with SQLiteStore(path) as store:
        steps = Steps()
        await steps.watch(store)
        due = await steps.of(store.due_timers(["bell"]))
        return due, await steps.of(store.until_next_due(["bell"]))


@pytest.mark.slow
async def test_in_sqlite(tmp_path: Path) -> None:
    """With a million pending timers SQLite takes the very steps to find the due ones that it takes with one."""
    path = tmp_path / "many.db"
    async with SQLiteStore(path) as store:
        await set_due_timers(store)
    connection = sqlite3.connect(path)
    _fill(connection, 1, 1)
    alone = await _looking(path)
    _fill(connection, 2, PENDING)
    assert connection.execute("SELECT count(*) FROM timer").fetchone() == (PENDING + DUE,)

    assert await _looking(path) == alone
    assert max(alone) < 200
    async with SQLiteStore(path) as store:
        steps = Steps()
        await steps.watch(store)
        await ring_what_is_due(store)

    assert 0 < steps.count < 5_000
    plans = [row[3] for asked in steps.asked if " timer" in asked for row in _plan(connection, asked)]
    assert "SEARCH timer USING INDEX timer_by_due (definition=? AND due_at<?)" in plans
    assert [plan for plan in plans if plan.startswith("SCAN timer")] == []
    connection.close()


def _fill(connection: sqlite3.Connection, first: int, last: int) -> None:
    with connection:
        connection.execute(_FILL_SQLITE, (first, last, NEXT_YEAR.isoformat(timespec="microseconds")))


def _plan(connection: sqlite3.Connection, asked: str) -> list[Any]:
    return connection.execute(f"EXPLAIN QUERY PLAN {asked}").fetchall()


# --- in PostgreSQL ---------------------------------------------------------------------------------------------------

_FILL_POSTGRES = """
INSERT INTO {schema}.timer (workflow_id, key, generation, definition, state, keep, command, command_data, due_at)
SELECT 'w-' || n, 'Ring', 'g-' || n, 'bell', 'Idle', false, 'Ring', '{{}}', $1::timestamptz
FROM generate_series(1, {total}) AS n"""
_READ = """
SELECT t.seq_scan, (SELECT sum(i.idx_tup_read) FROM pg_stat_user_indexes AS i WHERE i.relid = t.relid)::int
FROM pg_stat_user_tables AS t WHERE t.schemaname = $1 AND t.relname = 'timer'"""


@pytest.mark.slow
@pytest.mark.postgres
async def test_in_postgresql(
    postgres: PostgresServer, postgres_schema: str, make_postgres_store: Callable[..., PostgresStore]
) -> None:
    """With a million pending timers PostgreSQL reads a few rows to find and execute the due ones, all by index."""
    place = make_conninfo(postgres.dsn, application_name=postgres_schema)
    async with make_postgres_store(place) as store:
        await set_due_timers(store)
    async with await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as connection:
        raw = psycopg.AsyncRawCursor(connection)
        await raw.execute(_FILL_POSTGRES.format(schema=postgres_schema, total=PENDING).encode(), [NEXT_YEAR])
        before = await _read(raw, postgres_schema)

        async with make_postgres_store(place) as store:
            await ring_what_is_due(store)
            assert await store.until_next_due(["bell"]) is not None

        after = await _read(raw, postgres_schema)
        scans, read = (now - then for now, then in zip(after, before, strict=True))
        assert scans == 0
        assert DUE <= read < 100


async def _read(raw: psycopg.AsyncRawCursor[Any], schema: str) -> tuple[int, int]:
    """Return how often the timers' table was read as a whole, and how many entries of its indexes were."""
    # A server process tells what it read when it ends, and has told before it is gone from the list.
    async with asyncio.timeout(30):
        while await _ask(raw, "SELECT 1 FROM pg_stat_activity WHERE application_name = $1", schema):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await raw.execute("SELECT pg_stat_force_next_flush()")
    [found] = await _ask(raw, _READ, schema)
    scans, read = found
    return scans, read


async def _ask(raw: psycopg.AsyncRawCursor[Any], query: str, schema: str) -> list[Any]:
    await raw.execute(query.encode(), [schema])
    return await raw.fetchall()
