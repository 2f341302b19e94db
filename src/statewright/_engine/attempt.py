"""One attempt at one command: everything between the load and the save."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from .._model.cancellation import was_asked_to_stop
from .._model.commit import NewCommit, RecordedMessage, new_id
from .._model.context import ContextKey, Execution
from .._model.dispatch import Dispatch, error_of
from .._model.middleware import Chain
from .._model.observer import Observer, tell
from .._model.result import Failure, Result, Success, accepted
from .._model.router import WorkflowRouter
from .._model.schema import Schema
from .._model.snapshot import born
from .._model.timer import (
    CancelledTimer,
    ConsumeTimer,
    DropTimer,
    DueTimer,
    LeftState,
    RenamedState,
    SetTimer,
    TimerChange,
    TimerWrite,
    is_undone,
)
from ..errors import (
    ConcurrencyConflictError,
    ExecutionError,
    IdempotencyError,
    NotFoundError,
    RestoreError,
    StoreError,
    UnexpectedError,
    settle,
    unsupported,
)
from .fold import Standing
from .lane import Lane
from .lanes import Lanes
from .nesting import ActiveCall, executing
from .ports import RecordedAnswer, StoredWorkflow
from .reading import read
from .request import Request
from .restore import Restorer

if TYPE_CHECKING:
    from .._model.context import Context
    from .._model.workflow import Workflow


Parts: TypeAlias = tuple[WorkflowRouter[Any, Any], Restorer, Chain | None, Lanes]
"""What all attempts of an executor share; the chain is its middleware, if it has any."""

TIMER_GONE: Any = object()
"""The answer to a timer's command whose timer was cancelled, replaced or consumed before."""


class Decided(NamedTuple):
    """What came of an attempt."""

    answer: Result
    commit: NewCommit | None = None
    """What is to be saved; `None` for a refusal or a replay."""
    after: Any = None
    """The workflow as it will be."""
    was_told: bool = False
    """The observers have heard of the failure already."""


