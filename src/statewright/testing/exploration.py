"""Random walks through a workflow."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import given as drawn
from hypothesis import strategies as st
from hypothesis.errors import Flaky, Unsatisfiable

from .._model.annotation import NOTHING
from .._model.registry import Transition
from .._model.result import Failure, Result, Success
from .._model.router import WorkflowRouter
from .._model.schema import Schema
from .._model.snapshot import WorkflowSnapshot
from .._model.workflow import Workflow
from ..errors import DomainError, ExecutionError, InvalidDataError, StatewrightError
from .bench import AnyWorkflow, stored_once
from .clock import ManualClock
from .payload import payloads
from .running import apart, new_runner
from .scenario import explained

W = TypeVar("W", bound=Workflow[Any, Any, Any, Any])
D = TypeVar("D")

# Commands may be rare, large or slow to draw, and an exploration may be one of many in a test: all told in the report.
_TOLERATED = (
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.large_base_example,
    HealthCheck.nested_given,
    HealthCheck.too_slow,
)


@dataclass
class Exploration:
    """What an exploration did: look here whether it tried in earnest."""

    sequences: int = 0
    """How many sequences of commands were tried, those included that led to a shorter one."""
    accepted: Counter[Transition] = field(default_factory=Counter)
    """How often the command of each transition was accepted."""
    refused: Counter[Transition] = field(default_factory=Counter)
    """How often it was refused by a declared error."""
    missing: tuple[Transition, ...] = ()
    """The transitions that were never tried: no sequence came to their state."""


def explore(
    router: WorkflowRouter[W, D],
    *,
    start: Any = None,
    commands: Mapping[type[Any], st.SearchStrategy[Any]] | None = None,
    deps: Callable[[], D] | None = None,
    allowed: tuple[type[ExecutionError], ...] = (),
    check: Callable[[W], object] | None = None,
    sequences: int = 100,
    length: int = 20,
) -> Exploration:
    """Walk through a workflow at random, and check that it keeps to its definition.

    Valid commands are drawn from their schemas, always such as have a handler in the state that was reached. Each must
    be accepted or be refused by a declared error. What was accepted must lead to a declared target, and must load back
    from its stored form.

    ```python
    def test_orders_keep_to_their_definition():
        explore(router)
    ```

    Runs at once, also inside a running event loop. Handlers find a clock that goes on by a minute with each command,
    unless the router has its own.

    Args:
        router: The router.
        start: The state to begin with, or a Hypothesis strategy for such states; `None`: a command creates.
        commands: Strategies for commands, or for their payloads, by class, where the schema does not say enough.
        deps: Makes the dependencies of each sequence; by default all have the router's.
        allowed: Errors that may happen beside the declared ones, such as `DependencyError`.
        check: Called with the workflow after each accepted command; raises what must not be.
        sequences: How many sequences of commands are tried.
        length: The most commands in a sequence.

    Raises:
        AssertionError: Something is wrong; tells the shortest sequence that shows it.
    """
    __tracebackhide__ = True
    plan = _Plan(router, start, commands or {}, deps, allowed, check, length)
    apart(lambda: _search(plan, sequences))
    plan.check_effort()
    return plan.report


class _FlawError(Exception):
    """Something that must not be, found at the end of a sequence."""


class _Plan:
    """What to walk through, and what was found out so far."""

    def __init__(
        self,
        router: WorkflowRouter[Any, Any],
        start: Any,
        commands: Mapping[type[Any], st.SearchStrategy[Any]],
        deps: Callable[[], Any] | None,
        allowed: tuple[type[ExecutionError], ...],
        check: Callable[[Any], object] | None,
        length: int,
    ) -> None:
        self.router = router
        self.starts = start if isinstance(start, st.SearchStrategy) else st.just(start)
        self.deps = deps
        self.allowed = allowed
        self.check = check
        self.length = length
        self.transitions = {(each.state, each.command): each for each in router.transitions}
        self.report = Exploration(missing=router.transitions)
        self._unfit: Counter[str] = Counter()
        self._fit: set[str] = set()
        schemas = router._definition.commands.by_type
        if unknown := [each.__name__ for each in commands if each not in schemas]:
            raise ValueError(f"workflow {router._definition.name!r} declares no command {', '.join(unknown)}")
        self.commands = {
            type: self._valid(
                schema, commands[type] if type in commands else payloads(schema.ready()._adapter.core_schema)
            )
            for type, schema in schemas.items()
        }

    def _valid(self, schema: Schema, strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        def receive(drawn: Any) -> Any:
            try:
                value = schema.accept(drawn)[1] if type(drawn) is schema.type else schema.receive(drawn)
            except InvalidDataError:
                self._unfit[schema.name] += 1
                return None
            self._fit.add(schema.name)
            return value

        return strategy.map(receive).filter(lambda value: value is not None)

    def check_effort(self) -> None:
        """Check that something was tried: a walk that never got anywhere proves nothing."""
        tried = self.report.accepted.keys() | self.report.refused.keys()
        self.report.missing = tuple(each for each in self.router.transitions if each not in tried)
        name = self.router._definition.name
        if starved := self._unfit.keys() - self._fit:
            raise AssertionError(
                f"workflow {name!r}: no payload that was drawn for {', '.join(sorted(starved))} passed its validators; "
                "give explore(commands={...}) a strategy"
            )
        if not self.report.accepted:
            raise AssertionError(
                f"workflow {name!r}: no command was ever accepted; give explore(start=...) a state to begin with, "
                "or explore(commands={...}) strategies for commands that fit"
            )


def _search(plan: _Plan, sequences: int) -> None:
    __tracebackhide__ = True

    def sequence(data: st.DataObject) -> None:
        plan.report.sequences += 1
        runner.run(_Walk(plan, data.draw).run())

    configured = settings(
        max_examples=sequences,
        database=None,  # what was kept of an earlier run is not shrunk again, although it may show another bug by now
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=_TOLERATED,
    )
    with new_runner() as runner:
        try:
            configured(drawn(st.data())(sequence))()
        except _FlawError as flaw:
            raise AssertionError(str(flaw)) from flaw.__cause__
        except Unsatisfiable:
            pass  # told in our own words by `check_effort`
        except Flaky as error:
            name = plan.router._definition.name
            raise AssertionError(f"workflow {name!r} does not decide the same each time: {error}") from error


class _Walk:
    """One sequence of commands."""

    def __init__(self, plan: _Plan, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._plan = plan
        self._draw = draw
        self._told: list[str] = []
        self._clock = ManualClock()
        self._router = copy.copy(plan.router if plan.deps is None else plan.router.with_deps(plan.deps()))
        if not self._router._has_clock:
            self._router._clock = self._clock

    async def run(self) -> None:
        workflow = stored_once(self._router, "explored", self._draw(self._plan.starts))
        if workflow is not None:
            self._told.append(f"{workflow.data!r}")
        for _ in range(self._plan.length):
            state = None if workflow is None else type(workflow.data)
            choices = self._router._registry.commands_in(NOTHING if state is None else state)
            # Zero ends the walk: Hypothesis shrinks towards it.
            if not choices or self._draw(st.integers(0, 2 * self._plan.length)) == 0:
                return
            command = self._draw(self._plan.commands[self._draw(st.sampled_from(choices))])
            workflow = await self._step(workflow, self._plan.transitions[state, type(command)], command)

    async def _step(self, workflow: AnyWorkflow | None, transition: Transition, command: Any) -> AnyWorkflow | None:
        self._clock.advance(timedelta(minutes=1))
        result: Result = await self._router.dispatch(workflow, command, id="explored")
        match result:
            case Success():
                after: AnyWorkflow = result.workflow
                self._told.append(f"{command!r} -> {after.data!r}")
                self._examine(after, transition)
                self._plan.report.accepted[transition] += 1
                return after
            case Failure(error=error):
                self._told.append(f"{command!r} -> {type(error).__name__}")
                if not isinstance(error, (DomainError, *self._plan.allowed)):
                    raise self._flaw(explained(error)) from (error.__cause__ or error)
                self._plan.report.refused[transition] += 1
        return workflow

    def _examine(self, after: Any, transition: Transition) -> None:
        if type(after.data) not in transition.targets:
            raise self._flaw(f"{type(after.data).__name__} is no declared target of this transition")
        snapshot = after.to_snapshot()
        try:
            stored = WorkflowSnapshot.from_dict(json.loads(json.dumps(snapshot.to_dict())))
            loaded = type(after).from_snapshot(stored)
        except (StatewrightError, ValueError) as error:
            raise self._flaw(f"the state does not load back: {error}") from error
        if loaded.to_snapshot() != snapshot:
            raise self._flaw(f"the state loads back as {loaded.data!r}")
        if self._plan.check is not None:
            try:
                self._plan.check(after)
            except Exception as error:
                raise self._flaw(f"the check failed: {type(error).__name__}: {error}") from error

    def _flaw(self, what: str) -> _FlawError:
        steps = "\n".join(f"  {number}. {step}" for number, step in enumerate(self._told, start=1))
        return _FlawError(f"workflow {self._router._definition.name!r}: {what}\nafter\n{steps}")
