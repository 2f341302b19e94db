"""Coroutines run from synchronous tests, inside a running event loop or not."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def new_runner() -> asyncio.Runner:
    """Return a runner whose loop does not become the thread's own: the test's framework may have set one."""
    return asyncio.Runner(loop_factory=asyncio.new_event_loop)


def apart(act: Callable[[], T]) -> T:
    """Call a function where it may run an event loop: here, or on a thread of its own if one is running here.

    The thread has this one's context variables.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return act()
    outcome: Future[T] = Future()
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(_settle, outcome, act), name="statewright-testing")
    thread.start()
    thread.join()
    return outcome.result()


def _settle(outcome: Future[T], act: Callable[[], T]) -> None:
    try:
        outcome.set_result(act())
    except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
        outcome.set_exception(error)
