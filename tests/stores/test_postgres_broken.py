"""Each mechanism of the PostgreSQL store, broken on purpose: what it is there for then fails, and is seen to fail."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from statewright._engine.ports import SaveOptions
from statewright._model.snapshot import WorkflowSnapshot
from statewright.errors import ConcurrencyConflictError, LeaseLostError, StoreUnavailableError
from statewright.stores.postgres import PostgresStore, statements
from statewright.stores.postgres.collector import Collector
from statewright.stores.postgres.fault import Fault
from statewright.stores.postgres.link import Link
from statewright.stores.postgres.outbox import Outbox
from statewright.stores.postgres.reader import Reader
from statewright.stores.postgres.saver import Saver
from statewright.testing.contract.samples import BEGAN, ID, following, loaded, opening
from tests.fixtures.proxy import Proxy, proxy
from tests.postgres_server import PostgresServer

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = [pytest.mark.postgres, pytest.mark.slow]

PATIENCE = 5.0
"""Seconds after which a call is taken for one that never ends."""


@dataclass
class Place:
    """A server, a proxy before it, and a schema."""

    server: PostgresServer
    between: Proxy
    make: Callable[..., PostgresStore]

    def near(self, **settings: Any) -> PostgresStore:
        """Return a store that nothing happens to."""
        return self.make(**settings)

    def far(self) -> PostgresStore:
        """Return a store behind the proxy."""
        source = make_conninfo(self.server.dsn, host="127.0.0.1", port=self.between.own_port, sslmode="disable")
        return self.make(source, timeout=timedelta(seconds=2))

    @asynccontextmanager
    async def held(self, store: PostgresStore, options: SaveOptions) -> AsyncIterator[Any]:
        """Hold a workflow in an open transaction of a caller's, which is rolled back."""
        async with await psycopg.AsyncConnection.connect(self.server.dsn) as caller:
            await store.bind(caller).save(options)
            yield caller
            await caller.rollback()


@pytest.fixture
async def place(postgres: PostgresServer, make_postgres_store: Callable[..., PostgresStore]) -> AsyncIterator[Place]:
    parts = conninfo_to_dict(postgres.dsn)
    async with proxy(str(parts["host"]), int(parts["port"] or 5432)) as between:
        yield Place(postgres, between, make_postgres_store)


Patch: TypeAlias = pytest.MonkeyPatch
Break: TypeAlias = Callable[[Patch], None]
Keeps: TypeAlias = Callable[[Place], Awaitable[bool]]
"""Whether a promise is kept."""


# --- what is promised ----------------------------------------------------------------------------------------------


async def no_update_is_lost(place: Place) -> bool:
    """Two stores count up one workflow: every save that succeeds counts, and the others are told of a lost race."""
    async with place.near() as one, place.near() as two:
        await one.save(opening(data={"sum": 0}))
        added = 0
        for _ in range(10):
            found = [await loaded(store) for store in (one, two)]
            saves = [following(each, data={"sum": each.snapshot.data["sum"] + 1}) for each in found]
            answers = [await _answer(store.save(each)) for store, each in zip((one, two), saves, strict=True)]
            if not all(answer is None or isinstance(answer, ConcurrencyConflictError) for answer in answers):
                return False
            added += answers.count(None)
        stored = await loaded(one)
        return bool(stored.snapshot.data["sum"] == added == stored.version - 1)


async def _answer(saving: Awaitable[None]) -> BaseException | None:
    """Return what a save raises."""
    [answer] = await asyncio.gather(saving, return_exceptions=True)
    return answer


async def another_life_is_told_apart(place: Place) -> bool:
    """A save for a workflow that was forgotten and made anew is refused, though the version is the same."""
    async with place.near() as store:
        before = opening()
        await store.save(before)
        await store.forget(ID)
        await store.save(opening(data={"life": 2}))
        late = [following(before, expected_commit_id=before.commits[0].id), opening("another")]
        await asyncio.gather(*map(store.save, late), return_exceptions=True)
        return bool((await loaded(store)).snapshot.data == {"life": 2})


async def a_lost_answer_is_settled(place: Place) -> bool:
    """A save whose answer was lost after it had happened is answered with a success."""
    async with place.far() as store:
        await store.save(opening())
        place.between.cut("after", when=lambda data: b"7b1c" in data)
        answer = await _answer(store.save(following(opening(), data={"mark": "7b1c"})))
        return answer is None and (await loaded(store)).version == 2


