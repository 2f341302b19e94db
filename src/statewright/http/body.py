"""Reading what was sent: JSON, in UTF-8, up to a size."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request

from .problem import Refused, invalid

_JSON: Final = re.compile(r"application/(json|[\w.!#$&^+-]+\+json)\s*(;.*)?", re.IGNORECASE | re.ASCII)
_TOO_DEEP: Final = "recursion limit"


async def read_payload(request: Request, most: int) -> Any:
    """Return the payload of a command; nothing stands for an empty one.

    Args:
        request: The request.
        most: Its body has so many bytes at most.

    Raises:
        Refused: 400 no JSON, 413 too large, 415 another type.
    """
    type = request.headers.get("content-type")
    if type is not None and not _JSON.fullmatch(type):
        raise invalid(415, "a payload is sent as application/json", "unsupported_type", title="Unsupported media type")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise invalid(
            415, "a payload is sent as it is, not compressed", "unsupported_type", title="Unsupported media type"
        )
    body = await _read(request, most)
    if not body:
        return {}
    if type is None:
        raise invalid(415, "a payload is sent as application/json", "unsupported_type", title="Unsupported media type")
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        # What the parser says is where and what was expected; it quotes nothing.
        found = "it is nested too deeply" if _TOO_DEEP in str(exc) else f"it is not JSON: {exc}"
        raise invalid(400, f"the payload cannot be read: {found}", "malformed_json", title="Malformed JSON") from None


async def _read(request: Request, most: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > most:
        raise _too_large(most)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise _too_large(most)
    except ClientDisconnect:
        raise invalid(400, "the request ended before its body", "incomplete_body") from None
    return bytes(body)


def _too_large(most: int) -> Refused:
    return invalid(413, f"a payload has {most} bytes at most", "too_large", title="Content too large")
