"""A definition as data: what clients may know of it."""

from __future__ import annotations

from typing import Any

from .._model.router import WorkflowRouter
from .._model.visibility import client_schema
from ..diagram import Graph, mermaid


def describe(router: WorkflowRouter[Any, Any]) -> dict[str, Any]:
    """Return states, commands, events, errors and transitions of a definition, and its picture as Mermaid text."""
    definition = router._definition
    return {
        "name": definition.name,
        "model_version": definition.model_version,
        "states": {schema.name: client_schema(schema) for schema in definition.states},
        "commands": {schema.name: schema.json_schema for schema in definition.commands},
        "events": {schema.name: client_schema(schema) for schema in definition.events},
        "errors": {name: error._fields().json_schema() for name, error in definition.errors.items()},
        "transitions": [
            {
                "state": arrow.source,
                "command": arrow.command,
                "targets": list(arrow.targets),
                "summary": arrow.summary,
            }
            for arrow in Graph.of(router).arrows
        ],
        "mermaid": mermaid(router),
    }
