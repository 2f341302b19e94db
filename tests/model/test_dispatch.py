"""Dispatch: what a handler may do, what becomes of it, and that nothing is ever raised."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Never

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel

from statewright import (
    Context,
    DefinitionError,
    DependencyError,
    DomainError,
    Failure,
    InvalidDataError,
    MemoryStore,
    NotFoundError,
    RoutingError,
    Success,
    UnexpectedError,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
)
from tests.model.orders import (
    NOON,
    AddItem,
    Cancel,
    Cancelled,
    Draft,
    EmptyOrder,
    ItemAdded,
    Open,
    Order,
    Place,
    Placed,
    TooMany,
    draft,
    failed,
    routed,
    succeeded,
)

Ctx = Context[Any, Any]


async def decided(handler: Any, order: Any = None, command: Any = None) -> Any:
    """Dispatch a command on an order of one item."""
    command = AddItem(item="milk") if command is None else command
    return await routed(handler).dispatch(draft("tea") if order is None else order, command)


# --- what a handler returns ------------------------------------------------------------------------------------------


def mutates_and_returns(order: Draft, command: AddItem) -> Draft:
    order.items.append(command.item)
    return order


def returns_unchanged(order: Draft, command: AddItem) -> Draft:
    return order


def mutates_and_keeps(order: Draft, command: AddItem) -> None:
    order.items.append(command.item)


def may_keep(order: Draft, command: AddItem) -> Draft | None:
    order.items.append(command.item)


def keeps_by_returning(order: Draft, command: AddItem) -> None:
    order.items.append(command.item)
    return order


async def later(order: Draft, command: AddItem) -> Placed:
    await asyncio.sleep(0)
    return Placed(items=[*order.items, command.item])


@pytest.mark.parametrize(
    ("handler", "state", "items"),
    [
        (mutates_and_returns, "Draft", ["tea", "milk"]),
        (returns_unchanged, "Draft", ["tea"]),
        (mutates_and_keeps, "Draft", ["tea"]),
        (may_keep, "Draft", ["tea"]),
        (keeps_by_returning, "Draft", ["tea", "milk"]),
        (later, "Placed", ["tea", "milk"]),
    ],
)
async def test_what_is_returned_is_the_next_state(handler: Any, state: str, items: list[str]) -> None:
    """The returned object is saved, changed or not; `None` keeps the state and discards changes. Both are a commit."""
    order = draft("tea")

    result = succeeded(await decided(handler, order))

    assert (result.workflow.state, result.workflow.data.items) == (state, items)
    assert (result.version, order.version) == (1, 0)
    assert order.data.items == ["tea"]
    assert result.workflow.id == order.id


async def test_a_handler_that_changes_and_fails_leaves_nothing_behind() -> None:
    """A handler works on a copy of its own, each time."""
    seen: list[list[str]] = []

    def handler(order: Draft, command: AddItem) -> Draft:
        seen.append(list(order.items))
        order.items.append(command.item)
        raise EmptyOrder(minimum=1)

    order, router = draft("tea"), routed(handler)
    for _ in range(3):
        failed(await router.dispatch(order, AddItem(item="milk")), EmptyOrder)

    assert seen == [["tea"]] * 3
    assert order.data.items == ["tea"]


async def test_a_result_shares_nothing_with_the_handler() -> None:
    """What a handler keeps and changes later is not the workflow's."""
    kept: list[Any] = []

    def handler(order: Draft, command: AddItem, ctx: Ctx) -> Draft:
        event = ItemAdded(item=command.item)
        ctx.emit(event)
        kept.extend([order, command, event])
        return order

    command = AddItem(item="milk")
    result = succeeded(await decided(handler, command=command))
    kept[0].items.append("poison")
    kept[1].item = kept[2].item = "poison"

    assert result.workflow.data.items == ["tea"]
    assert result.events == (ItemAdded(item="milk"),)
    assert command.item == "milk"


