"""Typed workflows that survive a restart."""

from . import errors
from ._engine.executor import WorkflowExecutor
from ._engine.migration import MigrationFailure, MigrationReport, migrate
from ._engine.ports import (
    Catalog,
    Clock,
    CommitLog,
    DueTimer,
    ErasingStore,
    Fence,
    FoldingStore,
    HistoryStore,
    IdempotentStore,
    RecordedAnswer,
    SaveOptions,
    StoreAdapter,
    StoredWorkflow,
    TimerStore,
)
from ._model.commit import Commit, NewCommit, RecordedMessage, WorkflowCommit
from ._model.context import Context, ContextKey, Execution
from ._model.middleware import CallNext, Middleware
from ._model.migration import Migrations
from ._model.observer import Observer
from ._model.registry import Transition
from ._model.result import Failure, Result, Success
from ._model.router import WorkflowRouter
from ._model.snapshot import WorkflowSnapshot
from ._model.visibility import ServerOnly
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

__all__ = [
    "CallNext",
    "Catalog",
    "Clock",
    "Commit",
    "CommitLog",
    "ConcurrencyConflictError",
    "Context",
    "ContextKey",
    "DefinitionError",
    "DependencyError",
    "DomainError",
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
    "MemoryStore",
    "Middleware",
    "MigrationError",
    "MigrationFailure",
    "MigrationReport",
    "Migrations",
    "NewCommit",
    "NotFoundError",
    "Observer",
    "OutcomeUnknownError",
    "PositionPrunedError",
    "RecordedAnswer",
    "RecordedMessage",
    "RestoreError",
    "Result",
    "RoutingError",
    "SaveOptions",
    "ServerOnly",
    "StatewrightError",
    "StoreAdapter",
    "StoreError",
    "StoreUnavailableError",
    "StoredWorkflow",
    "Success",
    "TimerStore",
    "Transition",
    "UnexpectedError",
    "Workflow",
    "WorkflowCommit",
    "WorkflowExecutor",
    "WorkflowRouter",
    "WorkflowSnapshot",
    "errors",
    "migrate",
]
