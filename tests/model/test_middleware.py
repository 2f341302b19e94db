"""Middleware: one signature, an onion, and nothing that slips through it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from statewright import (
    Context,
    ContextKey,
    DefinitionError,
    Failure,
    InvalidDataError,
    NotFoundError,
    RoutingError,
    Success,
    UnexpectedError,
    WorkflowRouter,
)
from tests.model.orders import (
    AddItem,
    Cancel,
    Cancelled,
    Draft,
    EmptyOrder,
    ItemAdded,
    Open,
    Order,
    Placed,
    draft,
    failed,
    routed,
    succeeded,
)

Ctx = Context[Any, Any]


class Trail:
    """Middleware that writes down where it was."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def named(self, name: str) -> Callable[..., Any]:
        async def middleware(ctx: Ctx, call_next: Any) -> Any:
            self.steps.append(f"{name}>")
            result = await call_next()
            self.steps.append(f"<{name}")
            return result

        return middleware

    def add(self, order: Draft, command: AddItem) -> Draft:
        self.steps.append("handler")
        return Draft(items=[*order.items, command.item])

    def open(self, order: None, command: Open) -> Draft:
        self.steps.append("handler")
        return Draft()

    def refuse(self, order: Draft, command: Cancel) -> Cancelled:
        self.steps.append("handler")
        raise EmptyOrder(minimum=1)


def add(order: Draft, command: AddItem) -> Draft:
    return Draft(items=[*order.items, command.item])


async def through(middleware: Any, handler: Any = add) -> Any:
    return await routed(handler).use(middleware).dispatch(draft(), AddItem(item="tea"))


# --- order ---------------------------------------------------------------------------------------------------------


async def test_order_is_global_then_state_then_handler() -> None:
    """The first added of each kind is the outermost, whenever the kinds were added."""
    trail = Trail()
    router = routed()
    router.on(use=[trail.named("h1"), trail.named("h2")])(trail.add)
    router.use(trail.named("s1"), state=Draft).use(trail.named("g1"))
    router.use(trail.named("s2"), state=(Draft, Placed)).use(trail.named("g2"))
    router.use(trail.named("other"), state=Placed)

    succeeded(await router.dispatch(draft(), AddItem(item="tea")))

    names = ["g1", "g2", "s1", "s2", "h1", "h2"]
    assert trail.steps == [*(f"{n}>" for n in names), "handler", *(f"<{n}" for n in reversed(names))]


async def test_middleware_of_a_state_runs_for_every_command_there() -> None:
    """Whichever handler matches, also a general one, and `(None,)` is for creation."""
    trail = Trail()

    def cancel(order: Draft | Placed, command: Cancel) -> Cancelled:
        return Cancelled()

    router = routed(trail.open, cancel).use(trail.named("new"), state=(None,)).use(trail.named("draft"), state=Draft)

    succeeded(await router.dispatch(None, Open()))
    succeeded(await router.dispatch(draft(), Cancel()))
    succeeded(await router.dispatch(Order.create("o", Placed(items=[])), Cancel()))

    assert trail.steps == ["new>", "handler", "<new", "draft>", "<draft"]


async def test_middleware_that_is_added_later_counts() -> None:
    """A router may be used before all of its middleware is there."""
    trail = Trail()
    router = routed(trail.add)
    await router.dispatch(draft(), AddItem(item="x"))
    router.use(trail.named("late"))
    trail.steps.clear()

    await router.dispatch(draft(), AddItem(item="x"))

    assert trail.steps == ["late>", "handler", "<late"]


async def test_middleware_of_an_included_router_wraps_its_own_handlers_only() -> None:
    """The other's runs inside the parent's, around what the other brought."""
    trail = Trail()
    other = routed(trail.refuse).use(trail.named("other")).use(trail.named("others state"), state=Draft)
    router = routed(trail.add).include(other).use(trail.named("parent"))

    await router.dispatch(draft(), AddItem(item="x"))
    await router.dispatch(draft(), Cancel())

    assert trail.steps == [
        *("parent>", "handler", "<parent"),
        *("parent>", "other>", "others state>", "handler", "<others state", "<other", "<parent"),
    ]


async def test_middleware_does_not_run_where_there_is_no_handler() -> None:
    """A command without a handler is refused before anything runs."""
    trail = Trail()
    router = routed(trail.add).use(trail.named("g"))

    failed(await router.dispatch(draft(), Cancel()), RoutingError)

    assert trail.steps == []


# --- results -------------------------------------------------------------------------------------------------------


