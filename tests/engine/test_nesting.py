"""Calls within calls: waits that go round in a circle are refused, all others end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Never

import pytest
from pydantic import BaseModel

from statewright import (
    Failure,
    MemoryStore,
    Success,
    UnexpectedError,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
)
from tests.engine.held_store import HeldStore, settled


class Made(BaseModel):
    steps: list[str] = []


class Make(BaseModel): ...


class Step(BaseModel):
    """Runs a function of the test within the handler."""

    name: str


class Plan(Workflow[Made, Make | Step, Never], name="plan"): ...


Steps = dict[str, Callable[[], Awaitable[Any]]]


async def plans(store: Any, steps: Steps, *ids: str, **options: Any) -> WorkflowExecutor[Plan]:
    """Return an executor over a store that has these workflows."""
    router: Any = WorkflowRouter(Plan, steps, wrap_deps=False)

    @router.on
    def make(_: None, command: Make) -> Made:
        return Made()

    @router.on
    async def step(made: Made, command: Step, ctx: Any) -> Made:
        if command.name in ctx.deps:
            await ctx.deps[command.name]()
        return Made(steps=[*made.steps, command.name])

    executor: Any = WorkflowExecutor(router, store, **options)
    for id in ids:
        assert (await executor.execute(id, Make())).ok
    return executor


def outcome(result: Any) -> str:
    match result:
        case Success():
            return "ok"
        case Failure(error=error):
            assert error.__traceback__ is None
            return type(error).__name__


async def in_time(*calls: Awaitable[Any]) -> list[Any]:
    """Gather calls; what is still waiting after a while would wait for ever."""
    async with asyncio.timeout(30):
        return list(await asyncio.gather(*calls))


class Meeting:
    """Steps that call other workflows once all of them are in their handlers."""

    def __init__(self, parties: int) -> None:
        self.barrier = asyncio.Barrier(parties)
        self.seen: dict[str, Any] = {}
        self.executor: Any = None

    def calls(self, id: str, name: str = "plain") -> Callable[[], Awaitable[None]]:
        async def step() -> None:
            await self.barrier.wait()
            self.seen[id] = await self.executor.execute(id, Step(name=name))

        return step


async def test_two_workflows_that_wait_for_each_other_are_parted() -> None:
    """Of two calls, each within the other's workflow, the one that closes the circle is refused at once."""
    meeting = Meeting(2)
    steps: Steps = {"to b": meeting.calls("b"), "to a": meeting.calls("a")}
    meeting.executor = executor = await plans(MemoryStore(), steps, "a", "b")

    results = await in_time(executor.execute("a", Step(name="to b")), executor.execute("b", Step(name="to a")))

    assert [outcome(result) for result in results] == ["ok", "ok"]
    assert sorted(map(outcome, meeting.seen.values())) == ["UnexpectedError", "ok"]
    refused = next(result.error for result in meeting.seen.values() if not result.ok)
    assert "waits" in str(refused)
    assert any(repr(id) in str(refused) for id in "ab")


async def test_a_circle_of_many_is_closed_by_one() -> None:
    """However long the circle is, one call is refused and all the others go on."""
    ids = ["a", "b", "c", "d", "e"]
    meeting = Meeting(len(ids))
    following = dict(zip(ids, [*ids[1:], ids[0]], strict=True))
    steps: Steps = {f"from {id}": meeting.calls(to) for id, to in following.items()}
    meeting.executor = executor = await plans(MemoryStore(), steps, *ids)

    results = await in_time(*(executor.execute(id, Step(name=f"from {id}")) for id in ids))

    assert [outcome(result) for result in results] == ["ok"] * 5
    assert sorted(map(outcome, meeting.seen.values())) == ["UnexpectedError", "ok", "ok", "ok", "ok"]


async def test_a_circle_through_nested_calls_is_found() -> None:
    """A call that waits in the name of the one that made it closes a circle, too."""
    first, last = asyncio.Event(), asyncio.Event()
    seen: dict[str, Any] = {}

    async def through_c() -> None:
        seen["c"] = await executor.execute("c", Step(name="to b"))

    async def to_b() -> None:
        first.set()
        await last.wait()
        seen["b"] = await executor.execute("b", Step(name="plain"))

    async def to_a() -> None:
        await first.wait()
        last.set()
        seen["a"] = await executor.execute("a", Step(name="plain"))

    steps: Steps = {"through c": through_c, "to b": to_b, "to a": to_a}
    executor = await plans(MemoryStore(), steps, "a", "b", "c")

    results = await in_time(executor.execute("a", Step(name="through c")), executor.execute("b", Step(name="to a")))

    assert [outcome(result) for result in results] == ["ok", "ok"]
    assert sorted([outcome(seen["a"]), outcome(seen["b"])]) == ["UnexpectedError", "ok"]
    assert outcome(seen["c"]) == "ok"


