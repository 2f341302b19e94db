"""Metrics of workers: what they do, and how far they are behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

from opentelemetry import metrics

from .._engine.watching import RoleStatus
from .._engine.worker import Worker
from . import name
from .measure import is_new

_Callback: TypeAlias = Callable[[metrics.CallbackOptions], Iterable[metrics.Observation]]


def instrument_worker(worker: Worker, provider: metrics.MeterProvider) -> None:
    """Measure the roles that a worker holds."""
    if not is_new(worker):
        return
    work = _KNOWN.get(provider)
    if work is None:
        work = _KNOWN[provider] = _Work(metrics.get_meter("statewright", meter_provider=provider))
    worker.observe(lambda statuses: work.hear(worker, statuses))


class _Work:
    """What the workers of a process told at last.

    The gauges are asked, and not set: a role that has passed to a worker elsewhere is told by that one alone.
    """

    def __init__(self, meter: metrics.Meter) -> None:
        self._last: WeakKeyDictionary[Worker, Sequence[RoleStatus]] = WeakKeyDictionary()
        self._acted = meter.create_counter(name.METRIC_WORKER_ACTED, "{action}", "What workers did, by role")
        gauge = meter.create_observable_gauge
        gauge(name.METRIC_WORKER_LAG, [self._each(lambda each: each.lag)], "{item}", "Commits not read, or timers due")
        undelivered = self._each(lambda each: each.undelivered)
        gauge(name.METRIC_WORKER_UNDELIVERED, [undelivered], "{command}", "Commands that wait to be delivered")
        late = self._each(lambda each: each.late.total_seconds())
        gauge(name.METRIC_WORKER_LATE, [late], "s", "How long the first of them has waited")

    def hear(self, worker: Worker, statuses: Sequence[RoleStatus]) -> None:
        """Take what a worker tells."""
        self._last[worker] = statuses
        for status in statuses:
            self._acted.add(status.acted, _attributes(status))

    def _each(self, measure: Callable[[RoleStatus], float]) -> _Callback:
        def observe(options: metrics.CallbackOptions) -> list[metrics.Observation]:  # noqa: ARG001 - OpenTelemetry's
            told = [status for statuses in list(self._last.values()) for status in statuses]
            return [metrics.Observation(measure(status), _attributes(status)) for status in told]

        return observe


_KNOWN: Final[WeakKeyDictionary[metrics.MeterProvider, _Work]] = WeakKeyDictionary()
"""A meter takes the first gauge of a name, and drops what a second one would tell: all workers share one."""


def _attributes(status: RoleStatus) -> dict[str, Any]:
    return {name.ATTR_ROLE: status.role}
