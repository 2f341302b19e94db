"""Commands that wait for one workflow: decided in turn, each for its own caller, and saved together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from statewright import (
    CallNext,
    ConcurrencyConflictError,
    Execution,
    Failure,
    InvalidDataError,
    MemoryStore,
    Observer,
    OutcomeUnknownError,
    Result,
    SaveOptions,
    StoredWorkflow,
    StoreUnavailableError,
    Success,
    UnexpectedError,
    WorkflowExecutor,
)
from statewright._engine import lane, lanes

from .counter import Add, Begin, Counter, Full, Pause, Relay, counters, user
from .held_store import HeldStore, settled


async def begun(store: Any, **options: Any) -> WorkflowExecutor[Counter]:
    """An executor over a store that has the counter "c" at version 1."""
    executor = WorkflowExecutor(counters().with_deps(options.pop("gates", None)), store, **options)
    assert (await executor.execute("c", Begin())).ok
    return executor


def add(
    executor: WorkflowExecutor[Counter], n: int, id: str = "c", note: str = "", **options: Any
) -> asyncio.Task[Any]:
    """Begin to execute `Add` as a caller of its own."""
    return asyncio.create_task(executor.execute(id, Add(n=n, note=note), **options))


def pause(executor: WorkflowExecutor[Counter], *, refuse: bool = False) -> asyncio.Task[Any]:
    """Begin to execute a command whose handler waits at the gate "slow"."""
    return asyncio.create_task(executor.execute("c", Pause(gate="slow", refuse=refuse)))


async def folded(store: HeldStore, begin: Callable[[], list[asyncio.Task[Any]]]) -> list[asyncio.Task[Any]]:
    """Let callers gather behind a load, so that they are decided in one fold."""
    store.holds_loads = True
    tasks = begin()
    await store.until_loading()
    await settled()
    store.holds_loads = False
    store.let_load()
    return tasks


def versions(results: list[Any]) -> list[int]:
    return [result.unwrap().version for result in results]


# --- folding ---------------------------------------------------------------------------------------------------------


async def test_commands_that_wait_are_saved_once() -> None:
    """Commands that arrive during a save share the next one, each with its own version and commit."""
    store = HeldStore()
    executor = await begun(store)
    store.holds = True
    first = add(executor, 1)
    await store.until_saving()
    others = [add(executor, n) for n in (2, 3, 4)]
    await settled()
    store.let_save()
    await store.until_saving()
    assert [len(save.commits) for save in store.saves] == [1, 1, 3]
    store.let_save()

    assert versions([await first, *(await asyncio.gather(*others))]) == [2, 3, 4, 5]
    assert [commit.version for commit in await store.inner.history("c")] == [1, 2, 3, 4, 5]
    stored = await store.inner.load("c")
    assert stored is not None
    assert stored.snapshot.data["total"] == 10


async def test_callers_that_were_answered_together_are_saved_together_again() -> None:
    """Whoever sends the next command as soon as it is answered shares the next save with the others, too."""
    store = HeldStore()
    executor = await begun(store)
    store.holds = True

    async def caller() -> list[Any]:
        return [await executor.execute("c", Add(n=0)) for _ in range(3)]

    callers = [asyncio.create_task(caller()) for _ in range(4)]
    while not all(each.done() for each in callers):
        await store.until_saving()
        store.let_save()
        await settled()

    # The very first command found nobody to wait for; those after it came while it was saved.
    assert [len(save.commits) for save in store.saves][1:] == [1, 4, 4, 3]
    assert executor._lanes._lanes == {}


async def test_nobody_is_answered_before_the_save() -> None:
    """Every answer of a fold waits for its commit, a refusal that rests on it included."""
    store = HeldStore()
    executor = await begun(store)
    store.holds = True
    accepted, refused = await folded(store, lambda: [add(executor, 99), add(executor, 5)])
    await store.until_saving()
    await settled()
    assert not accepted.done()
    assert not refused.done()
    store.let_save()

    assert (await accepted).ok
    assert isinstance((await refused).error, Full)


async def test_two_executors_share_a_lane() -> None:
    """Two executors over one store fold into one save, and never race."""
    store = HeldStore()
    one = await begun(store)
    other = WorkflowExecutor(counters(), store)
    store.holds = True
    tasks = [add(one, 1), add(other, 1), add(one, 1)]
    await store.until_saving()
    store.let_save()
    await settled()
    while store.waiting:
        store.let_save()
        await settled()

    assert sorted(versions(list(await asyncio.gather(*tasks)))) == [2, 3, 4]
    assert len(store.saves) <= 3


async def test_each_command_runs_in_its_callers_context() -> None:
    """Handler and middleware of a folded command see the context variables of the call that sent it."""
    store = HeldStore()
    executor = await begun(store)
    seen: list[tuple[str, str]] = []

    async def who(ctx: Any, call_next: Any) -> Any:
        seen.append(("before", user.get()))
        result = await call_next()
        seen.append(("after", user.get()))
        return result

    executor.use(who)

    async def call(name: str) -> Any:
        user.set(name)
        return await executor.execute("c", Add(n=1, note="context"))

    store.holds = True
    tasks = [asyncio.create_task(call(name)) for name in ("ann", "bob", "cid")]
    await store.until_saving()
    store.let_save()
    await settled()
    while store.waiting:
        store.let_save()
        await settled()
    results = await asyncio.gather(*tasks)

    assert [result.workflow.data.note for result in results] == ["ann", "bob", "cid"]
    assert seen == [(when, name) for name in ("ann", "bob", "cid") for when in ("before", "after")]


async def test_what_is_stored_counts_the_commands_before() -> None:
    """In a fold `ctx.stored` and `expected_version` refer to the state after the commands before."""
    store = HeldStore()
    executor = await begun(store)
    seen: list[int] = []

    async def look(ctx: Any, call_next: Any) -> Any:
        seen.append(ctx.stored.version)
        return await call_next()

    executor.use(look)
    store.holds = True
    tasks = [
        add(executor, 1),
        add(executor, 1),
        add(executor, 1, expected_version=3),
        add(executor, 1, expected_version=3),
    ]
    await store.until_saving()
    store.let_save()
    await settled()
    while store.waiting:
        store.let_save()
        await settled()
    first, second, third, fourth = await asyncio.gather(*tasks)

    assert versions([first, second, third]) == [2, 3, 4]
    assert isinstance(fourth.error, ConcurrencyConflictError)
    assert (fourth.error.expected_version, fourth.error.actual_version) == (3, 4)
    assert seen == [1, 2, 3]


async def test_a_key_is_known_within_its_fold() -> None:
    """Of two calls with one key in one fold the second is a replay of the first."""
    store = HeldStore()
    executor = await begun(store)
    store.holds = True
    tasks = [add(executor, 7, idempotency_key="k") for _ in range(3)]
    await store.until_saving()
    store.let_save()
    await settled()
    results = await asyncio.gather(*tasks)

    assert versions(list(results)) == [2, 2, 2]
    assert [result.replayed for result in results] == [False, True, True]
    assert len(await store.inner.history("c")) == 2


@pytest.mark.parametrize("cap", ["MAX_CHARACTERS", "MAX_SECONDS"])
async def test_a_fold_is_capped(cap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fold closes at its cap of data or of time, and goes on with the next."""
    monkeypatch.setattr(lane, cap, 0)
    store = HeldStore()
    executor = await begun(store)
    store.holds = True
    tasks = [add(executor, 1) for _ in range(5)]
    await store.until_saving()
    await settled()
    store.holds = False
    store.let_save()
    results = await asyncio.gather(*tasks)

    assert versions(list(results)) == [2, 3, 4, 5, 6]
    assert all(len(save.commits) == 1 for save in store.saves)


