"""Typed workflows that survive a restart."""

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
    "Context",
    "ContextKey",
    "DeadLetter",
    "DeadLetterStore",
    "DefinitionError",
    "Delivery",
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
    "LeaseStore",
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
    "PostgresStore",
    "PruningStore",
    "Publisher",
    "Reactors",
    "ReaderStatus",
    "ReaderStore",
    "RecordedAnswer",
    "RecordedMessage",
    "RestoreError",
    "Result",
    "RoleStatus",
    "RoutingError",
    "SQLiteStore",
    "SaveOptions",
    "Send",
    "ServerOnly",
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
