"""Results: a closed union, read with `match`."""

from __future__ import annotations

import copy
import pickle
import traceback
from typing import Any

import pytest

from statewright import Failure, NotFoundError, Success
from tests.model.orders import AddItem, Draft, EmptyOrder, ItemAdded, Open, Place, Placed, draft, routed, succeeded
from tests.model.orders import failed as error_of


def open_order(_: None, command: Open) -> Draft:
    return Draft()


def add(order: Draft, command: AddItem, ctx: Any) -> Draft:
    ctx.emit(ItemAdded(item=command.item))
    return Draft(items=[*order.items, command.item])


def place(order: Draft, command: Place) -> Placed:
    if not order.items:
        raise EmptyOrder(minimum=2)
    return Placed(items=order.items)


async def test_a_success_has_what_came_of_it() -> None:
    """Workflow, snapshot, events in order, and version of one success belong together."""
    result = succeeded(await routed(add).dispatch(draft("tea"), AddItem(item="milk")))

    assert result.ok is True
    assert result.events == (ItemAdded(item="milk"),)
    assert result.snapshot == result.workflow.to_snapshot()
    assert result.version == result.workflow.version == 1
    assert result.replayed is False
    assert result.unwrap() is result


async def test_a_failure_has_its_error() -> None:
    """`unwrap` raises the very error, as often as it is asked."""
    result = await routed(place).dispatch(draft(), Place())

    assert result.ok is False
    for _ in range(2):
        with pytest.raises(EmptyOrder) as caught:
            result.unwrap()
        assert caught.value is result.error


async def test_a_returned_error_has_no_traceback_and_keeps_its_cause() -> None:
    """An error is a value: the way that it came is gone, what caused it is not."""

    def place(order: Draft, command: Place) -> Placed:
        try:
            raise KeyError("stock")
        except KeyError as exc:
            raise EmptyOrder(minimum=2) from exc

    error = error_of(await routed(place).dispatch(draft(), Place()), EmptyOrder)

    assert error.__traceback__ is None
    assert isinstance(error.__cause__, KeyError)
    assert "stock" not in str(error)
    assert "stock" not in str(error.to_dict())
    assert "KeyError" in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("result", [Success(draft()), Failure(NotFoundError("o-1"))], ids=["success", "failure"])
def test_a_result_has_no_truth_value(result: Any) -> None:
    """`if result:` is a mistake, because both of them would be true; the error says what to ask."""
    with pytest.raises(TypeError, match=r"\.ok"):
        bool(result)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
async def test_results_can_be_copied(copied: Any) -> None:
    """`pickle`, `copy` and `deepcopy` keep workflow, events and error."""
    success = succeeded(await routed(add).dispatch(draft("tea"), AddItem(item="milk")))
    failure = await routed(place).dispatch(draft(), Place())

    twin = copied(success)
    assert (twin.workflow, twin.events, twin.version) == (success.workflow, success.events, 1)
    assert copied(failure).error.data == {"minimum": 2}


def test_a_result_cannot_be_changed() -> None:
    """Results are immutable."""
    with pytest.raises(AttributeError):
        Success(draft()).replayed = True
    with pytest.raises(AttributeError):
        Failure(NotFoundError("o-1")).error = NotFoundError("o-2")


def test_results_match_by_keyword() -> None:
    """The shapes of the documentation match."""
    match Success(draft("tea")):
        case Success(workflow=order):
            assert order.data.items == ["tea"]
    match Failure(EmptyOrder(minimum=3)):
        case Failure(error=EmptyOrder(minimum=least)):
            assert least == 3
