"""Mermaid: what GitHub, GitLab, MkDocs and many editors draw from a fenced block."""

from __future__ import annotations

import re
from typing import Any

from .._model.router import WorkflowRouter
from ._analysis import analyse_graph
from ._graph import Graph

_PLAIN_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = frozenset(
    {"as", "class", "classdef", "click", "default", "direction", "end", "hide", "note", "state", "style"}
)
_SPECIAL = re.compile(r"[^A-Za-z0-9_ .,\-()/]")


def mermaid(router: WorkflowRouter[Any, Any]) -> str:
    """Return the workflow as a Mermaid state diagram.

    Raises:
        DefinitionError: It is no router.
    """
    return mermaid_of(Graph.of(router))


def mermaid_of(graph: Graph) -> str:
    """As `mermaid`, of a graph that was read before."""
    ids = {state: state if _is_plain(state) else f"s{number}_" for number, state in enumerate(graph.states, 1)}
    lines = [f'state "{_escaped(state)}" as {id}' for state, id in ids.items() if id != state]
    lines += [ids[state] for state in graph.states if not _is_drawn(graph, state) and ids[state] == state]
    for source, target, commands in graph.edges():
        start = "[*]" if source is None else ids[source]
        lines.append(f"{start} --> {ids[target]}: {', '.join(map(_escaped, commands))}")
    lines += [f"{ids[state]} --> [*]" for state in analyse_graph(graph).ends]
    return "\n".join(["stateDiagram-v2", *(f"    {line}" for line in lines)]) + "\n"


def _is_plain(state: str) -> bool:
    return _PLAIN_ID.fullmatch(state) is not None and state.lower() not in _WORDS


def _is_drawn(graph: Graph, state: str) -> bool:
    """Return whether some line names the state; Mermaid knows no state that none does."""
    return state in analyse_graph(graph).ends or any(state in edge[:2] for edge in graph.edges())


def _escaped(text: str) -> str:
    # Mermaid's own form of entities; quotes, colons and semicolons would end what they stand in.
    return _SPECIAL.sub(lambda found: f"#{ord(found[0])};", text)
