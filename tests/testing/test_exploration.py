"""Random walks find what a definition does not allow, and show the shortest way there."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, field_validator

from statewright import Context, DependencyError, Workflow, WorkflowRouter
from statewright.errors import InvalidDataError
from statewright.testing import TransitionCoverage, explore
from tests.testing.orders import (
    AddItem,
    Cancel,
    Cancelled,
    Draft,
    Open,
    Order,
    OrderPlaced,
    Place,
    Placed,
    add_item,
    cancel,
    open_order,
    router,
)


def shop(*handlers: Any) -> WorkflowRouter[Order, Any]:
    """Return a router with the shop's opening and adding, and with other handlers."""
    mine = WorkflowRouter(Order)
    for handler in (open_order, add_item, *handlers):
        mine.on(handler)
    return mine


def found(router: WorkflowRouter[Any, Any], **options: Any) -> str:
    """Explore what is wrong, and return what is told of it."""
    with pytest.raises(AssertionError) as caught:
        explore(router, **options)
    return str(caught.value)


# --- what it does --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_right_workflow_passes() -> None:
    """A workflow that keeps to its definition passes; the report says that it was tried in earnest."""
    coverage = TransitionCoverage(router)

    report = explore(router)

    assert report.sequences >= 100
    assert report.missing == ()
    assert coverage.missing == ()
    [adding] = [each for each in router.transitions if each.command is AddItem]
    [placing] = [each for each in router.transitions if each.command is Place]
    assert report.accepted[adding] > 20
    assert report.refused[placing] > 0
    assert set(report.refused) == {placing}


@pytest.mark.slow
async def test_it_runs_inside_an_async_test() -> None:
    """In a running event loop it walks all the same."""
    assert explore(router, sequences=20).accepted


@pytest.mark.slow
def test_it_begins_where_it_is_told() -> None:
    """A walk may begin in a state, or in one drawn from a strategy."""
    from_draft = explore(router, start=Draft(items=["tea"]), sequences=30)
    assert [each.command for each in from_draft.missing] == [Open]

    from_any = explore(router, start=st.builds(Draft, items=st.lists(st.text("ab"), max_size=2)), sequences=30)
    assert from_any.accepted

    with pytest.raises(InvalidDataError):
        explore(router, start=Open())


@pytest.mark.slow
def test_dependencies_are_made_for_each_sequence() -> None:
    """No sequence sees what another did to a dependency; a walk's clock goes on with each command."""

    class Stock:
        def __init__(self) -> None:
            self.last: datetime | None = None

    made: list[Stock] = []

    def make() -> Stock:
        made.append(Stock())
        return made[-1]

    mine: WorkflowRouter[Order, Stock] = WorkflowRouter(Order, deps_type=Stock, wrap_deps=False)

    @mine.on
    def begin(_: None, command: Open, ctx: Context[OrderPlaced, Stock]) -> Draft:
        assert ctx.deps.last is None
        ctx.deps.last = ctx.now
        return Draft()

    @mine.on
    def add(order: Draft, command: AddItem, ctx: Context[OrderPlaced, Stock]) -> Draft:
        assert ctx.deps.last is not None
        assert ctx.now - ctx.deps.last == timedelta(minutes=1)
        ctx.deps.last = ctx.now
        return order

    report = explore(mine, deps=make, sequences=30)

    assert len(made) == report.sequences
    assert sum(report.accepted.values()) > 30


@pytest.mark.slow
def test_errors_may_be_allowed() -> None:
    """An error that is no declared one is a flaw, unless it is allowed."""

    class Till:
        def charge(self) -> None:
            raise OSError("the line is dead")

    mine = WorkflowRouter(Order, Till())
    mine.include(shop())

    @mine.on
    def place(order: Draft, command: Place, ctx: Context[OrderPlaced, Till]) -> Placed:
        ctx.deps.charge()
        return Placed(items=order.items, placed_at=ctx.now)

    assert "DependencyError: workflow 'explored' of 'order': dependency 'charge' failed" in found(mine)
    report = explore(mine, allowed=(DependencyError,))
    assert [each.command for each in report.refused] == [Place]


# --- what it finds ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_bug_is_found_by_its_shortest_sequence() -> None:
    """A handler that raises is found, and the sequence that is told has no command too many."""

    def place(order: Draft, command: Place) -> Placed:
        if len(order.items) >= 2:
            raise ZeroDivisionError("a bug")
        return Placed(items=order.items, placed_at=datetime(2026, 3, 1))  # noqa: DTZ001 - a naive one is a state, too

    with pytest.raises(AssertionError) as caught:
        explore(shop(place, cancel))

    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    told = str(caught.value).splitlines()
    assert told[0].startswith("workflow 'order': UnexpectedError: workflow 'explored' of 'order': handler")
    assert "caused by ZeroDivisionError: a bug" in told[1]
    assert [line.strip() for line in told[3:]] == [
        "1. Open() -> Draft(items=[])",
        "2. AddItem(item='0') -> Draft(items=['0'])",
        "3. AddItem(item='0') -> Draft(items=['0', '0'])",
        "4. Place() -> UnexpectedError",
    ]


