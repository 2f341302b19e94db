"""Random payloads for a JSON Schema, as Pydantic writes it."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from hypothesis import strategies as st
from pydantic_core import to_jsonable_python

Strategy: TypeAlias = st.SearchStrategy[Any]
JsonSchema: TypeAlias = Mapping[str, Any]

# What all stores can keep: no NUL, no lone surrogate.
_CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0")
_TEXT = st.text(_CHARACTERS)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
# RFC 3339 wants an offset, and no store or database agrees on the first and last years.
_MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_SPANS = st.timedeltas(timedelta(days=-1000), timedelta(days=1000))

_FORMATS: Mapping[str, Strategy] = {
    "date-time": _MOMENTS.map(datetime.isoformat),
    "date": _MOMENTS.map(lambda moment: moment.date().isoformat()),
    "time": st.times().map(lambda time: time.isoformat()),
    "duration": _SPANS.map(to_jsonable_python),
    "uuid": st.uuids().map(str),
    **{f"uuid{version}": st.uuids(version=version).map(str) for version in (1, 3, 4, 5)},
    "email": st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8})?@[a-z]{1,8}\.(com|org)", fullmatch=True),
    "uri": st.from_regex(r"https://[a-z]{1,8}\.(com|org)(/[a-z]{1,8}){0,2}", fullmatch=True),
    "ipv4": st.ip_addresses(v=4).map(str),
    "ipv6": st.ip_addresses(v=6).map(str),
    "base64url": st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()),
    "json-string": _JSON.map(json.dumps),
}


def payloads(schema: JsonSchema) -> Strategy:
    """Return a strategy for payloads that fit a JSON Schema.

    Constraints that a schema does not tell, such as validators of the model, are not known here: what is drawn may
    still be refused.
    """
    return _Reader(schema).read(schema)


class _Reader:
    """Reads the parts of one schema; definitions that are referred to are read once, and may refer to themselves."""

    def __init__(self, root: JsonSchema) -> None:
        self._definitions: Mapping[str, JsonSchema] = root.get("$defs", {})
        self._known: dict[str, Strategy] = {}
        self._types: Mapping[str, Callable[[JsonSchema], Strategy]] = {
            "null": lambda _: st.none(),
            "boolean": lambda _: st.booleans(),
            "integer": _integers,
            "number": _numbers,
            "string": _strings,
            "array": self._arrays,
            "object": self._objects,
        }

    def read(self, schema: Any) -> Strategy:  # noqa: PLR0911 - one line for each form of a schema
        match schema:
            case bool():
                return _JSON if schema else st.nothing()
            case {"$ref": str(reference)}:
                return self._definition(reference.rpartition("/")[2])
            case {"const": value}:
                return st.just(value)
            case {"enum": values}:
                return st.sampled_from(values)
            case {"anyOf": choices} | {"oneOf": choices}:
                return st.one_of([self.read(choice) for choice in choices])
            case {"allOf": [only]}:
                return self.read({**only, **{key: value for key, value in schema.items() if key != "allOf"}})
            case {"type": [*types]}:
                return st.one_of([self.read({**schema, "type": each}) for each in types])
            case {"type": str(name)}:
                return self._types[name](schema)
            case _:
                return _JSON

    def _definition(self, name: str) -> Strategy:
        if name not in self._known:
            self._known[name] = st.deferred(lambda: self.read(self._definitions[name]))
        return self._known[name]

    def _arrays(self, schema: JsonSchema) -> Strategy:
        first = [self.read(item) for item in schema.get("prefixItems", ())]
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        if first and most == len(first):
            return st.tuples(*first).map(list)
        items = self.read(schema.get("items", True))
        unique = json.dumps if schema.get("uniqueItems") else None
        rest = st.lists(
            items,
            min_size=max(0, least - len(first)),
            max_size=None if most is None else most - len(first),
            unique_by=unique,
        )
        return st.tuples(st.tuples(*first), rest).map(lambda parts: [*parts[0], *parts[1]]) if first else rest

    def _objects(self, schema: JsonSchema) -> Strategy:
        properties: Mapping[str, JsonSchema] = schema.get("properties", {})
        if not properties:
            return self._mappings(schema)
        required = set(schema.get("required", ()))
        read = {name: self.read(item) for name, item in properties.items()}
        return st.fixed_dictionaries(
            {name: strategy for name, strategy in read.items() if name in required},
            optional={name: strategy for name, strategy in read.items() if name not in required},
        )

    def _mappings(self, schema: JsonSchema) -> Strategy:
        patterns = [(st.from_regex(key, alphabet=_CHARACTERS), item) for key, item in _patterns(schema)]
        extra = schema.get("additionalProperties", False)
        if not patterns and extra is False:
            return st.just({})
        keys = self.read({"type": "string", **schema.get("propertyNames", {})})
        pairs = [st.dictionaries(key, self.read(item), **_sizes(schema)) for key, item in patterns]
        return st.one_of(pairs) if pairs else st.dictionaries(keys, self.read(extra), **_sizes(schema))


def _patterns(schema: JsonSchema) -> list[tuple[str, JsonSchema]]:
    found: Mapping[str, JsonSchema] = schema.get("patternProperties", {})
    return list(found.items())


def _sizes(schema: JsonSchema) -> dict[str, Any]:
    return {"min_size": schema.get("minProperties", 0), "max_size": schema.get("maxProperties")}


def _integers(schema: JsonSchema) -> Strategy:
    least, most = _bounds(schema)
    step = schema.get("multipleOf", 1)
    least = None if least is None else math.ceil(least / step)
    most = None if most is None else math.floor(most / step)
    return st.integers(least, most).map(lambda number: number * step)


def _bounds(schema: JsonSchema) -> tuple[int | None, int | None]:
    least = [math.ceil(schema[key]) for key in ("minimum",) if key in schema]
    least += [math.floor(schema[key]) + 1 for key in ("exclusiveMinimum",) if key in schema]
    most = [math.floor(schema[key]) for key in ("maximum",) if key in schema]
    most += [math.ceil(schema[key]) - 1 for key in ("exclusiveMaximum",) if key in schema]
    return max(least, default=None), min(most, default=None)


def _numbers(schema: JsonSchema) -> Strategy:
    if "multipleOf" in schema:
        return _integers({**schema, "multipleOf": schema["multipleOf"]})
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    return st.floats(
        least if above is None else above,
        most if below is None else below,
        exclude_min=above is not None,
        exclude_max=below is not None,
        allow_nan=False,
        allow_infinity=False,
    )


def _strings(schema: JsonSchema) -> Strategy:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    pattern = schema.get("pattern")
    if pattern is None or not _is_python(pattern):
        return st.text(_CHARACTERS, min_size=least, max_size=most)
    matching = st.from_regex(pattern, alphabet=_CHARACTERS)
    return matching.filter(lambda text: least <= len(text) <= (len(text) if most is None else most))


def _is_python(pattern: str) -> bool:
    # Pydantic's patterns are those of another engine; the few that Python does not know are left to chance.
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