async def test_creation_begins_at_version_one() -> None:
    """From nothing comes version 1, under the given id or a fresh one, at the router's time."""

    def open_order(_: None, command: Open, ctx: Ctx) -> Draft:
        assert (ctx.version, ctx.state, ctx.data) == (0, None, None)
        return Draft(items=[ctx.id])

    router = routed(open_order)
    result = succeeded(await router.dispatch(None, Open(), id="o-7"))
    others = [succeeded(await router.dispatch(None, Open())).workflow.id for _ in range(2)]

    assert (result.workflow.id, result.version, result.workflow.data.items) == ("o-7", 1, ["o-7"])
    assert result.workflow.created_at == result.workflow.updated_at == NOON
    assert len({*others, "o-7"}) == 3


async def test_a_handler_for_none_and_a_state_is_told_which() -> None:
    """A union with `None` serves both, and is given `None` before creation."""

    def either(order: Draft | None, command: Open) -> Draft:
        return Draft(items=[*(order.items if order else []), "opened"])

    router = routed(either)
    created = succeeded(await router.dispatch(None, Open())).workflow

    assert succeeded(await router.dispatch(created, Open())).workflow.data.items == ["opened", "opened"]


def creates_nothing(_: None, command: Open) -> Draft | None:
    return None


class SubDraft(Draft):
    more: int = 0


def returns(outcome: Any) -> Callable[..., Any]:
    def handler(order: Draft, command: AddItem) -> Draft:
        return outcome

    return handler


def undeclared_none(order: Draft, command: AddItem) -> Draft:
    return None


def never_but_none(order: Draft, command: AddItem) -> Never:
    return None


def never_but_state(order: Draft, command: AddItem) -> Never:
    return order


def keeps_another(order: Draft, command: AddItem) -> None:
    return Placed(items=[])


def generator(order: Draft, command: AddItem) -> Draft:
    yield order


async def async_generator(order: Draft, command: AddItem) -> Draft:
    yield order


WRONG = [
    returns(Placed(items=[])),
    returns(SubDraft()),
    returns({"items": []}),
    returns(Draft),
    returns(draft()),
    returns(7),
    returns((Draft(), [])),
    returns(AddItem(item="x")),
    returns(Draft(items=["\0"])),
    returns(Draft(items=["\ud800"])),
    returns(Draft.model_construct(items=7)),
    returns(Draft.model_construct(items=[object()])),
    returns(Success(draft())),
    never_but_none,
    never_but_state,
    keeps_another,
    generator,
    async_generator,
]


async def test_none_keeps_the_state_whatever_is_announced() -> None:
    """A handler that returns nothing keeps the state, also where its annotation names a state only."""
    result = await decided(undeclared_none)

    assert result.unwrap().workflow.state == "Draft"


@pytest.mark.parametrize("handler", WRONG, ids=range(len(WRONG)))
async def test_a_wrong_outcome_is_invalid_data(handler: Any) -> None:
    """An undeclared target, a subclass, or a value that would not load back is never accepted."""
    error = failed(await decided(handler), InvalidDataError)

    assert error.source == "state"
    assert error.issues
    assert "order" in str(error)


async def test_creating_nothing_is_invalid_data() -> None:
    """From nothing, a `None` at run time is no first state."""
    error = failed(await routed(creates_nothing).dispatch(None, Open()), InvalidDataError)

    assert error.source == "state"


# --- what a handler raises -------------------------------------------------------------------------------------------


class Undeclared(DomainError):
    reason: str = "?"


class SubEmpty(EmptyOrder): ...


def raising(error: BaseException) -> Callable[..., Any]:
    def handler(order: Draft, command: AddItem) -> Draft:
        raise error

    return handler


async def test_a_declared_error_is_a_refusal() -> None:
    """The very error comes back, without its traceback."""
    refusal = TooMany(maximum=3)

    assert failed(await decided(raising(refusal)), TooMany) is refusal


