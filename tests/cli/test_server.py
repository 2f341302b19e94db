"""The same commands on a PostgreSQL server."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from statewright import WorkflowExecutor
from statewright.cli.place import named
from statewright.demo import router
from statewright.demo.order import Open
from statewright.stores.postgres import PostgresStore
from tests.postgres_server import PostgresServer

from .conftest import Run

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """An empty database of the test's own, as a URL."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    parts = conninfo_to_dict(make_conninfo(postgres.dsn, dbname=name))
    who = ":".join(quote(str(parts[key]), safe="") for key in ("user", "password") if parts.get(key))
    yield f"postgresql://{who}@{parts['host']}:{parts.get('port', 5432)}/{name}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def orders(database: str) -> str:
    """A database with one order."""

    async def open_one() -> None:
        async with PostgresStore(database) as store:
            (await WorkflowExecutor(router, store).execute("order-1", Open(customer="Ada"))).unwrap()

    asyncio.run(open_one())
    return database


def test_commands_work_on_a_server(run: Run, orders: str) -> None:
    """What is stored on a server is listed, shown, changed and drawn as what is stored in a file."""
    where = ["--store", orders]

    assert run("list", *where).stdout.endswith("1 of 1 workflows\n")
    sent = run("execute", "order-1", "Cancel", '{"reason": "ordered twice"}', *where, "--key", "k")
    assert sent.stdout == 'order-1 is Cancelled at version 2\n  OrderCancelled {"refund": "0"}\n'
    assert json.loads(run("show", "order-1", "--at", "1", "--json", *where).stdout)["state"] == "Basket"
    assert [each["version"] for each in json.loads(run("history", "order-1", "--json", *where).stdout)] == [1, 2]
    assert "\nCancelled · 1 · end\n" in run("diagram", *where).stdout


def test_message_does_not_repeat_the_password(run: Run, orders: str) -> None:
    """A DSN may hold a password, so that a message names the database without it."""
    done = run("show", "order-9", "--store", f"{orders}{'&' if '?' in orders else '?'}sslpassword=hush")

    assert done.stderr == f"statewright: there is no workflow 'order-9' in {named(orders)}\n"
    assert "hush" not in done.stderr


def test_empty_database_is_left_empty(run: Run, database: str) -> None:
    """Looking creates no schema; the message says that there is none."""
    done = run("list", "--store", database)

    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'statewright'").fetchall()
    assert found == []
