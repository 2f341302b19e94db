"""Floors on PostgreSQL: psycopg with statements written by hand, and `pgbench`.

Saves are durable: `fsync` and `synchronous_commit` stay on. psycopg prepares each statement after its fifth use.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from shutil import which
from typing import Any, TypeAlias

from psycopg import AsyncConnection, Connection
from psycopg_pool import AsyncConnectionPool

from ..setting import Setting
from ..timing import Measurement, crowd, repeat, repeat_async
from ..work import CALLERS, PAYLOADS, decide_text, full_order, present, workflow_ids

SCHEMA = """
CREATE TABLE workflow (id text PRIMARY KEY, version integer NOT NULL, data json NOT NULL) WITH (fillfactor = 50);
CREATE TABLE event (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, workflow_id text NOT NULL, version integer NOT NULL,
    type text NOT NULL, data json NOT NULL, recorded_at timestamptz NOT NULL
);
"""
FILL = "INSERT INTO workflow SELECT id, 1, %s::json FROM unnest(%s::text[]) AS given (id)"
SELECT = "SELECT data::text, version FROM workflow WHERE id = %s"
UPDATE = "UPDATE workflow SET data = %s::json, version = version + 1 WHERE id = %s AND version = %s"
INSERT = """
INSERT INTO event (workflow_id, version, type, data, recorded_at) VALUES (%s, %s, 'ItemAdded', %s::json, %s)
"""
SWAP = """
WITH moved AS (
    UPDATE workflow SET data = %s::json, version = version + 1 WHERE id = %s AND version = %s RETURNING id, version
)
INSERT INTO event (workflow_id, version, type, data, recorded_at)
SELECT id, version, 'ItemAdded', %s::json, %s FROM moved
"""
SELECT_MANY = "SELECT id, data::text, version FROM workflow WHERE id = ANY(%s)"
SWAP_MANY = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(%s::text[], %s::integer[], %s::text[], %s::text[], %s::timestamptz[])
        AS given (id, version, data, event, recorded_at)
), moved AS (
    UPDATE workflow SET data = given.data::json, version = workflow.version + 1
    FROM given WHERE workflow.id = given.id AND workflow.version = given.version
    RETURNING workflow.id, workflow.version, given.event, given.recorded_at
)
INSERT INTO event (workflow_id, version, type, data, recorded_at)
SELECT id, version, 'ItemAdded', event::json, recorded_at FROM moved
"""
POOL = 10
"""Connections of a pool, the default of more than one driver."""

Session: TypeAlias = AsyncConnection[tuple[Any, ...]]


def transaction_one(setting: Setting) -> Measurement:
    """One caller: BEGIN, SELECT, UPDATE, INSERT, COMMIT."""
    return asyncio.run(_one_caller(setting, _in_transaction))


def statement_one(setting: Setting) -> Measurement:
    """One caller: SELECT, then one statement that swaps the state and keeps the event."""
    return asyncio.run(_one_caller(setting, _in_statement))


def kept_one(setting: Setting) -> Measurement:
    """One caller that keeps the states itself: one statement per command, no SELECT."""
    ids = workflow_ids()
    kept = dict.fromkeys(ids, (full_order().model_dump_json(), 1))

    async def run(session: Session, id: str, payload: dict[str, Any]) -> bool:
        text, version = kept[id]
        state, event = decide_text(text, "AddItem", payload)
        saved = await session.execute(SWAP, (state, id, version, event, present()))
        kept[id] = (state, version + 1)
        return saved.rowcount == 1

    return asyncio.run(_one_caller(setting, run))


def transaction_many(setting: Setting) -> Measurement:
    """Many callers over a thousand orders: a transaction per command, connections from a pool."""
    return asyncio.run(_crowd(setting, workflow_ids(), _in_transaction))


def naive_hot(setting: Setting) -> Measurement:
    """Many callers on one order: a transaction per command, tried again until it wins."""
    return asyncio.run(_crowd(setting, workflow_ids(1), _in_transaction))


def batch_limit(setting: Setting) -> Measurement:
    """64 commands per statement, on one asynchronous connection with nothing around it."""
    return asyncio.run(_batch_limit(setting))


def batch_limit_synchronous(setting: Setting) -> Measurement:
    """64 commands per statement, on one synchronous connection with nothing around it."""
    ids = workflow_ids()
    fill(setting.dsn, ids)
    with Connection.connect(setting.dsn, autocommit=True) as session:

        def step(turn: int) -> None:
            batch = _batch(ids, turn)
            states, events = _decide_batch(batch, session.execute(SELECT_MANY, (list(batch),)).fetchall())
            if session.execute(SWAP_MANY, _columns(states, events)).rowcount != CALLERS:
                raise RuntimeError("somebody else saved")

        measured = repeat(step, setting.seconds, chunk=1)
    return check(setting.dsn, measured, CALLERS)


def pgbench_one(setting: Setting) -> Measurement:
    """`pgbench`'s simple-update, one client."""
    return _pgbench(setting, 1)


def pgbench_many(setting: Setting) -> Measurement:
    """`pgbench`'s simple-update, as many clients as there are callers."""
    return _pgbench(setting, CALLERS)


async def _in_transaction(session: Session, id: str, payload: dict[str, Any]) -> bool:
    async with session.transaction():
        row = await (await session.execute(SELECT, (id,))).fetchone()
        text, version = row or ("", 0)
        state, event = decide_text(text, "AddItem", payload)
        if (await session.execute(UPDATE, (state, id, version))).rowcount != 1:
            return False
        await session.execute(INSERT, (id, version + 1, event, present()))
    return True


