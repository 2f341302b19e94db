"""What `SQLiteStore` adds to what every store promises: opening, times, retention, pages, subscribing, pruning."""

# ruff: noqa: ASYNC240 - a test has its event loop to itself

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from statewright import DefinitionError, InvalidDataError, RecordedMessage, SaveOptions, StoreError
from statewright._engine import ports
from statewright.errors import PositionPrunedError
from statewright.stores.sqlite import SQLiteStore
from statewright.stores.sqlite.writer import Writer
from statewright.testing import ManualClock
from statewright.testing.contract.samples import BEGAN, following, loaded, opening
from tests.stores.sqlite_seam import PATIENCE, finished, started, watched_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    async with SQLiteStore(path) as store:
        yield store


# --- opening and closing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", None, 7, b"w.db", "a\0b", object()])
def test_a_path_is_a_path(path: Any) -> None:
    """Anything but the path of a file is refused at once."""
    with pytest.raises(DefinitionError, match="path"):
        SQLiteStore(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 5),
        ("timeout", timedelta(0)),
        ("poll", timedelta(seconds=-1)),
        ("poll", None),
        ("idempotency_retention", 30),
        ("checkpoint_pages", 0),
        ("checkpoint_pages", 1.5),
        ("checkpoint_pages", True),
        ("clock", BEGAN),
    ],
)
def test_wrong_options(name: str, value: Any) -> None:
    """A wrong option is refused at once, by its name."""
    options: dict[str, Any] = {name: value}

    with pytest.raises(DefinitionError, match=name):
        SQLiteStore("w.db", **options)


async def test_it_can_do_all_that_is_asked_of_it(store: SQLiteStore) -> None:
    """It has every protocol that its docstring speaks of."""
    for protocol in (
        ports.FoldingStore,
        ports.HistoryStore,
        ports.CommitLog,
        ports.Catalog,
        ports.IdempotentStore,
        ports.ErasingStore,
    ):
        assert isinstance(store, protocol)


async def test_a_store_that_is_not_open(path: Path) -> None:
    """Every call on a store that is not open, or not any more, says how to open it."""
    store = SQLiteStore(path)
    for _ in range(2):
        assert not store.is_open
        calls: list[Any] = [
            store.load("a"),
            store.save(opening()),
            store.submit(opening()),
            store.recall("a", "k"),
            store.history("a"),
            store.snapshot_at("a", 1),
            store.commits(),
            anext(store.subscribe()),
            store.find(),
            store.count(),
            store.count_by_state("order"),
            store.forget("a"),
            store.prune(before_position=1),
        ]
        for call in calls:
            with pytest.raises(StoreError, match="async with store"):
                await call
        async with store:
            assert store.is_open


async def test_it_opens_again(path: Path) -> None:
    """A store that was closed can be opened again, and everything is there."""
    store = SQLiteStore(path)
    for number in range(3):
        async with store:
            await store.save(opening(f"w-{number}"))
            assert await store.count() == number + 1
    assert not path.with_name("w.db-wal").exists()


async def test_setup_opens(path: Path) -> None:
    """`setup` opens a store, any number of times, and `close` closes it, any number of times."""
    store = SQLiteStore(path)
    await asyncio.gather(*(store.setup() for _ in range(5)))
    await store.setup()
    await store.save(opening())

    await store.close()
    await store.close()

    assert not store.is_open


async def test_nested_use(path: Path) -> None:
    """Inside `async with store`, another one neither opens nor closes it."""
    store = SQLiteStore(path)
    async with store:
        async with store:
            await store.save(opening())
        await loaded(store)
    assert not store.is_open


