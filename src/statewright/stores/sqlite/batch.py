"""Saving many workflows in one transaction: each a compare-and-swap, none harmed by another's lost race."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final

from ..._engine.ports import SaveOptions
from ...errors import ConcurrencyConflictError, ExecutionError, LeaseLostError
from .request import Save
from .row import ANSWER_COLUMNS, WORKFLOW_COLUMNS, Row, stored_workflow
from .timer import check_fences, write_timers

# Each picks its parameters from `SaveRows.workflow`: numbered placeholders would do so by themselves, but Python warns
# of them from 3.12.0 to 3.12.3. The usual save stays in its state: leaving `state` out of SET spares the index a write
# that SQLite would make for an equal value, too.
_STAY: Final = (
    """\
UPDATE workflow SET data = ?, model_version = ?, version = ?, commit_id = ?, created_at = ?, updated_at = ?,
  has_timers = max(has_timers, ?), entered_at = coalesce(?, entered_at)
WHERE state = ? AND definition = ? AND commit_id = coalesce(?, commit_id) AND version = ? AND id = ?""",
    itemgetter(0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13),
)
_MOVE: Final = (
    """\
UPDATE workflow SET data = ?, model_version = ?, version = ?, commit_id = ?, created_at = ?, updated_at = ?,
  has_timers = max(has_timers, ?), entered_at = coalesce(?, ?, entered_at), state = ?, definition = ?
WHERE commit_id = coalesce(?, commit_id) AND version = ? AND id = ?""",
    tuple,
)
_CREATE: Final = (
    """\
INSERT INTO workflow
  (data, model_version, version, commit_id, created_at, updated_at, has_timers, entered_at, state, definition, id)
