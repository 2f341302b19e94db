"""Printing: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from .._model.commit import Commit

_GAP = 2
_WIDE = 10_000
"""Nothing is cut off or wrapped where no terminal sets the width."""


def console(*, stderr: bool = False) -> Console:
    """Return where to print to; what it prints is never taken for markup."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDE
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def print_json(value: Any) -> None:
    """Print JSON-safe data."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], notes: Sequence[Iterable[str]] = ()) -> None:
    """Print a table; in a terminal the last column gives way, elsewhere nothing is cut off.

    Args:
        columns: What stands above them.
        rows: The cells.
        notes: Lines to print below each row; none if not given.
    """
    out = console()
    cells = list(rows)
    widths = [max(map(cell_len, column)) + _GAP for column in zip(columns, *cells, strict=True)][:-1]
    room = max(out.width - sum(widths), _GAP)
    if any(columns):
        out.print(Text(_line(columns, widths, room), style="bold"), soft_wrap=True)
    for row, lines in zip_longest(cells, notes, fillvalue=()):
        out.print(Text(_line(row, widths, room)), soft_wrap=True)
        for line in lines:
            out.print(Text(f"{' ' * _GAP}{line}"), soft_wrap=True)


def _line(row: Sequence[str], widths: Sequence[int], room: int) -> str:
    first = "".join(set_cell_size(cell, width) for cell, width in zip(row, widths, strict=False))
    last = row[-1] if cell_len(row[-1]) <= room else f"{set_cell_size(row[-1], room - 1)}…"
    return (first + last).rstrip()


def print_commits(commits: Iterable[Commit], notes: Sequence[Iterable[str]] = ()) -> None:
    """Print what happened to a workflow as a table, with lines below each commit."""
    print_table(("VERSION", "TIME", "STATE", "EVENTS", "COMMAND"), [_row(commit) for commit in commits], notes)


def _row(commit: Commit) -> tuple[str, ...]:
    told = ["(created)"] if commit.command is None else [commit.command.type, _compact(commit.command.data)]
    told += [f"{key}={value}" for key, value in commit.metadata.items()]
    events = ", ".join(event.type for event in commit.events)
    return str(commit.version), moment(commit.recorded_at), commit.state, events, " ".join(filter(None, told))


def _compact(value: Any) -> str:
    """Return data as JSON in one line; nothing for an empty object."""
    return "" if value == {} else json.dumps(value, ensure_ascii=False)


def print_heading(text: str) -> None:
    """Print a heading, with an empty line above it."""
    console().print(Text(f"\n{text}", style="bold"))


def moment(when: datetime | None) -> str:
    """Return a time as people read it, in UTC."""
    return "" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
