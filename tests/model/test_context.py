"""The context: everything a handler is told, and what it may say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from statewright import Context, ContextKey, InvalidDataError, UnexpectedError
from tests.model.orders import (
    NOON,
    AddItem,
    Cancel,
    Draft,
    ItemAdded,
    Order,
    OrderPlaced,
    draft,
    failed,
    routed,
    succeeded,
)

Ctx = Context[Any, Any]
USER = ContextKey[str]("user")


async def run(body: Any, metadata: Any = None, **options: Any) -> Any:
    """Dispatch a command whose handler calls a function with the context."""

    def handler(order: Draft, command: AddItem, ctx: Ctx) -> Draft:
        body(ctx)
        return order

    order = Order.from_snapshot(draft("tea").to_snapshot().replace(version=4))
    return await routed(handler, **options).dispatch(order, AddItem(item="milk"), metadata=metadata)


async def test_it_tells_everything() -> None:
    """Id, version, state and data before the command, the command, the time, dependencies and metadata."""
    seen: list[Any] = []

    def body(ctx: Ctx) -> None:
        seen.extend(
            [ctx.id, ctx.version, ctx.state, ctx.data, ctx.command, ctx.now, ctx.deps, ctx.metadata, ctx.events]
        )

    await run(body, metadata={"actor": "ann"}, deps=7)

    assert seen == ["o-1", 4, "Draft", Draft(items=["tea"]), AddItem(item="milk"), NOON, 7, {"actor": "ann"}, ()]


async def test_it_tells_nothing_where_there_is_nothing() -> None:
    """Without dependencies and metadata they are `None` and an empty mapping."""
    seen: list[Any] = []

    await run(lambda ctx: seen.extend([ctx.deps, dict(ctx.metadata)]))

    assert seen == [None, {}]


async def test_what_it_tells_cannot_be_changed_for_others() -> None:
    """Whatever a handler does to its context, the workflow is saved under its own id, version and time."""

    def body(ctx: Any) -> None:
        for name, value in {"id": "o-2", "version": 99, "now": datetime(1999, 1, 1)}.items():  # noqa: DTZ001
            vars(ctx)[name] = value

    result = succeeded(await run(body))

    assert (result.workflow.id, result.version, result.workflow.updated_at.tzinfo) == ("o-1", 5, UTC)


async def test_metadata_are_read_only_at_any_depth() -> None:
    """A handler cannot change what is recorded beside its command."""
    given = {"actor": "ann", "roles": ["clerk"]}

    def body(ctx: Ctx) -> None:
        with pytest.raises(TypeError):
            ctx.metadata["actor"] = "eve"
        ctx.metadata["roles"].append("admin")
        assert ctx.metadata == {"actor": "ann", "roles": ["clerk"]}

    succeeded(await run(body, metadata=given))

    assert given == {"actor": "ann", "roles": ["clerk"]}


# --- events --------------------------------------------------------------------------------------------------------


async def test_events_are_emitted_in_order() -> None:
    """What was emitted so far is in `events`, and in the result as instances."""
    seen: list[Any] = []

    def body(ctx: Ctx) -> None:
        ctx.emit(ItemAdded(item="a"))
        ctx.emit(OrderPlaced(order_id="b"))
        seen.append(ctx.events)

    result = succeeded(await run(body))

    assert seen == [(ItemAdded(item="a"), OrderPlaced(order_id="b"))]
    assert tuple(result.events) == seen[0]


class SubItemAdded(ItemAdded): ...


@pytest.mark.parametrize(
    "event",
    [
        Draft(),
        SubItemAdded(item="x"),
        {"item": "x"},
        None,
        ItemAdded,
        ItemAdded(item="\0"),
        ItemAdded(item="\ud800"),
        ItemAdded.model_construct(),
        ItemAdded.model_construct(item=float("nan")),
    ],
    ids=repr,
)
async def test_an_event_is_declared_and_valid(event: Any) -> None:
    """Anything else is InvalidDataError of source `event`, which a handler may also catch."""
    error = failed(await run(lambda ctx: ctx.emit(event)), InvalidDataError)

    assert error.source == "event"
    assert "order" in str(error)

    def caught(ctx: Ctx) -> None:
        with pytest.raises(InvalidDataError):
            ctx.emit(event)

    assert succeeded(await run(caught)).events == ()


async def test_events_of_a_handler_that_fails_are_gone() -> None:
    """What was emitted before an exception is in no result."""

    def body(ctx: Ctx) -> None:
        ctx.emit(ItemAdded(item="a"))
        raise KeyError

    failed(await run(body), UnexpectedError)


async def test_nothing_can_be_said_when_the_handler_has_returned() -> None:
    """A context that outlives its handler is closed."""
    kept: list[Any] = []
    result = succeeded(await run(kept.append))

    for say in (
        lambda ctx: ctx.emit(ItemAdded(item="late")),
        lambda ctx: ctx.schedule(Cancel(), delay=timedelta(1)),
        lambda ctx: ctx.cancel("Cancel"),
    ):
        with pytest.raises(RuntimeError, match="returned"):
            say(kept[0])

    assert tuple(result.events) == ()


# --- timers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "options", "source"),
    [
        (ItemAdded(item="x"), {"delay": timedelta(1)}, "command"),
        (Cancel, {"delay": timedelta(1)}, "command"),
        ({"type": "Cancel"}, {"delay": timedelta(1)}, "command"),
        (Cancel(reason="\0"), {"delay": timedelta(1)}, "command"),
        (Cancel(), {}, "argument"),
        (Cancel(), {"delay": timedelta(1), "at": NOON}, "argument"),
        (Cancel(), {"delay": timedelta(-1)}, "argument"),
        (Cancel(), {"delay": 3}, "argument"),
        (Cancel(), {"at": datetime(2026, 1, 1)}, "argument"),  # noqa: DTZ001
        (Cancel(), {"at": "tomorrow"}, "argument"),
        (Cancel(), {"delay": timedelta(1), "key": ""}, "argument"),
        (Cancel(), {"delay": timedelta(1), "key": "x" * 256}, "argument"),
        (Cancel(), {"delay": timedelta(1), "key": "\0"}, "argument"),
        (Cancel(), {"delay": timedelta(1), "key": "\ud800"}, "argument"),
        (Cancel(), {"delay": timedelta(1), "key": 7}, "argument"),
    ],
    ids=range(15),
)
async def test_a_timer_is_valid(command: Any, options: dict[str, Any], source: str) -> None:
    """Command, time and key of a timer are checked where it is set."""
    error = failed(await run(lambda ctx: ctx.schedule(command, **options)), InvalidDataError)

    assert error.source == source


@pytest.mark.parametrize("key", ["", None, 7, "\0", "x" * 256])
async def test_a_timers_key_is_checked_when_it_is_cancelled(key: Any) -> None:
    """A key that cannot be one is refused; one that is not scheduled is fine."""
    assert failed(await run(lambda ctx: ctx.cancel(key)), InvalidDataError).source == "argument"
    succeeded(await run(lambda ctx: ctx.cancel("nothing")))


# --- the bag -------------------------------------------------------------------------------------------------------


async def test_the_bag_is_typed_by_its_keys() -> None:
    """Keys are compared by identity; a missing one is a KeyError that names it, or the default."""
    same_name = ContextKey[str]("user")

    def body(ctx: Ctx) -> None:
        assert USER not in ctx
        assert ctx.get(USER) is None
        assert ctx.get(USER, "nobody") == "nobody"
        with pytest.raises(KeyError, match="user"):
            ctx[USER]
        ctx[USER] = "ann"
        assert (ctx[USER], ctx.get(USER, "x"), USER in ctx) == ("ann", "ann", True)
        assert ctx.get(same_name) is None
        with pytest.raises(TypeError, match="ContextKey"):
            ctx["user"] = "bob"

    succeeded(await run(body))


async def test_the_bag_is_fresh_for_each_dispatch() -> None:
    """Nothing that one dispatch put there is found by another."""
    seen: list[Any] = []

    def handler(order: Draft, command: AddItem, ctx: Ctx) -> Draft:
        seen.append(ctx.get(USER))
        ctx[USER] = command.item
        return order

    router = routed(handler)
    for item in ("a", "b"):
        succeeded(await router.dispatch(draft(), AddItem(item=item)))

    assert seen == [None, None]


def test_a_key_tells_its_name() -> None:
    """A key reads as what it is."""
    assert repr(USER) == "ContextKey('user')"
    assert ContextKey[str]("user") != USER
