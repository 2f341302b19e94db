"""The README: what it names is there. That its code runs, twice in a row, is for `tests/docs` to say."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from statewright.cli.app import app
from tests.docs.run_document import EXECUTED, blocks

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LONGEST = 170
RUNNER = ROOT / "tests" / "docs" / "run_document.py"


def commands() -> list[str]:
    """Return the commands of the terminal that the README shows, without what is said about them."""
    shown = [line for block in blocks(README) if block.info == "console" for line in block.code.splitlines()]
    return [shlex.join(shlex.split(line, comments=True)) for line in shown]


def test_two_commands_are_all_it_takes() -> None:
    """A reader with nothing but pip sees the demo and the tests by one line each."""
    assert commands() == [
        shlex.join(shlex.split("pip install uv && uv run statewright demo")),
        shlex.join(shlex.split("pip install uv && uv run pytest")),
    ]


def test_commands_need_no_flags() -> None:
    """What the two commands run is in the groups that uv installs by default, and the demo does without the tests."""
    groups = PROJECT["dependency-groups"]

    assert set(PROJECT["tool"]["uv"]["default-groups"]) >= {"cli", "test"}
    assert PROJECT["project"]["scripts"]["statewright"] == "statewright.cli:main"
    assert any(need.startswith("pytest") for need in groups["test"] if isinstance(need, str))
    assert set(groups["cli"]) == set(PROJECT["project"]["optional-dependencies"]["cli"])


def test_extras_exist() -> None:
    """Each extra in the table, and in the line above it, is one that can be installed."""
    named = set(re.findall(r"^\| `([a-z]+)` \|", TEXT, re.MULTILINE))
    for brackets in re.findall(r'pip install "\.\[([a-z,]+)\]"', TEXT):
        named |= set(brackets.split(","))

    assert named
    assert named <= set(PROJECT["project"]["optional-dependencies"])


def test_commands_of_the_program_exist() -> None:
    """Each command that the table names is one of the program."""
    (row,) = re.findall(r"^\| `cli` \| (.*) \|$", TEXT, re.MULTILINE)
    named = {name.removeprefix("statewright ") for name in re.findall(r"`([^`-]+)`", row)}

    assert named <= set(vars(get_command(app))["commands"])
    assert "demo" in named


def test_readme_is_short() -> None:
    """It is judged in ten minutes, by people who have others to read."""
    assert len(TEXT.splitlines()) <= LONGEST


@pytest.mark.slow
def test_examples_are_clean_under_mypy_strict(tmp_path: Path) -> None:
    """What a reader pastes first is what a type checker takes."""
    module = tmp_path / "order.py"
    module.write_text("\n".join(block.code for block in blocks(README) if block.info == EXECUTED))
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path), str(module)]

    done = subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, check=False, timeout=300)

    assert done.stdout.startswith("Success"), done.stdout


@pytest.mark.slow
def test_example_shows_its_result(tmp_path: Path) -> None:
    """The example prints the placed order, and leaves its file behind."""
    command = [sys.executable, str(RUNNER), str(README)]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.startswith("Placed items=['tea'] placed_at=datetime.datetime(")
    assert (tmp_path / "orders.db").exists()
