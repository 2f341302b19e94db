"""Server-only fields: what never leaves for a client."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from .plain import to_value
from .schema import Schema


class ServerOnly:
    """Marks a field that no client may see: `ssn: Annotated[str, ServerOnly]`, at any depth of a state or event."""


def client_view(schema: Schema, text: str) -> Any:
    """Return a value's stored form without server-only fields."""
    data = to_value(text)
    if not has_hidden(schema.type):
        return data
    return _masked(schema.load(text), data)


def client_schema(schema: Schema) -> dict[str, Any]:
    """Return the JSON Schema of what `client_view` gives."""
    found: dict[str, Any] = copy.deepcopy(schema.json_schema)
    return found


def has_hidden(type_: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Return whether a type has a server-only field anywhere below it."""
    if type_ in seen if isinstance(type_, type) else False:
        return False
    if isinstance(type_, type) and _annotations(type_):
        below = seen | {type_}
        return any(is_hidden(hint) or has_hidden(hint, below) for hint in _annotations(type_).values())
    return any(has_hidden(argument, seen) for argument in get_args(type_))


def is_hidden(annotation: Any) -> bool:
    """Return whether an annotation carries the `ServerOnly` mark."""
    if get_origin(annotation) is not Annotated:
        return False
    return any(mark is ServerOnly or isinstance(mark, ServerOnly) for mark in get_args(annotation)[1:])


def _annotations(type_: type[Any]) -> Mapping[str, Any]:
    if issubclass(type_, BaseModel) or dataclasses.is_dataclass(type_):
        try:
            return get_type_hints(type_, include_extras=True)
        except NameError:
            return {}
    return {}


def _masked(value: Any, data: Any) -> Any:
    if isinstance(value, BaseModel) and isinstance(data, dict):
        hints = _annotations(type(value))
        for name, field in type(value).model_fields.items():
            key = field.serialization_alias or field.alias or name
            _mask_key(data, key, hints.get(name), getattr(value, name))
    elif dataclasses.is_dataclass(value) and isinstance(data, dict):
        hints = _annotations(type(value))
        for each in dataclasses.fields(value):
            _mask_key(data, each.name, hints.get(each.name), getattr(value, each.name))
    elif isinstance(value, Mapping) and isinstance(data, dict):
        for key, item in zip(list(data), value.values(), strict=False):
            data[key] = _masked(item, data[key])
    elif isinstance(value, list | tuple | set | frozenset) and isinstance(data, list):
        data[:] = [_masked(item, shown) for item, shown in zip(value, data, strict=False)]
    return data


def _mask_key(data: dict[str, Any], key: str, hint: Any, value: Any) -> None:
    if is_hidden(hint):
        data.pop(key, None)
    elif key in data:
        data[key] = _masked(value, data[key])
