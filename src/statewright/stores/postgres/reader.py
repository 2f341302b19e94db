"""What is read, through whichever connection."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from ..._engine.argument import EVERYTHING, check_after, check_limit, check_number
from ..._engine.ports import RecordedAnswer, StoredWorkflow
from ..._model.commit import Commit
from ..._model.snapshot import WorkflowSnapshot
from .link import Params, Row
from .rows import answer_of, array, check_text, commit_of, snapshot_of, stored_of
from .statements import Statements
from .timers import age_text


class Fetch(Protocol):
    """Sends a statement and returns its rows."""

    def __call__(self, query: bytes, params: Params = ()) -> Awaitable[list[Row]]:
        """Send it."""
        ...


class Reader:
    """Reads workflows and commits.

    Args:
        fetch: Sends a statement; raises `StoreError`s only.
        statements: Of the schema.
        retention: For how long an idempotency key is remembered.
    """

    def __init__(self, fetch: Fetch, statements: Statements, retention: timedelta) -> None:
        self._fetch = fetch
        self._sql = statements
        self._retention = age_text(retention)

    async def load_many(self, ids: Sequence[str]) -> dict[str, StoredWorkflow]:
        """Return what is stored under these ids."""
        if len(ids) == 1:
            rows = await self._fetch(self._sql["load"], ids)
        else:
            rows = await self._fetch(self._sql["load_many"], (array(ids),))
        return {row[0]: stored_of(row) for row in rows}

    async def recall_many(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], RecordedAnswer]:
        """Return what was recorded under these pairs of workflow and key."""
        ids, names = zip(*keys, strict=True)
        rows = await self._fetch(self._sql["recall"], (array(ids), array(names), self._retention))
        return {(row[0], row[1]): answer_of(row) for row in rows}

    async def history(self, id: str, after: int, limit: int | None) -> list[Commit]:
        """Return a workflow's commits with a version above `after`, oldest first."""
        most = EVERYTHING if limit is None else check_limit(limit)
        params = (check_text("id", id), str(check_number("after", after)), str(most))
        rows = await self._fetch(self._sql["history"], params)
        return [commit_of(row) for row in rows]

    async def snapshot_at(self, id: str, version: int) -> WorkflowSnapshot | None:
        """Return the workflow as it was after the commit with this version."""
        params = (check_text("id", id), str(check_number("version", version)))
        rows = await self._fetch(self._sql["snapshot_at"], params)
        return snapshot_of(rows[0]) if rows else None

    async def find(self, definition: str | None, state: str | None, after: str, limit: int) -> list[StoredWorkflow]:
        """Return workflows with an id above `after`, in order of id."""
        name, chosen = _narrowed("find", definition, state)
        params = (check_text("after", check_after(after)), str(check_limit(limit)), *chosen)
        return [stored_of(row) for row in await self._fetch(self._sql[name], params)]

    async def count(self, definition: str | None, state: str | None) -> int:
        """Return how many workflows there are."""
        name, chosen = _narrowed("count", definition, state)
        [(count,)] = await self._fetch(self._sql[name], chosen)
        return int(count)

    async def count_by_state(self, definition: str) -> Mapping[str, int]:
        """Return how many workflows of a definition are in each state that has any."""
        rows = await self._fetch(self._sql["count_by_state"], (check_text("definition", definition),))
        return dict(sorted((state, count) for state, count in rows))


def _narrowed(verb: str, definition: str | None, state: str | None) -> tuple[str, tuple[str, ...]]:
    chosen = {"definition": definition, "state": state}
    given = {name: check_text(name, value) for name, value in chosen.items() if value is not None}
    return "_".join([verb, *(given or ["any"])]), tuple(given.values())
