"""A user's module: a store, a clock and tools of the user's own. Both checkers must find nothing here."""

from __future__ import annotations

from clean_order import Order, router

from statewright import (
    Commit,
    ConcurrencyConflictError,
    MemoryStore,
    RecordedMessage,
    SaveOptions,
    SQLiteStore,
    StoreAdapter,
    StoredWorkflow,
    StoreUnavailableError,
    WorkflowExecutor,
    WorkflowSnapshot,
)


class DictStore:
    """Two methods are a store; it inherits from nothing."""

    def __init__(self) -> None:
        self._rows: dict[str, WorkflowSnapshot] = {}

    async def load(self, id: str) -> StoredWorkflow | None:
        snapshot = self._rows.get(id)
        return None if snapshot is None else StoredWorkflow(snapshot=snapshot, version=snapshot.version)

    async def save(self, options: SaveOptions) -> None:
        row = self._rows.get(options.id)
        actual = 0 if row is None else row.version
        if actual != options.expected_version:
            raise ConcurrencyConflictError(options.id, options.expected_version, actual)
        for event in options.events:
            print(event.type, event.data)
        self._rows[options.id] = options.snapshot


class Behind:
    """A store in front of a store."""

    def __init__(self, inner: StoreAdapter) -> None:
        self.inner = inner

    async def load(self, id: str) -> StoredWorkflow | None:
        try:
            return await self.inner.load(id)
        except OSError as exc:
            raise StoreUnavailableError("the file is gone") from exc

    async def save(self, options: SaveOptions) -> None:
        await self.inner.save(options)


stores: list[StoreAdapter] = [DictStore(), Behind(DictStore()), MemoryStore(), SQLiteStore(":memory:")]
executors: list[WorkflowExecutor[Order]] = [WorkflowExecutor(router, store) for store in stores]


async def last_events(store: MemoryStore | SQLiteStore) -> list[RecordedMessage]:
    commits: list[Commit] = await store.commits(after=0, limit=100)
    return [event for commit in commits for event in commit.events]


def moved(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
    return snapshot.replace(model_version=snapshot.model_version + 1)
