"""Stores that keep the positions of readers, and what was decided until it is delivered."""

# ruff: noqa: S101 - a specification asserts

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, runtime_checkable

import pytest

from ..._engine.ports import (
    CommitLog,
    DeadLetter,
    DeadLetterStore,
    Delivery,
    ErasingStore,
    LeaseStore,
    ReaderStore,
    StoreAdapter,
    TimerStore,
)
from ..._model.commit import RecordedMessage
from ..._model.timer import SetTimer
from ...errors import LeaseLostError
from .leasing import ROLE, leased, overtaken
from .racing import PATIENCE
from .samples import following, loaded, opening

LATE = datetime(9000, 1, 1, tzinfo=UTC)
BUG: Mapping[str, Any] = {"category": "domain", "type": "CardRefused", "message": "no", "data": {"limit": 1.0}}


@runtime_checkable
class _Reading(StoreAdapter, CommitLog, ReaderStore, LeaseStore, Protocol):
    """A store that readers can rely on."""


class ReaderClauses:
    """A reader's position, and what it decided up to there, move together."""

    @pytest.fixture
    def reader_store(self, store: StoreAdapter) -> _Reading:
        """The store, if it keeps the positions of readers."""
        if not isinstance(store, _Reading):
            pytest.skip(f"{type(store).__name__} keeps no positions of readers (ReaderStore)")
        return store

    async def test_the_last_position(self, reader_store: _Reading) -> None:
        """The last position is that of the last commit, 0 before there is one."""
        assert await reader_store.last_position() == 0
        options = opening()
        await reader_store.save(options)
        await reader_store.save(following(options))

        assert await reader_store.last_position() == 2
        assert (await reader_store.commits())[-1].position == 2

    async def test_a_reader_starts_once(self, reader_store: _Reading) -> None:
        """A reader has no position before it starts; once it has one, starting changes nothing."""
        assert await reader_store.reader_position(ROLE) is None

        await reader_store.start_reader(ROLE, 5)
        await reader_store.start_reader(ROLE, 9)

        assert await reader_store.reader_position(ROLE) == 5
        assert await reader_store.reader_position("reactor:another") is None

    async def test_decisions_move_with_the_position(self, reader_store: _Reading) -> None:
        """What a reader decided is stored with its position, whole, and due at once in order of decision."""
        await reader_store.start_reader(ROLE, 0)
        decided = [_delivery(2, 0), _delivery(1, 1), _delivery(1, 0, target_id="odd 😀", is_droppable=True)]

        await reader_store.advance_reader(ROLE, 2, decided, await leased(reader_store))

        assert await reader_store.reader_position(ROLE) == 2
        due = await reader_store.due_deliveries(ROLE)
        assert [replace(delivery, id=0) for delivery in due] == [decided[2], decided[1], decided[0]]
        assert len({delivery.id for delivery in due} - {0}) == 3
        assert await reader_store.due_deliveries(ROLE, limit=1) == due[:1]
        assert await reader_store.due_deliveries("reactor:another") == []

    async def test_a_reader_that_was_overtaken_changes_nothing(self, reader_store: _Reading) -> None:
        """Whose lease has passed on can neither advance nor touch a delivery."""
        held = await _decided(reader_store, _delivery(1, 0))
        late = await overtaken(reader_store)
        [id] = [delivery.id for delivery in held]

        for act in (
            reader_store.advance_reader(ROLE, 9, [_delivery(9, 0)], late),
            reader_store.finish_deliveries([id], late),
            reader_store.postpone_delivery(id, timedelta(days=1), 1, late),
            reader_store.replace_delivery(id, [], late),
            reader_store.bury_delivery(id, BUG, 1, late),
        ):
            with pytest.raises(LeaseLostError):
                await act

        assert await reader_store.reader_position(ROLE) == 1
        assert await reader_store.due_deliveries(ROLE) == held

    async def test_what_is_done_with_is_gone(self, reader_store: _Reading) -> None:
        """A delivery that is finished is due no more; the others are, and are told as undelivered."""
        first, second = await _decided(reader_store, _delivery(1, 0), _delivery(2, 0))
        assert await reader_store.has_undelivered(ROLE, "source", 1)

        await reader_store.finish_deliveries([first.id], await leased(reader_store))

        assert await reader_store.due_deliveries(ROLE) == [second]
        assert not await reader_store.has_undelivered(ROLE, "source", 1)
        assert await reader_store.has_undelivered(ROLE, "source", 2)
        assert not await reader_store.has_undelivered(ROLE, "another", 2)
        assert not await reader_store.has_undelivered("reactor:another", "source", 2)

    async def test_what_is_postponed_holds_back_its_source(self, reader_store: _Reading) -> None:
        """A postponed delivery is due after its delay, and what follows from its source waits; other sources do not."""
        deliveries = (_delivery(1, 0), _delivery(2, 0), _delivery(3, 0, source_id="free"))
        first, second, free = await _decided(reader_store, *deliveries)

        await reader_store.postpone_delivery(first.id, timedelta(minutes=5), 3, await leased(reader_store), now=LATE)

        assert await reader_store.due_deliveries(ROLE, now=LATE) == [free]
        after = LATE + timedelta(minutes=5)
        assert await reader_store.due_deliveries(ROLE, now=after) == [replace(first, attempts=3), second, free]

    async def test_a_failure_is_replaced_by_what_was_decided_at_last(self, reader_store: _Reading) -> None:
        """What stood for a reactor's failure makes room for its decisions, in their place in the order."""
        failure, later = await _decided(reader_store, _delivery(1, -1, command=None), _delivery(2, 0))
        decided = [_delivery(1, 0), _delivery(1, 1)]

        await reader_store.replace_delivery(failure.id, decided, await leased(reader_store))

        due = await reader_store.due_deliveries(ROLE)
        assert [replace(delivery, id=0) for delivery in due] == [*decided, replace(later, id=0)]

    async def test_how_far_readers_are(self, reader_store: _Reading) -> None:
        """Each reader's position, its distance from the last commit, and what waits to be delivered are told."""
        for number in range(3):
            await reader_store.save(opening(f"w-{number}"))
        await _decided(reader_store, _delivery(1, 0), _delivery(1, 1))
        await reader_store.start_reader("publisher:bus", 0)

        told = {each.name: (each.position, each.lag, each.undelivered) for each in await reader_store.readers()}

        assert told == {ROLE: (1, 2, 2), "publisher:bus": (0, 3, 0)}

    async def test_a_change_wakes_who_waits(self, reader_store: _Reading) -> None:
        """Who waits for a change is woken by a save, or at the end of its patience."""
        async with asyncio.timeout(PATIENCE / 2):
            await reader_store.wait_for_change(timedelta(milliseconds=1))
            waiting = asyncio.ensure_future(reader_store.wait_for_change(timedelta(seconds=PATIENCE)))
            await asyncio.sleep(0)
            await reader_store.save(opening())
            await waiting

    async def test_forgetting_takes_deliveries_along(self, reader_store: _Reading) -> None:
        """Nothing is delivered from a forgotten workflow, nor to it."""
        if not isinstance(reader_store, ErasingStore):
            pytest.skip(f"{type(reader_store).__name__} cannot forget (ErasingStore)")
        await reader_store.save(opening("gone"))
        decided = (_delivery(1, 0, source_id="gone"), _delivery(2, 0, target_id="gone"), _delivery(3, 0))
        *_, stays = await _decided(reader_store, *decided)

        await reader_store.forget("gone")

        assert await reader_store.due_deliveries(ROLE) == [stays]

    async def test_positions_and_deliveries_are_durable(self, reader_store: _Reading, other: StoreAdapter) -> None:
        """Another process finds a reader where it was, with what it decided."""
        held = await _decided(reader_store, _delivery(1, 0), _delivery(2, 0))

        assert isinstance(other, _Reading)
        assert await other.reader_position(ROLE) == 2
        assert await other.due_deliveries(ROLE) == held


