"""The router as an object: how it is made, given its dependencies, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from statewright import (
    Context,
    DefinitionError,
    MemoryStore,
    UnexpectedError,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
)
from tests.model.orders import AddItem, Cancel, Cancelled, Draft, Open, Order, draft, failed, routed, succeeded

Ctx = Context[Any, Any]


class Prices:
    def __init__(self, of: str) -> None:
        self.of = of


def add(order: Draft, command: AddItem, ctx: Ctx) -> Draft:
    return Draft(items=[ctx.deps.of])


async def items(router: Any) -> list[str]:
    result: Any = succeeded(await router.dispatch(draft(), AddItem(item="x")))
    return list(result.workflow.data.items)


@pytest.mark.parametrize("thing", [Workflow, Draft, None, "order", draft(), int])
def test_a_router_needs_a_workflow_class(thing: Any) -> None:
    """Anything else is refused at once."""
    with pytest.raises(DefinitionError):
        WorkflowRouter(thing)


def test_a_clock_is_called() -> None:
    """A time is no clock."""
    with pytest.raises(DefinitionError, match="clock"):
        WorkflowRouter(Order, clock=7)


async def test_dependencies_can_be_given_later() -> None:
    """`with_deps` gives another router with the same handlers, and leaves the first one as it was."""
    router: Any = WorkflowRouter(Order, deps_type=Prices)
    router.on(add)
    here, there = router.with_deps(Prices("here")), router.with_deps(Prices("there"))

    assert (await items(here), await items(there)) == (["here"], ["there"])
    assert type(here) is WorkflowRouter
    failed(await router.dispatch(draft(), AddItem(item="x")), UnexpectedError)


async def test_handlers_are_shared_with_the_twin() -> None:
    """What is registered with either, later, is known to both, middleware and observers included."""
    router: Any = WorkflowRouter(Order, deps_type=Prices)
    twin = router.with_deps(Prices("here"))
    router.on(add)

    @twin.on
    def cancel(order: Draft, command: Cancel) -> Cancelled: ...

    assert await items(twin) == ["here"]
    assert len(router.transitions) == len(twin.transitions) == 2


def test_an_executor_needs_the_dependencies_that_are_declared() -> None:
    """Declared and missing is an error where it is wired; given, or not declared, is not."""
    router = WorkflowRouter(Order, deps_type=Prices)

    with pytest.raises(DefinitionError, match="with_deps"):
        WorkflowExecutor(router, MemoryStore())
    WorkflowExecutor(router.with_deps(Prices("here")), MemoryStore())
    WorkflowExecutor(WorkflowRouter(Order), MemoryStore())
    WorkflowExecutor(WorkflowRouter(Order, None), MemoryStore())


async def test_the_parents_dependencies_serve_included_handlers() -> None:
    """An included router needs no dependencies of its own."""
    other: Any = WorkflowRouter(Order, deps_type=Prices)
    other.on(add)

    assert await items(routed(deps=Prices("parent")).include(other)) == ["parent"]


async def test_the_parents_clock_serves_included_handlers() -> None:
    """Time, too, is the parent's."""

    def open_order(_: None, command: Open, ctx: Ctx) -> Draft:
        return Draft(items=[ctx.now.isoformat()])

    other: Any = WorkflowRouter(Order)
    other.on(open_order)
    router = routed().include(other)

    assert succeeded(await router.dispatch(None, Open())).workflow.data.items == ["2026-03-01T12:00:00+00:00"]


def test_a_router_tells_its_workflow() -> None:
    """The class that it was made of."""
    assert WorkflowRouter(Order).workflow is Order


def test_an_empty_router_knows_nothing() -> None:
    """No handler, no transition, no command."""
    router = WorkflowRouter(Order)

    assert router.transitions == ()
    assert router.available_commands_for(None) == {}
