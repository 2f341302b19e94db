"""Saves and loads that wait at the same time leave together, and none holds up another."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from statewright._engine.ports import SaveOptions, StoredWorkflow
from statewright._model.commit import RecordedMessage
from statewright._model.snapshot import WorkflowSnapshot
from statewright._model.timer import SetTimer
from statewright.errors import ConcurrencyConflictError, InvalidDataError, StoreUnavailableError
from statewright.stores.postgres import PostgresStore, saver
from statewright.stores.postgres.entry import Entry
from statewright.stores.postgres.fault import Fault
from statewright.stores.postgres.link import Link
from statewright.stores.postgres.outbox import Outbox
from statewright.stores.postgres.runner import fault_on
from statewright.testing.contract.samples import BEGAN, check_stored, following, loaded, opening
from tests.postgres_server import PostgresServer

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = pytest.mark.postgres

MakeStore = Callable[..., PostgresStore]


# --- how many statements -------------------------------------------------------------------------------------------


def _keyed(options: SaveOptions, key: str) -> SaveOptions:
    return following(
        options, command=RecordedMessage("Pay", {"of": key}), idempotency_key=key, fingerprint=f'{{"of":"{key}"}}'
    )


async def test_one_save_is_one_statement(postgres_store: PostgresStore, sent: list[str]) -> None:
    """To create, to update, to save a fold, to save with a key, to load: each is one statement."""
    await postgres_store.save(opening())
    await postgres_store.save(following(opening()))
    await postgres_store.save(following(following(opening()), count=20))
    stored = await loaded(postgres_store)
    await postgres_store.save(opening("keyed", idempotency_key="k", fingerprint="{}"))

    assert len(sent) == 5
    assert stored.version == 22


@pytest.mark.parametrize("count", [2, 64])
async def test_a_batch_is_one_statement(postgres_store: PostgresStore, sent: list[str], count: int) -> None:
    """Any number of saves, or loads, that are begun together cost one statement, with keys and folds among them."""
    created = [opening(f"w-{number}") for number in range(count)]
    await asyncio.gather(*map(postgres_store.save, created))
    assert len(sent) == 1

    mixed = [following(options, count=1 + number % 3) for number, options in enumerate(created)]
    mixed[0] = _keyed(created[0], "k")
    mixed.append(opening("another"))
    await asyncio.gather(*map(postgres_store.save, mixed))
    assert len(sent) == 2

    stored = await asyncio.gather(*(postgres_store.load(options.id) for options in mixed))
    assert len(sent) == 3
    for options, found in zip(mixed, stored, strict=True):
        assert found is not None
        check_stored(found, options.snapshot)

    await asyncio.gather(*(postgres_store.recall(f"w-{number}", "k") for number in range(count)))
    assert len(sent) == 4


async def test_losers_cost_one_statement_more(postgres_store: PostgresStore, sent: list[str]) -> None:
    """In a batch with saves that lose, the others are saved, and one more statement tells all losers what is there."""
    created = [opening(f"w-{number}") for number in range(32)]
    await asyncio.gather(*map(postgres_store.save, created))
    moved = [following(options) for options in created[:8]]
    await asyncio.gather(*map(postgres_store.save, moved))
    del sent[:]

    attempts = [following(options, data={"late": True}) for options in created]
    answers = await asyncio.gather(*map(postgres_store.save, attempts), return_exceptions=True)

    assert len(sent) == 2
    assert answers[8:] == [None] * 24
    for options, answer in zip(moved, answers[:8], strict=True):
        assert isinstance(answer, ConcurrencyConflictError)
        assert answer.actual_version == 2
        check_stored(answer.current, options.snapshot)  # type: ignore[attr-defined]


_TIMER = SetTimer("remind", "g-1", RecordedMessage("Remind", {}), "Draft", keep=False, at=None, delay=timedelta(days=1))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"count": 2},
        {"idempotency_key": "k", "fingerprint": "{}"},
        {"timers": (_TIMER,)},
        {"idempotency_key": "k", "fingerprint": "{}", "timers": (_TIMER,)},
    ],
    ids=["alone", "fold", "key", "timer", "both"],
)
@pytest.mark.parametrize("company", [0, 5])
async def test_the_same_version_of_another_life(
    postgres_store: PostgresStore, more: dict[str, Any], company: int
) -> None:
    """A version that came back after the workflow was forgotten is refused by every kind of statement that saves."""
    before = opening()
    await postgres_store.save(before)
    await postgres_store.forget(before.id)
    await postgres_store.save(opening(data={"life": 2}))
    others = [opening(f"other-{number}") for number in range(company)]
    late = following(before, expected_commit_id=before.commits[0].id, **more)

    outcomes = [postgres_store.submit(options) for options in [late, *others]]
    answers = await asyncio.gather(*outcomes, return_exceptions=True)

    assert isinstance(answers[0], ConcurrencyConflictError)
    assert answers[1:] == [None] * company
    assert (await loaded(postgres_store)).snapshot.data == {"life": 2}


@pytest.mark.parametrize("begins", [True, False])
async def test_a_key_and_a_timer_take_the_short_path(
    postgres_store: PostgresStore,
    sent: list[str],
    begins: bool,  # noqa: FBT001 - a case
) -> None:
    """A single save with a key and a timer is one statement without arrays, and both are there afterwards."""
    before = opening()
    if not begins:
        await postgres_store.save(before)
    extra: dict[str, Any] = {"idempotency_key": "k", "fingerprint": '{"n":1}', "timers": (_TIMER,)}
    options = opening(**extra) if begins else following(before, **extra)
    del sent[:]

    await postgres_store.save(options)

    assert len(sent) == 1
    assert "unnest" not in sent[0]
    check_stored(await loaded(postgres_store), options.snapshot)
    assert (await loaded(postgres_store)).has_timers
    answer = await postgres_store.recall(options.id, "k")
    assert answer is not None
    assert (answer.snapshot, answer.fingerprint) == (options.snapshot, '{"n":1}')
    [timer] = await postgres_store.timers(options.id)
    assert (timer.key, timer.generation, timer.definition) == ("remind", "g-1", options.snapshot.definition)
    [commit] = await postgres_store.history(options.id, after=options.expected_version)
    assert commit.idempotency_key == "k"


async def test_a_conflict_with_nothing(postgres_store: PostgresStore) -> None:
    """A conflict over a workflow that does not exist says so: version 0, and nothing found."""
    with pytest.raises(ConcurrencyConflictError) as caught:
        await postgres_store.save(following(opening()))
    assert caught.value.actual_version == 0
    assert caught.value.current is None  # type: ignore[attr-defined]


async def test_a_crowd_does_not_stay_one_batch(postgres_store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers that go on as soon as they are answered keep two batches under way at the same time."""
    under_way = 0
    most = 0
    fetch = Link.fetch

    async def spy(self: Link, query: bytes, *args: Any, **kwargs: Any) -> Any:
        nonlocal under_way, most
        is_save = b"MATERIALIZED" in query
        under_way += is_save
        most = max(most, under_way)
        try:
            return await fetch(self, query, *args, **kwargs)
        finally:
            under_way -= is_save

    monkeypatch.setattr(Link, "fetch", spy)

    async def call(id: str) -> None:
        options = opening(id)
        for _ in range(5):
            await postgres_store.save(options)
            options = following(options)

    await asyncio.gather(*(call(f"w-{number}") for number in range(64)))

    assert most == 2
    assert {stored.version for stored in await postgres_store.find()} == {5}


