"""A browser shows the token once, on a page of its own, and gets a cookie that lasts for a working day."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

SESSION: Final = "/_/session"
"""Where a browser shows the token."""
END: Final = "/_/session/end"
"""Where it gives its cookie back, by POST."""
COOKIE: Final = "statewright-session"
LIFE: Final = 12 * 3600
"""Seconds after which a browser is asked again."""

_MOST: Final = 4096
_SAFE: Final = frozenset({"GET", "HEAD"})
_FILES: Final = {
    f"{SESSION}.{kind}": ((files("statewright.http") / f"session.{kind}").read_bytes(), media_type)
    for kind, media_type in (("css", "text/css"), ("svg", "image/svg+xml"))
}
"""What the page is made of: open to everybody, as the page is."""
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Statewright: token</title>
<link rel="icon" href="{files}.svg" type="image/svg+xml">
<link rel="stylesheet" href="{files}.css">
</head>
<body>
<main>
<img src="{files}.svg" alt="" width="40" height="40">
<h1>Statewright</h1>
<p class="soft">This server asks for its token.</p>
{notice}<form method="post">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus{invalid}>
<button>Come in</button>
</form>
</main>
</body>
</html>
"""


class Sessions:
    """The sessions of browsers under one token. The server keeps none: a cookie says itself how long it is good.

    Args:
        token: What has to be shown.
        clock: Returns the present, in seconds since 1970.
    """

    def __init__(self, token: str, clock: Callable[[], float] = time.time) -> None:
        self._token = _digest(token)
        self._key = token.encode("utf-8", "surrogateescape")
        self._clock = clock

    def is_token(self, shown: str) -> bool:
        """Return whether this is the token."""
        return hmac.compare_digest(_digest(shown), self._token)

    def is_open(self, headers: Headers) -> bool:
        """Return whether a request comes with a cookie that is still good."""
        return any(map(self._is_good, _cookies(headers)))

    def _is_good(self, cookie: str) -> bool:
        end, _, seal = cookie.partition(".")
        if not (end.isascii() and end.isdecimal() and len(end) <= len(str(2**53))):
            return False
        return hmac.compare_digest(seal.encode(), self._seal(end).encode()) and int(end) > self._clock()

    async def answer(self, request: Request) -> Response | None:
        """Answer a request for one of the pages around a session; `None` for any other."""
        path, root = _path(request.scope), request.scope.get("root_path", "")
        if path in _FILES and request.method in _SAFE:
            body, media_type = _FILES[path]
            return Response(body, media_type=media_type, headers={"cache-control": "public, max-age=3600"})
        if path == END and request.method == "POST":
            return self._end(root)
        if path != SESSION:
            return None
        if request.method in _SAFE:
            return _page(root)
        return self._begin(request, root) if self.is_token(await _shown(request)) else _page(root, is_wrong=True)

    def _begin(self, request: Request, root: str) -> Response:
        response = RedirectResponse(_next(request) or f"{root}/", 303)
        end = str(int(self._clock()) + LIFE)
        response.set_cookie(
            COOKIE,
            f"{end}.{self._seal(end)}",
            max_age=LIFE,
            path=f"{root}/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    def _end(self, root: str) -> Response:
        response = RedirectResponse(f"{root}{SESSION}", 303)
        response.delete_cookie(COOKIE, path=f"{root}/", httponly=True, samesite="strict")
        return response

    def _seal(self, end: str) -> str:
        return hmac.new(self._key, b"statewright session until " + end.encode(), "sha256").hexdigest()


def to_session(request: Request) -> Response:
    """Send a browser to the page that asks for the token, and from there back to where it wanted to go."""
    root = request.scope.get("root_path", "")
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    query = "" if wanted == f"{root}/" else f"?next={quote(wanted, safe='')}"
    return RedirectResponse(f"{root}{SESSION}{query}", 303)


def _path(scope: Scope) -> str:
    """Return the path without the prefix that a proxy takes off."""
    path: str = scope["path"]
    root = scope.get("root_path", "")
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def _page(root: str, *, is_wrong: bool = False) -> Response:
    notice = '<p role="alert">This is not the token of this server.</p>\n' if is_wrong else ""
    invalid = ' aria-invalid="true"' if is_wrong else ""
    page = _PAGE.format(files=f"{quote(root)}{SESSION}", notice=notice, invalid=invalid)
    return HTMLResponse(page, 401 if is_wrong else 200, {"cache-control": "no-store"})


def _next(request: Request) -> str | None:
    """Return where a browser wanted to go, if that is a path of this server."""
    wanted = request.query_params.get("next", "")
    is_path = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if is_path else None


def _digest(token: str) -> bytes:
    # Digests have one length, so that the comparison tells nothing of the token's.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _cookies(headers: Headers) -> Iterator[str]:
    """Yield each cookie of ours; there are several where another prefix of this server, or its domain, set one."""
    # Not `http.cookies`: at the first cookie of somebody else's that it cannot read, it forgets all others.
    for header in headers.getlist("cookie"):
        for pair in header.split(";"):
            name, _, value = pair.partition("=")
            if name.strip() == COOKIE:
                yield value.strip()


async def _shown(request: Request) -> str:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST:
                return ""
    except ClientDisconnect:
        return ""
    return parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
