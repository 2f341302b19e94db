"""What a schema says before any value exists: whether its values can survive being stored, and at what care."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic_core import core_schema

Node: TypeAlias = Any
"""A node of Pydantic's core schema: dicts and lists all the way down."""

_FIELD_LISTS = {"model-fields", "typed-dict", "dataclass-args"}

# Types whose loaded value equals the dumped one exactly when nothing was lost, so that one comparison proves it.
_PLAIN = {
    *("model", "model-fields", "model-field", "default", "nullable", "definitions", "definition-ref"),
    *("str", "int", "bool", "float", "decimal", "none", "date", "time", "datetime", "timedelta", "uuid", "bytes"),
    *("list", "set", "frozenset", "dict", "tuple", "literal", "enum", "union", "lax-or-strict", "json-or-python"),
}


def find_mortal_field(schema: Node, owner: str) -> tuple[str, str] | None:
    """Return the first field whose values cannot survive being stored, and why; `None` if there is none."""
    return next(_mortal_fields(schema, owner), None)


def is_plain(schema: Node) -> bool:
    """Return whether equality of a value with what was loaded back proves that nothing was lost."""
    return all(_is_plain_node(node) for node in _nodes(schema))


def with_symmetric_bytes(schema: Node) -> Node | None:
    """Return the schema with bytes read as they are written; `None` if they are already.

    Pydantic writes bytes by `ser_json_bytes` but reads them by `val_json_bytes`, so that a model that sets only the
    first does not load what it dumped.
    """
    found = False

    def mend(node: Node) -> Node:
        nonlocal found
        if isinstance(node, list):
            return [mend(item) for item in node]
        if not isinstance(node, dict):
            return node
        mended = {key: value if key in {"metadata", "cls"} else mend(value) for key, value in node.items()}
        config = mended.get("config")
        if isinstance(config, dict) and "val_json_bytes" not in config:
            writes = config.get("ser_json_bytes", "utf8")
            if writes != "utf8":
                found = True
                mended["config"] = config | {"val_json_bytes": writes}
        return mended

    mended = mend(schema)
    return mended if found else None


def _mortal_fields(node: Node, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, list | tuple):
        for item in node:
            yield from _mortal_fields(item, path)
    if not isinstance(node, dict):
        return
    if (serialization := node.get("serialization")) and _is_users_own(serialization):
        return  # the user has taken over; whether it survives is seen at each save
    if _is_secret(serialization):
        yield path, "a secret dumps as asterisks; give the field a serializer, or keep the secret elsewhere"
        return
    if node.get("type") == "callable":
        yield path, "a callable cannot be stored"
    if node.get("type") in _FIELD_LISTS:
        yield from _mortal_in_fields(node, path)
        return
    for key, value in node.items():
        if key not in {"metadata", "config", "cls", "default", "serialization"}:
            inner = value.__name__ if key == "cls" and isinstance(value, type) else path
            yield from _mortal_fields(value, inner)


def _mortal_in_fields(node: Node, path: str) -> Iterator[tuple[str, str]]:
    fields = node["fields"]
    named = fields.items() if isinstance(fields, dict) else ((field["name"], field) for field in fields)
    for name, field in named:
        here = f"{path}.{name}"
        if field.get("serialization_exclude"):
            yield here, "the field is excluded from what is stored"
        elif field.get("init_only"):
            yield here, "an InitVar is not stored, and loading needs it"
        elif not _reads_what_it_writes(name, field):
            yield here, "the field is written under one alias and read under another"
        else:
            yield from _mortal_fields(field["schema"], here)


def _reads_what_it_writes(name: str, field: Node) -> bool:
    written = field.get("serialization_alias", name)
    alias = field.get("validation_alias")
    if alias is None or written in (alias, name):
        return True  # reading by name may be on (`validate_by_name`); where it is not, the save itself refuses
    if isinstance(alias, list):
        choices = alias if alias and isinstance(alias[0], list) else [alias]
        return any(choice == [written] for choice in choices)
    return False


def _is_secret(serialization: Node) -> bool:
    if not isinstance(serialization, dict):
        return False
    function = serialization.get("function")
    return getattr(function, "__module__", "") == "pydantic.types" and "secret" in getattr(function, "__name__", "")


def _is_users_own(serialization: Node) -> bool:
    function = serialization.get("function") if isinstance(serialization, dict) else None
    return function is not None and not str(getattr(function, "__module__", "")).startswith("pydantic")


def _nodes(node: Node) -> Iterator[dict[str, Any]]:
    if isinstance(node, list | tuple):
        for item in node:
            yield from _nodes(item)
    elif isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield node
        for key, value in node.items():
            if key not in {"metadata", "config", "cls", "default", "function", "members", "expected"}:
                yield from _nodes(value)


def _is_plain_node(node: dict[str, Any]) -> bool:
    if node["type"] not in _PLAIN or ("serialization" in node and not _is_pydantics(node["serialization"])):
        return False
    if node["type"] == "model":
        cls, config = node["cls"], node.get("config") or {}
        odd = {"ser_json_inf_nan", "ser_json_bytes", "extra_fields_behavior"} & config.keys()
        return not odd and not node.get("root_model") and cls.__eq__ is BaseModel.__eq__ and not node.get("custom_init")
    return True


def _is_pydantics(serialization: core_schema.SerSchema | Node) -> bool:
    return isinstance(serialization, dict) and not _is_users_own(serialization) and not _is_secret(serialization)
