"""What a run is told: how long, where, how large."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from .timing import Measurement


@dataclass(frozen=True, slots=True)
class Setting:
    """The circumstances of one run."""

    seconds: float
    """How long to measure, where the run measures for a time."""
    directory: Path
    """An empty directory, removed after the run."""
    dsn: str
    """An empty database of a running PostgreSQL, where the scenario needs one; else the empty string."""
    scale: float
    """1 runs the long scenarios whole; less, a part of them."""

    def scaled(self, count: int, *, least: int = 1) -> int:
        """Return so many, or the part of it that this run does."""
        return max(least, round(count * self.scale))


Rows: TypeAlias = Mapping[str, Measurement]
"""What a run that measures several things at once returns, by name."""
Run: TypeAlias = Callable[[Setting], Measurement | Rows]
