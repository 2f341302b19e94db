"""Stores that can list and count what they hold."""

# ruff: noqa: S101 - a specification asserts

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ..._engine.ports import Catalog, StoreAdapter, StoredWorkflow
from .samples import BEGAN, IDS, check_stored, following, loaded, opening


class CatalogClauses:
    """Workflows are listed by id, in pages, and counted by definition and state."""

    @pytest.fixture
    def catalog(self, store: StoreAdapter) -> Catalog:
        """The store, if it can list what it holds."""
        if not isinstance(store, Catalog):
            pytest.skip(f"{type(store).__name__} cannot list workflows (Catalog)")
        return store

    async def test_an_empty_catalog(self, catalog: Catalog) -> None:
        """A store that saved nothing lists and counts nothing."""
        assert await catalog.find() == []
        assert await catalog.count() == 0
        assert dict(await catalog.count_by_state("order")) == {}

    async def test_find_gives_what_load_gives(self, store: StoreAdapter, catalog: Catalog) -> None:
        """A workflow is listed as it is stored now."""
        created = opening(data={"n": 1.0, "a": None})
        await store.save(created)
        updated = following(created, data={"z": 100, "a": 1e2})
        await store.save(updated)

        [found] = await catalog.find()

        check_stored(found, updated.snapshot)

    async def test_ids_are_in_order(self, store: StoreAdapter, catalog: Catalog) -> None:
        """Workflows are listed in the order of their ids' code points, and pages put together are the list."""
        for id in IDS:
            await store.save(opening(id))
        pages: list[StoredWorkflow] = []
        while page := await catalog.find(after=pages[-1].id if pages else "", limit=4):
            assert len(page) <= 4
            pages += page

        assert [found.id for found in pages] == sorted(IDS)
        assert [found.id for found in await catalog.find(limit=1000)] == sorted(IDS)

    async def test_find_by_definition_and_state(self, store: StoreAdapter, catalog: Catalog) -> None:
        """A list can be of one definition, of one state, or of both, and pages keep to it."""
        await _fill(store)

        async def ids(**asked: Any) -> list[str]:
            return [found.id for found in await catalog.find(**asked)]

        assert await ids(definition="order") == ["o-1", "o-2", "o-3"]
        assert await ids(state="Draft") == ["o-1", "o-3", "p-1"]
        assert await ids(definition="order", state="Draft") == ["o-1", "o-3"]
        assert await ids(definition="order", state="Draft", after="o-1") == ["o-3"]
        assert await ids(definition="order", state="Sent") == []
        assert await ids(definition="nobody") == []

    async def test_count(self, store: StoreAdapter, catalog: Catalog) -> None:
        """Counting agrees with listing."""
        await _fill(store)

        assert await catalog.count() == 5
        assert await catalog.count(definition="order") == 3
        assert await catalog.count(state="Draft") == 3
        assert await catalog.count(definition="parcel", state="Draft") == 1
        assert await catalog.count(definition="nobody") == 0

    async def test_count_by_state(self, store: StoreAdapter, catalog: Catalog) -> None:
        """States are counted as they are now, and a state that nobody is in is left out."""
        await _fill(store)
        assert dict(await catalog.count_by_state("order")) == {"Draft": 2, "Placed": 1}

        for id in ("o-1", "o-3"):
            await store.save(following(await loaded(store, id), state="Placed"))

        assert dict(await catalog.count_by_state("order")) == {"Placed": 3}
        assert dict(await catalog.count_by_state("parcel")) == {"Draft": 1, "Sent": 1}
        assert dict(await catalog.count_by_state("nobody")) == {}

    async def test_since_when_it_is_in_its_state(self, store: StoreAdapter) -> None:
        """Where a store tells since when a workflow is in its state, staying in that state does not change it."""
        options = opening(state="Draft")
        await store.save(options)
        if (await loaded(store)).entered_at is None:
            pytest.skip(f"{type(store).__name__} does not tell since when a workflow is in its state")
        for state in ["Draft", "Placed", "Placed", "Placed"]:
            options = following(options, state=state)
            await store.save(options)

        assert (await loaded(store)).entered_at == BEGAN + timedelta(seconds=3)


async def _fill(store: StoreAdapter) -> None:
    for id, definition, state in [
        ("p-2", "parcel", "Sent"),
        ("o-1", "order", "Draft"),
        ("o-2", "order", "Placed"),
        ("o-3", "order", "Draft"),
        ("p-1", "parcel", "Draft"),
    ]:
        await store.save(opening(id, definition=definition, state=state))
