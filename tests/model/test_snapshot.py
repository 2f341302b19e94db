"""A snapshot: plain data, immutable in depth."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewright import WorkflowSnapshot
from statewright._model.snapshot import StoredWorkflow
from tests.model.orders import NOON

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-9))])
SNAPSHOTS = st.builds(
    WorkflowSnapshot,
    id=TEXT,
    definition=TEXT,
    state=TEXT,
    data=DATA,
    model_version=st.integers(1, 9),
    version=st.integers(0, 99),
    created_at=st.datetimes(timezones=ZONES),
    updated_at=st.datetimes(timezones=ZONES),
)


def snapshot(**changes: Any) -> WorkflowSnapshot:
    facts: dict[str, Any] = {
        "id": "o-1",
        "definition": "order",
        "state": "Draft",
        "data": {"items": ["tea"]},
        "model_version": 1,
        "version": 4,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return WorkflowSnapshot(**{**facts, **changes})


@pytest.mark.slow
@given(SNAPSHOTS)
def test_every_snapshot_comes_back_from_its_dict(one: WorkflowSnapshot) -> None:
    """`to_dict` is JSON, and `from_dict` gives an equal snapshot back from it."""
    form = json.loads(json.dumps(one.to_dict()))

    assert WorkflowSnapshot.from_dict(form) == one
    assert WorkflowSnapshot.from_dict(one.to_dict()).data == one.data
    assert pickle.loads(pickle.dumps(one)) == one


def test_it_shares_nothing_with_what_it_was_given() -> None:
    """Changing the given data, or what `data` gave, changes nothing."""
    given_data = {"items": ["tea"]}
    one = snapshot(data=given_data)
    given_data["items"].append("milk")
    one.data["items"].append("poison")

    assert one.data == {"items": ["tea"]}
    assert one.to_dict()["data"] == {"items": ["tea"]}


@pytest.mark.parametrize("name", ["id", "data", "version", "text", "own"])
def test_attributes_cannot_be_assigned(name: str) -> None:
    """A snapshot is immutable; the error names the attribute."""
    one = snapshot()

    with pytest.raises(AttributeError, match=name):
        setattr(one, name, 1)
    with pytest.raises(AttributeError, match=name):
        delattr(one, name)

    assert one == snapshot()


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "o-2"},
        {"definition": "invoice"},
        {"state": "Placed", "data": {}},
        {"data": None},
        {"model_version": 2},
        {"version": 0},
        {"created_at": NOON + timedelta(1), "updated_at": NOON + timedelta(2)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_replace_gives_another_snapshot(changes: dict[str, Any]) -> None:
    """`replace` changes what it is told and nothing else, and leaves the original alone."""
    one = snapshot()
    other = one.replace(**changes)

    assert other == snapshot(**changes)
    assert other != one
    assert one == snapshot()


@pytest.mark.parametrize("changes", [{"nothing": 1}, {"text": "{}"}])
def test_replace_knows_its_attributes(changes: dict[str, Any]) -> None:
    """An unknown attribute is a TypeError."""
    with pytest.raises(TypeError):
        snapshot().replace(**changes)


@pytest.mark.parametrize("moment", [datetime(2026, 1, 1), None, "2026-01-01", 0])  # noqa: DTZ001
@pytest.mark.parametrize("name", ["created_at", "updated_at"])
def test_times_are_aware(name: str, moment: Any) -> None:
    """A naive time, or none, is refused by name."""
    with pytest.raises(ValueError, match=name):
        snapshot(**{name: moment})
    with pytest.raises(ValueError, match=name):
        snapshot().replace(**{name: moment})


@pytest.mark.parametrize("data", [float("nan"), {"a": float("inf")}, ["\0"], {"\ud800": 1}, object(), {1: 2}, b"x"])
def test_data_is_storable(data: Any) -> None:
    """What no store keeps is refused where the snapshot is made."""
    with pytest.raises(ValueError, match="cannot be stored"):
        snapshot(data=data)
    with pytest.raises(ValueError, match="cannot be stored"):
        snapshot().replace(data=data)


@pytest.mark.parametrize("key", ["id", "data", "created_at"])
def test_a_dict_has_all_attributes(key: str) -> None:
    """A missing or unknown key is a TypeError, not a default."""
    facts = snapshot().to_dict()
    del facts[key]

    with pytest.raises(TypeError):
        WorkflowSnapshot.from_dict(facts)
    with pytest.raises(TypeError):
        WorkflowSnapshot.from_dict({**snapshot().to_dict(), "more": 1})


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "yesterday", ""])
def test_a_dict_has_aware_times(text: str) -> None:
    """A time without an offset is refused."""
    with pytest.raises(ValueError, match=r"created_at|isoformat"):
        WorkflowSnapshot.from_dict({**snapshot().to_dict(), "created_at": text})


def test_equality_is_of_meaning() -> None:
    """The order of keys and the offset of times do not make another snapshot."""
    berlin = timezone(timedelta(hours=1))
    one = snapshot(data={"a": 1, "b": 2})
    other = snapshot(data={"b": 2, "a": 1}, created_at=NOON.astimezone(berlin))

    assert one == other
    assert hash(one) == hash(other)
    assert one != snapshot(data={"a": 1})
    assert one != one.to_dict()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_are_equal_and_immutable(copied: Any) -> None:
    """`copy`, `deepcopy` and `pickle` give the same snapshot."""
    twin = copied(snapshot())

    assert twin == snapshot()
    with pytest.raises(AttributeError):
        twin.version = 9


def test_the_text_is_not_shown() -> None:
    """`repr` names the workflow, and no data."""
    assert "o-1" in repr(snapshot())
    assert "tea" not in repr(snapshot())


def test_a_stored_workflow_is_immutable() -> None:
    """What a store hands out cannot be changed, and names what it holds."""
    stored = StoredWorkflow(snapshot(), 4)

    with pytest.raises(AttributeError):
        stored.version = 5
    assert (stored.id, stored.definition, stored.state) == ("o-1", "order", "Draft")
    assert pickle.loads(pickle.dumps(stored)) == stored
