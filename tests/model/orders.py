"""An order, as small as the tests of the model need it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias

from pydantic import BaseModel

from statewright import DomainError, Failure, Success, Workflow, WorkflowRouter

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Draft(BaseModel):
    items: list[str] = []


class Placed(BaseModel):
    items: list[str]


class Cancelled(BaseModel):
    reason: str = ""


class Open(BaseModel): ...


class AddItem(BaseModel):
    item: str
    count: int = 1


class Place(BaseModel): ...


class Cancel(BaseModel):
    reason: str = ""


class ItemAdded(BaseModel):
    item: str


class OrderPlaced(BaseModel):
    order_id: str


class EmptyOrder(DomainError):
    minimum: int = 1


class TooMany(DomainError):
    maximum: int


OrderState: TypeAlias = Draft | Placed | Cancelled
Command: TypeAlias = Open | AddItem | Place | Cancel
Event: TypeAlias = ItemAdded | OrderPlaced


class Order(Workflow[OrderState, Command, Event, EmptyOrder | TooMany], name="order"):
    """An order, from its first item to the till."""


def noon() -> datetime:
    return NOON


def draft(*items: str) -> Order:
    return Order.create("o-1", Draft(items=list(items)))


def routed(*handlers: Any, **options: Any) -> WorkflowRouter[Order, Any]:
    """Return a router with these handlers; the clock stands at noon."""
    router: Any = WorkflowRouter(Order, **{"clock": noon, **options})
    for handler in handlers:
        router.on(handler)
    return router


def succeeded(result: Any) -> Any:
    assert isinstance(result, Success), result
    return result


def failed(result: Any, kind: type[BaseException] = Exception) -> Any:
    """Return the error of a failure, which is of this very class where one is named."""
    assert isinstance(result, Failure), result
    assert kind is Exception or type(result.error) is kind, repr(result.error)
    assert result.error.__traceback__ is None
    return result.error