async def test_a_path_is_fixed_at_birth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path means the directory in which the store was made."""
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("w.db")
    monkeypatch.chdir("/")

    async with store:
        pass

    assert (tmp_path / "w.db").exists()
    assert repr(store) == f"SQLiteStore({str(tmp_path / 'w.db')!r})"


async def test_what_waits_is_done_before_the_end(path: Path) -> None:
    """Closing a store does what was asked of it before, and everybody has an answer."""
    store = SQLiteStore(path)
    await store.setup()
    saves = [store.submit(opening(f"w-{number}")) for number in range(50)]

    await store.close()

    assert await asyncio.gather(*saves) == [None] * 50
    async with store:
        assert await store.count() == 50


async def test_a_close_that_is_cancelled_closes(path: Path) -> None:
    """Whoever gives up waiting for the end does not keep it from coming."""
    store = SQLiteStore(path)
    await store.setup()
    await store.count()
    before = len(_threads())
    closing = asyncio.ensure_future(store.close())
    await asyncio.sleep(0)

    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)

    assert not store.is_open
    assert before >= 2
    async with asyncio.timeout(PATIENCE):
        while _threads():  # noqa: ASYNC110 - a thread does not tell a loop of its end
            await asyncio.sleep(0.001)


async def test_an_opening_that_is_cancelled_is_undone(path: Path) -> None:
    """Whoever gives up opening a store leaves it closed."""
    store = SQLiteStore(path)
    opening_it = asyncio.ensure_future(store.setup())
    await asyncio.sleep(0)

    opening_it.cancel()
    await asyncio.gather(opening_it, return_exceptions=True)

    assert not store.is_open
    async with store:
        await store.save(opening())


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("statewright-sqlite")]


async def test_a_call_that_comes_too_late_is_answered(path: Path) -> None:
    """What is put in after the thread has ended is refused by the very call."""
    store = SQLiteStore(path)
    await store.setup()
    session = store._session
    assert session is not None
    await store.close()
    store._session = session

    for call in (store.save(opening()), store.load("a"), store.count()):
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(StoreError, match="was closed"):
                await call


async def test_a_store_that_was_lost_ends_its_threads(path: Path) -> None:
    """The threads of a store that nobody has any more end, and its file is closed."""
    store = SQLiteStore(path)
    await store.setup()
    await store.count()
    ours = _threads()
    assert len(ours) >= 2

    del store
    gc.collect()

    for thread in ours:
        await asyncio.to_thread(thread.join, PATIENCE)
        assert not thread.is_alive()


_FORKED = """
import asyncio, os, sys
from statewright.stores.sqlite import SQLiteStore
from statewright.testing.contract.samples import opening, loaded

async def child(store):
    for call in (store.load("a"), store.save(opening("b")), store.count(), store.forget("a")):
        try:
            await call
        except Exception as error:
            print("child:", type(error).__name__, "fork" in str(error), flush=True)
    async with store:
        await store.save(opening("from the child"))
        print("child:", await store.count(), flush=True)

def main():
    loop = asyncio.new_event_loop()
    store = SQLiteStore(sys.argv[1])
    loop.run_until_complete(store.setup())
    loop.run_until_complete(store.save(opening("a")))
    loop.run_until_complete(store.count())
    if os.fork() == 0:
        asyncio.run(child(store))
        os._exit(0)
    os.wait()
    loop.run_until_complete(store.save(opening("from the parent")))
    print("parent:", loop.run_until_complete(store.count()), flush=True)
    loop.run_until_complete(store.close())

