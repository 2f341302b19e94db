"""Ways from a route, whose dependencies are asked first, to an application that knows of none."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send


def lead_to(app: ASGIApp, router: APIRouter, path: str) -> None:
    """Let an application answer under a path, after the dependencies of a router.

    Args:
        app: What answers; it sees the request as it came.
        router: Its dependencies say who may come in.
        path: The path in the router.
    """

    async def enter() -> Response:
        return _Passed(app)

    router.add_api_route(path, enter, methods=["GET", "HEAD"], include_in_schema=False)


class _Passed(Response):
    """An answer that an application gives."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
        if self.background is not None:  # what a dependency left to do
            await self.background()
