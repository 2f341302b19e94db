"""Stores that record idempotency keys, and stores that can forget."""

# ruff: noqa: S101 - a specification asserts

from __future__ import annotations

from typing import Any

import pytest

from ..._engine.ports import (
    Catalog,
    CommitLog,
    ErasingStore,
    FoldingStore,
    HistoryStore,
    IdempotentStore,
    SaveOptions,
    StoreAdapter,
)
from ..._model.commit import RecordedMessage
from .samples import ID, check_same, check_stored, following, loaded, opening, refused


class IdempotencyClauses:
    """An idempotency key is recorded with the save that it came with, or not at all."""

    @pytest.fixture
    def idempotent_store(self, store: StoreAdapter) -> IdempotentStore:
        """The store, if it records idempotency keys."""
        if not isinstance(store, IdempotentStore):
            pytest.skip(f"{type(store).__name__} records no idempotency keys (IdempotentStore)")
        return store

    async def test_an_unknown_key(self, store: StoreAdapter, idempotent_store: IdempotentStore) -> None:
        """A key that was never used is not recalled, nor for a workflow that does not exist."""
        await store.save(opening())

        assert await idempotent_store.recall(ID, "key") is None
        assert await idempotent_store.recall("nobody", "key") is None

    async def test_a_key_is_recalled(self, store: StoreAdapter, idempotent_store: IdempotentStore) -> None:
        """A key gives the command, its fingerprint, the workflow as it was then, and the events; later saves too."""
        first = _keyed(None, "key-1")
        await store.save(first)
        second = _keyed(first, "key-2")
        await store.save(second)
        await store.save(following(second))

        await _check_recalled(idempotent_store, "key-1", first)
        await _check_recalled(idempotent_store, "key-2", second)

    async def test_a_key_belongs_to_one_workflow(self, store: StoreAdapter, idempotent_store: IdempotentStore) -> None:
        """Two workflows may use the same key, and keys are compared exactly."""
        mine, other = _keyed(None, "Key é", id="mine"), _keyed(None, "Key é", id="other")
        await store.save(mine)
        assert await idempotent_store.recall("other", "Key é") is None
        await store.save(other)

        await _check_recalled(idempotent_store, "Key é", mine)
        await _check_recalled(idempotent_store, "Key é", other)
        assert await idempotent_store.recall("mine", "key é") is None
        assert await idempotent_store.recall("mine", "Key e\u0301") is None

    async def test_a_refused_save_records_no_key(self, store: StoreAdapter, idempotent_store: IdempotentStore) -> None:
        """A save that lost its race leaves no key behind."""
        await store.save(opening())

        await refused(store, _keyed(None, "key"), actual=1)

        assert await idempotent_store.recall(ID, "key") is None

    async def test_each_commit_of_a_fold_has_its_key(
        self, store: StoreAdapter, idempotent_store: IdempotentStore
    ) -> None:
        """A key in the middle of a fold recalls the workflow as it was after its own commit."""
        if not isinstance(store, FoldingStore):
            pytest.skip(f"{type(store).__name__} saves one commit at a time (FoldingStore)")
        first, second, third = _keyed(None, "key-1"), opening(), opening()
        second = following(first)
        third = _keyed(second, "key-3")
        commits = first.commits + second.commits + third.commits

        await store.save(SaveOptions(ID, third.snapshot, 0, commits))

        await _check_recalled(idempotent_store, "key-1", first)
        await _check_recalled(idempotent_store, "key-3", third)


class ErasingClauses:
    """What was forgotten has left nothing, and its id may be used again."""

    @pytest.fixture
    def erasing_store(self, store: StoreAdapter) -> ErasingStore:
        """The store, if it can forget."""
        if not isinstance(store, ErasingStore):
            pytest.skip(f"{type(store).__name__} cannot forget (ErasingStore)")
        return store

    async def test_forgetting_nobody(self, erasing_store: ErasingStore) -> None:
        """Forgetting what was never saved does nothing and says so."""
        assert await erasing_store.forget("nobody") is False

    async def test_nothing_is_left(self, store: StoreAdapter, erasing_store: ErasingStore) -> None:
        """State, commits, keys and listings of a forgotten workflow are gone; others are as they were."""
        other = _keyed(None, "key", id="other")
        await store.save(other)
        mine = _keyed(None, "key", id="mine")
        await store.save(mine)
        await store.save(following(mine))

        assert await erasing_store.forget("mine") is True

        assert await store.load("mine") is None
        assert await erasing_store.forget("mine") is False
        await _check_gone(store, "mine")
        check_stored(await loaded(store, "other"), other.snapshot)

    async def test_the_id_can_be_used_again(self, store: StoreAdapter, erasing_store: ErasingStore) -> None:
        """After it was forgotten, a workflow begins at version 1, with a history and keys of its own."""
        first = _keyed(None, "key")
        await store.save(first)
        await store.save(following(first))
        await erasing_store.forget(ID)
        await refused(store, following(first), actual=0)
        again = opening(data={"another": "life"})

        await store.save(again)

        check_stored(await loaded(store), again.snapshot)
        if isinstance(store, HistoryStore):
            assert [commit.id for commit in await store.history(ID)] == [again.commits[0].id]
        if isinstance(store, IdempotentStore):
            assert await store.recall(ID, "key") is None

    async def test_positions_do_not_come_back(self, store: StoreAdapter, erasing_store: ErasingStore) -> None:
        """Positions of forgotten commits are a gap: a reader that had seen them misses nothing that comes later."""
        if not isinstance(store, CommitLog):
            pytest.skip(f"{type(store).__name__} has no common order of commits (CommitLog)")
        await store.save(opening("other"))
        await store.save(opening())
        seen = (await store.commits())[-1].position
        await erasing_store.forget(ID)
        later = opening()
        await store.save(later)

        assert [commit.id for commit in await store.commits(after=seen)] == [later.commits[0].id]


def _keyed(before: SaveOptions | None, key: str, *, id: str = ID) -> SaveOptions:
    facts: dict[str, Any] = {
        "command": RecordedMessage("Pay", {"amount": 1e2, "key": key}),
        "events": (RecordedMessage("Paid", {"z": 1, "a": 100}), RecordedMessage("Booked", None)),
        "idempotency_key": key,
        "fingerprint": '{"amount":100.0}',
    }
    return following(before, **facts) if before else opening(id, **facts)


async def _check_recalled(store: IdempotentStore, key: str, saved: SaveOptions) -> None:
    [commit] = saved.commits
    answer = await store.recall(saved.id, key)
    assert answer is not None, f"key {key!r} of workflow {saved.id!r} was saved, but is not there"
    assert commit.command is not None
    assert (answer.command, answer.fingerprint) == (commit.command.type, commit.fingerprint)
    assert answer.events == commit.events
    check_same(answer.snapshot, commit.snapshot)


async def _check_gone(store: StoreAdapter, id: str) -> None:
    if isinstance(store, HistoryStore):
        assert await store.history(id) == []
        assert await store.snapshot_at(id, 1) is None
    if isinstance(store, CommitLog):
        assert id not in {commit.workflow_id for commit in await store.commits()}
    if isinstance(store, Catalog):
        assert [found.id for found in await store.find()] == ["other"]
        assert await store.count() == 1
    if isinstance(store, IdempotentStore):
        assert await store.recall(id, "key") is None
        assert await store.recall("other", "key") is not None
