"""One command on its way through a router: run the handler, and check what it says."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..errors import (
    DependencyError,
    DomainError,
    ExecutionError,
    InvalidDataError,
    Issue,
    UnexpectedError,
    is_fresh,
    mark_fresh,
    settle,
)
from .annotation import NOTHING
from .cancellation import times_asked_to_stop, was_asked_to_stop
from .definition import Definition
from .dependency import Faults
from .observer import Observer, tell
from .registry import Route
from .result import Failure, Result, Success, accepted
from .snapshot import WorkflowSnapshot
from .workflow import foreign_state

if TYPE_CHECKING:
    from .context import Context
    from .workflow import Workflow


def error_of(
    definition: Definition, id: str, raised: BaseException, doing: str, faults: Faults | None = None
) -> ExecutionError:
    """Return the error that stands for what user code raised.

    A declared refusal is itself, and so is what the running dispatch found invalid; what left a dependency is a
    `DependencyError`; everything else is a bug.
    """
    if isinstance(raised, DomainError) and is_declared(definition, raised):
        return refused(definition, raised)
    name = faults.name_of(raised) if faults is not None else None
    if name is None and is_fresh(raised) and isinstance(raised, ExecutionError):
        settle(raised)
        return raised
    error: ExecutionError
    if name is not None:
        error = DependencyError(name, workflow=f"{id!r} of {definition.name!r}")
    else:
        if isinstance(raised, DomainError):
            declared = ", ".join(definition.errors) or "none"
            doing = f"{doing} a refusal that the workflow does not declare (declared: {declared})"
        error = UnexpectedError(f"workflow {id!r} of {definition.name!r}: {doing}")
    error.__cause__ = raised
    return error


def is_declared(definition: Definition, error: BaseException) -> bool:
    """Return whether an error's exact class is among the declared ones."""
    return type(error) in definition.errors.values()


def refused(definition: Definition, error: DomainError) -> DomainError:
    """Return a refusal, ready to be returned under the name that this workflow stores it by."""
    for name, declared in definition.errors.items():
        if declared is type(error):
            error.__dict__["_code"] = name
    settle(error)
    return error


class Dispatch:
    """One command, decided once."""

    __slots__ = ("context", "definition", "facts", "route", "type", "workflow")

    def __init__(
        self,
        definition: Definition,
        type: type[Workflow[Any, Any, Any, Any]],
        workflow: Workflow[Any, Any, Any, Any] | None,
        route: Route,
        context: Context[Any, Any],
    ) -> None:
        self.definition = definition
        self.type = type
        self.workflow = workflow
        self.route = route
        self.context = context
        # As they are before any user code has seen the context.
        self.facts = context.id, context.version, context.now

    def error_of(self, raised: BaseException, doing: str) -> ExecutionError:
        """Return the error that stands for what was raised."""
        return error_of(self.definition, self.facts[0], raised, doing, self.context._faults)

    def bug(self, what: str) -> UnexpectedError:
        """Return the error that says what is wrong."""
        return UnexpectedError(f"workflow {self.facts[0]!r} of {self.definition.name!r}: {what}")

    def decide(self, observers: Sequence[Observer]) -> Awaitable[Any]:
        """Run the handler, and the middleware and observers around it."""
        if observers:
            return self._observed(observers)
        chain = self.route.chain
        return self.run() if chain is None else chain(self)

    async def _observed(self, observers: Sequence[Observer]) -> Result:
        command = self.context._command
        tell(observers, "dispatch_started", self.workflow, command)
        result: Result = Failure(UnexpectedError("the dispatch was cancelled"))
        try:
            result = await self.decide(())
        finally:
            _report(observers, self.workflow, command, result)
        return result

    async def run(self) -> Result:
        """Run the handler and check what it returns."""
        route, context = self.route, self.context
        try:
            if route.takes_context:
                outcome = route.function(context._data, context._command, context)
            else:
                outcome = route.function(context._data, context._command)
            if type(outcome) not in self.definition.states.by_type and inspect.isawaitable(outcome):
                asked = times_asked_to_stop()
                outcome = await outcome
                if times_asked_to_stop() > asked:  # the handler kept it to itself; what it decided does not count
                    raise asyncio.CancelledError
        except Exception as raised:  # noqa: BLE001 - a dispatch never raises
            return Failure(self.error_of(raised, f"handler {route.handler.name} raised"))
        except asyncio.CancelledError as raised:
            if was_asked_to_stop():
                raise
            return Failure(self.error_of(raised, f"handler {route.handler.name} was cancelled by nobody"))
        try:
            return self._accept(outcome)
        except InvalidDataError as error:
            settle(error)
            return Failure(error)

    def _accept(self, outcome: Any) -> Result:
        before, context = self.workflow, self.context
        if outcome is None:
            if before is None:
                raise self._invalid("a handler that creates must return the first state, found None", "no_state")
            if not self.route.targets:  # `-> Never`: it cannot have come to an end
                raise self._wrong_target("None")
            old = before._snapshot
            schema, state, text, loaded = before._schema, old.state, old.text, None
        else:
            found = self.definition.states.by_type.get(type(outcome))
            if found is None:
                raise foreign_state(self.definition, outcome)
            if type(outcome) not in self.route.targets:
                self._check_kept(outcome)
            schema, state = found, found.name
            text, loaded = found.accept(outcome)
        context._is_closed = True
        workflow = self.type._of(self._successor(state, text), schema, loaded)
        return accepted(workflow, context._events)

    def _check_kept(self, outcome: Any) -> None:
        # `-> None` lets a handler return the state that it was given, too: it is the one it keeps.
        if NOTHING in self.route.targets and self.workflow is not None and type(outcome) is self.workflow._schema.type:
            return
        raise self._wrong_target(type(outcome).__name__)

    def _wrong_target(self, found: str) -> InvalidDataError:
        declared = ", ".join("None" if t is NOTHING else t.__name__ for t in self.route.handler.targets) or "nothing"
        name = self.route.handler.name
        return self._invalid(f"{name} is annotated to return {declared}, found {found}", "not_a_target")

    def _invalid(self, message: str, kind: str) -> InvalidDataError:
        subject = f"{self.definition.name} state"
        return mark_fresh(InvalidDataError("state", [Issue((), message, kind)], subject=subject))

    def _successor(self, state: str, text: str) -> WorkflowSnapshot:
        definition, (id, version, now) = self.definition, self.facts
        created: datetime = now
        if self.workflow is not None:
            before = self.workflow._snapshot
            created = before.created_at
            now = max(now, before.updated_at)  # the clock of another machine may be ahead
        return WorkflowSnapshot.of_text(
            id, definition.name, state, text, definition.model_version, version + 1, created, now
        )


def _report(observers: Sequence[Observer], workflow: Any, command: Any, result: Result) -> None:
    match result:
        case Success(workflow=after, events=events):
            if workflow is not None and workflow.state != after.state:
                tell(observers, "transitioned", workflow.state, after.state, after)
            for event in events:
                tell(observers, "emitted", event, after)
        case Failure(error=error):
            tell(observers, "failed", error, workflow, command)
    tell(observers, "dispatch_ended", workflow, command, result)
