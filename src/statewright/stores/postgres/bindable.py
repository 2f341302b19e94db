"""What `bind` takes, and the psycopg connection behind it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from psycopg import AsyncConnection, Connection
from psycopg.pq import PipelineStatus, TransactionStatus

from ...errors import DefinitionError, StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection as AlchemyConnection
    from sqlalchemy.ext.asyncio import AsyncSession

    Bindable: TypeAlias = AsyncConnection[Any] | AlchemyConnection | AsyncSession

_EXPECTED: Final = "a psycopg AsyncConnection, or an SQLAlchemy AsyncConnection or AsyncSession"


def check_bindable(connection: object) -> Any:
    """Return the connection.

    Raises:
        DefinitionError: `bind` cannot use it.
    """
    if isinstance(connection, AsyncConnection) or _is_alchemy(connection):
        return connection
    hint = ": a synchronous connection cannot be awaited" if isinstance(connection, Connection) else ""
    raise DefinitionError(f"bind() takes {_EXPECTED}, found {type(connection).__name__}{hint}")


def _is_alchemy(connection: object) -> bool:
    # Whoever has one has imported it: nothing is imported here that the user does without.
    alchemy = sys.modules.get("sqlalchemy.ext.asyncio")
    if alchemy is None:
        return False
    return isinstance(connection, (alchemy.AsyncConnection, alchemy.AsyncSession, alchemy.async_scoped_session))


async def usable(given: Any) -> AsyncConnection[Any]:
    """Return the psycopg connection behind what was bound, in a transaction of the caller's.

    Raises:
        StoreError: There is none, or it cannot be used now.
    """
    connection = given if isinstance(given, AsyncConnection) else await _unwrapped(given)
    if connection.closed:
        raise StoreUnavailableError("the connection that was bound is closed; nothing was saved")
    status = connection.pgconn.transaction_status
    if status == TransactionStatus.INERROR:
        raise StoreUnavailableError("the caller's transaction has failed before: roll it back; nothing was saved")
    if connection.autocommit and status == TransactionStatus.IDLE:
        raise StoreUnavailableError(
            "the connection that was bound is in autocommit mode, and no transaction is open: use it inside "
            "`async with connection.transaction():`; nothing was saved"
        )
    if connection.pgconn.pipeline_status != PipelineStatus.OFF:
        raise StoreUnavailableError("the connection that was bound is in pipeline mode: leave that; nothing was saved")
    return connection


async def _unwrapped(given: Any) -> AsyncConnection[Any]:
    try:
        outer = given if hasattr(given, "get_raw_connection") else await given.connection()
        if not outer.in_transaction():
            # SQLAlchemy begins with its own first statement; without one, its commit() would do nothing.
            await outer.exec_driver_sql("SELECT 1")
        driver = (await outer.get_raw_connection()).driver_connection
    except Exception as exc:
        raise StoreUnavailableError("SQLAlchemy gave no connection for what was bound; nothing was saved") from exc
    if not isinstance(driver, AsyncConnection):
        raise StoreError(
            f"bind() needs SQLAlchemy's psycopg driver (postgresql+psycopg://), found a connection of "
            f"{type(driver).__module__}; nothing was saved"
        )
    return driver
