"""Which transitions were exercised, and which never."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, TypeAlias

from .._model.observer import Observer
from .._model.registry import Transition
from .._model.router import WorkflowRouter

Pair: TypeAlias = tuple[type[Any] | None, type[Any]]


class TransitionCoverage:
    """Notes which (state, command) pairs of a router were dispatched since this was made.

    A pair counts when its handler is about to run, whatever it then decides. What executors over the router do counts,
    and so does what its `with_deps` twins do.

    ```python
    coverage = TransitionCoverage(router)
    ...
    assert not coverage.missing, coverage
    ```

    Args:
        router: The router to observe.
    """

    def __init__(self, router: WorkflowRouter[Any, Any]) -> None:
        self._router = router
        self._tally = _Tally()
        router.observe(self._tally)

    @property
    def exercised(self) -> tuple[Transition, ...]:
        """The transitions that were dispatched, in the order of their registration."""
        return tuple(each for each in self._router.transitions if (each.state, each.command) in self._tally.pairs)

    @property
    def missing(self) -> tuple[Transition, ...]:
        """The transitions that were never dispatched, in the order of their registration."""
        return tuple(each for each in self._router.transitions if (each.state, each.command) not in self._tally.pairs)

    def __str__(self) -> str:
        missing, total = self.missing, len(self._router.transitions)
        name = self._router.workflow.name
        if not missing:
            return f"{name}: all {total} transitions were exercised"
        lines = [f"  {told(transition)}" for transition in missing]
        return "\n".join([f"{name}: {len(missing)} of {total} transitions were never exercised", *lines])


class _Tally(Observer):
    def __init__(self) -> None:
        self.pairs: set[Pair] = set()

    def dispatch_started(self, workflow: Any, command: Any) -> None:
        self.pairs.add((None if workflow is None else workflow._schema.type, type(command)))


def told(transition: Transition) -> str:
    """Tell a transition in a report, with its handler's place."""
    state = "None" if transition.state is None else transition.state.__name__
    targets = " | ".join(target.__name__ for target in transition.targets) or "nothing"
    return f"{state} + {transition.command.__name__} -> {targets}   {_place(transition)}".rstrip()


def _place(transition: Transition) -> str:
    handler: Any = inspect.unwrap(transition.handler)
    code = getattr(handler, "__code__", None)
    if code is None:
        return ""
    return f"({handler.__name__}, {Path(code.co_filename).name}:{code.co_firstlineno})"
