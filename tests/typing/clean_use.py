"""A user's module: executing commands and reading what came of them. Both checkers must find nothing here."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from clean_order import (
    BUYER,
    AddItem,
    Buyer,
    Draft,
    EmptyOrder,
    FixedPrices,
    Lamp,
    Open,
    Order,
    OrderEvent,
    OrderPlaced,
    OrderShipped,
    Place,
    Placed,
    Ship,
    Shipped,
    Shop,
    TooExpensive,
    lamps,
    router,
)
from typing_extensions import assert_never, assert_type

from statewright import (
    CallNext,
    ConcurrencyConflictError,
    DependencyError,
    DomainError,
    Execution,
    Failure,
    IdempotencyError,
    InvalidDataError,
    MemoryStore,
    Middleware,
    NotFoundError,
    Observer,
    RecordedMessage,
    RestoreError,
    Result,
    RoutingError,
    SQLiteStore,
    StoreError,
    Success,
    UnexpectedError,
    Workflow,
    WorkflowCommit,
    WorkflowExecutor,
    WorkflowSnapshot,
)

shop = Shop(prices=FixedPrices(), limit=Decimal(100))


async def guarded(ctx: Execution, call_next: CallNext) -> Success | Failure:
    ctx[BUYER] = Buyer(name=str(ctx.metadata.get("user")))
    if ctx.stored is not None and ctx.stored.version > 1_000:
        return Failure(EmptyOrder(minimum=3))
    return await call_next()


class Counting:
    """A middleware with a memory."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, ctx: Execution, call_next: CallNext) -> Result:
        self.calls += 1
        return await call_next()


any_middleware: Middleware = Counting()


class Log(Observer):
    def transitioned(self, source: object, target: object, workflow: Workflow[Any, Any]) -> None:
        print(source, target, workflow.id)


async def main() -> None:
    async with SQLiteStore("orders.db") as store:
        orders = WorkflowExecutor(router.with_deps(shop), store, retries=5)
        assert_type(orders, WorkflowExecutor[Order])
        orders.use(guarded).use(Counting())
        orders.observe(Log())
        result = await orders.execute("o-1", Open())
        assert_type(result, Success[Order, OrderEvent] | Failure[EmptyOrder | TooExpensive])
        if isinstance(result, Success):
            print(result.workflow.total(), result.version, result.replayed)
            assert_type(result.workflow, Order)
            assert_type(result.events, tuple[OrderEvent, ...])
            assert_type(result.snapshot, WorkflowSnapshot)
        else:
            print(result.error.category, result.error.to_dict())
        if result.ok is False:
            raise result.error
        print(result.workflow.is_open)
        done = (
            await orders.execute("o-1", {"type": "AddItem", "payload": {"item": "tea"}}, expected_version=1)
        ).unwrap()
        assert_type(done, Success[Order, OrderEvent])
        await orders.execute("o-1", AddItem(item="tea"), idempotency_key="k", metadata={"user": "Ann"})
        created: Success[Order, OrderEvent] = (await orders.create("o-2", Draft(items=["tea"]))).unwrap()
        print(created.workflow.name, Order.name, Order.model_version)


async def read(orders: WorkflowExecutor[Order]) -> None:
    order = await orders.get("o-1")
    assert_type(order, Order | None)
    assert_type(await orders.at("o-1", 3), Order | None)
    if order is not None:
        print(order.total(), order.state, order.version, order.created_at.isoformat())
    history = await orders.history("o-1", after=1, limit=10)
    assert_type(history, list[WorkflowCommit[OrderEvent]])
    for commit in history:
        when: datetime = commit.recorded_at
        print(commit.position, commit.version, when, commit.command)
        for event in commit.events:
            print(named(event))
    preview = await orders.preview("o-1", Place())
    print(preview.ok, await orders.available_commands("o-1"))


def named(event: OrderEvent | RecordedMessage) -> str:
    match event:
        case OrderPlaced(order_id=order_id):
            return order_id
        case OrderShipped(parcel=parcel):
            return parcel
        case RecordedMessage(type=name):
            return name
        case _:
            assert_never(event)


async def decide(orders: WorkflowExecutor[Order]) -> str:
    match await orders.execute("o-1", Place()):
        case Success(workflow=order, events=events):
            assert_type(order, Order)
            assert_type(events, tuple[OrderEvent, ...])
            return order.state
        case Failure(error=EmptyOrder(minimum=minimum)):
            return f"needs {minimum}"
        case Failure(error=TooExpensive() as refusal):
            return f"{refusal.price} is more than {refusal.limit} ({refusal.code})"
        case Failure(error=error):
            raise error


async def every_error(orders: WorkflowExecutor[Order]) -> int:
    result = await orders.execute("o-1", Place())
    if isinstance(result, Success):
        return 200
    match result.error:
        case EmptyOrder() | TooExpensive():
            return 409
        case InvalidDataError(source=source):
            print(source)
            return 422
        case NotFoundError(workflow_id=missing):
            print(missing)
            return 404
        case ConcurrencyConflictError(expected_version=expected, actual_version=actual):
            print(expected, actual)
            return 412
        case RoutingError(code=code):
            print(code)
            return 409
        case DependencyError(name=name):
            print(name)
            return 503
        case IdempotencyError():
            return 422
        case StoreError() | RestoreError() | UnexpectedError():
            return 500
        case _:
            assert_never(result.error)


def label(order: Order) -> str:
    match order.data:
        case Draft(items=items):
            return ", ".join(items)
        case Placed(placed_at=placed_at):
            return placed_at.isoformat()
        case Shipped(parcel=parcel):
            return parcel
        case _:
            assert_never(order.data)


async def generic(executor: WorkflowExecutor, commands: Mapping[str, object]) -> list[Result]:
    """A tool that knows no definition takes any executor; bare generics are legal under strict."""
    results: list[Result] = []
    for id, command in commands.items():
        result: Success | Failure = await executor.execute(id, command)
        results.append(result)
    return results


def refuse(error: DomainError) -> Failure[DomainError]:
    return Failure(error)


async def pure() -> None:
    opened = (await router.dispatch(None, Open(), id="o-1")).unwrap()
    assert_type(opened.workflow, Order)
    again = await router.dispatch(opened.workflow, Ship(parcel="p"))
    if isinstance(again, Failure) and isinstance(again.error, EmptyOrder):
        print(again.error.minimum)
    order = Order.create("o-2", Draft())
    assert_type(order, Order)
    assert_type(Order.from_snapshot(order.to_snapshot()), Order)
    states: Mapping[str, type[Any]] = Order.states
    print(states, router.transitions, router.available_commands_for(Draft), router.available_commands_for(None))


def synchronous() -> None:
    orders = WorkflowExecutor(router.with_deps(shop), MemoryStore())
    with orders.sync() as sync_orders:
        result = sync_orders.execute("o-1", Open())
        assert_type(result, Success[Order, OrderEvent] | Failure[EmptyOrder | TooExpensive])
        assert_type(sync_orders.get("o-1"), Order | None)
        assert_type(sync_orders.history("o-1"), list[WorkflowCommit[OrderEvent]])


async def without_events_or_errors() -> None:
    lamp = WorkflowExecutor(lamps, MemoryStore())
    assert_type(lamp, WorkflowExecutor[Lamp])
    match await lamp.execute("l-1", Open()):
        case Success(workflow=workflow):
            assert_type(workflow, Lamp)
        case Failure(error=NotFoundError(workflow_id=id)):
            print(id)
        case Failure(error=error):
            print(error.category)
    asyncio.get_running_loop()