VALUES (?, ?, ?, ?, ?, ?, ?, coalesce(?, ?, ?), ?, ?, ?)
ON CONFLICT (id) DO NOTHING""",
    itemgetter(0, 1, 2, 3, 4, 5, 6, 7, 8, 5, 9, 10, 13),
)
_COMMIT: Final = """\
INSERT INTO workflow_commit (id, workflow_id, version, definition, command, command_data, events, state, data,
  model_version, metadata, idempotency_key, created_at, updated_at, recorded_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
# Whoever saves a key again has looked it up and found it expired, so that the new record is the one to keep.
_ANSWER: Final = """\
INSERT OR REPLACE INTO idempotency (workflow_id, key, command, fingerprint, definition, state, data, model_version,
  version, created_at, updated_at, events, kept_since)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_PURGE: Final = """\
DELETE FROM idempotency
WHERE kept_since <= ? AND number IN (
  SELECT number FROM idempotency
  WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.key = idempotency.key) ORDER BY number LIMIT ?
)"""
_OLDEST: Final = """\
SELECT kept_since FROM idempotency
WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.key = idempotency.key) ORDER BY number LIMIT 1"""
# The key of a command that is still to be delivered holds for as long as that takes. CROSS JOIN keeps the order of the
# two tables: `(workflow_id, key) IN (VALUES ...)` would read the whole table for every look-up.
_RECALL: Final = f"""\
SELECT {ANSWER_COLUMNS}, key FROM (VALUES {{}}) AS asked
CROSS JOIN idempotency ON workflow_id = asked.column1 AND key = asked.column2
WHERE kept_since > ? OR EXISTS (SELECT 1 FROM outbox WHERE outbox.key = idempotency.key)"""

_LOAD: Final = f"SELECT {WORKFLOW_COLUMNS} FROM workflow WHERE id = ?"

_PURGED_PER_ANSWER: Final = 3
_IDS_PER_QUERY: Final = 256
_KEYS_PER_QUERY: Final = 128


def save_all(connection: sqlite3.Connection, saves: Sequence[Save], *, now: str) -> list[tuple[Save, ExecutionError]]:
    """Save what can be saved, inside the open transaction, and return the losers.

    Args:
        connection: With a transaction begun.
        saves: Of different workflows.
        now: The store's time.
    """
    refused = list(_without_lease(connection, saves))
    if refused:
        out = {save for save, _ in refused}
        saves = [save for save in saves if save not in out]
    lost = [
        *_swap(connection, (_CREATE,), [save for save in saves if save.options.expected_version == 0]),
        *_swap(connection, (_STAY, _MOVE), [save for save in saves if save.options.expected_version != 0]),
    ]
    losers = set(lost)
    won = [save for save in saves if save not in losers] if lost else saves
    if commits := [row for save in won for row in save.rows.commits]:
        connection.executemany(_COMMIT, commits)
    if answers := [(*row, now) for save in won for row in save.rows.answers]:
        connection.executemany(_ANSWER, answers)
    if timed := [save.options for save in won if save.rows.has_timer_writes]:
        write_timers(connection, timed, datetime.fromisoformat(now))
    return [*refused, *_conflicts(connection, lost)]


def _without_lease(connection: sqlite3.Connection, saves: Sequence[Save]) -> Iterator[tuple[Save, LeaseLostError]]:
    for save in saves:
        if save.options.fences:
            try:
                check_fences(connection, save.options.fences)
            except LeaseLostError as error:
                yield save, error


def _swap(
    connection: sqlite3.Connection, statements: Iterable[tuple[str, Callable[[Row], Row]]], saves: list[Save]
) -> list[Save]:
    """Run one statement after the other over what is not saved yet, and return what none has saved."""
    for statement, parameters in statements:
        if not saves:
            break
        count = connection.executemany(statement, [parameters(save.rows.workflow) for save in saves]).rowcount
        if count == len(saves):
            return []
        if count:
            written = {row[0]: row[8] for row in rows_of_ids(connection, [save.options.id for save in saves])}
            saves = [save for save in saves if written.get(save.options.id) != save.rows.commit_id]
    return saves


def _conflicts(connection: sqlite3.Connection, lost: Sequence[Save]) -> Iterator[tuple[Save, ConcurrencyConflictError]]:
    if not lost:
        return
    found = {row[0]: row for row in rows_of_ids(connection, [save.options.id for save in lost])}
    for save in lost:
        yield save, _conflict(save.options, found.get(save.options.id))


def _conflict(options: SaveOptions, row: Row | None) -> ConcurrencyConflictError:
    current = None if row is None else stored_workflow(row)
    actual = 0 if current is None else current.version
    conflict = ConcurrencyConflictError(options.id, options.expected_version, actual)
    conflict.__dict__["current"] = current
    return conflict


def row_of_id(connection: sqlite3.Connection, id: str) -> Row | None:
    """Return the row of a workflow."""
    row: Row | None = connection.execute(_LOAD, (id,)).fetchone()
    return row


def rows_of_ids(connection: sqlite3.Connection, ids: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of the workflows that there are."""
    for start in range(0, len(ids), _IDS_PER_QUERY):
        some = ids[start : start + _IDS_PER_QUERY]
        # Lengths are rounded up to powers of two, so that there are few statements to prepare.
        places = 1 << (len(some) - 1).bit_length()
        yield from connection.execute(
            f"SELECT {WORKFLOW_COLUMNS} FROM workflow WHERE id IN ({','.join('?' * places)})",
            [*some, *[some[-1]] * (places - len(some))],
        )


def purge(connection: sqlite3.Connection, answers: int, *, expired: str) -> str:
    """Delete expired keys, inside the open transaction: at most a few for each one that was recorded in it.

    Returns:
        Since when the oldest that is left has been kept: there is nothing to delete before that has expired.
    """
    connection.execute(_PURGE, (expired, answers * _PURGED_PER_ANSWER))
    row = connection.execute(_OLDEST).fetchone()
    return expired if row is None else str(row[0])


def answer_rows(
    connection: sqlite3.Connection, asked: Sequence[tuple[str, str]], *, expired: str
) -> dict[tuple[str, str], Row]:
    """Return the rows of idempotency keys that have not expired, by workflow and key."""
    found: dict[tuple[str, str], Row] = {}
    for start in range(0, len(asked), _KEYS_PER_QUERY):
        some = asked[start : start + _KEYS_PER_QUERY]
        places = 1 << (len(some) - 1).bit_length()  # as for ids
        query = _RECALL.format(",".join(["(?,?)"] * places))
        params = [part for pair in [*some, *[some[-1]] * (places - len(some))] for part in pair]
        found |= {(row[0], row[-1]): row[:-1] for row in connection.execute(query, [*params, expired])}
    return found
