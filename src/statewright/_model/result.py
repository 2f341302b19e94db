"""What comes back: a closed union, to be read with `match`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, NoReturn, Self, TypeAlias

from typing_extensions import TypeVar

from ..errors import (
    ConcurrencyConflictError,
    DependencyError,
    ExecutionError,
    IdempotencyError,
    InvalidDataError,
    NotFoundError,
    RestoreError,
    RoutingError,
    StoreError,
    UnexpectedError,
)
from .parameters import EmittedT, WorkflowT
from .snapshot import WorkflowSnapshot, born

RefusalT = TypeVar("RefusalT", bound=ExecutionError, covariant=True, default=ExecutionError)


def _no_truth(result: object) -> NoReturn:
    raise TypeError(f"a {type(result).__name__} has no truth value: read .ok, or match on Success and Failure")


@dataclass(frozen=True, eq=False)
class Success(Generic[WorkflowT, EmittedT]):
    """The command was accepted, and saved where an executor was asked."""

    workflow: WorkflowT
    """The workflow after the command."""
    events: tuple[EmittedT, ...] = ()
    """What the handler emitted, in order."""
    replayed: bool = False
    """Whether this answers a repeated command with the first answer: nothing was done again."""
    ok: ClassVar[Literal[True]] = True

    @property
    def snapshot(self) -> WorkflowSnapshot:
        """The workflow after the command, as plain data."""
        workflow: Any = self.workflow
        snapshot: WorkflowSnapshot = workflow.to_snapshot()
        return snapshot

    @property
    def version(self) -> int:
        """The workflow's version after the command."""
        return self.snapshot.version

    def unwrap(self) -> Self:
        """Return the result itself."""
        return self

    def __repr__(self) -> str:
        # The names of the events only: a result may be logged, and their fields may be server-only.
        events = ", ".join(type(event).__name__ for event in self.events)
        return f"Success(workflow={self.workflow!r}, events=[{events}], replayed={self.replayed})"

    def __bool__(self) -> NoReturn:
        _no_truth(self)


def accepted(workflow: Any, events: tuple[Any, ...], *, replayed: bool = False) -> Success[Any, Any]:
    """Return a `Success`, quickly."""
    return born(Success, {"workflow": workflow, "events": events, "replayed": replayed})


@dataclass(frozen=True, slots=True, eq=False)
class Failure(Generic[RefusalT]):
    """The command was not accepted, or its save failed; `error` says why."""

    error: (
        RefusalT
        | InvalidDataError
        | RoutingError
        | DependencyError
        | NotFoundError
        | ConcurrencyConflictError
        | RestoreError
        | IdempotencyError
        | StoreError
        | UnexpectedError
    )
    ok: ClassVar[Literal[False]] = False

    def unwrap(self) -> NoReturn:
        """Raise the error."""
        raise self.error

    def __bool__(self) -> NoReturn:
        _no_truth(self)


Result: TypeAlias = Success | Failure
