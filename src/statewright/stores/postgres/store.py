"""The store itself: what callers on an event loop see."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from ..._engine.argument import check_limit, check_number, check_pruning
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
from ...errors import DefinitionError, ExecutionError, StoreError, StoreUnavailableError
from .agenda import PostgresAgenda
from .driver import require_psycopg
from .schema import schema_sql
from .statements import check_name

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

    from .bindable import Bindable
    from .bound import BoundStore
    from .session import Session

_logger: Final = logging.getLogger("statewright.postgres")

_PAGE: Final = 500
"""Commits that a subscriber reads at once."""


class PostgresStore(PostgresAgenda):
    """Keeps workflows in PostgreSQL, for any number of processes at once.

    ```python
    async with PostgresStore("postgresql://localhost/shop") as store:
        orders = WorkflowExecutor(router, store)
    ```

    Correctness rests on one compare-and-swap of one row, at READ COMMITTED. Saves and loads that wait at the same time
    leave as one statement each. It belongs to the event loop that opened it. Sessions are set up when a connection is
    opened or borrowed, so that a proxy in between has to keep them (PgBouncer: session pooling).

    Args:
        source: A connection string or URL, as libpq takes it; or an open `psycopg_pool.AsyncConnectionPool`, from which
            connections are borrowed and which is never closed here.
        schema: Name of the schema that holds the tables.
        max_connections: How many connections to use at most; of a pool, never more than it has.
        timeout: How long a call may take: what is locked or unsettled by then fails.
        connect_timeout: How long to try for a connection before calls fail with `StoreUnavailableError`.
        lock_timeout: How long a batch of saves waits for a row that another transaction keeps locked; then that save
            waits alone, until `timeout`, and the others go on.
        poll: How often `subscribe` looks for commits of other processes; this store's own wake it at once.
        idempotency_retention: How long an idempotency key is remembered, by the server's clock.
        auto_setup: Whether `async with` creates or upgrades the schema. Without it, an out-of-date schema is refused.

    Raises:
        DefinitionError: An argument is wrong.
        ImportError: psycopg is not installed.
    """

    bound = False
    """For the engine: `bind` makes one that is."""
    is_cacheable: ClassVar[bool] = True
    """Its rows carry the id of the save that wrote them, so that an executor may remember them."""

    def __init__(
        self,
        source: str | AsyncConnectionPool[Any],
        *,
        schema: str = "statewright",
        max_connections: int = 8,
        timeout: timedelta = timedelta(seconds=10),
        connect_timeout: timedelta = timedelta(seconds=3),
        lock_timeout: timedelta = timedelta(milliseconds=50),
        poll: timedelta = timedelta(milliseconds=250),
        idempotency_retention: timedelta = timedelta(days=30),
        auto_setup: bool = True,
    ) -> None:
        require_psycopg()
        from .session import Settings  # noqa: PLC0415 - what follows needs psycopg

        if isinstance(max_connections, bool) or not isinstance(max_connections, int):
            raise DefinitionError(f"max_connections is a number of connections, found {max_connections!r}")
        self._settings = Settings(
            source=source,
            schema=check_name(schema),
            size=max_connections,
            call=_seconds("timeout", timeout),
            connect=_seconds("connect_timeout", connect_timeout),
            lock=_seconds("lock_timeout", lock_timeout),
            poll=_seconds("poll", poll),
            retention=_length("idempotency_retention", idempotency_retention),
        )
        self._auto_setup = auto_setup
        self._session: Session | None = None
        self._entered = 0
        self._bound: weakref.WeakValueDictionary[int, BoundStore] = weakref.WeakValueDictionary()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(schema={self._settings.schema!r})"

    # --- opening and closing ---------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the store can be used."""
        return self._session is not None

    @property
    def batch_listeners(self) -> list[Callable[[int], object]]:
        """Told how many saves each committed batch held."""
        return self._settings.batch_listeners

    async def __aenter__(self) -> Self:
        """Open the store, and set it up unless `auto_setup` is off. Inside another `async with` of it, do nothing.

        Raises:
            StoreError: The server cannot be reached, or its schema is not one of ours; the message says what to do.
        """
        self._entered += 1  # at once, so that nobody who leaves meanwhile takes himself for the last one
        try:
            await self._open(upgrade=self._auto_setup)
        except BaseException:
            self._entered = max(0, self._entered - 1)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the store, unless it was inside another `async with` of it."""
        self._entered = max(0, self._entered - 1)
        if not self._entered:
            await self.close()

    async def setup(self) -> None:
        """Open the store if it is not open, and create or upgrade its schema. Safe from several processes at once.

        Raises:
            StoreError: The server cannot be reached, or the schema is newer than this code.
        """
        await self._open(upgrade=True)

    async def close(self) -> None:
        """Finish what was begun, and close the connections that are ours; the store may be opened again."""
        session, self._session = self._session, None
        self._entered = 0
        if session is not None:
            await session.close()

    async def _open(self, *, upgrade: bool) -> None:
        from .session import Session  # noqa: PLC0415 - needs psycopg

        was_open = self._session is not None
        if self._session is None:
            self._session = Session(self._settings)
        try:
            await self._opened().prepare(upgrade=upgrade)
        except BaseException:
            if not was_open:
                await self.close()
            raise

    @staticmethod
    def schema_sql(schema: str = "statewright", *, after: int = 0) -> str:
        """Return the SQL that `setup` runs, for reading, or for a database administrator to run.

        Args:
            schema: Name of the schema.
            after: The version that it has now, if it is to be upgraded; `setup` and `async with` then need no right to
                create anything.
        """
        return schema_sql(schema, after=after)

    # --- what every store has --------------------------------------------------------------------------------------

    async def load(self, id: str) -> StoredWorkflow | None:
        """Return what is stored under this id, or `None`.

        Raises:
            StoreError: It could not be read.
            InvalidDataError: The id is none.
        """
        return await self._opened().load(id)

    async def save(self, options: SaveOptions) -> None:
        """Save if, and only if, the stored version is the expected one; durable when it returns.

        A save goes on when its caller is cancelled.

        Raises:
            ConcurrencyConflictError: Another version is stored; the attribute `current` is what was found.
            InvalidDataError: PostgreSQL cannot store the data; nothing was saved.
            StoreUnavailableError: Nothing was saved.
            OutcomeUnknownError: The connection was lost, and until `timeout` nothing could settle the outcome.
        """
        await self.submit(options)

    # --- folding and keys ------------------------------------------------------------------------------------------

    def submit(self, options: SaveOptions) -> asyncio.Future[None]:
        """Begin a save and return its outcome as a future of the running loop; `save` says what it raises."""
        try:
            return self._opened().outbox.submit(options)
        except ExecutionError as error:
            failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            failed.set_exception(error)
            return failed

    async def recall(self, id: str, key: str) -> RecordedAnswer | None:
        """Return what was recorded under this idempotency key, or `None`; also if it has expired.

        Raises:
            StoreError: It could not be read.
        """
        return await self._opened().recall(id, key)

    # --- history ---------------------------------------------------------------------------------------------------

    async def history(self, id: str, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        """Return a workflow's commits with a version above `after`, oldest first; pruned ones are missing.

        Raises:
            StoreError: They could not be read.
        """
        session = self._opened()
        found = await session.reader.history(id, after, limit)
        while not all(commit.position for commit in found):
            await session.log.number_workflow(id)
            found = await session.reader.history(id, after, limit)
        return found

    async def snapshot_at(self, id: str, version: int) -> WorkflowSnapshot | None:
        """Return the workflow as it was after the commit with this version; `None` if there is no such commit.

        Raises:
            StoreError: It could not be read.
        """
        return await self._opened().reader.snapshot_at(id, version)

    # --- reading on ------------------------------------------------------------------------------------------------

    async def commits(self, *, after: int = 0, limit: int = 1000) -> list[Commit]:
        """Return commits with a position above `after`, in order of position; none is ever skipped.

        A commit gets its position when it is first read, after it has become visible: what was saved in a transaction
        that stayed open for long comes late, and never behind a reader's back.

        Raises:
            InvalidDataError: Position or limit is below zero.
            PositionPrunedError: Some of what was asked for has been pruned.
            StoreError: They could not be read.
        """
        return await self._opened().log.read(check_number("after", after), check_limit(limit))

    async def subscribe(self, *, after: int = 0) -> AsyncIterator[Commit]:
        """Yield commits with a position above `after`, and wait for more, until the store is closed.

        While the server is down it waits, too, and logs a warning.

        Raises:
            PositionPrunedError: Some of what comes next has been pruned.
            StoreError: They could not be read, or the store was closed.
        """
        after = check_number("after", after)
        async with self._opened().herald.listening():
            is_down = False
            while True:
                session = self._opened()
                heard = session.bell.rung
                try:
                    found = await session.log.read(after, _PAGE)
                except StoreUnavailableError as error:
                    if not is_down:
                        _logger.warning("a subscriber waits for PostgreSQL to come back: %s", error)
                    found, is_down = [], True
                else:
                    is_down = False
                for commit in found:
                    yield commit
                    after = commit.position
                if not found:
                    await session.bell.wait(heard, self._settings.poll)

    # --- lists -----------------------------------------------------------------------------------------------------

    async def find(
        self, *, definition: str | None = None, state: str | None = None, after: str = "", limit: int = 100
    ) -> list[StoredWorkflow]:
        """Return workflows with an id above `after`, in order of id (by code point).

        Raises:
            StoreError: They could not be read.
        """
        return await self._opened().reader.find(definition, state, after, limit)

    async def count(self, *, definition: str | None = None, state: str | None = None) -> int:
        """Return how many workflows there are.

        Raises:
            StoreError: They could not be read.
        """
        return await self._opened().reader.count(definition, state)

    async def count_by_state(self, definition: str) -> Mapping[str, int]:
        """Return how many workflows of a definition are in each state that has any.

        Raises:
            StoreError: They could not be read.
        """
        return await self._opened().reader.count_by_state(definition)

    # --- taking out ------------------------------------------------------------------------------------------------

    async def forget(self, id: str) -> bool:
        """Delete everything that is kept of a workflow, in one transaction; return whether there was anything.

        Raises:
            StoreError: Nothing was deleted.
        """
        return await self._opened().forget(id)

    async def prune(self, *, before_position: int | None = None, older_than: timedelta | None = None) -> int:
        """Delete old commits, never the newest of a workflow, and return how many.

        `commits` and `subscribe` refuse to begin below what was deleted. Workflows and idempotency keys stay,
        and so does what a reader has not read, or a dead letter stands for.

        Args:
            before_position: Delete commits below this position.
            older_than: Delete commits recorded longer ago than this, by the server's clock, up to the first one that is
                not.

        Raises:
            InvalidDataError: Neither was given, or one that is below zero.
            StoreError: The rest could not be deleted.
        """
        before_position = check_pruning(before_position, older_than)
        return await self._opened().log.prune(before_position, older_than)

    # --- the caller's transaction ----------------------------------------------------------------------------------

    def bind(self, connection: Bindable) -> BoundStore:
        """Return a store that saves inside the caller's own transaction on a connection.

        ```python
        async with pool.connection() as connection, connection.transaction():
            orders = WorkflowExecutor(router, store.bind(connection))
            (await orders.execute(order_id, Place())).unwrap()
            await connection.execute("INSERT INTO invoice ...")
        ```

        Workflow, commits and the caller's rows become visible together, or not at all. Nothing is committed, rolled
        back or closed here, and a conflict leaves the transaction usable. One connection has one bound store.

        Args:
            connection: A psycopg `AsyncConnection`, or an SQLAlchemy `AsyncConnection` or `AsyncSession` over psycopg.

        Raises:
            DefinitionError: It is something else.
            StoreError: This store is not open.
        """
        from .bound import BoundStore  # noqa: PLC0415 - needs psycopg

        session = self._opened()
        bound = self._bound.get(id(connection))
        if bound is None or not bound.belongs_to(session.log):
            bound = BoundStore(connection, session.sql, session.bounds, self._settings.retention, session.log)
            self._bound[id(connection)] = bound
        return bound

    # --- parts -----------------------------------------------------------------------------------------------------

    def _opened(self) -> Session:
        session = self._session
        if session is None:
            raise StoreError(
                "the PostgresStore is not open: use it inside `async with store:`, or call `await store.setup()` first"
            )
        if asyncio.get_running_loop() is not session.loop:
            raise StoreError(
                "the PostgresStore was opened on another event loop: open one store for each loop, or use one loop"
            )
        return session


def _length(name: str, value: object) -> timedelta:
    if not isinstance(value, timedelta) or value <= timedelta(0):
        raise DefinitionError(f"{name} is a timedelta above zero, found {value!r}")
    return value


def _seconds(name: str, value: object) -> float:
    return _length(name, value).total_seconds()


if TYPE_CHECKING:
    _adapter: type[StoreAdapter] = PostgresStore
    _folding: type[FoldingStore] = PostgresStore
    _history: type[HistoryStore] = PostgresStore
    _log: type[CommitLog] = PostgresStore
    _catalog: type[Catalog] = PostgresStore
    _idempotent: type[IdempotentStore] = PostgresStore
    _erasing: type[ErasingStore] = PostgresStore
