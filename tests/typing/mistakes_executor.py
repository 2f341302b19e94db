"""Mistakes with executors, and with routers that are used directly: each marked line must fail, and no other."""

from __future__ import annotations

from clean_order import (
    AddItem,
    Draft,
    EmptyOrder,
    Lamp,
    Open,
    Order,
    OrderPlaced,
    Place,
    lamps,
    router,
)
from pydantic import BaseModel

from statewright import (
    CallNext,
    Execution,
    Failure,
    MemoryStore,
    Success,
    WorkflowCommit,
    WorkflowExecutor,
)


class Foreign(BaseModel):
    """Declared by no workflow here."""


store = MemoryStore()
orders = WorkflowExecutor(router, store)
lamp = WorkflowExecutor(lamps, store)

# --- execute ---------------------------------------------------------------------------------------------------------


async def foreign_command() -> None:
    await orders.execute("o-1", Foreign())  # E: mypy[arg-type] pyright[reportArgumentType]


async def command_of_another_definition() -> None:
    await lamp.execute("l-1", AddItem(item="tea"))  # E: mypy[arg-type] pyright[reportArgumentType]


async def state_for_a_command() -> None:
    await orders.execute("o-1", Draft())  # E: mypy[arg-type] pyright[reportArgumentType]


async def class_for_a_command() -> None:
    await orders.execute("o-1", Open)  # E: mypy[arg-type] pyright[reportArgumentType]


async def name_for_a_command() -> None:
    await orders.execute("o-1", "Open")  # E: mypy[arg-type] pyright[reportArgumentType]


async def wrong_payload() -> None:
    await orders.execute("o-1", AddItem(item=5))  # E: mypy[arg-type] pyright[reportArgumentType]


async def misspelt_payload() -> None:
    await orders.execute("o-1", AddItem(itm="tea"))  # E: mypy[call-arg] pyright[reportCallIssue]


async def missing_payload() -> None:
    await orders.execute("o-1", AddItem())  # E: mypy[call-arg] pyright[reportCallIssue]


async def number_for_an_id() -> None:
    await orders.execute(1, Open())  # E: mypy[arg-type] pyright[reportArgumentType]


async def no_id() -> None:
    await orders.execute(Open())  # E: mypy[arg-type, call-arg] pyright[reportCallIssue]


async def no_command() -> None:
    await orders.execute("o-1")  # E: mypy[call-arg] pyright[reportCallIssue]


async def version_of_text() -> None:
    await orders.execute("o-1", Open(), expected_version="1")  # E: mypy[arg-type] pyright[reportArgumentType]


async def version_by_position() -> None:
    await orders.execute("o-1", Open(), 1)  # E: mypy[call-arg] pyright[reportCallIssue]


async def unknown_option() -> None:
    await orders.execute("o-1", Open(), version=1)  # E: mypy[call-arg] pyright[reportCallIssue]


async def key_of_a_number() -> None:
    await orders.execute("o-1", Open(), idempotency_key=1)  # E: mypy[arg-type] pyright[reportArgumentType]


async def metadata_of_text() -> None:
    await orders.execute("o-1", Open(), metadata="Ann")  # E: mypy[arg-type] pyright[reportArgumentType]


async def not_awaited() -> None:
    print(orders.execute("o-1", Open()).ok)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


async def never_awaited() -> None:
    orders.execute("o-1", Open())  # E: mypy[unused-coroutine] pyright[reportUnusedCoroutine]


async def misread_workflow() -> Lamp:
    return (await orders.execute("o-1", Open())).unwrap().workflow  # E: mypy[return-value] pyright[reportReturnType]


async def not_asked() -> None:
    result = await orders.execute("o-1", Open())
    print(result.workflow.total())  # E: mypy[union-attr] pyright[reportAttributeAccessIssue]


async def one_refusal_of_two() -> Failure[EmptyOrder]:
    return await orders.execute("o-1", Open())  # E: mypy[return-value] pyright[reportReturnType]


# --- reading ---------------------------------------------------------------------------------------------------------


async def created_in_a_foreign_state() -> None:
    await orders.create("o-1", Foreign())  # E: mypy[arg-type] pyright[reportArgumentType]


async def created_by_a_command() -> None:
    await orders.create("o-1", Open())  # E: mypy[arg-type] pyright[reportArgumentType]


async def created_from_a_dict() -> None:
    await orders.create("o-1", {"items": []})  # E: mypy[arg-type] pyright[reportArgumentType]


async def may_not_exist() -> None:
    print((await orders.get("o-1")).total())  # E: mypy[union-attr] pyright[reportOptionalMemberAccess]


async def past_may_not_exist() -> None:
    print((await orders.at("o-1", 2)).total())  # E: mypy[union-attr] pyright[reportOptionalMemberAccess]


async def past_by_text() -> None:
    await orders.at("o-1", "2")  # E: mypy[arg-type] pyright[reportArgumentType]


