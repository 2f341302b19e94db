"""An order: placed, paid for and shipped, or given up when nobody pays in time."""

from datetime import timedelta
from decimal import Decimal
from typing import TypeAlias

from pydantic import BaseModel, Field

from statewright import Context, Workflow, WorkflowRouter

# --- states ---------------------------------------------------------------------------------------------------------


class AwaitingPayment(BaseModel):
    """Placed; not worth packing yet."""

    address: str
    total: Decimal


class Paid(BaseModel):
    """To be shipped."""

    address: str
    payment: str


class Shipped(BaseModel):
    """On its way."""

    parcel: str


class Cancelled(BaseModel):
    """Nobody paid in time."""

    reason: str


# --- commands -------------------------------------------------------------------------------------------------------


class Place(BaseModel):
    """A customer orders."""

    address: str
    total: Decimal = Field(gt=0)
    pay_within: timedelta = timedelta(days=3)


class ConfirmPayment(BaseModel):
    """The money is there."""

    payment: str


class GiveUp(BaseModel):
    """The deadline has passed; what the timer sends."""


class ConfirmShipment(BaseModel):
    """It has left."""

    parcel: str


# --- events ---------------------------------------------------------------------------------------------------------


class OrderPlaced(BaseModel):
    """There is something to be paid for."""

    total: Decimal


class OrderPaid(BaseModel):
    """There is something to be shipped."""

    address: str


class OrderCancelled(BaseModel):
    """Nothing is to be paid or shipped any more."""


# --- the workflow ---------------------------------------------------------------------------------------------------

State: TypeAlias = AwaitingPayment | Paid | Shipped | Cancelled
Command: TypeAlias = Place | ConfirmPayment | GiveUp | ConfirmShipment
Event: TypeAlias = OrderPlaced | OrderPaid | OrderCancelled


class Order(Workflow[State, Command, Event], name="order"):
    """An order, from the customer to the customer."""


router = WorkflowRouter(Order)


@router.on
def place(_: None, command: Place, ctx: Context[Event]) -> AwaitingPayment:
    """Ask for the money, and give up if it does not come: the timer belongs to this state, and goes with it."""
    ctx.schedule(GiveUp(), delay=command.pay_within)
    ctx.emit(OrderPlaced(total=command.total))
    return AwaitingPayment(address=command.address, total=command.total)


@router.on
def confirm_payment(order: AwaitingPayment, command: ConfirmPayment, ctx: Context[Event]) -> Paid:
    """In time; an order that was given up has no handler for this."""
    ctx.emit(OrderPaid(address=order.address))
    return Paid(address=order.address, payment=command.payment)


@router.on
def give_up(_: AwaitingPayment, __: GiveUp, ctx: Context[Event]) -> Cancelled:
    """Too late: from here on the money would have to go back."""
    ctx.emit(OrderCancelled())
    return Cancelled(reason="not paid in time")


@router.on
def confirm_shipment(_: Paid, command: ConfirmShipment) -> Shipped:
    """The customer can follow the parcel."""
    return Shipped(parcel=command.parcel)