async def test_a_fold_is_capped_by_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fold takes at most so many commands."""
    monkeypatch.setattr(lanes, "MAX_COMMANDS", 4)
    store = HeldStore()
    executor = await begun(store)
    store.holds = True
    tasks = [add(executor, 1) for _ in range(10)]
    await store.until_saving()
    await settled()
    store.holds = False
    store.let_save()
    results = await asyncio.gather(*tasks)

    assert versions(list(results)) == list(range(2, 12))
    assert max(len(save.commits) for save in store.saves) == 4


async def test_a_handler_that_suspends_closes_the_fold() -> None:
    """What was decided before a handler that really waits is saved without it."""
    gates = {"slow": asyncio.Event()}
    store = HeldStore()
    executor = await begun(store, gates=gates)
    quick, slow, after = await folded(store, lambda: [add(executor, 1), pause(executor), add(executor, 2)])
    assert (await quick).version == 2
    await settled()
    assert not slow.done()
    assert not after.done()
    gates["slow"].set()

    assert versions([await slow, await after]) == [3, 4]


async def test_a_refusal_after_a_wait_rests_on_the_save_before() -> None:
    """A command that suspended while the fold before it was being saved is answered after that save only."""
    gates = {"slow": asyncio.Event()}
    store = HeldStore()
    executor = await begun(store, gates=gates)
    store.holds = True
    quick, refused = await folded(store, lambda: [add(executor, 1), pause(executor, refuse=True)])
    await store.until_saving()
    gates["slow"].set()
    await settled()
    assert not refused.done()
    store.let_save()

    assert (await quick).ok
    assert isinstance((await refused).error, Full)


async def test_idle_workflows_keep_nothing() -> None:
    """When nobody waits any more, nothing of a workflow is left in the process."""
    store = MemoryStore()
    executor = WorkflowExecutor(counters(), store)
    await asyncio.gather(*(executor.execute(f"c{n}", Begin()) for n in range(50)))
    await asyncio.gather(*(add(executor, 1, id=f"c{n % 50}") for n in range(200)))

    assert executor._lanes._lanes == {}
    assert executor._lanes.memory is None


async def test_workflows_do_not_wait_for_each_other() -> None:
    """A workflow whose handler waits, or whose save is held, does not hold up another."""
    gates = {"slow": asyncio.Event()}
    store = HeldStore()
    executor = await begun(store, gates=gates)
    assert (await executor.execute("other", Begin())).ok
    slow = pause(executor)
    await settled()

    assert (await add(executor, 1, id="other")).version == 2
    gates["slow"].set()
    assert (await slow).ok


# --- lost races and failures -----------------------------------------------------------------------------------------


async def test_a_lost_race_is_decided_again_in_order() -> None:
    """When a fold loses its race, all of it is decided again on the fresh state, in order of arrival."""
    store = HeldStore()
    executor = await begun(store)
    elsewhere = WorkflowExecutor(counters(), store.inner)
    store.holds = True
    tasks = await folded(store, lambda: [add(executor, n) for n in (1, 2, 3)])
    await store.until_saving()
    assert (await elsewhere.execute("c", Add(n=50))).version == 2
    store.holds = False
    store.let_save()
    results = await asyncio.gather(*tasks)

    assert versions(list(results)) == [3, 4, 5]
    assert [result.workflow.data.total for result in results] == [51, 53, 56]


async def test_an_expected_version_is_never_decided_again() -> None:
    """A command that names the version it expects is told of a lost race at once, with the version found."""
    store = HeldStore()
    executor = await begun(store)
    elsewhere = WorkflowExecutor(counters(), store.inner)
    store.holds = True
    task = add(executor, 1, expected_version=1)
    await store.until_saving()
    await elsewhere.execute("c", Add(n=50))
    store.let_save()
    error = (await task).error

    assert isinstance(error, ConcurrencyConflictError)
    assert (error.expected_version, error.actual_version) == (1, 2)
    assert len(store.saves) == 2


async def test_retries_are_counted_per_command() -> None:
    """After so many lost races the caller hears of the conflict."""

    class AlwaysLate(HeldStore):
        def submit(self, options: SaveOptions) -> asyncio.Future[None]:
            self.saves.append(options)
            outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            outcome.set_exception(ConcurrencyConflictError(options.id, options.expected_version, 9))
            return outcome

    inner = MemoryStore()
    await begun(inner)
    store = AlwaysLate(inner)
    executor = WorkflowExecutor(counters(), store, retries=2)
    result = await executor.execute("c", Add(n=1))

    assert isinstance(result, Failure)
    assert isinstance(result.error, ConcurrencyConflictError)
    assert len(store.saves) == 3


async def test_a_failed_store_answers_all_that_followed() -> None:
    """If the save fails in the store, that failure is the answer of every command from the first unsaved on."""
    store = HeldStore()
    executor = await begun(store)
    store.holds = True
    tasks = await folded(store, lambda: [add(executor, 1), add(executor, 99), add(executor, 98)])
    await store.until_saving()
    store.fail_save(StoreUnavailableError("gone"))
    errors = [(await task).error for task in tasks]

    assert [type(error) for error in errors] == [StoreUnavailableError] * 3
    assert len({id(error) for error in errors}) == 3
    store.holds = False
    assert (await add(executor, 1)).version == 2


async def test_what_was_decided_on_a_failed_save_fails_with_it() -> None:
    """A command that ran on while the fold before it was being saved shares the failure of that save."""
    gates = {"slow": asyncio.Event()}
    store = HeldStore()
    executor = await begun(store, gates=gates)
    store.holds = True
    quick, slow = await folded(store, lambda: [add(executor, 1), pause(executor)])
    await store.until_saving()
    store.fail_save(OutcomeUnknownError("lost"))
    assert isinstance((await quick).error, OutcomeUnknownError)
    gates["slow"].set()

    assert isinstance((await slow).error, OutcomeUnknownError)


async def test_a_wait_is_decided_again_when_its_ground_is_lost() -> None:
    """A command that ran on while the fold before it lost its race is decided again, behind that fold."""
    gates = {"slow": asyncio.Event()}
    store = HeldStore()
    executor = await begun(store, gates=gates)
    elsewhere = WorkflowExecutor(counters(), store.inner)
    store.holds = True
    quick, slow = await folded(store, lambda: [add(executor, 1), pause(executor)])
    await store.until_saving()
    await elsewhere.execute("c", Add(n=10))
    store.holds = False
    store.let_save()
    await settled()
    gates["slow"].set()
    first, second = await asyncio.gather(quick, slow)

    assert versions([first, second]) == [3, 4]
    assert second.workflow.data.total == 11


async def test_data_that_the_store_refuses_harms_its_own_command_only() -> None:
    """The prefix before an offender is saved, the offender is told, the rest is decided again."""

    class Picky(HeldStore):
        def submit(self, options: SaveOptions) -> asyncio.Future[None]:
            outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            if any(commit.snapshot.data["note"] == "poison" for commit in options.commits):
                outcome.set_exception(InvalidDataError("state"))
                return outcome
            return super().submit(options)

    store = Picky()
    executor = await begun(store)
    notes = ["a", "b", "poison", "c", "d"]
    store.holds = True
    first = add(executor, 0)
    await store.until_saving()
    tasks = [add(executor, 1, note=note) for note in notes]
    await settled()
    store.holds = False
    store.let_save()
    results = await asyncio.gather(*tasks)
    assert (await first).version == 2

    assert [result.ok for result in results] == [True, True, False, True, True]
    assert isinstance(results[2], Failure)
    assert isinstance(results[2].error, InvalidDataError)
    assert [result.version for result in results if isinstance(result, Success)] == [3, 4, 5, 6]
    assert [commit.version for commit in await store.inner.history("c")] == [1, 2, 3, 4, 5, 6]
    assert sum(len(save.commits) == 1 for save in store.saves) < 6


@pytest.mark.parametrize("error", [RuntimeError("odd"), asyncio.CancelledError(), KeyError("x")])
async def test_an_odd_failure_of_a_save_is_an_unknown_outcome(error: BaseException) -> None:
    """What a user's own save raises, besides what the port names, is an unknown outcome and never tried again."""

    class Odd:
        calls = 0

        def __init__(self) -> None:
            self.inner = MemoryStore()

        async def load(self, id: str) -> StoredWorkflow | None:
            return await self.inner.load(id)

        async def save(self, options: SaveOptions) -> None:
            self.calls += 1
            raise error

    store = Odd()
    result = await WorkflowExecutor(counters(), store).execute("c", Begin())

    assert isinstance(result, Failure)
    assert isinstance(result.error, OutcomeUnknownError)
    assert store.calls == 1


