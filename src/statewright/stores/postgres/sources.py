"""Where connections come from: opened by us, or lent by a pool of the user's."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from ...errors import StoreError
from .fault import FAULTS
from .link import OLDEST_SERVER, Link

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

_KEEPALIVE: Final = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
"""So that a connection whose other end vanished is noticed within a minute, also while it only listens."""


class Source(Protocol):
    """Opens connections and takes them back."""

    keep: float
    """Seconds for which an unused connection is kept."""

    async def open(self, timeout: float) -> Link:
        """Return a connection in autocommit mode.

        Raises:
            StoreError: What comes back cannot be used, ever.
            psycopg.Error: And the others of `FAULTS`.
        """
        ...

    async def close(self, link: Link) -> None:
        """Take a connection back; never raises."""
        ...


class ConnectionSettings:
    """The settings that our statements rely on, for a connection of ours or one that is lent to us.

    Args:
        lock_timeout: Milliseconds that a batch waits for a locked row.
    """

    def __init__(self, lock_timeout: int) -> None:
        self.settings = {
            "lock_timeout": f"{lock_timeout}ms",
            "default_transaction_isolation": "read committed",
            "client_encoding": "UTF8",
            "DateStyle": "ISO",
            "TimeZone": "UTC",
            # All our statements look rows up by their keys. A plan is made once for each connection, perhaps while
            # the tables are still empty: without this it might read whole tables for ever after, and lock rows in
            # any order.
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
            "jit": "off",  # what is forbidden above counts as very expensive, which would be worth compiling
        }
        self._names = (*self.settings, "synchronous_commit")
        asked = ", ".join(f"current_setting('{name}')" for name in self._names)
        self._ask = f"SELECT {asked}".encode()

    async def begin(self, link: Link) -> None:
        """Set what is needed, and remember what was set before."""
        if link.connection.info.server_version < OLDEST_SERVER:
            raise StoreError(f"PostgreSQL {OLDEST_SERVER // 10_000} or newer is needed")
        [link.remembered] = await link.fetch(self._ask)
        wanted = dict(self.settings)
        *_, synchronous_commit = link.remembered
        if synchronous_commit == "off":
            wanted["synchronous_commit"] = "on"  # what is acknowledged is durable, whatever others here can do without
        await self._set(
            link, tuple(wanted.get(name, before) for name, before in zip(self._names, link.remembered, strict=True))
        )
        [(encoding,)] = await link.fetch(b"SELECT current_setting('server_encoding')")
        if encoding != "UTF8":
            raise StoreError(f"the database has the encoding {encoding}; make one with ENCODING 'UTF8'")

    async def end(self, link: Link) -> None:
        """Set everything back."""
        await self._set(link, link.remembered)

    async def _set(self, link: Link, values: tuple[str | None, ...]) -> None:
        calls = (f"set_config('{name}', ${number}, false)" for number, name in enumerate(self._names, 1))
        await link.fetch(f"SELECT {', '.join(calls)}".encode(), values)


class OwnConnections:
    """Opens connections of our own.

    Args:
        dsn: Connection string or URL, as libpq takes it.
        settings: What to set on them.
    """

    keep = 60.0

    def __init__(self, dsn: str, settings: ConnectionSettings) -> None:
        self._dsn = dsn
        self._settings = settings
        given = conninfo_to_dict(dsn)
        self._defaults: dict[str, Any] = {k: v for k, v in _KEEPALIVE.items() if k not in given}
        self._defaults.setdefault("application_name", given.get("application_name", "statewright"))

    async def open(self, timeout: float) -> Link:
        """Connect."""
        async with asyncio.timeout(timeout):
            connection = await AsyncConnection.connect(
                self._dsn, autocommit=True, prepare_threshold=0, row_factory=tuple_row, **self._defaults
            )
            link = Link(connection)
            try:
                await self._settings.begin(link)
            except BaseException:
                await connection.close()
                raise
            return link

    async def close(self, link: Link) -> None:
        """Disconnect."""
        with suppress(*FAULTS):
            await link.connection.close()


class LentConnections:
    """Borrows connections from a pool of the user's, for as long as there is work.

    They go back just as they were: autocommit mode and settings are set back, nothing else was touched.

    Args:
        pool: Open; it is never closed here.
        settings: What to set while they are ours.
    """

    keep = 0.05

    def __init__(self, pool: AsyncConnectionPool[Any], settings: ConnectionSettings) -> None:
        self._pool = pool
        self._settings = settings

    async def open(self, timeout: float) -> Link:
        """Take a connection out of the pool."""
        if self._pool.closed:
            raise StoreError("the pool that was given to PostgresStore is not open; open it before the store")
        connection = await self._pool.getconn(timeout)
        link = Link(connection)
        try:
            async with asyncio.timeout(timeout):
                link.was_autocommit = connection.autocommit
                if not connection.autocommit:
                    await connection.set_autocommit(True)
                await self._settings.begin(link)
        except BaseException:
            await connection.close()  # what a failure left set is nobody's to inherit; the pool makes a new one
            await self._pool.putconn(connection)
            raise
        return link

    async def close(self, link: Link) -> None:
        """Put a connection back."""
        connection = link.connection
        try:
            if not link.is_clean:
                await connection.close()
            else:
                async with asyncio.timeout(1.0):
                    await self._settings.end(link)
                    await connection.set_autocommit(link.was_autocommit)
        except FAULTS:
            await connection.close()
        with suppress(*FAULTS, ValueError):  # ValueError: the pool was closed, and replaced, meanwhile
            await self._pool.putconn(connection)
