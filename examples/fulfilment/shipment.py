"""A shipment: packed in the warehouse, and sent."""

from typing import TypeAlias

from pydantic import BaseModel

from statewright import Context, Workflow, WorkflowRouter


class ToPack(BaseModel):
    """The warehouse has been told."""

    order: str
    address: str


class Sent(BaseModel):
    """On its way."""

    parcel: str


class Prepare(BaseModel):
    """Tell the warehouse."""

    order: str
    address: str


class HandOver(BaseModel):
    """The warehouse has handed it over."""

    parcel: str


class ShipmentSent(BaseModel):
    """An order has left."""

    order: str
    parcel: str


State: TypeAlias = ToPack | Sent
Command: TypeAlias = Prepare | HandOver


class Shipment(Workflow[State, Command, ShipmentSent], name="shipment"):
    """What leaves the warehouse for an order."""


router = WorkflowRouter(Shipment)


@router.on
def prepare(_: None, command: Prepare) -> ToPack:
    """Each order has one shipment."""
    return ToPack(order=command.order, address=command.address)


@router.on
def send(shipment: ToPack, command: HandOver, ctx: Context[ShipmentSent]) -> Sent:
    """Tell the order."""
    ctx.emit(ShipmentSent(order=shipment.order, parcel=command.parcel))
    return Sent(parcel=command.parcel)
