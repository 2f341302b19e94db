"""Spans of calls: one for each `execute`, `create` and delivery by a worker."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace

from .._engine.executor import WorkflowExecutor
from .._model.commit import NO_METADATA
from .._model.definition import Definition
from .._model.observer import Observer
from .._model.result import Result
from ..errors import ConcurrencyConflictError
from .measure import Instruments, category, command_name, describe, is_new
from .name import (
    ATTR_CATEGORY,
    ATTR_COMMAND,
    ATTR_DEFINITION,
    ATTR_EXPECTED_VERSION,
    ATTR_RETRY,
    ATTR_WORKFLOW_ID,
    EVENT_RETRIED,
    SPAN_EXECUTE,
)
from .propagation import carry, links
from .storage import traced_load


def instrument_executor(executor: WorkflowExecutor[Any], tracer: trace.Tracer, instruments: Instruments) -> None:
    """Put a span around each call of an executor."""
    if not is_new(executor):
        return
    calls = _Calls(executor, tracer, instruments)
    executor.observe(_Races(executor._definition.name, instruments))
    # The methods of this one executor are replaced, so that an executor without telemetry pays nothing for it.
    vars(executor).update(
        execute=calls.execute, create=calls.create, _deliver=calls.deliver, _load=traced_load(executor._load, tracer)
    )


class _Calls:
    """The calls of an executor, each in a span of its own."""

    def __init__(self, executor: WorkflowExecutor[Any], tracer: trace.Tracer, instruments: Instruments) -> None:
        inner: Any = executor
        self._execute, self._create, self._deliver = inner.execute, inner.create, inner._deliver
        self._definition: Definition = executor._definition
        self._tracer = tracer
        self._instruments = instruments

    async def execute(
        self,
        id: str,
        command: Any,
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Result:
        """As `WorkflowExecutor.execute`."""
        with self._call(id, command_name(self._definition, command), metadata) as call:
            if type(expected_version) is int:
                call.span.set_attribute(ATTR_EXPECTED_VERSION, expected_version)
            result: Result = await self._execute(
                id,
                command,
                expected_version=expected_version,
                idempotency_key=idempotency_key,
                metadata=carry(metadata),
            )
            call.end(result)
        return result

    async def create(self, id: str, data: Any, *, metadata: Mapping[str, Any] | None = None) -> Result:
        """As `WorkflowExecutor.create`."""
        with self._call(id, None, metadata) as call:
            result: Result = await self._create(id, data, metadata=carry(metadata))
            call.end(result)
        return result

    async def deliver(
        self, id: str, message: Any, fence: Any, *, metadata: Mapping[str, Any] = NO_METADATA, **facts: Any
    ) -> Any:
        """As `WorkflowExecutor._deliver`."""
        with self._call(id, command_name(self._definition, {"type": message.type}), metadata) as call:
            result = await self._deliver(id, message, fence, metadata=carry(metadata), **facts)
            call.end(result)
        return result

    @contextmanager
    def _call(self, id: Any, command: str | None, metadata: Any) -> Generator[_Call]:
        shared = {ATTR_DEFINITION: self._definition.name} | ({ATTR_COMMAND: command} if command is not None else {})
        attributes = shared | ({ATTR_WORKFLOW_ID: id} if isinstance(id, str) else {})
        began = time.perf_counter()
        with self._tracer.start_as_current_span(
            SPAN_EXECUTE,
            attributes=attributes,
            links=links([metadata]),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            call = _Call(span)
            try:
                yield call
            finally:
                measured = shared | {ATTR_CATEGORY: call.category}
                self._instruments.commands.add(1, measured)
                self._instruments.duration.record(time.perf_counter() - began, measured)


class _Call:
    """One call on its way."""

    def __init__(self, span: trace.Span) -> None:
        self.span = span
        self.category = "cancelled"

    def end(self, result: Any) -> None:
        """Note what became of it."""
        self.category = category(result)
        describe(self.span, result)


class _Races(Observer):
    """Counts lost races."""

    def __init__(self, definition: str, instruments: Instruments) -> None:
        self._attributes = {ATTR_DEFINITION: definition}
        self._instruments = instruments

    def conflicted(self, error: ConcurrencyConflictError) -> None:  # noqa: ARG002 - only that it happened counts
        """Count a save that lost."""
        self._instruments.conflicts.add(1, self._attributes)

    def retried(self, id: str, attempt: int) -> None:  # noqa: ARG002 - its span, which is current, knows the id
        """Count a command that is decided again, and note it in its span."""
        self._instruments.retries.add(1, self._attributes)
        trace.get_current_span().add_event(EVENT_RETRIED, {ATTR_RETRY: attempt})
