"""What a look at the graph alone can find wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._model.router import WorkflowRouter
from ._graph import Graph


@dataclass(frozen=True, slots=True)
class Analysis:
    """What stands out in a workflow; stored names, in the order of their declaration."""

    unreachable: tuple[str, ...]
    """States that no sequence of commands leads to."""
    ends: tuple[str, ...]
    """States without a way out. Most workflows end somewhere; that it is here is for you to confirm."""
    unhandled: tuple[str, ...]
    """Commands that no state handles."""

    @property
    def is_sound(self) -> bool:
        """Whether every state can be reached and every command is handled somewhere."""
        return not self.unreachable and not self.unhandled


def analyse(router: WorkflowRouter[Any, Any]) -> Analysis:
    """Look for states that cannot be reached or left, and for commands that nothing handles.

    Only the annotations are read: a handler that says it may return a state is believed.

    Raises:
        DefinitionError: It is no router.
    """
    return analyse_graph(Graph.of(router))


def analyse_graph(graph: Graph) -> Analysis:
    """As `analyse`, of a graph that was read before."""
    reached = _reached(graph)
    left = {arrow.source for arrow in graph.arrows if set(arrow.targets) - {arrow.source}}
    handled = {arrow.command for arrow in graph.arrows}
    return Analysis(
        unreachable=tuple(state for state in graph.states if state not in reached),
        ends=tuple(state for state in graph.states if state not in left),
        unhandled=tuple(command for command in graph.commands if command not in handled),
    )


def _reached(graph: Graph) -> set[str]:
    reached: set[str] = set()
    ahead = [target for arrow in graph.leaving(None) for target in arrow.targets]
    while ahead:
        state = ahead.pop()
        if state not in reached:
            reached.add(state)
            ahead.extend(target for arrow in graph.leaving(state) for target in arrow.targets)
    return reached
