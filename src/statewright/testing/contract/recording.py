"""Stores that keep commits: their history, and how a workflow was at any of them."""

# ruff: noqa: S101 - a specification asserts

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from ..._engine.ports import FoldingStore, HistoryStore, SaveOptions, StoreAdapter
from ..._model.commit import Commit, NewCommit, RecordedMessage
from ..._model.plain import to_text
from ...errors import ConcurrencyConflictError
from .racing import PATIENCE
from .samples import DATA, ID, check_same, following, loaded, opening, refused


class HistoryClauses:
    """Every accepted save leaves its commits, and they lead back to every version."""

    @pytest.fixture
    def history_store(self, store: StoreAdapter) -> HistoryStore:
        """The store, if it keeps commits."""
        if not isinstance(store, HistoryStore):
            pytest.skip(f"{type(store).__name__} keeps no commits (HistoryStore)")
        return store

    async def test_history_of_nobody_is_empty(self, history_store: HistoryStore) -> None:
        """A workflow that was never saved has no commits and no past."""
        assert await history_store.history("nobody") == []
        assert await history_store.snapshot_at("nobody", 1) is None

    async def test_history_is_dense(self, store: StoreAdapter, history_store: HistoryStore) -> None:
        """Each version has exactly one commit, oldest first, also after saves that were refused and folds."""
        saved = await _saves(store, 4)
        await refused(store, following(saved[0]), actual=4)
        if isinstance(store, FoldingStore):
            saved.append(following(saved[-1], count=3))
            await store.save(saved[-1])

        history = await history_store.history(ID)

        assert [commit.version for commit in history] == list(range(1, saved[-1].snapshot.version + 1))
        check_commits(history, [commit for options in saved for commit in options.commits])

    async def test_positions_rise_with_versions(self, store: StoreAdapter, history_store: HistoryStore) -> None:
        """A history numbers what it returns, and numbers given once stay."""
        await _saves(store, 3)
        first = [commit.position for commit in await history_store.history(ID)]
        await store.save(following(await loaded(store)))
        second = [commit.position for commit in await history_store.history(ID)]

        assert first[0] >= 1
        assert second == sorted(set(second))
        assert second[:3] == first

    @pytest.mark.parametrize(
        ("after", "limit", "expected"),
        [(0, None, [1, 2, 3, 4, 5]), (0, 2, [1, 2]), (2, None, [3, 4, 5]), (2, 2, [3, 4]), (4, 9, [5]), (5, 1, [])],
    )
    async def test_history_in_pages(
        self, store: StoreAdapter, history_store: HistoryStore, after: int, limit: int | None, expected: list[int]
    ) -> None:
        """`after` and `limit` cut a page out of a history."""
        await _saves(store, 5)

        page = await history_store.history(ID, after=after, limit=limit)

        assert [commit.version for commit in page] == expected

    async def test_histories_are_apart(self, store: StoreAdapter, history_store: HistoryStore) -> None:
        """A history holds commits of its own workflow only."""
        mine, other = opening("mine"), opening("other")
        await store.save(mine)
        await store.save(other)
        await store.save(following(mine))

        assert [commit.workflow_id for commit in await history_store.history("mine")] == ["mine", "mine"]
        assert [commit.id for commit in await history_store.history("other")] == [other.commits[0].id]

    async def test_a_commit_is_kept_whole(self, store: StoreAdapter, history_store: HistoryStore) -> None:
        """Command, events in order, metadata, key and times of a commit come back as they were saved."""
        created = opening(command=None, events=(), metadata={})
        events = tuple(RecordedMessage(name, {"n": n}) for n, name in enumerate(["Zebra", "Ape", "Zebra"]))
        changed = following(
            created,
            state="Placed",
            model_version=3,
            command=RecordedMessage("Place", {"why": None}),
            events=events,
            metadata={"user": "ann", "trace": ["a", {"b": 1.0}]},
            idempotency_key="key 😀",
            fingerprint="{}",
        )
        await store.save(created)
        await store.save(changed)

        history = await history_store.history(ID)

        check_commits(history, [*created.commits, *changed.commits])
        assert history[0].command is None
        assert history[1].state == "Placed"

    @pytest.mark.parametrize("case", DATA)
    async def test_messages_are_kept(self, store: StoreAdapter, history_store: HistoryStore, case: str) -> None:
        """Any plain data in command, events and metadata comes back the same."""
        message = RecordedMessage("Odd", DATA[case])
        options = opening(command=message, events=(message, message), metadata={"odd": DATA[case]})

        await store.save(options)

        check_commits(await history_store.history(ID), options.commits)

    async def test_a_history_cannot_be_changed_from_outside(
        self, store: StoreAdapter, history_store: HistoryStore
    ) -> None:
        """Changing metadata that was handed in, or a commit that was handed out, changes nothing that is stored."""
        metadata: dict[str, Any] = {"user": "ann", "roles": ["clerk"]}
        options = opening(metadata=metadata)
        await store.save(options)

        _spoil(metadata)
        [commit] = await history_store.history(ID)
        _spoil(commit.metadata)

        [commit] = await history_store.history(ID)
        assert commit.metadata == {"user": "ann", "roles": ["clerk"]}

    async def test_every_version_can_be_read(self, store: StoreAdapter, history_store: HistoryStore) -> None:
        """The workflow as it was after each commit can be read, and no other version."""
        saved = await _saves(store, 4)
        if isinstance(store, FoldingStore):
            saved.append(following(saved[-1], count=3))
            await store.save(saved[-1])

        for commit in (commit for options in saved for commit in options.commits):
            found = await history_store.snapshot_at(ID, commit.version)
            assert found is not None
            check_same(found, commit.snapshot)

        last = saved[-1].snapshot.version
        assert await history_store.snapshot_at(ID, 0) is None
        assert await history_store.snapshot_at(ID, last + 1) is None

    async def test_races_leave_one_commit_per_version(self, store: StoreAdapter, history_store: HistoryStore) -> None:
        """Under many writers each version has one commit, that of the save which won it."""
        won: list[NewCommit] = []

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(_write(store, won, rounds=8) for _ in range(8)))

        history = await history_store.history(ID)
        assert len(history) >= 8
        check_commits(history, sorted(won, key=lambda commit: commit.version))
        assert history[-1].version == (await loaded(store)).version


