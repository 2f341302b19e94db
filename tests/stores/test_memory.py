"""The memory store: what it hands out cannot be changed, and any thread may ask it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from statewright import (
    Catalog,
    CommitLog,
    ConcurrencyConflictError,
    ErasingStore,
    FoldingStore,
    HistoryStore,
    IdempotentStore,
    MemoryStore,
    NewCommit,
    RecordedMessage,
    SaveOptions,
)
from statewright._model.commit import new_id
from statewright.testing.contract.samples import opening
from tests.model.orders import NOON
from tests.model.test_snapshot import snapshot


def saving(version: int, id: str = "o-1", **options: Any) -> SaveOptions:
    """Return the save that makes a version of the one before."""
    after = snapshot(id=id, version=version)
    commit = NewCommit(
        new_id(),
        after,
        RecordedMessage("AddItem", {"item": "tea"}),
        (RecordedMessage("ItemAdded", {"item": "tea"}),),
        NOON,
        {"actor": "ann", "tags": ["a"]},
        **options.pop("commit", {}),
    )
    return SaveOptions(id, after, version - 1, (commit,), **options)


async def filled(*ids: str) -> MemoryStore:
    store = MemoryStore()
    for id in ids or ("o-1",):
        await store.save(saving(1, id))
    return store


@pytest.mark.parametrize(
    "protocol",
    [FoldingStore, HistoryStore, CommitLog, Catalog, IdempotentStore, ErasingStore],
    ids=lambda p: p.__name__,
)
def test_it_keeps_every_optional_promise(protocol: Any) -> None:
    """All that an executor can ask for beyond load and save is there."""
    assert isinstance(MemoryStore(), protocol)


async def test_it_compares_and_swaps() -> None:
    """The stored version decides, and a conflict tells what was found."""
    store = await filled()
    await store.save(saving(2))

    with pytest.raises(ConcurrencyConflictError) as caught:
        await store.save(saving(2))

    assert (caught.value.expected_version, caught.value.actual_version) == (1, 2)
    assert caught.value.__dict__["current"] is await store.load("o-1")
    assert (await store.load("o-2")) is None


async def test_a_version_that_came_back_is_another_one() -> None:
    """After `forget` the same version has another commit id, and a save that expects the old one is refused."""
    store = await filled()
    old = await store.load("o-1")
    assert old is not None
    await store.forget("o-1")
    await store.save(saving(1))

    with pytest.raises(ConcurrencyConflictError):
        await store.save(saving(2, expected_commit_id=old.commit_id))

    new = await store.load("o-1")
    assert new is not None
    await store.save(saving(2, expected_commit_id=new.commit_id))


async def test_what_it_hands_out_cannot_be_changed() -> None:
    """Rows, commits, metadata and lists that were handed out are nobody's way in."""
    given = {"actor": "ann", "tags": ["a"]}
    store = MemoryStore()
    await store.save(saving(1, commit={"idempotency_key": "k"}))
    stored = await store.load("o-1")
    history, log = await store.history("o-1"), await store.commits()
    answer = await store.recall("o-1", "k")
    assert stored is not None
    assert answer is not None

    for thing, name in [(stored, "version"), (stored.snapshot, "state"), (history[0], "version"), (answer, "events")]:
        with pytest.raises(AttributeError):
            setattr(thing, name, 9)
    stored.snapshot.data["items"].append("poison")
    history[0].metadata["tags"].append("poison")
    history[0].events[0].data["item"] = "poison"
    history.clear()
    log.clear()

    assert (await store.load("o-1")) == stored
    assert stored.snapshot.data == {"items": ["tea"]}
    (commit,) = await store.history("o-1")
    assert commit.metadata == given
    assert commit.events[0].data == {"item": "tea"}
    assert len(await store.commits()) == 1


async def test_positions_go_up_and_are_not_used_again() -> None:
    """A forgotten workflow leaves a gap, and the next commit is beyond it."""
    store = await filled("a", "b", "c")
    await store.forget("c")
    await store.save(saving(1, "d"))

    assert [(commit.position, commit.workflow_id) for commit in await store.commits()] == [(1, "a"), (2, "b"), (4, "d")]
    assert [commit.position for commit in await store.commits(after=1, limit=1)] == [2]
    assert [commit.position for commit in await store.commits(after=3)] == [4]


