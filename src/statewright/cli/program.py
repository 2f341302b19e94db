"""How the command line ends: with a status, and with one line on standard error if something was wrong."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from ..errors import StatewrightError

WRONG = 1
"""The status after something that was refused, was not found or failed."""
MISUSED = 2
"""The status after a command that was written wrongly."""


class Complaint(Exception):  # noqa: N818 - it is what the user reads, not what went wrong in the program
    """Something that the user can put right.

    Args:
        message: What is wrong and what to do about it, in one line.
        status: What the process ends with.
    """

    def __init__(self, message: str, status: int = WRONG) -> None:
        super().__init__(message)
        self.status = status


class Program(TyperGroup):
    """The group of all commands: nobody who uses one sees a traceback."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run a command and end the process."""
        extra["standalone_mode"] = False
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal without arrows shows question marks
        try:
            status = super().main(args, prog_name, **extra)
        except Exception as raised:
            if os.environ.get("STATEWRIGHT_DEBUG"):
                raise
            message, status = _told(raised)
            if message:  # help that was printed for want of arguments has none
                complain(message)
        sys.exit(status if isinstance(status, int) else 0)


def complain(message: str) -> None:
    """Say on standard error what is wrong, in one line."""
    typer.echo(f"statewright: {' '.join(message.split())}", err=True)


def _told(raised: Exception) -> tuple[str, int]:
    """Return what to say about an exception, and the status to end with."""
    match raised:
        case Complaint(status=status):
            return str(raised), status
        case StatewrightError():
            return str(raised), WRONG
        case typer.Abort():
            return "stopped", WRONG
        case OSError(strerror=str(reason), filename=str(name)):
            return f"{name}: {reason}", WRONG
        case _:
            return _told_otherwise(raised)


def _told_otherwise(raised: Exception) -> tuple[str, int]:
    words = getattr(raised, "format_message", None)  # usage errors: their class is Typer's or Click's, by version
    if words is not None:
        return str(words()), getattr(raised, "exit_code", MISUSED)
    found = f"{type(raised).__name__}: {raised}"
    return f"unexpected error: {found} (set STATEWRIGHT_DEBUG=1 to see where)", WRONG
