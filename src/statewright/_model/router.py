"""The router: registration and dispatch, without any I/O of its own."""

from __future__ import annotations

import copy
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Generic, Protocol, Self, TypeVar, cast, overload

from typing_extensions import TypeVar as DefaultTypeVar

from ..errors import (
    DefinitionError,
    DomainError,
    ExecutionError,
    InvalidDataError,
    Issue,
    RoutingError,
    UnexpectedError,
    settle,
)
from .annotation import NOTHING, called, members, spelled
from .context import Context, ContextKey
from .definition import Definition
from .dispatch import Dispatch
from .handler import read_handler
from .metadata import NO_METADATA, read_metadata
from .middleware import Middleware, check_middleware
from .observer import Observer, check_observer, tell
from .parameters import DepsT, WorkflowT
from .registry import Registration, Registry, Transition
from .result import Failure, Success
from .schema import Schema
from .workflow import Workflow, check_id

S = TypeVar("S")
C = TypeVar("C")
E = TypeVar("E")
R = TypeVar("R", bound=DomainError)
T = TypeVar("T")
X = TypeVar("X")
Y = TypeVar("Y")
W = TypeVar("W")
H = TypeVar("H", bound=Callable[..., Any])
ReturnT = DefaultTypeVar("ReturnT", contravariant=True)
MakesT = DefaultTypeVar("MakesT", contravariant=True)

_UNSET: Any = object()
_NOTHING_GIVEN: Final[Mapping[str, Any]] = {}


class _Makes(Generic[X, Y]):
    """For the type checker only: the events and dependencies of a router, side by side."""


class _Accepts(Protocol[ReturnT, MakesT]):
    """For the type checker only: what a router takes from a handler."""

    def _accepts(self, state: ReturnT, context: MakesT, /) -> None: ...