@pytest.mark.parametrize(
    "error",
    [
        SubEmpty(minimum=1),
        Undeclared(),
        ExceptionGroup("g", [EmptyOrder(minimum=1)]),
        ValueError("x"),
        StopIteration(),
        StopAsyncIteration(),
        RecursionError(),
        MemoryError(),
        NotFoundError("o-2"),
        DependencyError("prices"),
        InvalidDataError("command"),
        UnexpectedError("nested"),
        RoutingError("NO_HANDLER", workflow="w", state=None, command="c"),
        DefinitionError("late"),
        asyncio.CancelledError(),
        asyncio.InvalidStateError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("when", ["at once", "later"])
async def test_every_other_exception_is_unexpected(error: BaseException, when: str) -> None:
    """Undeclared subclasses, groups, errors of ours from nested calls, cancellations that nobody asked for: a bug."""

    async def handler(order: Draft, command: AddItem) -> Draft:
        await asyncio.sleep(0)
        raise error

    found = failed(await decided(raising(error) if when == "at once" else handler), UnexpectedError)

    if isinstance(error, StopIteration) and when == "later":
        assert isinstance(found.__cause__, RuntimeError)  # the language's own doing
    else:
        assert found.__cause__ is error
    assert "'order'" in str(found)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit(), BaseExceptionGroup("g", [KeyboardInterrupt()])]
)
async def test_what_is_no_exception_passes(error: BaseException) -> None:
    """A `BaseException` that is no `Exception` is none of ours."""
    with pytest.raises(type(error)):
        await decided(raising(error))


