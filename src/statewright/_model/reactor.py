"""Reactors: from an event to commands on other workflows, as a pure mapping."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, overload

from ..errors import DefinitionError
from .annotation import NOTHING, members, spelled
from .handler import scope_of, signature_of, source_of

Refused: TypeAlias = Literal["dead-letter", "drop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an event came from."""

    workflow_id: str
    definition: str
    version: int
    """The workflow's version after the commit that recorded the event."""
    position: int
    """The commit's place among all commits of the store."""
    metadata: Mapping[str, Any]
    """The commit's metadata."""


class Send:
    """A command for another workflow.

    Args:
        target: The executor of the workflow, or its definition's name.
        id: The workflow.
        command: An instance, or `{"type": stored name, "payload": stored form}`.
        refused: What becomes of a command that its handler refuses: a `"dead-letter"` that holds back what follows
            from the same source, or `"drop"`.
    """

    __slots__ = ("command", "id", "refused", "target")

    def __init__(self, target: Any, id: str, command: Any, *, refused: Refused = "dead-letter") -> None:
        name = target if isinstance(target, str) else getattr(getattr(target, "_definition", None), "name", None)
        if not isinstance(name, str):
            raise TypeError(f"a Send goes to an executor or to a definition's name, found {type(target).__name__}")
        if refused not in ("dead-letter", "drop"):
            raise ValueError(f"refused is 'dead-letter' or 'drop', found {refused!r}")
        self.target = name
        """The definition's name."""
        self.id = id
        self.command = command
        self.refused: Refused = refused

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Send) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash((self.target, self.id, type(self.command)))

    def _facts(self) -> tuple[Any, ...]:
        return self.target, self.id, self.command, self.refused

    def __repr__(self) -> str:
        return f"Send({self.target!r}, {self.id!r}, {self.command!r})"


Reaction: TypeAlias = Send | list[Send] | None
F = TypeVar("F", bound=Callable[[Any, Source], Reaction])


@dataclass(frozen=True, slots=True, eq=False)
class Reactor:
    """One reactor, as it was read."""

    name: str
    """The stored name, under which its position is kept."""
    events: tuple[type[Any], ...]
    function: Callable[..., Any]

    def resolve(self, event: Any, source: Source) -> list[Send]:
        """Return what the event leads to.

        Raises:
            TypeError: The function returned something else than Sends.
        """
        found = self.function(event, source)
        sends = [] if found is None else [found] if isinstance(found, Send) else found
        if not isinstance(sends, list | tuple) or not all(isinstance(each, Send) for each in sends):
            raise TypeError(f"reactor {self.name!r} returned {type(found).__name__}, not Send, list[Send] or None")
        return list(sends)


class Reactors:
    """Pure functions from an event to commands on other workflows.

    ```python
    reactors = Reactors()


    @reactors.on
    def charge(event: OrderPlaced, source: Source) -> Send:
        return Send("payment", f"payment-{event.order_id}", Charge(order_id=event.order_id))
    ```

    Each has a stored name and a position of its own in the store, so that it may be renamed in code by
    `@reactors.on(name="charge")`.
    """

    def __init__(self) -> None:
        self._reactors: dict[str, Reactor] = {}

    def __iter__(self) -> Iterator[Reactor]:
        return iter(self._reactors.values())

    @overload
    def on(self, function: F, /) -> F: ...
    @overload
    def on(self, *, name: str) -> Callable[[F], F]: ...
    def on(self, function: Any = None, *, name: Any = None) -> Any:
        """Register a pure function `(event, source) -> Send | list[Send] | None` by its event's annotation.

        Args:
            function: The function; it is not async, and does nothing but compute.
            name: Its stored name; the function's own name if not given.

        Returns:
            The function.

        Raises:
            DefinitionError: A missing or unresolvable annotation, an async function, or a name that is taken.
        """
        caller = sys._getframe(1)
        scope, within = dict(caller.f_locals), caller.f_code.co_qualname

        def register(each: Any) -> Any:
            reactor = _read(each, name, scope, within)
            if reactor.name in self._reactors:
                raise DefinitionError(f"two reactors share the name {reactor.name!r}; give one of them another")
            self._reactors[reactor.name] = reactor
            return each

        return register if function is None else register(function)

    def resolve(self, event: Any, source: Source) -> list[Send]:
        """Return what an event leads to, in the order of registration; nothing is sent."""
        return [send for reactor in self if type(event) in reactor.events for send in reactor.resolve(event, source)]


def _read(function: Any, name: str | None, scope: Mapping[str, Any], within: str) -> Reactor:
    source = source_of(function)
    if not callable(function) or inspect.iscoroutinefunction(source):
        raise DefinitionError(f"a reactor is a plain function (event, source), found {function!r}")
    stored = name if name is not None else getattr(function, "__name__", "")
    if not isinstance(stored, str) or not stored or stored == "<lambda>" or len(stored) > 200:
        raise DefinitionError(f"a reactor needs a name of 1 to 200 characters, found {stored!r}")
    annotation = _event_of(function, stored).annotation
    if annotation is inspect.Parameter.empty:
        raise DefinitionError(f"reactor {stored!r} has no annotation for its event, which is its registration")
    try:
        events = tuple(members(annotation, scope_of(source, scope, within)))
    except Exception as exc:
        raise DefinitionError(f"reactor {stored!r}: {annotation} cannot be resolved ({exc})") from exc
    for event in events:
        if event is NOTHING or not isinstance(event, type):
            raise DefinitionError(f"reactor {stored!r} names {spelled(event)}, which is no class of events")
    return Reactor(stored, events, function)


def _event_of(function: Any, name: str) -> inspect.Parameter:
    """Return the first of the two parameters that a reactor has."""
    try:
        signature = signature_of(function)
        signature.bind(None, None)
    except (TypeError, ValueError) as exc:
        raise DefinitionError(f"reactor {name!r} takes two parameters, (event, source): {exc}") from exc
    return next(iter(signature.parameters.values()))
