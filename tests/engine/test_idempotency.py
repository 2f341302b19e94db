"""Idempotency keys on all three stores: what arrives many times is done once, and what is refused is not remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from statewright import IdempotencyError, MemoryStore, Workflow, WorkflowExecutor, WorkflowRouter
from statewright.errors import DefinitionError
from statewright.stores.postgres import PostgresStore
from statewright.stores.sqlite import SQLiteStore
from tests.engine.workshop import Book, Store, TooMuch, booked, ledger_router

pytest_plugins = ["tests.fixtures.stores"]

CALLS = 50
PROCESSES = 5


def ledgers(store: Store) -> WorkflowExecutor[Any]:
    """Return ledgers over a store."""
    return WorkflowExecutor(ledger_router(), store)


async def _book(executor: WorkflowExecutor[Any], amount: int = 1, key: str = "slip") -> Any:
    return await executor.execute("l-1", Book(amount=amount), idempotency_key=key)


async def test_fifty_at_once_are_one_commit(store: Store) -> None:
    """Of fifty calls under one key one is done, and the others are answered with its result."""
    executor = ledgers(store)

    results = [result.unwrap() for result in await asyncio.gather(*(_book(executor) for _ in range(CALLS)))]

    assert sorted(result.replayed for result in results) == [False, *[True] * (CALLS - 1)]
    assert {result.version for result in results} == {1}
    assert len(await executor.history("l-1")) == 1
    assert await booked(executor) == [1]


async def test_fifty_at_once_of_several_processes_are_one_commit(make_store: Callable[[], Any]) -> None:
    """The same, where the calls come through stores that know nothing of each other."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(make_store()) for _ in range(PROCESSES)]
        executors = [ledgers(store) for store in stores]

        calls = (_book(executors[number % PROCESSES]) for number in range(CALLS))
        results = [result.unwrap() for result in await asyncio.gather(*calls)]

        assert sorted(result.replayed for result in results) == [False, *[True] * (CALLS - 1)]
        assert await booked(executors[0]) == [1]
        assert len(await executors[-1].history("l-1")) == 1


async def test_another_command_under_the_key(store: Store) -> None:
    """Another command under a key is refused, however many come at once, and changes nothing."""
    executor = ledgers(store)
    (await _book(executor)).unwrap()

    results = await asyncio.gather(*(_book(executor, amount=2) for _ in range(CALLS)))

    assert {type(result.error) for result in results} == {IdempotencyError}
    assert await booked(executor) == [1]


async def test_a_refused_command_leaves_no_record(store: Store) -> None:
    """After a refusal nothing is stored under the key, and it serves for another command."""
    executor = ledgers(store)
    (await _book(executor, key="first")).unwrap()

    refusals = await asyncio.gather(*(_book(executor, amount=1000) for _ in range(CALLS)))

    assert {type(result.error) for result in refusals} == {TooMuch}
    assert await store.recall("l-1", "slip") is None
    assert not (await _book(executor, amount=2)).unwrap().replayed
    assert await store.recall("l-1", "slip") is not None


async def test_the_first_result_stays_the_first(store: Store) -> None:
    """A replay long after gives the workflow as it was then, with the events of then."""
    executor = ledgers(store)
    first = (await _book(executor)).unwrap()
    for amount in range(2, 5):
        (await _book(executor, amount, key=f"slip-{amount}")).unwrap()

    again = (await _book(executor)).unwrap()

    assert (again.replayed, again.version, again.workflow.data.booked) == (True, 1, [1])
    assert again.events == first.events


# --- how long --------------------------------------------------------------------------------------------------------


def test_the_retention_that_is_stated() -> None:
    """Without another word, SQLite and PostgreSQL remember a key for thirty days, as the documentation says."""
    month = timedelta(days=30)

    assert SQLiteStore("never-opened.db")._settings.retention == month
    assert PostgresStore("host=never-asked")._settings.retention == month


@pytest.mark.parametrize("retention", [timedelta(), timedelta(seconds=-1), 30, None])
@pytest.mark.parametrize("kind", [SQLiteStore, PostgresStore])
def test_a_retention_that_is_none(kind: Any, retention: Any) -> None:
    """A retention is a duration above zero; anything else is refused at once."""
    with pytest.raises(DefinitionError, match="idempotency_retention"):
        kind("somewhere", idempotency_retention=retention)


@pytest.mark.parametrize("retention", [timedelta(microseconds=1), timedelta(microseconds=99), timedelta.max])
async def test_any_retention_is_understood(make_store: Callable[..., Any], retention: timedelta) -> None:
    """The shortest and the longest retention there is are understood as they are meant, and so are such ages."""
    is_long = retention > timedelta(days=1)
    async with make_store(idempotency_retention=retention) as store:
        executor = ledgers(store)
        for amount in range(2):
            (await _book(executor, amount, key=str(amount))).unwrap()
        await asyncio.sleep(0.001)

        assert (await store.recall("l-1", "0") is not None) == is_long
        again = (await _book(executor, 0, key="0")).unwrap()

        assert (again.replayed, again.version) == ((True, 1) if is_long else (False, 3))
        assert await store.prune(older_than=retention) == (0 if is_long else 2)


class Anything(BaseModel):
    value: Any = None


class Kept(BaseModel):
    value: Any = None


class Vault(Workflow[Kept, Anything], name="vault"): ...


@pytest.mark.parametrize(("first", "second"), [(1, True), (1, 1.0), (0, False), ([1], [True]), ({"a": 1}, {"a": 1.0})])
async def test_values_that_are_equal_in_python_only_are_two_commands(first: Any, second: Any) -> None:
    """One key with 1, and then with true, is one key with two commands."""
    vaults: WorkflowRouter[Vault, Any] = WorkflowRouter(Vault)

    @vaults.on
    def keep(state: Kept | None, command: Anything) -> Kept:
        return Kept(value=command.value)

    executor: Any = WorkflowExecutor(vaults, MemoryStore())
    (await executor.execute("v", Anything(value=first), idempotency_key="k")).unwrap()

    assert (await executor.execute("v", Anything(value=first), idempotency_key="k")).unwrap().replayed
    again = await executor.execute("v", Anything(value=second), idempotency_key="k")
    assert isinstance(again.error, IdempotencyError)
