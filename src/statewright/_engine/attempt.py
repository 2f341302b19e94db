"""One attempt at one command: everything between the load and the save."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._model.commit import NewCommit, RecordedMessage, new_id
from .._model.context import Execution
from .._model.dispatch import error_of, is_declared, was_asked_to_stop
from .._model.middleware import Chain
from .._model.observer import Observer
from .._model.result import Failure, Result, Success
from .._model.router import WorkflowRouter
from .._model.schema import Schema
from ..errors import (
    ConcurrencyConflictError,
    DomainError,
    ExecutionError,
    IdempotencyError,
    NotFoundError,
    RestoreError,
)
from .mailbox import ActiveCall, Lane, Lanes, Standing, executing, load_failure
from .ports import IdempotentStore, RecordedAnswer
from .request import Request
from .restore import Restorer

if TYPE_CHECKING:
    from .._model.context import Context
    from .._model.workflow import Workflow


@dataclass(slots=True, eq=False)
class Decided:
    """What came of an attempt."""

    answer: Result
    commit: NewCommit | None = None
    """What is to be saved; `None` for a refusal or a replay."""
    after: Workflow[Any, Any, Any, Any] | None = None
    was_told: bool = False
    """The observers have heard of the failure already."""


@dataclass(slots=True, eq=False)
class Attempt:
    """Decides one command on one standing; goes through the middleware as their passage."""

    router: WorkflowRouter[Any, Any]
    restorer: Restorer
    chain: Chain
    lanes: Lanes
    lane: Lane | None
    """Whose turn it is; `None` for a preview."""
    request: Request
    standing: Standing
    observers: Sequence[Observer]
    context: Any = None
    workflow: Workflow[Any, Any, Any, Any] | None = None
    recorded: RecordedAnswer | None = None
    said: Context[Any, Any] | None = None
    routed: Result | None = None

    async def run(self) -> Decided:
        """Decide, in the contract's order: key, existence, restore, expected version, middleware, handler.

        Raises:
            StoreError: An idempotency key could not be looked up.
        """
        request, standing = self.request, self.standing
        if request.initial is not None:
            return self._create(request.initial)
        if request.key is not None and self.lane is not None:
            self.recorded = await self._recall(request.key)
        if self.recorded is None and (refusal := self._refuse_early()) is not None:
            return Decided(Failure(refusal))
        self.context = Execution(
            request.id,
            request.take_command(),
            standing.stored(),
            request.metadata,
            request.expected_version,
            self.recorded is not None,
        )
        result = await self._run_chain()
        if isinstance(result, Success) and not result.replayed:
            return self._accepted(result)
        return Decided(result, was_told=result is self.routed)

    # --- before the middleware -------------------------------------------------------------------------------------

    async def _recall(self, key: str) -> RecordedAnswer | None:
        unsaved = self.lane.unsaved(key) if self.lane is not None else None
        if unsaved is not None and unsaved.command is not None:
            fingerprint = unsaved.fingerprint or ""
            return RecordedAnswer(unsaved.command.type, fingerprint, unsaved.snapshot, unsaved.events)
        store = self.lanes.store
        if not isinstance(store, IdempotentStore):
            return None  # refused with the arguments
        try:
            return await store.recall(self.request.id, key)
        except Exception as raised:
            raise load_failure(raised) from raised

    def _refuse_early(self) -> ExecutionError | None:
        request, standing = self.request, self.standing
        if standing.snapshot is None:
            if request.schema is None or not self.router._registry.creates(request.schema.type):
                return NotFoundError(request.id)
        else:
            try:
                self.workflow = self._restored()
            except RestoreError as error:
                return error
        if request.expected_version is not None and request.expected_version != standing.version:
            return ConcurrencyConflictError(request.id, request.expected_version, standing.version)
        return None

    def _restored(self) -> Workflow[Any, Any, Any, Any]:
        known, snapshot = self.standing.workflow, self.standing.snapshot
        if known is not None and type(known) is self.restorer.workflow and known._snapshot is snapshot:
            return known
        if snapshot is None:
            raise LookupError(self.request.id)  # the caller has seen that it exists
        if self.standing.version != snapshot.version:
            snapshot = snapshot.replace(version=self.standing.version)
        workflow = self.restorer.restore(snapshot)
        self.standing.workflow = workflow
        return workflow

    # --- through the middleware ------------------------------------------------------------------------------------

    async def _run_chain(self) -> Result:
        active = ActiveCall(self.lanes, self.request.id, executing.get())
        token = executing.set(active)
        try:
            return await self.chain(self)
        except asyncio.CancelledError as raised:
            if was_asked_to_stop():
                raise
            return Failure(self.error_of(raised, "the attempt was cancelled by nobody"))
        finally:
            active.is_active = False
            executing.reset(token)

    def error_of(self, raised: BaseException, doing: str) -> ExecutionError:
        """Return the error that stands for what a middleware raised."""
        return error_of(self.router._definition, raised, doing, self.said._faults if self.said else None)

    def is_refusal(self, error: DomainError) -> bool:
        """Return whether the workflow declares the error."""
        return is_declared(self.router._definition, error)

    async def decide(self) -> Result:
        """Run the handler, or give the recorded answer in its place: the end of the chain."""
        request = self.request
        if self.recorded is not None:
            return self._replay(self.recorded)
        schema = self._schema()
        result, self.said = await self.router._decide(
            self.workflow, request.id, schema, self.context.command, self.context._items, request.metadata,
            self.observers,
        )
        self.routed = result
        return result

    def _replay(self, recorded: RecordedAnswer) -> Result:
        request, schema = self.request, self._schema()
        is_same = recorded.command == schema.name and schema.same(recorded.fingerprint, request.fingerprint or "")
        if not is_same:
            return Failure(IdempotencyError(request.id, request.key or ""))
        try:
            workflow = self.restorer.restore(recorded.snapshot)
        except RestoreError as error:
            return Failure(error)
        events = self.restorer.events(recorded.events, recorded.snapshot.model_version)
        return Success(workflow, events, replayed=True)

    def _schema(self) -> Schema:
        if self.request.schema is None:
            raise LookupError("create runs no handler")
        return self.request.schema

    # --- what is to be saved ---------------------------------------------------------------------------------------

    def _accepted(self, success: Success[Any, Any]) -> Decided:
        request, after, said = self.request, success.workflow, self.said
        commit = NewCommit(
            id=new_id(),
            snapshot=after._snapshot,
            command=RecordedMessage.of_text(self._schema().name, request.text),
            events=tuple(said._recorded) if said is not None else (),
            recorded_at=after._snapshot.updated_at,
            metadata=request.metadata,
            idempotency_key=request.key,
            fingerprint=request.fingerprint,
        )
        return Decided(success, commit, after)

    def _create(self, initial: Workflow[Any, Any, Any, Any]) -> Decided:
        request, standing = self.request, self.standing
        if standing.snapshot is not None:
            return Decided(Failure(ConcurrencyConflictError(request.id, 0, standing.version)))
        now = self.router._clock()
        snapshot = initial._snapshot.replace(version=1, created_at=now, updated_at=now)
        workflow = type(initial)._of(snapshot, initial._schema, None)
        commit = NewCommit(new_id(), snapshot, None, (), now, request.metadata)
        return Decided(Success(workflow), commit, workflow)