async def a_late_original_is_fenced(place: Place) -> bool:
    """What is answered to a save whose connection broke while it waited for a lock stays true when the lock is free."""
    async with place.near() as near, place.far() as far:
        await near.save(opening())
        async with place.held(near, following(opening(), data={"by": "caller"})):
            place.between.cut("after", when=lambda data: b"f3ce" in data)
            outcome = far.submit(following(opening(), data={"mark": "f3ce"}))
            async with asyncio.timeout(PATIENCE):
                while not place.between.is_done:  # noqa: ASYNC110 - a proxy announces nothing
                    await asyncio.sleep(0.01)
            await asyncio.wait([outcome], timeout=0.3)
        answer = await _answer(outcome)
        await near.save(opening("behind it"))
        async with asyncio.timeout(PATIENCE):  # for the original, if there still is one
            while await _waits_for_locks(place):  # noqa: ASYNC110 - the server announces nothing
                await asyncio.sleep(0.01)
        return (answer is None) is ((await loaded(near)).version == 2)


async def _waits_for_locks(place: Place) -> bool:
    query = "SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()"
    async with await psycopg.AsyncConnection.connect(place.server.dsn) as connection:
        found = await connection.execute(query, ["%workflow_commit%"])
        return await found.fetchone() is not None


async def an_answer_means_saved(place: Place) -> bool:
    """What was answered with a success is stored, also when the connection broke before the server heard of it."""
    async with place.far() as store:
        place.between.cut("before", when=lambda data: b"5e5e" in data, times=1000)
        answer = await _answer(store.save(opening(data={"mark": "5e5e"})))
    async with place.near() as near:
        return (answer is None) is (await near.load(ID) is not None)


async def what_is_refused_harms_no_other(place: Place) -> bool:
    """Among saves of which the server refuses one, the others are saved."""
    good = opening("bad-json")
    broken = WorkflowSnapshot.of_text("bad-json", "order", "Draft", "{no json", 1, 1, BEGAN, BEGAN)
    bad = replace(good, snapshot=broken, commits=(replace(good.commits[0], snapshot=broken),))
    async with place.near() as store:
        saves = [bad, *(opening(f"w-{number}") for number in range(10))]
        answers = await asyncio.gather(*map(store.save, saves), return_exceptions=True)
        return answers[1:] == [None] * 10 and await store.count() == 10


async def what_is_locked_holds_up_no_other(place: Place) -> bool:
    """While one workflow is locked by somebody, the others of its batch are saved."""
    async with place.near() as store:
        created = [opening(f"w-{number}") for number in range(10)]
        await asyncio.gather(*map(store.save, created))
        async with place.held(store, following(created[0])):
            outcomes = [store.submit(following(options)) for options in created]
            done, _ = await asyncio.wait(outcomes[1:], timeout=2)
            are_saved = len(done) == 9 and all(outcome.exception() is None for outcome in done)
        await asyncio.gather(*outcomes, return_exceptions=True)
        return are_saved


async def a_read_is_of_now(place: Place) -> bool:
    """A read that begins after a save was acknowledged shows it, though another read is still under way."""
    async with place.near() as reader, place.near() as writer:
        await writer.save(opening())
        assert reader._session is not None
        gate = _Gate(reader._session.reader)
        reader._session.loads._fetch = gate.load_many
        early = asyncio.ensure_future(reader.load(ID))
        await gate.has_read.wait()
        await writer.save(following(opening()))
        late = asyncio.ensure_future(reader.load(ID))
        await asyncio.sleep(0)
        gate.opened.set()
        await early
        found = await late
        return found is not None and found.version == 2


class _Gate:
    """Lets what has been read through late, the first time."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.has_read, self.opened = asyncio.Event(), asyncio.Event()

    async def load_many(self, ids: Any) -> Any:
        found = await self.reader.load_many(ids)
        self.has_read.set()
        await self.opened.wait()
        return found


async def a_call_ends(place: Place) -> bool:
    """A save whose answer never comes ends in time."""
    async with place.far() as store:
        place.between.cut("swallow", when=lambda data: b"5110" in data)
        outcome = store.submit(opening(data={"mark": "5110"}))
        done, _ = await asyncio.wait([outcome], timeout=PATIENCE)
        place.between.cut_all()
        await asyncio.wait([outcome])
        return bool(done)


async def connections_recover(place: Place) -> bool:
    """After every connection broke at once, the store works on, for as long as it likes."""
    async with place.far() as store:
        await store.save(opening())
        for _ in range(12):  # more often than there are connections
            place.between.cut_all()
            [answer] = await asyncio.gather(store.load(ID), return_exceptions=True)
            if isinstance(answer, StoreUnavailableError):
                return False
        return True


async def a_bound_save_is_the_callers(place: Place) -> bool:
    """A bound save goes when its caller's transaction is rolled back."""
    async with place.near() as store:
        async with place.held(store, opening()):
            pass
        return await store.load(ID) is None


async def a_passed_lease_saves_nothing(place: Place) -> bool:
    """A save that was decided under a lease which has passed on is refused."""
    async with place.near() as store:
        [late] = await store.acquire_leases(["role"], "paused", timedelta(hours=1))
        await store.release_leases([late])
        await store.acquire_leases(["role"], "another", timedelta(hours=1))
        try:
            await store.save(replace(opening(), fences=(late,)))
        except LeaseLostError:
            return await store.load(ID) is None
        return False


