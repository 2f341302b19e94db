"""Plain data: what JSON can hold, and nothing that one store keeps and another loses."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_TOO_DEEP = "data that contains itself or is nested too deeply"
_DEEPEST = 256
"""Deeper than Pydantic reads JSON, and far from where Python itself gives up."""

_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=True, default=dict, separators=(",", ":")
).encode


class UnstorableError(ValueError):
    """A value that not every store could keep.

    Args:
        path: Where it stands, from the outside in.
        found: What it is, in words that do not quote it.
    """

    def __init__(self, path: tuple[str | int, ...], found: str) -> None:
        super().__init__(path, found)
        self.path = path
        self.found = found

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path)) or 'the value'} holds {self.found}, which cannot be stored"


def to_text(value: Any) -> str:
    """Encode plain data as JSON text.

    Raises:
        UnstorableError: The value holds something that is not plain: an object, a key that is no string, NaN,
            infinity, a NUL character or a lone surrogate.
    """
    try:
        check_plain(value)
        return _encode(value)
    except RecursionError:
        raise UnstorableError((), _TOO_DEEP) from None
    except UnstorableError:
        raise
    except ValueError:
        raise UnstorableError((), "a number of too many digits") from None


def to_value(text: str) -> Any:
    """Decode JSON text; each call gives a fresh value."""
    return json.loads(text)


def check_plain(value: Any, path: tuple[str | int, ...] = ()) -> None:
    """Check that a value is plain and storable.

    Raises:
        UnstorableError: It is not; names the first place found.
    """
    _check_depth(path)
    match value:
        case str():
            if found := flaw(value):
                raise UnstorableError(path, found)
        case None | bool() | int():
            pass
        case float():
            if not math.isfinite(value):
                raise UnstorableError(path, "NaN or infinity")
        case list() | tuple():
            for index, item in enumerate(value):
                check_plain(item, (*path, index))
        case Mapping():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise UnstorableError(path, f"a key of type {type(key).__name__}, not a string")
                if found := flaw(key):
                    raise UnstorableError(path, f"a key with {found}")
                check_plain(item, (*path, key))
        case _:
            raise UnstorableError(path, f"an object of type {type(value).__name__}")


def _check_depth(path: tuple[str | int, ...]) -> None:
    if len(path) > _DEEPEST:
        raise UnstorableError((), _TOO_DEEP)


def flaw(text: str) -> str | None:
    """Return what keeps a text from being stored by every store, in words; `None` if nothing does."""
    if "\0" in text:
        return "a NUL character"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "a lone surrogate"
    return None
