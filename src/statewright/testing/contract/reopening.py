"""What was acknowledged is durable, as far as one process can show."""

# ruff: noqa: S101 - a specification asserts

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
import pytest_asyncio

from ..._engine.ports import StoreAdapter
from ...errors import ConcurrencyConflictError
from .racing import PATIENCE
from .samples import check_stored, following, loaded, opening, refused


class ReopeningClauses:
    """A second store over what the first one keeps."""

    def reopen(
        self,
        store: StoreAdapter,  # noqa: ARG002 - for those who override it
    ) -> AbstractAsyncContextManager[StoreAdapter] | None:
        """Return a second store over what `store` keeps, opened as another process would open it.

        Override it for a store whose contents outlive it. The first store stays open: closing it might make durable
        what should have been so before.
        """
        return None

    @pytest_asyncio.fixture
    async def other(self, store: StoreAdapter) -> AsyncIterator[StoreAdapter]:
        """The second store."""
        opened = self.reopen(store)
        if opened is None:
            pytest.skip("reopen() is not overridden: nothing shows that acknowledged saves are durable")
        async with opened as other:
            yield other

    async def test_an_acknowledged_save_is_durable(self, store: StoreAdapter, other: StoreAdapter) -> None:
        """When `save` returns, another process finds what was saved."""
        created = opening()
        await store.save(created)
        check_stored(await loaded(other), created.snapshot)

        updated = following(created)
        await store.save(updated)
        check_stored(await loaded(other), updated.snapshot)

    async def test_another_process_can_go_on(self, store: StoreAdapter, other: StoreAdapter) -> None:
        """Each of two stores sees the other's saves, and refuses what was decided on an older version."""
        created = opening()
        await store.save(created)
        updated = following(await loaded(other))
        await other.save(updated)

        await refused(store, following(created), actual=2)

        check_stored(await loaded(store), updated.snapshot)

    async def test_processes_race_fairly(self, store: StoreAdapter, other: StoreAdapter) -> None:
        """Of many writers through two stores, exactly one wins each version."""
        await store.save(opening())
        for version in range(2, 7):
            read = await loaded(store)
            attempts = [through.save(following(read)) for through in [store, other] * 4]

            async with asyncio.timeout(PATIENCE):
                answers = await asyncio.gather(*attempts, return_exceptions=True)

            assert answers.count(None) == 1
            assert sum(isinstance(answer, ConcurrencyConflictError) for answer in answers) == len(answers) - 1
            assert (await loaded(other)).version == version
