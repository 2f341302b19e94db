"""The `ServerOnly` mark, and schemas as they look without what it hides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, TypeAlias, get_args

from pydantic import GetCoreSchemaHandler
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, SchemaSerializer, core_schema

_MARK: Final = "statewright_server_only"

Node: TypeAlias = Any
"""A node of Pydantic's core schema: dicts and lists all the way down."""

_FIELDS = {"model-fields", "typed-dict", "dataclass-args"}
# What holds no schema of a value, but facts about one.
_FACTS = {"cls", "config", "default", "default_factory", "expected", "function", "members", "metadata", "serialization"}
# Where the schemas stand that others refer to: what is beneath one of them is beneath whoever refers to it.
_SHARED = "definitions"
# Filters of single items; whatever else stands under `serialization` writes the value as it likes.
_FILTERS = {"include-exclude-dict", "include-exclude-sequence"}
# Keys of a JSON Schema that hold values.
_VALUES = ("default", "example", "examples")

_KNOWN = frozenset(get_args(core_schema.ErrorType))
_QUOTING = {
    *("value_error", "assertion_error", "get_attribute_error", "iteration_error", "mapping_type"),
    "union_tag_invalid",
}
_WITHHELD = "is not accepted; the reason may quote server-only data, so it is not shown"

Found: TypeAlias = tuple[tuple[str | int, ...], str, str]
"""Path, message and type of something that a schema found wrong."""


