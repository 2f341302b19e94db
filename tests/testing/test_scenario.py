"""Given, when, then."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from statewright import Context, Failure, MemoryStore, Success, WorkflowExecutor, WorkflowRouter
from statewright.errors import (
    ConcurrencyConflictError,
    InvalidDataError,
    NotFoundError,
    RoutingError,
    UnexpectedError,
)
from statewright.testing import ManualClock, check_path, given
from tests.engine.workshop import Idle, Set, bell_router
from tests.testing.orders import (
    AddItem,
    Cancel,
    Cancelled,
    Draft,
    EmptyOrder,
    Open,
    Order,
    OrderPlaced,
    Place,
    Placed,
    router,
)
from tests.testing.stores import TableStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def on_router() -> Any:
    """Return the router."""
    return router


def on_executor() -> Any:
    """Return an executor over an empty store."""
    return WorkflowExecutor(router, MemoryStore())


@pytest.fixture(params=[on_router, on_executor], ids=["router", "executor"])
def subject(request: pytest.FixtureRequest) -> Any:
    """Both forms of a scenario."""
    make: Callable[[], Any] = request.param
    return make()


# --- what a scenario says --------------------------------------------------------------------------------------------


def test_a_command_leads_to_a_state(subject: Any) -> None:
    """`then` compares the state by class and by content, or by class alone."""
    given(subject, Draft(items=["tea"])).when(AddItem(item="milk")).then(Draft(items=["tea", "milk"])).then(Draft)


def test_a_command_creates(subject: Any) -> None:
    """From nothing, a command creates."""
    given(subject, None).when(Open()).then(Draft())


def test_events_and_time(subject: Any) -> None:
    """`emits` compares the events of the last command, and `now` is what the handler sees."""
    placing = given(subject, Draft(items=["tea"]), id="o-1", now=NOON).when(Place())

    placing.emits(OrderPlaced(order_id="o-1")).emits(OrderPlaced).then(Placed(items=["tea"], placed_at=NOON))
    placing.when(Cancel()).emits().then(Cancelled(why="changed my mind"))


def test_a_refusal(subject: Any) -> None:
    """`fails` takes an error's class, its facts, or the error; the state stays as it was."""
    placing = given(subject, Draft()).when(Place())

    placing.fails(EmptyOrder).fails(EmptyOrder, minimum=1).fails(EmptyOrder(minimum=1)).then(Draft()).emits()


def test_errors_of_ours_are_failures_too(subject: Any) -> None:
    """Routing and validation errors can be expected, with their facts."""
    given(subject, Draft()).when(Open()).fails(RoutingError, code="NO_HANDLER", state="Draft")
    given(subject, Draft()).when({"type": "Nothing"}).fails(RoutingError, code="UNKNOWN_COMMAND")
    given(subject, Draft()).when({"type": "AddItem", "payload": {"item": ""}}).fails(InvalidDataError, source="command")


def test_several_commands(subject: Any) -> None:
    """Commands go one after the other, in one `when` or in several; `emits` looks at the last one."""
    scenario = given(subject, None).when(Open(), AddItem(item="tea"), Place())

    scenario.emits(OrderPlaced(order_id=scenario.id)).when({"type": "Cancel", "payload": {"why": "late"}}).emits()
    scenario.then(Cancelled(why="late"))
    assert isinstance(scenario.result, Success)
    assert scenario.workflow.version == 4


def test_after_an_expected_failure_it_goes_on(subject: Any) -> None:
    """A refusal that was expected does not end a scenario."""
    given(subject, Draft()).when(Place()).fails(EmptyOrder).when(AddItem(item="tea"), Place()).then(Placed)


def test_a_refused_creation_leaves_nothing(subject: Any) -> None:
    """`then(None)` says that there is no workflow."""
    expected = NotFoundError if isinstance(subject, WorkflowExecutor) else RoutingError

    given(subject, None).when(Place()).fails(expected).then(None)


def test_metadata_is_sent_with_each_command() -> None:
    """Handlers find the metadata of the scenario."""
    mine = WorkflowRouter(Order)

    @mine.on
    def cancel(order: Draft, command: Cancel, ctx: Context[OrderPlaced]) -> Cancelled:
        return Cancelled(why=ctx.metadata["user"])

    given(mine, Draft(), metadata={"user": "ann"}).when(Cancel()).then(Cancelled(why="ann"))
    executor = WorkflowExecutor(mine, MemoryStore())
    given(executor, Draft(), metadata={"user": "bob"}).when(Cancel()).then(Cancelled(why="bob"))


