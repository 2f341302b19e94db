"""What is compared with what: scenarios, their contenders and their targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Bound = Literal["at least", "at most"]

OURS = "Statewright"


@dataclass(frozen=True, slots=True)
class Contender:
    """One who does a scenario's work, each time in a fresh process."""

    name: str
    """Unique in its scenario."""
    run: str
    """Where the function is, as `module:function` below `benchmarks.contenders`."""
    rows: tuple[str, ...] = ()
    """Names of what it measures, if it measures several things at once."""

    @property
    def names(self) -> tuple[str, ...]:
        """The rows that it fills."""
        return self.rows or (self.name,)


@dataclass(frozen=True, slots=True)
class Target:
    """A figure to reach."""

    row: str
    bound: Bound
    value: float
    against: tuple[str, ...] = ()
    """The rows to divide by, the best of them in each round; none: the figure itself is bounded."""
    called: str = ""
    """What several rows are together, for the table."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of work and all who do it."""

    name: str
    title: str
    contenders: tuple[Contender, ...]
    floor: str = ""
    """The row that ratios are taken to; none for the empty string."""
    targets: tuple[Target, ...] = ()
    unit: str = "ops/s"
    needs_server: bool = False
    in_rounds: bool = True
    """Whether it is run once in every round; a scenario that counts bytes needs one run only."""
    in_picture: bool = True

    @property
    def rows(self) -> tuple[str, ...]:
        """All rows, in order."""
        return tuple(name for contender in self.contenders for name in contender.names)
