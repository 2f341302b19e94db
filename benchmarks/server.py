"""A PostgreSQL server for the runs: one of their own, or one that is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from urllib.parse import urlsplit, urlunsplit

from .contest import NewDatabase


@contextmanager
def databases(dsn: str | None) -> Iterator[NewDatabase]:
    """Give a way to make empty databases on a server that lives as long as this context.

    Args:
        dsn: A running server, as a URL; none starts one, with durable defaults, on the loopback interface.
    """
    if dsn is not None:
        yield _on(dsn)
        return
    from tests.postgres_server import running_server  # noqa: PLC0415 - not everybody who measures has a PostgreSQL

    with running_server() as started:
        yield _on(started)


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
