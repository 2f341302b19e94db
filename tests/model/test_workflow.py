"""A workflow in memory: one version, immutable, made of a state or of a snapshot."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel

from statewright import InvalidDataError, RestoreError, Workflow, WorkflowSnapshot
from tests.model.orders import NOON, AddItem, Draft, Open, Order, Placed, draft, routed, succeeded


def add(order: Draft, command: AddItem) -> Draft:
    order.items.append(command.item)
    return order


def stored(**changes: Any) -> WorkflowSnapshot:
    facts = {"state": "Draft", "data": {"items": ["tea"]}, "model_version": 1, "version": 4, "definition": "order"}
    return WorkflowSnapshot(id="o-1", created_at=NOON, updated_at=NOON, **{**facts, **changes})


# --- made of a state -----------------------------------------------------------------------------------------------


def test_a_created_workflow_is_at_version_zero() -> None:
    """`create` gives a workflow that was never stored, with its data and aware times."""
    before = datetime.now(UTC)
    order = Order.create("o-1", Draft(items=["tea"]))

    assert (order.id, order.state, order.version) == ("o-1", "Draft", 0)
    assert order.data == Draft(items=["tea"])
    assert before <= order.created_at == order.updated_at <= datetime.now(UTC)


def test_a_created_workflow_shares_nothing_with_what_it_was_given() -> None:
    """Changing the given state afterwards changes nothing."""
    given = Draft(items=["tea"])
    order = Order.create("o-1", given)
    given.items.append("milk")

    assert order.data == Draft(items=["tea"])


@pytest.mark.parametrize("data", [None, 1, {"items": []}, Draft, AddItem(item="x"), type("Sub", (Draft,), {})()])
def test_only_a_value_of_a_declared_state_makes_a_workflow(data: Any) -> None:
    """A value belongs to the state that is its exact class; anything else is InvalidDataError of source `state`."""
    with pytest.raises(InvalidDataError) as caught:
        Order.create("o-1", data)

    assert caught.value.source == "state"
    assert "order" in str(caught.value)


@pytest.mark.parametrize("id", ["", "x" * 256, "a\0b", "\ud800", None, 1, b"o-1"])
def test_an_id_that_is_none_is_refused(id: Any) -> None:
    """Ids are 1 to 255 characters, without NUL or lone surrogates."""
    with pytest.raises(InvalidDataError, match="id") as caught:
        Order.create(id, Draft())

    assert caught.value.source == "argument"


@pytest.mark.parametrize("id", ["x", "x" * 255, "日本 / 🍵?#%", " ", "..", "'; DROP TABLE", "a\nb"])
def test_any_other_text_is_an_id(id: str) -> None:
    """Length counts characters, not bytes, and no character is special."""
    assert Order.create(id, Draft()).id == id


# --- made of a snapshot --------------------------------------------------------------------------------------------


def test_a_snapshot_gives_the_workflow_back() -> None:
    """`from_snapshot` is the inverse of `to_snapshot`."""
    order = Order.from_snapshot(stored())

    assert (order.id, order.state, order.data, order.version) == ("o-1", "Draft", Draft(items=["tea"]), 4)
    assert order.to_snapshot() == stored()
    assert Order.from_snapshot(order.to_snapshot()) == order


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"definition": "invoice"}, "other_definition"),
        ({"state": "Shipped"}, "unknown_state"),
        ({"model_version": 2}, "newer_model"),
        ({"model_version": 0}, "older_model"),
        ({"data": {"items": 3}}, "list_type"),
        ({"data": None}, "model_type"),
        ({"data": [1]}, "model_type"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_a_restore_error(changes: dict[str, Any], kind: str) -> None:
    """The error names the workflow and says what was found."""
    with pytest.raises(RestoreError, match="'o-1'") as caught:
        Order.from_snapshot(stored(**changes))

    assert caught.value.workflow_id == "o-1"
    assert [issue.type for issue in caught.value.issues] == [kind]


def test_a_text_that_is_no_json_is_a_restore_error() -> None:
    """A row that was spoiled in the store is refused, not passed on."""
    spoiled = WorkflowSnapshot.of_text("o-1", "order", "Draft", '{"items": [', 1, 1, NOON, NOON)

    with pytest.raises(RestoreError):
        Order.from_snapshot(spoiled)


def explode(value: int) -> int:
    raise KeyError(value)


class Fragile(BaseModel):
    x: Annotated[int, AfterValidator(explode)]


class Vase(Workflow[Fragile, Open], name="vase"): ...


def test_a_validator_that_breaks_is_a_restore_error() -> None:
    """Whatever the user's validator raises, the snapshot does not load, and the cause is kept."""
    with pytest.raises(RestoreError) as caught:
        Vase.from_snapshot(stored(definition="vase", state="Fragile", data={"x": 1}))

    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("thing", [None, {}, {"id": "o-1"}, 1])
