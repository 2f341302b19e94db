"""What callers on event loops ask of the store's threads, and how they are answered."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, Final

from ..._engine.ports import Outcome, SaveOptions
from ...errors import ExecutionError, StoreError
from .row import SaveRows


class Request:
    """Something that is answered on the event loop that it came from."""

    __slots__ = ("future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()


class Load(Request):
    """Answered with the row of a workflow, or `None`."""

    __slots__ = ("id",)

    def __init__(self, loop: asyncio.AbstractEventLoop, id: str) -> None:
        super().__init__(loop)
        self.id = id


class Recall(Request):
    """Answered with the row of an idempotency key, or `None`."""

    __slots__ = ("id", "key")

    def __init__(self, loop: asyncio.AbstractEventLoop, id: str, key: str) -> None:
        super().__init__(loop)
        self.id = id
        self.key = key


class Save(Request):
    """Answered with `None` once it is committed."""

    __slots__ = ("options", "rows")

    def __init__(self, loop: asyncio.AbstractEventLoop, options: SaveOptions, rows: SaveRows) -> None:
        self.loop = loop
        self.future = Outcome(loop=loop)
        self.options = options
        self.rows = rows


class Work(Request):
    """Answered with what a function returns, called with what the thread works on."""

    __slots__ = ("function",)

    def __init__(self, loop: asyncio.AbstractEventLoop, function: Callable[[Any], Any]) -> None:
        super().__init__(loop)
        self.function = function


def milestone() -> Future[None]:
    """Return a future that a thread completes, and that nobody who waits for it on a loop can cancel."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    return future


def closed(path: str) -> str:
    """Return what is said to a request that came too late."""
    return f"the store of {path!r} was closed; nothing was saved: open it with `async with store:` and try again"


Answer = tuple[Request, Any, ExecutionError | None]


class Answers:
    """Answers on their way to the loops: one wake-up for each loop, however many there are."""

    def __init__(self) -> None:
        self._given: list[Answer] = []

    def give(self, request: Request, value: Any) -> None:
        """Answer a request."""
        self._given.append((request, value, None))

    def refuse(self, request: Request, error: ExecutionError) -> None:
        """Answer a request with an error."""
        self._given.append((request, None, error))

    def post(self) -> None:
        """Send what was given since the last time."""
        if not self._given:
            return
        given, self._given = self._given, []
        first = given[0][0].loop
        if all(answer[0].loop is first for answer in given):
            _post(first, given)
            return
        for loop in {answer[0].loop for answer in given}:
            _post(loop, [answer for answer in given if answer[0].loop is loop])


def _post(loop: asyncio.AbstractEventLoop, given: list[Answer]) -> None:
    try:
        loop.call_soon_threadsafe(_settle, given)
    except RuntimeError:
        pass  # the loop is closed: nobody waits there any more


def _settle(given: list[Answer]) -> None:
    for request, value, error in given:
        future = request.future
        if future.done():  # its caller gave up
            continue
        if isinstance(future, Outcome):
            future.settle(error)
        elif error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


class _Close:
    """The last entry of an inbox."""


_CLOSE: Final = _Close()


class Inbox:
    """Requests on their way to one thread.

    Every request that was put in is answered, also while the thread ends: either by the thread, or, if it came too
    late, by the very call that put it in.
    """

    def __init__(self) -> None:
        # A C queue with one lock: the cheapest way to wake a thread that waits for several kinds of things.
        self._queue: queue.SimpleQueue[Request | _Close] = queue.SimpleQueue()
        self._reason: str | None = None

    def put(self, request: Request) -> None:
        """Put a request in; never blocks."""
        self._queue.put(request)
        if self._reason is not None:
            self._refuse_all(self._reason)

    def take(self) -> Iterator[Request | None]:
        """Wait for a request, and yield all that are there; `None` stands for the end."""
        entry = self._queue.get()
        while True:
            yield entry if isinstance(entry, Request) else None
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return

    def take_waiting(self) -> Iterator[Request | None]:
        """Yield what is there, without waiting."""
        return self.take() if self._queue.qsize() else iter(())

    def end(self) -> None:
        """Ask the thread to end after what is in already."""
        self._queue.put(_CLOSE)

    def refuse(self, reason: str) -> None:
        """Answer all that is in, and all that comes later, with a `StoreError`."""
        self._reason = reason
        self._refuse_all(reason)

    def replace(self, reason: str) -> None:
        """Refuse all that comes later, without a look at what is in: in a forked child that belongs to the parent."""
        self._queue = queue.SimpleQueue()
        self._reason = reason

    def _refuse_all(self, reason: str) -> None:
        answers = Answers()
        while True:
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                break
            if isinstance(entry, Request):
                answers.refuse(entry, StoreError(reason))
        answers.post()
