"""Mistakes in class statements and with instances: each marked line must fail, and no other."""

from __future__ import annotations

from typing import Any

from clean_order import AddItem, Draft, EmptyOrder, Lamp, Open, Order, OrderPlaced, OrderState, Place, Placed, Shipped
from pydantic import BaseModel
from typing_extensions import assert_never

from statewright import DomainError, Observer, Workflow, WorkflowSnapshot


class Foreign(BaseModel):
    """Declared by no workflow here."""


# --- the class statement ---------------------------------------------------------------------------------------------


class Nameless(Workflow[Draft, Open]):  # E: mypy[call-arg] pyright[reportCallIssue, reportGeneralTypeIssues]
    pass


class NamedByNumber(Workflow[Draft, Open], name=7):  # E: mypy[arg-type] pyright[reportArgumentType, reportGeneralTypeIssues]
    pass


class VersionOfText(Workflow[Draft, Open], name="text", model_version="2"):  # E: mypy[arg-type] pyright[reportArgumentType, reportGeneralTypeIssues]
    pass


class UnknownOption(Workflow[Draft, Open], name="option", store="orders.db"):  # E: mypy[call-arg] pyright[reportCallIssue, reportGeneralTypeIssues]
    pass


class NamesTheWrongWay(Workflow[Draft, Open], name="names", stored_names={"Submitted": Draft}):  # E: mypy[dict-item] pyright[reportArgumentType, reportGeneralTypeIssues]
    pass


class WithoutCommands(Workflow[Draft], name="silent"):  # E: mypy[type-arg] pyright[reportInvalidTypeArguments]
    pass


class EventsForErrors(Workflow[Draft, Open, EmptyOrder, OrderPlaced], name="swapped"):  # E: mypy[type-var] pyright[reportInvalidTypeArguments]
    pass


class TooManyParameters(Workflow[Draft, Open, Place, EmptyOrder, Shipped], name="many"):  # E: mypy[type-arg] pyright[reportInvalidTypeArguments]
    pass


class WrongDefault(DomainError):
    minimum: int = "one"  # E: mypy[assignment] pyright[reportAssignmentType]


# --- instances -------------------------------------------------------------------------------------------------------


def created_in_a_foreign_state() -> None:
    Order.create("o-1", Foreign())  # E: mypy[arg-type] pyright[reportArgumentType]


def created_from_a_command() -> None:
    Order.create("o-1", Open())  # E: mypy[arg-type] pyright[reportArgumentType]


def created_from_a_class() -> None:
    Order.create("o-1", Draft)  # E: mypy[arg-type] pyright[reportArgumentType]


def created_without_an_id() -> None:
    Order.create(Draft())  # E: mypy[arg-type, call-arg] pyright[reportCallIssue]


def created_with_a_number() -> None:
    Order.create(1, Draft())  # E: mypy[arg-type] pyright[reportArgumentType]


def restored_from_a_dict(row: dict[str, Any]) -> None:
    Order.from_snapshot(row)  # E: mypy[arg-type] pyright[reportArgumentType]


def restored_as_another(snapshot: WorkflowSnapshot) -> Lamp:
    return Order.from_snapshot(snapshot)  # E: mypy[return-value] pyright[reportReturnType]


def attributes_are_assigned(order: Order) -> None:
    order.data = Draft()  # E: mypy[misc] pyright[reportAttributeAccessIssue]
    order.version = 2  # E: mypy[misc] pyright[reportAttributeAccessIssue]
    order.id = "other"  # E: mypy[misc] pyright[reportAttributeAccessIssue]
    order.state = "Draft"  # E: mypy[misc] pyright[reportAttributeAccessIssue]


def unknown_method(order: Order) -> None:
    order.place()  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def field_before_asking_for_the_state(order: Order) -> None:
    print(order.data.items)  # E: mypy[union-attr] pyright[reportAttributeAccessIssue]


def state_is_a_name(order: Order) -> None:
    print(order.state.items)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def field_of_another_state(order: Order) -> None:
    if isinstance(order.data, Draft):
        print(order.data.placed_at)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def forgets_a_state(order: Order) -> str:
    match order.data:
        case Draft():
            return "draft"
        case Placed():
            return "placed"
        case _:
            assert_never(order.data)  # E: mypy[arg-type] pyright[reportArgumentType]


def forgets_a_state_and_falls_out(state: OrderState) -> str:  # E: mypy[return] pyright[reportReturnType]
    match state:  # E: pyright[reportMatchNotExhaustive]
        case Draft():
            return "draft"
        case Shipped():
            return "shipped"


def compares_with_a_command(order: Order) -> AddItem:
    return order.data  # E: mypy[return-value] pyright[reportReturnType]


def snapshot_has_no_such_field(snapshot: WorkflowSnapshot) -> None:
    print(snapshot.states)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


# --- observers -------------------------------------------------------------------------------------------------------


class ForgetsAParameter(Observer):
    def transitioned(self, source: object, target: object) -> None:  # E: mypy[override] pyright[reportIncompatibleMethodOverride]
        print(source, target)


class IsAsynchronous(Observer):
    async def emitted(self, event: object, workflow: Workflow[Any, Any]) -> None:  # E: mypy[override] pyright[reportIncompatibleMethodOverride]
        print(event)
