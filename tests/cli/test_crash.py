"""Killing a process in mid-write: everything acknowledged is found, and what is not there is noticed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from statewright import WorkflowExecutor
from statewright.demo import router
from statewright.demo.crash import Acknowledged, CrashError, crash, look
from statewright.demo.order import Open, Place
from statewright.stores.sqlite import SQLiteStore

ADA = Acknowledged("order-1", 1, {"customer": "Ada"})


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A file with one order."""
    async with SQLiteStore(tmp_path / "orders.db") as store:
        (await WorkflowExecutor(router, store).execute("order-1", Open(customer="Ada"))).unwrap()
    return tmp_path / "orders.db"


async def test_look_finds_what_is_there(path: Path) -> None:
    """A command that was acknowledged and kept is found; the report counts it."""
    recovery = await look(path, 1, [ADA])

    assert recovery.is_whole
    assert (recovery.acknowledged, recovery.workflows, recovery.unreported) == (1, 1, 0)


async def test_look_counts_what_nobody_was_told_of(path: Path) -> None:
    """What was saved though its answer never came out is counted, and is no loss."""
    async with SQLiteStore(path) as store:
        executor = WorkflowExecutor(router, store)
        result = await executor.execute("order-1", {"type": "Cancel", "payload": {"reason": "x"}})
        assert result.ok

    recovery = await look(path, 1, [ADA])

    assert (recovery.is_whole, recovery.unreported) == (True, 1)


@pytest.mark.parametrize(
    "lost",
    [
        Acknowledged("order-1", 2, Place().model_dump()),
        Acknowledged("order-2", 1, {"customer": "Ada"}),
        Acknowledged("order-1", 1, {"customer": "Bela"}),
    ],
    ids=["version", "workflow", "other-command"],
)
async def test_look_notices_what_is_missing(path: Path, lost: Acknowledged) -> None:
    """A version, a workflow or a command that is not there is named."""
    recovery = await look(path, 1, [lost])

    assert recovery.missing == (lost,)
    assert not recovery.is_whole


async def test_look_notices_a_gap(path: Path) -> None:
    """A workflow whose commits do not add up to its version is damaged."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE workflow SET version = 2")
    connection.close()

    recovery = await look(path, 1, [ADA])

    assert recovery.damaged == ("order-1",)
    assert not recovery.is_whole


@pytest.mark.slow
async def test_process_killed_in_mid_write_loses_nothing(tmp_path: Path) -> None:
    """A process with many writers is killed by its id, and every command that it reported is in the file."""
    counts: list[int] = []

    recovery = await crash(tmp_path / "orders.db", 300, counts.append)

    assert recovery.is_whole
    assert recovery.acknowledged >= 300
    assert recovery.workflows > 1
    assert counts == list(range(1, 301))


@pytest.mark.slow
async def test_process_that_ends_by_itself_is_no_crash(tmp_path: Path) -> None:
    """If the process could not write at all, that is what is said."""
    with pytest.raises(CrashError, match="there is no directory"):
        await crash(tmp_path / "nowhere" / "orders.db", 300)
