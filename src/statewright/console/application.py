"""The console as an ASGI application, to be mounted beside the public API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .._engine.executor import WorkflowExecutor
from .._engine.ports import Catalog, DeadLetterStore, StoreAdapter
from ..diagram import Graph
from ..errors import ExecutionError, InvalidDataError, StoreError
from .asset import serve_asset
from .description import describe, summary_of
from .drawing import Direction, draw
from .page import Frame
from .timeline import MOST, recent, timeline

Executor: TypeAlias = WorkflowExecutor[Any]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of every answer: nothing inline, nothing from elsewhere, in nobody's frame."""
_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
_RECENT = 20


def create_console(executors: Iterable[Executor], store: StoreAdapter) -> Starlette:
    """Return the console; it expects the public API where it is mounted itself, without its own last path segment.

    Args:
        executors: One for each definition that is shown.
        store: What they have in common.
    """
    return _Console({each.router.workflow.name: each for each in executors}, store).application()


class _Console:
    def __init__(self, executors: Mapping[str, Executor], store: StoreAdapter) -> None:
        self._executors = executors
        self._store = store
        self._graphs = {name: Graph.of(each.router) for name, each in executors.items()}

    def application(self) -> Starlette:
        data = "/data/{name}"
        application = Starlette(
            routes=[
                Route("/", self._overview),
                Route("/assets/{file}", serve_asset),
                Route("/dead-letters", self._letters),
                Route("/workflows/{name}", self._definition),
                Route("/workflows/{name}/{id:path}", self._workflow),
                Route(data, self._for_executor(self._describe)),
                Route(f"{data}/recent", self._for_executor(self._recent)),
                Route(f"{data}/diagram.svg", self._for_executor(self._diagram)),
                Route(f"{data}/timeline/{{id:path}}", self._for_executor(self._timeline)),
            ],
            exception_handlers={404: self._missing, ExecutionError: _failed},
        )
        application.add_middleware(_Guarded)
        return application

    def _frame(self, request: Request) -> Frame:
        base = request.scope.get("root_path", "")
        has_letters = isinstance(self._store, DeadLetterStore)
        has_session = bool(request.scope.get("statewright.session"))
        return Frame(base, base.rpartition("/")[0], list(self._executors), has_letters, has_session)

    async def _counts(self, name: str) -> Mapping[str, int] | None:
        store = self._store
        return await store.count_by_state(name) if isinstance(store, Catalog) else None

    # --- pages -------------------------------------------------------------------------------------------------------

    async def _overview(self, request: Request) -> Response:
        frame = self._frame(request)
        if len(self._executors) == 1:
            return RedirectResponse(frame.address(next(iter(self._executors))))
        graphs = [
            (graph, summary_of(self._executors[name].router.workflow), await self._counts(name))
            for name, graph in self._graphs.items()
        ]
        return HTMLResponse(frame.overview(graphs))

    async def _definition(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._executors:
            return self._missing(request)
        summary = summary_of(self._executors[name].router.workflow)
        page = self._frame(request).definition(self._graphs[name], summary, await self._counts(name))
        return HTMLResponse(page)

    async def _workflow(self, request: Request) -> Response:
        name, id = request.path_params["name"], request.path_params["id"]
        if name not in self._executors or not id:
            return self._missing(request)
        return HTMLResponse(self._frame(request).workflow(self._graphs[name], id))

    async def _letters(self, request: Request) -> Response:
        frame = self._frame(request)
        return HTMLResponse(frame.letters()) if frame.has_letters else self._missing(request)

    def _missing(self, request: Request, _: Exception | None = None) -> Response:
        return HTMLResponse(self._frame(request).missing(), status_code=404)

    # --- data --------------------------------------------------------------------------------------------------------

    def _for_executor(
        self, answer: Callable[[Request, Executor], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            executor = self._executors.get(request.path_params["name"])
            if executor is None:
                return JSONResponse({"title": "No such definition"}, status_code=404)
            return await answer(request, executor)

        return endpoint

    async def _describe(self, _: Request, executor: Executor) -> Response:
        return JSONResponse(describe(executor))

    async def _recent(self, _: Request, executor: Executor) -> Response:
        position, commits = await recent(executor, limit=_RECENT)
        return JSONResponse({"position": position, "commits": commits})

    async def _diagram(self, request: Request, executor: Executor) -> Response:
        name = executor.router.workflow.name
        direction: Direction = "right" if request.query_params.get("direction") == "right" else "down"
        svg = draw(self._graphs[name], direction=direction, counts=await self._counts(name))
        return Response(svg, media_type="image/svg+xml")

    async def _timeline(self, request: Request, executor: Executor) -> Response:
        id = request.path_params["id"]
        after, before = _whole(request, "after", 0), _whole(request, "before", 0)
        limit = min(_whole(request, "limit", MOST), MOST)
        if before:
            limit = min(limit, before - 1)
            after = before - 1 - limit
        commits = await timeline(executor, id, after=after, limit=limit) if limit else []
        stored = await self._store.load(id)
        entered = stored.entered_at if stored is not None else None
        return JSONResponse({"commits": commits, "entered_at": entered.isoformat() if entered else None})


def _whole(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else default


def _failed(_: Request, error: Exception) -> Response:
    """Answer with what may be said about an error: its category."""
    category = getattr(error, "category", "unexpected")
    match error:
        case InvalidDataError():
            status = 422
        case StoreError():
            status = 503
        case _:
            status = 500
    return JSONResponse({"title": type(error).__name__, "category": category}, status_code=status)


class _Guarded:
    """Adds the security headers to every answer, those of errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(each for each in _HEADERS if each[0] not in present)]
            await send(message)

        await self._app(scope, receive, sending)
