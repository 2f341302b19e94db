"""The made-up day, and living through it: the demo without its face."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import pairwise

import pytest

from statewright import MemoryStore
from statewright.demo.day import make_day
from statewright.demo.plan import Answer, Send, Story
from statewright.demo.shift import Shift, shop

DAY = date(2026, 3, 1)


def sends_of(stories: Sequence[Story]) -> list[Send]:
    return [send for story in stories for moment in story.moments for send in moment.sends]


def answers_of(stories: Sequence[Story]) -> Counter[Answer]:
    return sum((Counter(moment.answers) for story in stories for moment in story.moments), Counter())


@pytest.fixture(scope="module")
def stories() -> list[Story]:
    return make_day(200, 1, DAY)


def test_same_seed_gives_the_same_day(stories: list[Story]) -> None:
    """A day can be made up again, and another seed makes up another one."""
    assert make_day(200, 1, DAY) == stories
    assert make_day(200, 2, DAY) != stories


def test_day_has_everything_that_happens_to_a_shop(stories: list[Story]) -> None:
    """Every kind of answer is expected somewhere, every state is an end of some order, and every command is sent."""
    assert set(answers_of(stories)) == {"accepted", "replayed", "refused", "conflict"}
    assert {story.state for story in stories} == {"Basket", "Placed", "Paid", "Shipped", "Delivered", "Cancelled"}
    names = {type(send.command).__name__ for send in sends_of(stories)}
    assert names >= {"Open", "AddItem", "RemoveItem", "Place", "Pay", "Ship", "Deliver", "Cancel"}
    assert any(len(moment.sends) > 1 for story in stories for moment in story.moments)


def test_day_keeps_its_own_books(stories: list[Story]) -> None:
    """Each moment expects one answer for each command, and an order's moments follow each other."""
    for story in stories:
        assert all(len(moment.sends) == sum(moment.answers.values()) for moment in story.moments)
        assert all(earlier.at < later.at for earlier, later in pairwise(story.moments))
    assert stories[0].moments[0].at > datetime(2026, 3, 1, 7, tzinfo=UTC)


@pytest.mark.slow
async def test_shift_gets_the_answers_that_there_must_be(stories: list[Story]) -> None:
    """Sixteen callers live through the day, and books and store agree to the last command."""
    store = MemoryStore()
    told: list[int] = []

    report = await Shift(shop(store), stories, callers=16, on_progress=told.append).run()

    assert report.surprises == []
    assert report.answers == answers_of(stories)
    assert report.commands == len(sends_of(stories)) == sum(told) == len(report.latencies)
    assert report.refusals.total() == report.answers["refused"]
    assert await store.count_by_state("demo-order") == Counter(story.state for story in stories)
    assert 0 < report.latency(0.5) <= report.latency(0.99)
    assert report.rate > 0


async def test_commits_carry_the_time_of_the_day(stories: list[Story]) -> None:
    """What is recorded has the time of its moment, whatever the clock on the tester's wall says, and who sent it."""
    store = MemoryStore()
    await Shift(shop(store), stories[:5], callers=5).run()

    for story in stories[:5]:
        commits = await store.history(story.id)
        assert [commit.recorded_at for commit in commits][:1] == [story.moments[0].at]
        assert {commit.recorded_at for commit in commits} <= {moment.at for moment in story.moments}
        assert all(commit.metadata["channel"] for commit in commits)


async def test_shift_notices_a_wrong_answer(stories: list[Story]) -> None:
    """Living through the same day again is noticed: what was accepted is not what happens now."""
    store = MemoryStore()
    await Shift(shop(store), stories[:5]).run()

    report = await Shift(shop(store), stories[:5]).run()

    assert report.surprises[0].startswith("order-00001: expected accepted")


async def test_shift_notices_a_loss(stories: list[Story]) -> None:
    """An order that is gone, or is not where it must be, is noticed when looking back."""
    store = MemoryStore()
    shift = Shift(shop(store), stories[:5])
    await shift.run()
    await store.forget("order-00002")

    assert await shift.look_back() == [
        f"order-00002: expected {stories[1].state} at version {stories[1].version}; found nothing"
    ]
