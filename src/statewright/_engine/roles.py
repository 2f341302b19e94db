"""What a worker does under one lease: the timers of a definition, a reactor, a publisher."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Protocol

from .._model.commit import Commit, RecordedMessage
from .._model.reactor import Reactor, Send, Source
from .._model.result import Failure, Success
from ..errors import (
    ConcurrencyConflictError,
    DefinitionError,
    DomainError,
    ExecutionError,
    IdempotencyError,
    LeaseLostError,
    NotFoundError,
    RoutingError,
    StatewrightError,
    StoreError,
    UnexpectedError,
)
from .attempt import TIMER_GONE
from .backoff import pause
from .ports import Delivery, DueTimer, Fence, Publisher

if TYPE_CHECKING:
    from .executor import WorkflowExecutor

_log = logging.getLogger("statewright.worker")

PAGE: Final = 256
"""How many commits, deliveries or timers are taken at a time."""
MAX_HOPS: Final = 100
"""How many reactors a chain of commands may pass through."""
_LONGEST: Final = timedelta(minutes=5)
_SOON: Final = timedelta(milliseconds=100)


@dataclass(slots=True)
class Toolbox:
    """What all roles of a worker share."""

    store: Any
    executors: Mapping[str, WorkflowExecutor[Any]]
    clock: Callable[[], datetime] | None
    retries: int
    backoff: timedelta

    def now(self) -> datetime | None:
        """Return the present of the worker's own clock; `None` for the store's."""
        return None if self.clock is None else self.clock()

    def pause(self, attempts: int) -> timedelta:
        """Return how long to wait before another attempt."""
        return pause(self.backoff, attempts, _LONGEST)


class Role(Protocol):
    """One thing that one worker does at a time."""

    name: str

    async def step(self, fence: Fence) -> bool:
        """Do what is due now, or a page of it; return whether there was anything.

        Raises:
            LeaseLostError: Another worker has taken over.
            StoreError: The store failed.
        """
        ...

    async def until_due(self) -> timedelta | None:
        """Return how long until something is due that no commit will announce; `None` if nothing is."""
        ...


class TimerRole:
    """Executes the due timers of one definition."""

    def __init__(self, tools: Toolbox, definition: str) -> None:
        self.name = f"timers:{definition}"
        self._tools = tools
        self._definition = definition
        self._executor = tools.executors[definition]

    async def step(self, fence: Fence) -> bool:
        """Execute a page of due timers."""
        tools = self._tools
        due = await tools.store.due_timers([self._definition], limit=PAGE, now=tools.now())
        await _all(self._fire(timer, fence) for timer in due)
        return bool(due)

    async def until_due(self) -> timedelta | None:
        """Return how long until the next timer is due."""
        tools = self._tools
        if tools.clock is not None:
            return None  # it is moved by somebody else, at a speed of his own
        until: timedelta | None = await tools.store.until_next_due([self._definition])
        return until

    async def _fire(self, timer: DueTimer, fence: Fence) -> None:
        metadata = {"timer": timer.key}
        result = await self._executor._deliver(timer.workflow_id, timer.command, fence, timer=timer, metadata=metadata)
        store, attempts = self._tools.store, timer.attempts + 1
        if result is TIMER_GONE or isinstance(result, Success):
            return
        error = result.error
        if isinstance(error, LeaseLostError):
            raise error
        if isinstance(error, DomainError | NotFoundError) or is_no_handler(error):
            await store.finish_timer(timer, fence)
        elif isinstance(error, StoreError | ConcurrencyConflictError):
            await store.postpone_timer(timer, _SOON, timer.attempts, fence, now=self._tools.now())
        elif attempts > self._tools.retries:
            await store.bury_timer(timer, shown(error), attempts, fence)
        else:
            await store.postpone_timer(timer, self._tools.pause(attempts), attempts, fence, now=self._tools.now())


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
        due: list[Delivery] = await tools.store.due_deliveries(self.name, limit=PAGE, now=tools.now())
        by_source = sorted(due, key=lambda each: each.source_id)  # stable: each source's stay in order
        batch = _Batch()
        sources = [list(group) for _, group in groupby(by_source, key=lambda each: each.source_id)]
        try:
            await _all(self._deliver_source(group, fence, batch) for group in sources)
        finally:
            if batch.done:
                await tools.store.finish_deliveries(batch.done, fence)
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
            await tools.store.postpone_delivery(delivery.id, _SOON, delivery.attempts, fence, now=tools.now())
        elif is_final or attempts > tools.retries:
            await tools.store.bury_delivery(delivery.id, shown(error), attempts, fence)
        else:
            later = tools.pause(attempts)
            await tools.store.postpone_delivery(delivery.id, later, attempts, fence, now=tools.now())

    async def _resolve_again(self, delivery: Delivery, fence: Fence) -> None:
        store = self._tools.store
        (commit,) = await store.commits(after=delivery.position - 1, limit=1)
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


class PublisherRole:
    """Publishes commits, in order for each workflow."""

    def __init__(self, tools: Toolbox, publisher: Publisher) -> None:
        if not isinstance(getattr(publisher, "name", None), str) or not callable(getattr(publisher, "publish", None)):
            raise DefinitionError(f"a publisher has a name and a method publish, found {type(publisher).__name__}")
        self.name = f"publisher:{publisher.name}"
        self._tools = tools
        self._publisher = publisher
        self._published: set[str] = set()  # of a page that could not be finished
        self._failures = 0
        self._not_before = 0.0

    async def step(self, fence: Fence) -> bool:
        """Publish a page of commits; what fails is tried again for ever."""
        store = self._tools.store
        if self._remaining():
            return False
        after = await store.reader_position(self.name)
        page: list[Commit] = await store.commits(after=after or 0, limit=PAGE)
        if not page:
            return False
        by_workflow = sorted(page, key=lambda commit: commit.workflow_id)
        groups = [list(group) for _, group in groupby(by_workflow, key=lambda commit: commit.workflow_id)]
        failed = await _all(self._publish(group) for group in groups)
        if any(failed):
            self._failures += 1
            pausing = self._tools.pause(self._failures).total_seconds()
            self._not_before = asyncio.get_running_loop().time() + pausing
            return False
        await store.advance_reader(self.name, page[-1].position, [], fence)
        self._published.clear()
        self._failures = 0
        return True

    async def until_due(self) -> timedelta | None:
        """Return when to try again, if the last page could not be finished."""
        return self._remaining() or None

    def _remaining(self) -> timedelta:
        if not self._failures:
            return timedelta()
        return timedelta(seconds=max(0.0, self._not_before - asyncio.get_running_loop().time()))

    async def _publish(self, commits: Iterable[Commit]) -> bool:
        """Publish a workflow's commits, in order, up to the first that fails; return whether one did."""
        for commit in commits:
            if commit.id in self._published:
                continue
            try:
                await self._publisher.publish(commit)
            except Exception:  # noqa: BLE001 - it is logged, and tried again
                _log.exception("publisher failed", extra={"publisher": self.name, "position": commit.position})
                return True
            self._published.add(commit.id)
        return False


