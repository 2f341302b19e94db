"""Routes whose ids may hold anything: a slash that was percent-encoded does not divide."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any, Final
from urllib.parse import unquote

from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from .._model.address import WORDS

# Lone surrogates: no path that was sent as UTF-8 decodes to them.
_SLASH: Final = "\ud800"
_SPELLED: Final = "\ud801"


class IdRoute(APIRoute):
    """A route that is found by the path as it was sent, so that `%2F` belongs to the id."""

    @cached_property
    def _end(self) -> str:
        last = self.path_format.rpartition("/")[2]
        return "" if last.startswith("{") else last

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether the route serves a request, and what it found in the path."""
        if scope["type"] != "http":
            return super().matches(scope)
        # Most routes are not the one: what a path ends with tells them apart at once, and whatever comes before it.
        if not scope["path"].endswith(self._end):
            return Match.NONE, {}
        match, found = super().matches({**scope, "path": _divided(scope)})
        if "path_params" in found:
            found["path_params"] = {name: _decoded(value) for name, value in found["path_params"].items()}
        return match, found


def _divided(scope: Scope) -> str:
    """Return the path with only those slashes that divide it."""
    path: str = scope["path"]
    raw: bytes | None = scope.get("raw_path")
    return path if raw is None else _as_sent(path, raw)


@lru_cache(maxsize=256)
def _as_sent(path: str, raw: bytes) -> str:
    # Remembered, because each route of an application is asked in turn whether it serves the same request.
    sent = raw.partition(b"?")[0].decode("latin-1")
    if unquote(sent) != path:
        return path  # somebody rewrote the path, and left what was sent as it was
    return "/".join(map(_segment, sent.split("/")))


def _segment(sent: str) -> str:
    # Bytes that are no UTF-8 become lone surrogates, which no id may hold: they are refused with the id.
    text = unquote(sent, errors="surrogateescape")
    if text in WORDS and text != sent:
        return _SPELLED + text
    return text.replace("/", _SLASH)


def _decoded(value: Any) -> Any:
    return value.replace(_SLASH, "/").removeprefix(_SPELLED) if isinstance(value, str) else value
