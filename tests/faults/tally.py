"""What callers saw of a kind of fault, and what is stored afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Recovery:
    """How long it took after one fault until callers were answered again, in seconds."""

    first: float
    """The first accepted command."""
    everybody: float
    """An accepted command of every caller."""


@dataclass(slots=True)
class Tally:
    """What was counted while one kind of fault was injected.

    A *command* is what a caller wants, under an idempotency key of its own; a *call* is one attempt at it.
    """

    kind: str
    title: str
    injected: int = 0
    """Faults: servers killed, connections cut, statements refused, ..."""
    sent: int = 0
    """Commands."""
    calls: int = 0
    acked: int = 0
    """Commands that were answered with a `Success`."""
    replayed: int = 0
    """Commands whose first call had been saved although it was answered with a failure: the key told so."""
    lost: int = 0
    """Acknowledged commands that are not stored as they were acknowledged."""
    doubled: int = 0
    """Commands that are stored more than once."""
    failures: Counter[str] = field(default_factory=Counter)
    """Calls that ended in a typed failure, by its class."""
    escaped: Counter[str] = field(default_factory=Counter)
    """Calls that raised, or never ended, or were answered with a failure that is not the store's."""
    stale: int = 0
    """Reads that showed less than had been acknowledged before they began."""
    longest: float = 0.0
    """The longest call, in seconds."""
    recoveries: list[Recovery] = field(default_factory=list)
    subscribed: int = 0
    """Commits that a subscriber saw, across all faults."""
    skipped: int = 0
    """Commits that it did not see, or saw twice, or out of order."""

    @property
    def is_sound(self) -> bool:
        """Whether everything that is promised was kept."""
        return not (self.lost or self.doubled or self.escaped or self.stale or self.skipped) and self.acked == self.sent

    def compare(self, acknowledged: Mapping[tuple[str, str], int], stored: Sequence[tuple[str, str, int]]) -> None:
        """Count what was lost and doubled.

        Args:
            acknowledged: Versions by workflow and mark.
            stored: Workflow, mark and version of each commit.
        """
        versions = {(id, mark): version for id, mark, version in stored}
        self.lost = sum(versions.get(key) != version for key, version in acknowledged.items())
        self.doubled = sum(count - 1 for count in Counter((id, mark) for id, mark, _ in stored).values())

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON-safe data."""
        first = [recovery.first for recovery in self.recoveries]
        everybody = [recovery.everybody for recovery in self.recoveries]
        return {
            "kind": self.kind,
            "title": self.title,
            "faults_injected": self.injected,
            "commands_sent": self.sent,
            "calls": self.calls,
            "acknowledged": self.acked,
            "replayed": self.replayed,
            "lost": self.lost,
            "doubled": self.doubled,
            "typed_failures": dict(sorted(self.failures.items())),
            "escaped": dict(sorted(self.escaped.items())),
            "stale_reads": self.stale,
            "longest_call_seconds": round(self.longest, 3),
            "first_success_seconds": [round(seconds, 3) for seconds in first],
            "all_callers_seconds": [round(seconds, 3) for seconds in everybody],
            "subscriber": {"seen": self.subscribed, "skipped_or_doubled": self.skipped},
        }


HEADINGS = (
    "fault",
    "injected",
    "commands",
    "acknowledged",
    "lost",
    "doubled",
    "failed calls",
    "settled by key",
    "longest call",
    "first success",
    "all callers",
)


def to_table(tallies: Iterable[Tally]) -> str:
    """Return a Markdown table with a line for each kind of fault."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"|---{'|---:' * (len(HEADINGS) - 1)}|"]
    lines += [f"| {' | '.join(_cells(tally))} |" for tally in tallies]
    return "\n".join(lines)


def _cells(tally: Tally) -> tuple[str, ...]:
    counts = (
        tally.injected,
        tally.sent,
        tally.acked,
        tally.lost,
        tally.doubled,
        tally.failures.total(),
        tally.replayed,
    )
    first = max((recovery.first for recovery in tally.recoveries), default=0.0)
    last = max((recovery.everybody for recovery in tally.recoveries), default=0.0)
    return (tally.title, *(f"{count:,}" for count in counts), *map(_duration, (tally.longest, first, last)))


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
