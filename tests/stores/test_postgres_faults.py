"""Connections that are lost, servers that die: every call ends, with the truth, in bounded time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from statewright._engine.ports import SaveOptions
from statewright.errors import ConcurrencyConflictError, OutcomeUnknownError, StoreError, StoreUnavailableError
from statewright.stores.postgres import PostgresStore
from statewright.testing.contract.samples import ID, check_stored, following, loaded, opening
from tests.fixtures.proxy import Cut, Proxy, proxy
from tests.postgres_server import PostgresServer

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = pytest.mark.postgres

MakeStore = Callable[..., PostgresStore]

PATIENCE = 30.0


@pytest.fixture
async def between(postgres: PostgresServer) -> AsyncIterator[Proxy]:
    """A proxy between the store and the server."""
    parts = conninfo_to_dict(postgres.dsn)
    async with proxy(str(parts["host"]), int(parts["port"] or 5432)) as running:
        yield running


@pytest.fixture
async def far(postgres: PostgresServer, between: Proxy, make_postgres_store: MakeStore) -> AsyncIterator[PostgresStore]:
    """A store that reaches the server through the proxy."""
    async with make_postgres_store(_through(postgres, between), timeout=timedelta(seconds=3)) as store:
        yield store


def _through(postgres: PostgresServer, between: Proxy) -> str:
    return make_conninfo(postgres.dsn, host="127.0.0.1", port=between.own_port, sslmode="disable")


def _marked(mark: str) -> Callable[[bytes], bool]:
    return lambda data: mark.encode() in data


# --- the answer is lost --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("creates", [True, False], ids=["create", "update"])
async def test_a_lost_save_is_settled(
    far: PostgresStore, between: Proxy, postgres_store: PostgresStore, how: Cut, *, creates: bool
) -> None:
    """A connection that is lost before or after the statement arrived: the save is there, once, and says so."""
    options = opening(data={"mark": "7b1c"})
    if not creates:
        await far.save(opening())
        options = following(opening(), data={"mark": "7b1c"})
    between.cut(how, when=_marked("7b1c"))

    await far.save(options)

    assert between.cuts == 1
    check_stored(await loaded(postgres_store), options.snapshot)
    history = await postgres_store.history(ID)
    assert [commit.version for commit in history] == list(range(1, options.snapshot.version + 1))
    assert history[-1].id == options.commits[-1].id


@pytest.mark.parametrize("how", ["before", "after"])
async def test_a_lost_batch_is_settled(
    far: PostgresStore, between: Proxy, postgres_store: PostgresStore, how: Cut
) -> None:
    """Every save of a lost batch is settled for itself: those that win, folds, and those that lose."""
    created = [opening(f"w-{number:02}") for number in range(30)]
    await asyncio.gather(*map(far.save, created))
    moved = [following(options) for options in created[:5]]
    await asyncio.gather(*map(postgres_store.save, moved))
    attempts = [following(options, count=3, data={"mark": "55aa"}) for options in created]
    between.cut(how, when=_marked("55aa"))

    answers = await asyncio.gather(*map(far.save, attempts), return_exceptions=True)

    assert between.cuts == 1
    assert [type(answer) for answer in answers[:5]] == [ConcurrencyConflictError] * 5
    assert answers[5:] == [None] * 25
    found = await postgres_store.find()
    for stored, options in zip(found, [*moved, *attempts[5:]], strict=True):
        check_stored(stored, options.snapshot)
    assert len(await postgres_store.commits()) == 30 + 5 + 25 * 3


@pytest.mark.slow
async def test_lost_again_and_again(far: PostgresStore, between: Proxy, postgres_store: PostgresStore) -> None:
    """A save whose connection is lost several times, in each way, is still settled, and is there once."""
    between.cut("after", when=_marked("c0de"), times=2)
    between.cut("before", when=_marked("c0de"), times=2)
    options = opening(data={"mark": "c0de"}, count=2)

    await far.save(options)

    assert between.cuts == 4
    assert [commit.version for commit in await postgres_store.history(ID)] == [1, 2]


@pytest.mark.slow
async def test_an_answer_that_never_comes(far: PostgresStore, between: Proxy, postgres_store: PostgresStore) -> None:
    """A connection that goes silent is given up in time to settle the save over another one."""
    between.cut("swallow", when=_marked("5110"))

    began = time.monotonic()
    async with asyncio.timeout(5):
        await far.save(opening(data={"mark": "5110"}))

    assert between.cuts == 1
    assert time.monotonic() - began > 1  # it did wait

    assert [commit.version for commit in await postgres_store.history(ID)] == [1]


@pytest.mark.slow
@pytest.mark.parametrize("commits", [True, False], ids=["commits", "rolls back"])
async def test_the_late_original_is_fenced(
    far: PostgresStore, between: Proxy, postgres: PostgresServer, postgres_store: PostgresStore, *, commits: bool
) -> None:
    """A save that is lost while it waits for a lock happens once or not at all, whenever the lock is given up.

    Reading back alone would say "not saved" while the original still waits, and would be wrong a moment later.
    """
    await postgres_store.save(opening())
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as caller:
        await postgres_store.bind(caller).save(following(opening(), data={"by": "caller"}))
        between.cut("after", when=_marked("f3ce"))
        mine = following(opening(), data={"mark": "f3ce"})
        outcome = far.submit(mine)
        async with asyncio.timeout(PATIENCE):
            while not between.is_done:  # noqa: ASYNC110 - a proxy announces nothing
                await asyncio.sleep(0.01)
        assert not outcome.done()
        await (caller.commit() if commits else caller.rollback())

    if commits:
        with pytest.raises(ConcurrencyConflictError) as caught:
            await outcome
        assert caught.value.actual_version == 2
    else:
        await outcome
    history = await postgres_store.history(ID)
    assert [commit.version for commit in history] == [1, 2]
    assert (history[-1].id == mine.commits[0].id) is not commits


@pytest.mark.parametrize("knows", [True, False], ids=["knows the row", "knows the version"])
async def test_a_lost_save_without_commits_is_settled(
    far: PostgresStore, between: Proxy, postgres_store: PostgresStore, *, knows: bool
) -> None:
    """A save that only rewrites the stored form leaves no commit to ask for, and is settled by the row's own mark."""
    await far.save(opening())
    commit_id = (await loaded(far)).commit_id
    migrated = opening().snapshot.replace(data={"mark": "3e3e"}, model_version=2)
    between.cut("after", when=_marked("3e3e"))

    await far.save(SaveOptions(ID, migrated, 1, expected_commit_id=commit_id if knows else None))

    assert between.cuts == 1
    check_stored(await loaded(postgres_store), migrated)


