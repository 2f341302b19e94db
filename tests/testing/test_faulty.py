"""The faulty store fails as it is told, when it is told, and otherwise does nothing of its own."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

from statewright import (
    Catalog,
    CommitLog,
    ErasingStore,
    FoldingStore,
    HistoryStore,
    IdempotentStore,
    MemoryStore,
    SaveOptions,
    StoreAdapter,
)
from statewright.errors import ConcurrencyConflictError, OutcomeUnknownError, StoreUnavailableError
from statewright.testing import FaultyStore
from statewright.testing.contract.samples import ID, following, opening
from tests.testing.stores import DictStore, TableStore

SISTERS = [Catalog, CommitLog, ErasingStore, FoldingStore, HistoryStore, IdempotentStore]


@pytest.mark.parametrize("protocol", SISTERS)
def test_it_has_the_protocols_of_the_wrapped_store(protocol: type[Any]) -> None:
    """The optional protocols are those of the wrapped store, no more and no less."""
    assert isinstance(FaultyStore(MemoryStore()), protocol)
    assert not isinstance(FaultyStore(DictStore()), protocol)
    assert isinstance(FaultyStore(FaultyStore(MemoryStore())), protocol)


def test_protocols_are_seen_without_running_code() -> None:
    """From Python 3.12 on `isinstance` looks at a protocol's members statically; they are there to be seen."""
    for name in ("submit", "history", "snapshot_at", "commits", "recall", "find", "forget"):
        assert inspect.getattr_static(FaultyStore(MemoryStore()), name) is not None


async def test_everything_else_is_the_wrapped_stores_own() -> None:
    """Other public attributes are those of the wrapped store; private ones are not lent."""
    inner = DictStore()
    store = FaultyStore(inner)
    await store.save(opening())

    assert store.rows is inner.rows
    with pytest.raises(AttributeError):
        _ = store.nothing
    with pytest.raises(AttributeError):
        _ = store._nothing


async def test_it_opens_and_closes_the_wrapped_store(tmp_path: Path) -> None:
    """As a context manager it gives itself, and opens and closes what it wraps, where that can be."""
    async with FaultyStore(TableStore(tmp_path / "w.db")) as store:
        await store.save(opening())
        assert await store.load(ID) is not None
    with pytest.raises(Exception, match="closed"):
        await store.load(ID)

    async with FaultyStore(DictStore()) as plain:
        assert await plain.load(ID) is None


@pytest.mark.parametrize("inner", [DictStore(), MemoryStore()], ids=["two methods", "folding"])
async def test_without_faults_it_counts_only(inner: StoreAdapter) -> None:
    """Calls reach the wrapped store, and loads and saves are counted apart."""
    store = FaultyStore(inner)

    await store.save(opening("counted"))
    await store.load("counted")
    await store.load("nobody")

    assert dict(store.calls) == {"load": 2, "save": 1}


async def test_before_does_nothing() -> None:
    """A save that fails before does nothing; the calls around it are not touched."""
    store = FaultyStore(MemoryStore()).fail(2)
    await store.save(opening("one"))

    with pytest.raises(StoreUnavailableError):
        await store.save(opening("two"))
    await store.save(opening("three"))

    assert [found.id for found in await store.find()] == ["one", "three"]


async def test_after_has_saved() -> None:
    """A save that fails after has been done, but nobody said so."""
    store = FaultyStore(DictStore()).fail(1, how="after")

    with pytest.raises(OutcomeUnknownError):
        await store.save(opening())

    assert await store.load(ID) is not None


async def test_after_hides_a_conflict_too() -> None:
    """Whoever gets no answer does not learn that the race was lost either."""
    store = FaultyStore(DictStore()).fail(2, how="after")
    await store.save(opening())

    with pytest.raises(OutcomeUnknownError):
        await store.save(opening())


@pytest.mark.parametrize("how", ["before", "after"])
async def test_a_load_that_fails_is_unavailable(how: Any) -> None:
    """A load changes nothing, so that its failure is never an unknown outcome."""
    store = FaultyStore(DictStore()).fail(1, on="load", how=how)

    with pytest.raises(StoreUnavailableError):
        await store.load(ID)

    assert await store.load(ID) is None


