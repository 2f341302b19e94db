"""`demo`: the whole day, the crash, and what can be done next."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from statewright.cli.commands import demo as command
from statewright.demo.crash import Acknowledged, CrashError, Recovery

from .conftest import Run

LOST = Acknowledged("night-000001", 3, {"article": "mug"})


@pytest.mark.slow
def test_demo_as_json_and_what_it_offers_next(run: Run, here: Path) -> None:
    """The report is JSON, everything in it adds up, and each command that is offered next works on the file."""
    done = run("demo", "--orders", "60", "--seed", "3", "--callers", "16", "--json")

    assert (done.exit_code, done.stderr) == (0, "")
    report: dict[str, Any] = json.loads(done.stdout)
    assert (report["file"], report["orders"], report["surprises"]) == ("statewright-demo.db", 60, [])
    assert sum(report["states"].values()) == 60
    assert sum(report["answers"].values()) == report["commands"] > 300
    assert sum(report["refusals"].values()) == report["answers"]["refused"]
    assert [commit["version"] for commit in report["history"]] == list(range(1, 1 + len(report["history"])))
    assert report["crash"]["acknowledged"] >= 200
    assert (report["crash"]["missing"], report["crash"]["damaged"]) == ([], [])
    offered = [shlex.split(line)[1:] for line in report["next"]]
    assert {line[0] for line in offered} == {"list", "show", "history", "execute", "diagram", "check"}
    for line in offered:
        assert run(*line).exit_code == 0


@pytest.mark.slow
def test_demo_in_a_process_of_its_own(here: Path) -> None:
    """As a user types it: every part of the day is on standard output, and the file stays."""
    program = [sys.executable, "-W", "error", "-c", "from statewright.cli import main; main()"]
    options = ["demo", "--orders", "40", "--store", "day of orders.db"]

    done = subprocess.run([*program, *options], capture_output=True, text=True, check=False, timeout=120)

    assert (done.returncode, done.stderr) == (0, "")
    for part in (
        "A day in the shop: 40 orders (seed 7), 64 callers at once, into day of orders.db",
        "States at the end of the day",
        "Every answer is the one that this day was made up with, and so is every order.",
        " └─ Deliver ─────▶ Delivered",
        "was ended by SIGKILL after it had reported",
        "are there, each at its version",
        "The orders of the day are as they were.",
        "  statewright check --store 'day of orders.db'",
    ):
        assert part in done.stdout
    assert (here / "day of orders.db").exists()


@pytest.mark.slow
def test_demo_replaces_its_own_file_only(run: Run, here: Path) -> None:
    """The file that is the demo's by its name is begun anew; one that the user names must not be there yet."""
    (here / "statewright-demo.db").write_text("left by an older demo")
    (here / "orders.db").write_text("dear")

    again = run("demo", "--orders", "1", "--json")
    refused = run("demo", "--orders", "1", "--store", "orders.db")

    assert again.exit_code == 0
    assert refused.exit_code == 2
    assert refused.stderr == (
        "statewright: orders.db exists, and the demo only writes to a new file: name another one\n"
    )
    assert (here / "orders.db").read_text() == "dear"


def test_demo_runs_on_a_file(run: Run) -> None:
    """A server is not what the demo can take away in mid-write."""
    done = run("demo", "--store", "postgresql://127.0.0.1/shop")

    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)


@pytest.mark.slow
def test_loss_is_a_failure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """If an acknowledged command is missing, it is named, and the status is 1."""

    async def lossy(*_: object) -> Recovery:
        return Recovery(1, 200, 20, (LOST,), ("night-000002",), 0, 0.01)

    monkeypatch.setattr(command, "crash", lossy)

    done = run("demo", "--orders", "5")

    assert done.exit_code == 1
    assert "MISSING: night-000001, version 3\n" in done.stdout
    assert "DAMAGED: night-000002" in done.stdout
    assert "are there, each at its version" not in done.stdout


@pytest.mark.slow
def test_process_that_could_not_be_killed_is_a_failure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash that did not happen proves nothing, and is not passed off as one."""

    async def early(*_: object) -> Recovery:
        raise CrashError("the disk is full")

    monkeypatch.setattr(command, "crash", early)

    done = run("demo", "--orders", "5")

    assert done.exit_code == 1
    assert done.stderr == ("statewright: the process that was to be killed ended by itself: the disk is full\n")
