"""Printing: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

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


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; in a terminal the last column gives way, elsewhere nothing is cut off."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        is_last = column == columns[-1]
        table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=1 if is_last else None)
    for row in rows:
        table.add_row(*row)
    console().print(table)


def print_heading(text: str) -> None:
    """Print a heading, with an empty line above it."""
    console().print(Text(f"\n{text}", style="bold"))


def compact(value: Any) -> str:
    """Return data as JSON in one line; nothing for an empty object."""
    return "" if value == {} else json.dumps(value, ensure_ascii=False)


def moment(when: datetime | None) -> str:
    """Return a time as people read it, in UTC."""
    return "" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