# --- how it is broken ----------------------------------------------------------------------------------------------


def _reworded(pattern: str, replacement: str) -> Break:
    """Replace a part of all statements that have it."""

    def apply(patch: Patch) -> None:
        found = tuple((name, re.subn(pattern, replacement, text)) for name, text in statements._texts())
        assert sum(count for _, (_, count) in found) >= 1
        texts = tuple((name, text) for name, (text, _) in found)
        patch.setattr(statements, "_texts", lambda: texts)

    return apply


versions_unchecked = _reworded(r"AND w\.version = (\$\w+::bigint|e\.expected)\b", r"AND \1 IS NOT NULL")
commit_ids_unchecked = _reworded(r"OR w\.commit_id = (\$\w+::text|e\.expected_commit_id)", "OR true")
leases_unchecked = _reworded(r"AND \(e\.id IN \(SELECT id FROM fallen\)\) IS NOT TRUE", "")


def resends_unrecognised(patch: Patch) -> None:
    """Forget that a save had been sent before."""
    give_back = Saver._give_back

    def forgetful(self: Saver, link: Link, batch: Any, fault: Fault) -> Fault:
        found = give_back(self, link, batch, fault)
        for entry in batch:
            entry.is_unsettled = False
        return found

    patch.setattr(Saver, "_give_back", forgetful)


def reads_back(patch: Patch) -> None:
    """Look whether a lost save is there, and believe it, instead of sending it again."""
    attempt = Saver._attempt

    async def looking(self: Saver, batch: Any, *, alone: bool) -> Any:
        failed = await attempt(self, batch, alone=alone)
        if failed is None or failed[1] is not Fault.LOST:
            return failed
        await self._tell(batch)
        for entry in batch:
            entry.is_unsettled = False
            entry.refuse(StoreUnavailableError())
        return None

    patch.setattr(Saver, "_attempt", looking)


def answers_at_once(patch: Patch) -> None:
    """Answer when a save has been accepted, before it is stored."""
    make_ready = Outbox._make_ready

    def hasty(self: Outbox, entry: Any) -> None:
        make_ready(self, entry)
        entry.succeed()

    patch.setattr(Outbox, "_make_ready", hasty)


def _refuses_whole_batches(name: str) -> Break:
    async def refuse(self: Saver, batch: Any) -> None:
        for entry in batch:
            entry.refuse(StoreUnavailableError())

    return lambda patch: patch.setattr(Saver, name, refuse)


def shares_reads(patch: Patch) -> None:
    """Give who asks the answer to what somebody else has asked before."""
    ask = Collector.ask
    flying: dict[Any, Any] = {}

    def shared(self: Any, key: Any) -> Any:
        if key not in flying or flying[key].done():
            flying[key] = ask(self, key)
        return flying[key]

    patch.setattr(Collector, "ask", shared)


def has_no_time_limit(patch: Patch) -> None:
    """Wait for a statement's answer as long as it takes."""
    patch.setattr(Link, "_timer", lambda self, timeout: None)


def trusts_connections(patch: Patch) -> None:
    """Use a connection again, whatever has become of it."""
    patch.setattr(Link, "is_clean", True)


def commits_for_the_caller(patch: Patch) -> None:
    """End the caller's transaction with each bound save."""
    run = Link.run

    async def eager(self: Link, script: str, **options: Any) -> Any:
        more = ";\nCOMMIT" if script.startswith("SAVEPOINT") else ""
        return await run(self, script + more, **options)

    patch.setattr(Link, "run", eager)


MECHANISMS: list[tuple[Keeps, Break]] = [
    (no_update_is_lost, versions_unchecked),
    (another_life_is_told_apart, commit_ids_unchecked),
    (a_lost_answer_is_settled, resends_unrecognised),
    (a_late_original_is_fenced, reads_back),
    (an_answer_means_saved, answers_at_once),
    (what_is_refused_harms_no_other, _refuses_whole_batches("_halve")),
    (what_is_locked_holds_up_no_other, _refuses_whole_batches("_part")),
    (a_read_is_of_now, shares_reads),
    (a_call_ends, has_no_time_limit),
    (connections_recover, trusts_connections),
    (a_bound_save_is_the_callers, commits_for_the_caller),
    (a_passed_lease_saves_nothing, leases_unchecked),
]


@pytest.mark.parametrize("is_broken", [False, True], ids=["as it is", "broken"])
@pytest.mark.parametrize(("keeps", "broken"), MECHANISMS, ids=[keeps.__name__ for keeps, _ in MECHANISMS])
async def test_a_mechanism_that_is_broken_is_missed(
    place: Place, keeps: Keeps, broken: Break, monkeypatch: pytest.MonkeyPatch, *, is_broken: bool
) -> None:
    """A promise is kept as the store is, and is not kept by a store without the mechanism that keeps it."""
    if is_broken:
        broken(monkeypatch)

    async with asyncio.timeout(60):
        assert await keeps(place) is not is_broken