class WorkflowRouter(Generic[WorkflowT, DepsT]):
    """Knows which handler serves which state and command, and runs it.

    Args:
        workflow: The workflow class.
        deps: The dependencies that handlers find as `ctx.deps`.
        deps_type: Declares the dependencies without having them; give them later by `with_deps`.
        clock: Gives the present, aware; the default is the machine's clock.
        wrap_deps: Whether `ctx.deps` tells failures of dependencies from bugs. Without it handlers get the very
            objects, and their failures are `UnexpectedError`s.

    Raises:
        DefinitionError: `workflow` is no workflow class.
    """

    @overload
    def __init__(
        self: WorkflowRouter[W, None],
        workflow: type[W],
        *,
        clock: Callable[[], datetime] | None = None,
        wrap_deps: bool = True,
    ) -> None: ...
    @overload
    def __init__(
        self: WorkflowRouter[W, Y],
        workflow: type[W],
        deps: Y,
        *,
        clock: Callable[[], datetime] | None = None,
        wrap_deps: bool = True,
    ) -> None: ...
    @overload
    def __init__(
        self: WorkflowRouter[W, Y],
        workflow: type[W],
        *,
        deps_type: type[Y],
        clock: Callable[[], datetime] | None = None,
        wrap_deps: bool = True,
    ) -> None: ...
    def __init__(
        self,
        workflow: Any,
        deps: Any = _UNSET,
        *,
        deps_type: Any = None,
        clock: Callable[[], datetime] | None = None,
        wrap_deps: bool = True,
    ) -> None:
        if not (isinstance(workflow, type) and issubclass(workflow, Workflow) and workflow is not Workflow):
            raise DefinitionError(f"a router needs a workflow class, found {spelled(workflow)}")
        if clock is not None and not callable(clock):
            raise DefinitionError(f"a clock is called to get the present, found {type(clock).__name__}")
        self._workflow: type[Workflow[Any, Any, Any, Any]] = workflow
        self._definition: Definition = workflow._definition
        self._registry = Registry(self._definition)
        self._observers: list[Observer] = []
        self._deps = None if deps is _UNSET else deps
        self._lacks_deps = deps is _UNSET and deps_type is not None
        self._deps_type = deps_type
        self._clock = clock
        self._wrap_deps = wrap_deps

    def _accepts(self: WorkflowRouter[Workflow[X, Any, E, Any], Y], state: X | None, context: _Makes[E, Y], /) -> None:
        """For the type checker only."""

    @property
    def workflow(self) -> type[WorkflowT]:
        """The workflow class."""
        return cast("type[WorkflowT]", self._workflow)

    def with_deps(self, deps: DepsT) -> Self:
        """Return a router with these dependencies, which shares handlers, middleware and observers with this one."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._deps = deps
        twin._lacks_deps = False
        return twin

    # --- registration ----------------------------------------------------------------------------------------------

    @overload
    def on(
        self: _Accepts[T, _Makes[Any, Any]], handler: Callable[[S, C], Awaitable[T]], /
    ) -> Callable[[S, C], Awaitable[T]]: ...
    @overload
    def on(
        self: _Accepts[T, _Makes[E, Y]], handler: Callable[[S, C, Context[E, Y]], Awaitable[T]], /
    ) -> Callable[[S, C, Context[E, Y]], Awaitable[T]]: ...
    @overload
    def on(self: _Accepts[T, Any], handler: Callable[[S, C], T], /) -> Callable[[S, C], T]: ...
    @overload
    def on(
        self: _Accepts[T, _Makes[E, Y]], handler: Callable[[S, C, Context[E, Y]], T], /
    ) -> Callable[[S, C, Context[E, Y]], T]: ...
    @overload
    def on(self, /, *, use: Sequence[Middleware]) -> Callable[[H], H]: ...
    def on(self: Any, handler: Any = None, /, *, use: Sequence[Middleware] = ()) -> Any:
        """Register a handler by its annotations: `(state, command[, ctx]) -> next state | None`.

        Use it bare (`@router.on`), with middleware (`@router.on(use=[...])`) or as a call (`router.on(place)`). A
        union registers each of its members; the most specific handler wins.

        Args:
            handler: A sync or async function, a bound method, a callable object, a `partial`.
            use: Middleware around this handler only; the first is the outermost.

        Returns:
            The object that was given.

        Raises:
            DefinitionError: With the handler's file and line: a missing or unresolvable annotation, an undeclared
                state, command or target, or a tie with another handler.
        """
        owner = f"router of workflow {self._definition.name!r}"
        if isinstance(use, str) or not isinstance(use, Sequence):
            raise DefinitionError(f"{owner}: use= takes a list of middleware, found {type(use).__name__}")
        for middleware in use:
            check_middleware(middleware, owner)
        caller = sys._getframe(1)
        scope, within = dict(caller.f_locals), caller.f_code.co_qualname

        def register(function: Any) -> Any:
            read = read_handler(self._definition, function, scope, within)
            self._registry.add(Registration(read, tuple(use)))
            return function

        return register if handler is None else register(handler)

    def use(self, middleware: Middleware, *, state: type[Any] | tuple[type[Any] | None, ...] | None = None) -> Self:
        """Run a middleware around every handler, or around those of some states.

        The order is global, then state, then handler; the first added is the outermost.

        Args:
            middleware: `async def middleware(ctx, call_next) -> Success | Failure`.
            state: A declared state class or a tuple of them; `(None,)` for commands that create.

        Raises:
            DefinitionError: Not a middleware, or an undeclared state.
        """
        owner = f"router of workflow {self._definition.name!r}"
        check_middleware(middleware, owner)
        states: frozenset[type[Any]] | None = None
        if state is not None:
            given = state if isinstance(state, tuple) else (state,)
            states = frozenset(each for one in given for each in self._states_in(one, owner))
        self._registry.use(middleware, states)
        return self

    def _states_in(self, annotation: Any, owner: str) -> Iterator[type[Any]]:
        found = (annotation,) if isinstance(annotation, str) else members(annotation, {})
        for each in found:
            if each is not NOTHING and not (isinstance(each, type) and each in self._definition.states.by_type):
                raise DefinitionError(f"{owner}: {spelled(each)} is no declared state")
            yield each

    def include(self, other: WorkflowRouter[WorkflowT, Any]) -> Self:
        """Copy the handlers of another router of the same workflow, as they are now.

        This router's own handlers win; the other's middleware runs around its own handlers only, inside this one's;
        this router's dependencies serve all.

        Raises:
            DefinitionError: Another workflow's router, or a (state, command) that an included router has already.
        """
        if not isinstance(other, WorkflowRouter):
            raise DefinitionError(f"include takes a WorkflowRouter, found {type(other).__name__}")
        self._registry.include(other._registry)
        return self

    def observe(self, observer: Observer) -> Self:
        """Tell an observer what happens in dispatches.

        Raises:
            DefinitionError: Not an observer, or one with an asynchronous method.
        """
        check_observer(observer, f"router of workflow {self._definition.name!r}")
        self._observers.append(observer)
        return self

    # --- reading ---------------------------------------------------------------------------------------------------

    @property
    def transitions(self) -> tuple[Transition, ...]:
        """What the annotations say: one entry for each state and command that has a handler."""
        return self._registry.transitions()

    def available_commands_for(self, state: type[Any] | None) -> dict[str, dict[str, Any]]:
        """Return the commands that have a handler in a state, with their JSON Schemas, by stored name.

        Args:
            state: A declared state class, or `None` for a workflow that does not exist yet.

        Raises:
            DefinitionError: The class is no declared state.
        """
        at = NOTHING if state is None else state
        if at is not NOTHING and not (isinstance(at, type) and at in self._definition.states.by_type):
            raise DefinitionError(f"{spelled(state)} is no declared state of workflow {self._definition.name!r}")
        commands = self._definition.commands.by_type
        return {
            commands[each].name: copy.deepcopy(commands[each].json_schema) for each in self._registry.commands_in(at)
        }

    # --- dispatch --------------------------------------------------------------------------------------------------

    async def dispatch(
        self: WorkflowRouter[Workflow[X, C, E, R], Any],
        workflow: WorkflowT | None,
        command: C | Mapping[str, Any],
        *,
        id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Success[WorkflowT, E] | Failure[R]:
        """Decide a command on a workflow in memory; the given object is never changed, and nothing is stored.

        Args:
            workflow: The workflow, or `None` for a command that creates.
            command: An instance, or `{"type": stored name, "payload": stored form}`.
            id: The id of a workflow that is to be created; a random one if not given.
            metadata: What handlers and middleware find as `ctx.metadata`.

        Returns:
            A `Success` with the workflow one version on, or a `Failure`. It never raises an `Exception`.
        """
        router: WorkflowRouter[Any, Any] = self
        observers = router._observers
        value: Any = command
        try:
            found_id = router._identify(workflow, id)
            facts = NO_METADATA if metadata is None else read_metadata(router._definition.name, metadata)
            schema, value, _ = read_command(router._definition, command)
            given: Any = workflow
            prepared = router._prepare(given, found_id, schema, value, {}, facts)
            if isinstance(prepared, Dispatch):
                result: Success[WorkflowT, E] | Failure[R] = await prepared.decide(observers)
                return result
            error: Any = prepared
        except Exception as raised:  # noqa: BLE001 - a dispatch never raises, whatever the payload does
            error = router._refused(raised)
        tell(observers, "failed", error, workflow, value)
        return Failure(error)

    def _refused(self, raised: Exception) -> InvalidDataError | RoutingError | UnexpectedError:
        if isinstance(raised, InvalidDataError | RoutingError):
            settle(raised)
            return raised
        error = UnexpectedError(f"workflow {self._definition.name!r}: the command could not be dispatched")
        error.__cause__ = raised
        return error

    def _identify(self, workflow: object, id: str | None) -> str:
        if workflow is None:
            if id is None:
                return str(uuid.uuid4())
            check_id(self._definition.name, id)
            return id
        if type(workflow) is not self._workflow:
            declared = [schema.name for schema in self._definition.states]
            found = workflow.state if isinstance(workflow, Workflow) else type(workflow).__name__
            raise RoutingError(
                "UNKNOWN_STATE", workflow=self._definition.name, state=found, command="", expected=declared
            )
        known: str = cast("Any", workflow).id
        if id is not None and id != known:
            issue = Issue(("id",), f"the workflow given is {known!r}", "other_id")
            raise InvalidDataError("argument", [issue], subject=f"{self._definition.name} argument 'id'")
        return known

    def _prepare(
        self,
        workflow: Workflow[Any, Any, Any, Any] | None,
        id: str,
        schema: Schema,
        command: Any,
        items: dict[ContextKey[Any], Any],
        metadata: Mapping[str, Any],
    ) -> Dispatch | ExecutionError:
        """Return one validated command, ready to be decided, or the error that it is answered with."""
        pair = (NOTHING if workflow is None else workflow._schema.type, schema.type)
        route = self._registry.routes.get(pair) or self._registry.route(pair, Dispatch.run)
        if route is None or self._lacks_deps:
            return self._no_way(workflow, id, schema)
        version, state, data = 0, None, None
        try:
            if workflow is not None:
                snapshot = workflow._snapshot
                version, state, data = snapshot.version, snapshot.state, workflow._take()
            context: Context[Any, Any] = Context(
                self._definition, id, version, self._now(), state, data, command, metadata, items
            )
            if self._deps is not None:
                context._give(self._deps, guarded=self._wrap_deps)
        except Exception as exc:  # noqa: BLE001 - a dispatch never raises
            error = UnexpectedError(f"workflow {self._definition.name!r}: the dispatch could not begin")
            error.__cause__ = exc
            return error
        return Dispatch(self._definition, self._workflow, workflow, route, context)

    @property
    def _has_clock(self) -> bool:
        return self._clock is not None

    def _now(self) -> datetime:
        clock = self._clock
        now = datetime.now(UTC) if clock is None else clock()
        if now.tzinfo is UTC:
            return now
        if now.utcoffset() is None:
            raise ValueError("the router's clock gave a naive datetime; it must be aware")
        return now.astimezone(UTC)

    def _no_way(self, workflow: Workflow[Any, Any, Any, Any] | None, id: str, schema: Schema) -> ExecutionError:
        name = self._definition.name
        if self._lacks_deps:
            reason = "the router declares dependencies that it was never given"
            error = UnexpectedError(f"workflow {id!r} of {name!r}: {reason}")
            error.__cause__ = DefinitionError("call router.with_deps(deps) before dispatching")
            return error
        state = None if workflow is None else workflow.state
        at = NOTHING if workflow is None else workflow._schema.type
        expected = self.available_commands_names(at)
        return RoutingError(
            "NO_HANDLER", workflow=name, workflow_id=id, state=state, command=schema.name, expected=expected
        )

    def available_commands_names(self, at: type[Any]) -> list[str]:
        """Return the stored names of the commands that have a handler in a state."""
        commands = self._definition.commands.by_type
        return [commands[each].name for each in self._registry.commands_in(at)]


def read_command(definition: Definition, command: Any) -> tuple[Schema, Any, str | None]:
    """Return a command's schema, its validated value, and its text if that was written on the way.

    The value shares nothing with what was given.

    Raises:
        RoutingError: `UNKNOWN_COMMAND`, by name or by class.
        InvalidDataError: (`source="command"`) The envelope or the payload is invalid.
    """
    given = type(command)
    if given is not dict:
        schema = definition.commands.by_type.get(given)
        if schema is not None:
            text, loaded = schema.accept(command)
            schema.keep_unset(command, loaded)  # it is part of what the caller said
            return schema, loaded, text
        if not isinstance(command, Mapping):
            raise _unknown_command(definition, called(command))
    name = command.get("type")
    if not isinstance(name, str):
        raise _envelope(definition, ("type",), "the stored name of a command is required", "missing_type")
    schema = definition.commands.by_name.get(name)
    if schema is None:
        raise _unknown_command(definition, name)
    payload = command.get("payload", _NOTHING_GIVEN)
    if len(command) > (payload is not _NOTHING_GIVEN) + 1:
        unknown = next((str(key) for key in command if key not in ("type", "payload")), "")
        raise _envelope(definition, (unknown,), "only 'type' and 'payload' are known", "unknown_key")
    if payload is None:
        raise _envelope(definition, ("payload",), "null is no payload; leave it out for an empty one", "null_payload")
    value = schema.receive(payload)
    return schema, value, schema.vouch(value)


def record_command(definition: Definition, command: Any) -> tuple[Schema, Any, str]:
    """As `read_command`, with the text in any case."""
    schema, value, text = read_command(definition, command)
    return schema, value, schema.dump(value) if text is None else text


def _unknown_command(definition: Definition, name: str) -> RoutingError:
    declared = [schema.name for schema in definition.commands]
    return RoutingError("UNKNOWN_COMMAND", workflow=definition.name, state=None, command=name, expected=declared)


def _envelope(definition: Definition, path: tuple[str, ...], message: str, kind: str) -> InvalidDataError:
    return InvalidDataError("command", [Issue(path, message, kind)], subject=f"{definition.name} command")