async def test_a_refusal_arrives_as_a_value() -> None:
    """`call_next` gives a Failure, and never raises one."""
    seen: list[Any] = []

    async def middleware(ctx: Ctx, call_next: Any) -> Any:
        seen.append(await call_next())
        return seen[0]

    def refuse(order: Draft, command: AddItem) -> Draft:
        raise EmptyOrder(minimum=2)

    result = await through(middleware, refuse)

    assert result is seen[0]
    assert failed(result, EmptyOrder).minimum == 2


@pytest.mark.parametrize("error", [EmptyOrder(minimum=4), NotFoundError("o-1"), UnexpectedError("no")])
async def test_a_failure_may_be_returned_without_going_on(error: Any) -> None:
    """A declared refusal or an error of ours stops the command, and the handler does not run."""

    async def middleware(ctx: Ctx, call_next: Any) -> Any:
        return Failure(error)

    def never(order: Draft, command: AddItem) -> Draft:
        pytest.fail("the handler ran")

    assert (await through(middleware, never)).error is error


async def test_a_failure_may_take_the_place_of_a_success() -> None:
    """After `call_next` a middleware may still refuse."""

    async def middleware(ctx: Ctx, call_next: Any) -> Any:
        await call_next()
        return Failure(EmptyOrder(minimum=9))

    assert failed(await through(middleware), EmptyOrder).minimum == 9


async def test_a_refusal_may_be_raised() -> None:
    """A declared error that is raised is a refusal, as in a handler."""

    async def middleware(ctx: Ctx, call_next: Any) -> Any:
        await call_next()
        raise EmptyOrder(minimum=5)

    assert failed(await through(middleware), EmptyOrder).minimum == 5


async def test_a_returned_error_has_no_traceback() -> None:
    """An error that was caught and is handed on as a value has lost the way that it came."""

    async def middleware(ctx: Ctx, call_next: Any) -> Any:
        try:
            raise EmptyOrder(minimum=1)
        except EmptyOrder as error:
            return Failure(error)

    failed(await through(middleware), EmptyOrder)


class Sub(EmptyOrder): ...


async def raises(ctx: Ctx, call_next: Any) -> Any:
    raise KeyError("x")


async def raises_after(ctx: Ctx, call_next: Any) -> Any:
    await call_next()
    raise KeyError("x")


async def raises_undeclared(ctx: Ctx, call_next: Any) -> Any:
    raise Sub(minimum=1)


async def raises_ours(ctx: Ctx, call_next: Any) -> Any:
    raise NotFoundError("o-9")


async def raises_group(ctx: Ctx, call_next: Any) -> Any:
    raise ExceptionGroup("g", [EmptyOrder(minimum=1)])


async def returns_undeclared(ctx: Ctx, call_next: Any) -> Any:
    return Failure(Sub(minimum=1))


async def returns_other_error(ctx: Ctx, call_next: Any) -> Any:
    return Failure(ValueError("x"))


async def returns_nothing(ctx: Ctx, call_next: Any) -> Any:
    await call_next()


async def returns_workflow(ctx: Ctx, call_next: Any) -> Any:
    return (await call_next()).workflow


async def returns_foreign_success(ctx: Ctx, call_next: Any) -> Any:
    await call_next()
    return Success(draft("free beer"))


async def returns_success_unasked(ctx: Ctx, call_next: Any) -> Any:
    return Success(draft("free beer"))


async def returns_equal_success(ctx: Ctx, call_next: Any) -> Any:
    result = await call_next()
    return Success(result.workflow, result.events)


async def returns_class(ctx: Ctx, call_next: Any) -> Any:
    return Success


async def calls_twice(ctx: Ctx, call_next: Any) -> Any:
    await call_next()
    return await call_next()


async def calls_twice_and_hides_it(ctx: Ctx, call_next: Any) -> Any:
    first = await call_next()
    try:
        await call_next()
    except RuntimeError:
        pass
    return first


async def calls_twice_at_once(ctx: Ctx, call_next: Any) -> Any:
    first, _ = await asyncio.gather(call_next(), call_next(), return_exceptions=True)
    return first


def is_not_async(ctx: Ctx, call_next: Any) -> Any:
    return None


def takes_too_little(ctx: Ctx) -> Any:
    return None


async def cancels_itself(ctx: Ctx, call_next: Any) -> Any:
    raise asyncio.CancelledError


BAD = [
    raises,
    raises_after,
    raises_undeclared,
    raises_ours,
    raises_group,
    returns_undeclared,
    returns_other_error,
    returns_nothing,
    returns_workflow,
    returns_foreign_success,
    returns_success_unasked,
    returns_equal_success,
    returns_class,
    calls_twice,
    calls_twice_and_hides_it,
    calls_twice_at_once,
    is_not_async,
    takes_too_little,
    cancels_itself,
]


