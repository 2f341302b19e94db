"""Saving inside a transaction of the caller's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from psycopg import AsyncConnection, sql
from psycopg.pq import TransactionStatus

from ..._engine.ports import (
    Catalog,
    HistoryStore,
    IdempotentStore,
    RecordedAnswer,
    SaveOptions,
    StoreAdapter,
    StoredWorkflow,
)
from ..._model.commit import Commit, new_id
from ..._model.snapshot import WorkflowSnapshot
from ...errors import ConcurrencyConflictError, ExecutionError, LeaseLostError
from .agenda import PostgresTimers
from .bindable import check_bindable, usable
from .entry import conflict_of
from .fault import FAULTS, Fault, judge, translate
from .link import Link, Params, Row
from .log import Log
from .reader import Reader
from .rows import Field, array, batch_call, check_id, check_text, encoded, stored_of
from .runner import Bounds, unavailable
from .short import short_call
from .statements import Statements
from .timers import agenda_params, agenda_rows, fence_params

if TYPE_CHECKING:
    from .bindable import Bindable

_PARAMETER: Final = re.compile(r"\$(\d+)")
_SAVEPOINT: Final = "statewright_save"
_GIVES_LOSERS: Final = ("save_many", "save_agenda")
_MAY_SEE_WHO_WON: Final = ("read committed", "read uncommitted")


class BoundStore(PostgresTimers):
    """A store whose saves belong to a transaction of the caller's: visible with its commit, or never.

    Made by `PostgresStore.bind`. It commits nothing, rolls nothing of the caller's back and closes nothing. A save that
    fails leaves the transaction usable. It is never resolved nor sent again, and shares nothing with other callers.
    """

    bound = True
    """For the engine: nothing of this store may be folded, cached, or told to observers as committed."""

    def __init__(
        self, connection: Bindable, statements: Statements, bounds: Bounds, retention: timedelta, log: Log
    ) -> None:
        self._given = check_bindable(connection)
        self._sql = statements
        self._bounds = bounds
        self._log = log
        self._reader = Reader(self._fetch, statements, retention)
        self._turn = asyncio.Lock()

    def belongs_to(self, log: Log) -> bool:
        """Return whether it was made while its store was open as it is now."""
        return self._log is log

    # --- what every store has --------------------------------------------------------------------------------------

    async def load(self, id: str) -> StoredWorkflow | None:
        """Return what is stored under this id, as the transaction sees it.

        Raises:
            StoreError: It could not be read.
        """
        return (await self._reader.load_many([check_id(id)])).get(id)

    async def save(self, options: SaveOptions) -> None:
        """Save, in a savepoint, if the stored version is the expected one. It is durable when the caller commits.

        Raises:
            ConcurrencyConflictError: Another version is stored; above READ COMMITTED `actual_version` is `None`,
                because this transaction cannot see it, and deciding again would not help.
            InvalidDataError: PostgreSQL cannot store the data.
            StoreUnavailableError: Nothing was saved.
        """
        rows = encoded(options, options.commits[-1].id if options.commits else new_id())
        agenda = agenda_rows(options)
        name, params = short_call(rows, agenda) or batch_call(rows, agenda_params([] if agenda is None else [agenda]))
        async with self._turn:
            found = await self._send(self._sql.script(name), params, options)
            # The short path gives a row back for what was saved, the other one for what was not.
            if bool(found) is (name in _GIVES_LOSERS):
                await self._lose(options)

    # --- what more it can do ---------------------------------------------------------------------------------------

    async def recall(self, id: str, key: str) -> RecordedAnswer | None:
        """Return what was recorded under this idempotency key, by this transaction too, or `None`.

        Raises:
            StoreError: It could not be read.
        """
        return (await self._reader.recall_many([(check_text("id", id), check_text("key", key))])).get((id, key))

    async def history(self, id: str, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        """Return a workflow's commits with a version above `after`, oldest first.

        Those of this transaction, and others that it cannot see numbered, have position 0: positions come with the
        caller's commit.

        Raises:
            StoreError: They could not be read.
        """
        found = await self._reader.history(id, after, limit)
        if all(commit.position for commit in found):
            return found
        await self._log.number_workflow(id)
        return await self._reader.history(id, after, limit)

    async def snapshot_at(self, id: str, version: int) -> WorkflowSnapshot | None:
        """Return the workflow as it was after the commit with this version; `None` if there is no such commit.

        Raises:
            StoreError: It could not be read.
        """
        return await self._reader.snapshot_at(id, version)

    async def find(
        self, *, definition: str | None = None, state: str | None = None, after: str = "", limit: int = 100
    ) -> list[StoredWorkflow]:
        """Return workflows with an id above `after`, in order of id (by code point).

        Raises:
            StoreError: They could not be read.
        """
        return await self._reader.find(definition, state, after, limit)

    async def count(self, *, definition: str | None = None, state: str | None = None) -> int:
        """Return how many workflows there are.

        Raises:
            StoreError: They could not be read.
        """
        return await self._reader.count(definition, state)

    async def count_by_state(self, definition: str) -> Mapping[str, int]:
        """Return how many workflows of a definition are in each state that has any.

        Raises:
            StoreError: They could not be read.
        """
        return await self._reader.count_by_state(definition)

    # --- parts -----------------------------------------------------------------------------------------------------

    async def _ask(self, name: str, *params: Field) -> list[Row]:
        return await self._fetch(self._sql[name], params)

    async def _fetch(self, query: bytes, params: Params = ()) -> list[Row]:
        connection = await usable(self._given)
        try:
            return await Link(connection, prepare=None).fetch(query, params)
        except FAULTS as exc:
            raise translate(exc) from exc

    async def _send(self, script: str, params: Params, options: SaveOptions) -> list[Row]:
        """Save in a savepoint; return the statement's rows.

        Savepoint and statement are one message. Were they several, and the caller rolled back in between, the statement
        would be a transaction of its own.
        """
        connection = await usable(self._given)
        literal = _PARAMETER.sub(lambda match: _literal(params[int(match[1]) - 1], connection), script)
        message = f"SAVEPOINT {_SAVEPOINT};\n{literal}\nRELEASE SAVEPOINT {_SAVEPOINT}"
        try:
            async with _cancelled_after(connection, self._bounds.call):
                return await Link(connection).run(message, timeout=self._bounds.call * 2)
        except BaseException as exc:
            await _roll_back(connection)
            if isinstance(exc, FAULTS):
                raise self._refusal(exc, options) from exc
            raise

    def _refusal(self, exc: BaseException, options: SaveOptions) -> ExecutionError:
        code = getattr(exc, "sqlstate", None)
        if code == "40001":
            return ConcurrencyConflictError(options.id, options.expected_version, None)
        if code == "57014":
            return unavailable(
                f"workflow {options.id!r} was kept locked by another transaction for {self._bounds.call:g} s, or the "
                "statement was cancelled; nothing was saved",
                exc,
            )
        fault = judge(exc)
        error = translate(exc, fault)
        return unavailable(f"{error}; nothing was saved", exc) if fault is Fault.WRONG else error

    async def _lose(self, options: SaveOptions) -> None:
        """Raise the conflict of a save that lost."""
        for name, epoch in await self._ask("fallen", *fence_params(options.fences)):
            raise LeaseLostError(name, epoch)
        [(isolation,)] = await self._fetch(self._sql["isolation"])
        if isolation not in _MAY_SEE_WHO_WON:
            raise ConcurrencyConflictError(options.id, options.expected_version, None)
        params = (array([options.id]), array([str(options.expected_version + 1)]))
        [row] = await self._fetch(self._sql["found"], params)
        raise conflict_of(options, None if row[1] is None else stored_of(row[1:12]))


def _literal(value: str | None, connection: AsyncConnection[Any]) -> str:
    return sql.Literal(value).as_string(connection)


@asynccontextmanager
async def _cancelled_after(connection: AsyncConnection[Any], seconds: float) -> AsyncGenerator[None]:
    """Ask the server to give up what takes too long: the caller's connection itself is not ours to cut."""
    loop = asyncio.get_running_loop()
    asking: list[asyncio.Task[None]] = []

    async def ask() -> None:
        with suppress(*FAULTS):
            await connection.cancel_safe(timeout=seconds)

    timer = loop.call_later(seconds, lambda: asking.append(loop.create_task(ask())))
    try:
        yield
    finally:
        timer.cancel()
        if asking:
            await asyncio.wait(asking)


async def _roll_back(connection: AsyncConnection[Any]) -> None:
    """Undo what a failed save did, so that the caller can go on."""
    if connection.pgconn.transaction_status != TransactionStatus.INERROR:
        return  # nothing was begun, or the connection is gone, and with it the transaction
    with suppress(*FAULTS):
        await Link(connection).run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}; RELEASE SAVEPOINT {_SAVEPOINT}")


if TYPE_CHECKING:
    _adapter: type[StoreAdapter] = BoundStore
    _history: type[HistoryStore] = BoundStore
    _catalog: type[Catalog] = BoundStore
    _idempotent: type[IdempotentStore] = BoundStore
