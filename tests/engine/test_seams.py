"""Where two things meet in a lane: forgetting and folds, splits and timers, answers that nobody understands."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from statewright import (
    Commit,
    ConcurrencyConflictError,
    InvalidDataError,
    Issue,
    MemoryStore,
    Observer,
    OutcomeUnknownError,
    RestoreError,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
)
from statewright._engine.ports import Outcome

from .counter import Add, Begin, Counter, Pause, Relay, counters
from .held_store import HeldStore, settled
from .workshop import Begin as Hang
from .workshop import Bell, Move, Ring, Set, bell_router, rung

pytest_plugins = ["tests.fixtures.stores"]

HOUR = timedelta(hours=1)


class Shelf(BaseModel): ...


class Rack(Workflow[Shelf, Hang], name="rack"):
    """Another definition, for which the ids of bells are foreign."""


def _racks(store: Any) -> WorkflowExecutor[Rack]:
    return WorkflowExecutor(WorkflowRouter(Rack), store)


async def _bells(store: Any) -> WorkflowExecutor[Bell]:
    bells: WorkflowExecutor[Bell] = WorkflowExecutor(bell_router(), store)
    (await bells.execute("b-1", Hang())).unwrap()
    return bells


async def _refused(store: Any) -> None:
    with pytest.raises(RestoreError, match="belongs to definition 'bell'"):
        await _racks(store).forget("b-1")


# --- forgetting ------------------------------------------------------------------------------------------------------


async def test_a_refused_forgetting_harms_no_fold(store: Any) -> None:
    """Somebody who may not forget a workflow comes in the middle of a fold: all others are saved, each once."""
    bells = await _bells(store)
    ring = [asyncio.create_task(bells.execute("b-1", Ring(name=name))) for name in "ab"]
    forgetting = asyncio.create_task(_refused(store))
    ring += [asyncio.create_task(bells.execute("b-1", Ring(name=name))) for name in "cd"]

    answers = [(await each).unwrap().version for each in ring]
    await forgetting

    assert sorted(answers) == [2, 3, 4, 5]
    assert sorted(await rung(bells)) == ["a", "b", "c", "d"]
    assert [commit.version for commit in await bells.history("b-1")] == [1, 2, 3, 4, 5]


async def test_a_refused_forgetting_drops_no_timer(store: Any) -> None:
    """A timer that was set in the fold before it is there."""
    bells = await _bells(store)
    setting = asyncio.create_task(bells.execute("b-1", Set(delay=HOUR)))
    await asyncio.gather(setting, asyncio.create_task(_refused(store)))

    assert [timer.key for timer in await store.timers("b-1")] == ["Ring"]


async def test_a_forgetting_that_is_given_up_takes_nothing_later_along(store: Any) -> None:
    """What is acknowledged after a caller has given up forgetting is not forgotten afterwards."""
    bells: WorkflowExecutor[Bell] = WorkflowExecutor(bell_router(), store)
    for number in range(40):
        id = f"b-{number}"
        (await bells.execute(id, Hang())).unwrap()
        forgetting = asyncio.create_task(bells.forget(id))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        forgetting.cancel()
        await asyncio.gather(forgetting, return_exceptions=True)

        moved = await bells.execute(id, Move())
        await store.count()  # whatever the store was still asked for is done

        assert (await store.load(id) is not None) is moved.ok


# --- splits ----------------------------------------------------------------------------------------------------------


class Picky(MemoryStore):
    """Refuses some data, as a store of documents with a limit would; takes its time to load, so that others gather."""

    async def load(self, id: str) -> Any:
        await settled()
        return await super().load(id)

    def _save(self, options: Any) -> None:
        if any("refused" in commit.snapshot.text for commit in options.commits):
            raise InvalidDataError("state", [Issue((), "it is refused", "unstorable")], subject="save")
        super()._save(options)


async def test_timers_of_a_fold_that_is_split() -> None:
    """Where one command of a fold is refused for its data, the timers of those before it are kept, and end in time."""
    store = Picky()
    bells = await _bells(store)
    commands: list[Any] = [Ring(name="a"), Set(delay=HOUR), Ring(name="b"), Ring(name="refused"), Ring(name="c")]
    answers = await asyncio.gather(*(bells.execute("b-1", command) for command in commands))

    assert [answer.ok for answer in answers] == [True, True, True, False, True]
    assert [timer.key for timer in await store.timers("b-1")] == ["Ring"]

    (await bells.execute("b-1", Move())).unwrap()
    assert await store.timers("b-1") == []


# --- answers that nobody understands ---------------------------------------------------------------------------------


class Odd(MemoryStore):
    """Loses one race, and says something odd about it."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = error

    def _save(self, options: Any) -> None:
        if options.expected_version and self.error is not None:
            error, self.error = self.error, None
            raise error
        super()._save(options)


class Rude(ConcurrencyConflictError):
    """Does not let anybody look."""

    @property
    def current(self) -> Any:
        raise RuntimeError("no")


def _conflict(current: Any) -> ConcurrencyConflictError:
    error = ConcurrencyConflictError("c", 1, 7)
    error.__dict__["current"] = current
    return error


