"""A user's module: a definition, its handlers and what they depend on. Both checkers must find nothing here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol, TypeAlias

from pydantic import BaseModel
from typing_extensions import assert_never, assert_type

from statewright import CallNext, Context, ContextKey, DomainError, Failure, Success, Workflow, WorkflowRouter


class Draft(BaseModel):
    items: list[str] = []


class Placed(BaseModel):
    items: list[str]
    placed_at: datetime


@dataclass
class Shipped:
    parcel: str


class Open(BaseModel):
    pass


class AddItem(BaseModel):
    item: str


class Place(BaseModel):
    pass


@dataclass(frozen=True)
class Ship:
    parcel: str


class Remind(BaseModel):
    text: str = "still open"


class OrderPlaced(BaseModel):
    order_id: str
    price: Decimal


class OrderShipped(BaseModel):
    parcel: str


class EmptyOrder(DomainError):
    minimum: int = 1


class TooExpensive(DomainError):
    limit: Decimal
    price: Decimal


OrderState: TypeAlias = Draft | Placed | Shipped
OrderCommand: TypeAlias = Open | AddItem | Place | Ship | Remind
OrderEvent: TypeAlias = OrderPlaced | OrderShipped
OrderError: TypeAlias = EmptyOrder | TooExpensive


class Order(
    Workflow[OrderState, OrderCommand, OrderEvent, OrderError],
    name="order",
    model_version=2,
    stored_names={Placed: "Submitted"},
):
    """An order, with something of the user's own on it."""

    def total(self) -> int:
        match self.data:
            case Draft(items=items) | Placed(items=items):
                return len(items)
            case Shipped():
                return 0
            case _:
                assert_never(self.data)

    @property
    def is_open(self) -> bool:
        return isinstance(self.data, Draft)


class Lamp(Workflow[Draft | Placed, Open | Place], name="lamp"):
    """A definition without events and without errors of its own."""


class Buyer(BaseModel):
    name: str


class PriceList(Protocol):
    async def price(self, item: str) -> Decimal: ...


class FixedPrices:
    async def price(self, item: str) -> Decimal:
        return Decimal(len(item))


@dataclass
class Shop:
    prices: PriceList
    limit: Decimal


@dataclass
class BusyShop(Shop):
    queue: int = 0


BUYER = ContextKey[Buyer]("buyer")
Ctx: TypeAlias = Context[OrderPlaced, Shop]

router = WorkflowRouter(Order, deps_type=Shop)
assert_type(router, WorkflowRouter[Order, Shop])
assert_type(router.with_deps(BusyShop(FixedPrices(), Decimal(9))), WorkflowRouter[Order, Shop])


@router.on
def open_order(_: None, command: Open) -> Draft:
    return Draft()


@router.on
def add_item(order: Draft, command: AddItem) -> Draft:
    return Draft(items=[*order.items, command.item])


@router.on
async def place(order: Draft, command: Place, ctx: Ctx) -> Placed:
    if not order.items:
        raise EmptyOrder(minimum=1)
    price = Decimal(0)
    for item in order.items:
        price += await ctx.deps.prices.price(item)
    if price > ctx.deps.limit:
        raise TooExpensive(limit=ctx.deps.limit, price=price)
    ctx.emit(OrderPlaced(order_id=ctx.id, price=price))
    return Placed(items=order.items, placed_at=ctx.now)


@router.on
def ship(order: Placed, command: Ship, ctx: Context[OrderEvent]) -> Shipped:
    ctx.emit(OrderShipped(parcel=command.parcel))
    return Shipped(parcel=command.parcel)


# One handler for several states, with several targets and a context of which nothing is said.
@router.on
def remind(order: Draft | Placed, command: Remind, ctx: Context) -> Draft | Placed:
    assert_type(ctx[BUYER], Buyer)
    assert_type(ctx.get(BUYER), Buyer | None)
    ctx[BUYER] = Buyer(name="Ann")
    return order


# `None` keeps the state as it was; one handler for several commands.
@router.on
async def ignore(order: Shipped, command: AddItem | Place | Remind) -> None:
    return None


@router.on
def place_or_not(order: Placed, command: Place) -> Placed | None:
    return None


async def traced(ctx: Context, call_next: CallNext) -> Success | Failure:
    result = await call_next()
    assert_type(result.ok, bool)
    return result


@router.on(use=[traced])
def reopen(order: Placed, command: Open, ctx: Ctx) -> Draft:
    ctx.emit(OrderPlaced(order_id=ctx.id, price=ctx.deps.limit))
    return Draft(items=order.items)


class Desk:
    """Bound methods and objects that can be called are handlers, too."""

    def add(self, order: Placed, command: AddItem) -> Placed:
        return order

    def __call__(self, order: Placed, command: Remind, ctx: Ctx) -> None:
        return None


router.on(Desk().add)
router.on(Desk())
router.use(traced)
router.use(traced, state=Draft)
router.use(traced, state=(Draft, Placed))

with_limit = WorkflowRouter(Order, BusyShop(FixedPrices(), Decimal(9)))
assert_type(with_limit, WorkflowRouter[Order, BusyShop])


# A handler that asks for less than there is: the dependencies' base class, one event of two.
@with_limit.on
def start(_: None, command: Open, ctx: Ctx) -> Draft:
    return Draft()


lamps = WorkflowRouter(Lamp)
assert_type(lamps, WorkflowRouter[Lamp, None])
more_lamps = WorkflowRouter(Lamp)
lamps.include(more_lamps)


@lamps.on
def light(_: None, command: Open, ctx: Context) -> Draft:
    return Draft()


# A definition that emits nothing is content with a context that may emit nothing.
def tomorrow(ctx: Ctx) -> datetime:
    return ctx.now + timedelta(days=1)
