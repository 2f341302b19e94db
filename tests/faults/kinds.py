"""The kinds of faults: each happens to a server, or to connections to it, in the middle of the load."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import psycopg

from tests.fixtures.proxy import Cut, Proxy
from tests.postgres_server import PostgresServer

from .callers import PATIENCE, Crowd

APPLICATION: Final = "storm"
"""What the callers' sessions are called on the server."""


@dataclass(slots=True)
class World:
    """What faults happen to."""

    server: PostgresServer
    between: Proxy
    schema: str
    crowd: Crowd
    timeout: float
    """How long a call of the stores may take, in seconds."""

    async def run(self, query: str) -> list[Any]:
        """Run a statement as administrator, past the proxy."""
        async with await psycopg.AsyncConnection.connect(self.server.dsn, autocommit=True) as administrator:
            cursor = await administrator.execute(query.encode())
            return await cursor.fetchall() if cursor.description else []


Inject: TypeAlias = Callable[[World], Awaitable[int]]
"""Makes a fault happen, returns when it is over, and says how many there were."""
Noticed: TypeAlias = Literal["never", "perhaps", "always"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault."""

    name: str
    title: str
    inject: Inject
    noticed: Noticed
    """Whether callers learn of it, by typed failures; else the store gets over it by itself."""

    @property
    def needs_our_server(self) -> bool:
        """Whether it stops the server."""
        return self.name in _STOPPING


# --- the server dies -----------------------------------------------------------------------------------------------


def _restarted(how: signal.Signals, pause: float = 0.0) -> Inject:
    async def inject(world: World) -> int:
        await asyncio.to_thread(world.server.stop, how)
        await asyncio.sleep(pause)
        await asyncio.to_thread(world.server.start)
        return 1

    return inject


async def _paused(world: World) -> int:
    """Stop every process of the server, so that it neither answers nor closes anything, and let it go on."""
    postmaster = int(await asyncio.to_thread(_postmaster, world.server))
    sessions = await world.run("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    pids = [postmaster, *(pid for (pid,) in sessions)]
    _signal(pids, signal.SIGSTOP)
    try:
        await asyncio.sleep(world.timeout * 0.6)
    finally:
        _signal(pids, signal.SIGCONT)
    return 1


def _postmaster(server: PostgresServer) -> str:
    assert server.folder is not None
    return (server.folder / "data" / "postmaster.pid").read_text().splitlines()[0]


def _signal(pids: list[int], what: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            pass  # ended meanwhile


# --- sessions and statements end -----------------------------------------------------------------------------------


_ENOUGH: Final = 5
"""Sessions, statements or transactions that are hit each time."""


_HIT: Final = "SELECT count({function}(pid)) FROM pg_stat_activity WHERE application_name = '{application}' {of}"


async def _terminated(world: World) -> int:
    query = _HIT.format(function="pg_terminate_backend", application=APPLICATION, of="")
    hit = 0
    async with asyncio.timeout(PATIENCE):
        while hit < _ENOUGH:
            await world.crowd.until(10)
            [(count,)] = await world.run(query)
            hit += count
    return hit


async def _cancelled(world: World) -> int:
    """Cancel what runs at the moment, and then what waits for a lock: on a slow machine little else is ever seen."""
    query = _HIT.format(function="pg_cancel_backend", application=APPLICATION, of="AND state = 'active'")
    hit = 0
    async with asyncio.timeout(PATIENCE), await psycopg.AsyncConnection.connect(world.server.dsn) as rival:
        while hit < _ENOUGH:
            await world.crowd.until(10)
            [(count,)] = await world.run(query)
            hit += count
            await rival.execute(f"LOCK TABLE {world.schema}.workflow IN EXCLUSIVE MODE".encode())
            await asyncio.sleep(0.02)
            [(count,)] = await world.run(query)
            hit += count
            await rival.rollback()
    return hit


def _refused(code: str) -> Inject:
    """Let one of so many rows that are saved raise an error."""

    async def inject(world: World) -> int:
        await world.run(_FAILING.format(schema=world.schema, code=code))
        try:
            [(before,)] = await world.run(f"SELECT last_value FROM {world.schema}.refusals")
            await world.crowd.until(200)
            [(after,)] = await world.run(f"SELECT last_value FROM {world.schema}.refusals")
        finally:
            await world.run(f"DROP TRIGGER refusing ON {world.schema}.workflow")
        return int(after - before) // _EVERY

    return inject


_EVERY: Final = 37
_FAILING: Final = """
CREATE SEQUENCE IF NOT EXISTS {schema}.refusals;
CREATE OR REPLACE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('{schema}.refusals') % 37 = 0 THEN
    RAISE EXCEPTION 'injected' USING ERRCODE = '{code}';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER refusing BEFORE UPDATE ON {schema}.workflow FOR EACH ROW EXECUTE FUNCTION {schema}.refuse();
"""


async def _deadlocks(world: World) -> int:
    """Lock workflows from the last to the first, while batches lock them the other way round, and are the victims."""
    before = await _deadlocks_so_far(world)
    lock = f"SELECT FROM {world.schema}.workflow WHERE id = %s FOR UPDATE".encode()
    async with (
        asyncio.timeout(PATIENCE),
        await psycopg.AsyncConnection.connect(world.server.dsn) as rival,
    ):
        await rival.execute("SET deadlock_timeout = '1h'")
        await rival.commit()
        while await _deadlocks_so_far(world) < before + _ENOUGH:
            for id in sorted(world.crowd.ids, reverse=True):
                await rival.execute(lock, [id])
                await asyncio.sleep(0.003)
            await rival.rollback()
            await world.crowd.until(5)
    await asyncio.sleep(1.1)  # sessions report what they saw once a second
    return await _deadlocks_so_far(world) - before


async def _deadlocks_so_far(world: World) -> int:
    [(count,)] = await world.run("SELECT sum(deadlocks)::int FROM pg_stat_database")
    return int(count)


# --- connections break ---------------------------------------------------------------------------------------------


def _is_save(data: bytes) -> bool:
    return b'"mark' in data


def _cut(how: Cut) -> Inject:
    async def inject(world: World) -> int:
        before = world.between.cuts
        for _ in range(5):
            await world.crowd.until(10)
            world.between.cut(how, when=_is_save)
        while not world.between.is_done:  # noqa: ASYNC110 - a proxy announces nothing
            await asyncio.sleep(0.005)
        return world.between.cuts - before

    return inject


async def _half_open(world: World) -> int:
    return world.between.fall_silent()


def _delayed(share: float, seconds: float) -> Inject:
    """Keep what is sent for a share of a statement's own time limit, for so long."""

    async def inject(world: World) -> int:
        world.between.delay = share * world.timeout * 0.4
        try:
            await asyncio.sleep(seconds)
        finally:
            world.between.delay = 0.0
        return 1

    return inject


_KILL: Final = signal.SIGQUIT
_STOPPING: Final = ("immediate-restart", "fast-restart", "down", "paused")

KINDS: Final = (
    Kind("immediate-restart", "server killed and started (`-m immediate`)", _restarted(_KILL), "perhaps"),
    Kind("fast-restart", "server restarted (`-m fast`)", _restarted(signal.SIGINT), "perhaps"),
    Kind("down", "server down for 4 s", _restarted(_KILL, 4.0), "always"),
    Kind("paused", "server silent for 2 s, then it went on", _paused, "perhaps"),
    Kind("terminated", "`pg_terminate_backend` on every session", _terminated, "never"),
    Kind("cancelled", "`pg_cancel_backend` on every statement", _cancelled, "perhaps"),
    Kind("serialization", "serialization failures (40001)", _refused("40001"), "never"),
    Kind("deadlock", "deadlocks with another transaction (40P01)", _deadlocks, "never"),
    Kind("no-room", "no room on the disk (53100)", _refused("53100"), "always"),
    Kind("cut-before", "connection cut before the commit arrived", _cut("before"), "never"),
    Kind("cut-after", "connection cut after the commit was sent", _cut("after"), "never"),
    Kind("swallowed", "answer to the commit never comes", _cut("swallow"), "never"),
    Kind("half-open", "every connection silent, none closed", _half_open, "perhaps"),
    Kind("slow", "network slow, within the time limits", _delayed(0.2, 2.0), "perhaps"),
    Kind("too-slow", "what was given up arrives later all the same", _delayed(1.5, 3.0), "perhaps"),
)
