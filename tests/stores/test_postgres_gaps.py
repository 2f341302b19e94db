"""Reading on beside open transactions: the log skips nothing, and cursors that are broken on purpose are caught."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from statewright.stores.postgres import PostgresStore
from statewright.testing.contract.samples import following, opening
from tests.postgres_server import PostgresServer

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = [pytest.mark.postgres, pytest.mark.slow]

Connection: TypeAlias = psycopg.AsyncConnection[Any]
Commits: TypeAlias = list[tuple[str, int]]
"""Workflow and version of each."""
Read: TypeAlias = Callable[["Place", int], Awaitable[Commits]]
"""A page of what comes after a reader's cursor."""


@dataclass
class Place:
    """A store, and connections on which transactions may stay open."""

    store: PostgresStore
    dsn: str
    schema: str
    other_database: str
    stack: AsyncExitStack
    cursor: list[Any] = field(default_factory=list)
    """Where the reader that is tried has come to."""

    async def connect(self, dsn: str = "") -> Connection:
        """Open a connection."""
        return await self.stack.enter_async_context(await psycopg.AsyncConnection.connect(dsn or self.dsn))

    async def ask(self, query: str, *values: Any) -> list[Any]:
        """Read something in a transaction of its own."""
        async with await psycopg.AsyncConnection.connect(self.dsn) as connection:
            raw = psycopg.AsyncRawCursor(connection)
            await raw.execute(query.format(schema=self.schema).encode(), list(values))
            return await raw.fetchall()


@pytest.fixture
async def place(postgres: PostgresServer, postgres_store: PostgresStore, postgres_schema: str) -> AsyncIterator[Place]:
    """A store that also keeps what the broken cursors need, and a database beside it."""
    other = f"{postgres_schema}_other"
    async with (
        await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as administrator,
        AsyncExitStack() as dropping,
    ):
        await administrator.execute(f"CREATE DATABASE {other}".encode())
        dropping.push_async_callback(administrator.execute, f"DROP DATABASE {other} WITH (FORCE)".encode())
        await administrator.execute(
            f"ALTER TABLE {postgres_schema}.workflow_commit "
            "ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id()".encode()
        )
        async with AsyncExitStack() as stack:
            there = make_conninfo(postgres.dsn, dbname=other)
            yield Place(postgres_store, postgres.dsn, postgres_schema, there, stack)


# --- ways to read on -------------------------------------------------------------------------------------------------


async def by_position(place: Place, limit: int) -> Commits:
    """Read on as the store does."""
    after = place.cursor[-1] if place.cursor else 0
    page = await place.store.commits(after=after, limit=limit)
    place.cursor += [commit.position for commit in page]
    return [(commit.workflow_id, commit.version) for commit in page]


async def by_serial_id(place: Place, limit: int) -> Commits:
    """Read on by the number that a sequence gave at the insertion."""
    return await _page(place, limit, "number > $1", "number", (0,))


async def by_serial_id_below_the_horizon(place: Place, limit: int) -> Commits:
    """The same, of transactions that are older than all that are open."""
    settled = "number > $1 AND xid < pg_snapshot_xmin(pg_current_snapshot())"
    return await _page(place, limit, settled, "number", (0,))


async def by_transaction_id(place: Place, limit: int) -> Commits:
    """Read on by the id of the transaction, then by number, below the same horizon."""
    settled = "(xid, number) > ($1::xid8, $2) AND xid < pg_snapshot_xmin(pg_current_snapshot())"
    return await _page(place, limit, settled, "xid, number", ("0", 0))


async def _page(place: Place, limit: int, where: str, order: str, first: tuple[Any, ...]) -> Commits:
    query = f"SELECT workflow_id, version, {order} FROM {{schema}}.workflow_commit WHERE {where} ORDER BY {order}"
    rows = await place.ask(f"{query} LIMIT {limit}", *(place.cursor[-1] if place.cursor else first))
    place.cursor += [row[2:] for row in rows]
    return [row[:2] for row in rows]


# --- what happens meanwhile ------------------------------------------------------------------------------------------


