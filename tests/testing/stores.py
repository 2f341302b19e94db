"""Two-method stores as a user would write them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Self

from statewright import SaveOptions, StoredWorkflow, WorkflowSnapshot
from statewright.errors import ConcurrencyConflictError


class DictStore:
    """The least that a store can be: a dict, and a version check that nothing can come in between."""

    def __init__(self) -> None:
        self.rows: dict[str, WorkflowSnapshot] = {}

    async def load(self, id: str) -> StoredWorkflow | None:
        snapshot = self.rows.get(id)
        return None if snapshot is None else StoredWorkflow(snapshot, snapshot.version)

    async def save(self, options: SaveOptions) -> None:
        actual = self.rows[options.id].version if options.id in self.rows else 0
        if actual != options.expected_version:
            raise ConcurrencyConflictError(options.id, options.expected_version, actual)
        self.rows[options.id] = options.snapshot


class TableStore:
    """One table, one UPDATE that compares and swaps, one connection on a thread."""

    patience = 5.0
    """Seconds to wait for another connection that writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self.connection = sqlite3.connect(
            self.path, timeout=self.patience, isolation_level=None, check_same_thread=False
        )
        self.connection.execute("CREATE TABLE IF NOT EXISTS w (id TEXT PRIMARY KEY, version INTEGER, body TEXT)")
        return self

    async def __aexit__(self, *exc: object) -> None:
        async with self.lock:
            self.connection.close()

    async def load(self, id: str) -> StoredWorkflow | None:
        rows = await self.run("SELECT version, body FROM w WHERE id = ?", (id,))
        if not rows:
            return None
        version, body = rows[0]
        return StoredWorkflow(WorkflowSnapshot.from_dict(json.loads(body)).replace(version=version), version)

    async def save(self, options: SaveOptions) -> None:
        body = json.dumps(options.snapshot.to_dict())
        if options.expected_version == 0:
            statement = "INSERT INTO w VALUES (?, 1, ?) ON CONFLICT DO NOTHING RETURNING 1"
            saved = await self.run(statement, (options.id, body))
        else:
            statement = "UPDATE w SET version = version + 1, body = ? WHERE id = ? AND version = ? RETURNING 1"
            saved = await self.run(statement, (body, options.id, options.expected_version))
        if not saved:
            found = await self.load(options.id)
            raise ConcurrencyConflictError(options.id, options.expected_version, found.version if found else 0)

    async def run(self, statement: str, values: tuple[object, ...]) -> list[tuple[int, str]]:
        async with self.lock:
            # Shielded: a thread cannot be cancelled, and the next statement must not begin beside it.
            running = asyncio.ensure_future(asyncio.to_thread(self._run, statement, values))
            try:
                return await asyncio.shield(running)
            finally:
                await asyncio.wait({running})

    def _run(self, statement: str, values: tuple[object, ...]) -> list[tuple[int, str]]:
        return self.connection.execute(statement, values).fetchall()
