"""Stores that tell two saves of one version apart."""

# ruff: noqa: S101 - a specification asserts

from __future__ import annotations

import pytest

from ..._engine.ports import ErasingStore, StoreAdapter
from ..._model.commit import new_id
from ...errors import ConcurrencyConflictError
from .samples import check_stored, following, loaded, opening


class FencingClauses:
    """Where a store reports commit ids, a save can ask for one. Others compare versions only, and may."""

    async def test_the_right_commit_id_is_accepted(self, store: StoreAdapter) -> None:
        """A save that expects the commit id that was loaded wins, and the id is another one afterwards."""
        before = await _fenced(store)

        await store.save(following(await loaded(store), expected_commit_id=before))

        assert await _commit_id(store) not in {before, None}

    async def test_another_commit_id_is_refused(self, store: StoreAdapter) -> None:
        """A save of the right version that was decided on another save of that version is refused."""
        await _fenced(store)
        stored = await loaded(store)

        with pytest.raises(ConcurrencyConflictError) as caught:
            await store.save(following(stored, expected_commit_id=new_id()))

        assert caught.value.workflow_id == stored.id
        assert caught.value.expected_version == stored.version
        check_stored(await loaded(store), stored.snapshot)

    async def test_a_forgotten_workflow_does_not_come_back(self, store: StoreAdapter) -> None:
        """What was decided on a workflow that was forgotten and created again does not overwrite the new one."""
        await _fenced(store)
        if not isinstance(store, ErasingStore):
            pytest.skip(f"{type(store).__name__} cannot forget (ErasingStore)")
        late = await loaded(store)
        await store.forget(late.id)
        again = opening(late.id, data={"another": "life"})
        await store.save(again)

        with pytest.raises(ConcurrencyConflictError):
            await store.save(following(late, expected_commit_id=late.commit_id))

        check_stored(await loaded(store), again.snapshot)


async def _fenced(store: StoreAdapter) -> str:
    """Create a workflow and return its commit id, or skip where there are none."""
    await store.save(opening())
    commit_id = await _commit_id(store)
    if commit_id is None:
        pytest.skip(f"{type(store).__name__} reports no commit ids: it compares versions only")
    return commit_id


async def _commit_id(store: StoreAdapter) -> str | None:
    return (await loaded(store)).commit_id