async def one_stays_open(place: Place, read: Read) -> list[Commits]:
    """A is saved and stays open, B is saved; A commits."""
    caller = await place.connect()
    await place.store.bind(caller).save(opening("a"))
    await place.store.save(opening("b"))
    first = await read(place, 10)
    await caller.commit()
    return [first, await read(place, 10)]


async def one_has_its_id_before_its_load(place: Place, read: Read) -> list[Commits]:
    """A has its transaction id, B is saved and stays open, A is saved and commits; B commits."""
    early, late = await place.connect(), await place.connect()
    await early.execute("SELECT pg_current_xact_id()")
    await place.store.bind(late).save(opening("b"))
    await place.store.bind(early).save(opening("a"))
    await early.commit()
    first = await read(place, 10)
    await late.commit()
    return [first, await read(place, 10)]


async def one_goes_on_from_a_later_one(place: Place, read: Read) -> list[Commits]:
    """A has its transaction id, version 1 is saved and commits, A saves version 2."""
    early = await place.connect()
    await early.execute("SELECT pg_current_xact_id()")
    first = opening("a")
    await place.store.save(first)
    await place.store.bind(early).save(following(first))
    begun = await read(place, 10)
    await early.commit()
    return [begun, await read(place, 10)]


async def one_is_open_in_another_database(place: Place, read: Read) -> list[Commits]:
    """A transaction that writes is open in another database of the server; A is saved."""
    elsewhere = await place.connect(place.other_database)
    await elsewhere.execute("CREATE TABLE t (n int)")
    await place.store.save(opening("a"))
    first = await read(place, 10)
    await elsewhere.rollback()
    return [first, await read(place, 10)]


SCENES = {
    one_stays_open: [[("b", 1)], [("a", 1)]],
    one_has_its_id_before_its_load: [[("a", 1)], [("b", 1)]],
    one_goes_on_from_a_later_one: [[("a", 1)], [("a", 2)]],
    one_is_open_in_another_database: [[("a", 1)], []],
}
"""What is read before and after the transaction ends, by whoever reads as soon as there is something to be read."""


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_nothing_is_skipped_or_held_up(place: Place, scene: Any) -> None:
    """What is visible is read at once, what becomes visible later is read then, each once and versions in order."""
    assert await scene(place, by_position) == SCENES[scene]
    assert place.cursor == list(range(1, len(place.cursor) + 1))


def complaints(found: list[Commits], expected: list[Commits]) -> set[str]:
    """Return what is wrong with what a reader was given."""
    everything, wanted = list(chain(*found)), set(chain(*expected))
    wrong = set()
    if set(everything) < wanted:
        wrong.add("lost")
    # combinations keep the order in which things were read.
    if any(_leads(later, earlier) for earlier, later in combinations(everything, 2)):
        wrong.add("out of order")
    if set(found[0]) < set(expected[0]):
        wrong.add("held up")
    return wrong


def _leads(one: tuple[str, int], two: tuple[str, int]) -> bool:
    return one[0] == two[0] and one[1] < two[1]


BROKEN = [
    (by_serial_id, one_stays_open, {"lost"}),
    (by_serial_id, one_has_its_id_before_its_load, {"lost"}),
    (by_serial_id_below_the_horizon, one_has_its_id_before_its_load, {"lost"}),
    (by_serial_id_below_the_horizon, one_is_open_in_another_database, {"held up"}),
    (by_transaction_id, one_stays_open, {"held up"}),
    (by_transaction_id, one_goes_on_from_a_later_one, {"out of order", "held up"}),
    (by_transaction_id, one_is_open_in_another_database, {"held up"}),
]


@pytest.mark.parametrize(("read", "scene", "wrong"), BROKEN, ids=lambda part: getattr(part, "__name__", ""))
async def test_broken_cursors_are_caught(place: Place, read: Read, scene: Any, wrong: set[str]) -> None:
    """Were the log read by ids of a sequence or of transactions, commits would be lost, held up or out of order."""
    assert complaints(await scene(place, read), SCENES[scene]) == wrong
