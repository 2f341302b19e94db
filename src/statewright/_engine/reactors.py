"""Deciding what follows from events, and delivering it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from .._model.commit import Commit, RecordedMessage
from .._model.reactor import Reactor, Send, Source
from .._model.result import Failure
from ..errors import (
    ConcurrencyConflictError,
    DefinitionError,
    ExecutionError,
    IdempotencyError,
    LeaseLostError,
    StoreError,
    UnexpectedError,
)
from .ports import Delivery, Fence
from .role import PAGE, SOON, Toolbox, all_of, is_refusal, shown

if TYPE_CHECKING:
    from .executor import WorkflowExecutor

_log = logging.getLogger("statewright.worker")

MAX_HOPS: Final = 100
"""How many reactors a chain of commands may pass through."""


class ReactorRole:
    """Decides what follows from events, and delivers it."""

    def __init__(self, tools: Toolbox, reactor: Reactor) -> None:
        self.name = f"reactor:{reactor.name}"
        self._tools = tools
        self._reactor = reactor
        self._wanted = {name: _wanted(executor, reactor) for name, executor in tools.executors.items()}
        declared = {event for wanted in self._wanted.values() for event in wanted.values()}
        if unknown := [event.__name__ for event in reactor.events if event not in declared]:
            raise DefinitionError(
                f"reactor {reactor.name!r} reacts to {', '.join(unknown)}, which no executor of the worker declares"
            )

    async def step(self, fence: Fence) -> bool:
        """Read a page of commits, and deliver a page of what was decided."""
        expanded = await self._expand(fence)
        delivered = await self._deliver_due(fence)
        return expanded or delivered

    async def until_due(self) -> timedelta | None:
        """Return `None`: what was postponed is looked at with each poll."""
        return None

    # --- deciding --------------------------------------------------------------------------------------------------

    async def _expand(self, fence: Fence) -> bool:
        store = self._tools.store
        after = await store.reader_position(self.name)
        page: list[Commit] = await store.commits(after=after or 0, limit=PAGE)
        if not page:
            return False
        deliveries = [delivery for commit in page for delivery in self._decide(commit)]
        await store.advance_reader(self.name, page[-1].position, deliveries, fence)
        return True

    def _decide(self, commit: Commit) -> list[Delivery]:
        wanted = self._wanted.get(commit.definition, {})
        if not any(event.type in wanted for event in commit.events):
            return []
        try:
            return self._resolve(commit)
        except Exception:  # noqa: BLE001 - it is logged, and a reactor that raises holds back nobody else
            _log.exception("reactor raised", extra={"reactor": self.name, "position": commit.position})
            return [self._unresolved(commit)]

    def _resolve(self, commit: Commit) -> list[Delivery]:
        executor = self._tools.executors[commit.definition]
        source = Source(
            workflow_id=commit.workflow_id,
            definition=commit.definition,
            version=commit.version,
            position=commit.position,
            metadata=commit.metadata,
        )
        sends: list[Send] = []
        for recorded in commit.events:
            if recorded.type in self._wanted[commit.definition]:
                (event,) = executor._restorer.events([recorded], commit.model_version)
                if isinstance(event, RecordedMessage):
                    raise UnexpectedError(f"event {recorded.type!r} does not decode any more")
                sends += self._reactor.resolve(event, source)
        return [self._delivery(commit, number, send) for number, send in enumerate(sends)]

    def _delivery(self, commit: Commit, number: int, send: Send) -> Delivery:
        executor = self._tools.executors.get(send.target)
        if executor is None:
            raise DefinitionError(f"reactor {self._reactor.name!r} sends to {send.target!r}: no such executor here")
        return Delivery(
            id=0,
            reader=self.name,
            position=commit.position,
            number=number,
            source_id=commit.workflow_id,
            commit_id=commit.id,
            target=send.target,
            target_id=send.id,
            command=executor._record(send.command),
            is_droppable=send.refused == "drop",
            metadata=_passed_on(commit),
        )

    def _unresolved(self, commit: Commit) -> Delivery:
        return Delivery(
            id=0,
            reader=self.name,
            position=commit.position,
            number=-1,
            source_id=commit.workflow_id,
            commit_id=commit.id,
            target=commit.definition,
            target_id=commit.workflow_id,
            command=None,
            is_droppable=False,
            metadata=_passed_on(commit),
        )

    # --- delivering ------------------------------------------------------------------------------------------------

    async def _deliver_due(self, fence: Fence) -> bool:
        tools = self._tools
        due: list[Delivery] = await tools.store.due_deliveries(self.name, limit=PAGE)
        by_source = sorted(due, key=lambda each: each.source_id)  # stable: each source's stay in order
        batch = _Batch()
        sources = [list(group) for _, group in groupby(by_source, key=lambda each: each.source_id)]
        try:
            await all_of(self._deliver_source(group, fence, batch) for group in sources)
        finally:
            if batch.done:
                await tools.store.finish_deliveries(batch.done, fence)
                tools.acted(self.name, len(batch.done))
        return bool(due)

    async def _deliver_source(self, deliveries: Sequence[Delivery], fence: Fence, batch: _Batch) -> None:
        """Deliver what follows from one source, one after the other, up to the first that fails."""
        for delivery in deliveries:
            if delivery.command is None:
                return await self._resolve_again(delivery, fence)
            error = await self._send(delivery, delivery.command, fence)
            if error is not None and not (delivery.is_droppable and is_refusal(error)):
                return await self._set_aside(delivery, error, fence)
            batch.done.append(delivery.id)
        return None

    async def _send(self, delivery: Delivery, command: RecordedMessage, fence: Fence) -> ExecutionError | None:
        executor = self._tools.executors.get(delivery.target)
        if executor is None:
            return UnexpectedError(f"no executor for workflow {delivery.target!r} at this worker")
        if delivery.metadata.get("hops", 0) > MAX_HOPS:
            return UnexpectedError(f"the command has passed through more than {MAX_HOPS} reactors")
        result = await executor._deliver(
            delivery.target_id, command, fence, key=delivery.key, metadata=delivery.metadata
        )
        if isinstance(result, Failure) and not isinstance(result.error, IdempotencyError):
            error: ExecutionError = result.error
            return error
        return None  # accepted, or accepted before under the same key

    async def _set_aside(self, delivery: Delivery, error: ExecutionError, fence: Fence) -> None:
        tools, attempts = self._tools, delivery.attempts + 1
        if isinstance(error, LeaseLostError):
            raise error
        is_final = is_refusal(error) or delivery.metadata.get("hops", 0) > MAX_HOPS
        if isinstance(error, StoreError | ConcurrencyConflictError):
            await tools.store.postpone_delivery(delivery.id, SOON, delivery.attempts, fence)
        elif is_final or attempts > tools.retries:
            await tools.store.bury_delivery(delivery.id, shown(error), attempts, fence)
        else:
            later = tools.pause(attempts)
            await tools.store.postpone_delivery(delivery.id, later, attempts, fence)

    async def _resolve_again(self, delivery: Delivery, fence: Fence) -> None:
        store = self._tools.store
        found: list[Commit] = await store.commits(after=delivery.position - 1, limit=1)
        commit = next((commit for commit in found if commit.id == delivery.commit_id), None)
        if commit is None:
            await store.finish_deliveries([delivery.id], fence)  # its source was forgotten
            return
        try:
            deliveries = self._resolve(commit)
        except Exception as raised:  # noqa: BLE001 - it becomes a dead letter
            error = UnexpectedError(f"reactor {self._reactor.name!r} raised")
            error.__cause__ = raised
            await store.bury_delivery(delivery.id, shown(error), delivery.attempts + 1, fence)
        else:
            await store.replace_delivery(delivery.id, deliveries, fence)


@dataclass(slots=True)
class _Batch:
    """Deliveries that are done with."""

    done: list[int] = field(default_factory=list)


def _wanted(executor: WorkflowExecutor[Any], reactor: Reactor) -> dict[str, type[Any]]:
    events = executor._definition.events.by_type
    return {events[event].name: event for event in reactor.events if event in events}


def _passed_on(commit: Commit) -> dict[str, Any]:
    """Return the metadata of a command that follows from a commit."""
    known = {name: commit.metadata.get(name) for name in ("correlation_id", "traceparent")}
    passed = {name: value for name, value in known.items() if isinstance(value, str | int)}
    hops = commit.metadata.get("hops", 0)
    counted = hops + 1 if isinstance(hops, int) else 1
    return {"correlation_id": commit.id, **passed, "causation_id": commit.id, "hops": counted}