async def test_a_circle_over_two_stores_is_found() -> None:
    """Which store a workflow lives in does not matter; the same id in two stores is two workflows."""
    meeting = Meeting(2)
    seen: list[Any] = []
    there: Any = None

    async def over() -> None:
        await meeting.barrier.wait()
        seen.append(await there.execute("a", Step(name="plain")))

    here = await plans(MemoryStore(), {"over": over, "back": meeting.calls("a")}, "a")
    there = await plans(MemoryStore(), {"over": over, "back": meeting.calls("a")}, "a")
    meeting.executor = here

    results = await in_time(here.execute("a", Step(name="over")), there.execute("a", Step(name="back")))

    assert [outcome(result) for result in results] == ["ok", "ok"]
    assert sorted(map(outcome, [*seen, *meeting.seen.values()])) == ["UnexpectedError", "ok"]


async def test_waits_that_go_nowhere_round_are_waits() -> None:
    """A handler may wait for a busy workflow, and many may wait for one, as long as nobody waits back."""
    gate = asyncio.Event()
    seen: list[Any] = []

    async def call_busy() -> None:
        seen.append(await executor.execute("busy", Step(name="plain")))

    executor = await plans(MemoryStore(), {"hold": gate.wait, "call": call_busy}, "a", "b", "busy")
    holding = asyncio.create_task(executor.execute("busy", Step(name="hold")))
    await settled()
    calling = [asyncio.create_task(executor.execute(id, Step(name="call"))) for id in ("a", "b", "a")]
    await settled()
    gate.set()

    results = await in_time(holding, *calling)

    assert [outcome(result) for result in [*results, *seen]] == ["ok"] * 7


@pytest.mark.parametrize("lost_first", [True, False])
async def test_a_circle_that_a_lost_race_closes_is_found(lost_first: bool) -> None:  # noqa: FBT001
    """A call that has to be decided again may find that the one it now waits for waits for it, and the other way."""
    store = HeldStore()
    go = asyncio.Event()
    seen: dict[str, list[str]] = {"a": [], "b": []}

    async def to_b() -> None:
        seen["b"].append(outcome(await executor.execute("b", Step(name="plain"))))

    async def to_a() -> None:
        await go.wait()
        seen["a"].append(outcome(await executor.execute("a", Step(name="plain"))))

    executor = await plans(store, {"to b": to_b, "to a": to_a}, "a", "b")
    elsewhere = await plans(store.inner, {})
    store.holds = True
    first = asyncio.create_task(executor.execute("b", Step(name="plain")))
    await store.until_saving()
    calling = asyncio.create_task(executor.execute("a", Step(name="to b")))
    await settled()
    back = asyncio.create_task(executor.execute("b", Step(name="to a")))
    await settled()
    store.let_save()  # b goes on: the call from a is decided, and rests on a save; the one to a is in its handler
    await store.until_saving()
    store.holds = False
    assert (await elsewhere.execute("b", Step(name="first"))).ok
    if not lost_first:
        go.set()
        await settled()
    store.let_save()  # lost: the call from a has to be decided again, behind the one that waits for a
    await settled()
    go.set()

    results = await in_time(first, calling, back)

    assert [outcome(result) for result in results] == ["ok", "ok", "ok"]
    refused = "a" if lost_first else "b"
    assert seen[refused][0] == "UnexpectedError"
    assert [*seen["a"], *seen["b"]].count("UnexpectedError") == 1


async def test_a_handler_does_not_forget_its_own_workflow() -> None:
    """Forgetting within a call is refused where it would wait for that call, and allowed elsewhere."""
    seen: list[Any] = []

    async def forget_own() -> None:
        with pytest.raises(UnexpectedError, match="'a'"):
            await executor.forget("a")
        seen.append(await executor.forget("b"))

    executor = await plans(MemoryStore(), {"forget": forget_own}, "a", "b")

    assert outcome((await in_time(executor.execute("a", Step(name="forget"))))[0]) == "ok"
    assert seen == [True]


async def test_forgetting_closes_no_circle() -> None:
    """A handler that forgets a workflow whose handler waits for it is refused, as a command would be."""
    meeting = Meeting(2)
    seen: list[Any] = []

    async def forget_b() -> None:
        await meeting.barrier.wait()
        await settled()
        try:
            seen.append(await executor.forget("b"))
        except UnexpectedError as error:
            seen.append(error)

    meeting.executor = executor = await plans(MemoryStore(), {"to a": meeting.calls("a"), "forget": forget_b}, "a", "b")

    results = await in_time(executor.execute("a", Step(name="forget")), executor.execute("b", Step(name="to a")))

    assert [outcome(result) for result in results] == ["ok", "ok"]
    assert isinstance(seen[0], UnexpectedError)


async def test_a_wait_that_was_given_up_is_forgotten() -> None:
    """A call that timed out waiting for a workflow is no part of any circle afterwards."""
    gate, entered = asyncio.Event(), asyncio.Event()
    seen: list[Any] = []

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await executor.execute("b", Step(name="plain"))
        entered.set()
        await gate.wait()

    async def hold_then_call() -> None:
        await entered.wait()
        waiting = asyncio.create_task(executor.execute("a", Step(name="plain")))
        await settled()
        gate.set()
        seen.append(await waiting)

    executor = await plans(MemoryStore(), {"impatient": impatient, "hold": hold_then_call}, "a", "b")
    holding = asyncio.create_task(executor.execute("b", Step(name="hold")))
    await settled()

    results = await in_time(executor.execute("a", Step(name="impatient")), holding)

    assert [outcome(result) for result in [*results, *seen]] == ["ok", "ok", "ok"]