main()
"""


async def test_one_leaves_while_another_enters(path: Path) -> None:
    """Whoever is inside `async with` finds the store open, even if the last other one left a moment before."""
    store, leaves = SQLiteStore(path), asyncio.Event()

    async def first() -> None:
        async with store:
            leaves.set()
            await asyncio.sleep(0)

    async def second() -> None:
        await leaves.wait()
        async with store:
            await asyncio.sleep(0)
            await store.save(opening())

    async with asyncio.timeout(30):
        await asyncio.gather(first(), second())
    assert not store.is_open


async def test_a_glance_is_taken_or_not(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writing thread may change its mind about who reads at any moment; a load is answered all the same."""
    await store.save(opening())
    minds = itertools.cycle([True, False])
    monkeypatch.setattr(Writer, "has_one_caller", property(lambda _: next(minds), lambda _, __: None), raising=False)

    for _ in range(4):
        assert await store.load(opening().id) is not None
        assert await store.recall(opening().id, "key") is None


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_fork(path: Path) -> None:
    """In a forked child a store says that it must be opened there, and can be; the parent goes on."""
    lines = finished(started(_FORKED, path))

    assert lines == ["child: StoreError True"] * 4 + ["child: 2", "parent: 3"]


# --- what is kept ----------------------------------------------------------------------------------------------------


async def test_a_person_can_read_it(store: SQLiteStore, path: Path) -> None:
    """Data, events and metadata are JSON text, times are ISO 8601 in UTC."""
    await store.save(opening("a", data={"größe": 1.0}, metadata={"actor": "Ann"}))

    connection = sqlite3.connect(path)
    columns = "data, command, command_data, events, metadata, recorded_at"
    row = connection.execute(f"SELECT {columns} FROM workflow_commit").fetchone()
    current = connection.execute("SELECT id, state, data, updated_at FROM workflow").fetchone()
    connection.close()

    when = "2026-03-01T12:30:16.123456+00:00"
    assert row == (
        '{"größe":1.0}',
        "Count",
        '{"to":1}',
        '[{"type":"Counted","data":{"to":1}}]',
        '{"actor":"Ann"}',
        when,
    )
    assert current == ("a", "Draft", '{"größe":1.0}', when)


async def test_since_when_in_a_fold(store: SQLiteStore) -> None:
    """A fold that leaves a state and comes back has entered it anew; one that stays has not."""
    first = opening("a", state="Draft")
    away = following(first, state="Placed")
    back = following(away, state="Draft")
    still = following(back)
    await store.save(first)
    began = (await loaded(store, "a")).entered_at

    await store.save(SaveOptions("a", still.snapshot, 1, away.commits + back.commits + still.commits))
    returned = (await loaded(store, "a")).entered_at
    await store.save(following(still, count=3))

    assert began == first.snapshot.updated_at
    assert returned == back.snapshot.updated_at
    assert (await loaded(store, "a")).entered_at == returned


async def test_a_new_name_is_no_new_state(store: SQLiteStore) -> None:
    """A save without commits that gives the state another name does not enter it, and gets a commit id of its own."""
    options = opening("a", state="Draft")
    await store.save(options)
    before = await loaded(store, "a")

    await store.save(SaveOptions("a", options.snapshot.replace(state="Open", updated_at=BEGAN.replace(year=2027)), 1))

    after = await loaded(store, "a")
    assert (after.state, after.version) == ("Open", 1)
    assert after.entered_at == before.entered_at
    assert after.commit_id not in (None, before.commit_id)
    assert await store.count_by_state("order") == {"Open": 1}


@pytest.mark.slow
async def test_long_lists_are_whole(store: SQLiteStore) -> None:
    """Lists that are longer than a page are read whole, or as long as they were asked for."""
    await store.save(opening("long", count=1203))
    await asyncio.gather(*(store.save(opening(f"w-{number:03d}")) for number in range(700)))

    assert [commit.version for commit in await store.history("long")] == list(range(1, 1204))
    assert [commit.version for commit in await store.history("long", after=600, limit=501)] == list(range(601, 1102))
    assert len(await store.commits(limit=1900)) == 1900
    assert len(await store.find(definition="order", limit=701)) == 701
    assert await store.find(limit=0) == []
    assert await store.history("long", limit=0) == []


@pytest.mark.parametrize("limit", [-1, -1000])
async def test_a_limit_is_not_negative(store: SQLiteStore, limit: int) -> None:
    """A negative limit is refused: for SQLite it would mean none."""
    for call in (store.history("a", limit=limit), store.commits(limit=limit), store.find(limit=limit)):
        with pytest.raises(InvalidDataError, match="limit"):
            await call


