"""Values as clients get them: without their server-only fields, which are `None` here."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import SchemaValidator

from .._mark import _FACTS, View
from .._model.commit import RecordedMessage
from .._model.definition import Members
from .._model.plain import to_text
from .._model.schema import Schema
from ..errors import DomainError

_FIELDS: Final = {"model-fields", "typed-dict", "dataclass-args"}
_ABSENT: Final = {"type": "default", "schema": {"type": "any"}, "default": None}


def partial(schema: Schema) -> Schema:
    """Return a schema that loads what a client gets; the schema itself where nothing is hidden."""
    if not schema.view.has_hidden:
        return schema
    twin = copy.copy(schema)
    validator = _validator(schema.ready()._adapter.core_schema, schema.view)
    vars(twin)["_load"] = validator.validate_json
    return twin


def _validator(core: Any, view: View) -> SchemaValidator:
    # Without the flag, nested models would be loaded by their own validators, which miss what is hidden.
    return SchemaValidator(_lenient(core, view), _use_prebuilt=False)


def _lenient(node: Any, view: View) -> Any:
    """Return a core schema in which hidden fields may be missing."""
    if isinstance(node, list | tuple):
        return type(node)(_lenient(each, view) for each in node)
    if not isinstance(node, dict):
        return node
    found = {key: value if key in _FACTS else _lenient(value, view) for key, value in node.items()}
    if node.get("type") in _FIELDS:
        fields = node["fields"]
        if isinstance(fields, dict):
            found["fields"] = {name: _field(field, found["fields"][name], view) for name, field in fields.items()}
        else:
            found["fields"] = [_field(*pair, view) for pair in zip(fields, found["fields"], strict=True)]
    return found


def _field(field: dict[str, Any], lenient: dict[str, Any], view: View) -> dict[str, Any]:
    if not view._is_marked(field["schema"]):
        return lenient
    absent = {**lenient, "schema": _ABSENT}
    return {**absent, "required": False} if field.get("type") == "typed-dict-field" else absent


class Messages:
    """Loads events as clients get them.

    Args:
        members: The declared classes.
    """

    def __init__(self, members: Members) -> None:
        self._schemas = {schema.name: partial(schema) for schema in members}

    def load(self, message: Mapping[str, Any]) -> Any:
        """Return the event, or the message itself where this code does not know it."""
        name, data = message["type"], message["data"]
        schema = self._schemas.get(name)
        try:
            return RecordedMessage(name, data) if schema is None else schema.load(to_text(data))
        except ValidationError:
            return RecordedMessage(name, data)


class Refusals:
    """Builds a definition's refusals again.

    Args:
        errors: The declared error classes, by code.
    """

    def __init__(self, errors: Mapping[str, type[DomainError]]) -> None:
        self._errors = errors

    def load(self, code: str, data: Any) -> DomainError | None:
        """Return the refusal; `None` if this code does not know it."""
        error = self._errors.get(code)
        if error is None:
            return None
        fields = error._fields()
        try:
            validator = _validator(fields._adapter.core_schema, fields.view)
            found: dict[str, Any] = dict(validator.validate_json(to_text(data)).__dict__)
        except ValidationError:
            return None
        refusal = error.__new__(error)
        refusal.__dict__.update(found)
        if fields.view.has_hidden:
            # What is absent fits no schema; what is seen is what came, and needs none.
            refusal.__dict__["to_dict"] = functools.partial(copy.deepcopy, {**refusal.to_dict(), "data": data})
        return refusal
