"""Handlers of a module that does not postpone its annotations: they are objects, not text."""

from collections.abc import Awaitable
from typing import Any, Optional, Union

from tests.model.orders import AddItem, Cancel, Cancelled, Draft, OrderState, Place, Placed


def real(order: Draft, command: AddItem) -> Draft:
    return order


def text(order: "Draft", command: "AddItem") -> "Draft":
    return order


def partly_text(order: Union["Draft", Placed], command: "AddItem") -> Optional["Draft"]:
    return None


def alias(order: OrderState, command: Cancel) -> Cancelled:
    return Cancelled()


def awaitable(order: Draft, command: Place) -> Awaitable["Placed"]:
    async def later() -> Placed:
        return Placed(items=[])

    return later()


REAL: list[Any] = [
    (real, {("Draft", "AddItem", ("Draft",))}),
    (text, {("Draft", "AddItem", ("Draft",))}),
    (partly_text, {("Draft", "AddItem", ("Draft",)), ("Placed", "AddItem", ("Draft", "Placed"))}),
    (alias, {(state, "Cancel", ("Cancelled",)) for state in ("Draft", "Placed", "Cancelled")}),
    (awaitable, {("Draft", "Place", ("Placed",))}),
]
