"""What a user writes against a local or remote executor, as the type checkers have to see it."""

from __future__ import annotations

from typing import TypeAlias

from pydantic import BaseModel
from typing_extensions import assert_type

from statewright import DomainError, Failure, Success, Workflow, WorkflowCommit, WorkflowExecutor
from statewright.client import RemoteExecutor


class Draft(BaseModel):
    items: list[str] = []


class Open(BaseModel): ...


class Opened(BaseModel):
    by: str


class Closed(DomainError):
    until: int


class Order(Workflow[Draft, Open, Opened, Closed], name="order"):
    def size(self) -> int:
        return len(self.data.items)


Orders: TypeAlias = WorkflowExecutor[Order] | RemoteExecutor[Order]


async def use(orders: RemoteExecutor[Order]) -> None:
    result = await orders.execute("1", Open(), expected_version=0, idempotency_key="k")
    assert_type(result, Success[Order, Opened] | Failure[Closed])
    match result:
        case Success(workflow=order, events=events):
            assert_type(order.size(), int)
            assert_type(events, tuple[Opened, ...])
        case Failure(error=Closed(until=until)):
            assert_type(until, int)
        case Failure():
            pass

    assert_type(await orders.get("1"), Order | None)
    assert_type(await orders.at("1", 1), Order | None)
    assert_type(await orders.history("1"), list[WorkflowCommit[Opened]])
    async for order in orders.watch("1"):
        assert_type(order, Order)


async def either(orders: Orders) -> int:
    """Code written for one executor runs with the other."""
    result = await orders.execute("1", {"type": "Open"})
    found = await orders.get("1")
    return result.unwrap().workflow.size() + (0 if found is None else found.size())


async def make() -> None:
    async with RemoteExecutor("http://127.0.0.1:8000", Order, token="...") as orders:
        assert_type(orders, RemoteExecutor[Order])
        await use(orders)
        await either(orders)
