"""A payment: asked for, settled by the customer's bank, or void; and refunded if it was settled too late."""

from decimal import Decimal
from typing import TypeAlias

from pydantic import BaseModel

from statewright import Context, DomainError, Workflow, WorkflowRouter


class Requested(BaseModel):
    """The customer has been asked."""

    order: str
    amount: Decimal


class Settled(BaseModel):
    """The money is there."""

    order: str
    amount: Decimal


class Void(BaseModel):
    """The customer need not pay any more."""


class Refunded(BaseModel):
    """The money went back."""

    amount: Decimal


class Request(BaseModel):
    """Ask the customer."""

    order: str
    amount: Decimal


class Settle(BaseModel):
    """The bank says that the money is there."""


class Withdraw(BaseModel):
    """The order is off."""


class PaymentSettled(BaseModel):
    """An order is paid for."""

    order: str


class NothingToPay(DomainError):
    """It is void: the bank is to send the money back."""


State: TypeAlias = Requested | Settled | Void | Refunded
Command: TypeAlias = Request | Settle | Withdraw


class Payment(Workflow[State, Command, PaymentSettled, NothingToPay], name="payment"):
    """What a customer pays for an order."""


router = WorkflowRouter(Payment)


@router.on
def request(_: None, command: Request) -> Requested:
    """Each order has one payment."""
    return Requested(order=command.order, amount=command.amount)


@router.on
def settle(payment: Requested, _: Settle, ctx: Context[PaymentSettled]) -> Settled:
    """Tell the order."""
    ctx.emit(PaymentSettled(order=payment.order))
    return Settled(order=payment.order, amount=payment.amount)


@router.on
def settle_in_vain(_: Void, __: Settle) -> Void:
    """Too late."""
    raise NothingToPay


@router.on
def withdraw(_: Requested, __: Withdraw) -> Void:
    """Nothing was paid."""
    return Void()


@router.on
def refund(payment: Settled, _: Withdraw) -> Refunded:
    """It was paid while the order was being given up: the order's word counts."""
    return Refunded(amount=payment.amount)