async def test_a_failed_load_answers_all_who_wait() -> None:
    """Everyone who waits for a workflow that cannot be loaded is told, without asking again for each."""
    store = HeldStore()
    executor = await begun(store)
    store.holds_loads = True
    tasks = [add(executor, 1) for _ in range(4)]
    await store.until_loading()
    loads = store.loads
    store.let_load(StoreUnavailableError("gone"))
    errors = [(await task).error for task in tasks]

    assert [type(error) for error in errors] == [StoreUnavailableError] * 4
    assert store.loads == loads


# --- what is remembered ----------------------------------------------------------------------------------------------


async def test_a_refusal_is_confirmed_by_a_fresh_read() -> None:
    """What an earlier command of the lane left in memory may be older than a later call: it refuses nobody."""
    gates = {"slow": asyncio.Event()}
    store = HeldStore()
    executor = await begun(store, gates=gates)
    assert (await add(executor, 95)).ok
    elsewhere = WorkflowExecutor(counters(), store.inner)
    slow = pause(executor, refuse=True)
    await settled()
    assert (await elsewhere.execute("c", Add(n=-90))).ok  # now there is room again, and that was acknowledged
    late = add(executor, 10)
    await settled()
    gates["slow"].set()

    assert isinstance((await slow).error, Full)
    assert (await late).ok


