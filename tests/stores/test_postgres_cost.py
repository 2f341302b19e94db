"""What a command costs in statements: two, or one where the workflow is remembered, however many go together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from statewright import Failure, PostgresStore, WorkflowExecutor
from tests.engine.counter import Add, Begin, Full, counters

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = pytest.mark.postgres

MakeStore = Callable[..., PostgresStore]


@pytest.fixture
def counting(postgres_store: PostgresStore) -> WorkflowExecutor[Any]:
    """An executor, which remembers what it has read and saved."""
    return WorkflowExecutor(counters(), postgres_store)


async def _begun(counting: WorkflowExecutor[Any], count: int) -> list[str]:
    """Store so many counters, and return their ids."""
    ids = [f"c-{number:02}" for number in range(count)]
    for result in await asyncio.gather(*(counting.execute(id, Begin()) for id in ids)):
        result.unwrap()
    return ids


async def _all(counting: WorkflowExecutor[Any], ids: list[str], **options: Any) -> None:
    results = await asyncio.gather(*(counting.execute(id, Add(n=1), **options) for id in ids))
    for result in results:
        result.unwrap()


@pytest.mark.parametrize("count", [1, 64])
async def test_statements_per_command(
    counting: WorkflowExecutor[Any], make_postgres_store: MakeStore, sent: list[str], count: int
) -> None:
    """A command on what this process has not seen is two statements, the next is one, and 64 cost no more than one."""
    async with make_postgres_store() as elsewhere:
        ids = await _begun(WorkflowExecutor(counters(), elsewhere), count)
    del sent[:]

    await _all(counting, ids)
    assert ["SELECT" if query.startswith("SELECT") else "save" for query in sent] == ["SELECT", "save"]
    del sent[:]

    for _ in range(3):
        await _all(counting, ids)
    assert [query.split()[0] for query in sent] == ["WITH"] * 3


@pytest.mark.parametrize("count", [1, 64])
async def test_a_key_costs_one_statement(counting: WorkflowExecutor[Any], sent: list[str], count: int) -> None:
    """A command under an idempotency key asks for that key, too: one statement for all that are asked together."""
    ids = await _begun(counting, count)
    del sent[:]

    await _all(counting, ids, idempotency_key="once")

    assert len(sent) == 2
    assert "idempotency" in sent[0]


async def test_a_fold_is_few_statements(counting: WorkflowExecutor[Any], sent: list[str]) -> None:
    """Sixty-four commands that wait for one workflow are saved by a few statements, and no race is lost."""
    [id] = await _begun(counting, 1)
    del sent[:]

    await _all(counting, [id] * 64)

    assert len(sent) < 8  # the first goes alone; those behind it share, for as long as a fold stays open
    assert {query.split()[0] for query in sent} == {"WITH"}
    workflow = await counting.get(id)
    assert workflow is not None
    assert (workflow.version, workflow.data.total) == (65, 64)


async def test_a_refusal_is_read_afresh(counting: WorkflowExecutor[Any], sent: list[str]) -> None:
    """A refusal of what is remembered costs one statement, which confirms what it is refused on."""
    ids = await _begun(counting, 8)
    del sent[:]

    results = await asyncio.gather(*(counting.execute(id, Add(n=101)) for id in ids))

    for result in results:
        assert isinstance(result, Failure)
        assert isinstance(result.error, Full)
    assert len(sent) == 1


async def test_a_lost_race_costs_two_statements_more(
    counting: WorkflowExecutor[Any], make_postgres_store: MakeStore, sent: list[str]
) -> None:
    """Saves that rest on an outdated memory bring the current rows back with the conflict: no load is needed."""
    ids = await _begun(counting, 16)
    async with make_postgres_store() as elsewhere:
        await _all(WorkflowExecutor(counters(), elsewhere), ids)
    del sent[:]

    await _all(counting, ids)

    assert len(sent) == 3  # the save that lost, what is there instead, the save that won
    for id in ids:
        workflow = await counting.get(id)
        assert workflow is not None
        assert workflow.data.total == 2


async def test_an_outdated_memory_is_no_lost_race(
    postgres_store: PostgresStore, make_postgres_store: MakeStore
) -> None:
    """A command that was decided on an outdated memory is decided again, also where no lost race may be."""
    counting: WorkflowExecutor[Any] = WorkflowExecutor(counters(), postgres_store, retries=0)
    ids = await _begun(counting, 8)
    async with make_postgres_store() as elsewhere:
        await _all(WorkflowExecutor(counters(), elsewhere), ids)

    await _all(counting, ids)

    workflow = await counting.get(ids[0])
    assert workflow is not None
    assert (workflow.version, workflow.data.total) == (3, 2)
