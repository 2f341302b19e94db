"""Floors on `sqlite3` itself: WAL, `synchronous=FULL`, one connection, statements written by hand."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from ..setting import Setting
from ..timing import Measurement, crowd, repeat
from ..work import (
    CALLERS,
    HANDLERS,
    PAYLOADS,
    Draft,
    ItemAdded,
    decide_text,
    full_order,
    present,
    workflow_ids,
)

SCHEMA = """
CREATE TABLE workflow (id TEXT PRIMARY KEY, version INTEGER NOT NULL, data TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE event (
    position INTEGER PRIMARY KEY, workflow_id TEXT NOT NULL, version INTEGER NOT NULL,
    type TEXT NOT NULL, data TEXT NOT NULL, recorded_at TEXT NOT NULL
);
"""
SELECT = "SELECT data, version FROM workflow WHERE id = ?"
UPDATE = "UPDATE workflow SET data = ?, version = version + 1 WHERE id = ? AND version = ?"
INSERT = "INSERT INTO event (workflow_id, version, type, data, recorded_at) VALUES (?, ?, 'ItemAdded', ?, ?)"


class Orders:
    """Orders in a file, saved by hand."""

    def __init__(self, path: Path, ids: list[str]) -> None:
        self.ids = ids
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.executescript(SCHEMA)
        text = full_order().model_dump_json()
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany("INSERT INTO workflow VALUES (?, 1, ?)", [(id, text) for id in ids])
        self.connection.execute("COMMIT")

    def execute(self, id: str, name: str, payload: dict[str, Any]) -> None:
        """Run one command in a transaction of its own."""
        run = self.connection.execute
        run("BEGIN IMMEDIATE")
        text, version = run(SELECT, (id,)).fetchone()
        state, event = decide_text(text, name, payload)
        if run(UPDATE, (state, id, version)).rowcount != 1:
            raise RuntimeError(f"somebody else saved {id}")
        run(INSERT, (id, version + 1, event, present().isoformat()))
        run("COMMIT")

    def execute_batch(self, commands: list[tuple[str, str, dict[str, Any]]]) -> None:
        """Run many commands on as many workflows in one transaction."""
        run, states, events = self.connection.execute, [], []
        run("BEGIN IMMEDIATE")
        for id, name, payload in commands:
            text, version = run(SELECT, (id,)).fetchone()
            state, event = decide_text(text, name, payload)
            states.append((state, id, version))
            events.append((id, version + 1, event, present().isoformat()))
        if self.connection.executemany(UPDATE, states).rowcount != len(commands):
            raise RuntimeError("somebody else saved")
        self.connection.executemany(INSERT, events)
        run("COMMIT")

    def execute_fold(self, id: str, commands: list[tuple[str, dict[str, Any]]]) -> None:
        """Run many commands on one workflow, one after the other, and save once."""
        run, events = self.connection.execute, []
        run("BEGIN IMMEDIATE")
        text, version = run(SELECT, (id,)).fetchone()
        state = Draft.model_validate_json(text)
        for number, (name, payload) in enumerate(commands, start=1):
            command_type, handler = HANDLERS[Draft, name]
            command = command_type.model_validate(payload)
            state = handler(state, command)
            event = ItemAdded(item=command.item).model_dump_json()
            events.append((id, version + number, event, present().isoformat()))
        saved = run(
            "UPDATE workflow SET data = ?, version = ? WHERE id = ? AND version = ?",
            (state.model_dump_json(), version + len(commands), id, version),
        )
        if saved.rowcount != 1:
            raise RuntimeError(f"somebody else saved {id}")
        self.connection.executemany(INSERT, events)
        run("COMMIT")

    def check(self, measured: Measurement, commands_per_call: int = 1) -> Measurement:
        """Compare what is stored with what was counted."""
        (saved,) = self.connection.execute("SELECT sum(version - 1) FROM workflow").fetchone()
        (events,) = self.connection.execute("SELECT count(*) FROM event").fetchone()
        expected = measured.facts["calls"] * commands_per_call
        if not saved == events == expected:
            raise RuntimeError(f"{expected} commands left {saved} saves and {events} events")
        self.connection.close()
        return Measurement(measured.value * commands_per_call, measured.facts)


def one_caller(setting: Setting) -> Measurement:
    """One caller, one transaction per command."""
    ids = workflow_ids()
    orders = Orders(setting.directory / "raw.db", ids)

    def step(turn: int) -> None:
        orders.execute(ids[turn % len(ids)], "AddItem", PAYLOADS[turn & 15])

    return orders.check(repeat(step, setting.seconds, chunk=4))


def many_callers(setting: Setting) -> Measurement:
    """Many callers over a thousand workflows, one transaction per command."""
    return _crowd(setting, workflow_ids())


def hot(setting: Setting) -> Measurement:
    """Many callers on one workflow, one transaction per command."""
    return _crowd(setting, workflow_ids(1))


def _crowd(setting: Setting, ids: list[str]) -> Measurement:
    orders = Orders(setting.directory / "raw.db", ids)

    async def step(caller: int, turn: int) -> None:
        # In the loop's own thread: with 64 threads the same statements are slower, and they could not overlap anyway.
        orders.execute(ids[(caller + turn * CALLERS) % len(ids)], "AddItem", PAYLOADS[turn & 15])
        await asyncio.sleep(0)

    return orders.check(asyncio.run(crowd(step, CALLERS, setting.seconds)))


def batch_limit(setting: Setting) -> Measurement:
    """64 commands per transaction, with nothing around them."""
    ids = workflow_ids()
    orders = Orders(setting.directory / "raw.db", ids)

    def step(turn: int) -> None:
        first = turn * CALLERS
        orders.execute_batch(
            [(ids[(first + number) % len(ids)], "AddItem", PAYLOADS[number & 15]) for number in range(CALLERS)]
        )

    return orders.check(repeat(step, setting.seconds, chunk=1), CALLERS)


def fold_limit(setting: Setting) -> Measurement:
    """64 commands on one workflow per transaction, with nothing around them."""
    ids = workflow_ids(1)
    orders = Orders(setting.directory / "raw.db", ids)
    commands = [("AddItem", PAYLOADS[number & 15]) for number in range(CALLERS)]
    return orders.check(repeat(lambda _: orders.execute_fold(ids[0], commands), setting.seconds, chunk=1), CALLERS)