async def test_a_remembered_workflow_is_never_the_ground_of_a_refusal() -> None:
    """A store that lets workflows be remembered gives the same answers, with fewer loads."""

    class Cacheable(HeldStore):
        is_cacheable = True

    store = Cacheable()
    executor = await begun(store)
    loads = store.loads
    assert (await add(executor, 1)).version == 2
    assert store.loads == loads  # the save itself confirms what was remembered

    elsewhere = WorkflowExecutor(counters(), store.inner)
    assert (await elsewhere.execute("c", Add(n=90))).ok
    assert isinstance((await add(executor, 50)).error, Full)
    assert (await add(executor, 5)).version == 4
    assert (await elsewhere.execute("c", Add(n=1))).version == 5
    stale = await add(executor, 1, expected_version=4)
    assert isinstance(stale.error, ConcurrencyConflictError)
    assert stale.error.actual_version == 5
    assert await elsewhere.forget("c")
    assert (await elsewhere.execute("c", Begin())).version == 1
    assert (await add(executor, 1)).version == 2
    assert executor._lanes._lanes == {}
    assert len(executor._lanes.memory or ()) == 1


async def test_a_refusal_that_the_store_confirms_is_decided_and_told_once() -> None:
    """What was decided on a remembered workflow stands if a fresh read finds the same; else it is decided again."""

    class Cacheable(HeldStore):
        is_cacheable = True

    class Listener(Observer):
        def failed(self, error: Any, workflow: Any, command: Any) -> None:
            heard.append(type(error))

    async def counted(ctx: Execution, call_next: CallNext[Any]) -> Result[Any, Any]:
        runs.append(ctx.id)
        return await call_next()

    runs: list[str] = []
    heard: list[type] = []
    store = Cacheable()
    executor = await begun(store)
    executor.use(counted).observe(Listener())
    loads = store.loads

    assert isinstance((await add(executor, 101)).error, Full)
    assert (len(runs), heard, store.loads) == (1, [Full], loads + 1)

    elsewhere = WorkflowExecutor(counters(), store.inner)
    assert (await elsewhere.execute("c", Add(n=90))).ok
    assert isinstance((await add(executor, 101)).error, Full)  # remembered and stored are no more the same
    assert len(runs) == 3


