"""An order in a web shop, from the basket to the doorstep: the workflow of `statewright demo`, and a place to start."""

from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from pydantic import BaseModel, Field

from statewright import Context, DomainError, Workflow, WorkflowRouter

MOST_LINES = 12

# --- states: what an order can be, each with the data that it has then ---------------------------------------------


class Line(BaseModel):
    """So many of one article, at the price it had when it was added."""

    article: str
    quantity: int = Field(ge=1, le=99)
    unit_price: Decimal = Field(ge=0, decimal_places=2)


class Basket(BaseModel):
    """The customer is still choosing."""

    customer: str
    lines: list[Line] = []


class Purchase(BaseModel):
    """What was bought, and for how much: settled when the order was placed."""

    customer: str
    lines: list[Line]
    total: Decimal


class Placed(BaseModel):
    """Ordered, to be paid for."""

    purchase: Purchase
    placed_at: datetime


class Paid(BaseModel):
    """Paid for, to be packed."""

    purchase: Purchase
    payment: str
    paid_at: datetime


class Shipped(BaseModel):
    """On its way."""

    purchase: Purchase
    parcel: str
    shipped_at: datetime


class Delivered(BaseModel):
    """With the customer."""

    purchase: Purchase
    delivered_at: datetime


class Cancelled(BaseModel):
    """Called off; what had been paid goes back."""

    reason: str
    refund: Decimal


# --- commands: what it can be told ---------------------------------------------------------------------------------


class Open(BaseModel):
    """A customer begins to shop."""

    customer: str


class AddItem(BaseModel):
    """Put an article into the basket."""

    article: str
    unit_price: Decimal = Field(ge=0, decimal_places=2)
    quantity: int = Field(default=1, ge=1, le=9)


class RemoveItem(BaseModel):
    """Take an article out again."""

    article: str


class Place(BaseModel):
    """Order what is in the basket."""


class Pay(BaseModel):
    """The payment provider reports a payment."""

    payment: str
    amount: Decimal


class Ship(BaseModel):
    """The warehouse hands the parcel over."""

    parcel: str


class Deliver(BaseModel):
    """The carrier reports that it has arrived."""


class Cancel(BaseModel):
    """Somebody thinks better of it."""

    reason: str


# --- events: what others may want to know --------------------------------------------------------------------------


class OrderPlaced(BaseModel):
    """An order waits for its payment."""

    customer: str
    total: Decimal


class OrderPaid(BaseModel):
    """An order can be packed."""

    payment: str


class OrderShipped(BaseModel):
    """A parcel is on its way."""

    parcel: str


class OrderCancelled(BaseModel):
    """An order was called off."""

    refund: Decimal


# --- errors: how it may refuse -------------------------------------------------------------------------------------


class EmptyBasket(DomainError):
    """There is nothing to order."""


class BasketFull(DomainError):
    """An order has so many lines at most."""

    most: int


class NotInBasket(DomainError):
    """What is to be taken out is not in it."""

    article: str


class WrongAmount(DomainError):
    """What was paid is not what is due."""

    due: Decimal
    paid: Decimal


# --- the workflow, and a plain function for each thing that can happen ---------------------------------------------

State: TypeAlias = Basket | Placed | Paid | Shipped | Delivered | Cancelled
Command: TypeAlias = Open | AddItem | RemoveItem | Place | Pay | Ship | Deliver | Cancel
Event: TypeAlias = OrderPlaced | OrderPaid | OrderShipped | OrderCancelled
Refusal: TypeAlias = EmptyBasket | BasketFull | NotInBasket | WrongAmount
Ctx: TypeAlias = Context[Event]


class Order(Workflow[State, Command, Event, Refusal], name="demo-order"):
    """An order, from the basket to the doorstep."""


router = WorkflowRouter(Order)


@router.on
def open_basket(_: None, command: Open) -> Basket:
    """Begin with an empty basket."""
    return Basket(customer=command.customer)


@router.on
def add_item(basket: Basket, command: AddItem) -> Basket:
    """Add a line, or raise the quantity of the line that is there."""
    for line in basket.lines:
        if line.article == command.article:
            line.quantity += command.quantity
            return basket
    if len(basket.lines) == MOST_LINES:
        raise BasketFull(most=MOST_LINES)
    line = Line(article=command.article, quantity=command.quantity, unit_price=command.unit_price)
    return Basket(customer=basket.customer, lines=[*basket.lines, line])


@router.on
def remove_item(basket: Basket, command: RemoveItem) -> Basket:
    """Take the line out."""
    kept = [line for line in basket.lines if line.article != command.article]
    if len(kept) == len(basket.lines):
        raise NotInBasket(article=command.article)
    return Basket(customer=basket.customer, lines=kept)


@router.on
def place(basket: Basket, command: Place, ctx: Ctx) -> Placed:
    """Settle what is bought and what it costs."""
    if not basket.lines:
        raise EmptyBasket
    total = sum((line.quantity * line.unit_price for line in basket.lines), Decimal(0))
    ctx.emit(OrderPlaced(customer=basket.customer, total=total))
    return Placed(
        purchase=Purchase(customer=basket.customer, lines=basket.lines, total=total),
        placed_at=ctx.now,
    )


@router.on
def pay(order: Placed, command: Pay, ctx: Ctx) -> Paid:
    """Take the payment, if it is what is due."""
    if command.amount != order.purchase.total:
        raise WrongAmount(due=order.purchase.total, paid=command.amount)
    ctx.emit(OrderPaid(payment=command.payment))
    return Paid(purchase=order.purchase, payment=command.payment, paid_at=ctx.now)


@router.on
def ship(order: Paid, command: Ship, ctx: Ctx) -> Shipped:
    """Send it off."""
    ctx.emit(OrderShipped(parcel=command.parcel))
    return Shipped(purchase=order.purchase, parcel=command.parcel, shipped_at=ctx.now)


@router.on
def deliver(order: Shipped, command: Deliver, ctx: Ctx) -> Delivered:
    """Note that it has arrived."""
    return Delivered(purchase=order.purchase, delivered_at=ctx.now)


@router.on
def cancel(order: Basket | Placed | Paid, command: Cancel, ctx: Ctx) -> Cancelled:
    """Call it off, and give back what was paid; what is on its way can no longer be called off."""
    refund = order.purchase.total if isinstance(order, Paid) else Decimal(0)
    ctx.emit(OrderCancelled(refund=refund))
    return Cancelled(reason=command.reason, refund=refund)
