"""Tests of a workflow in its own words: given a state, when a command comes, then..."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, Self, TypeVar

from .._engine.executor import WorkflowExecutor
from .._model.result import Failure, Result, Success
from .._model.router import WorkflowRouter
from .._model.workflow import Workflow
from ..errors import DomainError, ExecutionError
from .bench import Bench, bench_of

S = TypeVar("S")
C = TypeVar("C")
E = TypeVar("E")
R = TypeVar("R", bound=DomainError)


def given(
    subject: WorkflowRouter[Workflow[S, C, E, R], Any] | WorkflowExecutor[Workflow[S, C, E, R]],
    state: S | None,
    *,
    id: str | None = None,
    now: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Scenario[S, C, E]:
    """Begin a scenario.

    ```python
    def test_an_empty_order_cannot_be_placed():
        given(router, Draft()).when(Place()).fails(EmptyOrder, minimum=1)


    def test_placing():
        placing = given(router, Draft(items=["tea"]), id="o-1", now=noon).when(Place())
        placing.emits(OrderPlaced(order_id="o-1")).then(Placed(items=["tea"], placed_at=noon))
    ```

    A scenario is synchronous, in async tests, too: commands run on an event loop of their own. With an executor each
    command is executed, through its middleware and its store, which is opened and closed again at each step unless it
    is open already.

    Args:
        subject: A router or an executor.
        state: The state to begin with, stored at version 1; `None`: the workflow does not exist yet.
        id: The workflow's id; by default `"given"`, or with an executor a random one.
        now: What `ctx.now` is; by default the router's clock says.
        metadata: What is sent with each command.

    Raises:
        InvalidDataError: The state is none of the declared ones, or could not be stored.
    """
    bench = bench_of(subject, id, now, metadata)
    bench.begin(state)
    return Scenario(bench)


class Scenario(Generic[S, C, E]):
    """A workflow under test, and what its last command led to. Made by `given`."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._result: Result | None = None
        self._is_failure_expected = False

    @property
    def id(self) -> str:
        """The workflow's id."""
        return self._bench.id

    @property
    def workflow(self) -> Any:
        """The workflow as it is now; `None` if it does not exist."""
        return self._bench.workflow

    @property
    def result(self) -> Result:
        """What the last command led to.

        Raises:
            LookupError: No command was given yet.
        """
        if self._result is None:
            raise LookupError("no command was given yet: call when() first")
        return self._result

    def when(self, *commands: C | Mapping[str, Any]) -> Self:
        """Send commands, one after the other; all but the last must be accepted.

        Args:
            *commands: Instances, or `{"type": stored name, "payload": stored form}`.

        Raises:
            AssertionError: A command before the last failed, and no `fails` expected it.
        """
        __tracebackhide__ = True
        if not commands:
            raise TypeError("when() takes at least one command")
        self._check_accepted()
        results = self._bench.take(commands)
        self._result, self._is_failure_expected = results[-1], False
        if len(results) < len(commands):
            self._check_accepted(f"command {len(results)} of {len(commands)}, {commands[len(results) - 1]!r}, ")
        return self

    def then(self, expected: S | type[S] | None) -> Self:
        """Check the state after the last command.

        Args:
            expected: The state, compared by class and by what is stored of it; or its class alone; or `None`: the
                workflow does not exist. After `fails` it is the state that the command left as it was.

        Raises:
            AssertionError: It is another one, or the last command failed.
        """
        __tracebackhide__ = True
        _ = self.result
        self._check_accepted()
        if flaw := state_flaw(self._bench.workflow, expected):
            raise AssertionError(flaw)
        return self

    def emits(self, *expected: E | type[E]) -> Self:
        """Check the events of the last command: these and no others, in this order.

        Args:
            *expected: Events, or their classes alone; nothing at all: no event was emitted.

        Raises:
            AssertionError: There were others, or the last command failed.
        """
        __tracebackhide__ = True
        _ = self.result
        self._check_accepted()
        found: Sequence[Any] = self.result.events if isinstance(self.result, Success) else ()
        if len(found) != len(expected) or not all(map(_is_expected, found, expected)):
            raise AssertionError(f"expected the events {_listed(expected)}\n       but found {_listed(found)}")
        return self

    def fails(self, expected: type[ExecutionError] | ExecutionError, /, **facts: Any) -> Self:
        """Check that the last command failed, and how.

        Args:
            expected: The error's class, or a refusal with its fields.
            **facts: Attributes that the error must have.

        Raises:
            AssertionError: The last command was accepted, or failed otherwise.
        """
        __tracebackhide__ = True
        match self.result:
            case Success():
                raise AssertionError(f"expected {_name(expected)}, but the command led to {described(self.workflow)}")
            case Failure(error=error):
                if flaw := _error_flaw(error, expected, facts):
                    raise AssertionError(flaw) from (error.__cause__ or error)
        self._is_failure_expected = True
        return self

    def _check_accepted(self, which: str = "the command ") -> None:
        __tracebackhide__ = True
        if isinstance(self._result, Failure) and not self._is_failure_expected:
            error = self._result.error
            raise AssertionError(f"{which}failed: {explained(error)}") from (error.__cause__ or error)


