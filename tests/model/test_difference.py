"""`differences`: what changed between two versions."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewright import Change, MemoryStore, WorkflowExecutor, differences
from statewright._model.difference import data_differences
from tests.engine.workshop import Begin, Move, Ring, bell_router

CASES: list[tuple[Any, Any, list[Change]]] = [
    ({"a": 1}, {"a": 1}, []),
    ({"a": 1}, {"a": 2}, [Change("changed", ("a",), 1, 2)]),
    ({"a": 1}, {"a": True}, [Change("changed", ("a",), 1, after=True)]),
    ({}, {"a": None}, [Change("added", ("a",), after=None)]),
    ({"a": {"b": 1}}, {"a": {}}, [Change("removed", ("a", "b"), before=1)]),
    ({"a": [1, 2, 3]}, {"a": [0, 1, 2, 3]}, [Change("added", ("a", 0), after=0)]),
    ({"a": [1, 2, 3]}, {"a": [1, 3]}, [Change("removed", ("a", 1), before=2)]),
    ([{"n": "x", "q": 1}, 7], [{"n": "x", "q": 2}, 7], [Change("changed", (0, "q"), 1, 2)]),
    ({"a": [1]}, {"a": {"b": 1}}, [Change("changed", ("a",), [1], {"b": 1})]),
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(("before", "after", "expected"), CASES)
def test_differences(before: Any, after: Any, expected: list[Change]) -> None:
    """Each difference is told once, where it is."""
    assert data_differences(before, after) == expected


@pytest.mark.slow
@given(JSON, JSON)
def test_what_is_told_is_all_there_is(before: Any, after: Any) -> None:
    """Every place of the newer data that a change names holds what the change says; equal data has none."""
    for change in data_differences(before, after):
        if change.kind != "removed":
            place = after
            for step in change.path:
                place = place[step]
            assert place == change.after
    assert data_differences(before, copy.deepcopy(before)) == []
    assert bool(data_differences(before, after)) == (repr_of(before) != repr_of(after))


def repr_of(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


async def test_versions_are_compared() -> None:
    """Two versions of a workflow, or the time before there was one, are compared in state and data, either way."""
    bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(), MemoryStore())
    for command in (Begin(), Ring(name="one"), Move()):
        (await bells.execute("b-1", command)).unwrap()
    first, last = await bells.at("b-1", 1), await bells.at("b-1", 3)

    moved, rang = Change("changed", ("state",), "Idle", "Busy"), Change("added", ("data", "rung", 0), after="one")
    assert differences(first, last) == [moved, rang]
    assert differences(last.to_snapshot(), first) == [
        Change("changed", ("state",), "Busy", "Idle"),
        Change("removed", ("data", "rung", 0), before="one"),
    ]
    created = [Change("added", ("data", "rung"), after=[]), Change("added", ("state",), after="Idle")]
    assert sorted(differences(None, first), key=str) == sorted(created, key=str)
    assert differences(last, last) == differences(None, None) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (Change("changed", ("data", "lines", 0, "quantity"), 1, 2), "~ data.lines[0].quantity = 1 -> 2"),
        (Change("added", ("data", "customer"), after="Zoë"), '+ data.customer = "Zoë"'),
        (Change("removed", ("state",), before=None), "- state = null"),
    ],
)
def test_a_change_in_a_line(change: Change, line: str) -> None:
    """A change says what it is and where."""
    assert str(change) == line