async def test_many_states_in_order_of_id(store: SQLiteStore) -> None:
    """A list of a definition is in order of id across its states, page after page."""
    saves = [opening(f"w-{number:03d}", state=f"S{number % 7}") for number in range(100)]
    saves += [opening(f"x-{number:03d}", definition="parcel", state="S1") for number in range(20)]
    await asyncio.gather(*map(store.save, saves))

    pages = [await store.find(definition="order", limit=9)]
    while pages[-1]:
        pages.append(await store.find(definition="order", after=pages[-1][-1].id, limit=9))

    assert [found.id for page in pages for found in page] == [f"w-{number:03d}" for number in range(100)]


async def test_metadata_that_is_no_data(store: SQLiteStore) -> None:
    """Metadata that is not plain data is refused, and nothing is saved."""
    with pytest.raises(InvalidDataError) as caught:
        await store.save(opening("a", metadata={"at": datetime(2026, 1, 1, tzinfo=UTC)}))

    assert caught.value.source == "argument"
    assert caught.value.issues[0].path == ("metadata", "at")
    assert await store.load("a") is None


async def test_a_time_beyond_the_calendar(store: SQLiteStore) -> None:
    """A time that does not exist in UTC is refused, and nothing is saved."""
    west = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))

    with pytest.raises(InvalidDataError):
        await store.save(opening("a", updated_at=west))

    assert await store.count() == 0


async def test_a_row_changed_by_hand(store: SQLiteStore, path: Path) -> None:
    """A row that no longer holds a workflow is an error that names it; the others are as they were."""
    await store.save(opening("good"))
    await store.save(opening("bad", idempotency_key="k", fingerprint="{}"))
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE workflow SET updated_at = 'yesterday' WHERE id = 'bad'")
        connection.execute("UPDATE workflow_commit SET events = 'none' WHERE workflow_id = 'bad'")
        connection.execute("UPDATE idempotency SET events = '[1]'")
    connection.close()

    for call in (store.load("bad"), store.history("bad"), store.recall("bad", "k"), store.save(opening("bad"))):
        with pytest.raises(StoreError, match="'bad'"):
            await call
    await loaded(store, "good")


# --- idempotency keys ------------------------------------------------------------------------------------------------


def keyed(id: str, key: str) -> SaveOptions:
    return opening(id, idempotency_key=key, fingerprint='{"n":1}')


async def test_keys_expire(path: Path) -> None:
    """A key is remembered for its retention, by the store's clock, and is free again afterwards."""
    clock = ManualClock()
    async with SQLiteStore(path, idempotency_retention=timedelta(days=7), clock=clock) as store:
        await store.save(keyed("a", "k"))
        clock.advance(timedelta(days=7) - timedelta(seconds=1))
        assert await store.recall("a", "k") is not None

        clock.advance(timedelta(seconds=1))
        assert await store.recall("a", "k") is None

        again = following(await loaded(store, "a"), idempotency_key="k", fingerprint="{}")
        await store.save(again)
        answer = await store.recall("a", "k")
        assert answer is not None
        assert answer.snapshot == again.snapshot


async def test_expired_keys_are_purged_along_the_way(path: Path) -> None:
    """Saves with keys take expired ones with them, faster than they add their own."""
    clock = ManualClock()
    async with SQLiteStore(path, idempotency_retention=timedelta(days=1), clock=clock) as store:
        await asyncio.gather(*(store.save(keyed(f"old-{number:03d}", "k")) for number in range(60)))
        clock.advance(timedelta(days=2))

        for number in range(30):
            await store.save(keyed(f"new-{number}", "k"))

        [(kept,)] = _ask(path, "SELECT count(*) FROM idempotency")
        assert kept == 30