class Attempt(ActiveCall):
    """Decides one command on one standing; goes through the middleware as their passage.

    Args:
        parts: What all attempts of an executor share.
        lane: Whose turn it is; `None` for a preview.
        request: What the caller asked for.
        standing: What it is decided on.
        observers: Who hears of it.
    """

    # One for each command: with slots it takes a third of the room.
    __slots__ = (
        *("chain", "lane", "lanes", "observers", "request", "restorer", "router", "standing"),
        *("command", "context", "recorded", "routed", "said", "workflow"),
    )

    def __init__(
        self,
        parts: Parts,
        lane: Lane | None,
        request: Request,
        standing: Standing,
        observers: Sequence[Observer],
    ) -> None:
        self.router, self.restorer, self.chain, self.lanes = parts
        super().__init__(self.lanes, request.id)
        self.lane = lane
        self.request = request
        self.standing = standing
        self.observers = observers
        self.context: Any = None
        self.command: Any = None
        """The command that executor middleware was shown, whatever it has done to its context since."""
        self.workflow: Workflow[Any, Any, Any, Any] | None = None
        self.recorded: RecordedAnswer | None = None
        self.said: Context[Any, Any] | None = None
        self.routed: Result | None = None

    async def run(self) -> Decided:
        """Decide, in the contract's order: key, existence, restore, expected version, middleware, handler.

        Raises:
            StoreError: An idempotency key could not be looked up.
        """
        request = self.request
        if request.initial is not None:
            return self._create(request.initial)
        if request.key is not None and self.lane is not None:
            self.recorded = await self._recall(request.key)
        if request.timer is not None and not await self._stands(request.timer):
            return Decided(TIMER_GONE)
        if self.recorded is None and (refusal := self._refuse_early()) is not None:
            return Decided(Failure(refusal))
        if self.lane is not None:
            self.lane.begin(self)
        self.parent = executing.get()
        self.is_active = True
        token = executing.set(self)
        try:
            if self.chain is None:
                result = await self._decide({})
            else:
                self.context = self._execution()
                result = await self.chain(self)
        except asyncio.CancelledError as raised:
            if was_asked_to_stop():
                raise
            result = Failure(self.error_of(raised, "the attempt was cancelled by nobody"))
        finally:
            self.is_active = False
            executing.reset(token)
        if type(result) is Success and not result.replayed:
            return self._accepted(result)
        return Decided(result, was_told=result is self.routed)

    # --- before the middleware -------------------------------------------------------------------------------------

    async def _recall(self, key: str) -> RecordedAnswer | None:
        unsaved = self.lane.unsaved(key) if self.lane is not None else None
        if unsaved is not None and unsaved.command is not None:
            fingerprint = unsaved.fingerprint or ""
            return RecordedAnswer(unsaved.command.type, fingerprint, unsaved.snapshot, unsaved.events)
        store = self.lanes.answers
        return None if store is None else await read(store.recall, self.request.id, key)

    async def _stands(self, timer: DueTimer) -> bool:
        if self.lane is not None and is_undone(timer, self.lane.unsaved_timers()):
            return False
        store = self.lanes.timers
        if store is None:
            return False
        return await read(store.timer_stands, timer.workflow_id, timer.key, timer.generation)

    def _refuse_early(self) -> ExecutionError | None:
        request, standing = self.request, self.standing
        if standing.snapshot is None:
            if request.schema is None or not self.router._registry.creates(request.schema.type):
                return NotFoundError(request.id)
        else:
            try:
                self.workflow = self._restored()
            except RestoreError as error:
                settle(error)
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

    def _execution(self) -> Execution:
        request = self.request
        self.command = request.take_command()
        return Execution(
            request.id,
            self.command,
            self._stored(),
            request.metadata,
            request.expected_version,
            self.recorded is not None,
        )

    def _stored(self) -> StoredWorkflow | None:
        """Return the workflow as middleware sees it: in the words of today's code, as the handler does."""
        stored = self.standing.stored()
        if stored is None:
            return None
        try:
            current = self.workflow._snapshot if self.workflow is not None else self.restorer.updated(stored.snapshot)
        except RestoreError:
            return stored  # a replay, which will find out by itself
        return stored if current is stored.snapshot else replace(stored, snapshot=current)

    def error_of(self, raised: BaseException, doing: str) -> ExecutionError:
        """Return the error that stands for what a middleware raised."""
        faults = self.said._faults if self.said else None
        return error_of(self.router._definition, self.request.id, raised, doing, faults)

    def bug(self, what: str) -> UnexpectedError:
        """Return the error that says what is wrong."""
        return UnexpectedError(f"workflow {self.request.id!r} of {self.router._definition.name!r}: {what}")

    async def decide(self) -> Result:
        """Run the handler, or give the recorded answer in its place: the end of the chain."""
        return await self._decide(self.context._items)

    async def _decide(self, items: dict[ContextKey[Any], Any]) -> Result:
        request, schema = self.request, self.request.schema
        if schema is None:
            raise LookupError("create runs no handler")
        if self.recorded is not None:
            return self._replay(self.recorded, schema)
        command = request.take_command() if self.command is None else self.command
        prepared = self.router._prepare(self.workflow, request.id, schema, command, items, request.metadata)
        if isinstance(prepared, Dispatch):
            self.said = prepared.context
            routed: Result = await prepared.decide(self.observers)
        else:
            tell(self.observers, "failed", prepared, self.workflow, command)
            routed = Failure(prepared)
        self.routed = routed
        return routed

    def _replay(self, recorded: RecordedAnswer, schema: Schema) -> Result:
        request = self.request
        is_same = recorded.command == schema.name and schema.same(recorded.fingerprint, request.fingerprint or "")
        if not is_same:
            return Failure(IdempotencyError(request.id, request.key or ""))
        try:
            workflow = self.restorer.restore(recorded.snapshot)
        except RestoreError as error:
            settle(error)
            return Failure(error)
        events = self.restorer.events(recorded.events, recorded.snapshot.model_version)
        return accepted(workflow, events, replayed=True)

    # --- what is to be saved ---------------------------------------------------------------------------------------

    def _accepted(self, success: Success[Any, Any]) -> Decided:
        request, after, said = self.request, success.workflow, self.said
        timers: tuple[TimerWrite, ...] = ()
        commit_id = new_id()
        if self.standing.has_timers or (said is not None and said._timers):
            timers = self._timer_writes(after.state, commit_id)
            if self.lane is not None and self.lanes.timers is None:
                return Decided(Failure(_no_timers(self.lanes.store)))
        name = request.schema.name if request.schema is not None else ""
        commit = born(
            NewCommit,
            {
                "id": commit_id,
                "snapshot": after._snapshot,
                "command": RecordedMessage.of_text(name, request.text),
                "events": said._recorded if said is not None else (),
                "recorded_at": after._snapshot.updated_at,
                "metadata": request.metadata,
                "idempotency_key": request.key,
                "fingerprint": request.fingerprint,
                "timers": timers,
            },
        )
        return Decided(success, commit, after)

    def _timer_writes(self, now_in: str, commit_id: str) -> tuple[TimerWrite, ...]:
        """Return what the command does to the timers: its own is consumed, a state is left, then what was said."""
        writes: list[TimerWrite] = []
        stored, before, timer = self.standing.snapshot, self.workflow, self.request.timer
        if timer is not None:
            writes.append(ConsumeTimer(timer.key, timer.generation))
        if stored is not None and before is not None and stored.state != before.state:
            writes.append(RenamedState(stored.state, before.state))
        if before is not None and before.state != now_in:
            writes.append(LeftState(now_in))
        if self.said is not None:
            changes = enumerate(self.said._timers)
            writes.extend(self._timer_write(change, now_in, f"{commit_id}.{number}") for number, change in changes)
        return tuple(writes)

    def _timer_write(self, change: TimerChange, state: str, generation: str) -> TimerWrite:
        if isinstance(change, CancelledTimer):
            return DropTimer(change.key)
        at, delay = change.at, change.delay
        if delay is not None and self.router._has_clock and self.said is not None:
            at, delay = self.said.now + delay, None  # an explicit clock takes the place of the store's
        return SetTimer(change.key, generation, change.command, state, change.keep, at, delay)

    def _create(self, initial: Workflow[Any, Any, Any, Any]) -> Decided:
        request, standing = self.request, self.standing
        if standing.snapshot is not None:
            return Decided(Failure(ConcurrencyConflictError(request.id, 0, standing.version)))
        now = self.router._now()
        snapshot = initial._snapshot.replace(version=1, created_at=now, updated_at=now)
        workflow = type(initial)._of(snapshot, initial._schema, None)
        commit = NewCommit(new_id(), snapshot, None, (), now, request.metadata)
        return Decided(Success(workflow), commit, workflow)


def _no_timers(store: object) -> StoreError:
    return unsupported(f"store {type(store).__name__} keeps no timers: implement `TimerStore`, or schedule none")
