"""What a worker relies on is kept: keys of what is not delivered yet, plans that scale, the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from statewright import Worker, WorkflowExecutor
from statewright.stores.postgres import PostgresStore
from statewright.stores.sqlite import SQLiteStore
from statewright.testing import ManualClock
from tests.engine.workshop import Begin, Book, Move, Sell, Set, bell_router, booked, booking, ledger_router, shop_router
from tests.postgres_server import PostgresServer

pytest_plugins = ["tests.fixtures.stores"]

HOUR = timedelta(hours=1)
BRIEF = timedelta(milliseconds=1)
"""A retention that is over at once."""


async def _delivered_but_not_removed(store: Any) -> tuple[WorkflowExecutor[Any], Worker]:
    """Deliver a booking, and die before its row is removed."""
    shops: WorkflowExecutor[Any] = WorkflowExecutor(shop_router(), store)
    ledgers: WorkflowExecutor[Any] = WorkflowExecutor(ledger_router(), store)
    worker = Worker(store, [shops, ledgers], reactors=booking(), start=0)
    (await shops.execute("s-1", Sell(amounts=[1]))).unwrap()
    role = worker._roles[-1]
    [fence] = await store.acquire_leases([role.name], "dying", HOUR)
    await store.start_reader(role.name, 0)
    await role._expand(fence)
    [delivery] = await store.due_deliveries(role.name)
    await role._send(delivery, delivery.command, fence)
    await store.release_leases([fence])
    return ledgers, worker


async def test_keys_of_the_undelivered_do_not_expire(tmp_path: Path) -> None:
    """The key of a delivery that is still in the outbox outlives its retention, and the purge of expired keys."""
    clock = ManualClock()
    async with SQLiteStore(tmp_path / "keys.db", idempotency_retention=HOUR, clock=clock) as store:
        ledgers, worker = await _delivered_but_not_removed(store)
        clock.advance(10 * HOUR)
        await _use_many_keys(ledgers)

        await worker.run_until_idle()

        assert await booked(ledgers) == [1]


@pytest.mark.postgres
async def test_keys_of_the_undelivered_do_not_expire_in_postgresql(
    make_postgres_store: Callable[..., PostgresStore],
) -> None:
    """The same, by the server's clock."""
    async with make_postgres_store(idempotency_retention=BRIEF) as store:
        ledgers, worker = await _delivered_but_not_removed(store)
        await _use_many_keys(ledgers)
        await store._opened()._expire()

        await worker.run_until_idle()

        assert await booked(ledgers) == [1]
        await store._opened()._expire()
        [commit] = await ledgers.history("l-1")
        assert commit.idempotency_key is not None
        assert await store.recall("l-1", commit.idempotency_key) is None


async def _use_many_keys(ledgers: WorkflowExecutor[Any]) -> None:
    for number in range(5):
        (await ledgers.execute("l-9", Book(amount=number), idempotency_key=f"key-{number}")).unwrap()


# --- plans -----------------------------------------------------------------------------------------------------------

PLANNED = {
    "due_timers": ("'{bell}'", "100", "NULL"),
    "until_next_due": ("'{bell}'", "NULL"),
    "due_deliveries": ("'reactor:book'", "100", "NULL"),
    "timers_standing": ("'{b-1}'", "'{Ring}'", "'{g-1}'"),
    "has_undelivered": ("'reactor:book'", "'s-1'", "'1'"),
    "recall": ("'{l-1}'", "'{k}'", "'1 day'"),
}


@pytest.mark.postgres
@pytest.mark.parametrize("name", sorted(PLANNED))
async def test_nothing_reads_whole_tables(postgres: PostgresServer, postgres_store: PostgresStore, name: str) -> None:
    """Looking for what is due costs as much with a million pending timers as with none: by index, in order."""
    sql = postgres_store._opened().sql
    async with await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as connection:
        await connection.execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;")
        await connection.execute("SET enable_hashjoin = off; SET enable_mergejoin = off")
        await connection.execute(f"PREPARE asked AS {sql[name].decode()}".encode())
        found = await connection.execute(f"EXPLAIN (FORMAT JSON) EXECUTE asked ({', '.join(PLANNED[name])})".encode())
        [[[plan]]] = await found.fetchall()

    scans = [node for node in _nodes(plan["Plan"]) if node["Node Type"] in {"Seq Scan", "Bitmap Heap Scan"}]
    assert scans == [], json.dumps(scans, indent=1)
    if name in {"due_timers", "due_deliveries"}:
        sorted_rows = [node for node in _nodes(plan["Plan"]) if "Index" in node["Node Type"]]
        assert any("due" in node["Index Name"] or "order" in node["Index Name"] for node in sorted_rows)


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in _nodes(child))]


# --- the caller's transaction ----------------------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.parametrize("commits", [True, False])
async def test_timers_of_the_callers_transaction(
    postgres: PostgresServer,
    postgres_store: PostgresStore,
    commits: bool,  # noqa: FBT001 - a case
) -> None:
    """A timer that is set inside the caller's transaction is there when that commits, and never was otherwise."""
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        bound: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(), postgres_store.bind(connection))
        (await bound.execute("b-1", Begin())).unwrap()
        (await bound.execute("b-1", Set(delay=HOUR))).unwrap()
        (await bound.execute("b-1", Set(delay=2 * HOUR, key="left", then="Busy"))).unwrap()
        assert await postgres_store.until_next_due(["bell"]) is None
        await (connection.commit() if commits else connection.rollback())

    until = await postgres_store.until_next_due(["bell"])
    assert (until is not None and until > HOUR) if commits else until is None


@pytest.mark.postgres
async def test_a_state_left_in_the_callers_transaction(postgres: PostgresServer, postgres_store: PostgresStore) -> None:
    """A state that is left inside the caller's transaction takes its timers along when that commits."""
    bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(), postgres_store)
    (await bells.execute("b-1", Begin())).unwrap()
    (await bells.execute("b-1", Set(delay=HOUR))).unwrap()

    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        bound: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(), postgres_store.bind(connection))
        (await bound.execute("b-1", Move())).unwrap()
        assert await postgres_store.until_next_due(["bell"]) is not None

    assert await postgres_store.until_next_due(["bell"]) is None
