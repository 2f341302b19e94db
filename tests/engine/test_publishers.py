"""Publishers: every commit leaves, in order for each workflow, at least once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from statewright import Commit, MemoryStore, Worker, WorkflowExecutor
from statewright.errors import DefinitionError, LeaseLostError
from tests.engine.workshop import ZERO, Begin, Move, Paper, Store, bell_router

pytest_plugins = ["tests.fixtures.stores"]


async def _bells(store: Store, *ids: str, moves: int = 2) -> WorkflowExecutor[Any]:
    """Make bells, and move each so often."""
    bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(), store)
    for id in ids:
        (await bells.execute(id, Begin())).unwrap()
    for _ in range(moves):
        for id in ids:
            (await bells.execute(id, Move())).unwrap()
    return bells


async def test_published_in_order(store: Store) -> None:
    """Each workflow's commits are published in the order of versions, once as long as nothing fails."""
    await _bells(store, "b-1", "b-2")
    paper = Paper()
    worker = Worker(store, publishers=[paper], start=0)

    await worker.run_until_idle()
    await worker.run_until_idle()

    assert sorted(paper.lines()) == [("b-1", 1), ("b-1", 2), ("b-1", 3), ("b-2", 1), ("b-2", 2), ("b-2", 3)]
    assert [line for line in paper.lines() if line[0] == "b-2"] == [("b-2", 1), ("b-2", 2), ("b-2", 3)]


async def test_what_is_published(store: Store) -> None:
    """A publisher is given the commit as the log has it, position and all."""
    await _bells(store, "b-1")
    paper = Paper()

    await Worker(store, publishers=[paper], start=0).run_until_idle()

    assert paper.printed == await store.commits()


async def test_tried_again_for_ever(store: Store) -> None:
    """A publisher that fails is tried again, from the commit that failed; nothing is skipped or overtaken."""
    await _bells(store, "b-1")
    paper = Paper(failures=7)
    worker = Worker(store, publishers=[paper], start=0, backoff=ZERO, retries=0)

    async with asyncio.timeout(30):
        while len(paper.printed) < 3:
            await worker.run_until_idle()

    assert paper.lines() == [("b-1", 1), ("b-1", 2), ("b-1", 3)]
    assert await store.dead_letters() == []


class Cancelling(Paper):
    """Its driver cancels what it waits for, once, as drivers do that lose their connection."""

    async def publish(self, commit: Commit) -> None:
        if not self.printed and not self.failures:
            self.failures = -1
            raise asyncio.CancelledError
        self.printed.append(commit)


async def test_a_cancellation_that_nobody_asked_for_is_a_failure(store: Store) -> None:
    """A publisher in which something is cancelled is tried again; the worker does not end of it."""
    await _bells(store, "b-1")
    paper = Cancelling()
    worker = Worker(store, publishers=[paper], start=0, backoff=ZERO, poll=timedelta(milliseconds=20))
    working = asyncio.create_task(worker.run())

    async with asyncio.timeout(30):
        while len(paper.printed) < 3:  # noqa: ASYNC110 - the worker is the clock
            await asyncio.sleep(0.005)
    assert not working.done()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


async def test_one_that_fails_waits(store: Store) -> None:
    """After a failure there is a pause, in which nothing is tried; the lag can be seen."""
    await _bells(store, "b-1")
    paper = Paper(failures=1)
    worker = Worker(store, publishers=[paper], start=0, backoff=timedelta(hours=1))

    await worker.run_until_idle()
    await worker.run_until_idle()

    assert paper.lines() == []
    assert paper.failures == 0
    [status] = await store.readers()
    assert (status.name, status.position, status.lag) == ("publisher:paper", 0, 3)


async def test_a_publisher_that_fails_stops_its_workflow_only(store: Store) -> None:
    """While a commit of one workflow fails, those of others leave, and none of them twice from this worker."""
    await _bells(store, "b-1", "b-2", moves=1)

    class Picky(Paper):
        async def publish(self, commit: Commit) -> None:
            if commit.workflow_id == "b-1" and self.failures:
                self.failures -= 1
                raise OSError
            self.printed.append(commit)

    paper = Picky(failures=2)
    worker = Worker(store, publishers=[paper], start=0, backoff=ZERO)
    await worker.run_until_idle()
    assert paper.lines() == [("b-2", 1), ("b-2", 2)]

    async with asyncio.timeout(30):
        while len(paper.printed) < 4:
            await worker.run_until_idle()

    assert paper.lines() == [("b-2", 1), ("b-2", 2), ("b-1", 1), ("b-1", 2)]


async def test_a_takeover_repeats_under_the_same_id(store: Store) -> None:
    """What was published without the position being saved is published again, with the same commit ids."""
    await _bells(store, "b-1")
    paper = Paper()
    worker = Worker(store, publishers=[paper], start=0)
    role = worker._roles[-1]
    await store.start_reader(role.name, 0)
    [late] = await store.acquire_leases([role.name], "dying", timedelta(hours=1))
    await store.release_leases([late])
    [_] = await store.acquire_leases([role.name], "another", timedelta(hours=1))
    with pytest.raises(LeaseLostError):
        await role.step(late)
    assert len(paper.printed) == 3
    assert await store.reader_position(role.name) == 0
    again = Paper()

    assert await _published_by_another(store, again) == [commit.id for commit in paper.printed]


async def _published_by_another(store: Store, paper: Paper) -> list[str]:
    worker = Worker(store, publishers=[paper], start=0)
    [fence] = await store.acquire_leases(["publisher:paper"], "another", timedelta(hours=1))
    await worker._roles[-1].step(fence)
    return [commit.id for commit in paper.printed]


async def test_two_publishers_have_positions_of_their_own(store: Store) -> None:
    """One publisher that fails does not hold up another one."""
    await _bells(store, "b-1")
    stuck, fine = Paper("stuck", failures=99), Paper("fine")

    await Worker(store, publishers=[stuck, fine], start=0, backoff=timedelta(hours=1)).run_until_idle()

    assert fine.lines() == [("b-1", 1), ("b-1", 2), ("b-1", 3)]
    assert {status.name: status.position for status in await store.readers()} == {
        "publisher:stuck": 0,
        "publisher:fine": 3,
    }


async def test_a_first_start(store: Store) -> None:
    """A publisher that is new on a store that has commits says where it begins."""
    await _bells(store, "b-1")
    with pytest.raises(DefinitionError, match='start="now"'):
        await Worker(store, publishers=[Paper()]).run_until_idle()
    paper, late = Paper(), Paper("late")

    await Worker(store, publishers=[paper, late], start="now").run_until_idle()
    await _bells(store, "b-2", moves=0)
    await Worker(store, publishers=[paper, late]).run_until_idle()

    assert paper.lines() == late.lines() == [("b-2", 1)]


def test_publishers_that_are_none() -> None:
    """A worker refuses publishers without a name or a method, and two of one name."""
    with pytest.raises(DefinitionError, match="publisher has a name"):
        Worker(MemoryStore(), publishers=[object()])  # type: ignore[list-item]
    with pytest.raises(DefinitionError, match="share a name"):
        Worker(MemoryStore(), publishers=[Paper(), Paper()])
