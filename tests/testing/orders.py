"""A small shop: the workflow that the tests of the test kit are about."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from pydantic import BaseModel, Field

from statewright import Context, DomainError, Workflow, WorkflowRouter


class Draft(BaseModel):
    items: list[str] = []


class Placed(BaseModel):
    items: list[str]
    placed_at: datetime


class Cancelled(BaseModel):
    why: str


class Open(BaseModel):
    pass


class AddItem(BaseModel):
    item: str = Field(min_length=1)


class Place(BaseModel):
    pass


class Cancel(BaseModel):
    why: str = "changed my mind"


class OrderPlaced(BaseModel):
    order_id: str


class EmptyOrder(DomainError):
    minimum: int = 1


OrderState: TypeAlias = Draft | Placed | Cancelled
OrderCommand: TypeAlias = Open | AddItem | Place | Cancel
Ctx: TypeAlias = Context[OrderPlaced]


class Order(Workflow[OrderState, OrderCommand, OrderPlaced, EmptyOrder], name="order"):
    """An order, from its first item to the till."""


router = WorkflowRouter(Order)


@router.on
def open_order(_: None, command: Open) -> Draft:
    """Begin."""
    return Draft()


@router.on
def add_item(order: Draft, command: AddItem) -> Draft:
    """Add."""
    return Draft(items=[*order.items, command.item])


@router.on
def place(order: Draft, command: Place, ctx: Ctx) -> Placed:
    """Place."""
    if not order.items:
        raise EmptyOrder(minimum=1)
    ctx.emit(OrderPlaced(order_id=ctx.id))
    return Placed(items=order.items, placed_at=ctx.now)


@router.on
async def cancel(order: Draft | Placed, command: Cancel) -> Cancelled:
    """Cancel."""
    return Cancelled(why=command.why)