# --- cancellation ----------------------------------------------------------------------------------------------------


async def test_a_caller_that_gives_up_in_the_queue_is_never_decided() -> None:
    """Given up before its handler started, a command never runs; the others go on."""
    store = HeldStore()
    executor = await begun(store)
    store.holds = True
    first = add(executor, 1)
    await store.until_saving()
    given_up, last = add(executor, 10), add(executor, 2)
    await settled()
    given_up.cancel()
    await settled()
    store.holds = False
    store.let_save()

    assert (await first).ok
    assert (await last).workflow.data.total == 3
    assert given_up.cancelled()


async def test_a_caller_that_gives_up_in_its_handler_contributes_nothing() -> None:
    """Given up during its handler, the handler is cancelled and nothing of it is saved."""
    gates = {"slow": asyncio.Event()}
    store = HeldStore()
    executor = await begun(store, gates=gates)
    slow = pause(executor)
    behind = add(executor, 2)
    await settled()
    slow.cancel()

    assert (await behind).version == 2
    with pytest.raises(asyncio.CancelledError):
        await slow


async def test_a_caller_that_gives_up_after_its_handler_stays_in_the_fold() -> None:
    """Given up after its handler, a command is saved with the others, and harms none."""
    store = HeldStore()
    executor = await begun(store)
    store.holds = True
    gone, stays = await folded(store, lambda: [add(executor, 1), add(executor, 2)])
    await store.until_saving()
    gone.cancel()
    await settled()
    store.holds = False
    store.let_save()

    assert (await stays).workflow.data.total == 3
    assert gone.cancelled()
    assert [commit.version for commit in await store.inner.history("c")] == [1, 2, 3]


