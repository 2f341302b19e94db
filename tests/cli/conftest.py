"""A directory of the test's own, a file as the demo leaves one, and a way to call the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Protocol, TypeAlias

import pytest
from typer.testing import CliRunner

from statewright import WorkflowExecutor, WorkflowRouter
from statewright.cli.app import app
from statewright.demo import FILE, Order, router
from statewright.demo.order import AddItem, Open, Pay, Place
from statewright.stores.sqlite import SQLiteStore

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


class Outcome(Protocol):
    """What a command printed, and how it ended."""

    exit_code: int
    stdout: str
    stderr: str


Run: TypeAlias = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Go to an empty directory, and forget what was imported from there."""
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("STATEWRIGHT_STORE", raising=False)
    monkeypatch.delenv("STATEWRIGHT_DEBUG", raising=False)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def run() -> Run:
    """Call the command line as a user would."""

    def call(*arguments: str, typed: str | None = None) -> Outcome:
        return CliRunner().invoke(app, list(arguments), input=typed)

    return call


@pytest.fixture
def orders(here: Path) -> Path:
    """A file with a paid order and a basket, under the demo's own name."""
    path = here / FILE
    still = WorkflowRouter(Order, clock=lambda: NOW).include(router)
    with WorkflowExecutor(still, SQLiteStore(path)).sync() as executor:
        executor.execute("order-1", Open(customer="Ada"), metadata={"channel": "web"}).unwrap()
        executor.execute("order-1", AddItem(article="mug", unit_price=Decimal("8.95"), quantity=2)).unwrap()
        executor.execute("order-1", Place(), idempotency_key="place").unwrap()
        executor.execute("order-1", Pay(payment="pay-1", amount=Decimal("17.90"))).unwrap()
        executor.execute("order-2", Open(customer="Bela")).unwrap()
    return path


LAMPS = '''
from pydantic import BaseModel
from statewright import Context, DomainError, Workflow, WorkflowRouter

class Off(BaseModel): ...
class On(BaseModel):
    by: str
class Broken(BaseModel): ...
class Install(BaseModel): ...
class Switch(BaseModel):
    by: str
class Repair(BaseModel): ...
class SwitchedOn(BaseModel):
    by: str
class NotYours(DomainError):
    owner: str

class Lamp(Workflow[Off | On | Broken, Install | Switch | Repair, SwitchedOn, NotYours], name="lamp"): ...

router = WorkflowRouter(Lamp)
elsewhere = object()

@router.on
def install(_: None, command: Install) -> Off:
    """Screw it in."""
    return Off()

@router.on
def switch_on(lamp: Off, command: Switch, ctx: Context[SwitchedOn]) -> On:
    ctx.emit(SwitchedOn(by=command.by))
    return On(by=command.by)

@router.on
def switch_off(lamp: On, command: Switch) -> Off:
    if command.by != lamp.by:
        raise NotYours(owner=lamp.by)
    return Off()

async def only_ann(ctx, call_next):
    if ctx.metadata.get("user") != "ann":
        raise NotYours(owner="ann")
    return await call_next()
'''


@pytest.fixture
def lamps(here: Path) -> Path:
    """A module `lamps` with a router that is not sound, beside a module `rooms` with executors of its own."""
    module = here / "lamps.py"
    module.write_text(LAMPS)
    (here / "rooms.py").write_text(
        "from statewright import MemoryStore, WorkflowExecutor\n"
        "from statewright.stores.sqlite import SQLiteStore\n"
        "from lamps import only_ann, router\n"
        "hall = WorkflowExecutor(router, SQLiteStore('rooms.db'))\n"
        "attic = WorkflowExecutor(router, MemoryStore()).use(only_ann)\n"
    )
    return module
