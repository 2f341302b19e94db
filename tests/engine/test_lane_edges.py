"""The lane at its edges: callers that leave at odd moments, stores that do odd things."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from statewright import (
    Failure,
    MemoryStore,
    NotFoundError,
    OutcomeUnknownError,
    SaveOptions,
    StoredWorkflow,
    StoreError,
    WorkflowExecutor,
    WorkflowSnapshot,
)
from statewright._engine import lane
from tests.engine.counter import Add, Begin, Counter, Pause, counters, user
from tests.engine.held_store import HeldStore, settled
from tests.model.test_snapshot import snapshot as snapshot_of
from tests.testing.stores import DictStore


async def begun(store: Any, **options: Any) -> WorkflowExecutor[Counter]:
    """Return an executor over a store that has the counter "c" at version 1."""
    executor = WorkflowExecutor(counters().with_deps(options.pop("gates", None)), store, **options)
    assert (await executor.execute("c", Begin())).ok
    return executor


def add(executor: Any, n: int, **options: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(executor.execute("c", Add(n=n), **options))


async def in_time(*tasks: Any) -> list[Any]:
    async with asyncio.timeout(30):
        return list(await asyncio.gather(*tasks))


# --- giving up -----------------------------------------------------------------------------------------------------


async def test_a_caller_that_gives_up_when_it_is_to_be_decided_again_leaves_the_lane_open() -> None:
    """Given up between a lost race and its next turn, a command is gone from the queue, and nobody waits for it."""
    store = HeldStore()
    executor = await begun(store)
    elsewhere = WorkflowExecutor(counters(), store.inner)
    store.holds = True
    gone = add(executor, 1)
    await store.until_saving()
    assert (await elsewhere.execute("c", Add(n=50))).ok
    store.holds = False
    store.let_save()  # lost: the command is back in the queue, and its task has yet to notice
    gone.cancel()

    (result,) = await in_time(add(executor, 2))

    assert gone.cancelled()
    assert result.unwrap().workflow.data.total == 52
    assert executor._lanes._lanes == {}


async def test_a_caller_that_gave_up_is_not_decided_again() -> None:
    """Given up while its save was on its way, a command whose race is lost is gone, and the lane goes on."""
    store = HeldStore()
    executor = await begun(store)
    elsewhere = WorkflowExecutor(counters(), store.inner)
    store.holds = True
    gone = add(executor, 1)
    await store.until_saving()
    behind = add(executor, 2)
    await settled()
    gone.cancel()
    await settled()
    assert (await elsewhere.execute("c", Add(n=50))).ok
    store.holds = False
    store.let_save()

    (result,) = await in_time(behind)

    assert gone.cancelled()
    assert (result.unwrap().version, result.workflow.data.total) == (3, 52)
    assert executor._lanes._lanes == {}


async def test_a_caller_that_gives_up_as_it_is_let_in_lets_the_next_one_in() -> None:
    """A command that was woken and cancelled at once does not keep the lane."""
    gate = asyncio.Event()
    executor = await begun(HeldStore(), gates={"slow": gate})
    holding = asyncio.create_task(executor.execute("c", Pause(gate="slow")))
    await settled()
    gone, following = add(executor, 1), add(executor, 2)
    await settled()
    gate.set()
    holding.add_done_callback(lambda _: gone.cancel())
    await holding
    gone.cancel()

    (result,) = await in_time(following)

    assert result.unwrap().workflow.data.total in {2, 3}
    assert executor._lanes._lanes == {}


async def test_nobody_waits_for_a_fold_whose_callers_have_all_given_up() -> None:
    """Commands that stay in their fold are saved, and the lane is dropped."""
    store = HeldStore()
    executor = await begun(store)
    store.holds = store.holds_loads = True
    tasks = [add(executor, n) for n in (1, 2)]
    await store.until_loading()
    await settled()
    store.let_load()
    await store.until_saving()
    for task in tasks:
        task.cancel()
    await settled()
    store.holds = store.holds_loads = False
    store.let_save()
    await settled()

    order = await executor.get("c")
    assert order is not None
    assert order.data.total == 3
    assert executor._lanes._lanes == {}


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
async def test_the_end_of_the_process_does_not_wait_for_newcomers(end: type[BaseException]) -> None:
    """Only who waited when the interrupt came is waited for: a busy workflow does not hold it up for ever."""
    store = HeldStore()
    executor = await begun(store)
    passed = asyncio.Event()
    sent = 0

    async def ending() -> None:
        note = "interrupt" if end is KeyboardInterrupt else "exit"
        with pytest.raises(end):
            await executor.execute("c", Add(n=1, note=note))
        passed.set()

    async def busy() -> None:
        nonlocal sent
        while not passed.is_set():
            await executor.execute("c", Add(n=0))
            sent += 1
            await asyncio.sleep(0)

    await in_time(busy(), busy(), ending())

    assert sent > 0


def test_the_end_of_the_process_reaches_the_top_after_the_answers() -> None:
    """When an interrupt ends the event loop, whoever waited has been handed an answer."""
    answers: list[int] = []

    async def caller(executor: Any, command: Add) -> None:
        answers.append((await executor.execute("c", command)).version)

    async def main() -> None:
        store = HeldStore()
        executor = await begun(store)
        store.holds = True
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(caller(executor, Add(n=1)))
            await store.until_saving()
            tasks.create_task(caller(executor, Add(n=1, note="exit")))
            tasks.create_task(caller(executor, Add(n=2)))
            tasks.create_task(caller(executor, Add(n=3)))
            await settled()
            store.holds = False
            store.let_save()

    with pytest.raises(SystemExit):
        asyncio.run(main())

    assert sorted(answers) == [2, 3, 4]


# --- a user's own two methods ----------------------------------------------------------------------------------------


class CountingStore(DictStore):
    """Counts its loads, and saves as a row with a version of its own does."""

    def __init__(self) -> None:
        super().__init__()
        self.loads = 0
        self.commits: list[int] = []

    async def load(self, id: str) -> StoredWorkflow | None:
        self.loads += 1
        await asyncio.sleep(0)
        return await super().load(id)

    async def save(self, options: SaveOptions) -> None:
        self.commits.append(len(options.commits))
        await asyncio.sleep(0)
        await super().save(options)


async def test_a_users_own_store_is_asked_each_time() -> None:
    """A store with two methods is given one commit in each save, and nothing of it is remembered between two."""
    store = CountingStore()
    executor = await begun(store)

    results = await in_time(*(add(executor, 1) for _ in range(5)))

    assert [result.unwrap().version for result in results] == [2, 3, 4, 5, 6]
    assert store.loads == 6
    assert store.commits == [1] * 6


async def test_a_users_own_store_sees_the_context_of_its_caller() -> None:
    """A save runs in the context of the one command that it is for: its user, its database session."""
    seen: list[str] = []

    class ContextStore(CountingStore):
        async def load(self, id: str) -> StoredWorkflow | None:
            seen.append(f"load for {user.get()}")
            return await super().load(id)

        async def save(self, options: SaveOptions) -> None:
            seen.append(f"save for {user.get()}")
            await super().save(options)

    executor = await begun(ContextStore())
    seen.clear()

    async def as_user(name: str) -> None:
        user.set(name)
        assert (await executor.execute("c", Add(n=1))).ok

    await in_time(*(asyncio.create_task(as_user(name)) for name in ("ann", "bob")))

    assert seen == ["load for ann", "save for ann", "load for bob", "save for bob"]


# --- stores that do odd things ---------------------------------------------------------------------------------------


def snapshot(id: str = "c") -> WorkflowSnapshot:
    return snapshot_of(id=id, definition="counter", state="Count", data={"total": 1})


ODD_LOADS: list[Callable[[], Any]] = [
    snapshot,
    lambda: {"snapshot": snapshot(), "version": 1},
    lambda: StoredWorkflow(None, 1),
    lambda: StoredWorkflow(snapshot(), "1"),
    lambda: StoredWorkflow(snapshot(), None),
    lambda: StoredWorkflow(snapshot(), 0),
    lambda: StoredWorkflow(snapshot(), -1),
    lambda: StoredWorkflow(snapshot("another"), 1),
    lambda: (snapshot(), 1),
    lambda: False,
    lambda: 1,
    lambda: 1 / 0,
]


@pytest.mark.parametrize("number", range(len(ODD_LOADS)))
async def test_a_load_that_gives_anything_else_is_a_store_error(number: int) -> None:
    """What a store loads is checked before anything is decided on it; the error says what is wrong."""

    class OddStore(DictStore):
        async def load(self, id: str) -> Any:
            return ODD_LOADS[number]()

    executor = WorkflowExecutor(counters(), OddStore())
    result: Any = await executor.execute("c", Add(n=1))

    assert type(result.error) is StoreError
    assert result.error.__traceback__ is None
    with pytest.raises(StoreError):
        await executor.get("c")
    assert type((await executor.preview("c", Add(n=1))).error) is StoreError
    with pytest.raises(StoreError):
        await executor.available_commands("c")


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), KeyError("x"), RuntimeError(), TimeoutError(), StopAsyncIteration()]
)
@pytest.mark.parametrize("place", ["in load", "before load", "not awaitable"])
async def test_a_load_that_raises_anything_is_a_store_error(error: BaseException, place: str) -> None:
    """Cancellations that nobody asked for included; `execute` raises nothing of it."""

    class RaisingStore(DictStore):
        async def _later(self) -> Any:
            await asyncio.sleep(0)
            raise error

        def load(self, id: str) -> Any:
            match place:
                case "in load":
                    return self._later()
                case "before load":
                    raise error
                case _:
                    return 7

    executor = WorkflowExecutor(counters(), RaisingStore())
    result: Any = await executor.execute("c", Add(n=1))

    assert type(result.error) is StoreError
    assert result.error.__cause__ is not None
    with pytest.raises(StoreError):
        await executor.get("c")


@pytest.mark.parametrize("given", [None, 7, asyncio.sleep])
async def test_a_store_that_folds_without_a_future_is_an_unknown_outcome(given: Any) -> None:
    """A `submit` that gives no future answers everybody, and leaves the lane usable."""
    store = HeldStore()
    executor = await begun(store)
    store.submit = lambda options: given  # type: ignore[method-assign]

    results = await in_time(*(add(executor, 1) for _ in range(3)))

    assert [type(result.error) for result in results] == [OutcomeUnknownError] * 3
    del store.submit
    assert (await executor.execute("c", Add(n=1))).ok


class SynchronousStore(MemoryStore):
    """Mistakes `save` for an ordinary method."""

    submit = None

    def save(self, options: SaveOptions) -> Any:
        self._save(options)


async def test_a_save_that_is_not_async_is_an_unknown_outcome() -> None:
    """Nobody can say whether it happened, so nobody says so."""
    executor = WorkflowExecutor(counters(), SynchronousStore())

    result: Any = await executor.execute("c", Begin())

    assert type(result.error) is OutcomeUnknownError


# --- caps and forgetting ---------------------------------------------------------------------------------------------


async def test_the_size_of_a_fold_counts_commands_and_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fold is closed by how much is saved, not only by how much is in the state."""
    monkeypatch.setattr(lane, "MAX_CHARACTERS", 4_000)
    store = HeldStore()
    executor = await begun(store)
    store.holds = True
    tasks = [asyncio.create_task(executor.execute("c", Add(n=1, note="x" * 900))) for _ in range(8)]
    await store.until_saving()
    await settled()
    store.holds = False
    store.let_save()
    await in_time(*tasks)

    assert max(len(save.commits) for save in store.saves) == 3