async def test_keys_survive_pruning(store: SQLiteStore) -> None:
    """What a key was used for is known after the commit itself was pruned."""
    first = keyed("a", "k")
    await store.save(first)
    await store.save(following(first))
    await store.prune(before_position=2)

    answer = await store.recall("a", "k")

    assert await store.snapshot_at("a", 1) is None
    assert answer == ports.RecordedAnswer("Count", '{"n":1}', first.snapshot, (RecordedMessage("Counted", {"to": 1}),))


# --- reading on ------------------------------------------------------------------------------------------------------


async def test_a_subscriber_hears_its_own_store_at_once(path: Path) -> None:
    """A save of the same store wakes a subscriber, however rarely it would look by itself."""
    async with SQLiteStore(path, poll=timedelta(days=1)) as store:
        stream = store.subscribe()
        for number in range(3):
            coming = asyncio.ensure_future(anext(stream))
            for _ in range(number * 5):
                await asyncio.sleep(0)
            await store.save(opening(f"w-{number}"))

            async with asyncio.timeout(PATIENCE):
                assert (await coming).workflow_id == f"w-{number}"


async def test_a_subscriber_hears_others(path: Path) -> None:
    """A save of another store on the same file is found by looking now and then."""
    async with SQLiteStore(path, poll=timedelta(milliseconds=1)) as store, SQLiteStore(path) as other:
        stream = store.subscribe()
        coming = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)

        await other.save(opening("a"))

        async with asyncio.timeout(PATIENCE):
            assert (await coming).workflow_id == "a"


async def test_a_subscriber_hears_others_long_before_it_reads_again(path: Path) -> None:
    """A commit of another store on the same file wakes a subscriber, however rarely it would read by itself."""
    async with SQLiteStore(path, poll=timedelta(days=1)) as store, SQLiteStore(path) as other:
        stream = store.subscribe()
        for number in range(3):
            coming = asyncio.ensure_future(anext(stream))
            for _ in range(number * 5):
                await asyncio.sleep(0)
            await other.save(opening(f"w-{number}"))

            async with asyncio.timeout(PATIENCE):
                assert (await coming).workflow_id == f"w-{number}"


async def test_a_worker_hears_others_long_before_it_polls(path: Path) -> None:
    """Whoever waits for a change is woken by a commit of another store on the same file, and not without one."""
    async with SQLiteStore(path) as store, SQLiteStore(path) as other:
        await store.wait_for_change(timedelta(seconds=PATIENCE))  # the first look has nothing to compare with
        waiting = asyncio.ensure_future(store.wait_for_change(timedelta(days=1)))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done

        await other.save(opening("a"))

        async with asyncio.timeout(PATIENCE):
            await waiting


@pytest.mark.parametrize("path", ["w.db", ":memory:"])
async def test_a_subscriber_hears_the_end(tmp_path: Path, path: str) -> None:
    """A subscriber of a store that is closed is told so."""
    store = SQLiteStore(tmp_path / path if path != ":memory:" else path)
    await store.setup()
    coming = asyncio.ensure_future(anext(store.subscribe()))
    await asyncio.sleep(0)
    await store.count()

    await store.close()

    async with asyncio.timeout(PATIENCE):
        with pytest.raises(StoreError, match="not open"):
            await coming


async def test_a_subscriber_that_gives_up_leaves_nothing(store: SQLiteStore) -> None:
    """A subscriber whose task is cancelled is forgotten."""
    coming = asyncio.ensure_future(anext(store.subscribe()))
    while not (store._session and store._session.bell._waiting):  # noqa: ASYNC110 - a bell does not ring for this
        await asyncio.sleep(0)

    coming.cancel()
    await asyncio.gather(coming, return_exceptions=True)

    assert not store._session.bell._waiting


# --- pruning and forgetting ------------------------------------------------------------------------------------------


