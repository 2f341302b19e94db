"""`difference`: what changed between two versions."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewright.console.difference import Change, differences

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
    assert differences(before, after) == expected


@pytest.mark.slow
@given(JSON, JSON)
def test_what_is_told_is_all_there_is(before: Any, after: Any) -> None:
    """Every place of the newer data that a change names holds what the change says; equal data has none."""
    for change in differences(before, after):
        if change.kind != "removed":
            place = after
            for step in change.path:
                place = place[step]
            assert place == change.after
    assert differences(before, copy.deepcopy(before)) == []
    assert bool(differences(before, after)) == (repr_of(before) != repr_of(after))


def repr_of(value: Any) -> str:
    import json

    return json.dumps(value, sort_keys=True)
