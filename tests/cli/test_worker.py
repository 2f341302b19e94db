"""`worker`, `letters` and `readers`: the durable half, from a terminal."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from statewright import WorkflowExecutor
from statewright.stores.sqlite import SQLiteStore
from tests.engine.workshop import Sell, booked, ledger_router, shop_router

from .conftest import Run

ROOT = Path(__file__).parents[2]
WORK = """
from datetime import timedelta
from statewright import Worker, WorkflowExecutor
from statewright.stores.sqlite import SQLiteStore
from tests.engine.workshop import booking, ledger_router, shop_router

store = SQLiteStore("town.db")
executors = [WorkflowExecutor(router(), store) for router in (shop_router, ledger_router)]
worker = Worker(store, executors, reactors=booking(), start=0, poll=timedelta(milliseconds=20))
"""
LETTER = "delivery-0000000000000002"


async def _sell(*amounts: int) -> None:
    async with SQLiteStore("town.db") as store:
        shops: WorkflowExecutor[Any] = WorkflowExecutor(shop_router(), store)
        (await shops.execute("s-1", Sell(amounts=list(amounts)))).unwrap()


async def _booked() -> list[int]:
    async with SQLiteStore("town.db") as store:
        return await booked(WorkflowExecutor(ledger_router(), store))


@pytest.fixture
def town(here: Path) -> Path:
    """A module `work` with a worker, over a store in which something has been sold."""
    (here / "work.py").write_text(WORK)
    asyncio.run(_sell(1, 1000, 2))
    return here


def test_worker_until_idle(run: Run, town: Path) -> None:
    """A worker works until nothing is due, and says what it does."""
    done = run("worker", "work", "--until-idle")

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith("at work: timers:shop, timers:ledger, reactor:book\n")
    assert asyncio.run(_booked()) == [1]


def test_letters(run: Run, town: Path) -> None:
    """Dead letters are listed with their reasons, and shown with all that is known."""
    run("worker", "work:worker", "--until-idle", "--quiet")

    listed = run("letters", "list", "--store", "town.db").stdout
    shown = json.loads(run("letters", "show", LETTER, "--store", "town.db").stdout)

    assert listed.splitlines()[1].split() == [
        LETTER,
        "reactor:book",
        "s-1",
        "ledger",
        "l-1",
        "Book",
        "TooMuch(amount=1000)",
    ]
    assert shown["command"] == {"type": "Book", "data": {"amount": 1000}}
    assert shown["error"]["code"] == "TooMuch"
    assert json.loads(run("letters", "list", "--store", "town.db", "--json").stdout) == [shown]


def test_retry_and_drop(run: Run, town: Path) -> None:
    """A retried letter dies again; a dropped one lets its followers go."""
    run("worker", "work", "--until-idle", "-q")
    retried = run("letters", "retry", LETTER, "-s", "town.db")
    assert (retried.exit_code, retried.stdout) == (0, f"{LETTER} is tried again\n")
    assert run("letters", "list", "-s", "town.db", "--json").stdout == "[]\n"
    run("worker", "work", "--until-idle", "-q")
    assert asyncio.run(_booked()) == [1]

    assert run("letters", "drop", LETTER, "-s", "town.db").stdout == f"{LETTER} is dropped\n"
    run("worker", "work", "--until-idle", "-q")

    assert asyncio.run(_booked()) == [1, 2]


@pytest.mark.parametrize("verb", ["retry", "drop", "show"])
def test_letters_that_are_not_there(run: Run, town: Path, verb: str) -> None:
    """A letter that does not exist is a complaint."""
    done = run("letters", verb, "delivery-9", "-s", "town.db")

    assert done.exit_code == 1
    assert done.stderr == "statewright: there is no dead letter delivery-9\n"


def test_readers(run: Run, town: Path) -> None:
    """How far each reader has read is shown."""
    run("worker", "work", "--until-idle", "-q")
    asyncio.run(_sell(3))

    assert run("readers", "-s", "town.db").stdout.splitlines()[1].split() == ["reactor:book", "2", "1", "2"]
    [status] = json.loads(run("readers", "-s", "town.db", "--json").stdout)
    assert status == {"name": "reactor:book", "position": 2, "lag": 1, "undelivered": 2}


@pytest.mark.parametrize(
    ("target", "complaint"),
    [("work:nothing", "work has no nothing; it has worker"), ("work:store", "work:store is of type SQLiteStore; give")],
)
def test_targets_that_are_no_worker(run: Run, town: Path, target: str, complaint: str) -> None:
    """What is no worker is refused in one line."""
    done = run("worker", target)

    assert done.exit_code == 2
    assert complaint in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_worker_ends_cleanly(town: Path, how: signal.Signals) -> None:
    """A worker process that is told to end gives its roles back, and ends without an error."""
    command = [sys.executable, "-c", "from statewright.cli import main; main()", "worker", "work"]
    with subprocess.Popen(
        command, cwd=town, env={"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 30
        while asyncio.run(_booked()) != [1]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(how)
        _, said = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "Traceback" not in said
    assert asyncio.run(_is_free("reactor:book"))


async def _is_free(role: str) -> bool:
    async with SQLiteStore("town.db") as store:
        return bool(await store.acquire_leases([role], "test", timedelta(seconds=1)))
