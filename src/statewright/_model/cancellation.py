"""Telling a cancellation that somebody asked for from one out of the blue."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def was_asked_to_stop() -> bool:
    """Return whether somebody cancelled the running task."""
    task = _running_task()
    return task is None or task.cancelling() > 0


def was_asked_for(raised: BaseException) -> bool:
    """Return whether what was raised is a cancellation of the running task that somebody asked for."""
    return isinstance(raised, asyncio.CancelledError) and was_asked_to_stop()


def times_asked_to_stop() -> int:
    """Return how often the running task was cancelled, without what has been taken back."""
    task = _running_task()
    return 0 if task is None else task.cancelling()


async def to_its_end(doing: Coroutine[Any, Any, T]) -> T:
    """Do something to its end, even when the running task is cancelled meanwhile; that is raised afterwards."""
    task = asyncio.ensure_future(doing)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # nobody is left to be told
        raise cancelled
    return task.result()


def _running_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None  # no loop runs: whoever awaits us does so by other means
