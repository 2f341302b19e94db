"""Reading commits and lists, one page at a time: no read transaction outlives a page."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

from ..._engine.ports import StoredWorkflow
from ..._model.commit import Commit
from ..._model.snapshot import WorkflowSnapshot
from ...errors import PositionPrunedError
from .row import (
    COMMIT_COLUMNS,
    SNAPSHOT_COLUMNS,
    WORKFLOW_COLUMNS,
    stored_commit,
    stored_snapshot,
    stored_workflow,
)

_HISTORY: Final = f"""\
SELECT {COMMIT_COLUMNS} FROM workflow_commit WHERE workflow_id = ? AND version > ? ORDER BY version LIMIT ?"""
_COMMITS: Final = f"SELECT {COMMIT_COLUMNS} FROM workflow_commit WHERE position > ? ORDER BY position LIMIT ?"
_SNAPSHOT: Final = f"SELECT workflow_id, {SNAPSHOT_COLUMNS} FROM workflow_commit WHERE workflow_id = ? AND version = ?"
_FIND_ALL: Final = f"SELECT {WORKFLOW_COLUMNS} FROM workflow WHERE id > ? ORDER BY id LIMIT ?"
_FIND_STATE: Final = f"SELECT {WORKFLOW_COLUMNS} FROM workflow WHERE state = ? AND id > ? ORDER BY id LIMIT ?"
_FIND: Final = f"""\
SELECT {WORKFLOW_COLUMNS} FROM workflow WHERE definition = ? AND state = ? AND id > ? ORDER BY id LIMIT ?"""
# Jumps from one state to the next in the index, instead of walking over all workflows of the definition.
_STATES: Final = """\
WITH RECURSIVE found (state) AS (
  SELECT min(state) FROM workflow WHERE definition = :definition
  UNION ALL
  SELECT (SELECT min(state) FROM workflow WHERE definition = :definition AND state > found.state)
  FROM found WHERE found.state IS NOT NULL
)
SELECT state FROM found WHERE state IS NOT NULL"""
_COUNT_BY_STATE: Final = "SELECT state, count(*) FROM workflow WHERE definition = ? GROUP BY state"


def history(connection: sqlite3.Connection, id: str, after: int, limit: int) -> list[Commit]:
    """Return a page of a workflow's commits."""
    return [stored_commit(row) for row in connection.execute(_HISTORY, (id, after, limit)).fetchall()]


def snapshot_at(connection: sqlite3.Connection, id: str, version: int) -> WorkflowSnapshot | None:
    """Return the workflow as it was after a commit."""
    row = connection.execute(_SNAPSHOT, (id, version)).fetchone()
    return None if row is None else stored_snapshot(row)


def commits(connection: sqlite3.Connection, after: int, limit: int) -> list[Commit]:
    """Return a page of all commits.

    Raises:
        PositionPrunedError: Some of what was asked for has been pruned.
    """
    rows = connection.execute(_COMMITS, (after, limit)).fetchall()
    # Read after the page: what was pruned before the page was read is in it for certain.
    horizon = connection.execute("SELECT position FROM horizon").fetchone()[0]
    if after < horizon:
        raise PositionPrunedError(after, horizon)
    return [stored_commit(row) for row in rows]


def find(
    connection: sqlite3.Connection, definition: str | None, state: str | None, after: str, limit: int
) -> list[StoredWorkflow]:
    """Return a page of workflows in order of id."""
    if definition is None and state is None:
        rows = connection.execute(_FIND_ALL, (after, limit)).fetchall()
    elif definition is None:
        rows = connection.execute(_FIND_STATE, (state, after, limit)).fetchall()
    else:
        with _one_view(connection):
            states = _states(connection, definition) if state is None else [state]
            found = (connection.execute(_FIND, (definition, each, after, limit)).fetchall() for each in states)
            rows = sorted((row for some in found for row in some), key=lambda row: row[0])[:limit]
    return [stored_workflow(row) for row in rows]


def _states(connection: sqlite3.Connection, definition: str) -> list[str]:
    return [row[0] for row in connection.execute(_STATES, {"definition": definition})]


def count(connection: sqlite3.Connection, definition: str | None, state: str | None) -> int:
    """Return how many workflows there are."""
    given = {name: value for name, value in (("definition", definition), ("state", state)) if value is not None}
    condition = " AND ".join(f"{name} = :{name}" for name in given) or "1"
    return int(connection.execute(f"SELECT count(*) FROM workflow WHERE {condition}", given).fetchone()[0])


def count_by_state(connection: sqlite3.Connection, definition: str) -> Mapping[str, int]:
    """Return how many workflows of a definition are in each state."""
    return dict(connection.execute(_COUNT_BY_STATE, (definition,)).fetchall())


@contextmanager
def _one_view(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")
