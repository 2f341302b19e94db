"""What a schema says before any value exists: whether its values can survive being stored, and at what care."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic_core import core_schema

Node: TypeAlias = Any
"""A node of Pydantic's core schema: dicts and lists all the way down."""

_UNWRITABLE = {
    "callable": "a callable cannot be stored",
    "generator": "an iterator can be read once only, and storing would read it; use a list",
    "is-instance": "Pydantic cannot read an object of this class from JSON; give it a validator and a serializer",
    "is-subclass": "a class cannot be stored",
}
_FIELD_LISTS = {"model-fields", "typed-dict", "dataclass-args"}

# Types whose loaded value equals the dumped one exactly when nothing was lost, so that one comparison proves it.
_PLAIN = {
    *("model", "model-fields", "model-field", "default", "nullable", "definitions", "definition-ref"),
    *("str", "int", "bool", "float", "decimal", "none", "date", "time", "datetime", "timedelta", "uuid", "bytes"),
    *("list", "set", "frozenset", "dict", "tuple", "literal", "enum", "union", "lax-or-strict", "json-or-python"),
}


# Types whose values are all in their text: no offset is lost, no order of members, no number that is none.
_COPIED = {"model", "model-fields", "model-field", "default", "nullable", "str", "int", "bool", "none", "list", "tuple"}

Mortal: TypeAlias = tuple[str, str]
"""A field, and why its values cannot survive."""


def find_mortal_field(schema: Node, owner: str) -> Mortal | None:
    """Return the first field whose values cannot survive being stored, and why; `None` if there is none."""
    return next(_mortal_fields(schema, owner), None)


def is_plain(schema: Node) -> bool:
    """Return whether equality of a value with what was loaded back proves that nothing was lost."""
    return all(_is_plain_node(node) for node in _nodes(schema))


def holds_floats(schema: Node) -> bool:
    """Return whether a value may hold a number that is none, NaN or infinity, though its text said nothing of it."""
    return any(node["type"] in {"float", "decimal", "timedelta"} for node in _nodes(schema))


def is_copied_whole(schema: Node) -> bool:
    """Return whether strict validation of an instance gives what loading its text would, sharing nothing with it."""
    return isinstance(schema, dict) and schema.get("type") == "model" and all(map(_is_copied, _nodes(schema)))


def count_models(schema: Node) -> int:
    """Return in how many places of a schema models stand, or may stand again."""
    return sum(node["type"] in {"model", "definition-ref"} for node in _nodes(schema))


def with_symmetric_bytes(schema: Node) -> Node | None:
    """Return the schema with bytes read as they are written; `None` if they are already.

    Pydantic writes bytes by `ser_json_bytes` but reads them by `val_json_bytes`, so that a model that sets only the
    first does not load what it dumped.
    """
    found = False

    def mend(config: dict[str, Any]) -> dict[str, Any]:
        nonlocal found
        writes = config.get("ser_json_bytes", "utf8")
        if writes == "utf8" or "val_json_bytes" in config:
            return config
        found = True
        return config | {"val_json_bytes": writes}

    mended = _with_configs(schema, mend)
    return mended if found else None


def with_frank_numbers(schema: Node) -> Node:
    """Return the schema with NaN and infinity written as what they are."""
    return _with_configs(schema, lambda config: config | {"ser_json_inf_nan": "constants"})


