"""What a day consists of: who sends which command when, and which answers there must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from ..errors import ConcurrencyConflictError, DomainError, InvalidDataError, RoutingError
from .order import Command

Answer: TypeAlias = Literal["accepted", "replayed", "refused", "conflict", "failed"]
"""How a command was answered; `failed` is what must not happen."""


@dataclass(frozen=True, slots=True)
class Send:
    """One command of one caller."""

    command: Command | Mapping[str, Any]
    channel: str
    """Who sends it; kept with the commit."""
    behind: int | None = None
    """The caller says which version it has seen: so many before the present one. `None`: it does not say."""
    key: str | None = None
    """The idempotency key, where the caller may send twice."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What callers send at the same moment, and the answers that they get, in whatever order."""

    at: datetime
    sends: tuple[Send, ...]
    answers: Mapping[Answer, int]

    @classmethod
    def of(cls, at: datetime, sends: Iterable[Send], *answers: Answer) -> Moment:
        """Return a moment with these answers."""
        return cls(at, tuple(sends), Counter(answers))


@dataclass(frozen=True, slots=True)
class Story:
    """One order's day."""

    id: str
    moments: tuple[Moment, ...]
    state: str
    """Stored name of the state that it ends in."""

    @property
    def version(self) -> int:
        """The version that it ends at: as many as were accepted."""
        return sum(moment.answers.get("accepted", 0) for moment in self.moments)


def answer_of(error: Exception) -> Answer:
    """Return how a command was answered that was not accepted."""
    match error:
        case ConcurrencyConflictError():
            return "conflict"
        case DomainError() | RoutingError() | InvalidDataError():
            return "refused"
        case _:
            return "failed"
