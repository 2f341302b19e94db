"""Telling a cancellation that somebody asked for from one out of the blue."""

from __future__ import annotations

import asyncio


def was_asked_to_stop() -> bool:
    """Return whether somebody cancelled the running task."""
    task = _running_task()
    return task is None or task.cancelling() > 0


def times_asked_to_stop() -> int:
    """Return how often the running task was cancelled, without what has been taken back."""
    task = _running_task()
    return 0 if task is None else task.cancelling()


def _running_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None  # no loop runs: whoever awaits us does so by other means
