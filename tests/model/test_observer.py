"""Observers of a router, and plugins, which are functions that take a router."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Never

import pytest

from statewright import Context, DefinitionError, Failure, Observer, Success, WorkflowRouter

from .orders import (
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
    draft,
    routed,
)


def open_order(_: None, command: Open) -> Draft:
    return Draft()


def add_item(order: Draft, command: AddItem, ctx: Context[ItemAdded, Any]) -> Draft:
    ctx.emit(ItemAdded(item=command.item))
    return Draft(items=[*order.items, command.item])


def place(order: Draft, command: Place) -> Placed:
    if not order.items:
        raise EmptyOrder(minimum=1)
    return Placed(items=order.items)


def cancel(order: Draft | Placed, command: Cancel) -> Cancelled:
    raise LookupError(command.reason)


class Listening(Observer):
    """Writes down what it is told, in few words."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def dispatch_started(self, workflow: Any, command: Any) -> None:
        self.heard.append(("started", workflow and workflow.version, type(command).__name__))

    def dispatch_ended(self, workflow: Any, command: Any, result: Any) -> None:
        self.heard.append(("ended", workflow and workflow.version, result.ok))

    def transitioned(self, source: str, target: str, workflow: Any) -> None:
        self.heard.append(("transitioned", source, target, workflow.version))

    def emitted(self, event: Any, workflow: Any) -> None:
        self.heard.append(("emitted", event, workflow.version))

    def failed(self, error: Any, workflow: Any, command: Any) -> None:
        self.heard.append(("failed", error.category, getattr(workflow, "version", None)))


class Broken(Observer):
    """Raises whatever it is told."""

    def __getattribute__(self, name: str) -> Any:
        if name in vars(Observer) and not name.startswith("_"):
            return self.__class__._raise
        return super().__getattribute__(name)

    @staticmethod
    def _raise(*facts: Any) -> Never:
        raise LookupError("the observer is broken")


def observed(*handlers: Any, **options: Any) -> tuple[WorkflowRouter[Order, Any], Listening]:
    listening = Listening()
    handlers = handlers or (open_order, add_item, place, cancel)
    return routed(*handlers, **options).observe(listening), listening


async def test_creation_is_no_transition() -> None:
    """A creation is started and ended, and has no state that it came from."""
    router, listening = observed()

    await router.dispatch(None, Open())

    assert listening.heard == [("started", None, "Open"), ("ended", None, True)]


async def test_change_of_state() -> None:
    """A change of state is told by both stored names, with the workflow after it, before the end is told."""
    router, listening = observed()

    await router.dispatch(draft("tea"), Place())

    assert listening.heard == [
        ("started", 0, "Place"),
        ("transitioned", "Draft", "Placed", 1),
        ("ended", 0, True),
    ]


async def test_self_loop_is_no_transition() -> None:
    """A command that stays in its state emits, and does not transit."""
    router, listening = observed()

    await router.dispatch(draft(), AddItem(item="tea"))

    assert listening.heard == [("started", 0, "AddItem"), ("emitted", ItemAdded(item="tea"), 1), ("ended", 0, True)]


@pytest.mark.parametrize(
    ("command", "category"), [(Place(), "domain"), (Cancel(), "unexpected")], ids=["refusal", "bug"]
)
async def test_failure_of_a_handler(command: Any, category: str) -> None:
    """A refusal and a bug alike are told once, between start and end."""
    router, listening = observed()

    await router.dispatch(draft(), command)

    assert listening.heard == [("started", 0, type(command).__name__), ("failed", category, 0), ("ended", 0, False)]


@pytest.mark.parametrize(
    ("workflow", "command", "category"),
    [
        (None, Place(), "router"),
        (draft(), Open(), "router"),
        (draft(), {"type": "Fly"}, "router"),
        (draft(), {"type": "AddItem", "payload": {}}, "validation"),
        (Draft(), Open(), "router"),
    ],
    ids=["before creation", "no handler", "no such command", "invalid", "no workflow"],
)
async def test_failure_before_any_handler(workflow: Any, command: Any, category: str) -> None:
    """What never reaches a handler has failed without having started."""
    router, listening = observed()

    await router.dispatch(workflow, command)

    assert [(each[0], each[1]) for each in listening.heard] == [("failed", category)]


async def test_failure_to_begin() -> None:
    """A dispatch that cannot even begin, for want of the time, has failed."""
    router, listening = observed(clock=lambda: NOON.replace(tzinfo=None))

    result = await router.dispatch(draft(), Place())

    assert isinstance(result, Failure)
    assert listening.heard == [("failed", "unexpected", 0)]


