"""How the command line introduces itself, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from textwrap import dedent

import pytest
from typer.testing import CliRunner

from statewright.cli.app import app
from statewright.cli.commands import list as listing

from .conftest import Run

COMMANDS = {"demo", "list", "show", "history", "execute", "diagram", "check"}


def test_help_names_every_command(run: Run) -> None:
    """The first help says what the program is for, what it can do, and how to begin."""
    done = run("--help")

    assert done.exit_code == 0
    words = set(done.stdout.split())
    assert words >= COMMANDS
    assert "statewright demo" in done.stdout


def test_no_command_is_a_request_for_help(run: Run) -> None:
    """Called with nothing, it prints its help."""
    done = run()

    assert "Usage: statewright" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_has_help(run: Run, command: str) -> None:
    """Each command says what it is for and offers JSON."""
    done = run(command, "--help")

    assert done.exit_code == 0
    assert "--json" in done.stdout


def test_version(run: Run) -> None:
    """`--version` gives the version of the installed package."""
    assert run("--version").stdout == f"statewright {version('statewright')}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["fly"], "No such command 'fly'"),
        (["show"], "Missing argument"),
        (["list", "--limit", "many"], "Invalid value for '--limit'"),
        (["list", "--colour"], "No such option"),
    ],
)
def test_misuse_is_one_line(run: Run, arguments: list[str], complaint: str) -> None:
    """What was written wrongly is one line on standard error and status 2."""
    done = run(*arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_bug_is_one_line_unless_asked_otherwise(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a mistake of ours is one line, which says how to see more."""

    async def stumble(*_: object) -> None:
        raise LookupError("a stone\nin the way")

    monkeypatch.setattr(listing, "_find", stumble)

    done = run("list")

    assert done.exit_code == 1
    assert done.stderr == (
        "statewright: unexpected error: LookupError: a stone in the way (set STATEWRIGHT_DEBUG=1 to see where)\n"
    )
    monkeypatch.setenv("STATEWRIGHT_DEBUG", "1")
    assert isinstance(CliRunner().invoke(app, ["list"]).exception, LookupError)


def test_file_without_permission(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operating system refuses is told in its own words, with the file's name."""

    async def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "orders.db")

    monkeypatch.setattr(listing, "_find", refuse)

    assert run("list").stderr == "statewright: orders.db: Permission denied\n"


@pytest.mark.slow
def test_entry_point_without_the_extra(here: Path) -> None:
    """Where Typer or Rich is not installed, the program says what to install, in one line."""
    for missing in ("typer", "rich"):
        program = dedent(f"""
            import sys
            sys.modules[{missing!r}] = None
            from statewright.cli import main
            main()
        """)

        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

        assert done.returncode == 1
        assert done.stderr == f'statewright: the command line needs {missing}: pip install "statewright[cli]"\n'


@pytest.mark.slow
def test_importing_the_entry_point_is_cheap(here: Path) -> None:
    """`statewright.cli` is imported by whatever lists entry points, so that Typer and Rich have to wait."""
    program = "import sys, statewright.cli; print('typer' in sys.modules, 'rich' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "False False\n"
