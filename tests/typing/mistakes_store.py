"""Mistakes in stores of the user's own and with ours: each marked line must fail, and no other."""

from __future__ import annotations

from clean_order import OrderPlaced, router

from statewright import (
    Commit,
    MemoryStore,
    SaveOptions,
    SQLiteStore,
    StoreAdapter,
    StoredWorkflow,
    WorkflowExecutor,
    WorkflowSnapshot,
)


class WithoutSave:
    async def load(self, id: str) -> StoredWorkflow | None:
        return None


class Synchronous:
    def load(self, id: str) -> StoredWorkflow | None:
        return None

    def save(self, options: SaveOptions) -> None:
        return None


class LoadsSnapshots:
    async def load(self, id: str) -> WorkflowSnapshot | None:
        return None

    async def save(self, options: SaveOptions) -> None:
        return None


class LoadsByNumber:
    async def load(self, id: int) -> StoredWorkflow | None:
        return None

    async def save(self, options: SaveOptions) -> None:
        return None


class SavesSnapshots:
    async def load(self, id: str) -> StoredWorkflow | None:
        return None

    async def save(self, snapshot: WorkflowSnapshot) -> None:
        return None


class SavesInParts:
    async def load(self, id: str) -> StoredWorkflow | None:
        return None

    async def save(self, options: SaveOptions, commit: Commit) -> None:
        return None


class SavesWithAnAnswer:
    async def load(self, id: str) -> StoredWorkflow | None:
        return None

    async def save(self, options: SaveOptions) -> bool:
        return True


WorkflowExecutor(router, WithoutSave())  # E: mypy[arg-type] pyright[reportArgumentType]
WorkflowExecutor(router, Synchronous())  # E: mypy[arg-type] pyright[reportArgumentType]
WorkflowExecutor(router, LoadsSnapshots())  # E: mypy[arg-type] pyright[reportArgumentType]
WorkflowExecutor(router, LoadsByNumber())  # E: mypy[arg-type] pyright[reportArgumentType]
WorkflowExecutor(router, SavesSnapshots())  # E: mypy[arg-type] pyright[reportArgumentType]
WorkflowExecutor(router, SavesInParts())  # E: mypy[arg-type] pyright[reportArgumentType]
WorkflowExecutor(router, SavesWithAnAnswer())  # E: mypy[arg-type] pyright[reportArgumentType]
WorkflowExecutor(router, MemoryStore)  # E: mypy[arg-type] pyright[reportArgumentType]
adapter: StoreAdapter = WithoutSave()  # E: mypy[assignment] pyright[reportAssignmentType]


class Careless:
    """Has the right shape, and mistakes within."""

    async def load(self, id: str) -> StoredWorkflow | None:
        return StoredWorkflow(id, 1)  # E: mypy[arg-type] pyright[reportArgumentType]

    async def save(self, options: SaveOptions) -> None:
        options.expected_version = 3  # E: mypy[misc] pyright[reportAttributeAccessIssue]
        print(options.version)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]
        options.commits.append(options.snapshot)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]
        for commit in options.commits:
            print(commit.position)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def stored_without_a_version(snapshot: WorkflowSnapshot) -> None:
    StoredWorkflow(snapshot)  # E: mypy[call-arg] pyright[reportCallIssue]


def options_without_an_expectation(snapshot: WorkflowSnapshot) -> None:
    SaveOptions("o-1", snapshot)  # E: mypy[call-arg] pyright[reportCallIssue]


async def row_may_be_missing(store: StoreAdapter) -> None:
    print((await store.load("o-1")).version)  # E: mypy[union-attr] pyright[reportOptionalMemberAccess]


async def load_not_awaited(store: StoreAdapter) -> None:
    print(store.load("o-1").version)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


async def commits_by_position(store: MemoryStore) -> None:
    await store.commits(3)  # E: mypy[call-arg] pyright[reportCallIssue]


async def commits_not_awaited(store: MemoryStore) -> None:
    len(store.commits())  # E: mypy[arg-type] pyright[reportArgumentType]


async def recorded_is_not_decoded(store: MemoryStore) -> list[OrderPlaced]:
    return [event for commit in await store.commits() for event in commit.events]  # E: mypy[misc] pyright[reportReturnType]


async def field_of_a_recorded_event(store: MemoryStore) -> None:
    for commit in await store.commits():
        print(commit.events[0].order_id)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def commit_is_changed(commit: Commit) -> None:
    commit.position = 4  # E: mypy[misc] pyright[reportAttributeAccessIssue]


def more_than_an_adapter_promises(store: StoreAdapter) -> None:
    store.subscribe(after=0)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def opened_synchronously() -> None:
    with SQLiteStore("orders.db"):  # E: mypy[attr-defined] pyright[reportGeneralTypeIssues]
        pass


def file_of_a_number() -> None:
    SQLiteStore(7)  # E: mypy[arg-type] pyright[reportArgumentType]


def file_of_nothing() -> None:
    SQLiteStore()  # E: mypy[call-arg] pyright[reportCallIssue]
