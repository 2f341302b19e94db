"""Who may come in: a token on every request, no request from other sites, and headers that a browser obeys."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import Problem

SESSION: Final = "/_/session"
"""Where a browser shows its token, and gets a cookie for it."""
COOKIE: Final = "statewright-session"
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
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MOST: Final = 4096
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Statewright: token</title>
<h1>Statewright</h1>
{notice}<form method="post">
<p><label for="token">Token</label>
<p><input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<p><button>Come in</button>
</form>
</html>
"""


class Guard:
    """ASGI middleware that lets in who may come in.

    Args:
        app: What it guards.
        token: Has to be shown on every request; `None`: everybody may come in.
        is_local: Only requests to a loopback name are answered, so that no page on the web can reach in by a name of
            its own that points to this machine.
    """

    def __init__(self, app: ASGIApp, *, token: str | None = None, is_local: bool = False) -> None:
        self._app = app
        self._token = None if token is None else _digest(token)
        self._cookie = "" if token is None else hmac.new(token.encode(), b"statewright console", "sha256").hexdigest()
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
        if self._is_local and _host(headers.get("host", "")) not in _LOOPBACK:
            return _forbidden("this server answers to loopback names only; start it with a token for others")
        if request.method not in _SAFE and _is_from_elsewhere(headers):
            return _forbidden("a page of another site may change nothing here")
        if self._token is None:
            return None
        if get_route_path(request.scope) == SESSION:
            return await self._session(request)
        if self._is_known(headers):
            return None
        return self._unknown(request)

    def _is_known(self, headers: Headers) -> bool:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_token(shown.strip())
        return hmac.compare_digest(_cookie(headers).encode(), self._cookie.encode())

    def _is_token(self, shown: str) -> bool:
        return self._token is not None and hmac.compare_digest(_digest(shown), self._token)

    def _unknown(self, request: Request) -> Response:
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(request.scope.get("root_path", "") + SESSION, 303)
        detail = "show the token of this server: Authorization: Bearer ..."
        asked = {"www-authenticate": 'Bearer realm="statewright"'}
        return Problem(401, "Unauthorized", "Unauthorized", detail, category="access", headers=asked)

    async def _session(self, request: Request) -> Response:
        if request.method in _SAFE:
            return HTMLResponse(_PAGE.format(notice=""), headers={"cache-control": "no-store"})
        if not self._is_token(await _shown_token(request)):
            notice = '<p role="alert">This is not the token of this server.</p>\n'
            return HTMLResponse(_PAGE.format(notice=notice), 401, {"cache-control": "no-store"})
        root = request.scope.get("root_path", "")
        response = RedirectResponse(f"{root}/", 303)
        is_secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, self._cookie, path=f"{root}/", httponly=True, samesite="strict", secure=is_secure)
        return response


def _digest(token: str) -> bytes:
    # Digests have one length, so that the comparison tells nothing of the token's.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value


async def _shown_token(request: Request) -> str:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST:
                return ""
    except ClientDisconnect:
        return ""
    return parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()


@lru_cache(maxsize=64)
def _host(sent: str) -> str | None:
    try:
        return urlsplit(f"//{sent}").hostname
    except ValueError:
        return None


def _is_from_elsewhere(headers: Headers) -> bool:
    """Return whether a browser says that a page of another site sends this."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


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
