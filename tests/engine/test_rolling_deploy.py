"""A rolling deploy: an old and a new process on one store."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

COMMON = """
import json, sys
from pydantic import BaseModel
from statewright import Migrations, Workflow, WorkflowExecutor, WorkflowRouter
from statewright.stores.sqlite import SQLiteStore

class Open(BaseModel): ...
class Add(BaseModel):
    item: str
"""
OLD = """
class Draft(BaseModel):
    items: list[str] = []

class Order(Workflow[Draft, Open | Add], name="order"): ...

router = WorkflowRouter(Order)

@router.on
def open_order(_: None, command: Open) -> Draft:
    return Draft()

@router.on
def add(order: Draft, command: Add) -> Draft:
    return Draft(items=[*order.items, command.item])

migrations = None
"""
NEW = """
class Basket(BaseModel):
    lines: dict[str, int] = {}

class Order(Workflow[Basket, Open | Add], name="order", model_version=2): ...

router = WorkflowRouter(Order)

@router.on
def open_order(_: None, command: Open) -> Basket:
    return Basket()

@router.on
def add(order: Basket, command: Add) -> Basket:
    return Basket(lines={**order.lines, command.item: order.lines.get(command.item, 0) + 1})

migrations = Migrations(Order)

@migrations.to(2, "Draft is Basket; items are counted")
def count_items(snapshot):
    items = snapshot.data["items"]
    return snapshot.replace(state="Basket", data={"lines": {item: items.count(item) for item in items}})
"""
# Executes what it reads, line by line, until its input ends: as long as the process lives, so does its deployment.
SERVE = """
with WorkflowExecutor(router, SQLiteStore(sys.argv[1]), migrations=migrations).sync() as orders:
    print("ready", flush=True)
    for line in sys.stdin:
        id, command = json.loads(line)
        result = orders.execute(id, command)
        if result.ok:
            print(json.dumps({"state": result.workflow.state, "data": result.snapshot.data}), flush=True)
        else:
            found = result.error.to_dict()
            print(json.dumps({"category": found["category"], "issues": found.get("issues")}), flush=True)
"""


class Deployment:
    """A process that runs one version of the code."""

    def __init__(self, code: str, store: Path) -> None:
        command = [sys.executable, "-W", "error", "-c", COMMON + code + SERVE, str(store)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._read() == "ready\n"

    def execute(self, id: str, type: str, **payload: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        print(json.dumps([id, {"type": type, "payload": payload}]), file=self.process.stdin, flush=True)
        found: dict[str, Any] = json.loads(self._read())
        return found

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self) -> int:
        """End the process as a deploy does; return its status."""
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[tuple[Deployment, Deployment]]:
    store = tmp_path / "orders.db"
    both = Deployment(OLD, store), Deployment(NEW, store)
    yield both
    assert [deployment.end() for deployment in both] == [0, 0]


@pytest.mark.slow
def test_old_and_new_process_on_one_store(processes: tuple[Deployment, Deployment]) -> None:
    """Each workflow is served by both until the new code saves it, and by the new code alone from then on."""
    old, new = processes

    assert old.execute("o-1", "Open") == {"state": "Draft", "data": {"items": []}}
    assert old.execute("o-2", "Open") == {"state": "Draft", "data": {"items": []}}
    assert old.execute("o-1", "Add", item="tea") == {"state": "Draft", "data": {"items": ["tea"]}}
    assert new.execute("o-1", "Add", item="tea") == {"state": "Basket", "data": {"lines": {"tea": 2}}}

    refused = old.execute("o-1", "Add", item="lost?")
    assert refused["category"] == "restore"
    assert [issue["type"] for issue in refused["issues"]] == ["newer_model"]
    assert old.execute("o-2", "Add", item="mug") == {"state": "Draft", "data": {"items": ["mug"]}}

    assert new.execute("o-1", "Add", item="mug") == {"state": "Basket", "data": {"lines": {"tea": 2, "mug": 1}}}
    assert new.execute("o-2", "Add", item="mug") == {"state": "Basket", "data": {"lines": {"mug": 2}}}
    assert old.execute("o-3", "Open") == {"state": "Draft", "data": {"items": []}}
    assert new.execute("o-3", "Add", item="cup") == {"state": "Basket", "data": {"lines": {"cup": 1}}}
