"""Random payloads for a class that Pydantic describes.

Read from the core schema rather than from the JSON Schema, which does not tell the digits of a decimal, the keys of a
dict or what is inside of JSON text.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

from hypothesis import strategies as st
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_json

Strategy: TypeAlias = st.SearchStrategy[Any]
Node: TypeAlias = Any
"""A node of Pydantic's core schema: dicts and lists all the way down."""

# What all stores can keep: no NUL, no lone surrogate.
_CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0")
_TEXT = st.text(_CHARACTERS)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
_FIRST, _LAST = datetime(1970, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 - strategies take naive bounds

_FORMATS: Mapping[str, Strategy] = {
    "base64": st.binary().map(lambda data: base64.b64encode(data).decode()),
    "base64url": st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()),
    "email": st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8})?@[a-z]{1,8}\.(com|org)", fullmatch=True),
    "ipv4": st.ip_addresses(v=4).map(str),
    "ipv6": st.ip_addresses(v=6).map(str),
    "uri": st.from_regex(r"https://[a-z]{1,8}\.(com|org)(/[a-z]{1,8}){0,2}", fullmatch=True),
}


def payloads(schema: Node) -> Strategy:
    """Return a strategy for payloads that fit a core schema.

    What only the functions of validators know is not known here: what is drawn may still be refused.
    """
    return _Reader().read(schema)


class _Reader:
    """Reads the parts of one schema; definitions are read once, and may refer to themselves."""

    def __init__(self) -> None:
        self._definitions: dict[str, Node] = {}
        self._known: dict[str, Strategy] = {}
        self._bytes = "utf8"
        self._compounds: Mapping[str, Callable[[Node], Strategy]] = {
            "bytes": self._byte_strings,
            "chain": lambda node: self.read(node["steps"][0]),
            "dataclass": self._with_config,
            "dataclass-args": self._fields,
            "definition-ref": self._definition,
            "definitions": self._define,
            "dict": self._mappings,
            "frozenset": self._sets,
            "json": self._json_texts,
            "lax-or-strict": self._custom,
            "list": self._lists,
            "model": self._with_config,
            "model-fields": self._fields,
            "nullable": lambda node: st.none() | self.read(node["schema"]),
            "set": self._sets,
            "tagged-union": self._unions,
            "tuple": self._tuples,
            "typed-dict": self._fields,
            "union": self._unions,
        }

    def read(self, node: Node) -> Strategy:
        """Return the strategy for a node."""
        kind: str = node["type"]
        if kind in _SCALARS:
            return _SCALARS[kind](node)
        if kind.startswith("function"):
            return self._custom(node)
        return self._compounds.get(kind, self._inner)(node)

    def _inner(self, node: Node) -> Strategy:
        inner = node.get("schema") or node.get("json_schema") or node.get("lax_schema")
        return _JSON if inner is None else self.read(inner)

    def _custom(self, node: Node) -> Strategy:
        """Read a type that has functions of its own: by the format that it tells, or by what the functions take."""
        told = _format_of(node)
        return _FORMATS[told] if told in _FORMATS else self._inner(node)

    def _define(self, node: Node) -> Strategy:
        self._definitions |= {each["ref"]: each for each in node["definitions"]}
        return self.read(node["schema"])

    def _definition(self, node: Node) -> Strategy:
        name: str = node["schema_ref"]
        if name not in self._known:
            self._known[name] = st.deferred(lambda: self.read(self._definitions[name]))
        return self._known[name]

    def _byte_strings(self, _: Node) -> Strategy:
        return _TEXT if self._bytes == "utf8" else _FORMATS["base64"]

    def _json_texts(self, node: Node) -> Strategy:
        inner = self.read(node["schema"]) if "schema" in node else _JSON
        return inner.map(lambda value: to_json(value).decode())

    def _with_config(self, node: Node) -> Strategy:
        outside, config = self._bytes, node.get("config") or {}
        self._bytes = config.get("val_json_bytes") or config.get("ser_json_bytes") or "utf8"
        try:
            return self.read(node["schema"])
        finally:
            self._bytes = outside

    def _fields(self, node: Node) -> Strategy:
        fields = node["fields"]
        named = fields.items() if isinstance(fields, dict) else ((field["name"], field) for field in fields)
        required: dict[str, Strategy] = {}
        optional: dict[str, Strategy] = {}
        for name, field in named:
            if field.get("init", True):
                has_default = field["schema"]["type"] == "default" or field.get("required") is False
                (optional if has_default else required)[_alias(name, field)] = self.read(field["schema"])
        return st.fixed_dictionaries(required, optional=optional)

    def _mappings(self, node: Node) -> Strategy:
        keys = self.read(node["keys_schema"]) if "keys_schema" in node else _TEXT
        values = self.read(node["values_schema"]) if "values_schema" in node else _JSON
        return st.dictionaries(keys, values, **_sizes(node))

    def _items(self, node: Node) -> Strategy:
        return self.read(node["items_schema"]) if "items_schema" in node else _JSON

    def _lists(self, node: Node) -> Strategy:
        return st.lists(self._items(node), **_sizes(node))

    def _sets(self, node: Node) -> Strategy:
        return st.lists(self._items(node), unique_by=repr, **_sizes(node))

    def _tuples(self, node: Node) -> Strategy:
        items = [self.read(item) for item in node["items_schema"]]
        index = node.get("variadic_item_index")
        if index is None:
            return st.tuples(*items)
        head, repeated, tail = items[:index], st.lists(items[index], **_sizes(node)), items[index + 1 :]
        return st.tuples(st.tuples(*head), repeated, st.tuples(*tail)).map(
            lambda parts: [*parts[0], *parts[1], *parts[2]]
        )

    def _unions(self, node: Node) -> Strategy:
        choices = node["choices"]
        listed = choices.values() if isinstance(choices, dict) else choices
        return st.one_of([self.read(each[0] if isinstance(each, tuple) else each) for each in listed])


