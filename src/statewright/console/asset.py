"""The files of the console: its styles and scripts, read once, known by their contents."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    body: bytes
    media_type: str
    etag: str


@cache
def assets() -> dict[str, Asset]:
    """Return all files by their names."""
    found: dict[str, Asset] = {}
    for file in files("statewright.console").joinpath("assets").iterdir():
        media_type = _TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            body = file.read_bytes()
            found[file.name] = Asset(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:24]}"')
    return found


async def serve_asset(request: Request) -> Response:
    """Answer with a file, or with 304 if the browser has it."""
    asset = assets().get(request.path_params["file"])
    if asset is None:
        return Response("Not found", status_code=404, media_type="text/plain")
    # Asked for each time, and sent only when it has changed: a new release shows at once.
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
    known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if known & {asset.etag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)