@pytest.mark.parametrize("error", [_conflict(5), _conflict("x"), _conflict({"version": 1}), Rude("c", 1, 7)])
async def test_a_conflict_with_an_odd_row_is_decided_again(error: Exception) -> None:
    """What a conflict carries and is no stored workflow is ignored: the workflow is loaded, and decided on."""
    executor: WorkflowExecutor[Counter] = WorkflowExecutor(counters().with_deps({}), Odd(error))
    (await executor.execute("c", Begin())).unwrap()

    async with asyncio.timeout(30):
        assert (await executor.execute("c", Add(n=1))).unwrap().version == 2
        assert (await executor.execute("c", Add(n=1))).unwrap().version == 3


class Single(OutcomeUnknownError):
    """Cannot be copied."""

    def __copy__(self) -> Any:
        raise TypeError("there is only one of it")


async def test_an_error_that_cannot_be_copied_is_an_answer() -> None:
    """A store's error that refuses to be copied reaches its caller as it is."""
    executor: WorkflowExecutor[Counter] = WorkflowExecutor(counters().with_deps({}), Odd(Single("once")))
    (await executor.execute("c", Begin())).unwrap()

    async with asyncio.timeout(30):
        answer: Any = await executor.execute("c", Add(n=1))
    assert isinstance(answer.error, Single)


@pytest.mark.parametrize("end", ["result", "exception", "cancel", "settle"])
async def test_an_outcome_may_end_in_any_way(end: str) -> None:
    """However a store's author ends an `Outcome`, the callers hear of it."""

    class Own(HeldStore):
        def submit(self, options: Any) -> Any:
            if not self.holds:
                return super().submit(options)
            outcome = Outcome()
            how: dict[str, Any] = {
                "result": lambda: outcome.set_result(None),
                "exception": lambda: outcome.set_exception(OutcomeUnknownError("gone")),
                "cancel": outcome.cancel,
                "settle": outcome.settle,
            }
            asyncio.get_running_loop().call_soon(how[end])
            return outcome

    store = Own()
    executor: WorkflowExecutor[Counter] = WorkflowExecutor(counters().with_deps({}), store)
    (await executor.execute("c", Begin())).unwrap()
    store.holds = True

    async with asyncio.timeout(30):
        answer: Any = await executor.execute("c", Add(n=1))

    assert answer.ok is (end in {"result", "settle"})
    if not answer.ok:
        assert isinstance(answer.error, OutcomeUnknownError)


async def test_a_conflict_speaks_of_the_version_that_its_caller_expected() -> None:
    """Of several commands that lose a race together each is told of what it had asked for itself."""
    store = HeldStore()
    executor: WorkflowExecutor[Counter] = WorkflowExecutor(counters().with_deps({}), store, retries=0)
    (await executor.execute("c", Begin())).unwrap()
    store.holds_loads = True
    tasks = [
        asyncio.create_task(executor.execute("c", Add(n=1), expected_version=expected)) for expected in (None, 2, 3)
    ]
    await store.until_loading()
    await settled()
    store.holds = True
    store.holds_loads = False
    store.let_load()
    await store.until_saving()
    rival: WorkflowExecutor[Counter] = WorkflowExecutor(counters().with_deps({}), store.inner)
    (await rival.execute("c", Add(n=1))).unwrap()
    store.holds = False
    store.let_save()

    answers: list[Any] = [await task for task in tasks]
    errors = [answer.error for answer in answers]
    assert [(error.expected_version, error.actual_version) for error in errors] == [(1, 2), (1, 2), (3, 2)]


# --- those who are gone ----------------------------------------------------------------------------------------------


class Heard(Observer):
    """Notes what was committed."""

    def __init__(self) -> None:
        self.versions: list[int] = []

    def committed(self, commit: Commit) -> None:
        self.versions.append(commit.version)


async def test_a_commit_whose_caller_is_gone_is_told() -> None:
    """Observers hear of every commit, also of one whose caller gave up while it was being saved."""
    store, heard = HeldStore(), Heard()
    executor: WorkflowExecutor[Counter] = WorkflowExecutor(counters().with_deps({}), store)
    executor.observe(heard)
    (await executor.execute("c", Begin())).unwrap()
    store.holds = True
    gone = asyncio.create_task(executor.execute("c", Add(n=1)))
    await store.until_saving()
    gone.cancel()
    await settled()
    assert gone.cancelled()
    store.let_save()
    await settled()

    assert heard.versions == [1, 2]


async def test_an_interrupt_within_a_call_waits_for_nobody_who_waits_for_it() -> None:
    """A nested handler is interrupted while somebody behind it waits for the outer workflow: all come to an end."""
    gates: dict[str, Any] = {"slow": asyncio.Event()}
    store = MemoryStore()
    executor = gates["executor"] = WorkflowExecutor(counters().with_deps(gates), store)
    for id in "ab":
        (await executor.execute(id, Begin())).unwrap()

    async def calls_b(_: Any, call_next: Any) -> Any:
        with pytest.raises(KeyboardInterrupt):
            await executor.execute("b", Add(n=1, note="interrupt"))
        return await call_next()

    outer = WorkflowExecutor(counters().with_deps(gates), store).use(calls_b)
    holding = asyncio.create_task(executor.execute("b", Pause(gate="slow")))
    await settled()
    interrupted = asyncio.create_task(outer.execute("a", Add(n=1)))
    await settled()
    behind = asyncio.create_task(executor.execute("b", Relay(to=["a"])))
    await settled()
    gates["slow"].set()

    async with asyncio.timeout(30):
        answers = await asyncio.gather(holding, interrupted, behind)

    assert [answer.ok for answer in answers] == [True, True, True]
    assert gates["inner"] == ["UnexpectedError"]