# --- nobody can tell -----------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_what_cannot_be_settled_is_unknown(
    far: PostgresStore, between: Proxy, postgres_store: PostgresStore
) -> None:
    """When no connection can be had after the answer was lost, the outcome is unknown, in time; then all is well."""
    between.cut("after", when=_marked("dead"))
    options = opening(data={"mark": "dead"})
    outcome = far.submit(options)
    while not between.is_done:  # noqa: ASYNC110 - a proxy announces nothing
        await asyncio.sleep(0)
    between.is_refusing = True
    between.cut_all()

    async with asyncio.timeout(PATIENCE):
        with pytest.raises(OutcomeUnknownError, match=ID):
            await outcome
    between.is_refusing = False

    check_stored(await loaded(far), options.snapshot)
    await far.save(following(options))
    assert len(await postgres_store.history(ID)) == 2


@pytest.mark.slow
async def test_a_trace_that_is_gone_is_unknown(
    far: PostgresStore, between: Proxy, postgres_store: PostgresStore
) -> None:
    """A lost save whose workflow was forgotten before it could be settled is unknown: neither yes nor no is sure."""
    await postgres_store.save(opening())
    between.cut("after", when=_marked("90ae"))
    outcome = far.submit(following(opening(), data={"mark": "90ae"}))
    while not between.is_done:  # noqa: ASYNC110 - a proxy announces nothing
        await asyncio.sleep(0)
    between.is_refusing = True
    between.cut_all()
    async with asyncio.timeout(PATIENCE):
        while (await loaded(postgres_store)).version == 1:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.01)
        await postgres_store.forget(ID)
    between.is_refusing = False

    with pytest.raises(OutcomeUnknownError):
        await outcome
    assert await postgres_store.load(ID) is None


# --- the server is down --------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_server_that_is_down(postgres: PostgresServer, between: Proxy, make_postgres_store: MakeStore) -> None:
    """While no connection can be had every call fails in bounded time, as StoreUnavailableError; then all is well."""
    settings = {"connect_timeout": timedelta(milliseconds=300), "timeout": timedelta(seconds=2)}
    async with make_postgres_store(_through(postgres, between), **settings) as store:
        await store.save(opening())
        between.is_refusing = True
        between.cut_all()

        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: store.load(ID),
            lambda: store.save(opening("other")),
            lambda: store.recall(ID, "key"),
            lambda: store.history(ID),
            store.commits,
            store.find,
            store.count,
            lambda: store.forget("nobody"),
            lambda: store.prune(before_position=1),
        ]
        began = time.monotonic()
        answers = await asyncio.gather(*(call() for call in calls), return_exceptions=True)
        assert time.monotonic() - began < 5
        assert [type(answer) for answer in answers] == [StoreUnavailableError] * len(calls)
        between.is_refusing = False

        await asyncio.gather(*(call() for call in calls))
        check_stored(await loaded(store, "other"), opening("other").snapshot)


