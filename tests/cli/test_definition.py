"""`diagram` and `check`: what the annotations of a definition say, and where a definition is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from statewright.demo import router
from statewright.diagram import dot, markdown, mermaid, rst, text

from .conftest import Run


def test_diagram_of_a_module(run: Run, lamps: Path) -> None:
    """A router of the user's own is drawn without any store."""
    assert run("diagram", "lamps:router").stdout.splitlines() == [
        "lamp",
        "",
        "(new)",
        " └─ Install ──▶ Off",
        "",
        "Off",
        " └─ Switch ───▶ On",
        "",
        "On",
        " └─ Switch ───▶ Off",
        "",
        "Broken · end · cannot be reached",
        "",
        "handled in no state: Repair",
    ]


def test_diagram_of_the_demo(run: Run, orders: Path) -> None:
    """For a file of the demo its own definition is drawn, with how many orders are in each state."""
    assert run("diagram").stdout == text(router, counts={"Paid": 1, "Basket": 1})


@pytest.mark.parametrize(("name", "draw"), [("mermaid", mermaid), ("dot", dot), ("markdown", markdown), ("rst", rst)])
def test_diagram_formats(run: Run, orders: Path, name: str, draw: object) -> None:
    """Each format is what the library draws."""
    assert callable(draw)
    assert run("diagram", "--format", name).stdout == draw(router)


def test_diagram_as_json(run: Run, orders: Path, lamps: Path) -> None:
    """JSON has the graph, the counts if there is a store, and the Mermaid text."""
    own = json.loads(run("diagram", "--json").stdout)
    lamp = json.loads(run("diagram", "lamps:router", "--json").stdout)

    assert (own["definition"], own["counts"]) == ("demo-order", {"Basket": 1, "Paid": 1})
    assert own["mermaid"] == mermaid(router)
    assert (lamp["states"], lamp["commands"]) == (["Off", "On", "Broken"], ["Install", "Switch", "Repair"])
    assert lamp["transitions"][0] == {
        "state": None,
        "command": "Install",
        "targets": ["Off"],
        "handler": "install",
        "summary": "Screw it in.",
    }
    assert lamp["counts"] is None


def test_diagram_of_an_executor_with_a_store(run: Run, orders: Path, lamps: Path) -> None:
    """An executor stands for its router; a store that is named is counted by the definition."""
    drawn = run("diagram", "rooms:hall", "--store", str(orders)).stdout

    assert "\nOff · 0\n" in drawn


def test_check_of_a_sound_definition(run: Run, orders: Path) -> None:
    """A sound definition is told by its size and its ends, with status 0."""
    done = run("check")

    assert done.exit_code == 0
    assert done.stdout == (
        "demo-order: 6 states, 8 commands, 10 transitions\n"
        "ends: Delivered, Cancelled\n"
        "nothing wrong: every state can be reached, and every command is handled somewhere\n"
    )


def test_check_finds_mistakes(run: Run, lamps: Path) -> None:
    """What cannot be reached, left or handled is named, with status 1."""
    done = run("check", "lamps:router", "--end", "Off")

    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "lamp: 3 states, 3 commands, 3 transitions",
        "ends: Broken",
        "wrong: Broken: no sequence of commands leads to this state",
        "wrong: Broken: no command leads out of this state, and it is not meant to be an end",
        "wrong: Repair: no state handles this command",
    ]


def test_check_as_json(run: Run, lamps: Path) -> None:
    """JSON has each kind of mistake in a list of its own."""
    done = run("check", "lamps:router", "--json")

    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "definition": "lamp",
        "ok": False,
        "unreachable": ["Broken"],
        "ends": ["Broken"],
        "unexpected_ends": [],
        "unhandled": ["Repair"],
    }


def test_check_knows_the_ends_that_are_meant(run: Run, orders: Path) -> None:
    """An end that is not among those that are meant is a mistake; so is meaning a state that there is not."""
    assert run("check", "--end", "Delivered", "--end", "Cancelled").exit_code == 0
    assert json.loads(run("check", "--end", "Delivered", "--json").stdout)["unexpected_ends"] == ["Cancelled"]
    unknown = run("check", "--end", "Gone")
    assert (unknown.exit_code, unknown.stderr.count("\n")) == (2, 1)
    assert "--end Gone: demo-order has the states Basket, Placed" in unknown.stderr


@pytest.mark.parametrize("command", ["check", "diagram", "schema"])
def test_definition_is_asked_for_first(run: Run, command: str) -> None:
    """Where nothing is named and the demo has left nothing, a definition is what is missing, not a store."""
    done = run(command)

    assert done.exit_code == 2
    assert done.stderr.startswith("statewright: which definition? Give MODULE:NAME of a WorkflowRouter")
    assert done.stderr.count("\n") == 1


def test_name_may_be_left_out_where_there_is_one(run: Run, lamps: Path) -> None:
    """A module with one router needs no name; where there are several, they are listed."""
    assert run("check", "lamps").stdout.startswith("lamp: ")

    several = run("check", "rooms")
    assert several.exit_code == 2
    assert "rooms has router, hall, attic" in several.stderr


@pytest.mark.parametrize(
    ("target", "status", "complaint"),
    [
        ("lamps:routr", 2, "lamps has no routr; it has router"),
        ("lamps:elsewhere", 2, "lamps:elsewhere is of type object; give MODULE:NAME"),
        ("lamps:Lamp.name", 2, "lamps:Lamp.name is of type str; give MODULE:NAME"),
        ("lanterns:router", 2, "there is no module lanterns here or installed"),
        (":router", 2, "':router' names no module"),
        ("broken:router", 1, "broken cannot be imported: "),
        ("needy:router", 1, "needy cannot be imported: "),
        ("wrong:router", 1, "a workflow's name matches"),
    ],
)
def test_definition_that_cannot_be_found(run: Run, lamps: Path, target: str, status: int, complaint: str) -> None:
    """Whatever keeps a definition from being found is one line that says where to look."""
    (lamps.parent / "broken.py").write_text("x = 1\n1 / 0\n")
    (lamps.parent / "needy.py").write_text("import no_such_module\n")
    (lamps.parent / "wrong.py").write_text(
        "from lamps import *\nclass Twice(Workflow[On, Switch], name='Not A Name'): ...\n"
    )

    done = run("check", target)

    assert done.exit_code == status
    assert done.stderr.startswith(f"statewright: {complaint}")
    assert done.stderr.count("\n") == 1


def test_failed_import_names_the_line(run: Run, lamps: Path) -> None:
    """A module that raises while it is imported is told with file and line, as a traceback would."""
    (lamps.parent / "broken.py").write_text("x = 1\n1 / 0\n")

    assert "broken.py:2: ZeroDivisionError: division by zero" in run("check", "broken:router").stderr
