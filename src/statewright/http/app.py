"""A whole application: definitions, health, dead letters, and the console."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.params import Depends as Dependency
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .._engine.executor import WorkflowExecutor
from ..errors import DefinitionError
from . import desk, openapi
from .feed import Feed
from .guard import Guard
from .metrics import metrics_of
from .passage import lead_to
from .problem import Problem, unexpected
from .router import Options, add_routes, place_of
from .view import Json

_log: Final = logging.getLogger("statewright.http")
_RESERVED: Final = frozenset({"console", "healthz", "metrics", "readyz"})
_PATIENCE: Final = 5.0
"""Seconds that the store has to answer when it is asked whether it is there."""


def create_app(
    executors: Iterable[WorkflowExecutor[Any]],
    *,
    console: bool = True,
    token: str | None = None,
    dependencies: Sequence[Dependency] = (),
    actor: Callable[..., Any] | None = None,
    require_if_match: bool = False,
    max_body: int = 1_048_576,
    heartbeat: float = 15.0,
    loopback_only: bool = False,
) -> FastAPI:
    """Return an application that serves definitions, with health endpoints, dead letters and the console.

    The store is opened with the application, and closed with it, unless it is open already.

    Args:
        executors: One for each definition, all over one store.
        console: Serve the console at `/console`.
        token: Has to be shown on every request: as `Authorization: Bearer`, or in a browser once, on a page that asks
            for it. `None`: nobody is asked.
        dependencies: FastAPI dependencies of every route but health; the console, `/metrics` and `/openapi.json`
            have them, too.
        actor: As for `create_router`.
        require_if_match: As for `create_router`.
        max_body: As for `create_router`.
        heartbeat: As for `create_router`.
        loopback_only: Answer only requests to `localhost` and to loopback addresses, such as `127.0.0.1` and `[::1]`.

    Raises:
        DefinitionError: There is no executor, two are of one definition or over different stores, a definition has
            the name of a page of the application, or the token is empty or no printable ASCII.
    """
    served = _checked(executors)
    if token is not None:
        _check_token(token)
    store, feed = served[0].store, Feed(served[0].store)
    app = FastAPI(
        title="Statewright",
        summary="Workflows over HTTP.",
        docs_url=None,  # its pages would fetch scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lambda _: _open(store),
        responses=openapi.problems(403) if token is None else openapi.problems(401, 403),
        exception_handlers={HTTPException: _http_problem, Exception: _unexpected},
    )
    behind = _router(app, dependencies)
    _move(app, behind)
    if (metrics := metrics_of(served)) is not None:
        app.add_middleware(_Wrapped, around=metrics.around)
        lead_to(Route("/metrics", metrics.page), behind, "/metrics")
    app.add_middleware(Guard, token=token, is_local=loopback_only)
    if console:
        _add_console(behind, served, store)
    _take(app, _add_health(_router(app), store))
    _take(app, behind)
    _take(app, desk.Desk(store, served).add_routes(_router(app, dependencies, **desk.PLACE)))
    options = Options(actor, require_if_match, max_body, heartbeat)
    for executor in served:
        router = _router(app, dependencies, **place_of(executor))
        _take(app, add_routes(router, executor, feed, options))
    return app


def _router(app: FastAPI, dependencies: Sequence[Dependency] = (), **place: Any) -> APIRouter:
    """Return a router with what the application would give to one that it includes."""
    return APIRouter(
        responses=app.router.responses, dependency_overrides_provider=app, dependencies=list(dependencies), **place
    )


def _take(app: FastAPI, router: APIRouter) -> None:
    # Not `include_router`: a router that is included looks for each request twice, which took a quarter of the time
    # between the server and the executor.
    app.router.routes.extend(router.routes)


def _move(app: FastAPI, router: APIRouter) -> None:
    """Move what FastAPI itself serves, which is the OpenAPI document, behind a router's dependencies."""
    own, app.router.routes[:] = list(app.router.routes), []
    for route in own:
        if isinstance(route, Route):
            lead_to(route, router, route.path)


