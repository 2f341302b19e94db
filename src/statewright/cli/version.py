"""`statewright --version`."""

from __future__ import annotations

from importlib.metadata import version

import typer


def print_version(is_wanted: bool) -> None:  # noqa: FBT001 - called by Typer
    """Print the version of the installed package, and leave."""
    if is_wanted:
        typer.echo(f"statewright {version('statewright')}")
        raise typer.Exit
