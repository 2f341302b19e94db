"""Stores that save several commits of one workflow at once."""

# ruff: noqa: S101 - a specification asserts

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from ..._engine.ports import FoldingStore, HistoryStore, SaveOptions, StoreAdapter, StoredWorkflow
from ..._model.snapshot import WorkflowSnapshot
from ...errors import ConcurrencyConflictError
from .racing import PATIENCE
from .samples import ID, check_conflict, check_stored, following, loaded, opening, refused


class FoldingClauses:
    """A fold is one compare-and-swap: from the version that was loaded, by as many versions as it has commits."""

    @pytest.fixture
    def folding_store(self, store: StoreAdapter) -> FoldingStore:
        """The store, if it folds."""
        if not isinstance(store, FoldingStore):
            pytest.skip(f"{type(store).__name__} saves one commit at a time (FoldingStore)")
        return store

    async def test_several_commits_are_saved_at_once(self, folding_store: FoldingStore) -> None:
        """A save with several commits creates or updates; the version rises by their number."""
        created = opening(count=3)
        await folding_store.save(created)
        check_stored(await loaded(folding_store), created.snapshot)

        updated = following(created, count=5)
        await folding_store.save(updated)
        check_stored(await loaded(folding_store), updated.snapshot)
        assert (await loaded(folding_store)).version == 8

    async def test_a_fold_is_all_or_nothing(self, folding_store: FoldingStore) -> None:
        """A fold that loses its race leaves none of its commits behind."""
        first = opening()
        await folding_store.save(first)

        await refused(folding_store, opening(count=4), actual=1)
        await refused(folding_store, following(following(first), count=4), actual=1)

        check_stored(await loaded(folding_store), first.snapshot)
        if isinstance(folding_store, HistoryStore):
            assert [commit.version for commit in await folding_store.history(ID)] == [1]

    async def test_submit_saves(self, folding_store: FoldingStore) -> None:
        """`submit` answers through a future, when the save is there to be seen."""
        options = opening(count=2)

        async with asyncio.timeout(PATIENCE):
            await folding_store.submit(options)

        check_stored(await loaded(folding_store), options.snapshot)

    async def test_submit_refuses(self, folding_store: FoldingStore) -> None:
        """A submitted save that loses says so in its future; what it found, if it tells, is what is stored."""
        winner = opening()
        await folding_store.save(winner)
        late = opening(count=2)

        with pytest.raises(ConcurrencyConflictError) as caught:
            await folding_store.submit(late)

        check_conflict(caught.value, late, actual=1)
        current = getattr(caught.value, "current", None)
        if current is not None:
            assert isinstance(current, StoredWorkflow)
            check_stored(current, winner.snapshot)

    async def test_submits_do_not_disturb_each_other(self, folding_store: FoldingStore) -> None:
        """Saves that are submitted at once are answered each for itself."""
        taken = [opening(f"taken-{number}", count=2) for number in range(8)]
        await _submit_all(folding_store, taken)
        good = [following(options, count=3) for options in taken]
        bad = [opening(options.id, count=3) for options in taken]
        mixed = [options for pair in zip(bad, good, strict=True) for options in pair]

        answers = await _submit_all(folding_store, mixed)

        assert answers[1::2] == [None] * len(good)
        assert all(isinstance(answer, ConcurrencyConflictError) for answer in answers[::2])
        for options in good:
            check_stored(await loaded(folding_store, options.id), options.snapshot)

    async def test_nobodys_cancellation_stops_a_submit(self, folding_store: FoldingStore) -> None:
        """A submitted save happens, although the task that waited for it was cancelled."""
        options = opening(count=2)

        async def wait() -> None:
            await folding_store.submit(options)

        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        async with asyncio.timeout(PATIENCE):
            while await folding_store.load(ID) is None:  # noqa: ASYNC110 - a store announces nothing
                await asyncio.sleep(0.001)
        check_stored(await loaded(folding_store), options.snapshot)

    async def test_a_save_without_commits_keeps_the_version(self, folding_store: FoldingStore) -> None:
        """A save without commits changes the stored form only, and only that of the version it expects."""
        created = opening(count=2)
        await folding_store.save(created)
        migrated = _rewriting(created.snapshot.replace(data={"in": "a newer form"}, model_version=2))

        await folding_store.save(migrated)
        check_stored(await loaded(folding_store), migrated.snapshot)

        updated = following(migrated)
        await folding_store.save(updated)
        await refused(folding_store, migrated, actual=3)
        check_stored(await loaded(folding_store), updated.snapshot)


def _rewriting(snapshot: WorkflowSnapshot) -> SaveOptions:
    return SaveOptions(snapshot.id, snapshot, snapshot.version)


async def _submit_all(store: FoldingStore, many: Iterable[SaveOptions]) -> list[BaseException | None]:
    async with asyncio.timeout(PATIENCE):
        return await asyncio.gather(*map(store.submit, many), return_exceptions=True)
