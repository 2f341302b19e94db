"""The executor's surface for synchronous code."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

from .._model.commit import WorkflowCommit
from .._model.parameters import WorkflowT
from .._model.result import Failure, Success
from .._model.workflow import Workflow
from ..errors import DomainError

if TYPE_CHECKING:
    from .executor import WorkflowExecutor

S = TypeVar("S")
C = TypeVar("C")
E = TypeVar("E")
R = TypeVar("R", bound=DomainError)
T = TypeVar("T")
Callback: TypeAlias = Callable[[], object]


class SyncExecutor(Generic[WorkflowT]):
    """An executor whose methods block; made by `executor.sync()`, usable from any number of threads."""

    def __init__(self, executor: WorkflowExecutor[WorkflowT], thread: LoopThread) -> None:
        self._executor = executor
        self._thread = thread

    def execute(
        self: SyncExecutor[Workflow[Any, C, E, R]],
        id: str,
        command: C | Mapping[str, Any],
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Success[WorkflowT, E] | Failure[R]:
        """As `WorkflowExecutor.execute`."""
        inner = cast("Any", self._executor)
        calling = inner.execute(
            id,
            command,
            expected_version=expected_version,
            idempotency_key=idempotency_key,
            metadata=metadata,
        )
        return cast("Success[WorkflowT, E] | Failure[R]", self._thread.run(calling, "execute"))

    def create(
        self: SyncExecutor[Workflow[S, Any, E, R]], id: str, data: S, *, metadata: Mapping[str, Any] | None = None
    ) -> Success[WorkflowT, E] | Failure[R]:
        """As `WorkflowExecutor.create`."""
        inner = cast("Any", self._executor)
        calling = inner.create(id, data, metadata=metadata)
        return cast("Success[WorkflowT, E] | Failure[R]", self._thread.run(calling, "create"))

    def preview(
        self: SyncExecutor[Workflow[Any, C, E, R]],
        id: str,
        command: C | Mapping[str, Any],
        *,
        expected_version: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Success[WorkflowT, E] | Failure[R]:
        """As `WorkflowExecutor.preview`."""
        inner = cast("Any", self._executor)
        calling = inner.preview(id, command, expected_version=expected_version, metadata=metadata)
        return cast("Success[WorkflowT, E] | Failure[R]", self._thread.run(calling, "preview"))

    def get(self, id: str) -> WorkflowT | None:
        """As `WorkflowExecutor.get`."""
        return self._thread.run(self._executor.get(id), "get")

    def at(self, id: str, version: int) -> WorkflowT | None:
        """As `WorkflowExecutor.at`."""
        return self._thread.run(self._executor.at(id, version), "at")

    def history(
        self: SyncExecutor[Workflow[Any, Any, E, Any]], id: str, *, after: int = 0, limit: int | None = None
    ) -> list[WorkflowCommit[E]]:
        """As `WorkflowExecutor.history`."""
        inner = cast("Any", self._executor)
        calling = inner.history(id, after=after, limit=limit)
        return cast("list[WorkflowCommit[E]]", self._thread.run(calling, "history"))

    def available_commands(self, id: str) -> dict[str, dict[str, Any]]:
        """As `WorkflowExecutor.available_commands`."""
        return self._thread.run(self._executor.available_commands(id), "available_commands")

    def wait_for(self, result: Success[Any, Any], by: Iterable[str], *, timeout: timedelta) -> bool:
        """As `WorkflowExecutor.wait_for`."""
        return self._thread.run(self._executor.wait_for(result, by, timeout=timeout), "wait_for")

    def forget(self, id: str) -> bool:
        """As `WorkflowExecutor.forget`."""
        return self._thread.run(self._executor.forget(id), "forget")


@contextmanager
def open_sync(executor: WorkflowExecutor[WorkflowT]) -> Generator[SyncExecutor[WorkflowT]]:
    """Yield an executor's blocking surface; the store is open for as long.

    At the end of the block calls of other threads are waited for; if it ends with an exception they are cancelled.
    """
    if _is_in_loop():
        raise RuntimeError(
            "sync() is for code without an event loop, and one runs on this thread: `await` the executor's own methods"
        )
    store: Any = executor.store
    thread = LoopThread()
    # Whoever else is inside it may leave before we do; a store that `setup` alone has opened is not ours to close.
    opens = hasattr(store, "__aenter__") and (
        not getattr(store, "is_open", False) or getattr(store, "is_entered", False)
    )
    try:
        if opens:
            thread.run(store.__aenter__(), "sync")
        try:
            yield SyncExecutor(executor, thread)
        except BaseException:
            thread.finish(cancels=True)
            raise
        else:
            thread.finish(cancels=False)
        finally:
            if opens:
                thread.close(store)
    finally:
        thread.stop()


class LoopThread:
    """A thread that runs an event loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="statewright-sync", daemon=True)
        self._lock = threading.Lock()
        self._is_finished = False
        self._calls: set[asyncio.Task[Any]] = set()
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        while True:
            try:
                self._loop.run_forever()
            except (KeyboardInterrupt, SystemExit):
                continue  # a handler raised it: it is its caller's, who gets it, and not the end of this thread
            return

    def run(self, calling: Coroutine[Any, Any, T], method: str) -> T:
        """Run a coroutine on the loop, in the caller's context, and return what it returns.

        Raises:
            RuntimeError: From a running event loop's thread, or after the end of the block.
        """
        try:
            outcome, cancel = self._begin(calling, method)
        except RuntimeError:
            calling.close()
            raise
        try:
            return outcome.result()
        except concurrent.futures.CancelledError:
            raise RuntimeError(_ENDED.format(method)) from None
        except (KeyboardInterrupt, SystemExit):
            self._loop.call_soon_threadsafe(cancel)
            raise

    def _begin(self, calling: Coroutine[Any, Any, T], method: str) -> tuple[concurrent.futures.Future[T], Callback]:
        if _is_in_loop():
            raise RuntimeError(
                f"{method}() of a sync executor would block the event loop that runs on this thread; "
                f"there, use the executor itself: `await executor.{method}(...)`"
            )
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        context = contextvars.copy_context()
        started: list[asyncio.Task[T]] = []

        def start() -> None:
            task = self._loop.create_task(calling, context=context)
            started.append(task)
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
            task.add_done_callback(lambda done: _pass_on(done, outcome))

        with self._lock:
            if self._is_finished:
                raise RuntimeError(_ENDED.format(method))
            self._loop.call_soon_threadsafe(start)
        return outcome, lambda: [task.cancel() for task in started]

    def finish(self, *, cancels: bool) -> None:
        """Let nobody in any more, and wait until the calls that have begun have ended.

        Args:
            cancels: Cancel them.
        """
        with self._lock:
            self._is_finished = True
        self._complete(self._end_calls(cancels=cancels))

    def close(self, store: Any) -> None:
        """Close a store that was opened here."""
        self._complete(store.__aexit__(None, None, None))

    def stop(self) -> None:
        """End the loop and its thread, after what still runs has been cancelled."""
        with self._lock:
            self._is_finished = True
        self._complete(self._wind_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _complete(self, ending: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(ending, self._loop).result()

    async def _end_calls(self, *, cancels: bool) -> None:
        calls = list(self._calls)
        for task in calls if cancels else ():
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _wind_up(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()


_ENDED = "{}: this executor's `with executor.sync()` block has ended"


def _pass_on(done: asyncio.Task[T], outcome: concurrent.futures.Future[T]) -> None:
    if done.cancelled():
        outcome.set_exception(concurrent.futures.CancelledError())
    elif (error := done.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(done.result())


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