async def test_pruning_keeps_the_newest(store: SQLiteStore) -> None:
    """Old commits go, but never the newest of a workflow; reading on from below is refused."""
    a, b = opening("a", count=3), opening("b")
    await store.save(a)
    await store.save(b)
    await store.save(following(a, count=2))

    assert await store.prune(before_position=5) == 3

    assert [commit.version for commit in await store.history("a")] == [4, 5]
    assert [commit.version for commit in await store.history("b")] == [1]
    assert [commit.position for commit in await store.commits(after=3)] == [4, 5, 6]
    for after in (0, 2):
        with pytest.raises(PositionPrunedError) as caught:
            await store.commits(after=after)
        assert (caught.value.after, caught.value.horizon) == (after, 3)
        with pytest.raises(PositionPrunedError):
            await anext(store.subscribe(after=after))
    assert await store.prune(before_position=5) == 0


@pytest.mark.slow
async def test_pruning_everything(store: SQLiteStore) -> None:
    """Pruning beyond the end leaves one commit for each workflow, and positions go on."""
    saves = [opening(f"w-{number}", count=4) for number in range(300)]
    for options in saves:
        await store.save(options)

    assert await store.prune(before_position=10**9) == 900

    assert await store.count() == 300
    assert len(await store.commits(after=1199)) == 1
    await store.save(following(saves[0]))
    assert [commit.position for commit in await store.commits(after=1200)] == [1201]


async def test_pruning_by_age(path: Path) -> None:
    """Pruning by age goes up to the first commit that is young, so that nothing young is ever below the horizon."""
    clock = ManualClock(BEGAN + timedelta(days=30))
    async with SQLiteStore(path, clock=clock) as store:
        await store.save(opening("a", count=5))
        young = opening("b", updated_at=clock())
        await store.save(young)
        await store.save(following(young, updated_at=BEGAN))

        assert await store.prune(older_than=timedelta(days=31)) == 0
        assert await store.prune(older_than=timedelta(days=7)) == 4

        assert [commit.position for commit in await store.commits(after=4)] == [5, 6, 7]
        assert await store.prune(older_than=timedelta(days=7), before_position=10**9) == 0


async def test_pruning_wants_a_limit(store: SQLiteStore) -> None:
    """Pruning without a position or an age is refused."""
    with pytest.raises(InvalidDataError, match="before_position"):
        await store.prune()


async def test_forgetting_leaves_no_trace_in_the_file(path: Path) -> None:
    """After `forget`, and once the store is closed, the file does not hold the data any more."""
    secret = "a very particular name"
    async with SQLiteStore(path) as store:
        options = opening("a", data={"name": secret * 2000}, idempotency_key="k", fingerprint="{}")
        await store.save(options)
        await store.save(opening("b"))
        await store.save(following(options, data={"name": secret}))
        await store.forget("a")

    assert secret.encode() not in path.read_bytes()


def _ask(path: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


async def test_a_lone_load_needs_no_thread(path: Path) -> None:
    """When nobody waits for the thread, a load is answered without it, and sees every acknowledged save."""
    threads: set[str] = set()

    def watch(_connection: Any, sql: str) -> None:
        if sql.startswith("SELECT id, definition"):
            threads.add(threading.current_thread().name)

    async with watched_store(path, watch) as store:
        options = opening("a")
        await store.save(options)
        for _ in range(20):
            assert (await loaded(store, "a")).version == options.snapshot.version
            options = following(options)
            await store.save(options)

    assert threading.current_thread().name in threads


async def test_pruning_stops_at_readers(store: SQLiteStore) -> None:
    """What a reader has not read stays, whatever was asked for."""
    await store.save(opening("a", count=9))
    await store.start_reader("publisher:slow", 3)
    await store.start_reader("publisher:fast", 7)

    assert await store.prune(before_position=8) == 3

    assert [commit.position for commit in await store.commits(after=3)] == [4, 5, 6, 7, 8, 9]