def _checked(executors: Iterable[WorkflowExecutor[Any]]) -> list[WorkflowExecutor[Any]]:
    found = list(executors)
    for each in found:
        if not isinstance(each, WorkflowExecutor):
            raise DefinitionError(f"create_app takes WorkflowExecutors, found {type(each).__name__}")
    names = [each._definition.name for each in found]
    if not found:
        raise DefinitionError("create_app needs an executor at least")
    if twice := {name for name in names if names.count(name) > 1}:
        raise DefinitionError(f"create_app: there is more than one executor of workflow {min(twice)!r}")
    if taken := _RESERVED.intersection(names):
        raise DefinitionError(
            f"create_app: /{min(taken)} is a page of the application, so that workflow {min(taken)!r} cannot be served "
            "under its name; include create_router(executor) in an application of your own, under a prefix"
        )
    if any(each.store is not found[0].store for each in found):
        raise DefinitionError("create_app serves executors over one store; make an application for each store")
    return found


def _check_token(token: str) -> None:
    if not token.strip():
        raise DefinitionError("create_app: the token is empty, so that anybody could show it")
    if not (token.isascii() and token.isprintable() and token == token.strip()):
        raise DefinitionError(
            "create_app: no header could show this token; give printable ASCII without spaces around it"
        )


@asynccontextmanager
async def _open(store: Any) -> AsyncGenerator[None]:
    if not hasattr(store, "__aenter__") or getattr(store, "is_open", False):
        yield
        return
    async with store:
        yield


class _Wrapped:
    """Middleware that is a function from application to application."""

    def __init__(self, app: ASGIApp, *, around: Callable[[ASGIApp], ASGIApp]) -> None:
        self._app = around(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _add_health(router: APIRouter, store: Any) -> APIRouter:
    fine = openapi.record({"status": {"const": "ok"}})

    async def healthz() -> Response:
        """Say that the process is alive."""
        return Json({"status": "ok"})

    async def readyz() -> Response:
        """Say whether the store answers."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await store.load("statewright-readyz")
        except Exception as exc:  # noqa: BLE001 - whatever it is, the store did not answer
            _log.warning("the store does not answer: %s", type(exc).__name__)
            detail = "the store does not answer"
            return Problem(503, "StoreUnavailableError", "Not ready", detail, category="store")
        return Json({"status": "ok"})

    for endpoint, statuses in ((healthz, ()), (readyz, (503,))):
        path = f"/{endpoint.__name__}"
        router.add_api_route(
            path,
            endpoint,
            responses={200: openapi.answer("All is well.", fine), **openapi.problems(*statuses)},
            operation_id=endpoint.__name__,
            tags=["health"],
        )
        # Some load balancers ask with HEAD. It is a route of its own, so that the document names one operation only.
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    return router


def _add_console(router: APIRouter, executors: list[WorkflowExecutor[Any]], store: Any) -> None:
    try:
        from ..console import create_console  # noqa: PLC0415 - who serves no console needs none
    except ModuleNotFoundError as exc:
        if exc.name != "statewright.console":
            raise
        raise DefinitionError("this installation has no console (statewright.console): pass console=False") from exc

    async def to_console(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/console/")

    for path in ("/", "/console"):
        router.add_api_route(path, to_console, include_in_schema=False)
    lead_to(Mount("/console", create_console(executors, store)), router, "/console/{path:path}")


async def _http_problem(_: Request, exc: Exception) -> Response:
    """Answer with what a route, a dependency or the framework raised."""
    if not isinstance(exc, HTTPException):
        raise exc
    status = exc.status_code
    is_text = isinstance(exc.detail, str)
    detail = exc.detail if is_text else "see errors"
    facts = {} if is_text else {"errors": exc.detail}
    title, category = _HTTP.get(status, ("Not answered", "request"))
    return Problem(status, f"Http{status}", title, detail, category=category, facts=facts, headers=exc.headers)


_HTTP: Final = {
    401: ("Unauthorized", "access"),
    403: ("Forbidden", "access"),
    404: ("Not found", "not_found"),
    405: ("Method not allowed", "router"),
}


async def _unexpected(_: Request, __: Exception) -> Response:
    return unexpected()
