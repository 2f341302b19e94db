"""DOT: what Graphviz draws."""

from __future__ import annotations

from typing import Any

from .._model.router import WorkflowRouter
from ._analysis import analyse_graph
from ._graph import Graph

_BEGIN = '"[*]"'  # no state is called so: Mermaid's name for the same thing


def dot(router: WorkflowRouter[Any, Any]) -> str:
    """Return the workflow in Graphviz's language; states without a way out have a double border.

    Raises:
        DefinitionError: It is no router.
    """
    return dot_of(Graph.of(router))


def dot_of(graph: Graph) -> str:
    """As `dot`, of a graph that was read before."""
    ends = analyse_graph(graph).ends
    lines = [
        "rankdir=LR;",
        'node [shape=box, style=rounded, fontname="sans-serif"];',
        'edge [fontname="sans-serif", fontsize=10];',
        f'{_BEGIN} [shape=circle, style=filled, fillcolor=black, width=0.15, label=""];',
    ]
    lines += [f"{_quoted(state)}{' [peripheries=2]' if state in ends else ''};" for state in graph.states]
    for source, target, commands in graph.edges():
        start = _BEGIN if source is None else _quoted(source)
        label = r"\n".join(_quoted(command)[1:-1] for command in commands)
        lines.append(f'{start} -> {_quoted(target)} [label="{label}"];')
    return "\n".join([f"digraph {_quoted(graph.definition)} {{", *(f"    {line}" for line in lines), "}"]) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