@pytest.mark.parametrize("middleware", BAD, ids=[each.__name__ for each in BAD])
@pytest.mark.parametrize("place", ["global", "state", "handler", "under another"])
async def test_everything_else_is_an_unexpected_error(middleware: Any, place: str) -> None:
    """A middleware that raises, goes on twice, or returns what `call_next` did not give is a bug; its name is told."""
    router = routed()
    match place:
        case "global":
            router.on(add)
            router.use(middleware)
        case "state":
            router.on(add)
            router.use(middleware, state=Draft)
        case "handler":
            router.on(use=[middleware])(add)
        case _:
            router.on(add)
            router.use(Trail().named("outer")).use(middleware)

    error = failed(await router.dispatch(draft(), AddItem(item="tea")), UnexpectedError)

    assert middleware.__name__ in str(error)
    if middleware.__name__.startswith(("raises", "returns_undeclared", "returns_other")):
        assert error.__cause__ is not None


async def test_what_is_no_exception_passes() -> None:
    """A KeyboardInterrupt in a middleware ends the dispatch."""

    async def middleware(ctx: Ctx, call_next: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await through(middleware)


async def test_a_cancellation_that_was_asked_for_passes() -> None:
    """Cancelling the dispatch in a middleware cancels it."""
    begun = asyncio.Event()

    async def middleware(ctx: Ctx, call_next: Any) -> Any:
        begun.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(through(middleware))
    await begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


# --- what it is told -----------------------------------------------------------------------------------------------


async def test_the_context_is_the_handlers() -> None:
    """Router middleware and handler share the context: bag, data, and events that are emitted before going on."""
    key = ContextKey[str]("user")
    seen: list[Any] = []

    async def middleware(ctx: Ctx, call_next: Any) -> Any:
        ctx[key] = "ann"
        ctx.emit(ItemAdded(item="before"))
        seen.extend([ctx.command.item, ctx.state, ctx.data.items])
        return await call_next()

    def handler(order: Draft, command: AddItem, ctx: Ctx) -> Draft:
        ctx.emit(ItemAdded(item=ctx[key]))
        return order

    result = succeeded(await through(middleware, handler))

    assert seen == ["tea", "Draft", []]
    assert result.events == (ItemAdded(item="before"), ItemAdded(item="ann"))


async def test_nothing_can_be_said_after_the_handler() -> None:
    """An event that is emitted when the decision has been taken is a bug that is seen, not an event that is lost."""

    async def middleware(ctx: Ctx, call_next: Any) -> Any:
        result = await call_next()
        ctx.emit(ItemAdded(item="late"))
        return result

    failed(await through(middleware), UnexpectedError)


# --- registration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thing", [None, 1, "middleware", object()])
def test_only_what_can_be_called_is_middleware(thing: Any) -> None:
    """Anything else is refused where it is added."""
    with pytest.raises(DefinitionError):
        routed().use(thing)
    with pytest.raises(DefinitionError):
        routed().on(use=[thing])


@pytest.mark.parametrize("use", [add, "ab", 1])
def test_middleware_of_a_handler_is_a_list(use: Any) -> None:
    """`use=` takes a sequence; a forgotten pair of brackets is refused."""
    with pytest.raises(DefinitionError):
        routed().on(use=use)


@pytest.mark.parametrize("state", [Open, int, (Draft, int), "Draft", "Nowhere", [Draft], Draft()])
def test_middleware_of_a_state_needs_a_state(state: Any) -> None:
    """An undeclared state, or what is no class at all, is refused."""
    with pytest.raises(DefinitionError):
        routed().use(raises, state=state)


def test_states_may_be_given_as_a_union() -> None:
    """A union of states is as good as a tuple."""
    assert routed().use(raises, state=Draft | Placed) is not None


def test_use_returns_the_router() -> None:
    """Calls can be chained."""
    router: WorkflowRouter[Order, Any] = WorkflowRouter(Order)

    assert router.use(raises) is router


async def test_one_middleware_sees_invalid_data_as_a_value() -> None:
    """What the dispatch itself finds wrong with the handler's state arrives as a Failure, too."""
    seen: list[Any] = []

    async def middleware(ctx: Ctx, call_next: Any) -> Any:
        seen.append(await call_next())
        return seen[0]

    def handler(order: Draft, command: AddItem) -> Draft:
        return Draft(items=["\0"])

    failed(await through(middleware, handler), InvalidDataError)

    assert seen[0].error.source == "state"
