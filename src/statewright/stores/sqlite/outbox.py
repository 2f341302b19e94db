"""Leases, positions of readers, and what reactors decided until it is delivered."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from ..._engine.ports import DeadLetter, Delivery, Fence, ReaderStatus
from ..._model.commit import RecordedMessage
from ..._model.plain import to_text
from .row import Row

_DELIVERY: Final = (
    "id, reader, position, number, source_id, commit_id, target, target_id, command, command_data, is_droppable, "
    "metadata, attempts"
)
_PUT: Final = """\
INSERT INTO outbox (reader, position, number, source_id, commit_id, key, target, target_id, command, command_data,
  is_droppable, metadata, due_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
# What waits for its time, or is a dead letter, holds back what follows from the same source.
_DUE: Final = f"""\
SELECT {_DELIVERY} FROM outbox AS this
WHERE reader = :reader AND error IS NULL AND due_at <= :now AND NOT EXISTS (
  SELECT 1 FROM outbox AS first
  WHERE first.source_id = this.source_id AND first.reader = this.reader
    AND (first.position, first.number) < (this.position, this.number)
    AND (first.error IS NOT NULL OR first.due_at > :now)
)
ORDER BY position, number LIMIT :limit"""
_TAKE: Final = """\
INSERT INTO lease (name, owner, epoch, until) VALUES (:name, :owner, 1, :until)
ON CONFLICT (name) DO UPDATE SET
  epoch = epoch + (owner <> :owner OR until <= :now), owner = :owner, until = :until
WHERE owner = :owner OR until <= :now"""
_DEAD_TIMERS: Final = """\
SELECT 'timer-' || generation, definition, workflow_id, command, command_data, attempts, error FROM timer
WHERE error IS NOT NULL AND 'timer-' || generation > ? ORDER BY generation LIMIT ?"""
_DEAD_DELIVERIES: Final = """\
SELECT printf('delivery-%016d', id), reader, source_id, target, target_id, command, command_data, position, attempts,
  error
FROM outbox WHERE error IS NOT NULL AND printf('delivery-%016d', id) > ? ORDER BY id LIMIT ?"""

_RETRY_DELIVERY: Final = """\
UPDATE outbox SET error = NULL, attempts = 0, due_at = ? WHERE id = ? AND error IS NOT NULL"""
# A timer was due by the worker's clock, which need not be this one: so it is still.
_RETRY_TIMER: Final = "UPDATE timer SET error = NULL, attempts = 0 WHERE generation = ? AND error IS NOT NULL"
_DROP_DELIVERY: Final = "DELETE FROM outbox WHERE id = ? AND error IS NOT NULL"
_DROP_TIMER: Final = "DELETE FROM timer WHERE generation = ? AND error IS NOT NULL"
_DIGITS: Final = 16
"""Of the number in a delivery's id."""


# --- leases ----------------------------------------------------------------------------------------------------------


def acquire(connection: sqlite3.Connection, names: Collection[str], owner: str, now: str, until: str) -> list[Fence]:
    """Take the leases that are free or have run out, renew the owner's own, and return all that it holds."""
    lease = {"owner": owner, "now": now, "until": until}
    held = [name for name in names if connection.execute(_TAKE, {"name": name, **lease}).rowcount]
    epochs = [connection.execute("SELECT epoch FROM lease WHERE name = ?", (name,)).fetchone()[0] for name in held]
    return [Fence(name, epoch) for name, epoch in zip(held, epochs, strict=True)]


def release(connection: sqlite3.Connection, fences: Collection[Fence], now: str) -> None:
    """Give leases back; those that have passed to another owner are left alone."""
    connection.executemany(
        "UPDATE lease SET owner = '', until = ? WHERE name = ? AND epoch = ?",
        [(now, fence.name, fence.epoch) for fence in fences],
    )


# --- readers ---------------------------------------------------------------------------------------------------------


def position(connection: sqlite3.Connection, name: str) -> int | None:
    """Return how far a reader has read."""
    row = connection.execute("SELECT position FROM reader WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def last_position(connection: sqlite3.Connection) -> int:
    """Return the position of the last commit."""
    # The counter, not the rows: the last commit may have been forgotten.
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'workflow_commit'").fetchone()
    return 0 if row is None else int(row[0])


def start(connection: sqlite3.Connection, name: str, at: int) -> None:
    """Let a reader start, unless it has."""
    connection.execute("INSERT INTO reader (name, position) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (name, at))


def advance(connection: sqlite3.Connection, name: str, at: int, deliveries: Sequence[Delivery], now: str) -> None:
    """Store what was decided, and the position."""
    put(connection, deliveries, now)
    connection.execute(
        "INSERT INTO reader (name, position) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET position = max(position, excluded.position)",
        (name, at),
    )


def statuses(connection: sqlite3.Connection) -> list[ReaderStatus]:
    """Return how far each reader has read."""
    last = last_position(connection)
    query = "SELECT name, position, (SELECT count(*) FROM outbox WHERE reader = name) FROM reader ORDER BY name"
    return [
        ReaderStatus(name=name, position=at, lag=max(0, last - at), undelivered=undelivered)
        for name, at, undelivered in connection.execute(query)
    ]


# --- deliveries ------------------------------------------------------------------------------------------------------


def put(connection: sqlite3.Connection, deliveries: Sequence[Delivery], now: str) -> None:
    """Store deliveries, due at once."""
    connection.executemany(_PUT, [_row(delivery, now) for delivery in deliveries])


def due(connection: sqlite3.Connection, name: str, limit: int, now: str) -> list[Delivery]:
    """Return what can be delivered, in order."""
    return [_delivery(row) for row in connection.execute(_DUE, {"reader": name, "now": now, "limit": limit})]


def finish(connection: sqlite3.Connection, ids: Collection[int]) -> None:
    """Remove deliveries that are done with."""
    connection.executemany("DELETE FROM outbox WHERE id = ?", [(id,) for id in ids])


def postpone(connection: sqlite3.Connection, id: int, due_at: str, attempts: int) -> None:
    """Let a delivery be due again later."""
    connection.execute("UPDATE outbox SET due_at = ?, attempts = ? WHERE id = ?", (due_at, attempts, id))


def replace(connection: sqlite3.Connection, id: int, deliveries: Sequence[Delivery], now: str) -> None:
    """Put deliveries in the place of one."""
    finish(connection, [id])
    put(connection, deliveries, now)


def bury(connection: sqlite3.Connection, id: int, error: Mapping[str, Any], attempts: int) -> None:
    """Park a delivery as a dead letter."""
    connection.execute(
        "UPDATE outbox SET error = ?, attempts = ? WHERE id = ?", (json.dumps(dict(error)), attempts, id)
    )


def has_undelivered(connection: sqlite3.Connection, name: str, source_id: str, at: int) -> bool:
    """Return whether something decided for a source, up to a position, is not delivered."""
    query = "SELECT 1 FROM outbox WHERE source_id = ? AND reader = ? AND position <= ? LIMIT 1"
    return connection.execute(query, (source_id, name, at)).fetchone() is not None


def _row(delivery: Delivery, now: str) -> Row:
    command = delivery.command
    return (
        delivery.reader,
        delivery.position,
        delivery.number,
        delivery.source_id,
        delivery.commit_id,
        delivery.key,
        delivery.target,
        delivery.target_id,
        None if command is None else command.type,
        None if command is None else command.text,
        delivery.is_droppable,
        to_text(dict(delivery.metadata)),
        now,
    )


def _delivery(row: Row) -> Delivery:
    id, reader, at, number, source_id, commit_id, target, target_id, command, data, is_droppable, metadata, tried = row
    return Delivery(
        id=id,
        reader=reader,
        position=at,
        number=number,
        source_id=source_id,
        commit_id=commit_id,
        target=target,
        target_id=target_id,
        command=None if command is None else RecordedMessage.of_text(command, data),
        is_droppable=bool(is_droppable),
        metadata=json.loads(metadata),
        attempts=tried,
    )


# --- dead letters ----------------------------------------------------------------------------------------------------


def dead_letters(connection: sqlite3.Connection, after: str, limit: int) -> list[DeadLetter]:
    """Return a page of dead letters, in order of id."""
    rows = connection.execute(_DEAD_DELIVERIES, (after, limit)).fetchall()
    found = [_dead_delivery(row) for row in rows]
    found += [_dead_timer(row) for row in connection.execute(_DEAD_TIMERS, (after, limit))]
    return found[:limit]  # deliveries sort before timers, as their ids do


def retry(connection: sqlite3.Connection, id: str, now: str) -> bool:
    """Let a dead letter be tried again, from the first attempt."""
    kind, value = _place(id)
    if kind == "outbox":
        return connection.execute(_RETRY_DELIVERY, (now, value)).rowcount > 0
    return connection.execute(_RETRY_TIMER, (value,)).rowcount > 0


def drop(connection: sqlite3.Connection, id: str) -> bool:
    """Remove a dead letter."""
    kind, value = _place(id)
    return connection.execute(_DROP_DELIVERY if kind == "outbox" else _DROP_TIMER, (value,)).rowcount > 0


def _place(id: str) -> tuple[str, str | int]:
    kind, _, rest = str(id).partition("-")
    if kind == "delivery" and rest.isdecimal() and len(rest) == _DIGITS:
        return "outbox", int(rest)
    return "timer", rest if kind == "timer" else ""


def _dead_delivery(row: Row) -> DeadLetter:
    id, reader, source_id, target, target_id, command, data, at, attempts, error = row
    return DeadLetter(
        id=id,
        kind="reactor" if command is None else "delivery",
        reader=reader,
        workflow_id=source_id,
        target=target,
        target_id=target_id,
        command=None if command is None else RecordedMessage.of_text(command, data),
        position=at,
        attempts=attempts,
        error=json.loads(error),
    )


def _dead_timer(row: Row) -> DeadLetter:
    id, definition, workflow_id, command, data, attempts, error = row
    return DeadLetter(
        id=id,
        kind="timer",
        reader=f"timers:{definition}",
        workflow_id=workflow_id,
        target=definition,
        target_id=workflow_id,
        command=RecordedMessage.of_text(command, data),
        position=None,
        attempts=attempts,
        error=json.loads(error),
    )
