"""Group commit: what waits together is saved together, and acknowledged after the COMMIT."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from statewright import ConcurrencyConflictError, InvalidDataError, SaveOptions, StoredWorkflow
from statewright._model.snapshot import WorkflowSnapshot
from statewright.stores.sqlite import SQLiteStore
from statewright.testing.contract.samples import BEGAN, check_stored, following, loaded, opening
from tests.stores.sqlite_seam import PATIENCE, Gate, watched_store


def seen_by_others(path: Path) -> int:
    """Return how many workflows another connection sees."""
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM workflow").fetchone()[0])
    finally:
        connection.close()


def no_unicode(id: str = "poison") -> SaveOptions:
    """Return a save that no executor would let through: its state is no Unicode."""
    text = '{"text":"\ud800"}'
    return SaveOptions(id, WorkflowSnapshot.of_text(id, "order", "Draft", text, 1, 1, BEGAN, BEGAN), 0)


async def test_acknowledged_after_the_commit(tmp_path: Path) -> None:
    """While a COMMIT is under way nobody has an answer and nobody sees the save; after it both are there."""
    gate, path = Gate(), tmp_path / "w.db"
    async with watched_store(path, gate.watch) as store:
        gate.shut()
        saving = store.submit(opening())
        await gate.reached()

        assert not saving.done()
        assert seen_by_others(path) == 0
        assert await store.count() == 0

        gate.open()
        await saving
        assert seen_by_others(path) == 1


async def test_what_waits_shares_one_commit(tmp_path: Path) -> None:
    """Saves that come in while another one is committed share the next COMMIT, whatever their number."""
    gate = Gate()
    async with watched_store(tmp_path / "w.db", gate.watch) as store:
        gate.shut()
        first = store.submit(opening("first"))
        await gate.reached()
        others = [store.submit(opening(f"w-{number}")) for number in range(100)]
        gate.open()

        await asyncio.gather(first, *others)

        assert gate.commits == 2
        assert await store.count() == 101


async def test_a_lost_race_harms_no_other(tmp_path: Path) -> None:
    """In one batch the losers learn what is there, and the others are saved; no second COMMIT is needed."""
    gate = Gate()
    async with watched_store(tmp_path / "w.db", gate.watch) as store:
        taken = [opening(f"taken-{number}") for number in range(3)]
        await asyncio.gather(*map(store.save, taken))
        gate.shut()
        first = store.submit(opening("first"))
        await gate.reached()
        bad = [opening(options.id) for options in taken] + [following(opening("nobody"))]
        good = [opening(f"new-{number}", count=2) for number in range(3)]
        answers = [
            store.submit(options) for pair in zip(bad, [*good, opening("last")], strict=True) for options in pair
        ]
        gate.open()

        await first
        outcomes = await asyncio.gather(*answers, return_exceptions=True)

        assert outcomes[1::2] == [None] * 4
        assert gate.commits == 2
        for options, conflict in zip(taken, outcomes[:6:2], strict=True):
            assert isinstance(conflict, ConcurrencyConflictError)
            assert conflict.actual_version == 1
            current = conflict.__dict__["current"]
            assert isinstance(current, StoredWorkflow)
            check_stored(current, options.snapshot)
        missing = outcomes[6]
        assert isinstance(missing, ConcurrencyConflictError)
        assert (missing.actual_version, missing.__dict__["current"]) == (0, None)


async def test_a_batch_of_losers_is_not_committed(tmp_path: Path) -> None:
    """Where nobody won there is nothing to sync, and no position is used up."""
    gate = Gate()
    async with watched_store(tmp_path / "w.db", gate.watch) as store:
        await store.save(opening())
        gate.shut()

        with pytest.raises(ConcurrencyConflictError):
            await store.save(opening())

        gate.open()
        assert gate.commits == 0
        await store.save(following(await loaded(store)))
        assert [commit.position for commit in await store.commits()] == [1, 2]


async def test_poison_harms_no_other(tmp_path: Path) -> None:
    """Data that SQLite cannot take is refused to whoever sent it; all that waited with it is saved."""
    gate = Gate()
    async with watched_store(tmp_path / "w.db", gate.watch) as store:
        gate.shut()
        first = store.submit(opening("first"))
        await gate.reached()
        before = [store.submit(opening(f"a-{number}")) for number in range(5)]
        poison = store.submit(no_unicode())
        after = [store.submit(opening(f"z-{number}")) for number in range(6)]
        gate.open()

        await asyncio.gather(first, *before, *after)
        with pytest.raises(InvalidDataError) as caught:
            await poison

        assert caught.value.source == "state"
        assert "'poison'" in str(caught.value)
        assert "\ud800" not in str(caught.value)
        assert await store.count() == 12
        assert len(await store.commits()) == 12


async def test_one_save_per_workflow_in_a_batch(tmp_path: Path) -> None:
    """Saves of one workflow that wait together are done in turn: the second one finds what the first one left."""
    gate = Gate()
    async with watched_store(tmp_path / "w.db", gate.watch) as store:
        gate.shut()
        first = store.submit(opening("first"))
        await gate.reached()
        one = opening("one")
        chain = [one, following(one), following(following(one))]
        saves = [store.submit(options) for options in [*chain, opening("two")]]
        gate.open()

        await asyncio.gather(first, *saves)

        assert gate.commits == 4
        assert (await loaded(store, "one")).version == 3
        assert [commit.version for commit in await store.history("one")] == [1, 2, 3]


async def test_loads_do_not_wait_for_the_commit(tmp_path: Path) -> None:
    """A load that waits together with a save is answered while that save is committed, from what was there before."""
    gate = Gate()
    async with watched_store(tmp_path / "w.db", gate.watch) as store:
        before = opening("a")
        await store.save(before)
        gate.shut()
        first = store.submit(opening("first"))
        await gate.reached()
        saving = store.submit(following(before))
        loading = asyncio.ensure_future(store.load("a"))
        recalling = asyncio.ensure_future(store.recall("a", "no key"))
        await asyncio.sleep(0)
        gate.open()
        gate.shut()
        await first
        await gate.reached()

        async with asyncio.timeout(PATIENCE):
            stored = await loading
            assert await recalling is None
        assert not saving.done()
        assert stored is not None
        check_stored(stored, before.snapshot)

        gate.open()
        await saving


@pytest.mark.slow
async def test_many_saves_in_waiting(tmp_path: Path) -> None:
    """More saves than one batch takes are all answered."""
    async with SQLiteStore(tmp_path / "w.db") as store:
        await asyncio.gather(*(store.save(opening(f"w-{number:04d}")) for number in range(1500)))

        assert await store.count() == 1500
        assert [commit.position for commit in await store.commits(limit=2000)] == list(range(1, 1501))
        assert len(await asyncio.gather(*(store.load(f"w-{number:04d}") for number in range(1500)))) == 1500


@pytest.mark.parametrize("path", ["w.db", ":memory:"])
def test_two_event_loops(tmp_path: Path, path: str) -> None:
    """One store serves event loops on several threads; each gets its own answers."""
    store = SQLiteStore(path if path == ":memory:" else tmp_path / path)
    counts: list[int] = []

    async def work(name: str) -> None:
        for number in range(20):
            await store.save(opening(f"{name}-{number}"))
            await loaded(store, f"{name}-{number}")
        counts.append(await store.count())

    async def main() -> None:
        async with store:
            threads = [threading.Thread(target=asyncio.run, args=(work(name),)) for name in ("one", "two", "three")]
            for thread in threads:
                thread.start()
            await work("main")
            for thread in threads:
                await asyncio.to_thread(thread.join, PATIENCE)
            assert await store.count() == 80

    asyncio.run(main())
    assert len(counts) == 4


async def test_a_closed_loop_is_no_obstacle(tmp_path: Path) -> None:
    """A save goes on when the loop that it came from is gone, and the others get their answers."""
    gate = Gate()

    async with watched_store(tmp_path / "w.db", gate.watch) as store:
        gate.shut()

        async def send() -> None:
            store.submit(opening("orphan"))

        await asyncio.to_thread(asyncio.run, send())
        await gate.reached()
        mine = store.submit(opening("mine"))
        gate.open()

        await mine
        assert (await loaded(store, "orphan")).version == 1