def _with_configs(node: Node, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Node:
    if isinstance(node, list):
        return [_with_configs(item, change) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {
        key: value if key in {"metadata", "cls"} else _with_configs(value, change) for key, value in node.items()
    }
    config = changed.get("config")
    return changed | {"config": change(config)} if isinstance(config, dict) else changed


def _mortal_fields(node: Node, path: str, *, by_name: bool = False, is_parsed: bool = False) -> Iterator[Mortal]:
    """Yield what cannot survive below a node.

    Args:
        node: Where to look.
        path: The class or field that it belongs to.
        by_name: Whether the model around reads its fields by their names, whatever their aliases.
        is_parsed: Whether a validator of the user's own comes first, which may make an object out of anything.
    """
    if isinstance(node, list | tuple):
        for item in node:
            yield from _mortal_fields(item, path, by_name=by_name, is_parsed=is_parsed)
    if not isinstance(node, dict):
        return
    if (serialization := node.get("serialization")) and _is_users_own(serialization):
        return  # the user has taken over; whether it survives is seen at each save
    type_ = node.get("type")
    if _is_secret(serialization):
        yield path, "a secret dumps as asterisks; give the field a serializer, or keep the secret elsewhere"
    elif isinstance(type_, str) and type_ in _UNWRITABLE and not is_parsed:
        yield path, _UNWRITABLE[type_]
    elif type_ in _FIELD_LISTS:
        yield from _mortal_in_fields(node, path, by_name=by_name)
    else:
        yield from _mortal_below(node, path, by_name=by_name, is_parsed=is_parsed)


def _mortal_below(node: dict[str, Any], path: str, *, by_name: bool, is_parsed: bool) -> Iterator[Mortal]:
    match node:
        case {"type": "model" | "dataclass", "cls": type() as cls, "schema": inner}:
            config = node.get("config") or {}
            by_name = bool(config.get("validate_by_name") or config.get("populate_by_name"))
            yield from _mortal_fields(inner, path if "." in path else cls.__name__, by_name=by_name)
        case {"type": "json-or-python", "json_schema": inner} | {"type": "lax-or-strict", "lax_schema": inner}:
            yield from _mortal_fields(inner, path, by_name=by_name, is_parsed=is_parsed)
        case _:
            is_parsed = is_parsed or node.get("type") in {"function-before", "function-wrap"}
            for key, value in node.items():
                if key not in {"metadata", "config", "cls", "default", "serialization"}:
                    yield from _mortal_fields(value, path, by_name=by_name, is_parsed=is_parsed)


def _mortal_in_fields(node: Node, path: str, *, by_name: bool) -> Iterator[Mortal]:
    fields = node["fields"]
    named = fields.items() if isinstance(fields, dict) else ((field["name"], field) for field in fields)
    for name, field in named:
        here = f"{path}.{name}"
        if field.get("serialization_exclude"):
            yield here, "the field is excluded from what is stored"
        elif field.get("init_only"):
            yield here, "an InitVar is not stored, and loading needs it"
        elif not _reads_what_it_writes(name, field, by_name=by_name):
            yield here, "the field is written under one name and read under another"
        else:
            yield from _mortal_fields(field["schema"], here)


def _reads_what_it_writes(name: str, field: Node, *, by_name: bool) -> bool:
    written = field.get("serialization_alias", name)
    alias = field.get("validation_alias")
    if alias is None or alias == written or (by_name and written == name):
        return True
    if isinstance(alias, list):
        choices = alias if alias and isinstance(alias[0], list) else [alias]
        return any(choice == [written] for choice in choices)
    return False


def _is_secret(serialization: Node) -> bool:
    return isinstance(serialization, dict) and getattr(serialization.get("function"), "__name__", "").startswith(
        "_serialize_secret"
    )


def _is_users_own(serialization: Node) -> bool:
    function = serialization.get("function") if isinstance(serialization, dict) else None
    module, name = (str(getattr(function, each, "")) for each in ("__module__", "__name__"))
    # A public function of Pydantic's, such as `SecretStr.get_secret_value`, was chosen by the user.
    is_pydantics = module.startswith("pydantic._internal") or (module.startswith("pydantic") and name.startswith("_"))
    return function is not None and not is_pydantics


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
    if node["type"] == "decimal" and node.get("allow_inf_nan"):
        return False
    if node["type"] == "model":
        cls, config = node["cls"], node.get("config") or {}
        odd = {"ser_json_inf_nan", "ser_json_bytes", "extra_fields_behavior"} & config.keys()
        return not odd and not node.get("root_model") and cls.__eq__ is BaseModel.__eq__ and not node.get("custom_init")
    return True


def _is_copied(node: dict[str, Any]) -> bool:
    match node["type"]:
        case "dict":
            keys = node.get("keys_schema") or {}
            return keys.get("type") == "str"
        case "literal":
            return all(type(each) is str for each in node["expected"])
        case other:
            return other in _COPIED


def _is_pydantics(serialization: core_schema.SerSchema | Node) -> bool:
    return isinstance(serialization, dict) and not _is_users_own(serialization) and not _is_secret(serialization)
