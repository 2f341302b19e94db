"""The worker: what happens after a commit, by any number of processes."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Self

from .._model.cancellation import was_asked_for
from .._model.commit import new_id
from .._model.plain import flaw
from .._model.reactor import Reactors
from ..errors import DefinitionError, LeaseLostError, StoreError
from .backoff import pause
from .executor import WorkflowExecutor
from .ports import CommitLog, Fence, LeaseStore, Publisher, ReaderStore, TimerStore
from .publishing import PublisherRole
from .reactors import ReactorRole
from .role import Role, Toolbox
from .timers import TimerRole
from .watching import Watch, WorkerObserver

_log = logging.getLogger("statewright.worker")

_FIRST_BACKOFF: Final = timedelta(milliseconds=100)
_LAST_BACKOFF: Final = timedelta(seconds=30)
_LONGEST_NAME: Final = 200


class Worker:
    """Runs timers, delivers what reactors decide, and publishes commits.

    Any number of workers may run over one store, in any number of processes. Each role, the timers of a definition, a
    reactor or a publisher, is held by one worker at a time under a lease; a worker that was paused past its lease
    changes nothing when it wakes up.

    Args:
        store: The store, with timers, leases and positions.
        executors: Of the workflows whose timers and commands are executed, and whose events are decoded.
        reactors: What follows from events.
        publishers: Where commits are published to; one that is an async context manager is entered for as long as the
            worker works.
        start: Where a reactor or publisher begins that has no position yet, on a store that has commits: after a
            position (`0` for all of them), or `"now"`.
        clock: Judges whether timers are due, in the place of the store's clock; leases always use the store's.
        retries: How often a command is tried again before it becomes a dead letter. Failures of the store and lost
            races never count.
        backoff: The first pause before another try; doubled each time, at most five minutes, with jitter.
        lease: How long a role stays with a worker that has fallen silent.
        poll: How often the store is asked for news when it does not tell by itself.

    Raises:
        DefinitionError: The parts do not fit together.
    """

    def __init__(
        self,
        store: Any,
        executors: Iterable[WorkflowExecutor[Any]] = (),
        *,
        reactors: Reactors | None = None,
        publishers: Iterable[Publisher] = (),
        start: int | Literal["now"] | None = None,
        clock: Callable[[], datetime] | None = None,
        retries: int = 5,
        backoff: timedelta = timedelta(seconds=1),
        lease: timedelta = timedelta(seconds=15),
        poll: timedelta = timedelta(seconds=1),
    ) -> None:
        by_name = _check_executors(store, executors)
        _check_store(store)
        _check_start(start)
        _check_numbers(retries, {"backoff": backoff, "lease": lease, "poll": poll})
        self._store = store
        self._start: int | Literal["now"] | None = start
        self._lease = lease
        self._poll = poll
        self._owner = new_id()
        self._clock = clock
        self._watches: list[Watch] = []
        tools = Toolbox(store, by_name, clock, retries, backoff, self._acted)
        timers = [TimerRole(tools, name) for name in by_name]
        deciding = [ReactorRole(tools, reactor) for reactor in reactors or ()]
        self._publishers: list[Any] = list(publishers)
        publishing = [PublisherRole(tools, publisher) for publisher in self._publishers]
        self._roles: list[Role] = [*timers, *deciding, *publishing]
        self._readers = [*(role.name for role in deciding), *(role.name for role in publishing)]
        _check_readers(self._readers)
        self._fences: dict[str, Fence] = {}

    @property
    def store(self) -> Any:
        """The store."""
        return self._store

    @property
    def roles(self) -> tuple[str, ...]:
        """What it does: `timers:<definition>`, `reactor:<name>`, `publisher:<name>`."""
        return tuple(role.name for role in self._roles)

    def observe(self, observer: WorkerObserver, *, every: timedelta = timedelta(seconds=5)) -> Self:
        """Have somebody told what this worker does, and how far it is behind in the roles that it holds.

        ```python
        worker.observe(lambda statuses: print(*statuses))
        ```

        Args:
            observer: Called with a list of `RoleStatus`; with an empty one when the worker has stopped. One that raises
                is logged and changes nothing.
            every: How long to wait in between. `run_until_idle` tells once, at its end.

        Returns:
            The worker.

        Raises:
            DefinitionError: It cannot be called, or would be told without a pause.
        """
        if not callable(observer) or inspect.iscoroutinefunction(observer):
            raise DefinitionError(f"an observer of a worker is a synchronous function, found {observer!r}")
        if every <= timedelta():
            raise DefinitionError(f"every is a timedelta above zero, found {every!r}")
        self._watches.append(Watch(self._store, self._clock, observer, every))
        return self

    def _acted(self, role: str, count: int) -> None:
        for watch in self._watches:
            watch.note(role, count)

    # --- running ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled; then finish what is under way, and give the leases back.

        Raises:
            DefinitionError: A reactor or publisher has no position yet, and `start` is not given.
        """
        async with self._open_publishers():
            await self._patiently(self._prepare)
            await self._patiently(self._acquire)
            await self._serve_all()

    async def _serve_all(self) -> None:
        stopping = asyncio.Event()
        tasks = [asyncio.create_task(self._keep_leases(stopping))]
        tasks += [asyncio.create_task(self._serve(role, stopping)) for role in self._roles]
        tasks += [asyncio.create_task(watch.run(lambda: self._fences)) for watch in self._watches]
        try:
            await asyncio.gather(*tasks)
        finally:
            stopping.set()
            for task in tasks:
                if not task.cancelling():  # a second time would interrupt the step that it is finishing
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._release()

    async def run_until_idle(self) -> None:
        """Work until nothing is due now: neither later timers nor backoff are waited for.

        Roles that another worker holds are left to it.

        Raises:
            DefinitionError: A reactor or publisher has no position yet, and `start` is not given.
            StoreError: The store failed.
        """
        async with self._open_publishers():
            await self._prepare()
            try:
                while await self._step_all():
                    pass
            finally:
                await self._release()

    async def _step_all(self) -> bool:
        """Take one step in each role that is held; return whether there was anything to do."""
        await self._acquire()
        progressed = False
        for role in self._roles:
            if (fence := self._fences.get(role.name)) is not None:
                with contextlib.suppress(LeaseLostError):
                    progressed |= await role.step(fence)
        return progressed

    @contextlib.asynccontextmanager
    async def _open_publishers(self) -> AsyncGenerator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for publisher in self._publishers:
                if hasattr(publisher, "__aenter__"):
                    await stack.enter_async_context(publisher)
            yield

    async def _prepare(self) -> None:
        """Give each reader that has none a position."""
        store: ReaderStore = self._store
        for name in self._readers:
            if await store.reader_position(name) is not None:
                continue
            last = await store.last_position()
            if last and self._start is None:
                raise DefinitionError(
                    f"{name} has no position yet and the store has commits: say where it begins, "
                    'Worker(..., start=0) for all of them or start="now" for those to come'
                )
            await store.start_reader(name, last if self._start == "now" else self._start or 0)

    # --- leases ----------------------------------------------------------------------------------------------------

    async def _keep_leases(self, stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        valid_until = loop.time()
        while not stopping.is_set():
            asked = loop.time()
            try:
                await self._acquire()
                valid_until = asked + self._lease.total_seconds()
            except (StoreError, asyncio.CancelledError) as error:
                if was_asked_for(error):
                    raise
                _log.warning("leases could not be renewed", extra={"error": repr(error)})
                if loop.time() >= valid_until:
                    self._fences = {}
            await asyncio.sleep(self._lease.total_seconds() / 3)

    async def _acquire(self) -> None:
        store: LeaseStore = self._store
        names = [role.name for role in self._roles]
        fences = await store.acquire_leases(names, self._owner, self._lease)
        self._fences = {fence.name: fence for fence in fences}

    async def _release(self) -> None:
        store: LeaseStore = self._store
        for watch in self._watches:
            await watch.tell(self._fences)
        fences, self._fences = list(self._fences.values()), {}
        with contextlib.suppress(StoreError):  # they run out by themselves
            await store.release_leases(fences)
        for watch in self._watches:
            watch.end()

    # --- one role --------------------------------------------------------------------------------------------------

    async def _serve(self, role: Role, stopping: asyncio.Event) -> None:
        failures = 0
        news = _News(self._store, self._poll)
        try:
            while not stopping.is_set():
                fence = self._fences.get(role.name)
                if fence is None:
                    await asyncio.sleep(min(self._poll, self._lease / 3).total_seconds())
                    continue
                try:
                    news.listen()
                    if not await _finished(role.step(fence)):
                        await news.wait(await role.until_due())
                    failures = 0
                except LeaseLostError:
                    if self._fences.get(role.name) == fence:
                        del self._fences[role.name]
                except (StoreError, asyncio.CancelledError) as error:
                    failures += 1
                    await _wait_after(error, role.name, failures)
        finally:
            await news.stop()

    async def _patiently(self, prepare: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            try:
                await prepare()
            except (StoreError, asyncio.CancelledError) as error:
                failures += 1
                await _wait_after(error, "start", failures)
            else:
                return


async def _wait_after(error: BaseException, role: str, failures: int) -> None:
    """Let some time pass after a failure of the store; a cancellation that somebody asked for goes on its way."""
    if was_asked_for(error):
        raise error
    _log.warning("the store failed a worker", extra={"role": role, "error": repr(error)})
    await asyncio.sleep(pause(_FIRST_BACKOFF, failures, _LAST_BACKOFF).total_seconds())


class _News:
    """Waits for changes without missing one: it listens from before a step on.

    Args:
        store: Says when something was saved.
        poll: How long to wait for it at most.
    """

    def __init__(self, store: ReaderStore, poll: timedelta) -> None:
        self._store = store
        self._poll = poll
        self._waiting: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Begin to listen, unless it has begun and heard nothing since."""
        if self._waiting is None or self._waiting.done():
            self._waiting = asyncio.create_task(self._store.wait_for_change(self._poll))

    async def wait(self, due: timedelta | None) -> None:
        """Wait for a change since `listen`, until something is due, or for the length of a poll.

        Raises:
            StoreError: The store failed.
        """
        if self._waiting is None:
            return
        seconds = None if due is None else max(due.total_seconds(), 0.001)
        await asyncio.wait([self._waiting], timeout=seconds)
        if self._waiting.done():
            await self._waiting

    async def stop(self) -> None:
        """Listen no more."""
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)


async def _finished(step: Any) -> bool:
    """Take a step to its end, even when the worker is stopped in the middle of it."""
    task = asyncio.ensure_future(step)
    try:
        return bool(await asyncio.shield(task))
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is not None:
            _log.warning("a worker's last step failed", extra={"error": str(task.exception())})
        raise


def _check_executors(store: Any, executors: Any) -> dict[str, WorkflowExecutor[Any]]:
    if not isinstance(executors, Iterable):
        raise DefinitionError(f"a worker takes a list of executors, found {type(executors).__name__}")
    by_name: dict[str, WorkflowExecutor[Any]] = {}
    for executor in executors:
        if not isinstance(executor, WorkflowExecutor):
            raise DefinitionError(f"a worker takes executors, found {type(executor).__name__}")
        name = executor._definition.name
        if executor.store is not store:
            raise DefinitionError(f"the executor of workflow {name!r} uses another store than its worker")
        if name in by_name:
            raise DefinitionError(f"two executors of a worker serve workflow {name!r}")
        by_name[name] = executor
    return by_name


def _check_store(store: Any) -> None:
    needed: Collection[type[Any]] = (CommitLog, TimerStore, LeaseStore, ReaderStore)
    missing = [protocol.__name__ for protocol in needed if not isinstance(store, protocol)]
    if missing:
        raise DefinitionError(f"store {type(store).__name__} cannot serve a worker: it lacks {', '.join(missing)}")


def _check_start(start: Any) -> None:
    if start is None or start == "now" or (type(start) is int and start >= 0):
        return
    raise DefinitionError(f'start is a position from 0 or "now", found {start!r}')


def _check_numbers(retries: Any, lengths: Mapping[str, Any]) -> None:
    if type(retries) is not int or retries < 0:
        raise DefinitionError(f"retries is an integer from 0, found {retries!r}")
    for name, length in lengths.items():
        least = "zero or more" if name == "backoff" else "above zero"
        if not isinstance(length, timedelta) or length < timedelta() or (length == timedelta() and name != "backoff"):
            raise DefinitionError(f"{name} is a timedelta {least}, found {length!r}")


def _check_readers(readers: Sequence[str]) -> None:
    if len(set(readers)) < len(readers):
        raise DefinitionError(f"two readers share a name: {', '.join(sorted(readers))}")
    for reader in readers:
        kind, _, name = reader.partition(":")
        if not 1 <= len(name) <= _LONGEST_NAME or flaw(name):
            what = f"1 to {_LONGEST_NAME} characters without NUL"
            raise DefinitionError(f"a {kind} has a name of {what}, found {name!r}")
