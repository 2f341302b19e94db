"""Timers: saved with the state, due by the store's clock."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from ..._engine.ports import DueTimer, Fence, SaveOptions
from ..._model.commit import RecordedMessage
from ..._model.timer import ConsumeTimer, DropTimer, LeftState, RenamedState, SetTimer, TimerWrite
from ...errors import LeaseLostError
from .row import Row, time_text

_TIMER: Final = "workflow_id, definition, key, generation, command, command_data, state, keep, due_at, attempts"
_SET: Final = """\
INSERT OR REPLACE INTO timer (workflow_id, key, generation, definition, state, keep, command, command_data, due_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_STANDING: Final = "workflow_id = ? AND key = ? AND generation = ?"


def check_fences(connection: sqlite3.Connection, fences: Iterable[Fence]) -> None:
    """Check, inside the open transaction, that leases have not passed to another owner.

    Raises:
        LeaseLostError: One has.
    """
    for fence in fences:
        row = connection.execute("SELECT epoch FROM lease WHERE name = ?", (fence.name,)).fetchone()
        if row is None or row[0] != fence.epoch:
            raise LeaseLostError(fence.name, fence.epoch)


def write_timers(connection: sqlite3.Connection, saves: Iterable[SaveOptions], now: datetime) -> None:
    """Do what saves of different workflows do to timers, inside their transaction; each one's in order.

    What all of them do first is done first, by one call for each kind of write, then what they do second: a call for
    each write would take and give back the interpreter's lock as often.
    """
    writes = [(options, options.timers) for options in saves]
    for turn in range(max((len(own) for _, own in writes), default=0)):
        rows: dict[str, list[Row]] = {}
        for options, own in writes:
            if turn < len(own):
                statement, row = _statement(options, own[turn], now)
                rows.setdefault(statement, []).append(row)
        for statement, params in rows.items():
            connection.executemany(statement, params)


def _statement(options: SaveOptions, write: TimerWrite, now: datetime) -> tuple[str, Row]:
    match write:
        case SetTimer():
            due_at = time_text(write.at if write.at is not None else now + (write.delay or timedelta()))
            head = (options.id, write.key, write.generation, options.snapshot.definition, write.state, write.keep)
            return _SET, (*head, write.command.type, write.command.text, due_at)
        case DropTimer(key=key) | ConsumeTimer(key=key):
            return "DELETE FROM timer WHERE workflow_id = ? AND key = ?", (options.id, key)
        case LeftState(state=state):
            return "DELETE FROM timer WHERE workflow_id = ? AND NOT keep AND state <> ?", (options.id, state)
        case RenamedState(old=old, new=new):
            return "UPDATE timer SET state = ? WHERE workflow_id = ? AND state = ?", (new, options.id, old)


def stands(connection: sqlite3.Connection, id: str, key: str, generation: str) -> bool:
    """Return whether a timer is still set, in this generation."""
    return connection.execute(f"SELECT 1 FROM timer WHERE {_STANDING}", (id, key, generation)).fetchone() is not None


def due(connection: sqlite3.Connection, definitions: Collection[str], limit: int, now: str) -> list[DueTimer]:
    """Return due timers of some definitions, the oldest first."""
    found = [
        row
        for definition in definitions
        for row in connection.execute(
            f"SELECT {_TIMER} FROM timer WHERE definition = ? AND error IS NULL AND due_at <= ? "
            "ORDER BY due_at LIMIT ?",
            (definition, now, limit),
        )
    ]
    return sorted(map(due_timer, found), key=lambda timer: timer.due_at)[:limit]


def waiting(connection: sqlite3.Connection, id: str) -> list[DueTimer]:
    """Return the timers of one workflow that are not parked, the next one first."""
    query = f"SELECT {_TIMER} FROM timer WHERE workflow_id = ? AND error IS NULL ORDER BY due_at"
    return [due_timer(row) for row in connection.execute(query, (id,))]


def next_due(connection: sqlite3.Connection, definitions: Collection[str]) -> datetime | None:
    """Return when the earliest timer of some definitions is due."""
    query = "SELECT min(due_at) FROM timer WHERE definition = ? AND error IS NULL"
    found = [connection.execute(query, (definition,)).fetchone()[0] for definition in definitions]
    times = [datetime.fromisoformat(text) for text in found if text is not None]
    return min(times, default=None)


def finish(connection: sqlite3.Connection, timer: DueTimer) -> None:
    """Remove a timer, if it still stands."""
    connection.execute(f"DELETE FROM timer WHERE {_STANDING}", _identity(timer))


def postpone(connection: sqlite3.Connection, timer: DueTimer, due_at: str, attempts: int) -> None:
    """Let a timer be due again later, if it still stands."""
    connection.execute(
        f"UPDATE timer SET due_at = ?, attempts = ? WHERE {_STANDING}", (due_at, attempts, *_identity(timer))
    )


def bury(connection: sqlite3.Connection, timer: DueTimer, error: Mapping[str, Any], attempts: int) -> None:
    """Park a timer as a dead letter, if it still stands."""
    connection.execute(
        f"UPDATE timer SET error = ?, attempts = ? WHERE {_STANDING}",
        (json.dumps(dict(error)), attempts, *_identity(timer)),
    )


def due_timer(row: Row) -> DueTimer:
    """Return what a row of the timer's columns holds."""
    workflow_id, definition, key, generation, command, data, state, keep, due_at, attempts = row
    message = RecordedMessage.of_text(command, data)
    moment = datetime.fromisoformat(due_at)
    return DueTimer(workflow_id, definition, key, generation, message, state, bool(keep), moment, attempts)


def _identity(timer: DueTimer) -> tuple[str, str, str]:
    return timer.workflow_id, timer.key, timer.generation
