"""Timers: when they act, and when they do not."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from statewright import Context, Migrations, Worker, Workflow, WorkflowExecutor, WorkflowRouter, WorkflowSnapshot
from statewright.errors import LeaseLostError
from statewright.testing import FaultyStore, ManualClock
from tests.engine.workshop import ZERO, Begin, Leave, Move, Ring, Set, Store, Trouble, bell_router, rung

pytest_plugins = ["tests.fixtures.stores"]

HOUR = timedelta(hours=1)


class Bells:
    """Bells over a store, and a worker, that share a clock which stands still."""

    def __init__(self, store: Store, trouble: Trouble | None = None, **facts: Any) -> None:
        self.clock = ManualClock()
        self.trouble = trouble or Trouble()
        self.store = store
        self.bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(self.trouble, clock=self.clock), store)
        self.worker = Worker(store, [self.bells], clock=self.clock, **{"backoff": ZERO} | facts)

    async def run(self, *commands: Any, id: str = "b-1") -> None:
        """Execute commands on a bell, which is made if there is none."""
        if await self.bells.get(id) is None:
            (await self.bells.execute(id, Begin())).unwrap()
        for command in commands:
            (await self.bells.execute(id, command)).unwrap()

    async def after(self, passed: timedelta = ZERO) -> list[str]:
        """Let time pass and the worker work; return what has rung."""
        self.clock.advance(passed)
        await self.worker.run_until_idle()
        return await rung(self.bells)


# --- when it acts ----------------------------------------------------------------------------------------------------


async def test_a_timer_is_never_early(store: Store) -> None:
    """A timer acts from its very moment on, and not a microsecond before."""
    room = Bells(store)
    await room.run(Set(delay=HOUR))

    assert await room.after(HOUR - timedelta(microseconds=1)) == []
    assert await room.after(timedelta(microseconds=1)) == ["bell"]
    assert await room.after(HOUR) == ["bell"]


async def test_it_says_what_it_follows_from(store: Store) -> None:
    """The commit of a timer's command names the timer, and the commit that set it."""
    room = Bells(store)
    await room.run(Set(delay=HOUR))
    await room.after(HOUR)

    _, setting, ringing = await room.bells.history("b-1")
    assert ringing.metadata == {"timer": "Ring", "causation_id": (await store.history("b-1"))[1].id}
    assert setting.metadata == {}


async def test_a_moment_is_absolute(store: Store) -> None:
    """A timer with a moment acts at that moment, also if it has passed already."""
    room = Bells(store)
    await room.run(
        Set(at=room.clock() + HOUR, key="later"), Set(at=room.clock() - HOUR, key="past", ring=Ring(name="p"))
    )

    assert await room.after() == ["p"]
    assert await room.after(HOUR) == ["p", "bell"]


async def test_timers_act_in_order_of_time(store: Store) -> None:
    """Timers of different workflows that are overdue act in the order of their moments."""
    room = Bells(store)
    for id, hours in (("b-1", 3), ("b-2", 1), ("b-3", 2)):
        await room.run(Set(delay=hours * HOUR), id=id)

    late = room.clock.advance(4 * HOUR)

    assert [timer.workflow_id for timer in await store.due_timers(["bell"], now=late)] == ["b-2", "b-3", "b-1"]


async def test_by_the_stores_own_clock(store: Store) -> None:
    """Without a clock of the caller's, a delay is added and judged by the store's, and nothing is early."""
    bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(), store)
    worker = Worker(store, [bells])
    (await bells.execute("b-1", Begin())).unwrap()
    (await bells.execute("b-1", Set(delay=HOUR, key="later"))).unwrap()
    (await bells.execute("b-1", Set(delay=ZERO, key="now", ring=Ring(name="now")))).unwrap()

    await worker.run_until_idle()

    assert await rung(bells) == ["now"]
    until = await store.until_next_due(["bell"])
    assert timedelta(minutes=59) < until <= HOUR


async def test_replaced(store: Store) -> None:
    """Scheduling a key again replaces the timer, whether earlier or later."""
    room = Bells(store)
    await room.run(Set(delay=HOUR, ring=Ring(name="one")), Set(delay=3 * HOUR, ring=Ring(name="two")))

    assert await room.after(2 * HOUR) == []
    assert await room.after(HOUR) == ["two"]


async def test_cancelled(store: Store) -> None:
    """A cancelled timer does not act; another key does."""
    room = Bells(store)
    await room.run(Set(delay=HOUR, key="one"), Set(delay=HOUR, key="two", ring=Ring(name="two")), Set(cancel="one"))

    assert await room.after(HOUR) == ["two"]