def check_path(
    subject: WorkflowRouter[Workflow[S, C, E, R], Any] | WorkflowExecutor[Workflow[S, C, E, R]],
    path: Sequence[tuple[C | Mapping[str, Any], type[S]]],
    *,
    start: S | None = None,
    id: str | None = None,
    now: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Scenario[S, C, E]:
    """Check that commands lead through these states.

    ```python
    check_path(router, [(Open(), Draft), (AddItem(item="tea"), Draft), (Place(), Placed)])
    ```

    Args:
        subject: A router or an executor.
        path: Commands, each with the class of the state that it must lead to.
        start: The state to begin with; `None`: the workflow does not exist yet.
        id: As for `given`.
        now: As for `given`.
        metadata: As for `given`.

    Returns:
        The scenario at the end of the path.

    Raises:
        AssertionError: A step failed, or led elsewhere; says which.
    """
    __tracebackhide__ = True
    scenario = given(subject, start, id=id, now=now, metadata=metadata)
    for number, (command, target) in enumerate(path, start=1):
        try:
            scenario.when(command).then(target)
        except AssertionError as flaw:
            raise AssertionError(f"step {number} of {len(path)}, {command!r}: {flaw}") from flaw.__cause__
    return scenario


# --- what is compared, and how it is told ----------------------------------------------------------------------------


def state_flaw(workflow: Workflow[Any, Any, Any, Any] | None, expected: Any) -> str | None:
    """Return what is wrong with a workflow's state; `None` if it is the expected one."""
    if expected is None or workflow is None:
        if expected is None and workflow is None:
            return None
        wanted = "no workflow" if expected is None else _name(expected)
        return f"expected {wanted}, but found {described(workflow)}"
    wanted_type = expected if isinstance(expected, type) else type(expected)
    if type(workflow.data) is not wanted_type:
        return f"expected state {_name(expected)}, but found {described(workflow)}"
    if expected is wanted_type or workflow.data == expected:
        return None
    schema = workflow._schema
    if schema.same(schema.accept(expected)[0], workflow.to_snapshot().text):
        return None
    return f"expected {expected!r}\n but found {workflow.data!r}"


def _is_expected(found: Any, expected: Any) -> bool:
    return type(found) is expected if isinstance(expected, type) else found == expected


def _error_flaw(
    error: ExecutionError, expected: type[ExecutionError] | ExecutionError, facts: Mapping[str, Any]
) -> str | None:
    if isinstance(expected, type):
        wanted_type, wanted = expected, facts
    else:
        wanted_type, wanted = (
            type(expected),
            {name: getattr(expected, name) for name in _facts_of(expected)} | dict(facts),
        )
    if not isinstance(error, wanted_type):
        return f"expected {wanted_type.__name__}, but the command failed with {explained(error)}"
    missing = object()
    for name, value in wanted.items():
        if getattr(error, name, missing) != value:
            found = getattr(error, name, "nothing")
            return f"expected {wanted_type.__name__} with {name}={value!r}, but found {found!r} in {explained(error)}"
    return None


def _facts_of(error: ExecutionError) -> Sequence[str]:
    return tuple(error.data) if isinstance(error, DomainError) else error._facts


def _listed(items: Sequence[Any]) -> str:
    return ", ".join(_name(item) if isinstance(item, type) else repr(item) for item in items) or "(none)"


def _name(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else repr(value)


def described(workflow: Workflow[Any, Any, Any, Any] | None) -> str:
    """Tell a workflow's state in a failure message."""
    return "no workflow" if workflow is None else repr(workflow.data)


def explained(error: ExecutionError) -> str:
    """Tell an error in a failure message, with where it comes from."""
    told = f"{type(error).__name__}: {error}"
    if (cause := error.__cause__) is None:
        return told
    where = traceback.extract_tb(cause.__traceback__)
    last = f" ({where[-1].filename}:{where[-1].lineno})" if where else ""
    return f"{told}\n  caused by {type(cause).__name__}: {cause}{last}"