class ServerOnly:
    """Marks a field that no client may see: `ssn: Annotated[str, ServerOnly]`.

    It works at any depth of a state, event, error or recorded command: in nested models, dataclasses and TypedDicts,
    in lists, dicts, tuples, sets and unions of them. A mark further inside a field's type, as in
    `list[Annotated[str, ServerOnly]]`, hides the field. What handlers see and stores keep is not changed.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        found: Any = {**handler(source)}
        found["metadata"] = {**found.get("metadata", {}), _MARK: True}
        schema: CoreSchema = found
        return schema


class View:
    """A schema as clients see it: without the fields that are marked.

    Args:
        core: Pydantic's core schema of the whole class.
    """

    def __init__(self, core: CoreSchema) -> None:
        self._core: Node = core
        self._definitions: dict[str, Node] = {each["ref"]: each for each in _definitions(core)}
        self.has_hidden: bool = self.is_beneath(core)
        """Whether there is anything to hide."""
        self.is_hidden: bool = self.has_hidden and self._is_marked(core)
        """Whether nothing is left to be seen."""

    # --- looking ---------------------------------------------------------------------------------------------------

    def is_beneath(self, node: Node) -> bool:
        """Return whether a mark is anywhere in or below a node."""
        return any(_has_mark(each) for each in self._below(node, across_fields=True))

    def _is_marked(self, node: Node) -> bool:
        """Return whether a mark in a node concerns the field around it: no field of its own lies between."""
        return any(_has_mark(each) for each in self._below(node, across_fields=False))

    def _below(self, node: Node, *, across_fields: bool) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        waiting = [node]
        while waiting:
            found = waiting.pop()
            if isinstance(found, list | tuple):
                waiting.extend(found)
            elif isinstance(found, dict):
                yield found
                if (ref := found.get("schema_ref")) is not None and ref not in seen:
                    seen.add(ref)
                    waiting.append(self._definitions.get(ref))
                if across_fields or found.get("type") not in _FIELDS:
                    waiting.extend(value for key, value in found.items() if key not in _FACTS and key != _SHARED)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names and aliases of all hidden fields."""
        everywhere = self._below(self._core, across_fields=True)
        hidden = (
            (name, field)
            for node in everywhere
            if node.get("type") in _FIELDS
            for name, field in _named_fields(node)
            if self._is_marked(field["schema"])
        )
        return frozenset(word for name, field in hidden for word in _words(name, field))

    # --- what is seen ----------------------------------------------------------------------------------------------

    def dump(self, value: Any) -> Any:
        """Return the stored form of a value without what is hidden."""
        if self.is_hidden:
            return None
        return self._serializer.to_python(value, mode="json", by_alias=True, round_trip=True, warnings=False)

    @cached_property
    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of what `dump` gives."""
        if self.is_hidden:
            return {"type": "null"}
        return _Generator(self).generate(self._masked, mode="serialization")

    @cached_property
    def stored_schema(self) -> dict[str, Any]:
        """The JSON Schema of what is stored: everything, hidden fields too."""
        return _ExactGenerator(self).generate(_uncomputed(self._core), mode="serialization")

    @cached_property
    def accepted_schema(self) -> dict[str, Any]:
        """The JSON Schema of what is accepted, in terms that can be compared with `stored_schema`."""
        return _ExactGenerator(self).generate(self._core, mode="validation")

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of what is accepted: hidden fields may be sent, but none of their values is quoted."""
        return _Generator(self).generate(self._core, mode="validation")

    def shown(self, path: tuple[str | int, ...], message: str, type: str) -> Found:
        """Return what a client may read of something that Pydantic found wrong."""
        if not self.has_hidden:
            return path, message, type
        cut = self.cut(path)
        if cut != path or self._is_at_hidden(path) or type in _QUOTING or type not in _KNOWN:
            return cut, _WITHHELD, type if type in _KNOWN else "value_error"
        return path, message, type

    def cut(self, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """Return a path up to the first hidden field: what follows may be keys of its data."""
        if self.is_hidden:
            return ()
        depth = next((index for index, part in enumerate(path) if part in self.names), len(path))
        return path[: depth + 1]

    def _is_at_hidden(self, path: tuple[str | int, ...]) -> bool:
        return self.is_hidden or any(part in self.names for part in path)

    # --- the schema without ----------------------------------------------------------------------------------------

    @cached_property
    def _masked(self) -> Node:
        return self._mask(_uncomputed(self._core))

    @cached_property
    def _serializer(self) -> SchemaSerializer:
        # Without the flag, nested models would be written by their own serializers, which hide nothing.
        return SchemaSerializer(self._masked, _use_prebuilt=False)

    def _mask(self, node: Node) -> Node:
        if isinstance(node, list | tuple):
            return type(node)(self._mask(each) for each in node)
        if not isinstance(node, dict):
            return node
        masked: dict[str, Any] = {key: value if key in _FACTS else self._mask(value) for key, value in node.items()}
        if node.get("serialization", {}).get("type") not in {None, *_FILTERS} and self.is_beneath(node):
            del masked["serialization"]  # it would write what it likes of the value
        if node.get("type") in _FIELDS:
            self._mask_fields(node, masked)
        if node.get("type") == "model" and any(map(self._hides_extras, self._below(node, across_fields=False))):
            masked["config"] = {**node.get("config", {}), "extra_fields_behavior": "ignore"}
        return masked

    def _mask_fields(self, node: Node, masked: dict[str, Any]) -> None:
        originals = dict(_named_fields(node))
        for name, field in _named_fields(masked):
            if self._is_marked(originals[name]["schema"]):
                field["serialization_exclude"] = True
        if self._hides_extras(node):
            del masked["extras_schema"]
            masked["extra_behavior"] = "ignore"

    def _hides_extras(self, node: Node) -> bool:
        return self._is_marked(node.get("extras_schema"))


class _Generator(GenerateJsonSchema):
    """Writes JSON Schemas that quote no hidden value, be it as a default or as an example."""

    def __init__(self, view: View) -> None:
        super().__init__(by_alias=True)
        self.view = view

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        return self._without_values(schema, super().generate_inner(schema))

    def json_schema(self, schema: Any) -> JsonSchemaValue:
        # Stores and clients get JSON in JSON as the text that it is, in both modes.
        content = self.generate_inner(schema.get("schema") or core_schema.any_schema())
        return {"type": "string", "contentMediaType": "application/json", "contentSchema": content}

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        return self._without_values(schema, super().model_schema(schema))

    def dataclass_schema(self, schema: Any) -> JsonSchemaValue:
        return self._without_values(schema, super().dataclass_schema(schema))

    def typed_dict_schema(self, schema: Any) -> JsonSchemaValue:
        return self._without_values(schema, super().typed_dict_schema(schema))

    def tagged_union_schema(self, schema: Any) -> JsonSchemaValue:
        found = super().tagged_union_schema(schema)
        if self.mode == "serialization" and found.get("discriminator", {}).get("propertyName") in self.view.names:
            del found["discriminator"]
        return found

    def _without_values(self, schema: Any, found: JsonSchemaValue) -> JsonSchemaValue:
        if any(key in found for key in _VALUES) and self.view.is_beneath(schema):
            return {key: value for key, value in found.items() if key not in _VALUES}
        return found


class _ExactGenerator(_Generator):
    """Tells apart what Pydantic describes alike."""

    def decimal_schema(self, schema: Any) -> JsonSchemaValue:
        found = super().decimal_schema(schema)
        for each in found.get("anyOf", [found]):
            if each.get("type") == "string":
                each["format"] = "decimal"
        return found


def _definitions(node: Node) -> Iterator[dict[str, Any]]:
    if isinstance(node, list | tuple):
        for each in node:
            yield from _definitions(each)
    elif isinstance(node, dict):
        if "ref" in node:
            yield node
        for key, value in node.items():
            if key not in _FACTS:
                yield from _definitions(value)


def _uncomputed(node: Node) -> Node:
    """Return a schema without computed fields, which are not stored."""
    if isinstance(node, list | tuple):
        return type(node)(_uncomputed(each) for each in node)
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key != "computed_fields"}
    return {key: value if key in _FACTS else _uncomputed(value) for key, value in kept.items()}


def _has_mark(node: Mapping[str, Any]) -> bool:
    metadata = node.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get(_MARK))


def _named_fields(node: Node) -> Iterator[tuple[str, dict[str, Any]]]:
    fields = node["fields"]
    yield from fields.items() if isinstance(fields, dict) else ((field["name"], field) for field in fields)


def _words(name: str, field: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names by which a field may appear in a path."""
    waiting: list[Any] = [name, field.get("serialization_alias"), field.get("validation_alias")]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting.extend(found)
        elif isinstance(found, str):
            yield found