async def test_a_cancellation_that_was_asked_for_passes() -> None:
    """Cancelling a dispatch cancels its handler."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def handler(order: Draft, command: AddItem) -> Draft:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    task = asyncio.create_task(decided(handler))
    await begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_a_cancellation_that_is_swallowed_takes_its_decision_along() -> None:
    """A handler that keeps its cancellation to itself, and returns a state, has decided nothing."""
    begun = asyncio.Event()

    async def handler(order: Draft, command: AddItem) -> Draft:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass
        return Draft(items=["too late"])

    task = asyncio.create_task(decided(handler))
    await begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_handler_may_take_a_cancellation_back() -> None:
    """A handler that says so may go on where it was cancelled; that there was one before is no matter either."""

    async def handler(order: Draft, command: AddItem) -> Draft:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            task.uncancel()
        return Draft(items=["in time"])

    async def cancelled_before() -> Any:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return await decided(handler)

    result = await asyncio.create_task(cancelled_before())
    assert succeeded(result).workflow.data.items == ["in time"]


async def test_a_time_limit_of_the_handlers_own_is_its_business() -> None:
    """A timeout inside a handler cancels nothing but what it was put around."""

    async def handler(order: Draft, command: AddItem) -> Draft:
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(60)
        except TimeoutError:
            return Draft(items=["too late"])

    assert succeeded(await decided(handler)).workflow.data.items == ["too late"]


async def test_errors_of_nested_calls_are_told_apart_from_refusals() -> None:
    """A refusal of another workflow is a refusal here only if it is declared here; other failures never are."""
    inner = routed(raising(EmptyOrder(minimum=1)))
    missing = WorkflowExecutor(routed(returns_unchanged), MemoryStore())

    async def passes_on(order: Draft, command: AddItem) -> Draft:
        (await inner.dispatch(draft(), command)).unwrap()

    async def looks_up(order: Draft, command: AddItem) -> Draft:
        (await missing.execute("o-9", command)).unwrap()

    async def is_invalid(order: Draft, command: AddItem) -> Draft:
        (await inner.dispatch(draft(), {"type": "AddItem"})).unwrap()

    assert failed(await decided(passes_on), EmptyOrder).minimum == 1
    assert isinstance(failed(await decided(looks_up), UnexpectedError).__cause__, NotFoundError)
    assert isinstance(failed(await decided(is_invalid), UnexpectedError).__cause__, InvalidDataError)


async def test_a_refusal_whose_fields_do_not_fit_is_invalid_data() -> None:
    """The mistake is named as what it is, with the class of the error."""

    def handler(order: Draft, command: AddItem) -> Draft:
        raise TooMany(maximum="many")

    error = failed(await decided(handler), InvalidDataError)

    assert (error.source, "TooMany" in str(error)) == ("error", True)


async def test_a_refusal_has_the_code_of_the_workflow_that_it_came_from() -> None:
    """One class may have two stored names; a result tells the one of its own workflow."""

    def open_order(_: None, command: Open) -> Draft:
        raise EmptyOrder(minimum=1)

    class Cart(Workflow[Draft, Open, Never, EmptyOrder], name="cart", stored_names={EmptyOrder: "Bare"}): ...

    class Basket(Workflow[Draft, Open, Never, EmptyOrder], name="basket"): ...

    async def returned(ctx: Ctx, call_next: Any) -> Any:
        return Failure(EmptyOrder(minimum=2))

    for workflow, code in ((Cart, "Bare"), (Basket, "EmptyOrder")):
        for router in (WorkflowRouter(workflow), WorkflowRouter(workflow).use(returned)):
            router.on(open_order)
            error = failed(await router.dispatch(None, Open()), EmptyOrder)
            assert (error.code, error.to_dict()["code"]) == (code, code)


# --- what it is given ------------------------------------------------------------------------------------------------


async def test_no_handler_names_what_was_found_and_what_is_expected() -> None:
    """The pair that has no handler is a RoutingError with all facts."""
    error = failed(await decided(returns_unchanged, command=Place()), RoutingError)

    assert (error.code, error.workflow, error.state, error.command) == ("NO_HANDLER", "order", "Draft", "Place")
    assert (error.expected, error.workflow_id) == (("AddItem",), "o-1")
    assert all(word in str(error) for word in ("'o-1' of 'order'", "Draft", "Place", "AddItem"))


@pytest.mark.parametrize(
    "command",
    [
        {"type": "Ship"},
        {"type": "Ship", "payload": 3, "more": 1},
        SubDraft(),
        None,
        7,
        "AddItem",
        AddItem,
        type("Sub", (AddItem,), {})(item="x"),
    ],
    ids=repr,
)
async def test_an_unknown_command_is_a_routing_error(command: Any) -> None:
    """By name or by exact class; what is wrong with its payload does not matter then."""
    error = failed(await routed(returns_unchanged).dispatch(draft(), command), RoutingError)

    assert error.code == "UNKNOWN_COMMAND"
    assert "AddItem" in error.expected


class Odd(Mapping[str, Any]):
    """A mapping that breaks when it is read."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ({}, ("type",)),
        ({"payload": {}}, ("type",)),
        ({"type": None}, ("type",)),
        ({"type": 3, "payload": {}}, ("type",)),
        ({"type": "AddItem", "payload": None}, ("payload",)),
        ({"type": "AddItem", "payload": {"item": "x"}, "meta": 1}, ("meta",)),
        ({"type": "AddItem"}, ("item",)),
        ({"type": "AddItem", "payload": []}, ()),
        ({"type": "AddItem", "payload": {"item": 3}}, ("item",)),
        ({"type": "AddItem", "payload": {"item": "x", "count": "many"}}, ("count",)),
        (AddItem.model_construct(), ("item",)),
        (AddItem.model_construct(item=3), ("item",)),
        (AddItem(item="\0"), ("item",)),
    ],
    ids=str,
)
async def test_an_invalid_command_says_where(command: Any, path: tuple[str, ...]) -> None:
    """Envelope and payload are checked, and so is an instance; the path leads to the mistake."""
    error = failed(await decided(returns_unchanged, command=command), InvalidDataError)

    assert error.source == "command"
    assert error.issues[0].path == path


async def test_a_payload_may_be_left_out() -> None:
    """A command without fields needs none."""

    def place(order: Draft, command: Place) -> Placed:
        return Placed(items=order.items)

    for command in ({"type": "Place"}, {"type": "Place", "payload": {}}, Place()):
        assert succeeded(await decided(place, command=command)).workflow.state == "Placed"


class Invoice(Workflow[Draft, Open], name="invoice"): ...


@pytest.mark.parametrize("thing", [Draft(), Invoice.create("i", Draft()), 7, "o-1", Order, draft().to_snapshot()])
async def test_what_is_no_workflow_of_the_router_is_an_unknown_state(thing: Any) -> None:
    """A bare state, another definition's workflow, or anything else is refused as a value."""
    assert failed(await decided(returns_unchanged, order=thing), RoutingError).code == "UNKNOWN_STATE"


