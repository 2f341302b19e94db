"""Context in the metadata of commits, in the form of W3C Trace Context."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

# Not the global propagator: that one may carry baggage, which is not meant to be stored.
_PROPAGATOR: Final = TraceContextTextMapPropagator()


def carry(metadata: Any) -> Any:
    """Return metadata with the current span's context, for those who read the commit later."""
    if metadata is not None and not isinstance(metadata, Mapping):
        return metadata  # refused with the arguments
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return {**(metadata or {}), **carrier} if carrier else metadata


def parent(metadata: Mapping[str, Any] | None) -> context.Context:
    """Return the context in which a span belongs to the one that metadata names; if it names none, the current one."""
    present = context.get_current()
    return _PROPAGATOR.extract(metadata, present) if _names_a_span(metadata) else present


def links(carriers: Iterable[Any]) -> list[trace.Link]:
    """Return links to the spans that pieces of metadata name."""
    nowhere = context.Context()
    found = [
        trace.get_current_span(_PROPAGATOR.extract(carrier, nowhere)).get_span_context()
        for carrier in carriers
        if _names_a_span(carrier)
    ]
    return [trace.Link(each) for each in found if each.is_valid]


def _names_a_span(metadata: Any) -> bool:
    """Return whether metadata can be read by the propagator, which expects strings."""
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("traceparent"), str):
        return False
    return isinstance(metadata.get("tracestate", ""), str)