async def test_middleware_that_refuses_is_within() -> None:
    """What the router's middleware answers is how the dispatch ended."""
    router, listening = observed()

    async def closed(ctx: Any, call_next: Any) -> Any:
        raise EmptyOrder(minimum=7)

    await router.use(closed).dispatch(draft("tea"), Place())

    assert listening.heard == [("started", 0, "Place"), ("failed", "domain", 0), ("ended", 0, False)]


async def test_cancelled_dispatch_has_ended() -> None:
    """A dispatch that is cancelled in its handler is told to have ended, with a failure."""
    entered = asyncio.Event()

    async def wait(order: Draft, command: Place) -> Placed:
        entered.set()
        await asyncio.Event().wait()
        return Placed(items=order.items)

    router, listening = observed(wait)
    dispatch = asyncio.create_task(router.dispatch(draft(), Place()))
    await entered.wait()
    dispatch.cancel()

    with pytest.raises(asyncio.CancelledError):
        await dispatch
    assert listening.heard == [("started", 0, "Place"), ("failed", "unexpected", 0), ("ended", 0, False)]


async def test_observer_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A broken observer is logged by name, and neither the result nor the next observer notices."""
    router = routed(open_order, add_item, place)
    listening = Listening()
    router.observe(Broken()).observe(listening)

    with caplog.at_level(logging.ERROR, logger="statewright.observer"):
        result = await router.dispatch(draft(), AddItem(item="tea"))

    assert isinstance(result, Success)
    assert [each[0] for each in listening.heard] == ["started", "emitted", "ended"]
    methods = [getattr(record, "method", None) for record in caplog.records]
    assert methods == ["dispatch_started", "emitted", "dispatch_ended"]
    assert {getattr(record, "observer", None) for record in caplog.records} == {"Broken"}
    assert "the observer is broken" in caplog.text


async def test_observers_are_told_in_their_order() -> None:
    """Who was added first is told first."""
    order: list[str] = []

    class Named(Observer):
        def __init__(self, name: str) -> None:
            self.name = name

        def dispatch_started(self, workflow: Any, command: Any) -> None:
            order.append(self.name)

    router = routed(open_order).observe(Named("first")).observe(Named("second"))
    await router.dispatch(None, Open())

    assert order == ["first", "second"]


async def test_router_with_other_dependencies_shares_observers() -> None:
    """`with_deps` gives a router that tells the same observers."""
    router, listening = observed()

    await router.with_deps(object()).dispatch(None, Open())

    assert [each[0] for each in listening.heard] == ["started", "ended"]


async def test_included_routers_observers_stay_behind() -> None:
    """An included router brings handlers and middleware; observers belong to the router that dispatches."""
    other, listening = observed()
    router = routed().include(other)

    await router.dispatch(None, Open())

    assert listening.heard == []


async def test_plain_observer_hears_nothing_and_needs_nothing() -> None:
    """Every method may be left out."""
    router = routed(open_order, add_item).observe(Observer())

    assert (await router.dispatch(None, Open())).ok
    assert (await router.dispatch(draft(), AddItem(item="tea"))).ok


class Asynchronous(Observer):
    async def emitted(self, event: Any, workflow: Any) -> None:  # type: ignore[override]
        """Never awaited by anybody."""


@pytest.mark.parametrize(
    ("observer", "complaint"),
    [
        (Listening, "found the class Listening itself"),
        (print, "found builtin_function_or_method"),
        (Asynchronous(), "Asynchronous.emitted is asynchronous"),
    ],
    ids=["class", "function", "asynchronous"],
)
def test_something_else_is_refused(observer: Any, complaint: str) -> None:
    """A class, a function and an asynchronous method are found where they are registered."""
    with pytest.raises(DefinitionError, match=complaint) as caught:
        routed().observe(observer)

    assert "router of workflow 'order'" in str(caught.value)


# --- plugins -------------------------------------------------------------------------------------------------------


async def test_plugin_is_a_function_that_takes_a_router() -> None:
    """What belongs together is registered by one function: handlers, middleware and observers."""
    listening = Listening()

    def cancellable(router: WorkflowRouter[Order, Any], *, reason: str) -> None:
        """Let every order be cancelled, count that, and give a reason where there is none."""

        async def with_reason(ctx: Any, call_next: Any) -> Any:
            if isinstance(ctx.command, Cancel) and not ctx.command.reason:
                ctx.command.reason = reason
            return await call_next()

        @router.on
        def cancel_it(order: Draft | Placed, command: Cancel) -> Cancelled:
            return Cancelled(reason=command.reason)

        router.use(with_reason)
        router.observe(listening)

    router = routed(open_order)
    cancellable(router, reason="no reason given")

    result = (await router.dispatch(draft(), Cancel())).unwrap()

    assert result.workflow.data == Cancelled(reason="no reason given")
    assert ("transitioned", "Draft", "Cancelled", 1) in listening.heard