# --- one workflow twice --------------------------------------------------------------------------------------------


async def test_saves_of_one_workflow_wait_for_each_other(postgres_store: PostgresStore, sent: list[str]) -> None:
    """Saves of one workflow never share a statement, and are taken in the order in which they were begun."""
    chain = [opening()]
    for _ in range(4):
        chain.append(following(chain[-1]))
    late = following(chain[1], data={"late": True})

    outcomes = [postgres_store.submit(options) for options in [*chain, late]]
    answers = await asyncio.gather(*outcomes, return_exceptions=True)

    assert answers[:-1] == [None] * 5
    assert isinstance(answers[-1], ConcurrencyConflictError)
    check_stored(await loaded(postgres_store), chain[-1].snapshot)


async def test_nobodys_cancellation_stops_a_batch(postgres_store: PostgresStore) -> None:
    """A caller that gives up in the middle of a batch takes nobody with it, and its own save happens, too."""
    saving = [asyncio.ensure_future(postgres_store.save(opening(f"w-{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    saving[7].cancel()

    answers = await asyncio.gather(*saving, return_exceptions=True)

    assert [type(answer) for answer in answers if answer is not None] == [asyncio.CancelledError]
    await postgres_store.save(opening("later"))
    assert await postgres_store.count() == 21


# --- what the server refuses ---------------------------------------------------------------------------------------


def _unstorable() -> list[SaveOptions]:
    """Saves that the store lets through and the server refuses: broken JSON, and a name too long for an index."""
    good = opening("bad-json")
    broken = WorkflowSnapshot.of_text("bad-json", "order", "Draft", "{no json", 1, 1, BEGAN, BEGAN)
    bad_json = replace(good, snapshot=broken, commits=(replace(good.commits[0], snapshot=broken),))
    return [bad_json, opening("too-long", state="".join(random.Random(1).choices("abcdefghijklmnop", k=50_000)))]


async def test_what_is_refused_harms_no_other(postgres_store: PostgresStore) -> None:
    """Among saves that the server refuses for their data, all others are saved, each with its own answer."""
    good = [opening(f"w-{number}") for number in range(20)]
    bad = _unstorable()

    answers = await asyncio.gather(*map(postgres_store.save, [*good, *bad]), return_exceptions=True)

    assert answers[:20] == [None] * 20
    assert [type(answer) for answer in answers[20:]] == [InvalidDataError] * len(bad)
    assert await postgres_store.count() == 20


@pytest.mark.parametrize(
    "options",
    [
        replace(opening(), id="nul\0"),
        replace(opening(), id=""),
        replace(opening(), id="x" * 256),
        replace(opening(), id="\ud800"),
        opening(idempotency_key="a\0b", fingerprint="{}"),
    ],
    ids=["nul", "empty", "long", "surrogate", "key"],
)
async def test_what_no_store_could_keep(postgres_store: PostgresStore, options: SaveOptions, sent: list[str]) -> None:
    """Ids and keys that cannot be stored are refused before anything is sent."""
    with pytest.raises(InvalidDataError):
        await postgres_store.save(options)
    assert sent == []


async def test_ids_that_cannot_exist(postgres_store: PostgresStore) -> None:
    """Looking for an id that no store could keep is InvalidDataError, alone: whoever looks at the same time is fine."""
    await postgres_store.save(opening())
    answers = await asyncio.gather(
        postgres_store.load("w-1"), postgres_store.load("a\0b"), postgres_store.load("\udcff"), return_exceptions=True
    )
    assert isinstance(answers[0], StoredWorkflow)
    assert [type(answer) for answer in answers[1:]] == [InvalidDataError] * 2


# --- rows that somebody keeps locked -------------------------------------------------------------------------------


@asynccontextmanager
async def _held(postgres: PostgresServer, store: PostgresStore, *saves: SaveOptions) -> AsyncIterator[Any]:
    """Hold workflows in an open transaction of a caller's."""
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        for options in saves:
            await store.bind(connection).save(options)
        yield connection
        await connection.rollback()


@pytest.mark.slow
async def test_a_locked_workflow_holds_up_no_other(postgres: PostgresServer, postgres_store: PostgresStore) -> None:
    """While a caller's open transaction holds one workflow, the others of a batch are saved, and go on being saved."""
    created = [opening(f"w-{number}") for number in range(40)]
    await asyncio.gather(*map(postgres_store.save, created))

    async with _held(postgres, postgres_store, following(created[0], data={"by": "caller"})) as connection:
        outcomes = [postgres_store.submit(following(options)) for options in created]
        async with asyncio.timeout(5):
            await asyncio.gather(*outcomes[1:])
            again = [following(following(options)) for options in created[1:]]
            for options in again:
                await postgres_store.save(options)
        assert not outcomes[0].done()
        await connection.commit()

        with pytest.raises(ConcurrencyConflictError) as caught:
            await outcomes[0]
        assert caught.value.actual_version == 2
        assert caught.value.current.snapshot.data == {"by": "caller"}  # type: ignore[attr-defined]


@pytest.mark.slow
async def test_a_workflow_that_is_being_created_holds_up_no_other(
    postgres: PostgresServer, postgres_store: PostgresStore
) -> None:
    """The same for a workflow that an open transaction creates: its row cannot be seen yet, only waited for."""
    async with _held(postgres, postgres_store, opening("w-3")):
        outcomes = {number: postgres_store.submit(opening(f"w-{number}")) for number in range(10)}
        waiting = outcomes.pop(3)
        async with asyncio.timeout(5):
            await asyncio.gather(*outcomes.values())
        assert not waiting.done()

    await waiting  # the caller rolled back


@pytest.mark.slow
async def test_many_locked_workflows(postgres: PostgresServer, make_postgres_store: MakeStore) -> None:
    """More workflows may be locked than the store has connections; the others are saved, and all get an answer."""
    async with make_postgres_store(max_connections=6) as store:
        created = [opening(f"w-{number}") for number in range(30)]
        await asyncio.gather(*map(store.save, created))
        async with _held(postgres, store, *map(following, created[:10])):
            outcomes = [store.submit(following(options)) for options in created]
            async with asyncio.timeout(5):
                await asyncio.gather(*outcomes[10:])
                assert await store.load("w-1") is not None
            assert not any(outcome.done() for outcome in outcomes[:10])

        async with asyncio.timeout(5):
            await asyncio.gather(*outcomes)  # the caller rolled back


@pytest.mark.slow
async def test_a_workflow_that_stays_locked(postgres: PostgresServer, make_postgres_store: MakeStore) -> None:
    """A save that waits for a lock beyond the store's timeout fails, and nothing was or will be saved by it."""
    async with make_postgres_store(timeout=timedelta(milliseconds=300)) as store:
        await store.save(opening())
        async with _held(postgres, store, following(opening())), asyncio.timeout(5):
            with pytest.raises(StoreUnavailableError, match=r"locked.*nothing was saved"):
                await store.save(following(opening()))

        check_stored(await loaded(store), opening().snapshot)
        await store.save(following(opening()))


# --- between processes ---------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_stores_on_the_same_few_workflows(
    make_postgres_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three stores that save the same workflows at once, in whatever order: no deadlock, and no update is lost."""
    ids = [f"w-{number:02}" for number in range(20)]
    async with make_postgres_store() as one, make_postgres_store() as two, make_postgres_store() as three:
        await asyncio.gather(*(one.save(opening(id, data={"sum": 0})) for id in ids))
        deadlocks = _deadlocks(monkeypatch)

        async def add(store: PostgresStore, id: str) -> None:
            stored: StoredWorkflow | None = await store.load(id)
            while True:
                assert stored is not None
                try:
                    total = stored.snapshot.data["sum"] + 1
                    await store.save(following(stored, data={"sum": total}, expected_commit_id=stored.commit_id))
                except ConcurrencyConflictError as conflict:
                    stored = conflict.current  # type: ignore[attr-defined]
                else:
                    return

        work = [add(store, id) for store in (one, two, three) for id in ids for _ in range(5)]
        random.Random(7).shuffle(work)
        async with asyncio.timeout(60):
            await asyncio.gather(*work)

        found = await one.find()
        assert [stored.snapshot.data["sum"] for stored in found] == [15] * len(ids)
        assert deadlocks == []


def _as_it_came(outbox: Outbox) -> list[Entry]:
    """Take a batch in order of arrival, not of ids."""
    batch = list(outbox._ready)
    outbox._ready.clear()
    return batch


@pytest.mark.slow
@pytest.mark.parametrize("is_sorted", [True, False], ids=["sorted", "broken: unsorted"])
async def test_batches_lock_in_one_order(
    postgres: PostgresServer, make_postgres_store: MakeStore, monkeypatch: pytest.MonkeyPatch, *, is_sorted: bool
) -> None:
    """Batches of two stores, begun in opposite orders, never deadlock; were they not sorted, they would."""
    if not is_sorted:
        monkeypatch.setattr(Outbox, "_take", _as_it_came)
    deadlocks = _deadlocks(monkeypatch)
    # Patient with locks, and quick to find deadlocks: so that whoever waits in a circle is told so.
    source = make_conninfo(postgres.dsn, options="-c deadlock_timeout=10ms")
    settings = {"lock_timeout": timedelta(seconds=20), "max_connections": 4}
    async with make_postgres_store(source, **settings) as one, make_postgres_store(source, **settings) as two:
        options = [opening(f"w-{number:03}", data={"text": "x" * 2000}) for number in range(200)]
        await asyncio.gather(*map(one.save, options))
        for _ in range(20):
            options = [following(each) for each in options]
            # Both meet in the middle, where somebody holds them up until each has locked what it came by.
            async with _locked(postgres, one, options[100].id) as both_wait:
                outcomes = [one.submit(each) for each in options] + [two.submit(each) for each in reversed(options)]
                await both_wait()
            answers = await asyncio.gather(*outcomes, return_exceptions=True)
            kinds = Counter(type(answer) for answer in answers)
            assert kinds == {type(None): 200, ConcurrencyConflictError: 200}
            if deadlocks:
                break

    assert (not deadlocks) is is_sorted


@asynccontextmanager
async def _locked(
    postgres: PostgresServer, store: PostgresStore, id: str
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Hold one workflow; yield what waits until two sessions wait for a lock."""
    waiting = b"SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    lock = f"SELECT FROM {store._settings.schema}.workflow WHERE id = %s FOR UPDATE".encode()
    async with (
        await psycopg.AsyncConnection.connect(postgres.dsn) as holder,
        await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as onlooker,
    ):

        async def both_wait() -> None:
            async with asyncio.timeout(30):
                while len(await (await onlooker.execute(waiting)).fetchall()) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)

        await holder.execute(lock, [id])
        yield both_wait
        await holder.rollback()


def _deadlocks(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Return a list that gathers the deadlocks which the stores of this process meet from now on."""
    met: list[BaseException] = []

    def look(link: Link, exc: BaseException) -> Fault:
        if isinstance(exc, psycopg.errors.DeadlockDetected):
            met.append(exc)
        return fault_on(link, exc)

    monkeypatch.setattr(saver, "fault_on", look)
    return met


@pytest.mark.slow
async def test_saves_touch_no_index(postgres: PostgresServer, make_postgres_store: MakeStore) -> None:
    """A save that leaves a workflow in its state is a HOT update."""
    async with make_postgres_store() as store:
        options = [opening(f"w-{number}") for number in range(50)]
        await asyncio.gather(*map(store.save, options))
        for _ in range(20):
            options = [following(each) for each in options]
            await asyncio.gather(*map(store.save, options))
        schema = store._settings.schema
    updated, hot = await _updates(postgres, schema, at_least=1000)
    assert updated == 1000
    assert hot >= 0.9 * updated


async def _updates(postgres: PostgresServer, schema: str, *, at_least: int) -> tuple[int, int]:
    query = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_all_tables WHERE schemaname = %s AND relname = 'workflow'"
    async with (
        asyncio.timeout(20),
        await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as connection,
    ):
        while True:  # a server process reports what it did when it ends
            row = await (await connection.execute(query, (schema,))).fetchone()
            assert row is not None
            if row[0] >= at_least:
                return row
            await asyncio.sleep(0.05)


async def test_plans_use_the_keys(make_postgres_store: MakeStore) -> None:
    """On tables that nobody has analyzed, with plans made for any parameters, no statement reads a whole table.

    Nor are joins left that would lock rows in any order, nor is a plan compiled, which takes longer than what it does.
    """
    async with make_postgres_store() as store:
        await store.save(opening())
        session = store._session
        assert session is not None
        plans: dict[str, str] = {}
        async with session.connections.borrow(5) as link:
            for name in session.sql._bytes.keys() - {"forget", "leases", "leased", "timers"}:  # parts, or several
                text = session.sql.script(name, only="AND workflow_id = 'x'", limit="5000").rstrip(";")
                numbers = [int(number) for number in re.findall(r"\$(\d+)", text)]
                nulls = f"({', '.join(['NULL'] * max(numbers))})" if numbers else ""
                await link.run(f"PREPARE looked_at AS {text}")
                rows = await link.run(f"EXPLAIN EXECUTE looked_at {nulls}")
                plans[name] = "\n".join(row[0] for row in rows)
                await link.run("DEALLOCATE looked_at")

    assert len(plans) > 50
    for name, plan in plans.items():
        assert set(re.findall(r"Seq Scan on (\w+)", plan)) <= {"sequencer", "reader"}, f"{name}:\n{plan}"
        assert not re.search("Hash Join|Merge Join|JIT", plan), f"{name}:\n{plan}"