def check_commits(found: list[Commit], saved: list[NewCommit] | tuple[NewCommit, ...]) -> None:
    """Check that commits are kept as they were saved."""
    assert [commit.id for commit in found] == [commit.id for commit in saved]
    for commit, original in zip(found, saved, strict=True):
        assert _facts(commit) == _facts(original.at(commit.position))
        assert commit.recorded_at == original.recorded_at
        assert commit.recorded_at.utcoffset() is not None


def _facts(commit: Commit) -> str:
    # As text: the order of keys counts, and 100.0 is not 100.
    return to_text(commit.to_dict() | {"recorded_at": None, "metadata": dict(commit.metadata)})


def _spoil(metadata: Mapping[str, Any]) -> None:
    metadata["roles"].append("admin")
    if isinstance(metadata, dict):
        metadata["user"] = "eve"


async def _saves(store: StoreAdapter, count: int) -> list[SaveOptions]:
    saved = [opening()]
    await store.save(saved[0])
    while len(saved) < count:
        saved.append(following(saved[-1]))
        await store.save(saved[-1])
    return saved


async def _write(store: StoreAdapter, won: list[NewCommit], *, rounds: int) -> None:
    for _ in range(rounds):
        stored = await store.load(ID)
        options = opening() if stored is None else following(stored)
        try:
            await store.save(options)
        except ConcurrencyConflictError:
            continue
        won.extend(options.commits)