async def test_a_state_that_was_left(store: Store) -> None:
    """Leaving the state ends its timers, and coming back does not bring them back."""
    room = Bells(store)
    await room.run(Set(delay=HOUR), Move(), Move())

    assert await room.after(HOUR) == []


async def test_a_timer_belongs_to_the_state_that_its_handler_returns(store: Store) -> None:
    """A timer that is set on the way into a state belongs to that state."""
    room = Bells(store)
    await room.run(Set(delay=HOUR, then="Busy"))

    assert await room.after(HOUR) == ["bell"]


async def test_staying_keeps(store: Store) -> None:
    """A self-transition keeps the state's timers."""
    room = Bells(store)
    await room.run(Set(delay=HOUR), Ring(name="meanwhile"))

    assert await room.after(HOUR) == ["meanwhile", "bell"]


async def test_kept(store: Store) -> None:
    """A timer that is to be kept survives its state."""
    room = Bells(store)
    await room.run(Set(delay=HOUR, keep=True), Move())

    assert await room.after(HOUR) == ["bell"]


async def test_a_timer_may_set_itself_again(store: Store) -> None:
    """What a timer's own handler schedules under the same key stands, although the timer itself is consumed."""
    clock = ManualClock()

    class Beat(BaseModel):
        count: int = 0

    class Tick(BaseModel): ...

    class Pulse(Workflow[Beat, Tick], name="pulse"): ...

    router: WorkflowRouter[Pulse, Any] = WorkflowRouter(Pulse, clock=clock)

    @router.on
    def tick(state: Beat | None, command: Tick, ctx: Context) -> Beat:
        ctx.schedule(Tick(), delay=HOUR)
        return Beat(count=(state.count if state else 0) + 1)

    pulses: WorkflowExecutor[Any] = WorkflowExecutor(router, store)
    (await pulses.execute("p-1", Tick())).unwrap()
    worker = Worker(store, [pulses], clock=clock)
    for count in (2, 3):
        clock.advance(HOUR)
        await worker.run_until_idle()
        assert (await pulses.get("p-1")).data.count == count


async def test_the_timers_of_a_fold(store: Store) -> None:
    """Of commands that are saved together, the later ones see what the earlier ones said of timers."""
    room = Bells(store)
    await room.run()
    commands = [
        Set(delay=HOUR, key="a"),
        Set(delay=HOUR, key="b", ring=Ring(name="b")),
        Set(cancel="a"),
        Ring(name="r"),
    ]

    for result in await asyncio.gather(*(room.bells.execute("b-1", command) for command in commands)):
        result.unwrap()

    assert await room.after(HOUR) == ["r", "b"]


async def test_survives_a_restart(make_store: Any) -> None:
    """A timer that was saved acts after every process has gone and another one has come."""
    clock = ManualClock()
    async with make_store() as store:
        bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(clock=clock), store)
        (await bells.execute("b-1", Begin())).unwrap()
        (await bells.execute("b-1", Set(delay=HOUR))).unwrap()
    clock.advance(HOUR)

    async with make_store() as store:
        bells = WorkflowExecutor(bell_router(clock=clock), store)
        await Worker(store, [bells], clock=clock).run_until_idle()
        assert await rung(bells) == ["bell"]


async def test_two_workers_act_once(make_store: Any) -> None:
    """Of two workers that run at the same time over the same data, one executes a due timer, once."""
    clock = ManualClock()
    trouble = Trouble()
    async with make_store() as one, make_store() as two:
        executors = [WorkflowExecutor(bell_router(trouble, clock=clock), each) for each in (one, two)]
        bells: WorkflowExecutor[Any] = executors[0]
        for number in range(20):
            (await bells.execute(f"b-{number}", Begin())).unwrap()
            (await bells.execute(f"b-{number}", Set(delay=HOUR))).unwrap()
        clock.advance(HOUR)

        workers = [Worker(each.store, [each], clock=clock) for each in executors]
        await asyncio.gather(*(worker.run_until_idle() for worker in workers))
        await workers[1].run_until_idle()

        assert [await rung(bells, f"b-{number}") for number in range(20)] == [["bell"]] * 20
        assert trouble.rings == 20


# --- when it is done with, and when not ------------------------------------------------------------------------------