def _format_of(node: Node) -> str:
    if not any("js" in key for key in node.get("metadata") or ()):
        return ""
    try:
        found: str = GenerateJsonSchema(by_alias=True).generate(node).get("format", "")
    except (PydanticInvalidForJsonSchema, KeyError):
        return ""
    return found


def _alias(name: str, field: Node) -> str:
    """Return the key under which a field is stored, and therefore read."""
    alias = field.get("validation_alias")
    stored: str = field.get("serialization_alias") or (alias if isinstance(alias, str) else name)
    return stored


def _sizes(node: Node) -> dict[str, Any]:
    return {"min_size": node.get("min_length", 0), "max_size": node.get("max_length")}


# --- values without parts --------------------------------------------------------------------------------------------


def _integers(node: Node) -> Strategy:
    step = node.get("multiple_of", 1)
    least, most = _bounds(node, 1)
    whole = st.integers(None if least is None else -(-least // step), None if most is None else most // step)
    return whole if step == 1 else whole.map(lambda number: number * step)


def _bounds(node: Node, step: Any) -> tuple[Any, Any]:
    """Return the least and the greatest value, for values that are this far apart."""
    least = [node[key] + add for key, add in (("ge", 0 * step), ("gt", step)) if key in node]
    most = [node[key] - less for key, less in (("le", 0 * step), ("lt", step)) if key in node]
    return max(least, default=None), min(most, default=None)


def _floats(node: Node) -> Strategy:
    if "multiple_of" in node:
        step = node["multiple_of"]
        least, most = (math.ceil(node.get(key, end) / step) for key, end in (("ge", -1e6), ("le", 1e6)))
        return st.integers(least, most).map(lambda number: number * step).filter(lambda found: _is_within(node, found))
    return st.floats(
        node.get("gt", node.get("ge")),
        node.get("lt", node.get("le")),
        exclude_min="gt" in node,
        exclude_max="lt" in node,
        allow_nan=False,
        allow_infinity=False,
    )


def _is_within(node: Node, number: Any) -> bool:
    return bool(
        node.get("ge", number) <= number <= node.get("le", number)
        and ("gt" not in node or number > node["gt"])
        and ("lt" not in node or number < node["lt"])
    )


def _decimals(node: Node) -> Strategy:
    """Draw whole numbers of the smallest unit: all digits count, and none is one too many."""
    places = node.get("decimal_places", 2)
    unit = Decimal(1).scaleb(-places)
    limit = Decimal(10) ** (node.get("max_digits", 12) - places) - unit
    least, most = _bounds({key: Decimal(str(node[key])) for key in ("ge", "gt", "le", "lt") if key in node}, unit)
    least, most = (-limit if least is None else max(least, -limit)), (limit if most is None else min(most, limit))
    step = Decimal(str(node.get("multiple_of", unit)))
    whole = st.integers(int((least / step).to_integral_value("ROUND_CEILING")), int(most // step))
    return whole.map(lambda number: number * step)


def _strings(node: Node) -> Strategy:
    pattern = node.get("pattern")
    if pattern is None or not (known := _compiled(pattern)):
        return st.text(_CHARACTERS, **_sizes(node))
    least, most = node.get("min_length", 0), node.get("max_length")
    matching = st.from_regex(known, alphabet=_CHARACTERS)
    return matching.filter(lambda text: least <= len(text) <= (len(text) if most is None else most))


def _compiled(pattern: Any) -> re.Pattern[str] | None:
    # Pydantic's patterns are those of another engine; the few that Python does not know are left to chance.
    try:
        # There `$` is the very end; here it would stand before a last newline, too.
        return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", pattern) if isinstance(pattern, str) else pattern)
    except re.error:
        return None


def _datetimes(node: Node) -> Strategy:
    """Draw moments with an offset, as times between machines should be, unless naive ones are asked for."""
    if node.get("tz_constraint") == "naive":
        zones: Strategy = st.none()
    else:
        zones = st.just(UTC)
    now = datetime.now(UTC).replace(tzinfo=None)
    first = now + timedelta(days=1) if node.get("now_op") == "future" else _FIRST
    last = now - timedelta(days=1) if node.get("now_op") == "past" else _LAST
    return st.datetimes(first, last, timezones=zones).filter(lambda moment: _is_within(node, moment))


def _dates(node: Node) -> Strategy:
    today = datetime.now(UTC).date()
    first = today + timedelta(days=2) if node.get("now_op") == "future" else _FIRST.date()
    last = today - timedelta(days=2) if node.get("now_op") == "past" else _LAST.date()
    least, most = _bounds(node, timedelta(days=1))
    return st.dates(max(first, least or date.min), min(last, most or date.max))


def _spans(node: Node) -> Strategy:
    least, most = _bounds(node, timedelta(microseconds=1))
    return st.timedeltas(
        timedelta(days=-1000) if least is None else least,
        timedelta(days=1000) if most is None else most,
    )


def _times(node: Node) -> Strategy:
    least, most = node.get("ge", time.min), node.get("le", time.max)
    return st.times(least, most).filter(lambda moment: _is_within(node, moment))


_SCALARS: Mapping[str, Callable[[Node], Strategy]] = {
    "any": lambda _: _JSON,
    "none": lambda _: st.none(),
    "bool": lambda _: st.booleans(),
    "int": _integers,
    "float": _floats,
    "decimal": _decimals,
    "str": _strings,
    "literal": lambda node: st.sampled_from(node["expected"]),
    "enum": lambda node: st.sampled_from(node["members"]),
    "datetime": _datetimes,
    "date": _dates,
    "time": _times,
    "timedelta": _spans,
    "uuid": lambda node: st.uuids(version=node.get("version")).map(str),
    "url": lambda _: _FORMATS["uri"],
}
