"""What a handler says about timers: saved with the state, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
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
"""What a handler says."""


@dataclass(frozen=True, slots=True)
class LeftState:
    """The workflow is in this state now: timers that belong to another one and are not kept are gone."""

    state: str


@dataclass(frozen=True, slots=True)
class RenamedState:
    """A migration gave a state another name: its timers go along."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class SetTimer:
    """A timer, in the place of one with the same key."""

    key: str
    generation: str
    """Which of the timers that ever had this key it is: the id of the commit that set it, a dot, and a number."""
    command: RecordedMessage
    state: str
    """Stored name of the state that it belongs to."""
    keep: bool
    at: datetime | None
    delay: timedelta | None
    """Added by the store to its own clock."""


@dataclass(frozen=True, slots=True)
class DropTimer:
    """No timer under this key any more."""

    key: str


@dataclass(frozen=True, slots=True)
class ConsumeTimer:
    """The timer's command was accepted: it has acted."""

    key: str
    generation: str


TimerWrite: TypeAlias = LeftState | RenamedState | SetTimer | DropTimer | ConsumeTimer
"""What a save does to timers, in order."""


@dataclass(frozen=True, slots=True)
class DueTimer:
    """A timer whose time has come."""

    workflow_id: str
    definition: str
    key: str
    generation: str
    command: RecordedMessage
    state: str
    keep: bool
    due_at: datetime
    attempts: int = 0
    """How often its command failed so far, without the failures of the store."""

    @property
    def commit_id(self) -> str:
        """Id of the commit that set it."""
        return self.generation.partition(".")[0]


def is_undone(timer: DueTimer, writes: Iterable[TimerWrite]) -> bool:
    """Return whether one of these writes, made but not yet stored, ends a timer."""
    state = timer.state
    for write in writes:
        match write:
            case RenamedState(old=old, new=new) if state == old:
                state = new
            case LeftState(state=now) if not timer.keep and state != now:
                return True
            case SetTimer(key=key) | DropTimer(key=key) | ConsumeTimer(key=key) if key == timer.key:
                return True
            case _:
                pass
    return False
