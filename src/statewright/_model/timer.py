"""What a handler says about timers: saved with the state, in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from .commit import RecordedMessage


@dataclass(frozen=True, slots=True)
class ScheduledTimer:
    """A command to be executed later; replaces a timer with the same key."""

    key: str
    command: RecordedMessage
    delay: timedelta | None
    at: datetime | None
    keep: bool


@dataclass(frozen=True, slots=True)
class CancelledTimer:
    """A timer that is not wanted any more."""

    key: str


TimerChange: TypeAlias = ScheduledTimer | CancelledTimer
