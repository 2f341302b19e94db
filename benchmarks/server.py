"""A PostgreSQL server for the runs: one of their own, or one that is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from urllib.parse import urlsplit, urlunsplit

from .contest import NewDatabase


class NotDurableError(Exception):
    """The server acknowledges what is not on disk."""


@contextmanager
def databases(dsn: str | None) -> Iterator[NewDatabase]:
    """Give a way to make empty databases on a server that lives as long as this context.

    Args:
        dsn: A running server, as a URL; none starts one, on the loopback interface.

    Raises:
        NotDurableError: The server does not wait for the disk.
    """
    if dsn is not None:
        _check_durable(dsn)
        yield _on(dsn)
        return
    from tests.postgres_server import postgres_server  # noqa: PLC0415 - needs psycopg, which the other scenarios do not

    with postgres_server(durable=True) as started:
        _check_durable(started.dsn)
        yield _on(started.dsn)


def _check_durable(dsn: str) -> None:
    from psycopg import Connection  # noqa: PLC0415 - as above

    with Connection.connect(dsn) as session:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            row = session.execute("SELECT current_setting(%s)", (name,)).fetchone()
            if row != ("on",):
                raise NotDurableError(f"{name} is {row and row[0]!r}; figures are taken with the durable default, 'on'")


def _on(dsn: str) -> NewDatabase:
    from psycopg import Connection, sql  # noqa: PLC0415 - as above

    numbers = count(1)

    @contextmanager
    def new_database() -> Iterator[str]:
        name = f"benchmark_{next(numbers)}"
        with Connection.connect(dsn, autocommit=True) as session:
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            # What earlier runs left dirty is written now, not in the middle of the next run.
            session.execute("CHECKPOINT")
        yield urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
        with Connection.connect(dsn, autocommit=True) as session:
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    return new_database
