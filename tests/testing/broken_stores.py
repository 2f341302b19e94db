"""Stores with one fault each, which the contract must find."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

from statewright import MemoryStore, SaveOptions, StoredWorkflow, WorkflowSnapshot
from statewright.errors import ConcurrencyConflictError
from tests.testing.stores import DictStore, TableStore


class UncheckedStore(DictStore):
    """Takes every save: the last one wins."""

    async def save(self, options: SaveOptions) -> None:
        self.rows[options.id] = options.snapshot


class ReadThenWriteStore(DictStore):
    """Checks the version, but others may write between the check and the write."""

    async def save(self, options: SaveOptions) -> None:
        stored = await self.load(options.id)
        actual = stored.version if stored else 0
        if actual != options.expected_version:
            raise ConcurrencyConflictError(options.id, options.expected_version, actual)
        await asyncio.sleep(0)
        self.rows[options.id] = options.snapshot


class WrongFactsStore(DictStore):
    """Refuses rightly, but does not say which version it found."""

    async def save(self, options: SaveOptions) -> None:
        try:
            await super().save(options)
        except ConcurrencyConflictError as error:
            raise ConcurrencyConflictError(error.workflow_id, error.expected_version, error.expected_version) from None


class _LiveSnapshot(WorkflowSnapshot):
    """A snapshot whose data is one object, decoded once."""

    live: Any

    @property
    def data(self) -> Any:
        return self.live


class SharedSnapshotStore(DictStore):
    """Hands out the very object that it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[tuple[str, int], Any] = {}

    async def load(self, id: str) -> StoredWorkflow | None:
        stored = await super().load(id)
        if stored is None:
            return None
        shared = _LiveSnapshot.from_dict(stored.snapshot.to_dict())
        shared.__dict__["live"] = self.live.setdefault((id, stored.version), stored.snapshot.data)
        return StoredWorkflow(shared, stored.version)


class EagerStore(DictStore):
    """Acknowledges a save, and writes it a little later."""

    async def save(self, options: SaveOptions) -> None:
        asyncio.get_running_loop().call_later(0.005, asyncio.ensure_future, self._later(options))

    async def _later(self, options: SaveOptions) -> None:
        try:
            await super().save(options)
        except ConcurrencyConflictError:
            pass


class UncommittedStore(TableStore):
    """Acknowledges a save inside a transaction that only the next save commits."""

    patience = 0.02

    async def save(self, options: SaveOptions) -> None:
        if self.connection.in_transaction:
            self.connection.execute("COMMIT")
        self.connection.execute("BEGIN IMMEDIATE")
        await super().save(options)


class ReorderingStore(DictStore):
    """Keeps data as a database does that sorts keys and forgets what was a float."""

    async def save(self, options: SaveOptions) -> None:
        data = json.loads(json.dumps(options.snapshot.data, sort_keys=True), parse_float=_shortest)
        await super().save(_with(options, options.snapshot.replace(data=data)))


class CarelessIdStore(TableStore):
    """Compares ids as a case-insensitive collation does."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE w (id TEXT PRIMARY KEY COLLATE NOCASE, version INTEGER, body TEXT)")
        connection.close()


class LostCommitStore(MemoryStore):
    """Keeps the last commit of a fold only."""

    async def save(self, options: SaveOptions) -> None:
        await super().save(SaveOptions(options.id, options.snapshot, options.expected_version, options.commits[-1:]))


class EveryTenthLostStore(MemoryStore):
    """Loses the commit row of one save in ten, and keeps the workflow."""

    saves = 0

    async def save(self, options: SaveOptions) -> None:
        self.saves += 1
        commits = options.commits if self.saves % 10 else ()
        await super().save(
            SaveOptions(options.id, options.snapshot, options.expected_version, commits, options.expected_commit_id)
        )


class UnfencedStore(MemoryStore):
    """Reports commit ids, and does not compare them."""

    async def save(self, options: SaveOptions) -> None:
        await super().save(SaveOptions(options.id, options.snapshot, options.expected_version, options.commits))


class SkippingStore(MemoryStore):
    """Numbers commits by a clock that runs ahead of the saves, so that pages miss some."""

    async def commits(self, *, after: int = 0, limit: int = 1000) -> list[Any]:
        page = await super().commits(after=after, limit=limit + 1)
        return page[1:] if len(page) > limit else page


class ForgetfulStore(MemoryStore):
    """Forgets the workflow, but not its idempotency keys."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], Any] = {}

    async def recall(self, id: str, key: str) -> Any:
        found = await super().recall(id, key)
        return self.kept.setdefault((id, key), found) if found else self.kept.get((id, key))

    async def forget(self, id: str) -> bool:
        for options_id, row in list(self._rows.items()):
            for key in row.answers:
                await self.recall(options_id, key)
        return await super().forget(id)


class HastyTimersStore(MemoryStore):
    """Sets and ends timers before it knows whether the save wins."""

    def _save(self, options: SaveOptions) -> None:
        self._keep_timers(options)
        super()._save(options)


class UnguardedStore(MemoryStore):
    """Grants leases, and does not ask for them when somebody acts on one."""

    def _check_fences(self, fences: object) -> None:
        pass


def _shortest(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number


def _with(options: SaveOptions, snapshot: WorkflowSnapshot) -> SaveOptions:
    return SaveOptions(options.id, snapshot, options.expected_version, options.commits)