async def test_refused_by_a_rule(store: Store) -> None:
    """A timer whose command is refused by a domain error is done with."""
    room = Bells(store)
    await room.run(Set(delay=HOUR, ring=Ring(is_refused=True)))

    assert await room.after(HOUR) == []
    tried = room.trouble.rings
    assert tried > 0
    assert await room.after(HOUR) == []
    assert room.trouble.rings == tried
    assert await store.until_next_due(["bell"]) is None
    assert await store.dead_letters() == []


async def test_without_a_handler(store: Store) -> None:
    """A kept timer whose command has no handler in the state that it finds is done with."""
    room = Bells(store)
    await room.run(Set(delay=HOUR, keep=True), Leave())

    assert await room.after(HOUR) == []
    assert await store.until_next_due(["bell"]) is None
    assert await store.dead_letters() == []


async def test_retried_with_backoff(store: Store) -> None:
    """A command that fails otherwise is tried again later, and acts once it works."""
    room = Bells(store, Trouble(raises=OSError("down")), backoff=timedelta(minutes=1))
    await room.run(Set(delay=HOUR))

    assert await room.after(HOUR) == []
    assert room.trouble.rings > 0
    room.trouble.raises = None
    assert await room.after(timedelta(seconds=29)) == []
    assert await room.after(timedelta(seconds=31)) == ["bell"]


async def test_a_dead_letter_in_the_end(store: Store) -> None:
    """After its retries a timer is a dead letter, says why, and acts at once when it is retried, by whichever clock."""
    room = Bells(store, Trouble(raises=OSError("down")), retries=2)
    await room.run(Set(delay=HOUR))

    assert await room.after(HOUR) == []

    [letter] = await store.dead_letters()
    told = (letter.kind, letter.reader, letter.target_id, letter.attempts, letter.error["category"])
    assert told == ("timer", "timers:bell", "b-1", 3, "unexpected")
    assert letter.error["cause"] == "OSError"
    room.trouble.raises = None
    assert await room.after(HOUR) == []
    assert await store.retry_dead_letter(letter.id)
    assert await room.after() == ["bell"]


async def test_a_dead_letter_goes_with_its_state(store: Store) -> None:
    """A timer that has become a dead letter is gone when its state is left."""
    room = Bells(store, Trouble(raises=OSError("down")), retries=0)
    await room.run(Set(delay=HOUR))
    await room.after(HOUR)
    assert len(await store.dead_letters()) == 1

    await room.run(Move())

    assert await store.dead_letters() == []


async def test_failures_of_the_store_do_not_count(store: Store) -> None:
    """A store that fails for long makes no dead letter."""
    faulty = FaultyStore(store)
    room = Bells(faulty, retries=0)
    await room.run(Set(delay=HOUR))
    done = faulty.calls["save"]
    for call in range(done + 1, done + 4):
        faulty.fail(call, on="save", how="before")

    assert await room.after(HOUR) == []
    assert await room.after(timedelta(seconds=1)) == []
    assert await room.after(timedelta(seconds=1)) == []
    assert await store.dead_letters() == []
    assert await room.after(timedelta(seconds=1)) == ["bell"]
    assert room.trouble.rings == 4


async def test_definitions_of_others_are_left_alone(store: Store) -> None:
    """A worker without an executor for a definition leaves its timers to others."""
    room = Bells(store)
    await room.run(Set(delay=HOUR))
    room.clock.advance(HOUR)

    class Other(Workflow[Ring, Begin], name="other"): ...

    router: WorkflowRouter[Other, Any] = WorkflowRouter(Other)

    @router.on
    def begin(state: None, command: Begin) -> Ring:
        return Ring()

    await Worker(store, [WorkflowExecutor(router, store)], clock=room.clock).run_until_idle()

    assert await room.after() == ["bell"]


async def test_a_command_that_this_code_does_not_know(store: Store) -> None:
    """A timer whose command this worker's code does not know is kept, for a worker that does."""
    room = Bells(store)
    await room.run(Set(delay=HOUR))
    room.clock.advance(HOUR)

    class State(BaseModel):
        rung: list[str] = []

    class Start(BaseModel): ...

    class Older(Workflow[State, Start], name="bell", stored_names={State: "Idle", Start: "Begin"}): ...

    router: WorkflowRouter[Older, Any] = WorkflowRouter(Older)

    @router.on
    def begin(state: None, command: Start) -> State:
        return State()

    older = Worker(store, [WorkflowExecutor(router, store)], clock=room.clock, backoff=ZERO, retries=1)
    await older.run_until_idle()
    [letter] = await store.dead_letters()
    assert letter.error["code"] == "UNKNOWN_COMMAND"

    await store.retry_dead_letter(letter.id)
    assert await room.after() == ["bell"]