@pytest.mark.parametrize(
    "options",
    [
        {"id": ""},
        {"id": 7},
        {"id": "\0"},
        {"id": "x" * 256},
        {"metadata": 7},
        {"metadata": {"a": float("nan")}},
        {"metadata": {1: 2}},
    ],
    ids=str,
)
async def test_a_wrong_argument_is_invalid_data(options: dict[str, Any]) -> None:
    """Ids and metadata are checked as an executor checks them."""
    error = failed(await routed(creates_nothing).dispatch(None, Open(), **options), InvalidDataError)

    assert error.source == "argument"


async def test_another_id_than_the_workflows_is_refused() -> None:
    """An id that is given with a workflow is that workflow's."""
    router = routed(returns_unchanged)

    failed(await router.dispatch(draft(), AddItem(item="x"), id="o-2"), InvalidDataError)
    succeeded(await router.dispatch(draft(), AddItem(item="x"), id="o-1"))


# --- time ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "clock", [lambda: NOON.replace(tzinfo=None), lambda: None, lambda: 1 / 0, lambda x: x], ids=range(4)
)
async def test_a_clock_that_does_not_tell_the_time_fails_the_dispatch(clock: Any) -> None:
    """A naive time, none at all, or an exception is an UnexpectedError with its cause."""
    result = await routed(returns_unchanged, clock=clock).dispatch(draft(), AddItem(item="x"))

    assert failed(result, UnexpectedError).__cause__ is not None


async def test_now_is_one_instant_in_utc() -> None:
    """The clock is asked once for a dispatch; the answer is told in UTC, and stamped on the workflow."""
    ticks = iter(datetime(2026, 1, 1, 12, n, tzinfo=timezone(timedelta(hours=2))) for n in range(9))
    seen: list[datetime] = []

    async def handler(order: Draft, command: AddItem, ctx: Ctx) -> Draft:
        seen.extend([ctx.now, ctx.now])
        return order

    order = Order.from_snapshot(
        draft().to_snapshot().replace(created_at=NOON - timedelta(999), updated_at=NOON - timedelta(999))
    )
    result = succeeded(await routed(handler, clock=lambda: next(ticks)).dispatch(order, AddItem(item="x")))

    assert seen == [datetime(2026, 1, 1, 10, tzinfo=UTC)] * 2
    assert seen[0].tzinfo is UTC
    assert (result.workflow.created_at, result.workflow.updated_at) == (order.created_at, seen[0])


async def test_time_never_goes_back_within_a_workflow() -> None:
    """A clock that is behind the last one does not turn the workflow's time back."""
    order = Order.from_snapshot(draft().to_snapshot().replace(updated_at=NOON + timedelta(hours=1)))

    result = succeeded(await decided(returns_unchanged, order=order))

    assert result.workflow.updated_at == NOON + timedelta(hours=1)


# --- nothing is ever raised ------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from([*Order.commands, "Ship", ""]) | JSON,
        "payload": st.fixed_dictionaries({}, optional={"item": JSON, "count": JSON, "reason": JSON}) | JSON,
        "more": JSON,
    },
)


def any_of(*states: Any) -> Any:
    return st.sampled_from(states)


def everything() -> WorkflowRouter[Order, Any]:
    def open_order(_: None, command: Open) -> Draft:
        return Draft()

    def place(order: Draft, command: Place) -> Placed:
        return Placed(items=order.items)

    def cancel(order: Draft | Placed, command: Cancel) -> Cancelled:
        return Cancelled(reason=command.reason)

    return routed(open_order, mutates_and_returns, place, cancel)


@pytest.mark.slow
@given(any_of(None, draft(), draft("tea"), Order.create("p", Placed(items=[]))), ENVELOPES | JSON)
def test_any_json_gives_a_result(order: Any, command: Any) -> None:
    """Whatever is sent, the answer is a Success or a Failure of ours, and a Success can be stored."""
    result = asyncio.run(everything().dispatch(order, command))

    match result:
        case Success(workflow=workflow):
            assert Order.from_snapshot(workflow.to_snapshot()) == workflow
            assert json.dumps(workflow.to_snapshot().to_dict())
        case Failure(error=error):
            assert isinstance(error, InvalidDataError | RoutingError)
            assert json.dumps(error.to_dict())


