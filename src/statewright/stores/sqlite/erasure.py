"""Taking out what shall not be kept."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

_FORGET: Final = (
    "DELETE FROM workflow WHERE id = ?",
    "DELETE FROM workflow_commit WHERE workflow_id = ?",
    "DELETE FROM idempotency WHERE workflow_id = ?",
    "DELETE FROM timer WHERE workflow_id = ?",
    "DELETE FROM outbox WHERE source_id = ?",
    "DELETE FROM outbox WHERE target_id = ?",
)
_WINDOW: Final = """\
SELECT position, EXISTS (
  SELECT 1 FROM workflow_commit AS later WHERE later.workflow_id = old.workflow_id AND later.version > old.version
)
FROM workflow_commit AS old WHERE position > ? AND position < ? ORDER BY position LIMIT ?"""
_FIRST_YOUNG: Final = "SELECT position FROM workflow_commit WHERE recorded_at >= ? ORDER BY position LIMIT 1"
_END: Final = "SELECT coalesce(max(position), 0) + 1 FROM workflow_commit"
# What a reader has not read, or a dead letter stands for, may not go.
_NEEDED: Final = """\
SELECT min(position) FROM (SELECT min(position) + 1 AS position FROM reader UNION ALL SELECT min(position) FROM outbox)
WHERE position IS NOT NULL"""

_STEP: Final = 500


def forget(connection: sqlite3.Connection, id: str) -> bool:
    """Delete everything that is kept of a workflow, inside the open transaction; return whether there was anything."""
    return sum(connection.execute(statement, (id,)).rowcount for statement in _FORGET) > 0


@dataclass(frozen=True, slots=True)
class PruneStep:
    """A part of the commits, short enough not to hold up saves."""

    removed: int
    reached: int
    """All commits up to this position have been looked at."""
    is_last: bool


def first_to_keep(connection: sqlite3.Connection, before_position: int | None, since: str | None) -> int:
    """Return the position where pruning ends: everything below may go.

    With `since`, it ends at the first commit that is as young: what goes comes before all that stays to be read on,
    whatever clocks dated the commits.
    """
    end: int = connection.execute(_END).fetchone()[0]
    if before_position is not None:
        end = min(end, before_position)
    if since is not None:
        young = connection.execute(_FIRST_YOUNG, (since,)).fetchone()
        end = end if young is None else min(end, young[0])
    return end


def prune(connection: sqlite3.Connection, after: int, before: int) -> PruneStep:
    """Delete some commits between two positions, inside the open transaction; never the newest of a workflow."""
    needed = connection.execute(_NEEDED).fetchone()[0]  # asked in each step: a reader may start in between
    if needed is not None:
        before = min(before, needed)
    window = connection.execute(_WINDOW, (after, before, _STEP)).fetchall()
    old = [(position,) for position, has_later in window if has_later]
    connection.executemany("DELETE FROM workflow_commit WHERE position = ?", old)
    if old:
        connection.execute("UPDATE horizon SET position = max(position, ?)", old[-1])
    reached = window[-1][0] if window else after
    return PruneStep(len(old), reached, len(window) < _STEP)
