"""The promise of the two methods, one caller at a time."""

# ruff: noqa: S101 - a specification asserts

from __future__ import annotations

from datetime import timedelta, timezone

from ..._engine.ports import StoreAdapter
from .samples import BEGAN, ID, check_stored, following, loaded, opening, refused


class SavingClauses:
    """One caller loads and saves."""

    async def test_a_missing_workflow_is_none(self, store: StoreAdapter) -> None:
        """Loading what was never saved gives `None`, and creates nothing."""
        assert await store.load("nobody") is None
        assert await store.load("nobody") is None

        await store.save(opening("nobody"))

    async def test_create(self, store: StoreAdapter) -> None:
        """A save that expects version 0 creates the workflow, at once visible and just as it was saved."""
        options = opening()

        await store.save(options)

        check_stored(await loaded(store), options.snapshot)

    async def test_update(self, store: StoreAdapter) -> None:
        """Each save from the stored version replaces the workflow and raises the version by one."""
        await store.save(opening())
        for version in range(2, 7):
            options = following(await loaded(store), state=f"State{version}", model_version=version)
            await store.save(options)

            check_stored(await loaded(store), options.snapshot)
            assert options.snapshot.version == version

    async def test_second_creator_loses(self, store: StoreAdapter) -> None:
        """Of two saves that create one workflow, the second is refused and leaves nothing behind."""
        first = opening(data={"by": "first"})
        await store.save(first)

        await refused(store, opening(data={"by": "second"}), actual=1)

        check_stored(await loaded(store), first.snapshot)

    async def test_second_writer_loses(self, store: StoreAdapter) -> None:
        """Of two writers that read the same version, only the first one wins."""
        await store.save(opening())
        read = await loaded(store)
        first = following(read, data={"by": "first"})
        await store.save(first)

        await refused(store, following(read, data={"by": "second"}), actual=2)

        check_stored(await loaded(store), first.snapshot)

    async def test_a_conflict_tells_the_actual_version(self, store: StoreAdapter) -> None:
        """A writer that is several versions late learns the id, what it expected, and what is there now."""
        await store.save(opening())
        late = following(await loaded(store))
        for _ in range(4):
            await store.save(following(await loaded(store)))

        await refused(store, late, actual=5)

    async def test_a_version_from_the_future_loses(self, store: StoreAdapter) -> None:
        """A save that expects a version that was never reached is refused."""
        options = opening()
        await store.save(options)
        future = following(following(following(options)))

        await refused(store, future, actual=1)

        check_stored(await loaded(store), options.snapshot)

    async def test_an_update_creates_nothing(self, store: StoreAdapter) -> None:
        """A save that expects a version of a missing workflow is refused: the actual version is 0."""
        await refused(store, following(opening()), actual=0)

        assert await store.load(ID) is None

    async def test_a_refused_save_changes_nothing_later(self, store: StoreAdapter) -> None:
        """After a conflict the workflow can be read and saved as if nothing had been tried."""
        await store.save(opening())
        read = await loaded(store)
        await store.save(following(read))
        for _ in range(3):
            await refused(store, following(read), actual=2)
        options = following(await loaded(store))

        await store.save(options)

        check_stored(await loaded(store), options.snapshot)

    async def test_workflows_are_apart(self, store: StoreAdapter) -> None:
        """A save touches its own workflow only, and a conflict on one does not disturb another."""
        one, other = opening("one"), opening("other", definition="parcel")
        await store.save(one)
        await store.save(other)
        await store.save(following(one, data={"changed": True}))

        await refused(store, opening("one"), actual=2)

        check_stored(await loaded(store, "other"), other.snapshot)
        await store.save(following(other))

    async def test_what_was_handed_out_cannot_be_changed(self, store: StoreAdapter) -> None:
        """Changing the data of a loaded workflow changes nothing that is stored, or that another caller loads."""
        options = opening(data={"items": ["tea"], "notes": {"gift": False}})
        await store.save(options)
        mine, theirs = await loaded(store), await loaded(store)

        data = mine.snapshot.data
        data["items"].append("poison")
        data["notes"].clear()
        data["extra"] = 1

        check_stored(await loaded(store), options.snapshot)
        check_stored(theirs, options.snapshot)

    async def test_what_was_handed_in_cannot_be_changed(self, store: StoreAdapter) -> None:
        """Changing the data that a snapshot was made of, after the save, changes nothing that is stored."""
        data = {"items": ["tea"]}
        options = opening(data=data)
        expected = options.snapshot.replace(data={"items": ["tea"]})
        await store.save(options)

        data["items"].append("poison")
        options.snapshot.data["items"].append("poison")

        check_stored(await loaded(store), expected)

    async def test_a_loaded_workflow_stays_as_it_was(self, store: StoreAdapter) -> None:
        """What was loaded is not changed by later saves."""
        options = opening()
        await store.save(options)
        before = await loaded(store)

        await store.save(following(before, data={"changed": True}))

        check_stored(before, options.snapshot)

    async def test_times_are_kept_to_the_microsecond(self, store: StoreAdapter) -> None:
        """Times come back aware and as the same instant, whatever offset they were given in."""
        here = timezone(timedelta(hours=5, minutes=45))
        began = BEGAN.replace(microsecond=1)
        options = opening(created_at=began.astimezone(here), updated_at=BEGAN.replace(year=9000, microsecond=999_999))

        await store.save(options)

        check_stored(await loaded(store), options.snapshot)
        assert (await loaded(store)).snapshot.created_at == began