async def test_a_save_without_commits_changes_the_row_only() -> None:
    """What only brings the stored form up to date is no commit."""
    store = await filled()
    await store.save(SaveOptions("o-1", snapshot(version=1, data={"items": []}), 1))

    stored = await store.load("o-1")
    assert stored is not None
    assert (stored.version, stored.snapshot.data) == (1, {"items": []})
    assert len(await store.history("o-1")) == 1


async def test_a_subscriber_waits_for_more() -> None:
    """What is there comes at once, what is saved later comes then, each once and in order."""
    store = await filled("a", "b")
    seen: list[str] = []
    arrived = asyncio.Event()

    async def read() -> None:
        async for commit in store.subscribe(after=1):
            seen.append(commit.workflow_id)
            if commit.workflow_id == "d":
                arrived.set()

    task = asyncio.create_task(read())
    for id in ("c", "d"):
        await store.save(saving(1, id))
        await asyncio.sleep(0)
    await asyncio.wait_for(arrived.wait(), 30)
    task.cancel()

    assert seen == ["b", "c", "d"]


def test_a_subscriber_hears_of_another_threads_saves() -> None:
    """Loops on other threads may save; the subscriber's own loop is woken."""
    store = MemoryStore()
    ready, seen = threading.Event(), list[int]()

    async def read() -> None:
        async with asyncio.timeout(30):
            async for commit in store.subscribe():
                ready.set()
                seen.append(commit.version)
                if commit.version == 5:
                    return

    def write() -> None:
        asyncio.run(store.save(saving(1)))
        assert ready.wait(30)
        for version in range(2, 6):
            asyncio.run(store.save(saving(version)))

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write)
        asyncio.run(read())
        writing.result()

    assert seen == [1, 2, 3, 4, 5]


async def test_a_subscriber_whose_loop_is_gone_disturbs_nobody() -> None:
    """A loop that ended without closing its subscription does not make saves fail."""
    store = MemoryStore()

    def abandon() -> None:
        loop = asyncio.new_event_loop()
        waiting = store.subscribe()
        task = loop.create_task(anext(waiting))
        loop.run_until_complete(asyncio.wait({task}, timeout=0.01))
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()

    await asyncio.to_thread(abandon)
    await store.save(saving(1))

    assert (await store.load("o-1")) is not None


@pytest.mark.slow
def test_any_thread_may_ask() -> None:
    """Readers of everything beside writers and forgetters never see anything but whole rows, and raise nothing."""
    store = asyncio.run(filled(*(f"x-{number}" for number in range(2000))))
    stopping = threading.Event()

    async def write_on(name: int) -> int:
        count = 0
        while not stopping.is_set():
            id = f"o-{name}-{count}"
            await store.save(saving(1, id))
            if count % 100 == 0:
                await store.forget(id)
            count += 1
            await asyncio.sleep(0.0001)
        return count

    def write(name: int) -> int:
        return asyncio.run(write_on(name))

    async def look() -> None:
        assert await store.count() >= 0
        assert set(await store.count_by_state("order")) <= {"Draft"}
        assert all(each.version == 1 for each in await store.find(limit=10**6))
        positions = [commit.position for commit in await store.commits(limit=10**6)]
        assert positions == sorted(positions)

    with ThreadPoolExecutor(2) as threads:
        writing = [threads.submit(write, number) for number in range(2)]
        try:
            for _ in range(8):
                asyncio.run(look())
        finally:
            stopping.set()
        assert sum(future.result() for future in writing) > 10


def test_a_closed_loop_with_a_subscriber_is_forgotten() -> None:
    """A subscriber whose loop was closed under it keeps nobody from saving."""
    store = MemoryStore()
    first = asyncio.new_event_loop()
    waiting = first.create_task(anext(store.subscribe()))
    first.run_until_complete(asyncio.sleep(0))
    first.run_until_complete(asyncio.sleep(0))
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]
    first.close()

    async def save() -> int:
        await store.save(opening())
        return len(await store.commits())

    assert asyncio.run(save()) == 1
