"""A user's module: what surrounds an executor. Both checkers must find nothing here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from clean_order import (
    AddItem,
    Ctx,
    Draft,
    EmptyOrder,
    FixedPrices,
    Open,
    Order,
    OrderPlaced,
    OrderShipped,
    Place,
    Placed,
    Shop,
    lamps,
    router,
)
from typing_extensions import assert_type

from statewright import (
    Commit,
    MemoryStore,
    Migrations,
    RecordedMessage,
    Reactors,
    Send,
    Source,
    Worker,
    WorkflowExecutor,
    WorkflowRouter,
    WorkflowSnapshot,
    migrate,
)
from statewright.testing import ManualClock, context, given

store = MemoryStore()
shop = Shop(FixedPrices(), Decimal(9))
orders = WorkflowExecutor(router.with_deps(shop), store)
reactors = Reactors()
migrations = Migrations(Order)


@reactors.on
def light_a_lamp(event: OrderPlaced, source: Source) -> Send:
    return Send("lamp", f"lamp-{source.workflow_id}", Open())


@reactors.on(name="remember")
def remember(event: OrderPlaced | OrderShipped, source: Source) -> list[Send]:
    return [Send(orders, "o-1", AddItem(item=source.workflow_id), refused="drop")]


@reactors.on
def say_nothing(event: OrderShipped, source: Source) -> None:
    return None


@migrations.to(2, "placed was called done")
def rename_done(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
    return snapshot.replace(state="Submitted") if snapshot.state == "Done" else snapshot


@migrations.event("OrderDone", to=2)
def rename_event(event: RecordedMessage) -> RecordedMessage:
    return RecordedMessage("OrderPlaced", event.data)


class Postbox:
    """Publishes by printing."""

    name = "postbox"

    async def publish(self, commit: Commit) -> None:
        print(commit.position, commit.events)


async def work() -> None:
    clock = ManualClock()
    executors = [orders, WorkflowExecutor(lamps, store)]
    worker = Worker(store, executors, reactors=reactors, publishers=[Postbox()], start="now", clock=clock)
    await worker.run_until_idle()
    clock.advance(timedelta(days=1))
    report = await migrate(store, migrations, dry_run=False)
    print(report.migrated, [failure.id for failure in report.failures])
    for send in reactors.resolve(OrderShipped(parcel="p"), source()):
        print(send.target, send.id)
    placed = (await orders.execute("o-1", Place())).unwrap()
    assert_type(await orders.wait_for(placed, ["light_a_lamp"], timeout=timedelta(seconds=1)), bool)


def source() -> Source:
    return Source(workflow_id="o-1", definition="order", version=1, position=1, metadata={})


def test_an_empty_order() -> None:
    given(router.with_deps(shop), Draft()).when(Place()).fails(EmptyOrder, minimum=1)
    given(router.with_deps(shop), Draft(items=["tea"])).when(Place()).emits(OrderPlaced).then(Placed)


# Registered below, a handler keeps its exact type; decorated, its result is any state of the workflow.
def reopen(order: Placed, command: Open, ctx: Ctx) -> Draft:
    return Draft(items=order.items)


def test_a_handler_alone() -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    ctx = context(Order, id="o-1", now=noon, deps=shop)
    assert_type(reopen(Placed(items=["tea"], placed_at=noon), Open(), ctx), Draft)


WorkflowRouter(Order, shop).on(reopen)