async def _in_statement(session: Session, id: str, payload: dict[str, Any]) -> bool:
    row = await (await session.execute(SELECT, (id,))).fetchone()
    text, version = row or ("", 0)
    state, event = decide_text(text, "AddItem", payload)
    return (await session.execute(SWAP, (state, id, version, event, present()))).rowcount == 1


async def _one_caller(
    setting: Setting, execute: Callable[[Session, str, dict[str, Any]], Awaitable[bool]]
) -> Measurement:
    ids = workflow_ids()
    fill(setting.dsn, ids)
    async with await AsyncConnection.connect(setting.dsn, autocommit=True) as session:

        async def step(turn: int) -> None:
            if not await execute(session, ids[turn % len(ids)], PAYLOADS[turn & 15]):
                raise RuntimeError("somebody else saved")

        measured = await repeat_async(step, setting.seconds, chunk=4)
    return check(setting.dsn, measured)


async def _crowd(
    setting: Setting, ids: list[str], execute: Callable[[Session, str, dict[str, Any]], Awaitable[bool]]
) -> Measurement:
    lost = 0
    fill(setting.dsn, ids)
    async with AsyncConnectionPool(
        setting.dsn, min_size=POOL, max_size=POOL, timeout=120, kwargs={"autocommit": True}, open=False
    ) as pool:
        await pool.wait()

        async def step(caller: int, turn: int) -> None:
            nonlocal lost
            while True:
                async with pool.connection() as session:
                    if await execute(session, ids[(caller + turn * CALLERS) % len(ids)], PAYLOADS[turn & 15]):
                        return
                lost += 1

        measured = check(setting.dsn, await crowd(step, CALLERS, setting.seconds))
    return Measurement(measured.value, measured.facts | {"lost_per_success": lost / measured.facts["calls"]})


async def _batch_limit(setting: Setting) -> Measurement:
    ids = workflow_ids()
    fill(setting.dsn, ids)
    async with await AsyncConnection.connect(setting.dsn, autocommit=True) as session:

        async def step(turn: int) -> None:
            batch = _batch(ids, turn)
            rows = await (await session.execute(SELECT_MANY, (list(batch),))).fetchall()
            states, events = _decide_batch(batch, rows)
            if (await session.execute(SWAP_MANY, _columns(states, events))).rowcount != CALLERS:
                raise RuntimeError("somebody else saved")

        measured = await repeat_async(step, setting.seconds, chunk=1)
    return check(setting.dsn, measured, CALLERS)


def _batch(ids: list[str], turn: int) -> dict[str, dict[str, Any]]:
    first = turn * CALLERS
    return {ids[(first + number) % len(ids)]: PAYLOADS[number & 15] for number in range(CALLERS)}


def _decide_batch(
    batch: dict[str, dict[str, Any]], rows: list[tuple[Any, ...]]
) -> tuple[list[tuple[str, int, str]], list[str]]:
    states, events = [], []
    for id, text, version in rows:
        state, event = decide_text(text, "AddItem", batch[id])
        states.append((id, version, state))
        events.append(event)
    return states, events


def _columns(states: list[tuple[str, int, str]], events: list[str]) -> tuple[list[Any], ...]:
    ids, versions, texts = (list(column) for column in zip(*states, strict=True))
    return ids, versions, texts, events, [present() for _ in events]


def fill(dsn: str, ids: list[str]) -> None:
    """Make the tables and store an order under each id."""
    with Connection.connect(dsn, autocommit=True) as session:
        session.execute(SCHEMA)
        session.execute(FILL, (full_order().model_dump_json(), ids))
        session.execute("ANALYZE workflow")


def check(dsn: str, measured: Measurement, commands_per_call: int = 1) -> Measurement:
    """Compare what is stored with what was counted."""
    with Connection.connect(dsn) as session:
        row = session.execute("SELECT sum(version - 1)::integer, (SELECT count(*) FROM event) FROM workflow").fetchone()
    expected = measured.facts["calls"] * commands_per_call
    if row != (expected, expected):
        raise RuntimeError(f"{expected} commands left (saves, events) = {row}")
    return Measurement(measured.value * commands_per_call, measured.facts)


def _pgbench(setting: Setting, clients: int) -> Measurement:
    program = which("pgbench") or _beside_the_server()
    # pgbench takes whole seconds; at scale 10 it updates a million accounts, so that its clients do not meet.
    seconds = max(1, round(setting.seconds))
    subprocess.run([program, "-i", "-q", "-s", "10", setting.dsn], check=True, capture_output=True)
    options = ["-n", "-b", "simple-update", "-M", "prepared", "-T", str(seconds)]
    options += ["-c", str(clients), "-j", str(min(clients, os.cpu_count() or 1))]
    ran = subprocess.run([program, *options, setting.dsn], check=True, capture_output=True, text=True)
    found = re.search(r"^tps = ([\d.]+)", ran.stdout, re.MULTILINE)
    if not found:
        raise RuntimeError(f"pgbench printed no rate: {ran.stdout}")
    return Measurement(float(found[1]))


def _beside_the_server() -> str:
    for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), reverse=True):
        return str(path)
    raise RuntimeError("there is no pgbench on this machine")
