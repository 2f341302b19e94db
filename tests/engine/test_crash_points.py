"""A caller whose store fails, loses its answer or dies at any call: what it sends again acts once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from statewright import (
    MemoryStore,
    OutcomeUnknownError,
    PostgresStore,
    SQLiteStore,
    StoreError,
    StoreUnavailableError,
    Success,
    WorkflowExecutor,
)
from statewright.testing import FaultyStore, crash_points
from tests.engine.counter import Add, Begin, Counter, counters

pytest_plugins = ["tests.fixtures.postgres"]

SENT = [("begin", Begin()), ("first", Add(n=1)), ("second", Add(n=10)), ("third", Add(n=30))]


async def scenario(store: Any) -> dict[str, Any]:
    """Send commands, each under a key of its own, and go on after failures; return what was acknowledged."""
    executor: WorkflowExecutor[Counter] = WorkflowExecutor(counters(), store, retries=0)
    answers = {}
    for key, command in SENT:
        result = await executor.execute("c", command, idempotency_key=key)
        assert result.ok or isinstance(result.error, StoreError) or result.error.category == "not_found"
        answers[key] = result
    return answers


IN_DATABASES = [
    pytest.param("sqlite", marks=pytest.mark.slow),
    pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.postgres]),
]


@pytest.fixture(params=["memory", *IN_DATABASES])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Make stores that hold nothing."""
    numbers = itertools.count()
    if request.param == "memory":
        yield MemoryStore
    elif request.param == "sqlite":
        yield lambda: SQLiteStore(tmp_path / f"{next(numbers)}.db")
    else:
        dsn, schema = request.getfixturevalue("postgres").dsn, request.getfixturevalue("postgres_schema")
        yield lambda: PostgresStore(dsn, schema=f"{schema}_{next(numbers)}")
        with psycopg.connect(dsn, autocommit=True) as connection:
            for number in range(next(numbers)):
                connection.execute(f"DROP SCHEMA IF EXISTS {schema}_{number} CASCADE".encode())


async def test_what_is_sent_again_under_its_key_acts_once(make_store: Callable[[], Any]) -> None:
    """At every crash point: acknowledged is stored, and sending everything again makes each command act once."""
    points = acknowledged = unknown = 0
    async for run in crash_points(scenario, make_store):
        points += 1
        executor: WorkflowExecutor[Counter] = WorkflowExecutor(counters(), run.store)
        history = await executor.history("c")
        keys = [commit.idempotency_key for commit in history]
        for key, answer in (run.result or {}).items():
            match answer:
                case Success():
                    acknowledged += 1
                    assert key in keys, run.point
                case _ if isinstance(answer.error, OutcomeUnknownError):
                    unknown += 1
                case _ if isinstance(answer.error, StoreUnavailableError):
                    assert key not in keys, run.point
        for key, command in SENT:
            result = (await executor.execute("c", command, idempotency_key=key)).unwrap()
            assert result.replayed == (key in keys), run.point
        counter = await executor.get("c")
        assert counter is not None
        assert (counter.version, counter.data.total) == (4, 41), run.point
        assert [commit.version for commit in await executor.history("c")] == [1, 2, 3, 4]

    assert points >= 15  # a store whose rows may be remembered is asked less often
    assert acknowledged >= 25
    assert unknown >= 4


async def test_a_store_that_hangs_holds_up_its_own_workflow_only() -> None:
    """A load or save without an answer keeps the commands of one workflow waiting, and lets them be given up."""
    store = FaultyStore(MemoryStore())
    executor: WorkflowExecutor[Counter] = WorkflowExecutor(counters(), store)
    for id in ("c", "d"):
        assert (await executor.execute(id, Begin())).ok

    for on in ("load", "save"):
        store.fail(store.calls[on] + 1, on=on, how="hang")
        hanging = asyncio.create_task(executor.execute("c", Add(n=1)))
        await store.until_hanging()
        behind = asyncio.create_task(executor.execute("c", Add(n=2)))
        assert (await executor.execute("d", Add(n=3))).ok
        assert not hanging.done()
        behind.cancel()
        store.release()
        assert (await hanging).ok

    assert (await executor.execute("c", Add(n=0))).unwrap().workflow.data.total == 2
    assert executor._lanes._lanes == {}
