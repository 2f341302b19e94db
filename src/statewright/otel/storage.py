"""Spans of loads and saves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from opentelemetry import trace

from .._engine.lanes import Lanes
from .._engine.ports import BatchingStore, SaveOptions, StoredWorkflow, error_of_save
from .measure import Instruments, fail, is_new
from .name import (
    ATTR_CATEGORY,
    ATTR_COMMITS,
    ATTR_DEFINITION,
    ATTR_EXPECTED_VERSION,
    ATTR_FOUND,
    ATTR_VERSION,
    ATTR_WORKFLOW_ID,
    SPAN_LOAD,
    SPAN_SAVE,
)
from .propagation import links, parent

Load: TypeAlias = Callable[[str], Awaitable[StoredWorkflow | None]]


def instrument_store(lanes: Lanes, tracer: trace.Tracer, instruments: Instruments) -> None:
    """Put a span around each load and save that commands need of a store."""
    if is_new(lanes):
        saves = _Saves(lanes.submit, tracer, instruments)
        vars(lanes).update(load=traced_load(lanes.load, tracer), submit=saves.submit)
        if isinstance(lanes.store, BatchingStore):
            lanes.store.batch_listeners.append(instruments.batch_saves.record)


def traced_load(load: Load, tracer: trace.Tracer) -> Load:
    """Return a load in a span of its own."""

    async def traced(id: str) -> StoredWorkflow | None:
        with tracer.start_as_current_span(
            SPAN_LOAD, attributes={ATTR_WORKFLOW_ID: id}, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                stored = await load(id)
            except Exception as error:
                fail(span, error)
                raise
            span.set_attribute(ATTR_FOUND, stored is not None)
            if stored is not None:
                span.set_attribute(ATTR_DEFINITION, stored.definition)
                span.set_attribute(ATTR_VERSION, stored.version)
            return stored

    return traced


class _Saves:
    """The saves of a store: each may be that of several commands, so it is no child of whoever is current."""

    def __init__(
        self, submit: Callable[[SaveOptions], asyncio.Future[None]], tracer: trace.Tracer, instruments: Instruments
    ) -> None:
        self._submit = submit
        self._tracer = tracer
        self._instruments = instruments

    def submit(self, options: SaveOptions) -> asyncio.Future[None]:
        """As `Lanes.submit`."""
        span = self._span(options)
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                saving = self._submit(options)
        except Exception as error:
            _finish(span, error)
            raise
        if saving.done():
            _finish(span, error_of_save(saving))
        else:
            saving.add_done_callback(lambda done: _finish(span, error_of_save(done)))
        return saving

    def _span(self, options: SaveOptions) -> trace.Span:
        definition, commits = options.snapshot.definition, len(options.commits)
        self._instruments.fold_commits.record(commits, {ATTR_DEFINITION: definition})
        carriers = [commit.metadata for commit in options.commits]
        within = parent(carriers[0]) if carriers else None
        attributes: dict[str, str | int] = {
            ATTR_DEFINITION: definition,
            ATTR_WORKFLOW_ID: options.id,
            ATTR_VERSION: options.snapshot.version,
            ATTR_EXPECTED_VERSION: options.expected_version,
            ATTR_COMMITS: commits,
        }
        return self._tracer.start_span(SPAN_SAVE, context=within, attributes=attributes, links=links(carriers[1:]))


def _finish(span: trace.Span, error: BaseException | None) -> None:
    if error is not None:
        span.set_attribute(ATTR_CATEGORY, getattr(error, "category", "unexpected"))
        fail(span, error)
    span.end()
