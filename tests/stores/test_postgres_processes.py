"""Several processes on one server: one truth."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from statewright.stores.postgres import PostgresStore
from statewright.testing.contract.samples import loaded
from statewright.testing.linearizability import Operation, check_linearizable
from tests.postgres_server import PostgresServer

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = [pytest.mark.postgres, pytest.mark.slow]

PATIENCE = 60.0


async def _start(postgres: PostgresServer, store: PostgresStore, worker: str, work: str) -> Process:
    arguments = ["-m", "tests.stores.postgres_process", postgres.dsn, store._settings.schema, worker, work]
    root = Path(__file__).parents[2]
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=root, stdout=PIPE)


def _facts(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.endswith(b"}")]


async def test_processes_race(postgres: PostgresServer, postgres_store: PostgresStore) -> None:
    """What tasks of four processes see while they save the same workflows is linearizable, and nothing is lost."""
    processes = [await _start(postgres, postgres_store, f"p{number}", "race") for number in range(4)]
    async with asyncio.timeout(PATIENCE):
        outputs = [output for output, _ in await asyncio.gather(*(process.communicate() for process in processes))]

    assert [process.returncode for process in processes] == [0] * 4
    operations = [Operation(**facts) for output in outputs for facts in _facts(output)]
    kinds = Counter(operation.kind for operation in operations)
    assert kinds["read"] == 4 * 8 * 25
    assert kinds["write"] >= 100
    assert kinds["refused"] >= 1
    assert [str(violation) for violation in check_linearizable(operations)] == []
    versions = sum(stored.version for stored in await postgres_store.find())
    assert versions == kinds["write"]
    assert [commit.position for commit in await postgres_store.commits()] == list(range(1, versions + 1))


async def test_processes_are_killed(postgres: PostgresServer, postgres_store: PostgresStore) -> None:
    """Processes that are killed under load lose nothing that they acknowledged, and leave every workflow whole."""
    acknowledged: dict[str, int] = {}
    for round_ in range(4):
        process = await _start(postgres, postgres_store, f"p{round_ % 2}", "count_up")
        assert process.stdout is not None
        lines: list[bytes] = []
        async with asyncio.timeout(PATIENCE):
            while len(lines) < 100:
                lines.append(await process.stdout.readline())
            process.kill()
            rest, _ = await process.communicate()
        for facts in _facts(b"".join(lines) + rest):
            acknowledged[facts["workflow_id"]] = facts["version"]

    assert len(acknowledged) == 16
    for id, version in acknowledged.items():
        stored = await loaded(postgres_store, id)
        assert version <= stored.version <= version + 2  # one may have been under way at each of two kills
        history = await postgres_store.history(id)
        assert [commit.version for commit in history] == list(range(1, stored.version + 1))
        assert stored.snapshot.data == {"count": stored.version}
