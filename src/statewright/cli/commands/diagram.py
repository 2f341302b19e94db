"""`statewright diagram`: what can happen in which state."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, assert_never

import typer

from ..._model.router import WorkflowRouter
from ...diagram import Graph, dot, markdown, mermaid, rst, text
from ..option import JsonOption, StoreOption, TargetArgument
from ..output import print_json
from ..place import opened
from ..target import meant_router


class Format(StrEnum):
    """How a diagram is written."""

    text = "text"
    mermaid = "mermaid"
    dot = "dot"
    markdown = "markdown"
    rst = "rst"


def diagram(
    target: TargetArgument = None,
    *,
    store: StoreOption = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            "-f",
            help="text for a terminal; markdown for MkDocs or MyST, rst for Sphinx: a picture and a table.",
        ),
    ] = Format.text,
    json: JsonOption = False,
) -> None:
    """Draw a workflow: what can happen in which state.

    With a store, text and JSON also say how many workflows are in each state.
    """
    router, counts = asyncio.run(_read(target, store))
    if json:
        print_json({**Graph.of(router).to_dict(), "counts": counts, "mermaid": mermaid(router)})
    else:
        typer.echo(_drawn(form, router, counts), nl=False)


async def _read(target: str | None, place: str | None) -> tuple[WorkflowRouter[Any, Any], Mapping[str, int] | None]:
    router = await meant_router(target, place)
    if target is not None and place is None:
        return router, None
    async with opened(place) as store:
        return router, dict(await store.count_by_state(router.workflow.name))


def _drawn(form: Format, router: WorkflowRouter[Any, Any], counts: Mapping[str, int] | None) -> str:
    match form:
        case Format.text:
            return text(router, counts=counts)
        case Format.mermaid:
            return mermaid(router)
        case Format.dot:
            return dot(router)
        case Format.markdown:
            return markdown(router)
        case Format.rst:
            return rst(router)
    assert_never(form)
