"""Mistakes in handlers, middleware and the wiring of a router: each marked line must fail, and no other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from clean_order import (
    BUYER,
    AddItem,
    Buyer,
    Ctx,
    Draft,
    EmptyOrder,
    FixedPrices,
    Lamp,
    Open,
    Order,
    OrderPlaced,
    OrderShipped,
    Place,
    Placed,
    Remind,
    Ship,
    Shipped,
    Shop,
    TooExpensive,
)
from pydantic import BaseModel

from statewright import CallNext, Context, ContextKey, Failure, Success, WorkflowRouter


class Foreign(BaseModel):
    """Declared by no workflow here."""


@dataclass
class Bakery:
    ovens: int


router = WorkflowRouter(Order, deps_type=Shop)
lamps = WorkflowRouter(Lamp)

# --- events and data inside a handler --------------------------------------------------------------------------------


def emits_another_event(order: Draft, command: Place, ctx: Ctx) -> None:
    ctx.emit(OrderShipped(parcel="p"))  # E: mypy[arg-type] pyright[reportArgumentType]


def emits_a_state(order: Draft, command: Place, ctx: Ctx) -> None:
    ctx.emit(order)  # E: mypy[arg-type] pyright[reportArgumentType]


def emits_a_class(order: Draft, command: Place, ctx: Ctx) -> None:
    ctx.emit(OrderPlaced)  # E: mypy[arg-type] pyright[reportArgumentType]


def emits_nothing_at_all(order: Draft, command: Place, ctx: Ctx) -> None:
    ctx.emit()  # E: mypy[call-arg] pyright[reportCallIssue]


def emits_from_a_wider_union(order: Placed, command: Ship, ctx: Context[OrderPlaced | OrderShipped]) -> None:
    ctx.emit(Foreign())  # E: mypy[arg-type] pyright[reportArgumentType]


def event_with_a_wrong_field(order: Draft, command: Place, ctx: Ctx) -> None:
    ctx.emit(OrderPlaced(order_id=ctx.id, prize=Decimal(1)))  # E: mypy[call-arg] pyright[reportCallIssue]


def event_with_a_wrong_type(order: Draft, command: Place, ctx: Ctx) -> None:
    ctx.emit(OrderPlaced(order_id=ctx.version, price=Decimal(1)))  # E: mypy[arg-type] pyright[reportArgumentType]


def misspelt_field_of_the_command(order: Draft, command: AddItem) -> Draft:
    return Draft(items=[command.itm])  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def field_of_another_state(order: Draft, command: AddItem) -> Placed:
    return Placed(items=order.items, placed_at=order.placed_at)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def field_of_one_state_of_two(order: Draft | Placed, command: AddItem) -> Draft:
    print(order.placed_at)  # E: mypy[union-attr] pyright[reportAttributeAccessIssue]
    return Draft()


def state_with_a_wrong_type(order: Draft, command: Place, ctx: Ctx) -> Placed:
    return Placed(items="tea", placed_at=ctx.now)  # E: mypy[arg-type] pyright[reportArgumentType]


def state_with_a_missing_field(order: Draft, command: Place) -> Placed:
    return Placed(items=[])  # E: mypy[call-arg] pyright[reportCallIssue]


def returns_another_state_than_it_says(order: Draft, command: Place) -> Placed:
    return order  # E: mypy[return-value] pyright[reportReturnType]


def forgets_a_way_out(order: Draft, command: Place) -> Placed:  # E: mypy[return] pyright[reportReturnType]
    if order.items:
        return Placed(items=order.items, placed_at=datetime.max)


def state_of_nothing(order: None, command: Open) -> Draft:
    return order.copy()  # E: mypy[attr-defined, no-any-return] pyright[reportAttributeAccessIssue]


# --- refusals --------------------------------------------------------------------------------------------------------


def refusal_with_an_unknown_field(order: Draft, command: Place) -> None:
    raise EmptyOrder(least=1)  # E: mypy[call-arg] pyright[reportCallIssue]


def refusal_by_position(order: Draft, command: Place) -> None:
    raise EmptyOrder(1)  # E: mypy[call-arg] pyright[reportCallIssue]


def refusal_with_a_wrong_type(order: Draft, command: Place) -> None:
    raise EmptyOrder(minimum="one")  # E: mypy[arg-type] pyright[reportArgumentType]


def refusal_without_its_field(order: Draft, command: Place) -> None:
    raise TooExpensive(limit=Decimal(1))  # E: mypy[call-arg] pyright[reportCallIssue]


def refusal_is_returned(order: Draft, command: Place) -> Draft:
    return EmptyOrder(minimum=1)  # E: mypy[return-value] pyright[reportReturnType]


# --- the context -----------------------------------------------------------------------------------------------------


def unknown_dependency(order: Draft, command: Place, ctx: Ctx) -> None:
    print(ctx.deps.mailer)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


async def dependency_called_wrongly(order: Draft, command: Place, ctx: Ctx) -> None:
    print(await ctx.deps.prices.price(5))  # E: mypy[arg-type] pyright[reportArgumentType]


def dependency_not_awaited(order: Draft, command: Place, ctx: Ctx) -> bool:
    return ctx.deps.prices.price("tea") > Decimal(1)  # E: mypy[operator] pyright[reportOperatorIssue]


def now_is_called(order: Draft, command: Place, ctx: Ctx) -> Placed:
    return Placed(items=[], placed_at=ctx.now())  # E: mypy[operator] pyright[reportCallIssue]


def facts_are_assigned(order: Draft, command: Place, ctx: Ctx) -> None:
    ctx.now = datetime.max  # E: mypy[misc] pyright[reportAttributeAccessIssue]
    ctx.id = "other"  # E: mypy[misc] pyright[reportAttributeAccessIssue]
    ctx.version = 1  # E: mypy[misc] pyright[reportAttributeAccessIssue]
    ctx.metadata["user"] = "Ann"  # E: mypy[index] pyright[reportIndexIssue]


def schedule_without_a_time(order: Draft, command: Place, ctx: Ctx) -> None:
    ctx.schedule(Remind())  # E: mypy[call-overload] pyright[reportCallIssue]


def schedule_with_two_times(order: Draft, command: Place, ctx: Ctx) -> None:
    ctx.schedule(Remind(), delay=timedelta(1), at=datetime.max)  # E: mypy[call-overload] pyright[reportCallIssue]


def schedule_in_seconds(order: Draft, command: Place, ctx: Ctx) -> None:
    ctx.schedule(Remind(), delay=60)  # E: mypy[call-overload] pyright[reportArgumentType]


def schedule_at_a_text(order: Draft, command: Place, ctx: Ctx) -> None:
    ctx.schedule(Remind(), at="2026-11-22")  # E: mypy[call-overload] pyright[reportArgumentType]


def cancel_by_command(order: Draft, command: Place, ctx: Ctx) -> None:
    ctx.cancel(Remind())  # E: mypy[arg-type] pyright[reportArgumentType]


def bag_by_text(order: Draft, command: Place, ctx: Ctx) -> None:
    print(ctx["buyer"])  # E: mypy[index] pyright[reportArgumentType]


def bag_with_another_value(order: Draft, command: Place, ctx: Ctx) -> None:
    ctx[BUYER] = "Ann"  # E: mypy[misc] pyright[reportArgumentType]


def bag_read_as_another_type(order: Draft, command: Place, ctx: Ctx) -> str:
    return ctx[BUYER]  # E: mypy[return-value] pyright[reportReturnType]


def bag_without_asking_for_none(order: Draft, command: Place, ctx: Ctx) -> str:
    return ctx.get(BUYER).name  # E: mypy[union-attr] pyright[reportOptionalMemberAccess]


def key_of_no_name() -> None:
    ContextKey[Buyer]()  # E: mypy[call-arg] pyright[reportCallIssue]


# --- registration ----------------------------------------------------------------------------------------------------
# A handler *for* an undeclared state or command is refused when it is registered, not here: a parameter says what a
# function takes at least, and no checker can ask whether that is one of a union.


@router.on  # E: mypy[arg-type] pyright[reportArgumentType, reportCallIssue]
def to_a_foreign_state(order: Draft, command: Place) -> Foreign:
    return Foreign()


@router.on  # E: mypy[arg-type] pyright[reportArgumentType, reportCallIssue]
async def to_a_foreign_state_later(order: Draft, command: Place, ctx: Ctx) -> Foreign:
    return Foreign()


@router.on  # E: mypy[arg-type] pyright[reportArgumentType, reportCallIssue]
def to_one_foreign_state_of_two(order: Draft, command: Place) -> Placed | Foreign:
    return Foreign()


@router.on  # E: mypy[arg-type] pyright[reportArgumentType, reportCallIssue]
def to_an_event(order: Draft, command: Place) -> OrderPlaced:
    return OrderPlaced(order_id="o", price=Decimal(1))


@router.on  # E: mypy[arg-type] pyright[reportArgumentType, reportCallIssue]
def with_a_foreign_event(order: Draft, command: Place, ctx: Context[Foreign, Shop]) -> None:
    return None


@router.on  # E: mypy[arg-type] pyright[reportArgumentType, reportCallIssue]
def with_foreign_dependencies(order: Draft, command: Place, ctx: Context[OrderPlaced, Bakery]) -> None:
    return None


@router.on  # E: mypy[arg-type] pyright[reportArgumentType, reportCallIssue]
def without_a_command(order: Draft) -> Draft:
    return order


@router.on  # E: mypy[arg-type] pyright[reportArgumentType, reportCallIssue]
def with_a_fourth_parameter(order: Draft, command: Place, ctx: Ctx, clock: datetime) -> Draft:
    return order


@router.on  # E: mypy[arg-type] pyright[reportArgumentType, reportCallIssue]
def with_a_keyword(order: Draft, command: Place, *, clock: datetime) -> Draft:
    return order


@lamps.on  # E: mypy[arg-type] pyright[reportArgumentType, reportCallIssue]
def of_another_definition(order: Placed, command: Place) -> Shipped:
    return Shipped(parcel="p")


@lamps.on  # E: mypy[arg-type] pyright[reportArgumentType, reportCallIssue]
def events_where_none_are_declared(order: Draft, command: Place, ctx: Context[OrderPlaced]) -> None:
    return None


@lamps.on  # E: mypy[arg-type] pyright[reportArgumentType, reportCallIssue]
def dependencies_where_there_are_none(order: Draft, command: Place, ctx: Ctx) -> None:
    return None


router.on("add_item")  # E: mypy[call-overload] pyright[reportArgumentType, reportCallIssue]
router.on(Draft, AddItem)  # E: mypy[call-overload] pyright[reportCallIssue]

# --- middleware ------------------------------------------------------------------------------------------------------


def synchronous(ctx: Context, call_next: CallNext) -> Success | Failure:
    return call_next()  # E: mypy[return-value] pyright[reportReturnType]


async def without_call_next(ctx: Context) -> Success | Failure:
    return Failure(EmptyOrder())


async def without_a_result(ctx: Context, call_next: CallNext) -> None:
    await call_next()


async def returns_the_events(ctx: Context, call_next: CallNext) -> Success | Failure:
    result = await call_next()
    return result.events  # E: mypy[return-value, union-attr] pyright[reportAttributeAccessIssue, reportReturnType]


async def passes_the_context_on(ctx: Context, call_next: CallNext) -> Success | Failure:
    return await call_next(ctx)  # E: mypy[call-arg] pyright[reportCallIssue]


async def forgets_to_wait(ctx: Context, call_next: CallNext) -> Success | Failure:
    return call_next()  # E: mypy[return-value] pyright[reportReturnType]


async def stops_with_a_text(ctx: Context, call_next: CallNext) -> Success | Failure:
    return "not today"  # E: mypy[return-value] pyright[reportReturnType]


router.use(synchronous)  # E: mypy[arg-type] pyright[reportArgumentType]
router.use(without_call_next)  # E: mypy[arg-type] pyright[reportArgumentType]
router.use(without_a_result)  # E: mypy[arg-type] pyright[reportArgumentType]
router.use(forgets_to_wait, state="Draft")  # E: mypy[arg-type] pyright[reportArgumentType]
router.use(forgets_to_wait, state=[Draft])  # E: mypy[arg-type] pyright[reportArgumentType]
router.use(forgets_to_wait, state=Draft())  # E: mypy[arg-type] pyright[reportArgumentType]
router.on(use=[synchronous])  # E: mypy[list-item] pyright[reportArgumentType]
router.on(use=forgets_to_wait)  # E: mypy[call-overload] pyright[reportArgumentType]

# --- wiring ----------------------------------------------------------------------------------------------------------

router.with_deps(Bakery(ovens=3))  # E: mypy[arg-type] pyright[reportArgumentType]
router.with_deps(Shop)  # E: mypy[arg-type] pyright[reportArgumentType]
router.with_deps()  # E: mypy[call-arg] pyright[reportCallIssue]
router.include(lamps)  # E: mypy[arg-type] pyright[reportArgumentType]
WorkflowRouter()  # E: mypy[call-overload] pyright[reportCallIssue]
WorkflowRouter("order")  # E: mypy[call-overload] pyright[reportArgumentType]
WorkflowRouter(Order, deps_type=Shop(FixedPrices(), Decimal(1)))  # E: mypy[call-overload] pyright[reportArgumentType]
WorkflowRouter(Order, wrap_deps="no")  # E: mypy[call-overload] pyright[reportArgumentType]
WorkflowRouter(Order, dependencies=Shop)  # E: mypy[call-overload] pyright[reportCallIssue]
