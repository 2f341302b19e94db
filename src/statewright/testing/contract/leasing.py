"""Stores that grant a role to one worker at a time."""

# ruff: noqa: S101 - a specification asserts

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Protocol, runtime_checkable

import pytest

from ..._engine.ports import Fence, LeaseStore, SaveOptions, StoreAdapter
from ...errors import LeaseLostError
from .racing import PATIENCE
from .samples import check_stored, following, loaded, opening

HOUR = timedelta(hours=1)
ROLE = "reactor:billing"


@runtime_checkable
class _Leasing(StoreAdapter, LeaseStore, Protocol):
    """A store with leases."""


class LeaseClauses:
    """A lease is held by one owner, and whoever takes it over shuts out the one before by a higher epoch."""

    @pytest.fixture
    def lease_store(self, store: StoreAdapter) -> _Leasing:
        """The store, if it grants leases."""
        if not isinstance(store, _Leasing):
            pytest.skip(f"{type(store).__name__} grants no leases (LeaseStore)")
        return store

    async def test_one_owner_at_a_time(self, lease_store: _Leasing) -> None:
        """A lease that is held is nobody else's; its owner renews it in the same epoch."""
        [mine] = await lease_store.acquire_leases([ROLE], "ann", HOUR)

        assert mine.name == ROLE
        assert await lease_store.acquire_leases([ROLE], "bob", HOUR) == []
        assert await lease_store.acquire_leases([ROLE], "ann", HOUR) == [mine]

    async def test_a_released_lease_passes_on(self, lease_store: _Leasing) -> None:
        """What was given back can be taken by another owner, in a higher epoch."""
        [mine] = await lease_store.acquire_leases([ROLE], "ann", HOUR)
        await lease_store.release_leases([mine])

        [theirs] = await lease_store.acquire_leases([ROLE], "bob", HOUR)

        assert theirs.epoch > mine.epoch

    async def test_a_lease_that_has_run_out_passes_on(self, lease_store: _Leasing) -> None:
        """What was not renewed in time can be taken by another owner, in a higher epoch; to renew it is too late."""
        [mine] = await lease_store.acquire_leases([ROLE], "ann", timedelta(milliseconds=1))

        theirs = await _taken_over(lease_store, "bob")

        assert theirs.epoch > mine.epoch
        assert await lease_store.acquire_leases([ROLE], "ann", HOUR) == []

    async def test_an_owner_that_was_late_begins_anew(self, lease_store: _Leasing) -> None:
        """An owner that takes its own lease again after it had run out gets a higher epoch, too."""
        [first] = await lease_store.acquire_leases([ROLE], "ann", timedelta(milliseconds=1))
        theirs = await _taken_over(lease_store, "bob")
        await lease_store.release_leases([theirs])

        [again] = await lease_store.acquire_leases([ROLE], "ann", HOUR)

        assert again.epoch > theirs.epoch > first.epoch

    async def test_a_late_release_is_nobodys_loss(self, lease_store: _Leasing) -> None:
        """Who gives back a lease that has passed on takes nothing from its new owner."""
        late = await overtaken(lease_store)

        await lease_store.release_leases([late])

        assert await lease_store.acquire_leases([ROLE], "carl", HOUR) == []

    async def test_several_at_once(self, lease_store: _Leasing) -> None:
        """Of several leases that are asked for, the free ones are granted."""
        await lease_store.acquire_leases(["b"], "bob", HOUR)

        held = await lease_store.acquire_leases(["a", "b", "c"], "ann", HOUR)

        assert sorted(fence.name for fence in held) == ["a", "c"]
        assert await lease_store.acquire_leases([], "ann", HOUR) == []

    async def test_many_who_ask_at_once(self, lease_store: _Leasing) -> None:
        """Of many owners that ask for the same leases at once, each goes to one, the first time and later."""
        for turn in range(8):
            names = [f"role-{turn}-{number}" for number in range(10)]
            async with asyncio.timeout(PATIENCE):
                for _ in range(2):
                    asked = [lease_store.acquire_leases(names, f"owner-{number}", HOUR) for number in range(16)]
                    granted = [fence for held in await asyncio.gather(*asked) for fence in held]
                    assert sorted(fence.name for fence in granted) == names
                    await lease_store.release_leases(granted)

    async def test_a_save_under_a_lease(self, lease_store: _Leasing) -> None:
        """A save under a lease that is held is accepted; one under a lease that has passed on saves nothing."""
        first = opening()
        await lease_store.save(_fenced(first, await leased(lease_store, "timers:order")))
        late = await overtaken(lease_store)
        [holds] = await lease_store.acquire_leases(["timers:order"], "ann", HOUR)

        with pytest.raises(LeaseLostError):
            await lease_store.save(_fenced(following(first), holds, late))
        with pytest.raises(LeaseLostError):
            await lease_store.save(_fenced(opening("another"), Fence("never granted", 1)))

        check_stored(await loaded(lease_store), first.snapshot)
        assert await lease_store.load("another") is None


def _fenced(options: SaveOptions, *fences: Fence) -> SaveOptions:
    return SaveOptions(options.id, options.snapshot, options.expected_version, options.commits, fences=fences)


async def leased(store: LeaseStore, name: str = ROLE) -> Fence:
    """Return the fence of a lease that is held."""
    [fence] = await store.acquire_leases([name], "ann", HOUR)
    return fence


async def overtaken(store: LeaseStore) -> Fence:
    """Return the fence of a lease that has passed to another owner."""
    [mine] = await store.acquire_leases([ROLE], "ann", HOUR)
    await store.release_leases([mine])
    await store.acquire_leases([ROLE], "bob", HOUR)
    return mine


async def _taken_over(store: LeaseStore, owner: str) -> Fence:
    async with asyncio.timeout(PATIENCE):
        while True:
            for fence in await store.acquire_leases([ROLE], owner, HOUR):
                return fence
            await asyncio.sleep(0.001)  # the store's clock alone says when
