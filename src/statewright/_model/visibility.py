"""What clients see of a workflow: everything but the fields that are server-only."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from .commit import RecordedMessage, WorkflowCommit
from .definition import Definition, Members
from .plain import to_value
from .schema import Schema


def client_view(schema: Schema, text: str) -> Any:
    """Return the stored form of a value without server-only fields.

    Args:
        schema: The value's schema.
        text: Its stored form.
    """
    return schema.view.dump(schema.load(text)) if schema.view.has_hidden else to_value(text)


def client_schema(schema: Schema) -> dict[str, Any]:
    """Return the JSON Schema of what `client_view` gives."""
    return schema.view.json_schema


def client_message(members: Members, message: RecordedMessage) -> dict[str, Any]:
    """Return a recorded command or event as clients see it: `type` and `data`.

    One that today's code does not know, or that does not load, has `None` for its data: nobody can tell which of its
    fields are server-only.
    """
    schema = members.by_name.get(message.type)
    data = None
    if schema is not None:
        try:
            data = schema.view.dump(schema.load(message.text))
        except (ValidationError, RecursionError):
            pass
    return {"type": message.type, "data": data}


def client_event(definition: Definition, event: Any) -> dict[str, Any]:
    """Return an event of a result or commit as clients see it: `type` and `data`.

    Args:
        definition: The definition that the event belongs to.
        event: An instance, or a `RecordedMessage` that no longer decodes.
    """
    if isinstance(event, RecordedMessage):
        return client_message(definition.events, event)
    schema = definition.events.by_type[type(event)]
    return {"type": schema.name, "data": schema.view.dump(event)}


def client_commit(definition: Definition, commit: WorkflowCommit[Any]) -> dict[str, Any]:
    """Return a commit as clients see it, without metadata and idempotency key: they are between caller and server."""
    return {
        "position": commit.position,
        "workflow_id": commit.workflow_id,
        "version": commit.version,
        "command": client_message(definition.commands, commit.command) if commit.command is not None else None,
        "events": [client_event(definition, event) for event in commit.events],
        "state": commit.state,
        "recorded_at": commit.recorded_at.isoformat(),
    }