class ForgettingStore(HeldStore):
    """Can forget, too."""

    async def forget(self, id: str) -> bool:
        return await self.inner.forget(id)


async def test_forgetting_waits_for_what_was_decided_before() -> None:
    """Commands before are saved and answered, the ones behind find nothing."""
    store = ForgettingStore()
    executor = await begun(store)
    store.holds_loads = True
    before = [add(executor, 1), add(executor, 2)]
    await settled()
    forgetting = asyncio.create_task(executor.forget("c"))
    await settled()
    behind = add(executor, 3)
    await settled()
    store.holds_loads = False
    store.let_load()

    results = await in_time(*before)
    assert [result.unwrap().version for result in results] == [2, 3]
    assert await forgetting is True
    assert isinstance((await behind).error, NotFoundError)
    assert store.saves[-1].snapshot.version == 3
    assert executor._lanes._lanes == {}


async def test_a_forgetting_that_is_given_up_in_the_queue_disturbs_nobody() -> None:
    """Given up before its turn, it forgets nothing, and the running handler does not run again."""
    gate = asyncio.Event()
    store = ForgettingStore()
    executor = await begun(store, gates={"slow": gate})
    loads = store.loads
    holding = asyncio.create_task(executor.execute("c", Pause(gate="slow")))
    await settled()
    forgetting = asyncio.create_task(executor.forget("c"))
    await settled()
    forgetting.cancel()
    await settled()
    gate.set()

    assert (await holding).ok
    assert store.loads == loads + 1


async def test_a_forgotten_id_begins_again() -> None:
    """The id may be used again, from version 1, and nothing of the old one is remembered."""
    executor = await begun(MemoryStore())
    assert (await executor.execute("c", Add(n=5))).ok

    assert await executor.forget("c") is True
    assert await executor.forget("c") is False
    assert isinstance((await executor.execute("c", Add(n=1))).error, NotFoundError)
    result = (await executor.execute("c", Begin())).unwrap()

    assert (result.version, result.workflow.data.total) == (1, 0)
    assert [commit.version for commit in await executor.history("c")] == [1]


async def test_a_failure_is_answered_without_its_traceback() -> None:
    """Errors of the store are values like all others."""

    class Down(DictStore):
        async def load(self, id: str) -> StoredWorkflow | None:
            raise StoreError("down")

    result = await WorkflowExecutor(counters(), Down()).execute("c", Add(n=1))

    assert isinstance(result, Failure)
    assert result.error.__traceback__ is None
