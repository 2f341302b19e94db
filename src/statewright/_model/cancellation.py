"""Telling a cancellation that somebody asked for from one out of the blue."""

from __future__ import annotations

import asyncio


def was_asked_to_stop() -> bool:
    """Return whether somebody cancelled the running task."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return True
    return task is None or task.cancelling() > 0