async def test_a_hanging_save_goes_on_when_it_is_released() -> None:
    """A save that hangs has done nothing yet, and is done once it is released."""
    store = FaultyStore(DictStore()).fail(1, how="hang")
    saving = asyncio.ensure_future(store.save(opening()))

    await store.until_hanging()
    assert await store.load(ID) is None
    assert not saving.done()
    store.release()
    await saving

    assert await store.load(ID) is not None


async def test_a_release_reaches_a_call_on_another_loop() -> None:
    """A call that hangs in another thread's event loop is released from here."""
    store = FaultyStore(DictStore()).fail(1, on="load", how="hang")
    loading = asyncio.create_task(asyncio.to_thread(asyncio.run, store.load(ID)))
    while not store._hung:  # noqa: ASYNC110 - an event would belong to one loop
        await asyncio.sleep(0)

    store.release()

    assert await loading is None


async def test_a_hanging_call_can_be_cancelled() -> None:
    """A save that is cancelled while it hangs is never done, and nothing hangs any more."""
    store = FaultyStore(DictStore()).fail(1, how="hang")
    saving = asyncio.ensure_future(store.save(opening()))
    await store.until_hanging()

    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    store.release()

    assert await store.load(ID) is None


async def test_submits_fail_as_saves_do() -> None:
    """A submit is counted and failed as a save."""
    store = FaultyStore(MemoryStore()).fail(1).fail(2, how="after").fail(4, how="hang")

    with pytest.raises(StoreUnavailableError):
        await store.submit(opening())
    assert await store.load(ID) is None
    with pytest.raises(OutcomeUnknownError):
        await store.submit(opening())
    assert await store.load(ID) is not None
    with pytest.raises(ConcurrencyConflictError):
        await store.submit(opening())

    hanging = store.submit(opening("later"))
    await store.until_hanging()
    assert not hanging.done()
    store.release()
    await hanging
    assert await store.load("later") is not None


async def test_nobodys_cancellation_stops_a_submit_that_hangs() -> None:
    """A submit that hangs is done after its release, although its caller has gone."""
    store = FaultyStore(MemoryStore()).fail(1, how="hang")
    future = store.submit(opening())
    await store.until_hanging()
    future.cancel()

    store.release()
    while await store.load(ID) is None:  # noqa: ASYNC110 - nobody is left to tell
        await asyncio.sleep(0)

    assert future.cancelled()


async def test_after_a_crash_nothing_gets_through() -> None:
    """A crash ends the calls that hang without doing them, and refuses all later ones."""
    store = FaultyStore(MemoryStore()).fail(1, how="hang").fail(2, how="hang")
    saving = asyncio.ensure_future(store.save(opening("one")))
    submitted = store.submit(opening("two"))
    await store.until_hanging()
    await asyncio.sleep(0)

    await store.crash()

    for future in (saving, submitted):
        with pytest.raises(asyncio.CancelledError):
            await future
    with pytest.raises(StoreUnavailableError):
        await store.save(opening("three"))
    assert await store.count() == 0


@pytest.mark.parametrize(
    "fault", [{"call": 0}, {"call": -1}, {"call": 1, "on": "submit"}, {"call": 1, "how": "sometimes"}]
)
def test_impossible_faults_are_refused(fault: Any) -> None:
    """A call that never comes, or an unknown kind of fault, is refused at once."""
    with pytest.raises(ValueError, match=r"fault|cannot fail"):
        FaultyStore(DictStore()).fail(**fault)


async def test_a_call_that_was_made_cannot_fail_any_more() -> None:
    """A fault for a call of the past would never strike, and is refused."""
    store = FaultyStore(DictStore())
    options: SaveOptions = opening()
    await store.save(options)

    with pytest.raises(ValueError, match="1 have been made"):
        store.fail(1)
    store.fail(2)
    with pytest.raises(StoreUnavailableError):
        await store.save(following(options))
