"""Walking through values, alone or side by side, down to where something is lost."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias

from pydantic import BaseModel

from .plain import flaw

Path: TypeAlias = tuple[str | int, ...]


def lost_type(value: Any, loaded: Any, path: Path = ()) -> Path | None:
    """Return where a model or dataclass was loaded back as another class, which loses the fields of a subclass."""
    if _is_record(value) and type(value) is not type(loaded):
        return path or ("",)
    if isinstance(value, AbstractSet) and isinstance(loaded, AbstractSet):
        return None if _record_types(value) == _record_types(loaded) else path or ("",)
    theirs = dict(_items(loaded))
    found = (lost_type(item, theirs.get(key, item), (*path, key)) for key, item in _items(value))
    return next((place for place in found if place is not None), None)


def spoiled_key(value: Any, path: Path = ()) -> Path | None:
    """Return where a mapping has a key that is text no store keeps."""
    if isinstance(value, Mapping) and any(isinstance(key, str) and flaw(key) for key in value):
        return path or ("",)
    found = (spoiled_key(item, (*path, key)) for key, item in _items(value))
    return next((place for place in found if place is not None), None)


class _Doubled(dict[str, Any]):
    """An object with a key that stands twice in its text."""


def doubled_key(text: str) -> Path | None:
    """Return where two keys of a mapping, such as `1` and `"1"`, are written alike, so that one of them is lost."""

    def gather(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        return found if len(found) == len(pairs) else _Doubled(found)

    return _doubled(json.loads(text, object_pairs_hook=gather, parse_int=str))


def _doubled(value: Any, path: Path = ()) -> Path | None:
    if isinstance(value, _Doubled):
        return path or ("",)
    found = (_doubled(item, (*path, key)) for key, item in _items(value))
    return next((place for place in found if place is not None), None)


def keep_unset(given: Any, loaded: Any) -> None:
    """Let models that were loaded know what was set, and not only defaulted, in the ones that they were made of."""
    if isinstance(given, BaseModel) and isinstance(loaded, BaseModel):
        loaded.__pydantic_fields_set__.intersection_update(given.__pydantic_fields_set__)
    theirs = dict(_items(loaded))
    for key, item in _items(given):
        if key in theirs:
            keep_unset(item, theirs[key])


def _items(value: Any) -> Iterator[tuple[str | int, Any]]:
    """Yield the values just below one, with their places."""
    if isinstance(value, BaseModel):
        yield from {**value.__dict__, **(value.__pydantic_extra__ or {})}.items()
    elif _is_record(value):
        yield from ((field.name, getattr(value, field.name, None)) for field in dataclasses.fields(value))
    elif isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        yield from enumerate(value)


def _is_record(value: object) -> bool:
    return isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def _record_types(values: AbstractSet[Any]) -> Counter[type[Any]]:
    return Counter(type(value) for value in values if _is_record(value))


def difference(one: Any, other: Any, path: Path = ()) -> Path:
    """Return where two pieces of plain data differ first."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            if key not in one or key not in other:
                return (*path, key)
            if one[key] != other[key]:
                return difference(one[key], other[key], (*path, key))
    if isinstance(one, list) and isinstance(other, list):
        for index, (mine, theirs) in enumerate(zip(one, other, strict=False)):
            if mine != theirs:
                return difference(mine, theirs, (*path, index))
    return path


def alike(one: Any, other: Any) -> bool:
    """Return whether two dumped values are the same in JSON, too, where 1, 1.0 and true are three things."""
    if type(one) is not type(other):
        return False
    match one:
        case dict():
            return one.keys() == other.keys() and all(alike(value, other[key]) for key, value in one.items())
        case list() | tuple():
            return len(one) == len(other) and all(map(alike, one, other))
        case set() | frozenset():
            return {(type(each), each) for each in one} == {(type(each), each) for each in other}
        case _:
            return bool(one == other)
