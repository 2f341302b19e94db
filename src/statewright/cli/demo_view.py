"""What `statewright demo` prints."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .._model.commit import Commit
from ..demo import FILE, router
from ..demo.crash import Recovery
from ..demo.plan import Story
from ..demo.shift import Report
from ..diagram import text
from .output import console, print_commits, print_heading, print_table

_BAR = 30
_SHOWN = 10
"""Of a list of what went wrong, so many are shown."""


def print_day(report: Report, states: Mapping[str, int], sample: Sequence[Commit]) -> None:
    """Print what came of a day."""
    out = console()
    print_heading("States at the end of the day")
    rows = [(state, states.get(state, 0)) for state in router.workflow.states]
    most = max((count for _, count in rows), default=0) or 1
    print_table(("STATE", "ORDERS", ""), [(name, f"{n:,}", "█" * -(-n * _BAR // most)) for name, n in rows])

    print_heading("Answers")
    print_table(("ANSWER", "COMMANDS", ""), _answers(report))
    half, most_of_them = (f"{report.latency(share) * 1e3:.1f} ms" for share in (0.5, 0.99))
    out.print(
        f"\n{report.commands:,} commands in {report.seconds:.1f} s: {report.rate:,.0f} a second, each on disk before "
        f"its answer; half of them were answered within {half}, 99 % within {most_of_them}."
    )
    _print_surprises(report.surprises, "Every answer is the one that this day was made up with, and so is every order.")

    print_heading(f"The day of {sample[0].workflow_id}" if sample else "No history")
    print_commits(sample)
    print_heading("The workflow, and how many orders are where")
    out.print(text(router, counts=states).partition("\n\n")[2], end="")


def _answers(report: Report) -> Iterator[tuple[str, str, str]]:
    answers = report.answers
    refusals = ", ".join(f"{count} {code}" for code, count in report.refusals.most_common())
    yield "accepted", f"{answers['accepted']:,}", "saved, each as a version and a commit of its own"
    yield "replayed", f"{answers['replayed']:,}", "sent twice under one idempotency key: answered again, done once"
    yield "refused", f"{answers['refused']:,}", refusals
    yield "conflict", f"{answers['conflict']:,}", "decided on an old version: nothing saved"
    if answers["failed"]:
        yield "failed", f"{answers['failed']:,}", "must not happen"


def print_recovery(recovery: Recovery, surprises: Sequence[str], following: Sequence[str]) -> None:
    """Print what was found after the crash, and what can be done next."""
    out = console()
    print_heading("A process killed in mid-write")
    out.print(
        f"Process {recovery.process} wrote to the same file and was ended by SIGKILL after it had reported "
        f"{recovery.acknowledged:,} acknowledged commands on {recovery.workflows:,} orders."
    )
    for each in recovery.missing[:_SHOWN]:
        out.print(f"MISSING: {each.id}, version {each.version}")
    for id in recovery.damaged[:_SHOWN]:
        out.print(f"DAMAGED: {id}: its commits are not versions 1 to the stored one")
    if recovery.is_whole:
        out.print(
            f"Opened again and searched in {recovery.seconds * 1e3:.0f} ms: all {recovery.acknowledged:,} are there, "
            f"each at its version. Saved whole, but killed before the answer was out: {recovery.unreported:,}."
        )
    _print_surprises(surprises, "The orders of the day are as they were.")
    print_heading("Next")
    for command in following:
        out.print(f"  {command}", soft_wrap=True)


def _print_surprises(surprises: Sequence[str], otherwise: str) -> None:
    out = console()
    for surprise in surprises[:_SHOWN]:
        out.print(f"WRONG: {surprise}")
    if len(surprises) > _SHOWN:
        out.print(f"WRONG: {len(surprises) - _SHOWN:,} more")
    if not surprises:
        out.print(otherwise)


def next_commands(path: Path, stories: Sequence[Story]) -> list[str]:
    """Return commands that work on what the demo leaves behind."""
    program = "uv run statewright" if "UV_RUN_RECURSION_DEPTH" in os.environ else "statewright"
    where = "" if str(path) == FILE else f" --store {shlex.quote(str(path))}"
    paid = next((story.id for story in stories if story.state == "Paid"), None)
    id = paid or stories[0].id
    ship = shlex.quote(json.dumps({"parcel": "P00000001"}))
    commands = ["list --state Basket", f"show {id}", f"history {id}"]
    commands += [f"execute {id} Ship {ship}"] if paid else []
    commands += ["diagram --format mermaid", "check"]
    return [f"{program} {command}{where}" for command in commands]
