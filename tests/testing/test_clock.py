"""The manual clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from statewright import Clock
from statewright.testing import ManualClock


def test_it_stands_still() -> None:
    """The clock gives the same aware moment until it is advanced."""
    clock: Clock = ManualClock()

    assert clock() == clock()
    assert clock().tzinfo is UTC


def test_it_starts_where_it_is_told_in_utc() -> None:
    """A start in any offset is the same instant in UTC, whether the clock is called or asked."""
    start = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    clock = ManualClock(start)

    assert clock() == clock.now() == start
    assert clock().isoformat() == "2026-03-01T10:00:00+00:00"
    assert repr(clock) == "ManualClock(2026-03-01T10:00:00+00:00)"


def test_it_advances() -> None:
    """Advancing moves the clock by just so much, and gives the new moment."""
    clock = ManualClock()
    before = clock()

    after = clock.advance(timedelta(days=1, microseconds=1))

    assert after == clock() == before + timedelta(days=1, microseconds=1)
    assert clock.advance(timedelta(0)) == after


def test_it_never_goes_back() -> None:
    """A negative step is refused, and the clock stays where it was."""
    clock = ManualClock()
    before = clock()

    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(timedelta(microseconds=-1))

    assert clock() == before


def test_it_refuses_a_naive_start() -> None:
    """A start without an offset is refused."""
    with pytest.raises(ValueError, match="aware"):
        ManualClock(datetime(2026, 3, 1))  # noqa: DTZ001 - the mistake that is refused