# --- races -----------------------------------------------------------------------------------------------------------


async def test_cancelled_after_it_was_read(store: Store) -> None:
    """A timer that is cancelled between the look at the due ones and its execution does not act."""
    room = Bells(store)
    await room.run(Set(delay=HOUR))
    [fence] = await store.acquire_leases(["timers:bell"], "test", HOUR)
    [timer] = await store.due_timers(["bell"], now=room.clock.advance(HOUR))
    await room.run(Set(cancel="Ring"))

    await room.bells._deliver("b-1", timer.command, fence, timer=timer)

    assert await rung(room.bells) == []


async def test_consumed_twice(store: Store) -> None:
    """A timer that two workers have read acts for the first only."""
    room = Bells(store)
    await room.run(Set(delay=HOUR))
    [fence] = await store.acquire_leases(["timers:bell"], "test", HOUR)
    [timer] = await store.due_timers(["bell"], now=room.clock.advance(HOUR))

    delivering = [room.bells._deliver("b-1", timer.command, fence, timer=timer) for _ in range(5)]
    await asyncio.gather(*delivering)

    assert await rung(room.bells) == ["bell"]


async def test_an_overtaken_worker_saves_nothing(store: Store) -> None:
    """A timer's command under a lease that has passed on is not saved, and other commands of the fold are."""
    room = Bells(store)
    await room.run(Set(delay=HOUR))
    [late] = await store.acquire_leases(["timers:bell"], "test", HOUR)
    await store.release_leases([late])
    await store.acquire_leases(["timers:bell"], "another", HOUR)
    [timer] = await store.due_timers(["bell"], now=room.clock.advance(HOUR))

    ours, theirs = await asyncio.gather(
        room.bells._deliver("b-1", timer.command, late, timer=timer), room.bells.execute("b-1", Ring(name="other"))
    )

    assert isinstance(ours.error, LeaseLostError)
    theirs.unwrap()
    assert await rung(room.bells) == ["other"]
    assert await store.timer_stands("b-1", "Ring", timer.generation)


# --- migrations ------------------------------------------------------------------------------------------------------


async def test_a_migration_that_renames_a_state(store: Store) -> None:
    """A timer of a state that a migration renames belongs to the state under its new name."""
    room = Bells(store)
    await room.run(Set(delay=HOUR), Set(delay=2 * HOUR, key="second", ring=Ring(name="second")))

    class Resting(BaseModel):
        rung: list[str] = []

    class Away(BaseModel):
        rung: list[str] = []

    class Newer(Workflow[Resting | Away, Ring | Move], name="bell", model_version=2): ...

    migrations: Migrations[Any] = Migrations(Newer)

    @migrations.to(2, "an idle bell rests")
    def rename(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
        return snapshot.replace(state="Resting") if snapshot.state == "Idle" else snapshot

    router: WorkflowRouter[Newer, Any] = WorkflowRouter(Newer, clock=room.clock)

    @router.on
    def ring(state: Resting, command: Ring) -> Resting:
        return Resting(rung=[*state.rung, command.name])

    @router.on
    def move(state: Resting, command: Move) -> Away:
        return Away(rung=state.rung)

    bells: WorkflowExecutor[Any] = WorkflowExecutor(router, store, migrations=migrations)
    worker = Worker(store, [bells], clock=room.clock)
    room.clock.advance(HOUR)
    await worker.run_until_idle()
    assert await rung(bells) == ["bell"]
    assert [timer.state for timer in await store.due_timers(["bell"], now=room.clock() + HOUR)] == ["Resting"]

    (await bells.execute("b-1", Move())).unwrap()
    room.clock.advance(HOUR)
    await worker.run_until_idle()
    assert await rung(bells) == ["bell"]


@pytest.mark.parametrize("clock", [ManualClock(), None], ids=["by the caller's clock", "by the store's clock"])
async def test_nothing_without_timers(store: Store, clock: ManualClock | None) -> None:
    """A workflow without timers costs a worker nothing: nothing is due."""
    bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(clock=clock), store)
    (await bells.execute("b-1", Begin())).unwrap()

    await Worker(store, [bells], clock=clock).run_until_idle()

    assert not (await store.load("b-1")).has_timers
    assert await store.until_next_due(["bell"]) is None
