"""A context for calling a handler directly."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from statewright import ContextKey
from statewright.errors import InvalidDataError
from statewright.testing import ManualClock, context
from tests.testing.orders import Cancel, Draft, EmptyOrder, Open, Order, OrderPlaced, Place, Placed, place

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_handler_is_called_directly() -> None:
    """A handler gets what it asks for, and what it emits can be read."""
    ctx = context(Order, id="o-1", now=NOON)

    assert place(Draft(items=["tea"]), Place(), ctx) == Placed(items=["tea"], placed_at=NOON)
    assert ctx.events == (OrderPlaced(order_id="o-1"),)
    with pytest.raises(EmptyOrder):
        place(Draft(), Place(), ctx)


def test_what_is_not_said_has_a_default() -> None:
    """Without arguments it is the context of a command that creates, at the moment when a manual clock starts."""
    ctx = context(Order)

    assert (ctx.id, ctx.version, ctx.state, ctx.data, ctx.command) == ("given", 0, None, None, None)
    assert ctx.now == ManualClock()()
    assert (dict(ctx.metadata), ctx.events, ctx.deps) == ({}, (), None)


def test_everything_can_be_said() -> None:
    """State, command, version, dependencies and metadata are what the handler finds."""
    draft, command, deps = Draft(items=["tea"]), Cancel(), object()

    ctx = context(Order, state=draft, command=command, version=7, deps=deps, metadata={"user": "ann"})

    assert (ctx.version, ctx.state, ctx.data, ctx.command) == (7, "Draft", draft, command)
    assert ctx.deps is deps
    assert ctx.metadata["user"] == "ann"
    assert context(Order, state=draft).version == 1


def test_it_behaves_as_in_a_dispatch() -> None:
    """The bag works, undeclared events are refused, and so are undeclared states and naive moments."""
    ctx, key = context(Order), ContextKey[str]("user")
    ctx[key] = "ann"

    assert ctx[key] == "ann"
    with pytest.raises(InvalidDataError, match="OrderPlaced"):
        ctx.emit(Open())
    with pytest.raises(InvalidDataError, match="Draft"):
        context(Order, state=Open())
    with pytest.raises(ValueError, match="aware"):
        context(Order, now=NOON.replace(tzinfo=None))
