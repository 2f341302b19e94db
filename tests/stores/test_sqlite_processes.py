"""Several processes on one file, and processes that are killed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from statewright.stores.sqlite import SQLiteStore
from statewright.testing.contract.samples import loaded, opening
from tests.stores.sqlite_seam import PATIENCE, finished, started

pytestmark = pytest.mark.slow

_BEGIN = """
import asyncio, sys
from pathlib import Path
from statewright.errors import ConcurrencyConflictError
from statewright.stores.sqlite import SQLiteStore
from statewright.testing.contract.samples import following, loaded, opening

def wait():
    print("ready", flush=True)
    sys.stdin.readline()
"""

_OPENER = (
    _BEGIN
    + """
async def main(path, name):
    async with SQLiteStore(path) as store:
        await store.save(opening(name))
        print(await store.count(), flush=True)

wait()
asyncio.run(main(*sys.argv[1:]))
"""
)

_COUNTER = (
    _BEGIN
    + """
async def add(store, id, times):
    conflicts = 0
    while times:
        stored = await loaded(store, id)
        try:
            await store.save(following(stored, data={"sum": stored.snapshot.data["sum"] + 1}))
            times -= 1
        except ConcurrencyConflictError:
            conflicts += 1
    return conflicts

async def main(path, name):
    async with SQLiteStore(path, checkpoint_pages=20) as store:
        await store.save(opening(name, data={"sum": 0}))
        conflicts = await asyncio.gather(*(add(store, "shared", 25) for _ in range(4)), add(store, name, 100))
        print(sum(conflicts), flush=True)

wait()
asyncio.run(main(*sys.argv[1:]))
"""
)

_VICTIM = (
    _BEGIN
    + """
async def work(store, id):
    options = opening(id, data={"text": "x" * 500})
    while True:
        await store.save(options)
        print(id, options.snapshot.version, flush=True)
        options = following(options, count=1 + options.snapshot.version % 3)

async def main(path):
    async with SQLiteStore(path, checkpoint_pages=30) as store:
        await asyncio.gather(*(work(store, f"{sys.argv[2]}-{number}") for number in range(12)))

asyncio.run(main(sys.argv[1]))
"""
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.db"


def all_ready(processes: list[subprocess.Popen[str]]) -> None:
    """Wait until all processes have started, so that they begin at once."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"


def check_whole(path: Path) -> None:
    """Check that SQLite finds nothing wrong with a file, and that versions are as many as commits, without gaps."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        versions = dict(connection.execute("SELECT id, version FROM workflow"))
        found: dict[str, list[int]] = {id: [] for id in versions}
        for id, version in connection.execute("SELECT workflow_id, version FROM workflow_commit ORDER BY position"):
            found[id].append(version)
        assert {id: list(range(1, version + 1)) for id, version in versions.items()} == found
    finally:
        connection.close()


def test_eight_processes_open_a_new_file(path: Path) -> None:
    """Eight processes that open a new file at once all make, or find, the same schema, and all can save."""
    processes = [started(_OPENER, path, f"w-{number}") for number in range(8)]
    all_ready(processes)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()

    counts = [int(finished(process)[0]) for process in processes]

    assert max(counts) == 8
    check_whole(path)


async def test_two_processes_write_one_file(path: Path) -> None:
    """No update of two processes that change one workflow is lost, and neither holds up the other for long."""
    async with SQLiteStore(path) as store:
        await store.save(opening("shared", data={"sum": 0}))
    processes = [started(_COUNTER, path, name) for name in ("one", "two")]
    all_ready(processes)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        finished(process)

    async with SQLiteStore(path) as store:
        shared = await loaded(store, "shared")
        assert shared.snapshot.data == {"sum": 200}
        assert shared.version == 201
        assert (await loaded(store, "one")).snapshot.data == {"sum": 100}
        assert len(await store.commits(limit=1000)) == 201 + 2 * 101
    check_whole(path)


async def test_killed_in_mid_write(path: Path) -> None:
    """After a process under load was killed, again and again, every acknowledged save is there and nothing is torn."""
    acknowledged: dict[str, int] = {}
    for run in range(4):
        victim = started(_VICTIM, path, f"run{run}")
        assert victim.stdout is not None
        for _ in range(150):
            id, version = victim.stdout.readline().split()
            acknowledged[id] = int(version)
        victim.send_signal(signal.SIGKILL)
        rest, _ = victim.communicate(timeout=PATIENCE)
        for line in rest.splitlines(keepends=True):
            if line.endswith("\n"):
                id, version = line.split()
                acknowledged[id] = int(version)

        async with SQLiteStore(path) as store:
            for id, version in acknowledged.items():
                assert (await loaded(store, id)).version >= version
        check_whole(path)
    assert len(acknowledged) == 48
