"""What the OpenAPI document says of the routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from .._model.definition import Definition
from .._model.visibility import client_schema

Plain = dict[str, Any]

_TEXT: Final[Plain] = {"type": "string"}
_COUNT: Final[Plain] = {"type": "integer", "minimum": 0}
_ISSUE: Final[Plain] = {
    "type": "object",
    "properties": {"path": {"type": "array"}, "message": _TEXT, "type": _TEXT},
    "required": ["path", "message", "type"],
}
PROBLEM: Final[Plain] = {
    "type": "object",
    "description": "RFC 9457: what went wrong, with the facts of the error.",
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "category": _TEXT,
        "issues": {"type": "array", "items": _ISSUE},
        "expected_version": _COUNT,
        "actual_version": {"type": ["integer", "null"]},
        "code": _TEXT,
        "reason": _TEXT,
        "safe_to_retry": {"type": "boolean"},
    },
    "required": ["type", "title", "status", "detail", "category"],
}
_PROBLEMS: Final[Mapping[int, str]] = {
    400: "A body that is not JSON, or a header that cannot be read.",
    401: "The token of this server is required.",
    403: "A page of another site may change nothing, and on loopback only loopback names are answered.",
    404: "There is no such workflow, version or command.",
    409: "Refused: by the workflow's rules, because its state takes no such command, or because somebody was first.",
    410: "What is asked for was pruned.",
    412: "The workflow is at another version than expected; it is in the body.",
    413: "The body is too large.",
    415: "The body is of another type than JSON.",
    422: "Data that its schema refuses, or an idempotency key that was used for another command.",
    428: "The expected version is required.",
    500: "An error that nobody expected, a store that failed, or data that this server cannot read.",
    501: "The store cannot do this.",
    503: "The store or a dependency is unavailable, or newer code is needed; nothing was saved.",
    504: "The store did not say whether the command was saved.",
}
ETAG: Final[Plain] = {"ETag": {"description": "The version, in double quotes.", "schema": _TEXT}}


def problems(*statuses: int) -> dict[int | str, Plain]:
    """Return the problems with which a route may answer."""
    content = {"application/problem+json": {"schema": PROBLEM}}
    return {status: {"description": _PROBLEMS[status], "content": content} for status in statuses}


def answer(description: str, schema: Plain, headers: Plain | None = None) -> Plain:
    """Return the description of an answer in JSON."""
    found: Plain = {"description": description, "content": {"application/json": {"schema": schema}}}
    return {**found, "headers": headers} if headers else found


def stream(description: str) -> Plain:
    """Return the description of a stream of events."""
    return {"description": description, "content": {"text/event-stream": {"schema": _TEXT}}}


def header(name: str, description: str, pattern: str) -> Plain:
    """Return the description of an optional header of a request."""
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


VERSION: Final = r'^(\*|"[1-9][0-9]{0,14}")$'
EVENT_ID: Final = "^[0-9]{1,15}$"
KEY: Final = "^[!-~]{1,255}$"


def payload(schema: Plain) -> Plain:
    """Return the description of a command's payload."""
    is_needed = bool(schema.get("required"))
    return {"required": is_needed, "content": {"application/json": {"schema": inlined(schema)}}}


def array(items: Plain) -> Plain:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def record(properties: Plain, *optional: str) -> Plain:
    """Return the schema of an object that has these properties."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


MESSAGE: Final = record({"type": _TEXT, "data": {}})
COMMIT: Final = record(
    {
        "id": _TEXT,
        "position": _COUNT,
        "workflow_id": _TEXT,
        "version": _COUNT,
        "command": {"anyOf": [MESSAGE, {"type": "null"}]},
        "events": array(MESSAGE),
        "state": _TEXT,
        "recorded_at": {"type": "string", "format": "date-time"},
        "model_version": _COUNT,
    }
)
TIMER: Final = record(
    {
        "key": _TEXT,
        "command": MESSAGE,
        "state": _TEXT,
        "keep": {"type": "boolean"},
        "due_at": {"type": "string", "format": "date-time"},
        "attempts": _COUNT,
    }
)
LETTER: Final = record(
    {
        "id": _TEXT,
        "kind": {"enum": ["timer", "delivery", "reactor"]},
        "reader": _TEXT,
        "workflow_id": _TEXT,
        "target": _TEXT,
        "target_id": _TEXT,
        "command": {"anyOf": [MESSAGE, {"type": "null"}]},
        "position": {"type": ["integer", "null"]},
        "attempts": _COUNT,
        "error": {"type": "object"},
    }
)
READER: Final = record({"name": _TEXT, "position": _COUNT, "lag": _COUNT, "undelivered": _COUNT})


class Schemas:
    """The schemas of a definition's answers, as clients see them.

    Args:
        definition: The definition.
    """

    def __init__(self, definition: Definition) -> None:
        states = [inlined(client_schema(schema)) for schema in definition.states]
        events = [
            record({"type": {"const": schema.name}, "data": inlined(client_schema(schema))})
            for schema in definition.events
        ]
        names = [schema.name for schema in definition.states]
        core: Plain = {"id": _TEXT, "state": {"enum": names}, "data": _any_of(states), "version": _COUNT}
        self.success = record({**core, "events": array(_any_of([*events, MESSAGE]))})
        self.workflow = record({**core, "definition": {"const": definition.name}})
        times = {name: {"type": ["string", "null"]} for name in ("created_at", "updated_at", "entered_at")}
        item = {**core, "definition": {"const": definition.name}, "state": _TEXT, "data": {}, **times}
        self.item = record(item)


def _any_of(schemas: Iterable[Plain]) -> Plain:
    found = list(schemas)
    return found[0] if len(found) == 1 else {"anyOf": found}


def inlined(schema: Plain) -> Plain:
    """Return a JSON Schema without `$defs`: inside another document, references to them would lead nowhere.

    A schema that contains itself is told to one level; further inside it says nothing.
    """
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    found: Plain = _inline({name: value for name, value in schema.items() if name != "$defs"}, definitions, ())
    return found


def _inline(node: Any, definitions: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inline(each, definitions, inside) for each in node]
    if not isinstance(node, dict):
        return node
    # The mapping of a discriminator holds references; what it tells apart, the members tell by their constants.
    rest = {
        name: _inline_key(name, value, definitions, inside)
        for name, value in node.items()
        if name not in {"$ref", "discriminator"}
    }
    reference = node.get("$ref")
    if not isinstance(reference, str):
        return rest
    name = reference.removeprefix("#/$defs/")
    if name in inside or name not in definitions:
        return rest
    return {**_inline(definitions[name], definitions, (*inside, name)), **rest}


def _inline_key(name: str, value: Any, definitions: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if name in {"const", "default", "enum", "example", "examples"}:
        return value  # data, no schema
    if name in {"properties", "patternProperties"}:
        return {key: _inline(each, definitions, inside) for key, each in value.items()}
    return _inline(value, definitions, inside)
