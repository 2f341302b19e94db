"""The store itself: what callers on event loops see."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from ..._engine.argument import check_after, check_limit, check_number, check_pruning
from ..._engine.ports import (
    Catalog,
    CommitLog,
    ErasingStore,
    FoldingStore,
    HistoryStore,
    IdempotentStore,
    RecordedAnswer,
    SaveOptions,
    StoreAdapter,
    StoredWorkflow,
)
from ..._model.commit import Commit
from ..._model.snapshot import WorkflowSnapshot
from ...errors import DefinitionError, ExecutionError, StoreError
from . import erasure, page, schema
from .agenda import SQLiteAgenda
from .connection import MEMORY, Database, Settings
from .request import Load, Recall, Save
from .row import recorded_answer, rows_of, stored_workflow, time_text
from .session import Session

T = TypeVar("T")

_PAGE: Final = 500
"""Rows that are read in one transaction."""
_MILLENNIUM: Final = timedelta(days=365_250)
"""A longer retention or age is no different: no clock counts back so far."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SQLiteStore(SQLiteAgenda):
    """Keeps workflows in one SQLite file, safe from the death of process and machine.

    ```python
    async with SQLiteStore("orders.db") as store:
        orders = WorkflowExecutor(router, store)
    ```

    Whatever was acknowledged is on disk (write-ahead log, `synchronous=FULL`). Saves that wait at the same time share
    one transaction, so that many callers cost little more than one. Any number of processes may open one file, on a
    local file system; within a process one store may be used from several event loops. A connection does not survive a
    fork: open the store in the child.

    Args:
        path: The file, which is made where it is missing; `":memory:"` keeps everything in memory.
        timeout: How long a write waits for another process before it fails with `StoreUnavailableError`.
        poll: How often `subscribe` reads although nothing has told it of commits; this store's own wake it at once,
            those of other processes within some milliseconds.
        idempotency_retention: How long an idempotency key is remembered. Counted from its save, by `clock`.
        checkpoint_pages: After about so many pages the write-ahead log is moved into the database; up to four times as
            many where batches are large.
        auto_setup: Whether `async with` creates or upgrades the schema. Without it, an out-of-date schema is refused.
        clock: The store's own time, by which timers are due, leases run out, and keys and commits grow old; the host's
            by default.

    Raises:
        DefinitionError: An argument is wrong.
    """

    is_cacheable: ClassVar[bool] = True
    """Its rows carry the id of the save that wrote them, so that an executor may remember them."""
    connection_class: ClassVar[type[sqlite3.Connection]] = sqlite3.Connection
    """What connections are made of; for subclasses that encrypt, trace or fail."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: timedelta = timedelta(seconds=5),
        poll: timedelta = timedelta(milliseconds=250),
        idempotency_retention: timedelta = timedelta(days=30),
        checkpoint_pages: int = 1000,
        auto_setup: bool = True,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        if isinstance(checkpoint_pages, bool) or not isinstance(checkpoint_pages, int) or checkpoint_pages < 1:
            raise DefinitionError(f"checkpoint_pages is a positive number of pages, found {checkpoint_pages!r}")
        if not callable(clock):
            raise DefinitionError(f"clock is a function that returns the present, found {clock!r}")
        self._settings = Settings(
            path=_checked_path(path),
            timeout=_checked_duration("timeout", timeout).total_seconds(),
            retention=min(_checked_duration("idempotency_retention", idempotency_retention), _MILLENNIUM),
            clock=clock,
            checkpoint_pages=checkpoint_pages,
            connection_class=self.connection_class,
        )
        self._poll = _checked_duration("poll", poll).total_seconds()
        self._auto_setup = auto_setup
        self._gate = threading.Lock()
        self._session: Session | None = None
        self._entered = 0
        _stores.add(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.path!r})"

    # --- opening and closing ---------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the store can be used."""
        session = self._session
        return session is not None and not session.is_forked

    @property
    def batch_listeners(self) -> list[Callable[[int], object]]:
        """Told how many saves each committed batch held; on the thread that writes."""
        return self._settings.batch_listeners

    async def __aenter__(self) -> Self:
        """Open the store, and set it up unless `auto_setup` is off. Inside another `async with` of it, do nothing.

        Raises:
            StoreError: The file cannot be opened, or is not one of ours; the message says what to do.
        """
        with self._gate:
            self._entered += 1  # at once, so that nobody who leaves meanwhile takes himself for the last one
        try:
            await self._ready(schema.upgrade if self._auto_setup else schema.check)
        except BaseException:
            with self._gate:
                self._entered = max(0, self._entered - 1)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the store, unless it was inside another `async with` of it."""
        with self._gate:
            self._entered = max(0, self._entered - 1)
            is_last = not self._entered
        if is_last:
            await self.close()

    @property
    def is_entered(self) -> bool:
        """Whether somebody is inside an `async with` of the store."""
        return self._entered > 0

    async def setup(self) -> None:
        """Open the store if it is not open, and create or upgrade its schema. Safe from several processes at once.

        Raises:
            StoreError: The file cannot be opened, or its schema is newer than this code.
        """
        await self._ready(schema.upgrade)

    async def close(self) -> None:
        """Finish what was begun, and close the file; it may be opened again."""
        with self._gate:
            session, self._session = self._session, None
            self._entered = 0
        if session is not None:
            await session.close()

    async def _ready(self, check: Callable[[Database], None]) -> None:
        """Open the file if it is not open, and see to its schema; what fails leaves the store as it was."""
        was_open = self.is_open
        try:
            session = await self._open()
            await session.write(check)
        except BaseException:
            if not was_open:
                await self.close()
            raise

    async def _open(self) -> Session:
        with self._gate:
            if self._session is None or self._session.is_forked:
                self._session = Session(self._settings)
            session = self._session
        try:
            await session.opened()
        except StoreError:
            with self._gate:
                if self._session is session:
                    self._session = None
            raise
        return session

    @staticmethod
    def schema_sql() -> str:
        """Return the SQL that `setup` runs on a new file."""
        return schema.schema_sql()

    # --- what every store has --------------------------------------------------------------------------------------

    async def load(self, id: str) -> StoredWorkflow | None:
        """Return what is stored under this id, or `None`.

        Raises:
            StoreError: It could not be read.
        """
        session = self._opened()
        glance = session.glance  # asked once: the writing thread may think otherwise a moment later
        seen = None if glance is None else glance.load(id)
        if seen is None:
            request = Load(asyncio.get_running_loop(), id)
            session.inbox.put(request)
            row = await request.future
        else:
            [row] = seen
        return None if row is None else stored_workflow(row)

    async def save(self, options: SaveOptions) -> None:
        """Save if, and only if, the stored version is the expected one; on disk when it returns.

        A save goes on when its caller is cancelled.

        Raises:
            ConcurrencyConflictError: Another version is stored; the attribute `current` is what was found.
            InvalidDataError: SQLite cannot store the data; nothing was saved.
            StoreUnavailableError: Nothing was saved.
            OutcomeUnknownError: The disk failed at COMMIT. Writing goes on once the file was opened anew and read.
        """
        await self.submit(options)

    # --- folding and keys ------------------------------------------------------------------------------------------

    def submit(self, options: SaveOptions) -> asyncio.Future[None]:
        """Begin a save and return its outcome as a future of the running loop; `save` says what it raises."""
        loop = asyncio.get_running_loop()
        try:
            request = Save(loop, options, rows_of(options))
            self._opened().inbox.put(request)
        except ExecutionError as error:
            failed: asyncio.Future[None] = loop.create_future()
            failed.set_exception(error)
            return failed
        return request.future

    async def recall(self, id: str, key: str) -> RecordedAnswer | None:
        """Return what was recorded under this idempotency key, or `None`; also if it has expired.

        Raises:
            StoreError: It could not be read.
        """
        session = self._opened()
        glance = session.glance
        seen = None if glance is None else glance.recall(id, key)
        if seen is None:
            request = Recall(asyncio.get_running_loop(), id, key)
            session.inbox.put(request)
            row = await request.future
        else:
            [row] = seen
        return None if row is None else recorded_answer(row)

    # --- history ---------------------------------------------------------------------------------------------------

    async def history(self, id: str, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        """Return a workflow's commits with a version above `after`, oldest first; pruned ones are missing.

        Raises:
            StoreError: They could not be read.
        """
        return await self._pages(
            None if limit is None else check_limit(limit),
            check_number("after", after),
            lambda last, size: lambda connection: page.history(connection, id, last, size),
            lambda commit: commit.version,
        )

    async def snapshot_at(self, id: str, version: int) -> WorkflowSnapshot | None:
        """Return the workflow as it was after the commit with this version; `None` if there is no such commit.

        Raises:
            StoreError: It could not be read.
        """
        known = check_number("version", version)
        return await self._opened().read(lambda connection: page.snapshot_at(connection, id, known))

    # --- reading on ------------------------------------------------------------------------------------------------

    async def commits(self, *, after: int = 0, limit: int = 1000) -> list[Commit]:
        """Return commits with a position above `after`, in order of position; none is ever skipped.

        Raises:
            InvalidDataError: Position or limit is below zero.
            PositionPrunedError: Some of what was asked for has been pruned.
            StoreError: They could not be read.
        """
        return await self._pages(
            check_limit(limit),
            check_number("after", after),
            lambda last, size: lambda connection: page.commits(connection, last, size),
            lambda commit: commit.position,
        )

    async def subscribe(self, *, after: int = 0) -> AsyncIterator[Commit]:
        """Yield commits with a position above `after`, and wait for more, until the store is closed.

        Raises:
            PositionPrunedError: Some of what comes next has been pruned.
            StoreError: They could not be read, or the store was closed.
        """
        seconds = None if self._settings.in_memory else self._poll
        while True:
            session = self._opened()
            heard = session.bell.rung
            found = await self.commits(after=after, limit=_PAGE)
            for commit in found:
                yield commit
                after = commit.position
            if not found:
                await session.ear.wait(heard, seconds)

    # --- lists -----------------------------------------------------------------------------------------------------

    async def find(
        self, *, definition: str | None = None, state: str | None = None, after: str = "", limit: int = 100
    ) -> list[StoredWorkflow]:
        """Return workflows with an id above `after`, in order of id (by code point).

        Raises:
            StoreError: They could not be read.
        """
        return await self._pages(
            check_limit(limit),
            check_after(after),
            lambda last, size: lambda connection: page.find(connection, definition, state, last, size),
            lambda stored: stored.id,
        )

    async def count(self, *, definition: str | None = None, state: str | None = None) -> int:
        """Return how many workflows there are.

        Raises:
            StoreError: They could not be read.
        """
        return await self._opened().read(lambda connection: page.count(connection, definition, state))

    async def count_by_state(self, definition: str) -> Mapping[str, int]:
        """Return how many workflows of a definition are in each state that has any.

        Raises:
            StoreError: They could not be read.
        """
        return await self._opened().read(lambda connection: page.count_by_state(connection, definition))

    # --- taking out ------------------------------------------------------------------------------------------------

    async def forget(self, id: str) -> bool:
        """Delete everything that is kept of a workflow, in one transaction; return whether there was anything.

        What is deleted is overwritten with zeros in the database, and leaves the write-ahead log with it.

        Raises:
            StoreError: Nothing was deleted.
        """

        def work(database: Database) -> bool:
            with database.transaction() as connection:
                return erasure.forget(connection, id)

        return await self._opened().write(work)

    async def prune(self, *, before_position: int | None = None, older_than: timedelta | None = None) -> int:
        """Delete old commits, never the newest of a workflow, and return how many.

        `commits` and `subscribe` refuse to begin below what was deleted. Workflows and idempotency keys stay.

        Args:
            before_position: Delete commits below this position.
            older_than: Delete commits recorded longer ago than this, up to the first one that is not.

        Raises:
            InvalidDataError: Neither was given, or one that is below zero.
            StoreError: The rest could not be deleted.
        """
        before_position = check_pruning(before_position, older_than)
        session = self._opened()
        since = None if older_than is None else time_text(self._settings.clock() - min(older_than, _MILLENNIUM))
        end = await session.read(lambda connection: erasure.first_to_keep(connection, before_position, since))
        removed, reached, is_done = 0, 0, False
        while not is_done:
            step = await session.write(_prune_step(reached, end))
            removed, reached, is_done = removed + step.removed, step.reached, step.is_last
        return removed

    # --- parts -----------------------------------------------------------------------------------------------------

    def _opened(self) -> Session:
        session = self._session
        if session is None:
            raise StoreError(
                f"the store of {self._settings.path!r} is not open: use it inside `async with store:`, or call "
                "`await store.setup()` first"
            )
        return session

    async def _pages(
        self,
        limit: int | None,
        after: Any,
        read: Callable[[Any, int], Callable[[sqlite3.Connection], list[T]]],
        key: Callable[[T], Any],
    ) -> list[T]:
        """Read page after page: a long list is no long transaction."""
        session = self._opened()
        found: list[T] = []
        while limit is None or len(found) < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - len(found))
            some = await session.read(read(after, size))
            found += some
            if len(some) < size:
                break
            after = key(some[-1])
        return found

    def _abandon(self) -> None:
        self._gate = threading.Lock()  # the parent may have been holding it
        self._entered = 0
        if self._session is not None:
            self._session.abandon()


def _prune_step(reached: int, end: int) -> Callable[[Database], erasure.PruneStep]:
    def work(database: Database) -> erasure.PruneStep:
        with database.transaction() as connection:
            return erasure.prune(connection, reached, end)

    return work


def _checked_path(path: object) -> str:
    try:
        name = os.fspath(path)  # type: ignore[call-overload]
    except TypeError:
        name = path
    if not isinstance(name, str) or not name or "\0" in name:
        raise DefinitionError(f"a SQLiteStore's path is a str or os.PathLike of a file, or ':memory:', found {path!r}")
    return name if name == MEMORY else os.path.abspath(name)  # noqa: PTH100 - `resolve` would follow symbolic links


def _checked_duration(name: str, value: object) -> timedelta:
    if not isinstance(value, timedelta) or value <= timedelta(0):
        raise DefinitionError(f"{name} is a timedelta above zero, found {value!r}")
    return value


_stores: weakref.WeakSet[SQLiteStore] = weakref.WeakSet()


def _abandon_all() -> None:
    for store in list(_stores):
        store._abandon()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_abandon_all)

if TYPE_CHECKING:
    _adapter: type[StoreAdapter] = SQLiteStore
    _folding: type[FoldingStore] = SQLiteStore
    _history: type[HistoryStore] = SQLiteStore
    _log: type[CommitLog] = SQLiteStore
    _catalog: type[Catalog] = SQLiteStore
    _idempotent: type[IdempotentStore] = SQLiteStore
    _erasing: type[ErasingStore] = SQLiteStore
