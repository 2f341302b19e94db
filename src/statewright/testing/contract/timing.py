"""Stores that save timers with the state."""

# ruff: noqa: S101 - a specification asserts

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, runtime_checkable

import pytest

from ..._engine.ports import ErasingStore, LeaseStore, SaveOptions, StoreAdapter, TimerCatalog, TimerStore
from ..._model.commit import RecordedMessage
from ..._model.timer import ConsumeTimer, DropTimer, DueTimer, LeftState, RenamedState, SetTimer, TimerWrite
from ...errors import LeaseLostError
from .leasing import leased, overtaken
from .samples import ID, following, loaded, opening, refused

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
REMIND = RecordedMessage("Remind", {"text": "still open", "price": 100.0})


@runtime_checkable
class _Timing(StoreAdapter, TimerStore, LeaseStore, Protocol):
    """A store with timers, and with the leases under which a worker takes care of them."""


class TimerClauses:
    """A timer is set, replaced, left and consumed by the save that says so, or not at all."""

    @pytest.fixture
    def timer_store(self, store: StoreAdapter) -> _Timing:
        """The store, if it keeps timers."""
        if not isinstance(store, _Timing):
            pytest.skip(f"{type(store).__name__} keeps no timers (TimerStore)")
        return store

    async def test_a_timer_is_due_at_its_time(self, timer_store: _Timing) -> None:
        """A timer is due from its very moment on, with all that its save said of it."""
        await timer_store.save(_opening(_timer("remind", "g-1", at=NOON, keep=True)))

        assert await _due(timer_store, NOON - timedelta(microseconds=1)) == []
        [due] = await _due(timer_store, NOON)

        assert due == DueTimer(ID, "order", "remind", "g-1", REMIND, "Draft", keep=True, due_at=NOON, attempts=0)
        assert (await loaded(timer_store)).has_timers

    async def test_a_delay_is_added_to_the_stores_clock(self, timer_store: _Timing) -> None:
        """A timer with a delay is due so much later than its save, by the store's own clock."""
        await timer_store.save(_opening(_timer("later", "g-1", delay=timedelta(hours=1)), _timer("now", "g-2")))

        assert [timer.key for timer in await timer_store.due_timers(["order"])] == ["now"]
        later, now = sorted(await _due(timer_store, datetime.max.replace(tzinfo=UTC)), key=lambda timer: timer.key)
        apart = later.due_at - now.due_at
        assert abs(apart - timedelta(hours=1)) < timedelta(minutes=1)

    async def test_no_timers_are_no_timers(self, timer_store: _Timing) -> None:
        """A workflow without timers says so, and nothing is due."""
        await timer_store.save(opening())

        assert not (await loaded(timer_store)).has_timers
        assert await _due(timer_store, NOON) == []
        assert await timer_store.until_next_due(["order"], now=NOON) is None
        assert not await timer_store.timer_stands(ID, "remind", "g-1")

    async def test_setting_a_key_again_replaces(self, timer_store: _Timing) -> None:
        """One key has one timer: the last that was set, in its own generation."""
        first = _opening(_timer("remind", "g-1", at=NOON))
        await timer_store.save(first)
        await timer_store.save(_after(first, _timer("remind", "g-2", at=NOON + timedelta(hours=1))))

        assert await _due(timer_store, NOON) == []
        assert [timer.generation for timer in await _due(timer_store, NOON + timedelta(hours=1))] == ["g-2"]
        assert not await timer_store.timer_stands(ID, "remind", "g-1")
        assert await timer_store.timer_stands(ID, "remind", "g-2")

    @pytest.mark.parametrize("write", [DropTimer("remind"), ConsumeTimer("remind", "g-1")], ids=["dropped", "consumed"])
    async def test_a_timer_is_ended(self, timer_store: _Timing, write: TimerWrite) -> None:
        """A timer that is dropped, or whose command was accepted, is gone; others stay."""
        first = _opening(_timer("remind", "g-1", at=NOON), _timer("expire", "g-2", at=NOON))
        await timer_store.save(first)
        await timer_store.save(_after(first, write))

        assert await _keys(timer_store) == ["expire"]

    async def test_leaving_a_state_ends_its_timers(self, timer_store: _Timing) -> None:
        """Timers of another state than the one that was reached are gone, unless they are to be kept."""
        first = _opening(
            _timer("left", "g-1", at=NOON),
            _timer("kept", "g-2", at=NOON, keep=True),
            _timer("stays", "g-3", at=NOON, state="Placed"),
        )
        await timer_store.save(first)
        second = _after(first, LeftState("Placed"), _timer("new", "g-4", at=NOON, state="Placed"))
        await timer_store.save(second)
        assert await _keys(timer_store) == ["kept", "new", "stays"]

        await timer_store.save(_after(second, LeftState("Placed")))
        assert await _keys(timer_store) == ["kept", "new", "stays"]

    async def test_writes_apply_in_order(self, timer_store: _Timing) -> None:
        """What one save, or one fold, says about timers applies in the order in which it was said."""
        first = _opening(_timer("a", "g-1", at=NOON), DropTimer("a"), _timer("b", "g-2", at=NOON), LeftState("Placed"))
        await timer_store.save(first)
        assert await _keys(timer_store) == []

        await timer_store.save(_after(first, DropTimer("a"), _timer("a", "g-3", at=NOON)))
        assert await _keys(timer_store) == ["a"]

    async def test_a_lost_race_leaves_timers_alone(self, timer_store: _Timing) -> None:
        """A save that is refused sets no timer and ends none."""
        first = _opening(_timer("remind", "g-1", at=NOON))
        await timer_store.save(first)
        await timer_store.save(_after(first))

        await refused(timer_store, _after(first, DropTimer("remind"), _timer("other", "g-2", at=NOON)), actual=2)

        assert await _keys(timer_store) == ["remind"]

    async def test_a_renamed_state_keeps_its_timers(self, timer_store: _Timing) -> None:
        """When a migration gives a state another name, its timers belong to the new one."""
        first = _opening(_timer("remind", "g-1", at=NOON))
        await timer_store.save(first)
        renamed = first.snapshot.replace(state="Sketch", model_version=2)
        rewriting = SaveOptions(ID, renamed, 1, has_timers=True, renamed=RenamedState("Draft", "Sketch"))
        await timer_store.save(rewriting)

        assert [timer.state for timer in await _due(timer_store, NOON)] == ["Sketch"]
        await timer_store.save(_after(rewriting, LeftState("Sketch")))
        assert await _keys(timer_store) == ["remind"]

    async def test_due_timers_come_oldest_first(self, timer_store: _Timing) -> None:
        """Due timers are given in the order of their moments, so many as were asked for, of the definitions asked."""
        for number, minutes in enumerate([3, 1, 2]):
            moment = NOON + timedelta(minutes=minutes)
            await timer_store.save(_opening(_timer("remind", f"g-{number}", at=moment), id=f"w-{minutes}"))
        await timer_store.save(_opening(_timer("remind", "g-9", at=NOON), id="p-1", definition="parcel"))
        late = NOON + timedelta(hours=1)

        assert [timer.workflow_id for timer in await _due(timer_store, late)] == ["w-1", "w-2", "w-3"]
        assert [timer.workflow_id for timer in await _due(timer_store, late, limit=2)] == ["w-1", "w-2"]
        assert [timer.workflow_id for timer in await timer_store.due_timers(["parcel"], now=late)] == ["p-1"]
        assert await timer_store.due_timers([], now=late) == []
        both = await timer_store.due_timers(["order", "parcel"], now=late, limit=3)
        assert [timer.workflow_id for timer in both] == ["p-1", "w-1", "w-2"]

    async def test_timers_of_one_workflow_are_listed(self, timer_store: _Timing) -> None:
        """A store that lists timers tells those of one workflow, the next one first, without what is parked."""
        if not isinstance(timer_store, TimerCatalog):
            pytest.skip(f"{type(timer_store).__name__} lists no timers (TimerCatalog)")
        later = NOON + timedelta(hours=1)
        writes = [_timer("b", "g-1", at=later), _timer("a", "g-2", at=NOON, keep=True), _timer("c", "g-3", at=NOON)]
        await timer_store.save(_opening(*writes))
        fence = await leased(timer_store)
        [parked] = [timer for timer in await _due(timer_store, NOON) if timer.key == "c"]
        await timer_store.bury_timer(parked, {"category": "unexpected"}, 3, fence)

        assert [(timer.key, timer.due_at, timer.keep) for timer in await timer_store.timers(ID)] == [
            ("a", NOON, True),
            ("b", later, False),
        ]
        assert await timer_store.timers("another") == []

    async def test_until_the_next_one(self, timer_store: _Timing) -> None:
        """The time until the earliest timer is told; none is left when it is overdue."""
        await timer_store.save(_opening(_timer("a", "g-1", at=NOON), _timer("b", "g-2", at=NOON + timedelta(hours=1))))

        assert await timer_store.until_next_due(["order"], now=NOON - timedelta(minutes=5)) == timedelta(minutes=5)
        assert await timer_store.until_next_due(["order"], now=NOON + timedelta(days=1)) == timedelta()
        assert await timer_store.until_next_due(["parcel"], now=NOON) is None

    async def test_a_worker_takes_care_of_timers(self, timer_store: _Timing) -> None:
        """A due timer can be postponed, with its attempts, and finished; a generation that has passed is left alone."""
        await timer_store.save(_opening(_timer("remind", "g-1", at=NOON)))
        fence, [timer] = await leased(timer_store), await _due(timer_store, NOON)

        await timer_store.postpone_timer(timer, timedelta(minutes=5), 2, fence, now=NOON)
        assert await _due(timer_store, NOON + timedelta(minutes=4)) == []
        [later] = await _due(timer_store, NOON + timedelta(minutes=5))
        assert (later.attempts, later.due_at) == (2, NOON + timedelta(minutes=5))

        stale = _due_as(later, generation="g-0")
        await timer_store.finish_timer(stale, fence)
        await timer_store.postpone_timer(stale, timedelta(days=1), 9, fence, now=NOON)
        await timer_store.bury_timer(stale, {"type": "Bug"}, 9, fence)
        assert await _due(timer_store, NOON + timedelta(minutes=5)) == [later]

        await timer_store.finish_timer(later, fence)
        assert await _keys(timer_store) == []

    async def test_a_buried_timer_is_not_due(self, timer_store: _Timing) -> None:
        """A buried timer is due no more, but still stands, and goes with its state."""
        first = _opening(_timer("remind", "g-1", at=NOON))
        await timer_store.save(first)
        [timer] = await _due(timer_store, NOON)

        await timer_store.bury_timer(timer, {"type": "Bug"}, 3, await leased(timer_store))
        assert await _keys(timer_store) == []
        assert await timer_store.until_next_due(["order"], now=NOON) is None
        assert await timer_store.timer_stands(ID, "remind", "g-1")

        await timer_store.save(_after(first, LeftState("Placed")))
        assert not await timer_store.timer_stands(ID, "remind", "g-1")

    async def test_a_worker_that_was_overtaken_changes_no_timer(self, timer_store: _Timing) -> None:
        """Whose lease has passed to another worker can neither finish, postpone nor bury."""
        await timer_store.save(_opening(_timer("remind", "g-1", at=NOON)))
        [timer] = await _due(timer_store, NOON)
        late = await overtaken(timer_store)

        with pytest.raises(LeaseLostError):
            await timer_store.finish_timer(timer, late)
        with pytest.raises(LeaseLostError):
            await timer_store.postpone_timer(timer, timedelta(days=1), 1, late, now=NOON)
        with pytest.raises(LeaseLostError):
            await timer_store.bury_timer(timer, {"type": "Bug"}, 1, late)

        assert await _due(timer_store, NOON) == [timer]

    async def test_forgetting_takes_timers_along(self, timer_store: _Timing) -> None:
        """A forgotten workflow has no timers, nor has the next one under its id."""
        if not isinstance(timer_store, ErasingStore):
            pytest.skip(f"{type(timer_store).__name__} cannot forget (ErasingStore)")
        await timer_store.save(_opening(_timer("remind", "g-1", at=NOON)))
        await timer_store.forget(ID)
        await timer_store.save(opening())

        assert await _keys(timer_store) == []
        assert not (await loaded(timer_store)).has_timers

    async def test_timers_are_durable(self, timer_store: _Timing, other: StoreAdapter) -> None:
        """Another process finds the timers of an acknowledged save."""
        await timer_store.save(_opening(_timer("remind", "g-1", at=NOON)))

        assert isinstance(other, _Timing)
        assert await _due(other, NOON) == await _due(timer_store, NOON)
        assert await _keys(other) == ["remind"]


def _timer(
    key: str,
    generation: str,
    *,
    at: datetime | None = None,
    delay: timedelta | None = None,
    state: str = "Draft",
    keep: bool = False,
) -> SetTimer:
    delay = timedelta() if at is None and delay is None else delay
    return SetTimer(key, generation, REMIND, state, keep, at, delay)


def _opening(*timers: TimerWrite, id: str = ID, **facts: Any) -> SaveOptions:
    return opening(id, timers=timers, **facts)


def _after(before: SaveOptions, *timers: TimerWrite) -> SaveOptions:
    return following(before, timers=timers, has_timers=True)


def _due_as(timer: DueTimer, *, generation: str) -> DueTimer:
    return DueTimer(
        timer.workflow_id,
        timer.definition,
        timer.key,
        generation,
        timer.command,
        timer.state,
        timer.keep,
        timer.due_at,
        timer.attempts,
    )


async def _due(store: TimerStore, now: datetime, *, limit: int = 100) -> list[DueTimer]:
    return await store.due_timers(["order"], now=now, limit=limit)


async def _keys(store: TimerStore) -> list[str]:
    return sorted(timer.key for timer in await _due(store, NOON))
