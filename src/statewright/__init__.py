"""Typed workflows that survive a restart."""

# A room is entered when one of its names is first used, so that a module that only names a `Workflow` waits neither for
# the event loop nor for a database.

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from . import errors
    from ._engine.executor import WorkflowExecutor
    from ._engine.migration import MigrationFailure, MigrationReport, migrate
    from ._engine.ports import (
        BatchingStore,
        Catalog,
        Clock,
        CommitLog,
        DeadLetter,
        DeadLetterStore,
        Delivery,
        DueTimer,
        ErasingStore,
        Fence,
        FoldingStore,
        HistoryStore,
        IdempotentStore,
        LeaseStore,
        Outcome,
        PruningStore,
        Publisher,
        ReaderStatus,
        ReaderStore,
        RecordedAnswer,
        SaveOptions,
        StoreAdapter,
        StoredWorkflow,
        TimerCatalog,
        TimerStore,
    )
    from ._engine.sync import SyncExecutor
    from ._engine.watching import RoleStatus
    from ._engine.worker import Worker
    from ._mark import ServerOnly
    from ._model.commit import Commit, NewCommit, RecordedMessage, WorkflowCommit
    from ._model.context import Context, ContextKey, Execution
    from ._model.difference import Change, differences
    from ._model.middleware import CallNext, Middleware
    from ._model.migration import Migrations
    from ._model.observer import Observer
    from ._model.reactor import Reactors, Send, Source
    from ._model.registry import Transition
    from ._model.result import Failure, Result, Success
    from ._model.router import WorkflowRouter
    from ._model.snapshot import WorkflowSnapshot
    from ._model.timer import ConsumeTimer, DropTimer, LeftState, RenamedState, SetTimer, TimerWrite
    from ._model.workflow import Workflow
    from .errors import (
        ConcurrencyConflictError,
        DefinitionError,
        DependencyError,
        DomainError,
        ExecutionError,
        IdempotencyError,
        InvalidDataError,
        Issue,
        LeaseLostError,
        MigrationError,
        NotFoundError,
        OutcomeUnknownError,
        PositionPrunedError,
        RestoreError,
        RoutingError,
        StatewrightError,
        StoreError,
        StoreUnavailableError,
        UnexpectedError,
    )
    from .stores.memory import MemoryStore
    from .stores.postgres import PostgresStore
    from .stores.sqlite import SQLiteStore

__all__ = [
    "BatchingStore",
    "CallNext",
    "Catalog",
    "Change",
    "Clock",
    "Commit",
    "CommitLog",
    "ConcurrencyConflictError",
    "ConsumeTimer",
    "Context",
    "ContextKey",
    "DeadLetter",
    "DeadLetterStore",
    "DefinitionError",
    "Delivery",
    "DependencyError",
    "DomainError",
    "DropTimer",
    "DueTimer",
    "ErasingStore",
    "Execution",
    "ExecutionError",
    "Failure",
    "Fence",
    "FoldingStore",
    "HistoryStore",
    "IdempotencyError",
    "IdempotentStore",
    "InvalidDataError",
    "Issue",
    "LeaseLostError",
    "LeaseStore",
    "LeftState",
    "MemoryStore",
    "Middleware",
    "MigrationError",
    "MigrationFailure",
    "MigrationReport",
    "Migrations",
    "NewCommit",
    "NotFoundError",
    "Observer",
    "Outcome",
    "OutcomeUnknownError",
    "PositionPrunedError",
    "PostgresStore",
    "PruningStore",
    "Publisher",
    "Reactors",
    "ReaderStatus",
    "ReaderStore",
    "RecordedAnswer",
    "RecordedMessage",
    "RenamedState",
    "RestoreError",
    "Result",
    "RoleStatus",
    "RoutingError",
    "SQLiteStore",
    "SaveOptions",
    "Send",
    "ServerOnly",
    "SetTimer",
    "Source",
    "StatewrightError",
    "StoreAdapter",
    "StoreError",
    "StoreUnavailableError",
    "StoredWorkflow",
    "Success",
    "SyncExecutor",
    "TimerCatalog",
    "TimerStore",
    "TimerWrite",
    "Transition",
    "UnexpectedError",
    "Worker",
    "Workflow",
    "WorkflowCommit",
    "WorkflowExecutor",
    "WorkflowRouter",
    "WorkflowSnapshot",
    "differences",
    "errors",
    "migrate",
]

_ROOMS: Final = {
    "._engine.executor": ("WorkflowExecutor",),
    "._engine.migration": (
        "MigrationFailure",
        "MigrationReport",
        "migrate",
    ),
    "._engine.ports": (
        "BatchingStore",
        "Catalog",
        "Clock",
        "CommitLog",
        "DeadLetter",
        "DeadLetterStore",
        "Delivery",
        "DueTimer",
        "ErasingStore",
        "Fence",
        "FoldingStore",
        "HistoryStore",
        "IdempotentStore",
        "LeaseStore",
        "Outcome",
        "PruningStore",
        "Publisher",
        "ReaderStatus",
        "ReaderStore",
        "RecordedAnswer",
        "SaveOptions",
        "StoreAdapter",
        "StoredWorkflow",
        "TimerCatalog",
        "TimerStore",
    ),
    "._engine.sync": ("SyncExecutor",),
    "._engine.watching": ("RoleStatus",),
    "._engine.worker": ("Worker",),
    "._mark": ("ServerOnly",),
    "._model.commit": (
        "Commit",
        "NewCommit",
        "RecordedMessage",
        "WorkflowCommit",
    ),
    "._model.context": (
        "Context",
        "ContextKey",
        "Execution",
    ),
    "._model.difference": (
        "Change",
        "differences",
    ),
    "._model.middleware": (
        "CallNext",
        "Middleware",
    ),
    "._model.migration": ("Migrations",),
    "._model.observer": ("Observer",),
    "._model.reactor": (
        "Reactors",
        "Send",
        "Source",
    ),
    "._model.registry": ("Transition",),
    "._model.result": (
        "Failure",
        "Result",
        "Success",
    ),
    "._model.router": ("WorkflowRouter",),
    "._model.snapshot": ("WorkflowSnapshot",),
    "._model.timer": ("ConsumeTimer", "DropTimer", "LeftState", "RenamedState", "SetTimer", "TimerWrite"),
    "._model.workflow": ("Workflow",),
    ".errors": (
        "ConcurrencyConflictError",
        "DefinitionError",
        "DependencyError",
        "DomainError",
        "ExecutionError",
        "IdempotencyError",
        "InvalidDataError",
        "Issue",
        "LeaseLostError",
        "MigrationError",
        "NotFoundError",
        "OutcomeUnknownError",
        "PositionPrunedError",
        "RestoreError",
        "RoutingError",
        "StatewrightError",
        "StoreError",
        "StoreUnavailableError",
        "UnexpectedError",
    ),
    ".stores.memory": ("MemoryStore",),
    ".stores.postgres": ("PostgresStore",),
    ".stores.sqlite": ("SQLiteStore",),
}
"""The names of each room, as type checkers read them above."""

_ROOM_OF: Final = {name: room for room, names in _ROOMS.items() for name in names}

if not TYPE_CHECKING:  # a checker would take it for a promise that every name is there

    def __getattr__(name: str) -> object:
        if name == "errors":
            return import_module(".errors", __name__)
        if name not in _ROOM_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_ROOM_OF[name], __name__), name)
        return found


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
