"""Odd ids and odd data: what was saved is what is loaded, digit by digit."""

from __future__ import annotations

import pytest

from ..._engine.ports import StoreAdapter
from .samples import DATA, IDS, check_stored, following, loaded, nested, opening, refused


class KeepingClauses:
    """All ids and all plain data are kept."""

    @pytest.mark.parametrize("case", DATA)
    async def test_data_is_kept(self, store: StoreAdapter, case: str) -> None:
        """Any plain data comes back the same, in a create and in an update: types, digits, and the order of keys."""
        created = opening(data=DATA[case])
        await store.save(created)
        check_stored(await loaded(store), created.snapshot)

        updated = following(following(created, data={"other": 1}), data=DATA[case])
        await store.save(following(created, data={"other": 1}))
        await store.save(updated)
        check_stored(await loaded(store), updated.snapshot)

    async def test_deep_data_is_kept(self, store: StoreAdapter) -> None:
        """Data that is nested two hundred levels deep comes back the same."""
        options = opening(data=nested(100))

        await store.save(options)

        check_stored(await loaded(store), options.snapshot)

    async def test_ids_are_told_apart(self, store: StoreAdapter) -> None:
        """Ids are compared exactly: case, blanks, accents, wildcards and length all count."""
        saved = {id: opening(id, data={"id": id}) for id in IDS}
        for options in saved.values():
            await store.save(options)

        for id, options in saved.items():
            check_stored(await loaded(store, id), options.snapshot)
            await refused(store, opening(id), actual=1)

    @pytest.mark.parametrize("name", ["Draft", "draft", "état 😀", "a'b\"c\\d", "x" * 255])
    async def test_state_names_are_kept(self, store: StoreAdapter, name: str) -> None:
        """The stored name of a state comes back as it was given."""
        options = opening(state=name)

        await store.save(options)

        check_stored(await loaded(store), options.snapshot)