class Hostile:
    """Breaks at whatever is done with it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError

    def __bool__(self) -> bool:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError


class NoHash(type):
    __hash__ = None

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError


Unhashable = NoHash("Unhashable", (), {})


def explode(value: Any) -> Any:
    raise KeyError(value)


def hostile() -> list[Any]:
    return [
        Hostile(),
        Unhashable,
        Unhashable(),
        Odd(),
        {"type": "AddItem", "payload": Odd()},
        {"type": "AddItem", "payload": Hostile()},
        {"type": "AddItem", "payload": {"item": Hostile()}},
        {"type": "AddItem", "payload": {Hostile.__name__: Unhashable()}},
        {"type": Hostile()},
        {"type": "AddItem", "payload": iter([])},
        object(),
        asyncio.sleep,
    ]


@pytest.mark.parametrize("number", range(12))  # pytest itself would break on the things
@pytest.mark.parametrize("role", ["workflow", "command", "outcome", "metadata", "event"])
async def test_hostile_objects_give_a_failure(number: int, role: str) -> None:
    """Objects that break when they are touched break nothing of ours, whatever they are handed in as."""
    thing = hostile()[number]
    command: Any = AddItem(item="x")
    match role:
        case "workflow":
            result = await routed(returns_unchanged).dispatch(thing, command)
        case "command":
            result = await routed(returns_unchanged).dispatch(draft(), thing)
        case "outcome":
            result = await routed(returns(thing)).dispatch(draft(), command)
        case "metadata":
            result = await routed(returns_unchanged).dispatch(draft(), command, metadata={"a": thing})
        case _:

            def emits(order: Draft, command: AddItem, ctx: Ctx) -> Draft:
                ctx.emit(thing)
                return order

            result = await routed(emits).dispatch(draft(), command)

    failed(result)


class Fragile(BaseModel):
    x: Annotated[int, AfterValidator(explode)] = 1


class Vase(Workflow[Fragile | Draft, Fragile | AddItem, Fragile], name="vase"): ...


async def test_schemas_that_break_give_a_failure() -> None:
    """A validator of the user's own that raises anything at all never makes dispatch raise."""

    def by_state(order: Draft, command: AddItem) -> Fragile:
        return Fragile()

    def by_event(order: None, command: AddItem, ctx: Ctx) -> Fragile:
        ctx.emit(Fragile())
        return Fragile()

    router = WorkflowRouter(Vase)
    router.on(by_state)
    router.on(by_event)
    vase = Vase.create("v", Draft())

    for result in (
        await router.dispatch(vase, AddItem(item="x")),
        await router.dispatch(None, AddItem(item="x")),
        await router.dispatch(vase, Fragile()),
        await router.dispatch(vase, {"type": "Fragile"}),
        await router.dispatch(vase, {"type": "Fragile", "payload": {"x": 1}}),
    ):
        assert isinstance(failed(result), InvalidDataError | RoutingError)


async def test_a_class_in_the_place_of_an_instance_is_called_so() -> None:
    """Whoever hands over a class where an instance belongs reads that, not the name of a metaclass."""

    def forgets_to_call(order: Draft, command: AddItem, ctx: Context[ItemAdded]) -> Draft:
        ctx.emit(ItemAdded)  # type: ignore[arg-type]
        return order

    result: Any = await routed(returns_unchanged).dispatch(None, Open)  # type: ignore[arg-type]
    assert "the class Open itself" in str(result.error)
    emitted: Any = await decided(forgets_to_call)
    assert "found the class ItemAdded itself" in str(emitted.error)


async def test_a_refusal_that_is_not_declared_says_so() -> None:
    """A handler that raises a `DomainError` of nobody's has a bug, and reads which."""

    class Forgotten(DomainError): ...

    result: Any = await decided(raising(Forgotten()))

    assert isinstance(result.error, UnexpectedError)
    assert "a refusal that the workflow does not declare (declared: EmptyOrder" in str(result.error)