@runtime_checkable
class _Parking(_Reading, DeadLetterStore, Protocol):
    """A store with dead letters."""


class DeadLetterClauses:
    """What was given up is kept until somebody retries or drops it, and holds back only what follows it."""

    @pytest.fixture
    def parking_store(self, store: StoreAdapter) -> _Parking:
        """The store, if it keeps dead letters."""
        if not isinstance(store, _Parking):
            pytest.skip(f"{type(store).__name__} keeps no dead letters (DeadLetterStore)")
        return store

    async def test_a_dead_letter_says_what_it_was(self, parking_store: _Parking) -> None:
        """A buried delivery is told with its command, its target, and why it was given up."""
        assert await parking_store.dead_letters() == []
        await _buried(parking_store, _delivery(1, 0))

        [letter] = await parking_store.dead_letters()

        assert letter == DeadLetter(
            id=letter.id,
            kind="delivery",
            reader=ROLE,
            workflow_id="source",
            target="bill",
            target_id="b-1",
            command=RecordedMessage("Charge", {"amount": 100.0}),
            position=1,
            attempts=4,
            error=BUG,
        )

    async def test_a_reactors_failure_is_told_as_such(self, parking_store: _Parking) -> None:
        """A commit on which a reactor raised is a dead letter without a command."""
        await _buried(parking_store, _delivery(1, -1, command=None))

        [letter] = await parking_store.dead_letters()

        assert (letter.kind, letter.command, letter.position) == ("reactor", None, 1)

    async def test_a_dead_letter_holds_back_its_source(self, parking_store: _Parking) -> None:
        """What follows from the same source waits behind a dead letter, and nobody else does."""
        await _buried(parking_store, _delivery(1, 0), _delivery(2, 0), _delivery(3, 0, source_id="free"))

        assert [each.source_id for each in await parking_store.due_deliveries(ROLE, now=LATE)] == ["free"]
        assert await parking_store.has_undelivered(ROLE, "source", 1)

    async def test_a_retried_letter_is_due_again(self, parking_store: _Parking) -> None:
        """A dead letter that is retried is due at once, from the first attempt, with what waited behind it."""
        buried, later = await _buried(parking_store, _delivery(1, 0), _delivery(2, 0))
        [letter] = await parking_store.dead_letters()

        assert await parking_store.retry_dead_letter(letter.id)

        assert await parking_store.due_deliveries(ROLE) == [replace(buried, attempts=0), later]
        assert await parking_store.dead_letters() == []
        assert not await parking_store.retry_dead_letter(letter.id)

    async def test_a_dropped_letter_is_gone(self, parking_store: _Parking) -> None:
        """A dead letter that is dropped is gone, and what waited behind it goes on."""
        _, later = await _buried(parking_store, _delivery(1, 0), _delivery(2, 0))
        [letter] = await parking_store.dead_letters()

        assert await parking_store.drop_dead_letter(letter.id)

        assert await parking_store.due_deliveries(ROLE) == [later]
        assert not await parking_store.drop_dead_letter(letter.id)
        assert not await parking_store.drop_dead_letter("no such letter")

    async def test_dead_letters_in_pages(self, parking_store: _Parking) -> None:
        """Dead letters are listed by id, in pages that put together are the list."""
        for number in range(5):
            await _buried(parking_store, _delivery(number + 1, 0, source_id=f"s-{number}"))
        pages: list[DeadLetter] = []
        while page := await parking_store.dead_letters(after=pages[-1].id if pages else "", limit=2):
            assert len(page) <= 2
            pages += page

        assert pages == await parking_store.dead_letters()
        assert [letter.id for letter in pages] == sorted({letter.id for letter in pages})
        assert len(pages) == 5

    async def test_timers_can_be_dead_letters(self, parking_store: _Parking) -> None:
        """A buried timer is told beside the deliveries, and can be retried and dropped as they can."""
        if not isinstance(parking_store, TimerStore):
            pytest.skip(f"{type(parking_store).__name__} keeps no timers (TimerStore)")
        command = RecordedMessage("Remind", {"text": "now"})
        timer = SetTimer("remind", "g-1", command, "Draft", keep=False, at=None, delay=timedelta())
        await parking_store.save(opening(timers=(timer,)))
        fence = await leased(parking_store)
        for end in (parking_store.retry_dead_letter, parking_store.drop_dead_letter):
            [due] = await parking_store.due_timers(["order"], now=LATE)
            assert due.attempts == 0
            await parking_store.bury_timer(due, BUG, 2, fence)
            [letter] = await parking_store.dead_letters()
            told = (letter.kind, letter.reader, letter.workflow_id, letter.command, letter.attempts, letter.error)
            assert told == ("timer", "timers:order", due.workflow_id, command, 2, BUG)
            assert (letter.target, letter.target_id, letter.position) == ("order", due.workflow_id, None)

            assert await end(letter.id)
            assert await parking_store.dead_letters() == []

        assert await parking_store.due_timers(["order"], now=LATE) == []
        assert (await loaded(parking_store)).has_timers


def _delivery(position: int, number: int, **facts: Any) -> Delivery:
    usual: dict[str, Any] = {
        "id": 0,
        "reader": ROLE,
        "position": position,
        "number": number,
        "source_id": "source",
        "commit_id": f"c-{position}",
        "target": "bill",
        "target_id": "b-1",
        "command": RecordedMessage("Charge", {"amount": 100.0}),
        "is_droppable": False,
        "metadata": {"hops": 1, "trace": ["a"]},
    }
    return Delivery(**usual | facts)


async def _decided(store: _Reading, *deliveries: Delivery) -> list[Delivery]:
    """Store what a reader decided, and return it as it is due."""
    await store.start_reader(ROLE, 0)
    last = max(delivery.position for delivery in deliveries)
    known = {delivery.id for delivery in await store.due_deliveries(ROLE)}
    await store.advance_reader(ROLE, last, deliveries, await leased(store))
    return [delivery for delivery in await store.due_deliveries(ROLE) if delivery.id not in known]


async def _buried(store: _Reading, *deliveries: Delivery) -> list[Delivery]:
    """Store what a reader decided, and bury the first of it."""
    held = await _decided(store, *deliveries)
    await store.bury_delivery(held[0].id, BUG, 4, await leased(store))
    return held
