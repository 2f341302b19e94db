"""Plain text: for a terminal, a docstring, a literal block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .._model.router import WorkflowRouter
from ._analysis import Analysis, analyse_graph
from ._graph import Arrow, Graph

_BEGIN = "(new)"


def text(router: WorkflowRouter[Any, Any], *, counts: Mapping[str, int] | None = None) -> str:
    """Return the workflow as plain text: each state, what can happen in it, and where that leads.

    Args:
        router: The router.
        counts: How many workflows are in each state, by stored name; states that are left out have none.

    Raises:
        DefinitionError: It is no router.
    """
    return text_of(Graph.of(router), counts)


def text_of(graph: Graph, counts: Mapping[str, int] | None = None) -> str:
    """As `text`, of a graph that was read before."""
    analysis = analyse_graph(graph)
    width = max(map(len, graph.commands), default=0)
    blocks = [[graph.definition], [_BEGIN, *_branches(graph, None, width)]]
    for state in graph.states:
        title = " · ".join((state, *_remarks(state, analysis, counts)))
        blocks.append([title, *_branches(graph, state, width)])
    if analysis.unhandled:
        blocks.append([f"handled in no state: {', '.join(analysis.unhandled)}"])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _remarks(state: str, analysis: Analysis, counts: Mapping[str, int] | None) -> Iterator[str]:
    if counts is not None:
        yield f"{counts.get(state, 0):,}"
    if state in analysis.ends:
        yield "end"
    if state in analysis.unreachable:
        yield "cannot be reached"


def _branches(graph: Graph, source: str | None, width: int) -> Iterator[str]:
    arrows = graph.leaving(source)
    for arrow in arrows:
        branch = "└─" if arrow is arrows[-1] else "├─"
        yield f" {branch} {arrow.command} {'─' * (width - len(arrow.command))}──▶ {_leads_to(arrow)}"


def _leads_to(arrow: Arrow) -> str:
    if not arrow.targets:
        return "always refused"
    moves = " or ".join(target for target in arrow.targets if target != arrow.source)
    if arrow.source not in arrow.targets:
        return moves
    return f"{moves}, or stays" if moves else "stays"
