"""One kind of fault, from an empty store to the count of what is stored."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from time import monotonic
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from statewright import PostgresStore, WorkflowExecutor
from tests.engine.load_process import Open, router
from tests.fixtures.proxy import Proxy, proxy
from tests.postgres_server import PostgresServer

from .callers import PATIENCE, Crowd
from .kinds import APPLICATION, Kind, World
from .tally import Tally

TIMEOUT: Final = 3.0
"""Of the stores, in seconds: long outages should be told to callers, not waited out."""
CALLERS: Final = 32
IDS: Final = tuple(f"tally-{number:02}" for number in range(12))
"""Fewer than callers, so that commands are folded, and races lost and won between the two stores."""


async def storm(server: PostgresServer, kind: Kind, rounds: int) -> Tally:
    """Inject a kind of fault so many times while callers go on, and count.

    Args:
        server: A running server; one of ours for kinds that stop it.
        kind: Of fault.
        rounds: How often.
    """
    tally = Tally(kind.name, kind.title)
    schema = f"faults_{secrets.token_hex(4)}"
    parts = conninfo_to_dict(server.dsn)
    async with proxy(str(parts["host"]), int(parts["port"] or 5432)) as between:
        await _begin(server, schema)
        try:
            async with _stores(server, between, schema) as stores:
                world = World(server, between, schema, Crowd(stores, IDS, tally), TIMEOUT)
                seen = await _weather(world, kind, rounds)
            await _compare(server, world, seen)
        finally:
            async with await psycopg.AsyncConnection.connect(server.dsn, autocommit=True) as connection:
                await connection.execute(f'DROP SCHEMA "{schema}" CASCADE'.encode())
    return tally


async def _begin(server: PostgresServer, schema: str) -> None:
    async with PostgresStore(server.dsn, schema=schema) as store:
        executor = WorkflowExecutor(router, store)
        for id in IDS:
            (await executor.execute(id, Open())).unwrap()


@contextlib.asynccontextmanager
async def _stores(server: PostgresServer, between: Proxy, schema: str) -> AsyncIterator[Sequence[PostgresStore]]:
    """Open two stores that know nothing of each other, as two processes would have them, behind the proxy."""
    source = make_conninfo(
        server.dsn,
        host="127.0.0.1",
        port=between.own_port,
        sslmode="disable",
        application_name=APPLICATION,
        options="-c deadlock_timeout=5ms",  # before the stores' own patience with locks ends
    )
    call, connect = timedelta(seconds=TIMEOUT), timedelta(seconds=1)
    one, two = (PostgresStore(source, schema=schema, timeout=call, connect_timeout=connect) for _ in range(2))
    async with one, two:
        yield one, two


async def _weather(world: World, kind: Kind, rounds: int) -> list[tuple[int, str, int]]:
    """Let it all happen; return what a subscriber saw."""
    crowd, tally = world.crowd, world.crowd.tally
    seen: list[tuple[int, str, int]] = []
    reading = asyncio.ensure_future(_subscribe(crowd.stores[0], seen))
    running = asyncio.ensure_future(crowd.run(CALLERS))
    try:
        await crowd.until(200)
        for _ in range(rounds):
            tally.injected += await kind.inject(world)
            await crowd.recovered(monotonic())
            await crowd.until(200)
        crowd.is_over = True
        async with asyncio.timeout(PATIENCE):
            await running
            total = await _total(crowd.stores[1])
            while len(seen) < total:  # noqa: ASYNC110 - a subscriber announces nothing
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        reading.cancel()
        await asyncio.gather(running, reading, return_exceptions=True)
    return seen


async def _subscribe(store: Any, seen: list[tuple[int, str, int]]) -> None:
    async for commit in store.subscribe():
        seen += [(commit.position, commit.workflow_id, commit.version)]


async def _total(store: Any) -> int:
    return sum(stored.version for stored in await store.find())


async def _compare(server: PostgresServer, world: World, seen: list[tuple[int, str, int]]) -> None:
    """Count over a store of its own, straight on the server."""
    tally = world.crowd.tally
    stored: list[tuple[str, str, int]] = []
    async with PostgresStore(server.dsn, schema=world.schema) as store:
        for id in IDS:
            commits = await store.history(id)
            assert [commit.version for commit in commits] == list(range(1, len(commits) + 1))
            stored += [(id, commit.command.data["mark"], commit.version) for commit in commits[1:] if commit.command]
        every = await store.commits(limit=10_000_000)
    tally.compare(world.crowd.acknowledged, stored)
    expected = [(commit.position, commit.workflow_id, commit.version) for commit in every]
    tally.subscribed = len(seen)
    tally.skipped = sum(one != other for one, other in zip(expected, seen, strict=False)) + abs(
        len(expected) - len(seen)
    )
