"""Watching a workflow over connections that break."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any, Final

import httpx2

from ..errors import StoreUnavailableError
from .answer import Reader
from .link import FAILURES, Link, _may_pass

_TIMES: Final = httpx2.Timeout(10.0, read=60.0)
"""A server gives signs of life far more often than this."""


async def watch(link: Link, reader: Reader, path: str) -> AsyncGenerator[Any]:
    """Yield a workflow as it is, and each new version.

    Raises:
        ExecutionError: The server refuses, or could never be reached.
    """
    last: int | None = None
    tries = 0
    while True:
        try:
            async for version, workflow in _connected(link, reader, path, last):
                tries = 0
                if last is None or version > last:
                    last = version
                    yield workflow
        except FAILURES as exc:
            if last is None and tries >= link.retries:
                raise StoreUnavailableError("the server cannot be reached") from exc
        await link.pause(tries)
        tries += 1


async def _connected(link: Link, reader: Reader, path: str, last: int | None) -> AsyncGenerator[tuple[int, Any]]:
    """Yield what comes over one connection, until it breaks."""
    headers = {"accept": "text/event-stream", **({} if last is None else {"last-event-id": str(last)})}
    async with link.client.stream("GET", path, headers=headers, timeout=_TIMES) as response:
        if not response.is_success:
            await response.aread()
            if _may_pass(response):
                raise httpx2.RemoteProtocolError(f"status {response.status_code}", request=response.request)
            raise reader.error(response)
        async for event in httpx2.EventSource(response, max_event_size=None):
            if event.data:
                yield int(event.id), reader.moment(json.loads(event.data))
