"""The metrics, and what is noted of commands, results and errors: names and counts, never data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry import metrics, trace

from .._model.definition import Definition
from .._model.result import Failure, Success
from ..errors import DomainError, ExecutionError
from . import name

# Refusals are answers; these say that something is broken.
_BROKEN: Final = frozenset({"unexpected", "dependency", "store", "restore"})


class Instruments:
    """The metrics of one meter."""

    def __init__(self, meter: metrics.Meter) -> None:
        counter, histogram = meter.create_counter, meter.create_histogram
        self.commands = counter(name.METRIC_COMMANDS, "{command}", "Commands, by what became of them")
        self.duration = histogram(name.METRIC_DURATION, "s", "From the call to its answer")
        self.conflicts = counter(name.METRIC_CONFLICTS, "{conflict}", "Commands whose save lost a race")
        self.retries = counter(name.METRIC_RETRIES, "{retry}", "Commands decided again after a lost race")
        self.fold_commits = histogram(name.METRIC_FOLD_COMMITS, "{commit}", "Commits in one save")
        self.batch_saves = histogram(name.METRIC_BATCH_SAVES, "{save}", "Saves in one transaction")


def is_new(thing: Any) -> bool:
    """Return whether something is instrumented for the first time, and note that it is."""
    noted: dict[str, Any] = vars(thing)
    if noted.get("_has_telemetry"):
        return False
    noted["_has_telemetry"] = True
    return True


def command_name(definition: Definition, command: Any) -> str:
    """Return a declared command's stored name: what a caller made up is no attribute."""
    if isinstance(command, Mapping):
        found = command.get("type")
        return found if isinstance(found, str) and found in definition.commands.by_name else name.OTHER
    schema = definition.commands.by_type.get(type(command))
    return name.OTHER if schema is None else schema.name


def category(result: Any) -> str:
    """Return what became of a command, in a word."""
    match result:
        case Success(replayed=replayed):
            return "replayed" if replayed else "accepted"
        case Failure(error=ExecutionError() as error):
            return error.category
        case _:
            return "gone"  # a timer that does not stand any more


def describe(span: trace.Span, result: Any) -> None:
    """Note a result in a span."""
    span.set_attribute(name.ATTR_CATEGORY, category(result))
    match result:
        case Success(workflow=workflow, events=events):
            span.set_attribute(name.ATTR_VERSION, workflow.version)
            span.set_attribute(name.ATTR_STATE, workflow.state)
            span.set_attribute(name.ATTR_EVENTS, len(events))
        case Failure(error=error):
            fail(span, error)
        case _:
            pass  # a timer that does not stand any more has nothing to say


def fail(span: trace.Span, error: BaseException) -> None:
    """Note an error in a span, by its class and never by its words, which may quote anything."""
    kind = error.code if isinstance(error, DomainError) else type(error).__name__
    span.set_attribute(name.ATTR_ERROR_TYPE, kind)
    if getattr(error, "category", "unexpected") in _BROKEN:
        span.set_status(trace.StatusCode.ERROR)
