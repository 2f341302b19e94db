"""Put a run's table, machine and command into the page of the docs, between two marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from . import report
from .contest import Effort, Outcome

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PICTURE = "../benchmarks/results/published.svg"
BEGIN = "<!-- begin: written by python -m benchmarks --publish -->"
END = "<!-- end -->"


class NoPlaceError(Exception):
    """The page lacks its marks."""


def write(
    outcomes: Sequence[Outcome], effort: Effort, machine: Mapping[str, str], command: str, *, page: Path = PAGE
) -> None:
    """Replace what stands between the marks of the page.

    Raises:
        NoPlaceError: A mark is missing.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise NoPlaceError(f"{page.name} needs the lines {BEGIN!r} and {END!r}")
    section = _section(outcomes, effort, machine, command)
    page.write_text(f"{before}{BEGIN}\n\n{section}\n{END}{after}", encoding="utf-8")


def _section(outcomes: Sequence[Outcome], effort: Effort, machine: Mapping[str, str], command: str) -> str:
    facts = "\n".join(f"- {name}: {value}" for name, value in machine.items())
    how = (
        f"{effort.rounds} rounds of {effort.seconds:g} s for each contender; "
        f"long scenarios at {effort.scale:.0%} of their full size."
    )
    shown = f"![Bars of all contenders]({PICTURE})\n\n" if (PAGE.parent / PICTURE).exists() else ""
    return f"```console\n$ {command}\n```\n\n{how}\n\n{facts}\n\n{shown}{report.to_table(outcomes)}"
