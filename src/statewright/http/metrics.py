"""Figures that Prometheus reads, where `prometheus-client` is installed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .._engine.executor import WorkflowExecutor
from .._model.observer import Observer

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics(Protocol):
    """What an application measures, and how it is told."""

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return an application whose requests are counted and timed."""
        ...

    async def page(self, request: Request) -> Response:
        """Answer with all figures in Prometheus's text format."""
        ...


def metrics_of(executors: Sequence[WorkflowExecutor[Any]]) -> Metrics | None:
    """Return what measures requests and commands; `None` where `prometheus-client` is not installed."""
    try:
        import prometheus_client as prometheus  # noqa: PLC0415 - an optional dependency
    except ModuleNotFoundError:
        return None
    return _Prometheus(prometheus, executors)


class _Prometheus:
    def __init__(self, prometheus: Any, executors: Sequence[WorkflowExecutor[Any]]) -> None:
        self._prometheus = prometheus
        self._registry = prometheus.CollectorRegistry()
        place = {"registry": self._registry}
        self._requests = prometheus.Counter(
            "statewright_http_requests", "Requests answered.", ("method", "route", "status"), **place
        )
        self._seconds = prometheus.Histogram(
            "statewright_http_request_seconds",
            "Seconds until an answer began.",
            ("method", "route"),
            buckets=_BUCKETS,
            **place,
        )
        self._commands = prometheus.Counter(
            "statewright_commands", "Commands, by how they ended.", ("workflow", "command", "result"), **place
        )
        self._children: dict[tuple[str, str, int], tuple[Any, Any]] = {}
        """Counter and histogram by their labels, which would be looked up under a lock."""
        for executor in executors:
            executor.observe(_Counting(self._commands, executor))

    def around(self, app: ASGIApp) -> ASGIApp:
        async def measured(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            began = time.perf_counter()

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._note(scope, message["status"], time.perf_counter() - began)
                await send(message)

            await app(scope, receive, sending)

        return measured

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        # The route, never the path: ids are nobody's business here, and would be without number.
        route = getattr(scope.get("route"), "path_format", "")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        found = self._children.get((method, route, status))
        if found is None:
            found = self._requests.labels(method, route, status), self._seconds.labels(method, route)
            self._children[method, route, status] = found
        requests, times = found
        requests.inc()
        times.observe(seconds)

    async def page(self, request: Request) -> Response:  # noqa: ARG002 - Starlette passes it
        content = self._prometheus.generate_latest(self._registry)
        return Response(content, media_type=self._prometheus.CONTENT_TYPE_LATEST)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Counting(Observer):
    """Counts what becomes of commands."""

    def __init__(self, counter: Any, executor: WorkflowExecutor[Any]) -> None:
        self._counter = counter
        self._name = executor._definition.name
        self._commands = executor._definition.commands

    def committed(self, commit: Any) -> None:
        """Count a command that was accepted."""
        self._count("(created)" if commit.command is None else commit.command.type, "accepted")

    def failed(self, error: Any, workflow: Any, command: Any) -> None:  # noqa: ARG002 - the observer's signature
        """Count a command that was not accepted."""
        schema = self._commands.by_type.get(type(command))
        self._count("" if schema is None else schema.name, error.category)

    def _count(self, command: str, result: str) -> None:
        self._counter.labels(self._name, command, result).inc()