async def _all(doing: Iterable[Any]) -> list[Any]:
    """Do several things at once; the first failure is raised when all have come to an end."""
    outcomes = await asyncio.gather(*doing, return_exceptions=True)
    failures = [each for each in outcomes if isinstance(each, BaseException)]
    lost = next((each for each in failures if isinstance(each, LeaseLostError)), None)
    if failures:
        raise lost or failures[0]
    return outcomes


def _wanted(executor: WorkflowExecutor[Any], reactor: Reactor) -> dict[str, type[Any]]:
    events = executor._definition.events.by_type
    return {events[event].name: event for event in reactor.events if event in events}


def _passed_on(commit: Commit) -> dict[str, Any]:
    """Return the metadata of a command that follows from a commit."""
    passed = {name: commit.metadata[name] for name in ("correlation_id", "traceparent") if name in commit.metadata}
    hops = commit.metadata.get("hops", 0)
    counted = hops + 1 if isinstance(hops, int) else 1
    return {"correlation_id": commit.id, **passed, "causation_id": commit.id, "hops": counted}


def is_no_handler(error: StatewrightError) -> bool:
    """Return whether a command has no handler in the workflow's state."""
    return isinstance(error, RoutingError) and error.code == "NO_HANDLER"


def is_refusal(error: StatewrightError) -> bool:
    """Return whether a command was refused by the rules of its target, so that trying again is in vain."""
    return isinstance(error, DomainError) or is_no_handler(error)


def shown(error: ExecutionError) -> dict[str, Any]:
    """Return an error as it is kept with a dead letter."""
    facts = error.to_dict()
    if error.__cause__ is not None:
        facts["cause"] = type(error.__cause__).__name__
    return facts
