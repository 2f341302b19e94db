"""What is asked of a store by number: all three refuse the same, before anything is read or deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from statewright import ConcurrencyConflictError, InvalidDataError, WorkflowExecutor
from tests.engine.workshop import Begin, Move, bell_router

pytest_plugins = ["tests.fixtures.stores"]


async def _three_commits(store: Any) -> None:
    bells = WorkflowExecutor(bell_router(), store)
    for command in (Begin(), Move(), Move()):
        (await bells.execute("b-1", command)).unwrap()


async def _kept(store: Any) -> int:
    return len(await store.commits())


@pytest.mark.parametrize("wrong", [-1, 1.5, "2", True, None])
@pytest.mark.parametrize("read", ["commits", "find", "dead_letters"])
async def test_a_limit_is_a_number_from_zero(store: Any, read: str, wrong: Any) -> None:
    """A limit below zero, which a slice in Python takes for "all but the last", is refused, and so is what is none."""
    await _three_commits(store)
    with pytest.raises(InvalidDataError, match="limit: a number from 0"):
        await getattr(store, read)(limit=wrong)


async def test_a_history_may_have_no_limit(store: Any) -> None:
    """Without a limit there is none; below zero is refused, and larger than any database can count is none."""
    await _three_commits(store)
    with pytest.raises(InvalidDataError, match="limit: a number from 0"):
        await store.history("b-1", limit=-1)
    assert [len(await store.history("b-1", limit=limit)) for limit in (None, 0, 2, 2**70)] == [3, 0, 2, 3]


@pytest.mark.parametrize("wrong", [-1, "x"])
async def test_a_position_is_a_number_from_zero(store: Any, wrong: Any) -> None:
    """Reading on from below zero is a mistake of the caller's: nobody has pruned anything."""
    with pytest.raises(InvalidDataError, match="after: a number from 0"):
        await store.commits(after=wrong)
    with pytest.raises(InvalidDataError, match="after: a number from 0"):
        await anext(store.subscribe(after=wrong))
    with pytest.raises(InvalidDataError, match="after: a number from 0"):
        await store.history("b-1", after=wrong)
    with pytest.raises(InvalidDataError, match="version: a number from 0"):
        await store.snapshot_at("b-1", wrong)


@pytest.mark.parametrize("far", [2**31, 2**62, 2**63, 2**70])
async def test_beyond_all_that_is_stored_there_is_nothing(store: Any, far: int) -> None:
    """A version or a position that no store will ever reach is a number like any other: nothing is there."""
    await _three_commits(store)
    assert await store.commits(after=far) == []
    assert await store.history("b-1", after=far) == []
    assert await store.snapshot_at("b-1", far) is None
    assert await store.prune(before_position=far) == 2

    bells = WorkflowExecutor(bell_router(), store)
    assert await bells.at("b-1", far) is None
    assert await bells.history("b-1", after=far) == []
    assert isinstance((await bells.execute("b-1", Move(), expected_version=far)).error, ConcurrencyConflictError)


@pytest.mark.parametrize("wrong", [5, b"b-1", None])
async def test_a_list_is_read_after_an_id(store: Any, wrong: Any) -> None:
    """What is no text is no id to read after."""
    with pytest.raises(InvalidDataError, match="after: an id is expected"):
        await store.find(after=wrong)


@pytest.mark.parametrize(
    "what",
    [
        pytest.param({"older_than": timedelta(days=-1)}, id="wrong-sign"),
        pytest.param({"older_than": 7}, id="days-as-a-number"),
        pytest.param({"before_position": -1}, id="below-zero"),
        pytest.param({"before_position": "4"}, id="text"),
        pytest.param({"before_position": 4, "older_than": timedelta(days=-1)}, id="one-of-two"),
        pytest.param({}, id="nothing"),
    ],
)
async def test_an_age_with_the_wrong_sign_prunes_nothing(store: Any, what: dict[str, Any]) -> None:
    """`prune` refuses an age or a position below zero: it would take the whole history."""
    await _three_commits(store)
    with pytest.raises(InvalidDataError, match="is expected"):
        await store.prune(**what)
    assert await _kept(store) == 3
