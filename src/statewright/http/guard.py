"""Who may come in: a token on every request, no request from other sites, and headers that a browser obeys."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import Problem
from .session import Sessions, to_session

IN_SESSION: Final = "statewright.session"
"""In the scope of a request: whether it came with the cookie of a session."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware that lets in who may come in.

    Args:
        app: What it guards.
        token: Has to be shown on every request; `None`: everybody may come in.
        is_local: Only requests to `localhost` or a loopback address are answered, so that no page on the web can reach
            in by a name of its own that points to this machine.
    """

    def __init__(self, app: ASGIApp, *, token: str | None = None, is_local: bool = False) -> None:
        self._app = app
        self._sessions = None if token is None else Sessions(token)
        self._is_local = is_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = await self._refuse(Request(scope, receive))
        answer = self._app if refusal is None else refusal
        await answer(scope, receive, _with_headers(send))

    async def _refuse(self, request: Request) -> Response | None:
        headers = request.headers
        if self._is_local and not _is_loopback(headers.get("host", "")):
            return _forbidden("this server answers to loopback names only; start it with a token for others")
        if request.method not in _SAFE and _is_from_elsewhere(headers):
            return _forbidden("a page of another site may change nothing here")
        if self._sessions is None:
            return None
        if (answer := await self._sessions.answer(request)) is not None:
            return answer
        return None if self._is_known(request, self._sessions) else _unknown(request)

    def _is_known(self, request: Request, sessions: Sessions) -> bool:
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return sessions.is_token(shown.strip())
        # The console offers an end to who has a session.
        request.scope[IN_SESSION] = sessions.is_open(request.headers)
        return bool(request.scope[IN_SESSION])


def _unknown(request: Request) -> Response:
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return to_session(request)
    detail = "show the token of this server: Authorization: Bearer ..."
    asked = {"www-authenticate": 'Bearer realm="statewright"'}
    return Problem(401, "Unauthorized", "Unauthorized", detail, category="access", headers=asked)


@lru_cache(maxsize=64)
def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _is_from_elsewhere(headers: Headers) -> bool:
    """Return whether a browser says that a page of another site sends this."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is not None and _place(origin) != headers.get("host", "").lower()


def _place(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _forbidden(detail: str) -> Problem:
    return Problem(403, "Forbidden", "Forbidden", detail, category="access")


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            given = {name.lower() for name, _ in headers}
            message = {**message, "headers": [*headers, *(each for each in _HEADERS if each[0] not in given)]}
        await send(message)

    return sending
