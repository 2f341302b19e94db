"""`migrate`: a whole store brought up to date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run

OLD = """
from pydantic import BaseModel
from statewright import Workflow, WorkflowExecutor, WorkflowRouter
from statewright.stores.sqlite import SQLiteStore

class Box(BaseModel):
    size: int
class Pack(BaseModel):
    size: int

class Parcel(Workflow[Box, Pack], name="parcel"): ...

router = WorkflowRouter(Parcel)

@router.on
def pack(_: None, command: Pack) -> Box:
    return Box(size=command.size)
"""
NEW = """
from pydantic import BaseModel
from statewright import Migrations, Workflow, WorkflowExecutor, WorkflowRouter
from statewright.stores.sqlite import SQLiteStore

class Box(BaseModel):
    size: int
    label: str
class Pack(BaseModel):
    size: int

class Parcel(Workflow[Box, Pack], name="parcel", model_version=2): ...

router = WorkflowRouter(Parcel)

@router.on
def pack(_: None, command: Pack) -> Box:
    return Box(size=command.size, label="new")

migrations = Migrations(Parcel)
broken = Migrations(Parcel)

@migrations.to(2, "boxes carry a label")
def add_label(snapshot):
    if snapshot.data["size"] == 13:
        raise ValueError("unlucky")
    return snapshot.replace(data={**snapshot.data, "label": "old"})

parcels = WorkflowExecutor(router, SQLiteStore("parcels.db"), migrations=migrations)
bare = WorkflowExecutor(router, SQLiteStore("parcels.db"))
"""


@pytest.fixture
def parcels(run: Run, here: Path) -> Path:
    """A file with three parcels of yesterday's code, beside today's code."""
    (here / "old.py").write_text(OLD)
    (here / "new.py").write_text(NEW)
    (here / "make.py").write_text(
        "from old import Pack, SQLiteStore, WorkflowExecutor, router\n"
        "with WorkflowExecutor(router, SQLiteStore('parcels.db')).sync() as parcels:\n"
        "    for size in (1, 2, 3):\n"
        "        parcels.execute(f'p-{size}', Pack(size=size)).unwrap()\n"
    )
    exec(compile((here / "make.py").read_text(), "make.py", "exec"), {"__name__": "make"})
    return here / "parcels.db"


@pytest.fixture(autouse=True)
def importable(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the modules of the directory be imported."""
    monkeypatch.syspath_prepend(str(here))


def versions(file: Path, run: Run) -> list[int]:
    return [each["model_version"] for each in json.loads(run("list", "--store", str(file), "--json").stdout)]


def test_dry_run_is_the_default(run: Run, parcels: Path) -> None:
    """Without `--apply` it is said what would happen, and nothing is saved."""
    done = run("migrate", "new:migrations", "--store", str(parcels))

    assert done.exit_code == 0
    assert done.stdout == (
        f"parcel: 3 workflows looked at in {parcels}; model version 2\n"
        "  3 would be migrated\n"
        "  0 up to date\n"
        "\n"
        "nothing was saved; to save: --apply\n"
    )
    assert versions(parcels, run) == [1, 1, 1]


def test_store_is_migrated(run: Run, parcels: Path) -> None:
    """With `--apply` every workflow is saved in today's form; a second run finds nothing to do."""
    first = run("migrate", "new:migrations", "--store", str(parcels), "--apply")
    second = run("migrate", "new:migrations", "--store", str(parcels), "--apply", "--json")

    assert first.stdout.splitlines()[1:] == ["  3 migrated", "  0 up to date"]
    assert versions(parcels, run) == [2, 2, 2]
    assert json.loads(second.stdout) == {
        "definition": "parcel",
        "model_version": 2,
        "dry_run": False,
        "seen": 3,
        "migrated": 0,
        "current": 3,
        "newer": 0,
        "failed": 0,
        "failures": [],
        "last_id": "p-3",
        "store": str(parcels),
    }


def test_executor_brings_migrations_and_store(run: Run, parcels: Path) -> None:
    """An executor stands for its own migrations and its own store."""
    done = run("migrate", "new:parcels", "--apply")

    assert done.exit_code == 0
    assert done.stdout.startswith("parcel: 3 workflows looked at in the store of new:parcels; ")
    assert versions(parcels, run) == [2, 2, 2]


def test_demos_file_is_left_alone(run: Run, parcels: Path, orders: Path) -> None:
    """Migrations of your own walk through the store that you name, and never through what the demo has left here."""
    done = run("migrate", "new:migrations", "--apply")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("statewright: which store? new:migrations has none of its own. Give --store FILE")


def test_walk_goes_on_after_an_id(run: Run, parcels: Path) -> None:
    """`--after` leaves out what was looked at before."""
    run("migrate", "new:migrations", "--store", str(parcels), "--apply", "--after", "p-1")

    assert versions(parcels, run) == [1, 2, 2]


def test_failures_are_listed(run: Run, parcels: Path) -> None:
    """A workflow that fails is listed with its id and the reason; the others are migrated, and the status is 1."""
    run("execute", "p-0", "Pack", '{"size": 13}', "--router", "old:router", "--store", str(parcels))

    done = run("migrate", "new:migrations", "--store", str(parcels), "--apply")

    assert done.exit_code == 1
    assert "  3 migrated" in done.stdout
    assert "  1 failed, stored as they were" in done.stdout
    [row] = [line for line in done.stdout.splitlines() if line.startswith("p-0")]
    assert "raised ValueError" in row
    assert versions(parcels, run) == [1, 2, 2, 2]


def test_executor_that_has_none(run: Run, parcels: Path) -> None:
    """An executor without migrations, one given a second store, and a broken chain are refused in one line."""
    bare = run("migrate", "new:bare")
    two = run("migrate", "new:parcels", "--store", str(parcels))
    router = run("migrate", "new:router", "--store", str(parcels))
    broken = run("migrate", "new:broken", "--store", str(parcels))

    assert (bare.exit_code, two.exit_code, router.exit_code, broken.exit_code) == (2, 2, 2, 1)
    assert "new:bare has no migrations" in bare.stderr
    assert "leave --store out" in two.stderr
    assert "give MODULE:NAME of Migrations" in router.stderr
    assert "no step leads to version 2" in broken.stderr
