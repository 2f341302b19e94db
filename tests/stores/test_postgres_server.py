"""The tests' own PostgreSQL server: found, started as whoever runs the tests, and never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from statewright.stores.postgres import PostgresStore
from statewright.testing.contract.samples import ID, opening
from tests import postgres_server as server_module
from tests.postgres_server import VARIABLE, NoServerError, find_binaries, postgres_server, wheel_binaries

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.mark.parametrize("binaries", wheel_binaries(), ids=lambda binaries: binaries.folder.parent.name)
async def test_the_wheels_servers(binaries: server_module.Binaries) -> None:
    """The store works on each server of the wheel, which is copied to where an unprivileged user may read it."""
    with postgres_server(binaries) as server:
        async with PostgresStore(server.dsn) as store:
            await store.save(opening())
            assert [commit.position for commit in await store.history(ID)] == [1]
            server.restart_immediately()
            assert await store.load(ID) is not None
    assert server.folder is not None
    assert not server.folder.exists()


def test_a_killed_test_run_leaves_no_server() -> None:
    """When the process that started a server is killed, the server ends, too."""
    script = (
        "import sys, time\n"
        "from tests.postgres_server import postgres_server\n"
        "with postgres_server() as server:\n"
        "    print(server.dsn, server._process.pid, server.folder.parent, flush=True)\n"
        "    time.sleep(600)\n"
    )
    root = Path(__file__).parents[2]
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=root, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        dsn, pid, folder = process.stdout.readline().split()
        psycopg.connect(dsn).close()
        process.send_signal(signal.SIGKILL)
        process.wait()
    try:
        deadline = time.monotonic() + 60
        while Path(f"/proc/{pid}").exists() and not _is_dead(pid):
            assert time.monotonic() < deadline, "the server outlived the tests"
            time.sleep(0.02)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsn)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_dead(pid: str) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_what_a_killed_run_left_is_removed() -> None:
    """The next server removes the files of servers whose tests were killed, and of no others."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    left, living = (Path(tempfile.mkdtemp(prefix=f"{server_module.PREFIX}{pid}-")) for pid in (ended.pid, os.getpid()))
    server_module.remove_left_behind()
    assert not left.exists()
    assert living.exists()
    living.rmdir()


def test_a_machine_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no PostgreSQL the tests fail, and say what to install; they do not skip."""
    for place in ("_on_path", "_of_debian", "wheel_binaries"):
        monkeypatch.setattr(server_module, place, lambda place=place: None if place == "_on_path" else [])
    with pytest.raises(NoServerError, match=VARIABLE):
        find_binaries()


def test_a_server_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment variable names a server to be used; it is neither started nor stopped."""
    monkeypatch.setenv(VARIABLE, "dbname=theirs")
    with postgres_server() as server:
        assert server.dsn == "dbname=theirs"
        assert not server.is_ours