@pytest.mark.slow
def test_an_undeclared_target_is_found() -> None:
    """A handler that leaves its declared targets is found."""

    def place(order: Draft, command: Place) -> Placed:
        return Cancelled(why="sold out")  # type: ignore[return-value]

    told = found(shop(place))

    assert "annotated to return Placed, found Cancelled" in told
    assert told.endswith("1. Open() -> Draft(items=[])\n  2. Place() -> InvalidDataError")


@pytest.mark.slow
def test_a_state_that_does_not_load_is_found() -> None:
    """A handler that gives a state which its own schema refuses is found."""

    def place(order: Draft, command: Place) -> Placed:
        return Placed.model_construct(items=order.items, placed_at="soon")

    assert "placed_at" in found(shop(place))


@pytest.mark.slow
def test_an_undeclared_error_is_found() -> None:
    """A refusal of a class that is not declared is a bug."""

    def place(order: Draft, command: Place) -> Placed:
        raise InvalidDataError("argument")

    assert "UnexpectedError" in found(shop(place))


@pytest.mark.slow
def test_a_check_of_ones_own() -> None:
    """What must hold after each command can be said, and is told where it does not."""

    def check(order: Any) -> None:
        assert len(getattr(order.data, "items", [])) < 3, "a basket holds two"

    told = found(router, check=check)

    assert "the check failed: AssertionError: a basket holds two" in told
    assert told.count("AddItem") == 3


@pytest.mark.slow
def test_a_workflow_of_moods_is_told_as_such() -> None:
    """A handler that does not decide the same each time cannot be explored, and is told so."""
    moods = random.Random(1)

    def place(order: Draft, command: Place) -> Placed:
        if moods.random() < 0.5:
            raise ZeroDivisionError
        return Placed(items=order.items, placed_at=datetime(2026, 3, 1))  # noqa: DTZ001

    assert "does not decide the same each time" in found(shop(place))


# --- when it cannot walk ---------------------------------------------------------------------------------------------


class Code(BaseModel):
    model_config = ConfigDict(frozen=True)

    value: str

    @field_validator("value")
    @classmethod
    def has_a_checksum(cls, value: str) -> str:
        if not value.endswith(f"/{len(value)}") or len(value) < 8:
            raise ValueError("no checksum")
        return value


class Locked(BaseModel):
    pass


class Unlocked(BaseModel):
    pass


class Make(BaseModel):
    pass


class Unlock(BaseModel):
    code: Code


class Safe(Workflow[Locked | Unlocked, Make | Unlock], name="safe"):
    """Opens for those who know."""


safe = WorkflowRouter(Safe)


@safe.on
def make(_: None, command: Make) -> Locked:
    """Make."""
    return Locked()


@safe.on
def unlock(safe: Locked, command: Unlock) -> Unlocked:
    """Unlock."""
    return Unlocked()


@pytest.mark.slow
def test_a_command_that_never_fits_is_told() -> None:
    """A command whose validators refuse whatever is drawn is named, with what to do about it."""
    told = found(safe, sequences=30)

    assert "no payload that was drawn for Unlock passed its validators" in told
    assert "explore(commands={...})" in told


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy",
    [
        st.just({"code": {"value": "abcdef/8"}}),
        st.just(Unlock(code=Code(value="abcdef/8"))),
    ],
    ids=["payload", "instance"],
)
def test_a_strategy_of_ones_own(strategy: Any) -> None:
    """A strategy for a command's instances or payloads takes the place of the schema's."""
    report = explore(safe, commands={Unlock: strategy}, sequences=30)

    assert report.missing == ()
    assert Counter(each.command for each in report.accepted).keys() == {Make, Unlock}


def test_a_strategy_for_nobody_is_refused() -> None:
    """A strategy for a class that is no command is a mistake."""
    strategies: Mapping[type[Any], Any] = {Draft: st.none()}

    with pytest.raises(ValueError, match="declares no command Draft"):
        explore(safe, commands=strategies)


@pytest.mark.slow
def test_a_walk_that_goes_nowhere_is_told() -> None:
    """A router whose commands never get anywhere proves nothing, and says so."""
    mine = WorkflowRouter(Order)
    mine.on(cancel)

    assert "no command was ever accepted" in found(mine, sequences=5)
    assert explore(mine, start=Draft(), sequences=5).accepted
    assert Cancel in {each.command for each in mine.transitions}
