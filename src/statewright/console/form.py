"""From a command's JSON Schema to what a form asks for.

A form is plain data: a tree of fields, each with the kind of control that it needs. What no control fits is asked for
as JSON, so that every command can be sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

Schema: TypeAlias = Mapping[str, Any]
Field: TypeAlias = dict[str, Any]

_DEEPEST: Final = 6
"""Groups and lists within each other; what lies deeper, or goes round in a circle, is asked for as JSON."""
_TEXTS: Final = {"date": "date", "date-time": "moment", "time": "time", "email": "email", "uri": "address"}
_HINTS: Final = {
    "duration": "ISO 8601, as in PT90M",
    "uuid": "a UUID",
    "binary": "text",
    "base64": "Base64",
    "ipv4": "an IPv4 address",
    "ipv6": "an IPv6 address",
}
_LIMITS: Final = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
)


def form_of(schema: Schema) -> Field:
    """Return what a form for a payload asks for.

    Args:
        schema: The JSON Schema of the payload, its definitions included.

    Returns:
        A field, JSON-safe. `kind` is one of `group` (with `fields`), `list` (with `item`), `choice` (with `options`),
        `variant` (with `variants`), `text`, `number`, `integer`, `decimal`, `boolean`, `date`, `moment`, `time`,
        `email`, `address`, `secret`, `constant` and `json`.
    """
    return _Reader(schema).field(schema, "", depth=0)


class _Reader:
    def __init__(self, root: Schema) -> None:
        self._root = root

    def field(self, schema: Any, name: str, *, depth: int) -> Field:
        found = self._resolved(schema)
        field: Field = {"name": name, "label": _label(schema, name) or found.get("title", "")}
        hint = found.get("description")
        if isinstance(hint, str) and hint:
            field["hint"] = " ".join(hint.split())
        if "default" in found:
            field["default"] = found["default"]
        field |= {limit: found[limit] for limit in _LIMITS if limit in found}
        return field | self._control(found, depth)

    def _resolved(self, schema: Any) -> dict[str, Any]:
        """Return a schema with what it refers to put in its place; what stands beside a reference wins."""
        found: dict[str, Any] = dict(schema) if isinstance(schema, Mapping) else {}
        seen: set[str] = set()
        while isinstance(reference := found.pop("$ref", None), str) and reference not in seen:
            seen.add(reference)
            found = {**self._at(reference), **found}
        if isinstance(parts := found.get("allOf"), Sequence) and len(parts) == 1:
            del found["allOf"]
            found = {**self._resolved(parts[0]), **found}
        return found

    def _at(self, reference: str) -> dict[str, Any]:
        place: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            place = place.get(key) if isinstance(place, Mapping) else None
        return dict(place) if isinstance(place, Mapping) else {}

    # --- controls ----------------------------------------------------------------------------------------------------

    def _control(self, schema: dict[str, Any], depth: int) -> Field:
        branches = schema.get("anyOf", schema.get("oneOf"))
        if isinstance(branches, Sequence):
            return self._one_of(schema, [self._resolved(each) for each in branches], depth)
        if "const" in schema:
            return {"kind": "constant", "value": schema["const"]}
        if isinstance(schema.get("enum"), Sequence):
            return {"kind": "choice", "options": _options(schema["enum"])}
        return self._by_type(schema, depth)

    def _by_type(self, schema: dict[str, Any], depth: int) -> Field:
        match schema.get("type"):
            case "object":
                field = self._group(schema, depth)
            case "array":
                field = self._list(schema, depth)
            case "string":
                field = _text(schema)
            case "integer" | "number" | "boolean" as kind:
                field = {"kind": kind}
            case "null":
                field = {"kind": "constant", "value": None}
            case _:
                field = {"kind": "json"}
        return field

    def _group(self, schema: dict[str, Any], depth: int) -> Field:
        properties = schema.get("properties", {})
        if depth >= _DEEPEST or not isinstance(properties, Mapping):
            return {"kind": "json"}
        # Keys of its own choice are nothing that a form can have a field for.
        is_open = schema.get("additionalProperties", False) is not False or "patternProperties" in schema
        if is_open and (not properties or depth > 0):
            return {"kind": "json"}
        required = set(schema.get("required", ()))
        fields = [
            {**self.field(each, name, depth=depth + 1), "required": name in required}
            for name, each in properties.items()
        ]
        return {"kind": "group", "fields": fields}

    def _list(self, schema: dict[str, Any], depth: int) -> Field:
        items = schema.get("items")
        if depth >= _DEEPEST or not isinstance(items, Mapping) or "prefixItems" in schema:
            return {"kind": "json"}
        item = self.field(items, "", depth=depth + 1)
        return {"kind": "list", "item": {**item, "required": True}}

    def _one_of(self, schema: dict[str, Any], branches: list[dict[str, Any]], depth: int) -> Field:
        rest = [branch for branch in branches if branch.get("type") != "null"]
        field = self._only(schema, rest[0], depth) if len(rest) == 1 else self._several(rest, depth)
        if len(rest) < len(branches):
            field["nullable"] = True
        return field

    def _only(self, schema: dict[str, Any], branch: dict[str, Any], depth: int) -> Field:
        inner = self.field(branch, "", depth=depth)
        beside = {"name", "label", "default"} | ({"hint"} if "description" in schema else set())
        return {key: value for key, value in inner.items() if key not in beside}

    def _several(self, branches: list[dict[str, Any]], depth: int) -> Field:
        types = {branch.get("type") for branch in branches}
        if types == {"number", "string"} and not any("enum" in branch or "format" in branch for branch in branches):
            limits = next(branch for branch in branches if branch.get("type") == "number")
            # So Pydantic describes a decimal, which keeps its digits as text only.
            return {"kind": "decimal", **{limit: limits[limit] for limit in _LIMITS if limit in limits}}
        if all("const" in branch for branch in branches):
            return {"kind": "choice", "options": _options([branch["const"] for branch in branches])}
        if types == {"object"} and depth < _DEEPEST:
            return {"kind": "variant", "variants": list(self._variants(branches, depth))}
        return {"kind": "json"}

    def _variants(self, branches: list[dict[str, Any]], depth: int) -> Iterator[Field]:
        for number, branch in enumerate(branches, 1):
            name = branch.get("title")
            yield {**self.field(branch, "", depth=depth + 1), "label": name if isinstance(name, str) else str(number)}


def _text(schema: dict[str, Any]) -> Field:
    form = schema.get("format")
    if form == "password" or schema.get("writeOnly") is True:
        return {"kind": "secret"}
    if form in _TEXTS:
        return {"kind": _TEXTS[form]}
    hint = _HINTS.get(form) if isinstance(form, str) else None
    return {"kind": "text", "hint": hint} if hint and "description" not in schema else {"kind": "text"}


def _options(values: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"value": value, "label": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}
        for value in values
    ]


def _label(schema: Any, name: str) -> str:
    """Return what a field is called: by its author, or else by its name."""
    title = schema.get("title") if isinstance(schema, Mapping) else None
    is_given = isinstance(title, str) and title.replace(" ", "").lower() != name.replace("_", "").lower()
    return str(title) if is_given and name else _spoken(name)


def _spoken(name: str) -> str:
    """Return a field's name in the words of a label."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]
