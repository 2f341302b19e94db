"""Walking the crash points of a scenario."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from statewright import Failure, MemoryStore, StoreAdapter, Success, WorkflowExecutor
from statewright.errors import NotFoundError, OutcomeUnknownError, StoreError, StoreUnavailableError
from statewright.testing import CrashPoint, FaultyStore, crash_points
from statewright.testing.contract.samples import ID, following, loaded, opening
from tests.testing.orders import AddItem, EmptyOrder, Open, Place, router
from tests.testing.stores import DictStore, TableStore


async def twice(store: StoreAdapter) -> int:
    """Save, load and save again: four calls in all, one load before the first save."""
    assert await store.load(ID) is None
    await store.save(opening())
    options = following(await loaded(store))
    await store.save(options)
    return options.snapshot.version


async def test_every_call_fails_in_every_way() -> None:
    """After the clean run, each load and each save fails before, after, and by hanging, each on a store of its own."""
    runs = [run async for run in crash_points(twice, DictStore)]

    assert runs[0].point is None
    assert (runs[0].result, runs[0].error) == (2, None)
    expected = [
        CrashPoint(on, call, how) for on in ("load", "save") for call in (1, 2) for how in ("before", "after", "hang")
    ]
    assert [run.point for run in runs[1:]] == expected
    assert len({id(run.store) for run in runs}) == len(runs)


async def test_each_run_shows_what_was_left_behind() -> None:
    """The store beneath holds what got through, and the error says what the scenario met."""
    left = {}
    async for run in crash_points(twice, DictStore):
        stored = await run.store.load(ID)
        left[str(run.point)] = (stored.version if stored else 0, type(run.error))

    assert left["None"] == (2, type(None))
    assert left["load 1, after"] == (0, StoreUnavailableError)
    assert left["load 2, hang"] == (1, type(None))
    assert left["save 1, before"] == (0, StoreUnavailableError)
    assert left["save 1, after"] == (1, OutcomeUnknownError)
    assert left["save 1, hang"] == (0, type(None))
    assert left["save 2, before"] == (1, StoreUnavailableError)
    assert left["save 2, after"] == (2, OutcomeUnknownError)


async def test_a_scenario_may_deal_with_its_faults() -> None:
    """A scenario that tries again comes to its result wherever a call fails, and nothing is done twice."""

    async def stubborn(store: StoreAdapter) -> int:
        while True:
            try:
                stored = await store.load(ID)
                if stored is None:
                    await store.save(opening())
                elif stored.version < 3:
                    await store.save(following(stored))
                else:
                    return stored.version
            except (StoreUnavailableError, OutcomeUnknownError):
                continue

    results: Counter[int | None] = Counter()
    async for run in crash_points(stubborn, MemoryStore):
        results[run.result] += 1
        history = await run.store.history(ID)
        assert [commit.version for commit in history] == list(range(1, len(history) + 1)), run.point

    assert results == {3: 1 + 2 * 7, None: 7}  # four loads and three saves; only those that hang have no result


async def test_a_store_is_open_for_its_run_only(tmp_path: Path) -> None:
    """A store that is a context manager is opened for its run, and closed when the next one begins."""
    numbers = count()
    stores: list[TableStore] = []
    async for run in crash_points(twice, lambda: TableStore(tmp_path / f"{next(numbers)}.db")):
        stores.append(run.store)
        await run.store.load(ID)

    assert len(stores) == 13
    for store in stores:
        with pytest.raises(Exception, match="closed"):
            await store.load(ID)


async def test_submits_are_crash_points() -> None:
    """A scenario that submits is cut off at its submits; one that hangs never gets through, not even later."""

    async def submit(store: FaultyStore) -> None:
        await store.submit(opening())

    versions = {}
    async for run in crash_points(submit, MemoryStore):
        for _ in range(3):
            await asyncio.sleep(0)
        stored = await run.store.load(ID)
        versions[str(run.point)] = stored.version if stored else 0

    assert versions == {"None": 1, "save 1, before": 0, "save 1, after": 1, "save 1, hang": 0}


async def test_a_scenario_that_does_something_else_is_an_error() -> None:
    """A run that ends before its crash point proves nothing, and says so."""
    runs = count()

    async def moody(store: StoreAdapter) -> None:
        if next(runs) == 0:
            await store.save(opening())

    with pytest.raises(RuntimeError, match="before save 1, before"):
        async for _ in crash_points(moody, DictStore):
            pass


async def test_a_mistake_in_the_scenario_shows_in_the_clean_run() -> None:
    """What the scenario raises without a fault is the error of the first run."""

    async def broken(store: StoreAdapter) -> None:
        raise LookupError("a bug")

    runs = [run async for run in crash_points(broken, DictStore)]

    assert [(run.point, str(run.error)) for run in runs] == [(None, "a bug")]


async def test_an_executor_keeps_its_word_at_every_crash_point() -> None:
    """Whatever call is cut off, what was acknowledged is stored, once; nothing more than what was asked for is."""
    acknowledged: list[list[int]] = []

    async def order(store: FaultyStore) -> None:
        acknowledged.append([])
        orders = WorkflowExecutor(router, store)
        for command in (Open(), AddItem(item="tea"), AddItem(item="milk"), Place()):
            match await orders.execute("o-1", command):
                case Success(version=version):
                    acknowledged[-1].append(version)
                case Failure(error=StoreError()):
                    pass
                case Failure(error=error):
                    raise error

    async for run in crash_points(order, MemoryStore):
        promised, history = acknowledged[-1], await run.store.history("o-1")
        assert [commit.version for commit in history] == list(range(1, len(history) + 1)), run.point
        assert set(promised) <= {commit.version for commit in history}, run.point
        assert len(history) <= 4, run.point
        assert run.point is not None or promised == [1, 2, 3, 4]
        assert isinstance(run.error, NotFoundError | EmptyOrder | None), run.point

    assert len(acknowledged) > 3 * 4  # every save was cut off in three ways, and some loads
