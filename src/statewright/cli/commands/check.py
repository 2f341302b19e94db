"""`statewright check`: what a look at the definition alone can find wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from ...diagram import Analysis, Graph, analyse
from ..option import JsonOption, StoreOption, TargetArgument
from ..output import console, print_json
from ..program import MISUSED, WRONG, Complaint
from ..target import meant_router


def check(
    target: TargetArgument = None,
    *,
    store: StoreOption = None,
    ends: Annotated[
        list[str] | None,
        typer.Option(
            "--end",
            metavar="STATE",
            show_default=False,
            help="A state that is meant to be an end; then any other is wrong.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Look for mistakes in a definition.

    States that cannot be reached, states without a way out that are not meant to be an end, commands that no state
    handles: all this the annotations of the handlers say, without running any of them. The status is 1 if something
    is wrong.
    """
    router = asyncio.run(meant_router(target, store))
    graph, analysis = Graph.of(router), analyse(router)
    if unknown := [state for state in ends or () if state not in graph.states]:
        raise Complaint(f"--end {unknown[0]}: {graph.definition} has the states {', '.join(graph.states)}", MISUSED)
    stuck = [state for state in analysis.ends if ends and state not in ends]
    problems = list(_problems(analysis, stuck))
    if json:
        print_json(_report(graph, analysis, stuck))
    else:
        _print(graph, analysis, problems)
    if problems:
        raise typer.Exit(WRONG)


def _problems(analysis: Analysis, stuck: Sequence[str]) -> Iterator[str]:
    for state in analysis.unreachable:
        yield f"{state}: no sequence of commands leads to this state"
    for state in stuck:
        yield f"{state}: no command leads out of this state, and it is not meant to be an end"
    for command in analysis.unhandled:
        yield f"{command}: no state handles this command"


def _report(graph: Graph, analysis: Analysis, stuck: Sequence[str]) -> dict[str, Any]:
    return {
        "definition": graph.definition,
        "ok": analysis.is_sound and not stuck,
        "unreachable": list(analysis.unreachable),
        "ends": list(analysis.ends),
        "unexpected_ends": list(stuck),
        "unhandled": list(analysis.unhandled),
    }


def _print(graph: Graph, analysis: Analysis, problems: Sequence[str]) -> None:
    out = console()
    sizes = f"{len(graph.states)} states, {len(graph.commands)} commands, {len(graph.arrows)} transitions"
    out.print(f"{graph.definition}: {sizes}")
    out.print(f"ends: {', '.join(analysis.ends) or 'none'}")
    for problem in problems:
        out.print(f"wrong: {problem}")
    if not problems:
        out.print("nothing wrong: every state can be reached, and every command is handled somewhere")