def test_the_given_state_counts_as_stored() -> None:
    """A workflow in a given state is at version 1, stored at the scenario's moment."""
    order = given(router, Draft(), now=NOON).workflow

    assert (order.id, order.version, order.created_at) == ("given", 1, NOON)


def test_the_routers_own_clock_is_kept() -> None:
    """Without `now`, the router's clock says what time it is."""
    clock = ManualClock(NOON)
    mine = WorkflowRouter(Order, clock=clock)
    mine.include(router)

    given(mine, Draft(items=["tea"])).when(Place()).then(Placed(items=["tea"], placed_at=NOON))
    assert router._clock is not clock


# --- what fails a test -----------------------------------------------------------------------------------------------


WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "then after a failure": (lambda s: s.when(Place()).then(Placed), "the command failed: EmptyOrder"),
    "emits after a failure": (lambda s: s.when(Place()).emits(), "the command failed: EmptyOrder"),
    "when after a failure": (lambda s: s.when(Place()).when(Open()), "the command failed: EmptyOrder"),
    "a failure before the last": (lambda s: s.when(Place(), Open()), "command 1 of 2, Place(), failed: EmptyOrder"),
    "another error": (
        lambda s: s.when(Place()).fails(RoutingError),
        "expected RoutingError, but the command failed with EmptyOrder",
    ),
    "another fact": (lambda s: s.when(Place()).fails(EmptyOrder, minimum=2), "with minimum=2, but found 1"),
    "another field": (lambda s: s.when(Place()).fails(EmptyOrder(minimum=2)), "with minimum=2, but found 1"),
    "no such fact": (lambda s: s.when(Place()).fails(EmptyOrder, colour=2), "with colour=2, but found 'nothing'"),
    "no error": (
        lambda s: s.when(Cancel()).fails(EmptyOrder),
        "expected EmptyOrder, but the command led to Cancelled(why=",
    ),
    "another state": (lambda s: s.when(Cancel()).then(Draft), "expected state Draft, but found Cancelled(why="),
    "another state's data": (
        lambda s: s.when(Cancel()).then(Draft()),
        "expected state Draft(items=[]), but found Cancelled(why=",
    ),
    "other data": (
        lambda s: s.when(Cancel()).then(Cancelled(why="x")),
        "expected Cancelled(why='x')\n but found Cancelled(why=",
    ),
    "a workflow": (lambda s: s.when(Cancel()).then(None), "expected no workflow, but found Cancelled(why="),
    "no event": (
        lambda s: s.when(Cancel()).emits(OrderPlaced),
        "expected the events OrderPlaced\n       but found (none)",
    ),
    "another event": (
        lambda s: s.when(AddItem(item="tea"), Place()).emits(OrderPlaced(order_id="another")),
        "expected the events OrderPlaced(order_id='another')\n       but found OrderPlaced(order_id='given')",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_so_fails(case: str) -> None:
    """Each expectation that does not hold is an AssertionError that says what was expected and what was found."""
    act, told = WRONG[case]

    with pytest.raises(AssertionError) as caught:
        act(given(router, Draft()))

    assert told in str(caught.value)


def test_a_bug_shows_its_place() -> None:
    """An unexpected error fails with its cause, and with the line that raised it."""
    mine = WorkflowRouter(Order)

    @mine.on
    def place(order: Draft, command: Place) -> Placed:
        raise ZeroDivisionError("a bug")

    with pytest.raises(AssertionError) as caught:
        given(mine, Draft()).when(Place()).then(Placed)

    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "caused by ZeroDivisionError: a bug" in str(caught.value)
    assert Path(__file__).name in str(caught.value)
    given(mine, Draft()).when(Place()).fails(UnexpectedError)


def test_mistakes_in_the_test_are_told() -> None:
    """A scenario without a command, an undeclared state, a foreign subject or a naive moment is refused at once."""
    with pytest.raises(LookupError, match="when"):
        given(router, Draft()).then(Draft)
    with pytest.raises(TypeError, match="at least one"):
        given(router, Draft()).when()
    with pytest.raises(InvalidDataError):
        given(router, Open())
    with pytest.raises(TypeError, match="MemoryStore"):
        given(MemoryStore(), Draft())  # type: ignore[call-overload, arg-type, unused-ignore]
    with pytest.raises(ValueError, match="aware"):
        given(router, Draft(), now=NOON.replace(tzinfo=None))


# --- where it runs ---------------------------------------------------------------------------------------------------


async def test_it_runs_inside_an_async_test(subject: Any) -> None:
    """In a running event loop a scenario is synchronous all the same, and the loop stays as it was."""
    loop = asyncio.get_running_loop()

    given(subject, None).when(Open(), AddItem(item="tea"), Cancel()).then(Cancelled)

    assert asyncio.get_running_loop() is loop
    await asyncio.sleep(0)


USER: contextvars.ContextVar[str] = contextvars.ContextVar("user")


@pytest.mark.parametrize("inside", [False, True], ids=["sync test", "async test"])
def test_handlers_see_the_tests_context(*, inside: bool) -> None:
    """Context variables of the test reach the handlers; they run on the test's thread where they can."""
    mine = WorkflowRouter(Order)
    threads: list[threading.Thread] = []

    @mine.on
    async def cancel(order: Draft, command: Cancel) -> Cancelled:
        await asyncio.sleep(0)
        threads.append(threading.current_thread())
        return Cancelled(why=USER.get())

    async def in_a_loop() -> None:
        given(mine, Draft()).when(Cancel()).then(Cancelled(why="ann"))

    USER.set("ann")
    if inside:
        asyncio.run(in_a_loop())
    else:
        given(mine, Draft()).when(Cancel()).then(Cancelled(why="ann"))

    assert (threads == [threading.current_thread()]) is not inside


def test_an_executor_scenario_is_stored(tmp_path: Path) -> None:
    """With an executor a scenario goes through middleware and store, which is opened for each step."""
    seen: list[object] = []

    async def noting(ctx: Any, call_next: Any) -> Success | Failure:
        seen.append(ctx.command)
        result: Success | Failure = await call_next()
        return result

    executor = WorkflowExecutor(router, TableStore(tmp_path / "orders.db")).use(noting)
    scenario = given(executor, Draft()).when(AddItem(item="tea")).when(Place()).then(Placed)

    with executor.sync() as orders:
        order = orders.get(scenario.id)
    assert order is not None
    assert (order.version, order.state) == (3, "Placed")
    assert seen == [AddItem(item="tea"), Place()]


def test_an_executor_scenario_has_an_id_of_its_own() -> None:
    """Scenarios on one store do not meet, unless they name an id that is taken."""
    executor = on_executor()

    ids = {given(executor, Draft()).id for _ in range(3)}

    assert len(ids) == 3
    with pytest.raises(ConcurrencyConflictError):
        given(executor, Draft(), id=ids.pop())


# --- paths -----------------------------------------------------------------------------------------------------------


def test_a_path_leads_through_states(subject: Any) -> None:
    """Each command of a path leads to the state that is named with it."""
    end = check_path(subject, [(Open(), Draft), (AddItem(item="tea"), Draft), (Place(), Placed)], id="o-1", now=NOON)

    end.emits(OrderPlaced(order_id="o-1")).then(Placed(items=["tea"], placed_at=NOON))
    check_path(subject, [(Cancel(), Cancelled)], start=Draft())


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ([(Open(), Draft), (Place(), Placed)], "step 2 of 2, Place(): the command failed: EmptyOrder"),
        ([(Open(), Placed)], "step 1 of 1, Open(): expected state Placed, but found Draft(items=[])"),
        ([(Place(), Placed), (Open(), Draft)], "step 1 of 2, Place(): the command failed: RoutingError"),
    ],
    ids=["refused", "another state", "no handler"],
)
def test_a_path_that_leads_elsewhere_fails(path: list[Any], told: str) -> None:
    """A path that breaks off says at which step, and how."""
    with pytest.raises(AssertionError) as caught:
        check_path(router, path)

    assert str(caught.value).startswith(told)


def test_a_delay_counts_from_the_given_moment() -> None:
    """With `now`, a timer's delay counts from there, as with a clock of the router's own."""
    store = MemoryStore()

    given(WorkflowExecutor(bell_router(), store), Idle(), now=NOON, id="b-1").when(Set(delay=timedelta(hours=1)))

    [timer] = asyncio.run(store.timers("b-1"))
    assert timer.due_at == NOON + timedelta(hours=1)
