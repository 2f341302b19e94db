"""Spans of dispatches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from opentelemetry import trace

from .._model.definition import Definition
from .._model.result import Result
from .._model.router import WorkflowRouter
from .measure import command_name, describe, is_new
from .name import ATTR_COMMAND, ATTR_DEFINITION, ATTR_SOURCE_STATE, ATTR_WORKFLOW_ID, SPAN_DISPATCH


def instrument_router(router: WorkflowRouter[Any, Any], tracer: trace.Tracer) -> None:
    """Put a span around the handlers of a router, and around its middleware."""
    registry = router._registry
    definition: Definition = router._definition
    if not is_new(registry):
        return

    async def traced(ctx: Any, call_next: Callable[[], Awaitable[Result]]) -> Result:
        attributes: dict[str, Any] = {
            ATTR_DEFINITION: definition.name,
            ATTR_WORKFLOW_ID: ctx.id,
            ATTR_COMMAND: command_name(definition, ctx.command),
        }
        if ctx.state is not None:
            attributes[ATTR_SOURCE_STATE] = ctx.state
        with tracer.start_as_current_span(
            SPAN_DISPATCH, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            result = await call_next()
            describe(span, result)
        return result

    registry.surround(traced)