async def got_another() -> Lamp | None:
    return await orders.get("l-1")  # E: mypy[return-value] pyright[reportReturnType]


async def event_may_be_undecoded() -> None:
    for commit in await orders.history("o-1"):
        for event in commit.events:
            print(event.order_id)  # E: mypy[union-attr] pyright[reportAttributeAccessIssue]


async def history_of_another_event() -> list[WorkflowCommit[OrderPlaced]]:
    return await orders.history("o-1")  # E: mypy[return-value] pyright[reportReturnType]


async def command_may_be_none() -> None:
    for commit in await orders.history("o-1"):
        print(commit.command.type)  # E: mypy[union-attr] pyright[reportOptionalMemberAccess]


async def history_by_position() -> None:
    await orders.history("o-1", 3)  # E: mypy[call-arg] pyright[reportCallIssue]


async def preview_of_a_foreign_command() -> None:
    await orders.preview("o-1", Foreign())  # E: mypy[arg-type] pyright[reportArgumentType]


# --- synchronous -----------------------------------------------------------------------------------------------------


async def awaits_what_is_synchronous() -> None:
    with orders.sync() as sync_orders:
        await sync_orders.execute("o-1", Open())  # E: mypy[misc] pyright[reportGeneralTypeIssues]


async def enters_asynchronously() -> None:
    async with orders.sync():  # E: mypy[attr-defined] pyright[reportGeneralTypeIssues]
        pass


def foreign_command_synchronously() -> None:
    with orders.sync() as sync_orders:
        sync_orders.execute("o-1", Foreign())  # E: mypy[arg-type] pyright[reportArgumentType]


def not_asked_synchronously() -> None:
    with orders.sync() as sync_orders:
        print(sync_orders.execute("o-1", Open()).workflow)  # E: mypy[union-attr] pyright[reportAttributeAccessIssue]


def may_not_exist_synchronously() -> None:
    with orders.sync() as sync_orders:
        print(sync_orders.get("o-1").total())  # E: mypy[union-attr] pyright[reportOptionalMemberAccess]


# --- wiring ----------------------------------------------------------------------------------------------------------


def synchronous(ctx: Execution, call_next: CallNext) -> Success | Failure:
    return Failure(EmptyOrder())


async def without_a_result(ctx: Execution, call_next: CallNext) -> None:
    await call_next()


async def without_asking_for_none(ctx: Execution, call_next: CallNext) -> Success | Failure:
    print(ctx.stored.version)  # E: mypy[union-attr] pyright[reportOptionalMemberAccess]
    return await call_next()


async def changes_the_facts(ctx: Execution, call_next: CallNext) -> Success | Failure:
    ctx.replayed = True  # E: mypy[misc] pyright[reportAttributeAccessIssue]
    return await call_next()


def takes_orders(executor: WorkflowExecutor[Order]) -> None:
    print(executor)


orders.use(synchronous)  # E: mypy[arg-type] pyright[reportArgumentType]
orders.use(without_a_result)  # E: mypy[arg-type] pyright[reportArgumentType]
orders.use([changes_the_facts])  # E: mypy[arg-type] pyright[reportArgumentType]
orders.observe(print)  # E: mypy[arg-type] pyright[reportArgumentType]
takes_orders(lamp)  # E: mypy[arg-type] pyright[reportArgumentType]
takes_orders(router)  # E: mypy[arg-type] pyright[reportArgumentType]
WorkflowExecutor(router)  # E: mypy[call-arg] pyright[reportCallIssue]
WorkflowExecutor(store, router)  # E: mypy[arg-type] pyright[reportArgumentType]
WorkflowExecutor(Order, store)  # E: mypy[arg-type] pyright[reportArgumentType]
WorkflowExecutor(router, store, retries="3")  # E: mypy[arg-type] pyright[reportArgumentType]
WorkflowExecutor(router, store, 5)  # E: mypy[call-arg] pyright[reportCallIssue]
WorkflowExecutor(router, "orders.db")  # E: mypy[arg-type] pyright[reportArgumentType]

# --- the router itself -----------------------------------------------------------------------------------------------


async def dispatch_of_a_foreign_command() -> None:
    await router.dispatch(None, Foreign(), id="o-1")  # E: mypy[arg-type] pyright[reportArgumentType]


async def dispatch_of_an_id() -> None:
    await router.dispatch("o-1", Open())  # E: mypy[arg-type] pyright[reportArgumentType]


async def dispatch_of_another_workflow(one: Lamp) -> None:
    await router.dispatch(one, Place())  # E: mypy[arg-type] pyright[reportArgumentType]


async def dispatch_not_awaited(order: Order) -> None:
    print(router.dispatch(order, Place()).ok)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


async def dispatch_not_asked(order: Order) -> None:
    result = await router.dispatch(order, Place())
    print(result.workflow)  # E: mypy[union-attr] pyright[reportAttributeAccessIssue]


def commands_of_a_name() -> None:
    router.available_commands_for("Draft")  # E: mypy[arg-type] pyright[reportArgumentType]