async def test_a_caller_that_gives_up_while_loading_leaves_the_lane() -> None:
    """Given up while the workflow is loaded, the next one loads it."""
    store = HeldStore()
    executor = await begun(store)
    store.holds_loads = True
    gone, stays = add(executor, 1), add(executor, 2)
    await store.until_loading()
    gone.cancel()
    await settled()
    store.let_load()  # the one that nobody waits for any more
    await store.until_loading()
    store.let_load()

    assert (await stays).workflow.data.total == 2


async def test_a_cancellation_that_nobody_asked_for_is_a_bug() -> None:
    """A handler that raises `CancelledError` by itself gets its caller an `UnexpectedError`, not a cancelled task."""
    executor = await begun(MemoryStore())
    result = await executor.execute("c", Add(n=1, note="cancel"))

    assert isinstance(result, Failure)
    assert isinstance(result.error, UnexpectedError)
    assert isinstance(result.error.__cause__, asyncio.CancelledError)


@pytest.mark.parametrize("note", ["interrupt", "exit"])
async def test_the_end_of_the_process_waits_for_the_answers(note: str) -> None:
    """`KeyboardInterrupt` and `SystemExit` pass only after those who wait have their answers."""
    store = HeldStore()
    executor = await begun(store)
    store.holds = True
    first = add(executor, 1)
    await store.until_saving()
    order: list[str] = []

    async def ending() -> None:
        try:
            await executor.execute("c", Add(n=1, note=note))
        except (KeyboardInterrupt, SystemExit):
            order.append("end")

    async def waiting() -> None:
        assert (await executor.execute("c", Add(n=2))).ok
        order.append("answer")

    tasks = [asyncio.create_task(ending()), asyncio.create_task(waiting())]
    await settled()
    store.holds = False
    store.let_save()
    await asyncio.gather(first, *tasks)

    assert order == ["answer", "end"]


# --- reaching back ---------------------------------------------------------------------------------------------------


async def test_a_call_to_its_own_workflow_is_refused_at_once() -> None:
    """A handler that executes its own workflow gets an `UnexpectedError`, never a wait."""
    deps: dict[str, Any] = {}
    executor = await begun(MemoryStore(), gates=deps)
    deps["executor"] = executor
    result = await asyncio.wait_for(executor.execute("c", Relay(to=["c"])), 30)

    assert result.ok
    assert deps["inner"] == ["UnexpectedError"]


async def test_a_call_through_another_workflow_is_refused_at_once() -> None:
    """Also through another workflow, and through a task that the handler started."""
    deps: dict[str, Any] = {}
    executor = await begun(MemoryStore(), gates=deps)
    assert (await executor.execute("d", Begin())).ok
    deps["executor"] = executor
    result = await asyncio.wait_for(executor.execute("c", Relay(to=["d", "c"])), 30)
    assert result.ok
    assert deps["inner"] == ["UnexpectedError", "ok"]

    deps["inner"] = []
    result = await asyncio.wait_for(executor.execute("c", Relay(to=["c"], in_task=True)), 30)
    assert deps["inner"] == ["UnexpectedError"]


async def test_reads_of_its_own_workflow_are_allowed() -> None:
    """A handler may look at the workflow that it decides on, as it is stored."""
    deps: dict[str, Any] = {}
    executor = await begun(MemoryStore(), gates=deps)
    deps["executor"] = executor
    assert (await asyncio.wait_for(executor.execute("c", Relay(to=[], read="c")), 30)).ok
    assert deps["read"] == 1


async def test_a_task_that_outlives_its_call_is_welcome() -> None:
    """A task started by a handler may execute the workflow once the call has ended."""
    deps: dict[str, Any] = {"later": asyncio.Event()}
    executor = await begun(MemoryStore(), gates=deps)
    deps["executor"] = executor
    assert (await executor.execute("c", Relay(to=["c"], in_background=True))).ok
    deps["later"].set()
    await deps["task"]

    assert deps["inner"] == ["ok"]
    workflow = await executor.get("c")
    assert workflow is not None
    assert workflow.version == 3
