"""A crowd in front of `statewright serve`: a process of its own, real sockets, SQLite and PostgreSQL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from statewright import Commit
from tests.http.crowd import Crowd, Keyless, Losing
from tests.http.served import serving, store_at

pytest_plugins = ["tests.fixtures.postgres", "tests.fixtures.places"]
pytestmark = pytest.mark.slow

PLAIN = "from tests.http.tally import router\n"
GROWTH = 4_000_000
"""Bytes that a server may grow by between two plateaus: under 2 KB for each command; no command's result is smaller."""


@dataclass(frozen=True)
class Size:
    """How large a crowd is, and how long it stays."""

    senders: int
    turns: int
    definition: int
    workflows: int
    typed: int
    asleep: int
    silence: float

    @property
    def watchers(self) -> int:
        return self.definition + self.workflows + self.typed + self.asleep


WHOLE = Size(senders=200, turns=10, definition=80, workflows=90, typed=20, asleep=10, silence=10)
SMALL = Size(senders=20, turns=10, definition=4, workflows=8, typed=2, asleep=1, silence=1)
SENDERS = Size(senders=40, turns=15, definition=0, workflows=0, typed=0, asleep=0, silence=1)


@dataclass(frozen=True)
class Verdict:
    """What a crowd found."""

    complaints: list[str]
    growth: int
    """Bytes that the server grew by between the first plateau and the second."""
    commands: int
    said: str
    """What the server wrote."""


async def strain(place: str, folder: Path, size: Size, *, code: str = PLAIN, network: Any = Losing) -> Verdict:
    """Send a crowd against a server, twice; compare what it was told with what is stored."""
    async with store_at(place):
        pass  # makes what is not there yet
    plateaus = []
    with serving(place, code, folder) as server:
        async with Crowd(server.address, 40, network) as crowd:
            await crowd.begin()
            await crowd.watch(
                definition=size.definition, workflows=size.workflows, typed=size.typed, asleep=size.asleep
            )
            senders = await crowd.senders(size.senders)
            for _ in range(2):
                await crowd.send(senders, size.turns)
                await crowd.settled(size.silence)
                plateaus.append(server.size())
            crowd.wake()
            await crowd.settled(size.silence)
        server.stop()
    async with store_at(place) as store:
        complaints = crowd.complaints(await whole_log(store))
    return Verdict(complaints, plateaus[1] - plateaus[0], len(crowd.acknowledged), server.said)


async def whole_log(store: Any) -> list[Commit]:
    log: list[Commit] = []
    while page := await store.commits(after=log[-1].position if log else 0):
        log.extend(page)
    return log


async def test_a_crowd_loses_nothing_and_sees_nothing_twice(place: str, tmp_path: Path) -> None:
    """200 who send and lose answers, and 200 who watch, agree with the store; the memory of the server is flat."""
    verdict = await strain(place, tmp_path, WHOLE)

    assert WHOLE.senders == WHOLE.watchers == 200
    assert verdict.commands == 40 + 2 * 200 * WHOLE.turns
    assert verdict.complaints == []
    assert verdict.growth < GROWTH
    assert "Traceback" not in verdict.said


BROKEN = {
    "streams leave out a commit now and then": (
        """
from statewright.http.feed import Feed
keep = Feed._keep
Feed._keep = lambda self, commit: keep(self, commit) if commit.position % 50 else None
""",
        r"^reader \d+ missed [1-9]",
    ),
    "streams repeat a commit now and then": (
        """
from statewright.http.feed import Feed
keep = Feed._keep
Feed._keep = lambda self, commit: [keep(self, commit) for _ in range(1 if commit.position % 50 else 2)]
""",
        r"^reader \d+ missed 0, saw [1-9]",
    ),
    "the stream of a workflow passes over a version": (
        """
from statewright.http import stream
event = stream.event
stream.event = lambda kind, id, body: b"" if kind == "commit" and id == 5 else event(kind, id, body)
""",
        r"^tally-\d+ missed 1, saw 0",
    ),
    "commands are answered, but not saved, now and then": (
        """
from statewright import WorkflowExecutor
execute, count = WorkflowExecutor.execute, 0
async def preview_some(self, id, command, **options):
    global count
    count += 1
    return await (execute(self, id, command, **options) if count % 50 else self.preview(id, command))
WorkflowExecutor.execute = preview_some
""",
        r"^mark \d+ is lost$",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_server_is_found_out(case: str, tmp_path: Path) -> None:
    """A server that is broken on purpose is complained of for what it does."""
    code, complaint = BROKEN[case]
    verdict = await strain(str(tmp_path / "tallies.db"), tmp_path, SMALL, code=PLAIN + code)

    assert any(re.search(complaint, each) for each in verdict.complaints), verdict.complaints[:5]


async def test_doubled_commands_are_found_out(tmp_path: Path) -> None:
    """Where keys are lost on the way, commands that are sent again are stored twice, and complained of."""
    verdict = await strain(str(tmp_path / "tallies.db"), tmp_path, SMALL, network=Keyless)

    assert any(re.search(r"^mark \d+ is stored 2 times$", each) for each in verdict.complaints), verdict.complaints[:5]


async def test_a_server_that_keeps_everything_is_found_out(tmp_path: Path) -> None:
    """A server that keeps some kilobytes of each command grows by more than it may."""
    code = """
from statewright.http.view import success_body
from statewright.http import router as routes
kept = []
routes.success_body = lambda *arguments: kept.append(bytes(16_384)) or success_body(*arguments)
"""
    verdict = await strain(str(tmp_path / "tallies.db"), tmp_path, SENDERS, code=PLAIN + code)

    assert verdict.complaints == []
    assert verdict.growth > GROWTH
