"""A router as a graph of names: what every picture is drawn from."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from .._model.registry import Transition
from .._model.router import WorkflowRouter
from ..errors import DefinitionError


@dataclass(frozen=True, slots=True)
class Arrow:
    """What one command does in one state."""

    source: str | None
    """Stored name of the state; `None` for a command that creates."""
    command: str
    """Stored name of the command."""
    targets: tuple[str, ...]
    """Stored names of the states it may lead to; the source itself for staying there; none if it is always refused."""
    handler: str
    """The name of the handler."""
    summary: str
    """The first line of the handler's docstring; empty if it has none."""

    def to_dict(self) -> dict[str, Any]:
        """Return the arrow as JSON-safe data."""
        return {
            "state": self.source,
            "command": self.command,
            "targets": list(self.targets),
            "handler": self.handler,
            "summary": self.summary,
        }


@dataclass(frozen=True, slots=True)
class Graph:
    """A workflow's states and commands, by stored name, in the order of their declaration."""

    definition: str
    states: tuple[str, ...]
    commands: tuple[str, ...]
    arrows: tuple[Arrow, ...]
    """Creations first, then by state, then by command."""

    @classmethod
    def of(cls, router: WorkflowRouter[Any, Any]) -> Self:
        """Read the graph of a router.

        Raises:
            DefinitionError: It is no router.
        """
        if not isinstance(router, WorkflowRouter):
            raise DefinitionError(f"a diagram is drawn of a WorkflowRouter, found {type(router).__name__}")
        workflow = router.workflow
        states = {type_: name for name, type_ in workflow.states.items()}
        commands = {type_: name for name, type_ in workflow.commands.items()}
        sources, names = [None, *states.values()], list(commands.values())
        arrows = [_arrow(each, states, commands) for each in router.transitions]
        arrows.sort(key=lambda each: (sources.index(each.source), names.index(each.command)))
        return cls(workflow.name, tuple(states.values()), tuple(names), tuple(arrows))

    def leaving(self, source: str | None) -> tuple[Arrow, ...]:
        """Return what can happen in a state; in `None`: what creates."""
        return tuple(arrow for arrow in self.arrows if arrow.source == source)

    def edges(self) -> Iterator[tuple[str | None, str, tuple[str, ...]]]:
        """Yield source, target and commands, once for each pair of states that has any."""
        found: dict[tuple[str | None, str], list[str]] = {}
        for arrow in self.arrows:
            for target in arrow.targets:
                found.setdefault((arrow.source, target), []).append(arrow.command)
        for (source, target), commands in found.items():
            yield source, target, tuple(commands)

    def to_dict(self) -> dict[str, Any]:
        """Return the graph as JSON-safe data."""
        return {
            "definition": self.definition,
            "states": list(self.states),
            "commands": list(self.commands),
            "transitions": [arrow.to_dict() for arrow in self.arrows],
        }


def _arrow(transition: Transition, states: dict[type[Any], str], commands: dict[type[Any], str]) -> Arrow:
    handler = _written(transition.handler)
    summary = (inspect.getdoc(handler) or "").strip().partition("\n")[0]
    return Arrow(
        source=None if transition.state is None else states[transition.state],
        command=commands[transition.command],
        targets=tuple(states[target] for target in transition.targets),
        handler=getattr(handler, "__name__", type(handler).__name__),
        summary=summary,
    )


def _written(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that somebody wrote, below partials and wrappers."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    written: Callable[..., Any] = inspect.unwrap(handler)
    return written
