"""Stores that can do without old commits."""

# ruff: noqa: S101 - a specification asserts

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ..._engine.ports import CommitLog, HistoryStore, PruningStore, ReaderStore, SaveOptions, StoreAdapter
from ...errors import InvalidDataError, PositionPrunedError
from .samples import ID, following, loaded, opening


class PruningClauses:
    """Old commits may go; what is still needed stays, and nobody skips what went without being told."""

    @pytest.fixture
    def pruning_store(self, store: StoreAdapter) -> Any:
        """The store, if it prunes."""
        if not all(isinstance(store, needed) for needed in (PruningStore, CommitLog, HistoryStore)):
            pytest.skip(f"{type(store).__name__} prunes nothing (PruningStore)")
        return store

    async def test_old_commits_go_and_the_newest_stays(self, pruning_store: Any) -> None:
        """All but the newest commit of a workflow may go; the workflow itself is as it was."""
        last = await _saved(pruning_store, 4)
        positions = [commit.position for commit in await pruning_store.commits()]

        assert await pruning_store.prune(before_position=positions[-1] + 1) == 3
        assert [commit.version for commit in await pruning_store.history(ID)] == [4]
        assert await pruning_store.snapshot_at(ID, 2) is None
        assert (await loaded(pruning_store)).snapshot == last.snapshot
        assert await pruning_store.prune(before_position=positions[-1] + 1) == 0

    async def test_reading_on_from_below_is_refused(self, pruning_store: Any) -> None:
        """Whoever would skip pruned commits is told, and may begin at the horizon."""
        await _saved(pruning_store, 4)
        positions = [commit.position for commit in await pruning_store.commits()]
        await pruning_store.prune(before_position=positions[2])

        with pytest.raises(PositionPrunedError) as refusal:
            await pruning_store.commits(after=0)
        assert refusal.value.horizon == positions[1]
        rest = await pruning_store.commits(after=refusal.value.horizon)
        assert [commit.version for commit in rest] == [3, 4]

    async def test_the_horizon_never_moves_back(self, pruning_store: Any) -> None:
        """What was the newest commit of a workflow may go later than what followed it; still nobody skips anything."""
        quiet = opening("quiet")
        await pruning_store.save(quiet)
        await _saved(pruning_store, 4)
        positions = [commit.position for commit in await pruning_store.commits()]
        await pruning_store.prune(before_position=positions[-1])
        await pruning_store.save(following(quiet))
        await pruning_store.prune(before_position=positions[1])

        with pytest.raises(PositionPrunedError) as refusal:
            await pruning_store.commits(after=positions[0])
        assert refusal.value.horizon == positions[-2]

    async def test_young_commits_stay(self, pruning_store: Any) -> None:
        """By age only what is old goes."""
        await _saved(pruning_store, 3)

        assert await pruning_store.prune(older_than=timedelta(days=36500)) == 0
        assert len(await pruning_store.commits()) == 3

    async def test_a_position_or_an_age_is_needed(self, pruning_store: Any) -> None:
        """Pruning everything by mistake is not possible."""
        with pytest.raises(InvalidDataError):
            await pruning_store.prune()

    async def test_what_a_reader_has_not_read_stays(self, pruning_store: Any) -> None:
        """Pruning never passes a reactor or publisher."""
        has_readers = isinstance(pruning_store, ReaderStore)
        if not has_readers:
            pytest.skip(f"{type(pruning_store).__name__} has no readers (ReaderStore)")
        await _saved(pruning_store, 4)
        positions = [commit.position for commit in await pruning_store.commits()]
        await pruning_store.start_reader("publisher:slow", positions[1])

        assert await pruning_store.prune(before_position=positions[-1] + 1) == 2
        rest = await pruning_store.commits(after=positions[1])
        assert [commit.version for commit in rest] == [3, 4]


async def _saved(store: Any, count: int) -> SaveOptions:
    options = opening()
    await store.save(options)
    for _ in range(count - 1):
        options = following(options)
        await store.save(options)
    return options
