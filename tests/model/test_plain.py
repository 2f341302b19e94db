"""What JSON can hold, and nothing that one store keeps and another loses."""

from __future__ import annotations

import json
import math
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewright._model.plain import UnstorableError, check_plain, to_text, to_value

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def is_storable(value: Any) -> bool:
    """Say independently what may be stored: what strict JSON and UTF-8 hold, without NUL."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\\u0000" not in text.replace("\\\\", "")


@given(JSON)
def test_what_is_kept_comes_back_the_same(value: Any) -> None:
    """Every JSON value that can be stored is decoded to itself; every other one is refused."""
    if is_storable(value):
        assert to_value(to_text(value)) == value
    else:
        with pytest.raises(UnstorableError):
            to_text(value)


@pytest.mark.parametrize("bad", ["\0", "a\0", "\ud800", "x\udfff", math.nan, math.inf, -math.inf, object(), b"x", {1}])
def test_each_flaw_is_found_wherever_it_stands(bad: Any) -> None:
    """NUL, lone surrogates, NaN, infinities and objects are found in lists and mappings, with the place."""
    with pytest.raises(UnstorableError) as caught:
        check_plain({"a": [1, {"b": bad}]})

    assert caught.value.path == ("a", 1, "b")


@pytest.mark.parametrize("key", [1, None, "\0", "\ud800", (1,)])
def test_each_flaw_is_found_in_a_key(key: Any) -> None:
    """A key is text that can be stored; others would be changed or lost."""
    with pytest.raises(UnstorableError, match="key"):
        to_text({"outer": {key: 1}})


def test_other_mappings_and_tuples_are_plain() -> None:
    """A read-only mapping or a tuple is checked in depth as what it will be."""
    check_plain(MappingProxyType({"a": (1, 2)}))
    with pytest.raises(UnstorableError):
        check_plain(MappingProxyType({"a": (1, math.nan)}))


def test_data_that_contains_itself_is_refused() -> None:
    """A circle is an error, not an endless walk."""
    circle: list[Any] = []
    circle.append(circle)

    with pytest.raises(UnstorableError, match="contains itself"):
        to_text(circle)


@pytest.mark.parametrize("levels", [150, 400, 5000])
def test_data_is_only_so_deep(levels: int) -> None:
    """Data that is nested too deeply is refused as such, before anything breaks at it."""
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]

    if levels < 200:
        assert to_value(to_text(deep)) == deep
    else:
        with pytest.raises(UnstorableError, match="too deeply"):
            to_text(deep)


def test_a_number_has_only_so_many_digits() -> None:
    """A number that Python itself would not read back is refused."""
    assert to_value(to_text(-(10**4000))) == -(10**4000)
    with pytest.raises(UnstorableError, match="digits"):
        to_text([10**5000])


def test_an_escaped_backslash_is_no_nul() -> None:
    """Text that only looks like an escape is kept."""
    assert to_value(to_text("\\u0000")) == "\\u0000"