def test_what_is_no_snapshot_is_a_type_error(thing: Any) -> None:
    """A mapping has to go through `WorkflowSnapshot.from_dict` first; the error says so."""
    with pytest.raises(TypeError, match="from_dict"):
        Order.from_snapshot(thing)


# --- as an object --------------------------------------------------------------------------------------------------


def test_it_is_not_constructed_directly() -> None:
    """The constructor says what to use."""
    with pytest.raises(TypeError, match=r"Order\.create"):
        Order()


@pytest.mark.parametrize("name", ["id", "state", "data", "version", "created_at", "name", "own"])
def test_attributes_cannot_be_assigned(name: str) -> None:
    """A workflow is what it is; the error names the attribute."""
    order = draft("tea")

    with pytest.raises(AttributeError, match=name):
        setattr(order, name, 1)
    with pytest.raises(AttributeError, match=name):
        delattr(order, name)

    assert order.version == 0


def test_data_is_one_object() -> None:
    """`data` gives the same object at each access."""
    order = draft("tea")

    assert order.data is order.data


async def test_changing_data_changes_nothing_that_is_decided_on() -> None:
    """What a reader does to `data` reaches no handler, no snapshot and no other copy."""
    order = draft("tea")
    order.data.items.append("poison")

    result = succeeded(await routed(add).dispatch(order, AddItem(item="milk")))

    assert order.to_snapshot().data == {"items": ["tea"]}
    assert result.workflow.data.items == ["tea", "milk"]


COPIES: list[Callable[[Any], Any]] = [lambda thing: pickle.loads(pickle.dumps(thing)), copy.copy, copy.deepcopy]


@pytest.mark.parametrize("copied", COPIES, ids=["pickle", "copy", "deepcopy"])
def test_copies_are_equal(copied: Callable[[Any], Any]) -> None:
    """`pickle`, `copy` and `deepcopy` give the same workflow."""
    order = Order.from_snapshot(stored())
    twin = copied(order)

    assert twin == order
    assert hash(twin) == hash(order)
    assert twin.data == order.data
    assert twin.to_snapshot() == order.to_snapshot()


@pytest.mark.parametrize("copied", COPIES[::2], ids=["pickle", "deepcopy"])
def test_a_deep_copy_shares_no_data(copied: Callable[[Any], Any]) -> None:
    """Changing the data of a deep copy leaves the original's alone."""
    order = Order.from_snapshot(stored())
    assert order.data.items == ["tea"]

    copied(order).data.items.append("milk")

    assert order.data.items == ["tea"]


def test_equality_is_of_class_and_snapshot() -> None:
    """Two workflows are equal at the same version with the same data, and never equal to anything else."""
    order = Order.from_snapshot(stored())

    assert order == Order.from_snapshot(stored())
    assert order != Order.from_snapshot(stored(version=5))
    assert order != stored()
    assert "o-1" in repr(order)


def test_threads_share_no_data_with_a_handler() -> None:
    """However `data` and the private copy for a handler are asked for at once, nobody gets the other's object."""

    def both(_: int) -> bool:
        order = Order.from_snapshot(stored())
        with ThreadPoolExecutor(2) as threads:
            seen = threads.submit(lambda: order.data)
            private = threads.submit(order._take)
            return seen.result() is not private.result()

    assert all(map(both, range(30)))


def test_create_accepts_each_state() -> None:
    """Any declared state may be the first."""
    assert Order.create("o", Placed(items=[])).state == "Placed"
