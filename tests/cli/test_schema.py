"""`schema`: schemas written down beside the code, and what a change of them needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from statewright._model.compatibility import describe
from statewright.demo import Order

from .conftest import Run


def changed(lamps: Path, old: str, new: str) -> None:
    """Change the module as a developer would, between two runs of the program."""
    text = lamps.read_text()
    assert old in text
    lamps.with_name("newer.py").write_text(text.replace(old, new))


def test_schemas_are_printed(run: Run, lamps: Path) -> None:
    """Without options the schemas are printed as JSON, by kind and stored name."""
    found = json.loads(run("schema", "lamps:router").stdout)

    assert (found["definition"], found["model_version"]) == ("lamp", 1)
    assert found["states"]["On"]["properties"].keys() == {"by"}
    assert (list(found["events"]), list(found["commands"])) == (["SwitchedOn"], ["Install", "Switch", "Repair"])


def test_schemas_of_the_demo(run: Run, orders: Path) -> None:
    """For a file of the demo its own definition is described."""
    assert json.loads(run("schema").stdout) == json.loads(json.dumps(describe(Order)))


def test_written_and_checked(run: Run, lamps: Path, here: Path) -> None:
    """What was written is found unchanged by the same code."""
    written = run("schema", "lamps:router", "--write", "lamp.json")
    checked = run("schema", "lamps:router", "--check", "lamp.json")

    assert written.stdout == "lamp.json: the schemas of lamp at model version 1\n"
    assert (here / "lamp.json").read_text().endswith("}\n")
    assert checked.exit_code == 0
    assert checked.stdout == "lamp: nothing needs a migration\n"


def test_change_that_needs_a_migration(run: Run, lamps: Path) -> None:
    """A field without a default is told with what to do, and the status is 1."""
    run("schema", "lamps:router", "--write", "lamp.json")
    changed(lamps, "class On(BaseModel):\n    by: str", "class On(BaseModel):\n    by: str\n    watts: int")

    done = run("schema", "newer:router", "--check", "lamp.json")

    assert done.exit_code == 1
    assert done.stdout == (
        "needs a migration: state On.watts: is new and has no default (stored workflows need a migration)\n"
        "lamp: raise model_version to 2, and add migrations.to(2, '...')\n"
    )


def test_raised_model_version(run: Run, lamps: Path, here: Path) -> None:
    """With a higher model version the same change is told, and the status is 0."""
    run("schema", "lamps:router", "--write", "lamp.json")
    changed(lamps, 'name="lamp"', 'name="lamp", model_version=2, stored_names={On: "Lit"}')

    done = run("schema", "newer:router", "--check", "lamp.json")

    assert done.exit_code == 0
    assert done.stdout.splitlines()[1:] == [
        "fine: state Lit: is new",
        "lamp: model_version was raised from 1 to 2",
        "the file is behind the code: statewright schema ... --write lamp.json",
    ]


def test_change_that_needs_none(run: Run, lamps: Path) -> None:
    """A field with a default is told, and the file is called behind."""
    run("schema", "lamps:router", "--write", "lamp.json")
    changed(lamps, "class On(BaseModel):\n    by: str", "class On(BaseModel):\n    by: str\n    watts: int = 60")

    done = run("schema", "newer:router", "--check", "lamp.json")

    assert done.exit_code == 0
    assert done.stdout.splitlines()[:2] == [
        "fine: state On.watts: is new, with a default",
        "lamp: nothing needs a migration",
    ]


def test_model_version_went_back(run: Run, lamps: Path) -> None:
    """Code with a lower model version than the file is wrong."""
    changed(lamps, 'name="lamp"', 'name="lamp", model_version=2')
    run("schema", "newer:router", "--write", "lamp.json")

    done = run("schema", "lamps:router", "--check", "lamp.json")

    assert done.exit_code == 1
    assert done.stdout == "lamp: model_version went back from 2 to 1; what is stored at 2 would be refused\n"


def test_check_as_json(run: Run, lamps: Path) -> None:
    """For programs the changes are data."""
    run("schema", "lamps:router", "--write", "lamp.json")
    changed(lamps, "class Repair(BaseModel): ...", "class Repair(BaseModel):\n    part: str")

    done = run("schema", "newer:router", "--check", "lamp.json", "--json")

    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "ok": False,
        "needs_migration": True,
        "written_version": 1,
        "code_version": 1,
        "is_current": False,
        "changes": [
            {
                "kind": "command",
                "member": "Repair",
                "path": ["part"],
                "what": "is new and has no default",
                "needs_migration": True,
            }
        ],
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "lamp.json: no such file; --write lamp.json makes it"),
        ("{", "lamp.json is not JSON"),
        ("[]", "lamp.json holds no schemas of a workflow"),
        ("{}", "no schemas of a workflow"),
    ],
    ids=["missing", "broken", "a list", "something else"],
)
def test_file_that_cannot_be_checked(run: Run, lamps: Path, here: Path, text: str | None, complaint: str) -> None:
    """A file that holds no schemas is named, in one line and without a traceback."""
    if text is not None:
        (here / "lamp.json").write_text(text)

    done = run("schema", "lamps:router", "--check", "lamp.json")

    assert done.exit_code == 1
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_schemas_of_another_definition(run: Run, orders: Path, lamps: Path) -> None:
    """Schemas of another definition are not compared."""
    run("schema", "lamps:router", "--write", "lamp.json")

    done = run("schema", "--check", "lamp.json")

    assert done.exit_code == 1
    assert "the schemas of 'lamp', not of 'demo-order'" in done.stderr


def test_write_and_check_exclude_each_other(run: Run, lamps: Path) -> None:
    """Overwriting what is to be compared would hide every change."""
    done = run("schema", "lamps:router", "--write", "a.json", "--check", "a.json")

    assert done.exit_code == 2
    assert "do not go together" in done.stderr
