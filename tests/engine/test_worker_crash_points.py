"""Every call on the store, of a client and of its worker, fails once: afterwards everything agrees."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

import psycopg
import pytest

from statewright import MemoryStore, Worker, WorkflowExecutor
from statewright.errors import OutcomeUnknownError, StoreError, StoreUnavailableError
from statewright.stores.postgres import PostgresStore
from statewright.stores.sqlite import SQLiteStore
from tests.engine.workshop import (
    ZERO,
    Begin,
    Paper,
    Sell,
    Set,
    Store,
    bell_router,
    booked,
    booking,
    ledger_router,
    rung,
    shop_router,
)

pytest_plugins = ["tests.fixtures.stores"]

CALLS = (
    "load",
    "recall",
    "commits",
    "timer_stands",
    "due_timers",
    "finish_timer",
    "postpone_timer",
    "acquire_leases",
    "release_leases",
    "last_position",
    "reader_position",
    "start_reader",
    "advance_reader",
    "due_deliveries",
    "finish_deliveries",
    "postpone_delivery",
)
"""All calls that await the store, beside `submit`."""
PATIENCE = 30.0
MOST_CALLS = 400

How = Literal["before", "after"]


def interrupted(kind: type[Any]) -> type[Any]:
    """Return a kind of store whose n-th call fails, before it does anything or with its answer lost."""

    class Interrupted(kind):  # type: ignore[misc]
        calls = 0
        fails_at = 0
        how: How = "before"
        is_over = False
        """What comes now only looks at what was left."""

        def fails(self) -> bool:
            self.calls += not self.is_over
            return self.calls == self.fails_at and not self.is_over

        def submit(self, options: Any) -> asyncio.Future[None]:
            if not self.fails():
                future: asyncio.Future[None] = super().submit(options)
                return future
            return asyncio.ensure_future(self._submit_failing(options))

        async def _submit_failing(self, options: Any) -> None:
            if self.how == "before":
                raise StoreUnavailableError
            await super().submit(options)
            raise OutcomeUnknownError

    for name in CALLS:
        setattr(Interrupted, name, _interrupted(getattr(kind, name)))
    return Interrupted


def _interrupted(method: Callable[..., Any]) -> Callable[..., Any]:
    async def call(self: Any, *words: Any, **options: Any) -> Any:
        if not self.fails():
            return await method(self, *words, **options)
        if self.how == "after":
            await method(self, *words, **options)
        raise StoreUnavailableError

    return call


async def _live(store: Store) -> dict[str, Any]:
    """Sell, set a timer, and let a worker do what follows; whoever is refused tries again under the same key."""
    shops: WorkflowExecutor[Any] = WorkflowExecutor(shop_router(), store)
    ledgers: WorkflowExecutor[Any] = WorkflowExecutor(ledger_router(), store)
    bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(), store)
    paper = Paper()
    await _insist(shops, "s-1", Sell(amounts=[1, 2]), "sell")
    await _insist(bells, "b-1", Begin(), "begin")
    await _insist(bells, "b-1", Set(delay=ZERO), "set")
    await _insist(shops, "s-1", Sell(amounts=[3]), "sell again")
    executors = [shops, ledgers, bells]
    worker = Worker(store, executors, reactors=booking(), publishers=[paper], start=0, backoff=ZERO, retries=0)
    async with asyncio.timeout(PATIENCE):
        while not await _is_done(store, worker):
            await store.wait_for_change(timedelta(milliseconds=5))
    store.is_over = True
    assert await store.dead_letters() == []
    return {
        "booked": await booked(ledgers),
        "rung": await rung(bells),
        "commits": [len(await each.history(id)) for each, id in zip(executors, ("s-1", "l-1", "b-1"), strict=True)],
        "keys": [await _keys(store, each, id) for each, id in zip(executors, ("s-1", "l-1", "b-1"), strict=True)],
        "published": sorted({(commit.workflow_id, commit.version) for commit in paper.printed}),
    }


async def _keys(store: Store, executor: WorkflowExecutor[Any], id: str) -> list[int]:
    """Return versions whose commits have an idempotency key, each of which is recorded with that very version."""
    found = []
    for commit in await executor.history(id):
        if commit.idempotency_key is not None:
            answer = await store.recall(id, commit.idempotency_key)
            assert answer is not None
            assert answer.snapshot.version == commit.version
            found.append(commit.version)
    return found


async def _insist(executor: WorkflowExecutor[Any], id: str, command: Any, key: str) -> None:
    result = await executor.execute(id, command, idempotency_key=key)
    while not result.ok:
        assert isinstance(result.error, StoreError)
        result = await executor.execute(id, command, idempotency_key=key)


async def _is_done(store: Store, worker: Worker) -> bool:
    try:
        await worker.run_until_idle()
        readers = await store.readers()
        is_through = all(status.lag == 0 and status.undelivered == 0 for status in readers)
        return is_through and await store.until_next_due(["bell"]) is None
    except StoreError:
        return False


# --- stores, one for each life ---------------------------------------------------------------------------------------

Make: TypeAlias = Callable[[], AbstractAsyncContextManager[Any]]
_TABLES = ("workflow", "workflow_commit", "idempotency", "timer", "lease", "reader", "outbox")
_EMPTY = "".join(f"DELETE FROM {{0}}.{name};" for name in _TABLES) + "UPDATE {0}.sequencer SET last_position = 0"


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def make_empty_store(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Make stores that hold nothing and can be interrupted."""
    if request.param == "postgres":
        return _in_postgres(request.getfixturevalue("postgres").dsn, request.getfixturevalue("postgres_schema"))
    files = itertools.count()

    @asynccontextmanager
    async def make() -> AsyncIterator[Any]:
        if request.param == "memory":
            yield interrupted(MemoryStore)()
        else:
            async with interrupted(SQLiteStore)(tmp_path / f"{next(files)}.db") as store:
                yield store

    return make


def _in_postgres(dsn: str, schema: str) -> Make:
    kind = interrupted(PostgresStore)
    lives = itertools.count()

    @asynccontextmanager
    async def make() -> AsyncIterator[Any]:
        is_first = next(lives) == 0
        if not is_first:
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
                await connection.execute(_EMPTY.format(schema).encode())
        async with kind(dsn, schema=schema, auto_setup=is_first) as store:
            yield store

    return make


@pytest.mark.slow
@pytest.mark.parametrize("how", ["before", "after"])
async def test_every_call_fails_once(make_empty_store: Make, how: How) -> None:
    """State, commits, timers, keys and what leaves agree, whichever call of a client or a worker fails."""
    expected: dict[str, Any] | None = None
    for fails_at in range(MOST_CALLS):
        async with make_empty_store() as store:
            store.fails_at, store.how = fails_at, how
            found = await _live(store)
            calls = store.calls
        expected = expected or found
        assert found == expected, f"call {fails_at}, {how}"
        if calls < fails_at:
            break
    else:
        pytest.fail("there was no end of calls")
    assert expected is not None
    assert (expected["booked"], expected["rung"], expected["commits"]) == ([1, 2, 3], ["bell"], [2, 3, 3])
    assert expected["keys"] == [[1, 2], [1, 2, 3], [1, 2]]
    assert fails_at > 40
