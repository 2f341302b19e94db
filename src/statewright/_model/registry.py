"""Which handler serves which state and command."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..errors import DefinitionError
from .annotation import NOTHING
from .definition import Definition
from .handler import Handler
from .middleware import Chain, Middleware, compose

Pair: TypeAlias = tuple[type[Any], type[Any]]


@dataclass(frozen=True, slots=True)
class Transition:
    """What the annotations say of one state and command.

    `state` is `None` for a command that creates; a handler that may keep its state has that state among its targets.
    """

    state: type[Any] | None
    command: type[Any]
    targets: tuple[type[Any], ...]
    handler: Callable[..., Any]


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """A handler and the middleware that is its own."""

    handler: Handler
    middleware: tuple[Middleware, ...] = ()


@dataclass(slots=True, eq=False)
class Route:
    """The way of one command in one state, ready to run."""

    function: Callable[..., Any]
    takes_context: bool
    targets: frozenset[type[Any]]
    handler: Handler
    chain: Chain | None
    """The middleware around the handler; `None` where there is none."""


class Registry:
    """The handlers and middleware of a router; routers that differ only in their dependencies share one."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self._own: dict[Pair, list[Registration]] = {}
        self._included: dict[Pair, Registration] = {}
        self._middleware: list[Middleware] = []
        self._state_middleware: list[tuple[frozenset[type[Any]], Middleware]] = []
        self.routes: dict[Pair, Route | None] = {}
        """The ways found so far, for whoever would rather not call `route`."""

    # --- registration ----------------------------------------------------------------------------------------------

    def add(self, registration: Registration) -> None:
        """Register a handler for each pair that it names, or for none.

        Raises:
            DefinitionError: Another handler is as specific for one of the pairs.
        """
        handler = registration.handler
        pairs = [(state, command) for state in handler.states for command in handler.commands]
        for pair in pairs:
            for other in self._own.get(pair, ()):
                if other.handler.rank == handler.rank:
                    raise self._tie(pair, other.handler, handler)
        for pair in pairs:
            self._own.setdefault(pair, []).append(registration)
        self.routes.clear()

    def use(self, middleware: Middleware, states: frozenset[type[Any]] | None) -> None:
        """Add a middleware around all handlers, or around those of some states."""
        if states is None:
            self._middleware.append(middleware)
        else:
            self._state_middleware.append((states, middleware))
        self.routes.clear()

    def surround(self, middleware: Middleware) -> None:
        """Add a middleware around all others, whenever they were added."""
        self._middleware.insert(0, middleware)
        self.routes.clear()

    def include(self, other: Registry) -> None:
        """Copy the handlers of another registry as they are now; the ones here win.

        Raises:
            DefinitionError: Another definition's, or a pair that was included before.
        """
        if other.definition is not self.definition:
            raise DefinitionError(
                f"a router of workflow {self.definition.name!r} cannot include one of {other.definition.name!r}"
            )
        if other is self:
            raise DefinitionError(f"a router of workflow {self.definition.name!r} cannot include itself")
        found = {pair: other.find(pair) for pair in other.pairs()}
        copies = {
            pair: Registration(each.handler, (*other.around(pair[0]), *each.middleware))
            for pair, each in found.items()
            if each is not None
        }
        for pair in copies.keys() & self._included.keys():
            raise self._tie(pair, self._included[pair].handler, copies[pair].handler)
        self._included.update(copies)
        self.routes.clear()

    def _tie(self, pair: Pair, first: Handler, second: Handler) -> DefinitionError:
        state = "None" if pair[0] is NOTHING else pair[0].__name__
        return DefinitionError(
            f"{second.where}: workflow {self.definition.name!r}, state {state}, command {pair[1].__name__}: "
            f"{second} is as specific as {first}; make one of them more specific, or remove it"
        )

    # --- resolution ------------------------------------------------------------------------------------------------

    def pairs(self) -> Iterator[Pair]:
        """Yield every pair that has a handler, in the order of registration."""
        yield from dict.fromkeys((*self._own, *self._included))

    def find(self, pair: Pair) -> Registration | None:
        """Return the registration that wins for a pair."""
        own = self._own.get(pair)
        return min(own, key=lambda each: each.handler.rank) if own else self._included.get(pair)

    def around(self, state: type[Any]) -> tuple[Middleware, ...]:
        """Return the middleware around every handler of a state, outermost first."""
        return (*self._middleware, *(each for states, each in self._state_middleware if state in states))

    def route(self, pair: Pair, endpoint: Chain) -> Route | None:
        """Return the way of a command in a state; `None` if there is none."""
        try:
            return self.routes[pair]
        except KeyError:
            route = self.routes[pair] = self._build(pair, endpoint)
            return route

    def _build(self, pair: Pair, endpoint: Chain) -> Route | None:
        registration = self.find(pair)
        if registration is None:
            return None
        handler = registration.handler
        middleware: Sequence[Middleware] = (*self.around(pair[0]), *registration.middleware)
        chain = compose(middleware, endpoint) if middleware else None
        return Route(handler.function, handler.takes_context, frozenset(handler.targets), handler, chain)

    def creates(self, command: type[Any]) -> bool:
        """Return whether a command can begin a workflow."""
        return self.find((NOTHING, command)) is not None

    def commands_in(self, state: type[Any]) -> list[type[Any]]:
        """Return the commands that have a handler in a state, in the order of their declaration."""
        handled = {command for at, command in self.pairs() if at is state}
        return [schema.type for schema in self.definition.commands if schema.type in handled]

    def transitions(self) -> tuple[Transition, ...]:
        """Return what the annotations say, one entry for each pair."""
        return tuple(self._transition(pair) for pair in self.pairs())

    def _transition(self, pair: Pair) -> Transition:
        state, command = pair
        registration = self.find(pair)
        if registration is None:  # `pairs` yields only what `find` finds
            raise LookupError(pair)
        kept = () if state is NOTHING else (state,)
        targets: list[type[Any]] = []
        for target in registration.handler.targets:
            targets.extend(kept if target is NOTHING else (target,))
        function = registration.handler.function
        return Transition(None if state is NOTHING else state, command, tuple(dict.fromkeys(targets)), function)
