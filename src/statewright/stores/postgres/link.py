"""One connection, as this store uses it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from psycopg import AsyncConnection, AsyncRawCursor, Error
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.rows import tuple_row

Row: TypeAlias = tuple[Any, ...]
Params: TypeAlias = Sequence[str | None]

OLDEST_SERVER: Final = 130_000


class Link:
    """A connection and the one cursor that all its statements go through.

    Args:
        connection: In autocommit mode, and used by nobody else meanwhile.
        prepare: Whether statements are prepared at once, or as the connection's owner set it.
    """

    __slots__ = ("_counts", "_cursor", "_prepare", "connection", "released_at", "remembered", "was_autocommit")

    def __init__(self, connection: AsyncConnection[Any], *, prepare: bool | None = True) -> None:
        self.connection = connection
        self.released_at = 0.0
        self.remembered: Row = ()
        """Settings of the session as they were before it was ours."""
        self.was_autocommit = True
        self._prepare = prepare
        self._counts: list[int] = []
        self._cursor = AsyncRawCursor(connection, row_factory=tuple_row)

    @property
    def is_broken(self) -> bool:
        """Whether nothing more can be sent."""
        return self.connection.closed or self.connection.pgconn.status != ConnStatus.OK

    @property
    def is_clean(self) -> bool:
        """Whether no transaction is open."""
        return not self.is_broken and self.connection.pgconn.transaction_status == TransactionStatus.IDLE

    async def fetch(self, query: bytes, params: Params = (), *, timeout: float | None = None) -> list[Row]:
        """Send a statement and return its rows, if it gives any.

        Args:
            query: One statement, with parameters as `$1`. As bytes, whose hash the driver's look-ups need but once.
            params: Their values, as text.
            timeout: Seconds after which the connection is cut; what was sent may still happen.

        Raises:
            psycopg.Error: And the others of `FAULTS`.
        """
        cursor = self._cursor
        timer = self._timer(timeout)
        try:
            await cursor.execute(query, params, prepare=self._prepare, binary=True)
            return await cursor.fetchall() if cursor.description is not None else []
        finally:
            if timer is not None:
                timer.cancel()

    async def run(self, script: str, *, timeout: float | None = None) -> list[Row]:
        """Send several statements as one message, and return the rows of the last one that has any.

        Outside a transaction they are one, which ends with the message: nobody who pauses here can hold its locks.

        Raises:
            psycopg.Error: And the others of `FAULTS`.
        """
        cursor = self._cursor
        timer = self._timer(timeout)
        rows: list[Row] = []
        self._counts = []
        try:
            await cursor.execute(script.encode(), prepare=False)
            while True:
                self._counts.append(max(cursor.rowcount, 0))
                if cursor.description is not None:
                    rows = await cursor.fetchall()
                if not cursor.nextset():
                    return rows
        finally:
            if timer is not None:
                timer.cancel()

    async def count(self, script: str, *, timeout: float | None = None) -> int:
        """As `run`; return how many rows all the statements together have changed."""
        await self.run(script, timeout=timeout)
        return sum(self._counts)

    def _timer(self, timeout: float | None) -> asyncio.TimerHandle | None:
        if timeout is None:
            return None
        return asyncio.get_running_loop().call_later(timeout, self.cut)

    def cut(self) -> None:
        """Cut the connection, so that whoever waits for it gets an error at once.

        Cancelling the driver's coroutine would ask the server first, and wait for a server that may be unreachable.
        """
        try:
            half_open = socket.socket(fileno=self.connection.pgconn.socket)
        except (OSError, Error):
            return  # closed already
        try:
            half_open.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was faster
        finally:
            half_open.detach()  # the descriptor is the driver's
