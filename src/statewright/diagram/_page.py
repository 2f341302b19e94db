"""A picture and a table for a page of documentation: Markdown for MkDocs and MyST, reStructuredText for Sphinx."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from .._model.router import WorkflowRouter
from ._dot import dot_of
from ._graph import Arrow, Graph
from ._mermaid import mermaid_of

_HEADER = ("State", "Command", "Leads to", "What happens")


def markdown(router: WorkflowRouter[Any, Any]) -> str:
    """Return a Mermaid block and a table of what each command does in each state, as Markdown.

    The last column is the first line of the handler's docstring, or its name.

    Raises:
        DefinitionError: It is no router.
    """
    graph = Graph.of(router)
    rows = [_HEADER, ("---",) * len(_HEADER)]
    rows += [tuple(cell.replace("|", r"\|") for cell in _cells(arrow, "`")) for arrow in graph.arrows]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"```mermaid\n{mermaid_of(graph)}```\n\n{table}\n"


def rst(router: WorkflowRouter[Any, Any]) -> str:
    """Return a Graphviz directive and a table of what each command does in each state, as reStructuredText.

    `graphviz` is an extension that Sphinx brings; the table needs none.

    Raises:
        DefinitionError: It is no router.
    """
    graph = Graph.of(router)
    picture = textwrap.indent(dot_of(graph), "   ")
    rows = ["   * - " + "\n     - ".join(row) for row in (_HEADER, *(_cells(arrow, "``") for arrow in graph.arrows))]
    return "\n".join([".. graphviz::\n", picture, ".. list-table::\n   :header-rows: 1\n", *rows]) + "\n"


def _cells(arrow: Arrow, mark: str) -> Iterator[str]:
    yield "*new*" if arrow.source is None else f"{mark}{arrow.source}{mark}"
    yield f"{mark}{arrow.command}{mark}"
    yield ", ".join(f"{mark}{target}{mark}" for target in arrow.targets) or "*always refused*"
    yield arrow.summary or f"{mark}{arrow.handler}{mark}"
