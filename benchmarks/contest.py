"""Rounds: every contender in a process of its own, one after the other, then all of them again."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeAlias

from .scenario import Contender, Scenario, Target
from .timing import Measurement

ROOT = Path(__file__).parent.parent
PATIENCE = 1_800
"""Seconds until a run is taken for hung."""

NewDatabase: TypeAlias = Callable[[], AbstractContextManager[str]]
"""Makes an empty database, gives its DSN, drops it."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often to measure."""

    rounds: int
    seconds: float
    scale: float


@dataclass(slots=True)
class Outcome:
    """What a scenario's rounds gave."""

    scenario: Scenario
    rows: dict[str, list[Measurement]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def values(self, row: str) -> list[float]:
        """Return a row's figures, one per round."""
        return [measured.value for measured in self.rows.get(row, [])]

    def value(self, row: str) -> float | None:
        """Return the median figure of a row; `None` if it never ran."""
        return median(self.values(row)) if self.rows.get(row) else None

    def ratio(self, row: str, against: Iterable[str]) -> float | None:
        """Return the median, over the rounds, of a row's figure divided by the best of others in the same round."""
        others = [self.values(name) for name in against if self.rows.get(name)]
        if not others or not self.rows.get(row):
            return None
        rounds = zip(self.values(row), *others, strict=True)
        ratios: list[float] = [own / max(best) for own, *best in rounds]
        return median(ratios)

    def fact(self, row: str, name: str) -> float | None:
        """Return the median of something else that a row's runs saw."""
        seen = [measured.facts[name] for measured in self.rows.get(row, []) if name in measured.facts]
        return median(seen) if seen else None

    def reached(self, target: Target) -> float | None:
        """Return the figure that a target bounds."""
        return self.ratio(target.row, target.against) if target.against else self.value(target.row)

    def is_met(self, target: Target) -> bool | None:
        """Return whether a target is met; `None` if it was not measured."""
        reached = self.reached(target)
        if reached is None:
            return None
        return reached >= target.value if target.bound == "at least" else reached <= target.value


def hold(scenario: Scenario, effort: Effort, new_database: NewDatabase | None, tell: Callable[[str], None]) -> Outcome:
    """Run all contenders of a scenario in so many rounds and return what they gave."""
    outcome = Outcome(scenario)
    rounds = effort.rounds if scenario.in_rounds else 1
    for number in range(rounds):
        # The order rotates: whoever always ran after the same neighbour would inherit its dirty pages.
        shift = number % len(scenario.contenders)
        for contender in scenario.contenders[shift:] + scenario.contenders[:shift]:
            if contender.name in outcome.failures:
                continue
            tell(f"{scenario.name}: round {number + 1} of {rounds}, {contender.name}")
            try:
                measured = _run_fresh(contender, effort, new_database if scenario.needs_server else None)
            except RunFailedError as failure:
                outcome.failures[contender.name] = str(failure)
                # A ratio is taken within a round: a row that lacks one cannot be compared.
                for name in contender.names:
                    outcome.rows.pop(name, None)
                continue
            for name, row in measured.items():
                outcome.rows.setdefault(name or contender.name, []).append(row)
    return outcome


class RunFailedError(Exception):
    """A contender's process did not end well."""


def _run_fresh(contender: Contender, effort: Effort, new_database: NewDatabase | None) -> dict[str, Measurement]:
    database = new_database() if new_database else nullcontext("")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory, database as dsn:
        order = {
            "run": contender.run,
            "seconds": effort.seconds,
            "scale": effort.scale,
            "directory": directory,
            "dsn": dsn,
        }
        command = [sys.executable, "-m", "benchmarks.child", json.dumps(order)]
        try:
            ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise RunFailedError(f"did not end within {PATIENCE} s") from None
    if ended.returncode != 0:
        raise RunFailedError(ended.stderr.strip()[-2_000:] or f"exit status {ended.returncode}")
    rows = json.loads(ended.stdout.strip().splitlines()[-1])
    return {name: Measurement(**row) for name, row in rows.items()}
