"""What callers ask of a store by number, checked alike by all stores."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from ..errors import InvalidDataError, Issue

EVERYTHING: Final = 2**62
"""A limit that limits nothing, and that every database takes."""


def check_limit(value: Any) -> int:
    """Return a limit.

    Raises:
        InvalidDataError: It is not an integer from 0.
    """
    return check_number("limit", value)


def check_number(name: str, value: Any) -> int:
    """Return a limit, a version or a position; one beyond all that a store ever holds as the last of these.

    Raises:
        InvalidDataError: It is not an integer from 0.
    """
    if type(value) is int and value >= 0:
        return min(value, EVERYTHING)
    raise _invalid(name, f"a number from 0 is expected, found {value!r}")


def check_after(value: Any) -> str:
    """Return the id to read after.

    Raises:
        InvalidDataError: It is no text.
    """
    if isinstance(value, str):
        return value
    raise _invalid("after", f"an id is expected, or an empty text for the first page, found {value!r}")


def check_pruning(before_position: Any, older_than: Any) -> int | None:
    """Return before which position is to be pruned; an age with the wrong sign would take the whole history.

    Raises:
        InvalidDataError: Neither a position nor an age was given, or one that is none.
    """
    if before_position is None and older_than is None:
        raise _invalid("before_position", "a position or an age is expected: prune(before_position=...)")
    if older_than is not None and (not isinstance(older_than, timedelta) or older_than < timedelta()):
        raise _invalid("older_than", f"a timedelta from 0 is expected, found {older_than!r}")
    return None if before_position is None else check_number("before_position", before_position)


def _invalid(name: str, message: str) -> InvalidDataError:
    return InvalidDataError("argument", [Issue((name,), message, "value")])
