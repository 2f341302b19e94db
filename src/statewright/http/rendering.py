"""Events of streams as bytes, made once for all who watch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final

from .view import to_json

_KEPT: Final = 1024 * 1024
"""Bytes of the latest events that are at hand; older ones are made anew."""
_CHUNK: Final = 64 * 1024
"""Events are sent together up to so many bytes: a reader who is behind costs few writes, and none is large."""


def event(kind: str, id: int, body: Any) -> bytes:
    """Return one server-sent event; JSON text has no line breaks, so that its data is one line."""
    return f"id: {id}\nevent: {kind}\ndata: {to_json(body)}\n\n".encode()


def chunks(events: Iterable[bytes]) -> Iterator[bytes]:
    """Yield events joined, in order."""
    waiting: list[bytes] = []
    size = 0
    for each in events:
        if waiting and size + len(each) > _CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
        waiting.append(each)
        size += len(each)
    if waiting:
        yield b"".join(waiting)


class Rendering:
    """Makes each event once: many watch, and to read and write what they get takes longer than to send it.

    Args:
        most: Bytes that are kept.
    """

    def __init__(self, most: int = _KEPT) -> None:
        self._most = most
        self._kept: dict[str, bytes] = {}
        self._size = 0
        self._making: dict[str, asyncio.Task[bytes | None]] = {}

    def get(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Return an event, made now if it is not at hand."""
        found = self._kept.get(key)
        if found is None:
            found = make()
            self._keep(key, found)
        return found

    async def read(self, key: str, make: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        """Return an event that takes a look into the store to be made; `None` is not kept.

        Whoever asks for the same one meanwhile waits for the same look.
        """
        if (found := self._kept.get(key)) is not None:
            return found
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.ensure_future(self._make(key, make))
            task.add_done_callback(_looked_at)
        # Whoever goes away takes nothing from the others.
        return await asyncio.shield(task)

    async def _make(self, key: str, make: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        try:
            made = await make()
            if made is not None:
                self._keep(key, made)
            return made
        finally:
            del self._making[key]

    def _keep(self, key: str, made: bytes) -> None:
        self._kept[key] = made
        self._size += len(made)
        while self._size > self._most:
            oldest = next(iter(self._kept))
            self._size -= len(self._kept.pop(oldest))


def _looked_at(task: asyncio.Task[bytes | None]) -> None:
    if not task.cancelled():
        task.exception()  # where everybody has gone away, nobody is left to be told
