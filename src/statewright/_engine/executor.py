"""Load, decide, save: the executor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, cast

from .._model.cancellation import to_its_end
from .._model.commit import NO_METADATA, RecordedMessage, WorkflowCommit
from .._model.metadata import Metadata
from .._model.middleware import Chain, Middleware, check_middleware, compose
from .._model.observer import Observer, check_observer, tell
from .._model.parameters import WorkflowT
from .._model.result import Failure, Result, Success
from .._model.router import WorkflowRouter, record_command
from .._model.snapshot import StoredWorkflow, WorkflowSnapshot
from .._model.workflow import Workflow, check_id
from ..errors import (
    ConcurrencyConflictError,
    DefinitionError,
    DomainError,
    InvalidDataError,
    Issue,
    RestoreError,
    RoutingError,
    StoreError,
    UnexpectedError,
    settle,
    unsupported,
)
from .attempt import Attempt, Decided, Parts
from .fold import Call, Lapsed, Standing
from .lane import Lane
from .lanes import lanes_of
from .nesting import executing, is_reentrant
from .ports import DueTimer, ErasingStore, Fence, HistoryStore, StoreAdapter
from .reading import check_stored, read
from .request import Request, check_version, read_delivery, read_request
from .restore import Restorer
from .waiting import wait_until_passed

if TYPE_CHECKING:
    from .._model.migration import Migrations
    from .sync import SyncExecutor

S = TypeVar("S")
C = TypeVar("C")
E = TypeVar("E")
R = TypeVar("R", bound=DomainError)
P = TypeVar("P")


_UNLIMITED: Final = 1 << 62
"""Retries of a command that a worker delivers: a lost race never counts against it."""


class WorkflowExecutor(Generic[WorkflowT]):
    """Loads a workflow, lets the router decide a command on it, and saves what was decided.

    Every save is a compare-and-swap, so that no update is lost, however many callers, processes and crashes there are.

    Args:
        router: Knows the handlers.
        store: Keeps the workflows; anything with `load` and `save`.
        retries: How often a command is decided again after a lost race.
        migrations: Bring snapshots of older model versions up to date.

    Raises:
        DefinitionError: The router lacks its dependencies, or the store is none.
        MigrationError: The chain of migrations is broken.
    """

    def __init__(
        self,
        router: WorkflowRouter[WorkflowT, Any],
        store: StoreAdapter,
        *,
        retries: int = 3,
        migrations: Migrations[Any] | None = None,
    ) -> None:
        _check_parts(router, store, retries)
        self._router: WorkflowRouter[Any, Any] = router
        self._store = store
        self._lanes = lanes_of(store)
        self._retries = retries
        self._definition = router._definition
        self._workflow: type[Workflow[Any, Any, Any, Any]] = router._workflow
        self._restorer = Restorer(self._workflow, migrations)
        self._middleware: list[Middleware] = []
        self._observers: list[Observer] = []
        self._chain: Chain | None = None

    @property
    def router(self) -> WorkflowRouter[WorkflowT, Any]:
        """The router."""
        return self._router

    @property
    def store(self) -> StoreAdapter:
        """The store."""
        return self._store

    def use(self, middleware: Middleware) -> Self:
        """Run a middleware after the load and before the save; the first added is the outermost.

        Args:
            middleware: `async def middleware(ctx: Execution, call_next) -> Success | Failure`.

        Raises:
            DefinitionError: Not a middleware.
        """
        check_middleware(middleware, f"executor of workflow {self._definition.name!r}")
        self._middleware.append(middleware)
        self._chain = compose(self._middleware, Attempt.decide)
        return self

    def observe(self, observer: Observer) -> Self:
        """Tell an observer what happens; the router's observers are told, too.

        Raises:
            DefinitionError: Not an observer, or one with an asynchronous method.
        """
        check_observer(observer, f"executor of workflow {self._definition.name!r}")
        self._observers.append(observer)
        return self

    def _all_observers(self) -> Sequence[Observer]:
        if not self._observers and not self._router._observers:
            return ()
        return (*self._router._observers, *self._observers)

    # --- commands --------------------------------------------------------------------------------------------------

    async def execute(
        self: WorkflowExecutor[Workflow[Any, C, E, R]],
        id: str,
        command: C | Mapping[str, Any],
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Success[WorkflowT, E] | Failure[R]:
        """Decide a command on a stored workflow and save the outcome, durably, before answering.

        Args:
            id: The workflow, 1 to 255 characters.
            command: An instance, or `{"type": stored name, "payload": stored form}`.
            expected_version: Refuse if the workflow is not at this version; 0: it must not exist.
            idempotency_key: The same key and command again is answered with the first result.
            metadata: JSON-compatible facts that are kept with the commit, such as who asked.

        Returns:
            A `Success` with the workflow as it was saved, or a `Failure`, with which nothing was saved unless its
            error is an `OutcomeUnknownError`. It never raises an `Exception`.
        """
        executor: WorkflowExecutor[Any] = self
        result: Success[WorkflowT, E] | Failure[R]
        try:
            request = read_request(
                executor._definition, id, command, expected_version, idempotency_key, metadata, executor._lanes
            )
            result = await executor._run(request)
        except Exception as raised:  # noqa: BLE001 - no call raises an Exception
            result = executor._gave_up(raised, command)
        return result

    async def create(
        self: WorkflowExecutor[Workflow[S, Any, E, R]],
        id: str,
        data: S,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> Success[WorkflowT, E] | Failure[R]:
        """Store an initial state without any handler or middleware: for imports and tests.

        Args:
            id: The workflow.
            data: A value of a declared state.
            metadata: As for `execute`.

        Returns:
            A `Success`, or a `Failure`: a `ConcurrencyConflictError` if the workflow exists. Never raises an
            `Exception`.
        """
        executor: WorkflowExecutor[Any] = self
        result: Success[WorkflowT, E] | Failure[R]
        try:
            initial = executor._workflow.create(id, data)
            result = await executor._run(Request.creation(id, initial, metadata, executor._definition.name))
        except Exception as raised:  # noqa: BLE001 - no call raises an Exception
            result = executor._gave_up(raised, None)
        return result

    async def preview(
        self: WorkflowExecutor[Workflow[Any, C, E, R]],
        id: str,
        command: C | Mapping[str, Any],
        *,
        expected_version: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Success[WorkflowT, E] | Failure[R]:
        """Decide a command as `execute` would now, and save nothing.

        Middleware and handler run; observers hear nothing, and nothing is tried again. Never raises an `Exception`.
        """
        executor = cast("WorkflowExecutor[Any]", self)
        result: Result
        try:
            request = read_request(executor._definition, id, command, expected_version, None, metadata, executor._lanes)
            standing = Standing.of(await executor._load(id), 0)
            decided = await Attempt(executor._parts(), None, request, standing, ()).run()
            result = decided.answer
        except Exception as raised:  # noqa: BLE001 - no call raises an Exception
            result = Failure(executor._failure(raised))
        return cast("Success[WorkflowT, E] | Failure[R]", result)

    def _gave_up(self, raised: Exception, command: Any) -> Any:
        """Return the answer to a call that came to nothing, and let it be known."""
        error = self._failure(raised)
        tell(self._all_observers(), "failed", error, None, command)
        return Failure(error)

    def _failure(self, raised: Exception) -> Any:
        """Return the error that a call is answered with for what was raised on the way."""
        if isinstance(raised, InvalidDataError | RoutingError | StoreError | UnexpectedError):
            settle(raised)
            return raised
        error = UnexpectedError(f"workflow {self._definition.name!r}: the command could not be executed")
        error.__cause__ = raised
        return error

    def _parts(self) -> Parts:
        return self._router, self._restorer, self._chain, self._lanes

    async def _run(self, request: Request) -> Any:
        """Take a request through the lane of its workflow."""
        if executing.get() is not None and is_reentrant(self._lanes, request.id):
            raise self._reentry(request.id)
        lane = self._lanes.enter(request.id)
        retries = self._retries if request.fence is None else _UNLIMITED
        call = lane.join(retries, request.expected_version, request.fence)
        parts = self._parts()
        observers = self._all_observers()
        if observers:
            call.heir = partial(self._conclude, call=call, request=request, observers=observers)
        while True:
            try:
                verdict = await self._take_turn(lane, call, request, parts, observers)
            except Lapsed:
                self._tell_lapsed(call, observers)
            else:
                return self._conclude(verdict, call, request, observers)

    @staticmethod
    async def _take_turn(lane: Lane, call: Call, request: Request, parts: Parts, observers: Sequence[Observer]) -> Any:
        """Wait for the turn, decide, hand over what was decided; return the answer."""
        try:
            standing = await lane.turn(call)
            decided = lane.confirmed(call, standing)
            if decided is None:
                decided = await Attempt(parts, lane, request, standing, observers).run()
        except (StoreError, UnexpectedError) as error:
            lane.leave(call)
            return error
        except (KeyboardInterrupt, SystemExit):
            lane.leave(call)
            await lane.quiet()  # those who wait get their answers first
            raise
        except BaseException:
            lane.leave(call)
            raise
        if decided.commit is None:
            verdict = lane.answer(call, decided)
        else:
            verdict = lane.accept(call, decided.commit, decided, decided.after)
        return await lane.rest(call) if verdict is None else verdict

    async def _deliver(
        self,
        id: str,
        message: RecordedMessage,
        fence: Fence,
        *,
        timer: DueTimer | None = None,
        key: str | None = None,
        metadata: Mapping[str, Any] = NO_METADATA,
    ) -> Any:
        """Execute a recorded command for a worker; lost races are decided again without limit.

        Returns:
            As `execute`; `TIMER_GONE` if the timer does not stand any more.
        """
        try:
            request = read_delivery(self._definition, id, message, fence)
            request.timer, request.key = timer, key
            request.metadata = metadata if isinstance(metadata, Metadata) else Metadata(metadata)
            return await self._run(request)
        except Exception as raised:  # noqa: BLE001 - no call raises an Exception
            return self._gave_up(raised, message)

    def _record(self, command: Any) -> RecordedMessage:
        """Return a command as it is recorded.

        Raises:
            InvalidDataError: It does not fit its schema.
            RoutingError: It is not declared.
        """
        schema, _, text = record_command(self._definition, command)
        return RecordedMessage.of_text(schema.name, text)

    def _reentry(self, id: str) -> UnexpectedError:
        return UnexpectedError(
            f"workflow {id!r} of {self._definition.name!r} is being executed by the call that now executes it again; "
            "return the next state, or send the command after this one"
        )

    def _tell_lapsed(self, call: Call, observers: Sequence[Observer]) -> None:
        if call.conflict is not None:
            tell(observers, "conflicted", call.conflict)
            tell(observers, "retried", call.conflict.workflow_id, call.attempts)
            call.conflict = None

    def _conclude(self, verdict: Any, call: Call, request: Request, observers: Sequence[Observer]) -> Result:
        if isinstance(verdict, Decided):
            answer = verdict.answer
            if observers and verdict.commit is not None:
                if not self._lanes.is_bound:  # else it has yet to be committed, by the caller
                    tell(observers, "committed", verdict.commit.at(0))
            elif observers and isinstance(answer, Failure) and not verdict.was_told:
                tell(observers, "failed", answer.error, None, request.command)
            return answer
        settle(verdict)
        if isinstance(verdict, ConcurrencyConflictError) and call.conflict is not None:
            tell(observers, "conflicted", verdict)
        tell(observers, "failed", verdict, None, request.command)
        return Failure(verdict)

    # --- reading ---------------------------------------------------------------------------------------------------

    async def get(self, id: str) -> WorkflowT | None:
        """Return a workflow as it is stored now; `None` if it does not exist.

        Raises:
            InvalidDataError: The id is none.
            StoreError: The store failed.
            RestoreError: What is stored does not load with this code, or belongs to another definition.
        """
        check_id(self._definition.name, id)
        stored = await self._load(id)
        if stored is None:
            return None
        return cast("WorkflowT", self._restorer.restore(_at_version(stored)))

    async def at(self, id: str, version: int) -> WorkflowT | None:
        """Return a workflow as it was at a version; `None` if there was no such version, or it was pruned.

        Raises:
            InvalidDataError: The id or version is none.
            StoreError: The store failed, or keeps no history.
            RestoreError: What is stored does not load with this code.
        """
        check_id(self._definition.name, id)
        check_version(self._definition.name, version, "version", is_optional=False)
        snapshot = await read(self._history_store().snapshot_at, id, version)
        return None if snapshot is None else cast("WorkflowT", self._restorer.restore(snapshot))

    async def history(
        self: WorkflowExecutor[Workflow[Any, Any, E, Any]], id: str, *, after: int = 0, limit: int | None = None
    ) -> list[WorkflowCommit[E]]:
        """Return what happened to a workflow: one commit for each accepted command, oldest first.

        Args:
            id: The workflow; one that does not exist has no history.
            after: Only commits with a version above this one.
            limit: At most so many.

        Raises:
            InvalidDataError: An argument is invalid.
            StoreError: The store failed, or keeps no history.
            RestoreError: The workflow belongs to another definition.
        """
        executor = cast("WorkflowExecutor[Any]", self)
        name = executor._definition.name
        check_id(name, id)
        check_version(name, after, "after", is_optional=False)
        check_version(name, limit, "limit")
        commits = await read(executor._history_store().history, id, after=after, limit=limit)
        for commit in commits:
            if commit.definition != name:
                raise _foreign(id, commit.definition, name)
        return [executor._restorer.commit(commit) for commit in commits]

    async def available_commands(self, id: str) -> dict[str, dict[str, Any]]:
        """Return the commands that have a handler now, with their JSON Schemas, by stored name.

        For a workflow that does not exist: the commands that create. Not a promise that a command is accepted.

        Raises:
            InvalidDataError: The id is none.
            StoreError: The store failed.
            RestoreError: What is stored does not load with this code.
        """
        workflow = await self.get(id)
        state = None if workflow is None else cast("Any", workflow)._schema.type
        return self._router.available_commands_for(state)

    async def wait_for(self, result: Success[Any, Any], by: Iterable[str], *, timeout: timedelta) -> bool:
        """Wait until reactors and publishers have dealt with what a command led to.

        A publisher has published the commit; all that a reactor decided on it has been delivered.

        Args:
            result: What `execute` gave.
            by: Names of reactors and publishers, or one name.
            timeout: How long to wait at most.

        Returns:
            Whether all have in time; what became a dead letter has not.

        Raises:
            StoreError: The store failed, or knows no readers.
        """
        names = (by,) if isinstance(by, str) else by
        return await read(wait_until_passed, self._store, result.snapshot.id, result.version, names, timeout)

    async def forget(self, id: str) -> bool:
        """Remove everything that is kept of a workflow; return whether there was anything.

        The id may be used again, from version 1.

        Raises:
            InvalidDataError: The id is none.
            StoreError: The store failed, or cannot forget.
            RestoreError: The workflow belongs to another definition.
            UnexpectedError: From within a call that is executing the workflow, or that it waits for.
        """
        name = self._definition.name
        check_id(name, id)
        store = self._store
        if not isinstance(store, ErasingStore):
            raise unsupported(f"store {type(store).__name__} cannot forget: implement `forget` (ErasingStore)")
        if is_reentrant(self._lanes, id):
            raise self._reentry(id)
        lane = self._lanes.enter(id)
        call = lane.join(0, None)
        try:
            await lane.turn(call)
            await lane.clear()  # before anything can be refused: what was decided must not be left without its standing
            stored = await self._load(id)
            if stored is not None and stored.definition != name:
                raise _foreign(id, stored.definition, name)
            # To its end, even if the caller gives up: the lane is not given to others while the store still forgets.
            return await to_its_end(read(store.forget, id))
        finally:
            lane.forget_standing(call)
            lane.leave(call)

    def sync(self) -> AbstractContextManager[SyncExecutor[WorkflowT]]:
        """Return the same surface for synchronous code, as a context manager.

        It opens the store on a private event-loop thread, runs handlers there, and closes what it opened. Any number
        of threads may call.

        Raises:
            RuntimeError: On a method call from a running event loop's thread: `await` the executor there.
        """
        from .sync import open_sync  # noqa: PLC0415 - threads are needed by synchronous code only

        return open_sync(self)

    async def _load(self, id: str) -> StoredWorkflow | None:
        return check_stored(await read(self._store.load, id), id)

    def _history_store(self) -> HistoryStore:
        store = self._store
        if not isinstance(store, HistoryStore):
            name = type(store).__name__
            raise unsupported(f"store {name} keeps no history: implement `history` and `snapshot_at` (HistoryStore)")
        return store


def _at_version(stored: StoredWorkflow) -> WorkflowSnapshot:
    snapshot = stored.snapshot
    return snapshot if snapshot.version == stored.version else snapshot.replace(version=stored.version)


def _foreign(id: str, found: str, expected: str) -> RestoreError:
    issue = Issue((), f"it belongs to definition {found!r}, not {expected!r}", "other_definition")
    return RestoreError(id, [issue], workflow=expected)


def _check_parts(router: Any, store: Any, retries: Any) -> None:
    if not isinstance(router, WorkflowRouter):
        raise DefinitionError(f"an executor needs a WorkflowRouter, found {type(router).__name__}")
    name = router._definition.name
    if router._lacks_deps:
        raise DefinitionError(
            f"the router of workflow {name!r} declares dependencies that it was never given: "
            "pass router.with_deps(deps) to the executor"
        )
    missing = [method for method in ("load", "save") if not callable(getattr(store, method, None))]
    if missing or isinstance(store, type):
        what = "the class itself" if isinstance(store, type) else f"no {' and no '.join(missing)}"
        raise DefinitionError(f"the executor of workflow {name!r} needs a store with load and save, found {what}")
    if type(retries) is not int or retries < 0:
        raise DefinitionError(f"the executor of workflow {name!r}: retries is an integer from 0, found {retries!r}")
