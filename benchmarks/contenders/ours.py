"""Statewright: the definition that all its runs share, and dispatch without a store."""

from __future__ import annotations

import asyncio
from typing import Any

from statewright import CallNext, Context, Workflow, WorkflowRouter

from ..setting import Setting
from ..timing import Measurement, repeat_async
from ..work import PAYLOADS, AddItem, Draft, ItemAdded, Place, Placed, add_item, full_order


class Order(Workflow[Draft | Placed, AddItem | Place, ItemAdded], name="order"):
    """An order that keeps its last ten items."""


COMMANDS = tuple({"type": "AddItem", "payload": payload} for payload in PAYLOADS)

router = WorkflowRouter(Order)
silent_router = WorkflowRouter(Order)


@router.on
def take_item(order: Draft, command: AddItem, ctx: Context[ItemAdded]) -> Draft:
    """Decide, and emit one event."""
    ctx.emit(ItemAdded(item=command.item))
    return add_item(order, command)


@silent_router.on
def take_item_silently(order: Draft, command: AddItem) -> Draft:
    """Decide."""
    return add_item(order, command)


def dispatch(setting: Setting) -> Measurement:
    """Dispatch on an order in memory; the handler emits nothing, as the floor's."""
    return asyncio.run(_dispatch(silent_router, setting))


def dispatch_with_event(setting: Setting) -> Measurement:
    """Dispatch on an order in memory; the handler emits one event."""
    return asyncio.run(_dispatch(router, setting))


def dispatch_five_middlewares(setting: Setting) -> Measurement:
    """Dispatch through five middlewares that do nothing."""
    wrapped = WorkflowRouter(Order)
    wrapped.on(take_item_silently)

    async def pass_on(_: Any, call_next: CallNext) -> Any:
        return await call_next()

    for _ in range(5):
        wrapped.use(pass_on)
    return asyncio.run(_dispatch(wrapped, setting))


async def _dispatch(routed: WorkflowRouter[Order, None], setting: Setting) -> Measurement:
    order = Order.create("order-1", full_order())

    async def step(turn: int) -> None:
        nonlocal order
        order = (await routed.dispatch(order, COMMANDS[turn & 15])).unwrap().workflow

    measured = await repeat_async(step, setting.seconds)
    if order.version != measured.facts["calls"]:
        raise RuntimeError(f"{measured.facts['calls']} dispatches led to version {order.version}")
    return measured