@pytest.mark.slow
async def test_reads_survive_lost_connections(far: PostgresStore, between: Proxy) -> None:
    """A read whose connection is lost is sent again."""
    await far.save(opening())
    for _ in range(3):
        between.cut_all()
        assert await far.load(ID) is not None
        between.cut_all()
        assert len(await far.history(ID)) == 1
        between.cut_all()
        assert [commit.position for commit in await far.commits()] == [1]


@pytest.mark.slow
async def test_what_is_cut_every_time(far: PostgresStore, between: Proxy) -> None:
    """Where every connection can be had and none lasts, calls fail in bounded time; then all is well."""
    await far.save(opening())
    between.cut("before", when=_marked("workflow"), times=100_000)  # in every statement, and in nothing else

    async with asyncio.timeout(PATIENCE):
        answers = await asyncio.gather(
            far.load(ID), far.history(ID), far.save(opening("other")), return_exceptions=True
        )
    assert between.cuts >= len(answers)  # each of them met it; how often it was tried is a matter of speed
    assert [type(answer) for answer in answers[:2]] == [StoreUnavailableError] * 2
    assert isinstance(answers[2], StoreError)
    between._plan.clear()

    assert await far.load(ID) is not None


async def test_a_cancelled_statement_saved_nothing(
    postgres: PostgresServer, postgres_store: PostgresStore, make_postgres_store: MakeStore
) -> None:
    """A save whose statement an administrator cancels fails as StoreUnavailableError, and was not saved."""
    await postgres_store.save(opening())
    source = make_conninfo(postgres.dsn, application_name="victim")
    async with make_postgres_store(source, lock_timeout=timedelta(seconds=20)) as store:
        async with (
            await psycopg.AsyncConnection.connect(postgres.dsn) as caller,
            await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as administrator,
        ):
            await postgres_store.bind(caller).save(following(opening()))
            outcome = store.submit(following(opening()))
            query = (
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'victim' AND wait_event_type = 'Lock'"
            )
            async with asyncio.timeout(PATIENCE):
                while not await (await administrator.execute(query)).fetchall():  # noqa: ASYNC110 - until it waits
                    await asyncio.sleep(0.01)
            with pytest.raises(StoreUnavailableError, match="cancelled"):
                await outcome
            await caller.rollback()
        check_stored(await loaded(store), opening().snapshot)


# --- under load ----------------------------------------------------------------------------------------------------


@dataclass
class Load:
    """Callers that each count up a workflow of their own, and note what they were told."""

    store: PostgresStore
    acknowledged: Counter[str] = field(default_factory=Counter)
    unsure: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    successes: list[float] = field(default_factory=list)
    """When each success was known."""
    is_over: bool = False

    async def run(self, callers: int) -> None:
        """Load the store until `is_over`."""
        await asyncio.gather(*(self._count_up(f"w-{number:03}") for number in range(callers)))

    async def _count_up(self, id: str) -> None:
        while not self.is_over:
            began = time.monotonic()
            try:
                stored = await self.store.load(id)
                options = opening(id) if stored is None else following(stored, expected_commit_id=stored.commit_id)
                await self.store.save(options)
            except OutcomeUnknownError:
                self.unsure[id] += 1
                self.failures["OutcomeUnknownError"] += 1
            except StoreError as error:
                self.failures[type(error).__name__] += 1
                await asyncio.sleep(0.01)
            else:
                self.acknowledged[id] += 1
                self.successes.append(time.monotonic())
            self.longest = max(self.longest, time.monotonic() - began)

    async def check(self, store: PostgresStore) -> None:
        """Check that everything acknowledged is there, and nothing twice."""
        for id, count in self.acknowledged.items():
            stored = await loaded(store, id)
            history = await store.history(id)
            assert [commit.version for commit in history] == list(range(1, stored.version + 1))
            assert stored.snapshot.data == {"count": stored.version}
            assert count <= stored.version <= count + self.unsure[id]

    async def until(self, successes: int) -> None:
        """Wait for so many more successes."""
        wanted = len(self.successes) + successes
        async with asyncio.timeout(PATIENCE):
            while len(self.successes) < wanted:  # noqa: ASYNC110 - the load is the clock here
                await asyncio.sleep(0.005)


