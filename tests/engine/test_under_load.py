"""Several processes over one store: what they saw is linearizable, and no death of theirs loses an answer."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from statewright import WorkflowExecutor
from statewright.testing import check_linearizable

from .load_process import Mark, Open, router, store_of
from .under_load import acknowledged, operations, reports, start

pytest_plugins = ["tests.fixtures.postgres"]

WORKFLOWS = 5
PROCESSES = 3
KILLS = 6

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Where the store is: a file, or a server and a schema of the test's own."""
    if request.param == "sqlite":
        yield str(tmp_path / "load.db"), ""
    else:
        schema = request.getfixturevalue("postgres_schema")
        yield request.getfixturevalue("postgres").dsn, schema


async def begin(place: tuple[str, str]) -> None:
    """Let there be some workflows, at version 1."""
    async with store_of(*place) as store:
        executor = WorkflowExecutor(router, store)
        for number in range(WORKFLOWS):
            (await executor.execute(f"tally-{number}", Open())).unwrap()


async def stored(place: tuple[str, str]) -> dict[str, list[Any]]:
    """Return the commits of each workflow, which agree with its current row."""
    found: dict[str, list[Any]] = {}
    async with store_of(*place) as store:
        executor = WorkflowExecutor(router, store)
        for number in range(WORKFLOWS):
            id = f"tally-{number}"
            workflow = await executor.get(id)
            commits = await executor.history(id)
            assert workflow is not None
            assert [commit.version for commit in commits] == list(range(1, workflow.version + 1))
            marks = [commit.command.data["mark"] for commit in commits[1:] if commit.command is not None]
            assert workflow.data.marks == marks[-10:]
            found[id] = commits
        positions = [commit.position for commit in await store.commits(limit=100_000)]
        assert positions == sorted(set(positions))
        assert len(positions) == sum(map(len, found.values()))
    return found


def outputs(processes: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    """Wait for processes and return all that they reported."""
    seen: list[dict[str, Any]] = []
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        seen += reports(output)
    return seen


def check_marks(seen: list[dict[str, Any]], commits: dict[str, list[Any]]) -> int:
    """Check that every acknowledged mark is stored under the version it was acknowledged with; return how many."""
    count = 0
    for id, marks in acknowledged(seen).items():
        by_version = {commit.version: commit.command.data["mark"] for commit in commits[id][1:]}
        for version, value in marks.items():
            assert by_version[version] == value
            count += 1
    return count


async def test_what_several_processes_saw_is_linearizable(place: tuple[str, str]) -> None:
    """Many callers in several processes: one winner per version, and every answer agrees with real time."""
    await begin(place)
    processes = [start(*place, 3, seed, callers=16, workflows=WORKFLOWS) for seed in range(PROCESSES)]
    seen = outputs(processes)

    history = operations(seen)
    assert check_linearizable(history, initial={f"tally-{number}": 1 for number in range(WORKFLOWS)}) == []
    writes = check_marks(seen, await stored(place))
    assert writes >= 100
    assert sum(operation.kind == "refused" and operation.version is not None for operation in history) >= 5
    assert sum(operation.kind == "read" for operation in history) >= 10


async def test_a_lost_update_would_be_seen(tmp_path: Path) -> None:
    """The same check, over what a store without a version check would have answered, complains."""
    place = (str(tmp_path / "load.db"), "")
    await begin(place)
    seen = outputs([start(*place, 1, 7, callers=8, workflows=1)])
    writes = [each for each in seen if each["kind"] == "write" and "version" in each]
    broken = dict(writes[-1]) | {"version": writes[-2]["version"], "value": "lost"}

    assert check_linearizable(operations([*seen, broken]), initial={"tally-0": 1}) != []


async def test_a_process_that_is_killed_loses_nothing(place: tuple[str, str]) -> None:
    """A process under load is killed again and again: every acknowledged command is found, and versions are dense."""
    await begin(place)
    seen: list[dict[str, Any]] = []
    for round_ in range(KILLS):
        process = start(*place, 30, round_, callers=24, workflows=WORKFLOWS)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(40 + 37 * round_)]  # it is in the middle of its work now
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        process.stdout.close()
        assert process.wait(timeout=60) == -signal.SIGKILL
        seen += reports("".join(lines) + rest)
        commits = await stored(place)

    assert check_marks(seen, commits) >= 40 * KILLS // 2
    async with store_of(*place) as store:
        result = await WorkflowExecutor(router, store).execute("tally-0", Mark(mark="after"))
    assert result.unwrap().version == len(commits["tally-0"]) + 1


async def test_an_answer_that_comes_too_early_is_seen(tmp_path: Path) -> None:
    """A process that answers before anything is durable is killed, too, and the same check complains."""
    place = (str(tmp_path / "load.db"), "")
    await begin(place)
    is_seen = False
    for round_ in range(4 * KILLS):  # how much is lost with a process is a matter of luck
        process = start(*place, 30, round_, callers=24, workflows=WORKFLOWS, hasty=True)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(40 + 37 * round_)]
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        process.stdout.close()
        process.wait(timeout=60)
        try:
            check_marks(reports("".join(lines) + rest), await stored(place))
        except (AssertionError, KeyError):
            is_seen = True
            break

    assert is_seen
