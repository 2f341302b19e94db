"""Which transitions were exercised."""

from __future__ import annotations

from typing import Any

import pytest

from statewright import Context, MemoryStore, WorkflowExecutor, WorkflowRouter
from statewright.testing import TransitionCoverage, given
from tests.testing.orders import (
    AddItem,
    Cancel,
    Cancelled,
    Draft,
    EmptyOrder,
    Open,
    Order,
    OrderPlaced,
    Place,
    Placed,
    cancel,
    router,
)


@pytest.fixture
def mine() -> WorkflowRouter[Order, Any]:
    """A router of one's own, with the handlers of the shop."""
    return WorkflowRouter(Order).include(router)


def named(transitions: tuple[Any, ...]) -> list[tuple[str | None, str]]:
    """Name transitions by state and command."""
    return [(each.state and each.state.__name__, each.command.__name__) for each in transitions]


def test_at_first_everything_is_missing(mine: WorkflowRouter[Order, Any]) -> None:
    """Before any dispatch all transitions are missing."""
    coverage = TransitionCoverage(mine)

    assert coverage.missing == mine.transitions
    assert coverage.exercised == ()


def test_what_is_dispatched_is_exercised(mine: WorkflowRouter[Order, Any]) -> None:
    """A pair counts once its handler was about to run, refusals included; routing errors count for nothing."""
    coverage = TransitionCoverage(mine)

    given(mine, None).when(Open()).then(Draft)
    given(mine, Draft()).when(Place()).fails(EmptyOrder)
    given(mine, Cancelled(why="")).when(AddItem(item="tea"))

    assert named(coverage.exercised) == [(None, "Open"), ("Draft", "Place")]
    assert named(coverage.missing) == [("Draft", "AddItem"), ("Draft", "Cancel"), ("Placed", "Cancel")]


def test_executors_and_twins_count(mine: WorkflowRouter[Order, Any]) -> None:
    """What an executor dispatches counts, and what a twin with other dependencies does."""
    coverage = TransitionCoverage(mine)

    given(WorkflowExecutor(mine, MemoryStore()), Draft()).when(AddItem(item="tea")).then(Draft)
    given(mine.with_deps(object()), Draft()).when(Cancel()).then(Cancelled)

    assert named(coverage.exercised) == [("Draft", "AddItem"), ("Draft", "Cancel")]


def test_it_begins_when_it_is_made(mine: WorkflowRouter[Order, Any]) -> None:
    """What happened before does not count."""
    given(mine, None).when(Open()).then(Draft)

    assert TransitionCoverage(mine).exercised == ()


def test_the_report(mine: WorkflowRouter[Order, Any]) -> None:
    """As text it names each missing transition, with targets and the handler's place, or says that there is none."""
    coverage = TransitionCoverage(mine)
    given(mine, None).when(Open()).then(Draft)
    given(mine, Draft()).when(AddItem(item="tea"), Place(), Cancel()).then(Cancelled)

    line = cancel.__code__.co_firstlineno
    assert str(coverage) == (
        f"order: 1 of 5 transitions were never exercised\n  Draft + Cancel -> Cancelled   (cancel, orders.py:{line})"
    )
    given(mine, Draft()).when(Cancel())
    assert str(coverage) == "order: all 5 transitions were exercised"


def test_handlers_without_a_place_are_told_all_the_same() -> None:
    """A handler that is an object is told by its pair alone."""

    class Canceller:
        def __call__(self, order: Draft, command: Cancel, ctx: Context[OrderPlaced]) -> Cancelled:
            return Cancelled(why=command.why)

    mine = WorkflowRouter(Order)
    mine.on(Canceller())

    assert str(TransitionCoverage(mine)).endswith("\n  Draft + Cancel -> Cancelled")
    assert named(TransitionCoverage(mine).missing) == [("Draft", "Cancel")]
    assert Placed not in [each.state for each in mine.transitions]