@pytest.mark.slow
async def test_a_storm_of_terminated_backends(
    postgres: PostgresServer, postgres_store: PostgresStore, make_postgres_store: MakeStore
) -> None:
    """Under load, while all server processes are terminated again and again, no call fails and nothing is lost."""
    source = make_conninfo(postgres.dsn, application_name="storm")
    async with make_postgres_store(source) as store:
        load = Load(store)
        running = asyncio.ensure_future(load.run(callers=32))
        query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'storm'"
        killed = 0
        async with await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as administrator:
            for _ in range(15):
                await load.until(100)
                [row] = await (await administrator.execute(query)).fetchall()
                killed += row[0]
        await load.until(100)
        load.is_over = True
        await running

        await load.check(postgres_store)
        assert killed >= 15
        assert sum(load.acknowledged.values()) >= 1600
        assert load.failures == {}
        assert load.longest < 10


@pytest.mark.slow
async def test_an_immediate_restart_under_load(
    postgres_of_ours: PostgresServer, make_postgres_store: MakeStore
) -> None:
    """A server that is killed and started under load loses nothing acknowledged, and callers recover by themselves."""
    # A save whose answer was lost is settled if the server is back within its timeout: here it surely is, however slow
    # the machine, so that no outcome may stay unknown.
    async with make_postgres_store(timeout=timedelta(seconds=60)) as store:
        load = Load(store)
        running = asyncio.ensure_future(load.run(callers=32))
        outages: list[float] = []
        for _ in range(3):
            await load.until(200)
            began = time.monotonic()
            await asyncio.to_thread(postgres_of_ours.restart_immediately)
            is_back = time.monotonic()
            outages.append(is_back - began)
            await load.until(1)
            assert time.monotonic() - is_back < PATIENCE
        await load.until(200)
        load.is_over = True
        async with asyncio.timeout(PATIENCE):
            await running

        await load.check(store)
        assert sum(load.acknowledged.values()) >= 800
        assert load.unsure == {}
        assert load.longest < max(outages) + PATIENCE


@pytest.mark.slow
async def test_cuts_under_load(far: PostgresStore, between: Proxy, postgres_store: PostgresStore) -> None:
    """Under load, with statements cut before and after they arrive, no call fails and nothing is lost or doubled."""
    load = Load(far)
    running = asyncio.ensure_future(load.run(callers=16))
    for round_ in range(20):
        await load.until(20)
        between.cut("after" if round_ % 2 else "before", when=_marked("count"))
    await load.until(20)
    load.is_over = True
    await running

    await load.check(postgres_store)
    assert between.cuts == 20
    assert load.failures == {}


@pytest.mark.slow
async def test_a_subscriber_survives_a_restart(
    postgres_of_ours: PostgresServer, postgres_store: PostgresStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A subscriber waits for a server that is down, and gets every commit once."""
    seen: list[int] = []

    async def read() -> None:
        async for commit in postgres_store.subscribe():
            seen.append(commit.version)
            if commit.version == 3:
                return

    reading = asyncio.ensure_future(read())
    options = opening()
    await postgres_store.save(options)
    await asyncio.to_thread(postgres_of_ours.restart_immediately)
    for _ in range(2):
        options = following(options)
        await postgres_store.save(options)

    async with asyncio.timeout(PATIENCE):
        await reading
    assert seen == [1, 2, 3]


async def test_numbering_that_is_cut_off(far: PostgresStore, between: Proxy, postgres_store: PostgresStore) -> None:
    """A sequencer whose connection is lost, before or after it ran, gives no position twice and skips none."""
    for number, how in enumerate(("before", "after"), 1):
        await postgres_store.save(opening(f"w-{number}"))
        between.cut(how, when=_marked("pg_advisory_xact_lock"))  # type: ignore[arg-type]
        assert [commit.position for commit in await far.commits()] == list(range(1, number + 1))
    assert between.cuts == 2


async def test_a_lost_bound_save_is_not_sent_again(
    postgres: PostgresServer, between: Proxy, postgres_store: PostgresStore
) -> None:
    """A bound save whose connection is lost fails: its transaction is gone with it, and nothing is resent."""
    between.cut("after", when=_marked("b0b0"))
    connection = await psycopg.AsyncConnection.connect(_through(postgres, between))
    with pytest.raises(StoreUnavailableError, match="nothing was saved"):
        await postgres_store.bind(connection).save(opening(data={"mark": "b0b0"}))
    await connection.close()

    assert between.cuts == 1
    assert await postgres_store.load(ID) is None
