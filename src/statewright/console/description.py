"""What the console's pages know of a definition: its states, and a form for each command."""

from __future__ import annotations

import inspect
from typing import Any

from .._engine.executor import WorkflowExecutor
from ..diagram import Graph
from ..diagram._analysis import analyse_graph
from .drawing import HUES
from .form import form_of


def describe(executor: WorkflowExecutor[Any]) -> dict[str, Any]:
    """Return states and commands of a definition as JSON-safe data.

    `allowed` names the commands that have a handler in each state, and `creations` those that create.
    """
    router = executor.router
    workflow = router.workflow
    graph = Graph.of(router)
    ends = analyse_graph(graph).ends
    schemas: dict[str, dict[str, Any]] = dict(router.available_commands_for(None))
    allowed: dict[str, list[str]] = {}
    for name, state in workflow.states.items():
        found = router.available_commands_for(state)
        allowed[name] = list(found)
        schemas |= found
    views = workflow.client_schemas()
    return {
        "name": workflow.name,
        "summary": summary_of(workflow),
        "states": [
            {"name": name, "summary": _first_line(views[name]), "hue": number % HUES, "is_end": name in ends}
            for number, name in enumerate(graph.states)
        ],
        "creations": list(router.available_commands_for(None)),
        "allowed": allowed,
        "commands": {name: {"summary": _first_line(each), "form": form_of(each)} for name, each in schemas.items()},
    }


def summary_of(workflow: type[Any]) -> str:
    """Return the first line of a workflow's own docstring; empty if it has none."""
    return (inspect.cleandoc(workflow.__dict__.get("__doc__") or "")).partition("\n")[0]


def _first_line(schema: dict[str, Any]) -> str:
    description = schema.get("description")
    return description.strip().partition("\n")[0] if isinstance(description, str) else ""
