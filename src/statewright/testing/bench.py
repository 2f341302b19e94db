"""Where a scenario is tried: on a router, in memory, or on an executor and its store."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from .._engine.executor import WorkflowExecutor
from .._model.commit import new_id
from .._model.result import Result, Success
from .._model.router import WorkflowRouter
from .._model.workflow import Workflow
from .running import apart, new_runner

AnyWorkflow = Workflow[Any, Any, Any, Any]


class Bench(Protocol):
    """Tries commands on one workflow."""

    id: str
    workflow: AnyWorkflow | None
    """The workflow as it is now."""

    def begin(self, state: Any) -> None:
        """Put the workflow into its first state."""
        ...

    def take(self, commands: Sequence[Any]) -> list[Result]:
        """Try commands one after the other, up to the first that fails."""
        ...


def bench_of(subject: Any, id: str | None, now: datetime | None, metadata: Mapping[str, Any] | None) -> Bench:
    """Return the bench for a router or an executor.

    Raises:
        TypeError: It is neither.
    """
    match subject:
        case WorkflowRouter():
            return RouterBench(at_moment(subject, now), id or "given", metadata)
        case WorkflowExecutor():
            executor = copy.copy(subject)
            executor._router = at_moment(subject.router, now)
            return ExecutorBench(executor, id or f"given-{new_id()}", metadata)
        case _:
            raise TypeError(f"given() takes a WorkflowRouter or a WorkflowExecutor, found {type(subject).__name__}")


def at_moment(router: WorkflowRouter[Any, Any], now: datetime | None) -> WorkflowRouter[Any, Any]:
    """Return a router for which it is always this moment, and which shares the rest with the one given.

    Raises:
        ValueError: The moment is naive.
    """
    if now is None:
        return router
    if now.utcoffset() is None:
        raise ValueError(f"the moment of a test is an aware datetime, found {now!r}")
    twin = copy.copy(router)
    twin._clock = lambda: now
    return twin


class RouterBench:
    """Dispatches on a workflow in memory."""

    def __init__(self, router: WorkflowRouter[Any, Any], id: str, metadata: Mapping[str, Any] | None) -> None:
        self.id = id
        self.workflow: AnyWorkflow | None = None
        self._router = router
        self._metadata = metadata

    def begin(self, state: Any) -> None:
        """Put the workflow into its first state."""
        self.workflow = stored_once(self._router, self.id, state)

    def take(self, commands: Sequence[Any]) -> list[Result]:
        """Try commands one after the other, up to the first that fails."""
        return apart(lambda: list(self._take(commands)))

    def _take(self, commands: Sequence[Any]) -> Iterator[Result]:
        with new_runner() as runner:
            for command in commands:
                calling = self._router.dispatch(self.workflow, command, id=self.id, metadata=self._metadata)
                result: Result = runner.run(calling)
                yield result
                if not isinstance(result, Success):
                    return
                self.workflow = result.workflow


class ExecutorBench:
    """Executes on a workflow in a store, which is open for as long as commands are tried."""

    def __init__(self, executor: WorkflowExecutor[Any], id: str, metadata: Mapping[str, Any] | None) -> None:
        self.id = id
        self.workflow: AnyWorkflow | None = None
        self._executor = executor
        self._metadata = metadata

    def begin(self, state: Any) -> None:
        """Put the workflow into its first state."""

        def create() -> AnyWorkflow | None:
            with self._executor.sync() as workflows:
                if state is not None:
                    workflows.create(self.id, state).unwrap()
                return workflows.get(self.id)

        self.workflow = apart(create)

    def take(self, commands: Sequence[Any]) -> list[Result]:
        """Try commands one after the other, up to the first that fails."""
        return apart(lambda: list(self._take(commands)))

    def _take(self, commands: Sequence[Any]) -> Iterator[Result]:
        with self._executor.sync() as workflows:
            for command in commands:
                result: Result = workflows.execute(self.id, command, metadata=self._metadata)
                yield result
                if not isinstance(result, Success):
                    break
            self.workflow = workflows.get(self.id)


def stored_once(router: WorkflowRouter[Any, Any], id: str, state: Any) -> AnyWorkflow | None:
    """Return a workflow in a state, as if it had been stored now; `None` for no state.

    Raises:
        InvalidDataError: The state is none of the declared ones, or could not be stored.
    """
    if state is None:
        return None
    moment = router._now()
    snapshot = router._workflow.create(id, state).to_snapshot()
    return router._workflow.from_snapshot(snapshot.replace(version=1, created_at=moment, updated_at=moment))
