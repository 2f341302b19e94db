"""Spans and metrics through the OpenTelemetry API; what becomes of them is your SDK's affair. Needs the extra `otel`.

```python
orders = instrument(WorkflowExecutor(router, store))
```

| span | around | child of |
|---|---|---|
| `statewright.execute` | one call of `execute` or `create`, or one delivery by a worker | whatever is current |
| `statewright.load` | reading a workflow from the store | the call that reads it |
| `statewright.dispatch` | handler and router middleware; once more after a lost race | the call that decides it |
| `statewright.save` | one save, of one command or of a fold of several | the first command's; linked to the others' |

Each commit keeps the context of its `statewright.execute` in its metadata, as `traceparent`. What a worker delivers
because of that commit is a trace of its own that is linked to it.

A worker has no spans of its own, and tells how much it does in each of its roles and how far it is behind:
`instrument(worker)`.

No span and no metric holds data of a workflow, a command, an event or an error: only names, versions and counts, and
the workflow's id on spans.
"""

from __future__ import annotations

from typing import Any, TypeVar

from .._engine.executor import WorkflowExecutor
from .._engine.worker import Worker
from .._model.router import WorkflowRouter
from ..errors import DefinitionError

try:
    from opentelemetry import metrics, trace
except ModuleNotFoundError as exc:
    raise ImportError('statewright.otel needs opentelemetry: pip install "statewright[otel]"') from exc

from .call import instrument_executor
from .dispatch import instrument_router
from .measure import Instruments
from .name import (
    ATTR_CATEGORY,
    ATTR_COMMAND,
    ATTR_COMMITS,
    ATTR_DEFINITION,
    ATTR_ERROR_TYPE,
    ATTR_EVENTS,
    ATTR_EXPECTED_VERSION,
    ATTR_FOUND,
    ATTR_RETRY,
    ATTR_ROLE,
    ATTR_SOURCE_STATE,
    ATTR_STATE,
    ATTR_VERSION,
    ATTR_WORKFLOW_ID,
    EVENT_RETRIED,
    METRIC_BATCH_SAVES,
    METRIC_COMMANDS,
    METRIC_CONFLICTS,
    METRIC_DURATION,
    METRIC_FOLD_COMMITS,
    METRIC_RETRIES,
    METRIC_WORKER_ACTED,
    METRIC_WORKER_LAG,
    METRIC_WORKER_LATE,
    METRIC_WORKER_UNDELIVERED,
    SPAN_DISPATCH,
    SPAN_EXECUTE,
    SPAN_LOAD,
    SPAN_SAVE,
)
from .storage import instrument_store
from .work import instrument_worker

__all__ = [
    "ATTR_CATEGORY",
    "ATTR_COMMAND",
    "ATTR_COMMITS",
    "ATTR_DEFINITION",
    "ATTR_ERROR_TYPE",
    "ATTR_EVENTS",
    "ATTR_EXPECTED_VERSION",
    "ATTR_FOUND",
    "ATTR_RETRY",
    "ATTR_ROLE",
    "ATTR_SOURCE_STATE",
    "ATTR_STATE",
    "ATTR_VERSION",
    "ATTR_WORKFLOW_ID",
    "EVENT_RETRIED",
    "METRIC_BATCH_SAVES",
    "METRIC_COMMANDS",
    "METRIC_CONFLICTS",
    "METRIC_DURATION",
    "METRIC_FOLD_COMMITS",
    "METRIC_RETRIES",
    "METRIC_WORKER_ACTED",
    "METRIC_WORKER_LAG",
    "METRIC_WORKER_LATE",
    "METRIC_WORKER_UNDELIVERED",
    "SPAN_DISPATCH",
    "SPAN_EXECUTE",
    "SPAN_LOAD",
    "SPAN_SAVE",
    "instrument",
]

T = TypeVar("T", bound="WorkflowExecutor[Any] | WorkflowRouter[Any, Any] | Worker")


def instrument(
    target: T,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> T:
    """Have an executor, a router or a worker tell OpenTelemetry what it does.

    An executor's router is instrumented with it, and so is the store for all executors over it. A worker's executors
    are not: what it delivers is theirs to tell. To instrument something again changes nothing.

    Args:
        target: The executor, a worker, or a router that is used alone.
        tracer_provider: Gives the tracer; the global one if not given.
        meter_provider: Gives the meter; the global one if not given.

    Returns:
        The same object.

    Raises:
        DefinitionError: It is none of them.
    """
    tracer = trace.get_tracer("statewright", tracer_provider=tracer_provider)
    if isinstance(target, WorkflowRouter):
        instrument_router(target, tracer)
    elif isinstance(target, Worker):
        instrument_worker(target, meter_provider or metrics.get_meter_provider())
    elif isinstance(target, WorkflowExecutor):
        instruments = Instruments(metrics.get_meter("statewright", meter_provider=meter_provider))
        instrument_router(target.router, tracer)
        instrument_store(target._lanes, tracer, instruments)
        instrument_executor(target, tracer, instruments)
    else:
        found = type(target).__name__
        raise DefinitionError(f"instrument takes a WorkflowExecutor, a WorkflowRouter or a Worker, found {found}")
    return target
