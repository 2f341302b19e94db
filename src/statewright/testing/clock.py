"""A clock that stands still until it is told to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_START = datetime(2026, 1, 1, tzinfo=UTC)


class ManualClock:
    """A clock for tests: calling it gives the present, and only `advance` moves it.

    ```python
    clock = ManualClock()
    router = WorkflowRouter(Order, clock=clock)
    clock.advance(timedelta(days=1))
    ```

    Args:
        start: The first moment, aware; 2026-01-01 00:00 UTC if it is not given.

    Raises:
        ValueError: The first moment is naive.
    """

    def __init__(self, start: datetime | None = None) -> None:
        moment = _START if start is None else start
        if moment.utcoffset() is None:
            raise ValueError(f"a ManualClock starts at an aware datetime, found {moment!r}")
        self._now = moment.astimezone(UTC)

    def __call__(self) -> datetime:
        """Return the present, in UTC."""
        return self._now

    def now(self) -> datetime:
        """Return the present, in UTC."""
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move the clock and return the new present.

        Raises:
            ValueError: The clock would go back.
        """
        if by < timedelta(0):
            raise ValueError(f"a clock never goes back, not even by {-by}")
        self._now += by
        return self._now

    def __repr__(self) -> str:
        return f"ManualClock({self._now.isoformat()})"
