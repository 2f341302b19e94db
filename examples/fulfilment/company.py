"""The three workflows over one store, and what follows from one for the others."""

from datetime import timedelta
from typing import Any, TypeAlias

from examples.fulfilment import order, payment, shipment
from statewright import MemoryStore, PostgresStore, Reactors, Send, Source, SQLiteStore, Worker, WorkflowExecutor

Store: TypeAlias = MemoryStore | SQLiteStore | PostgresStore

reactors = Reactors()


@reactors.on
def request_payment(event: order.OrderPlaced, source: Source) -> Send:
    """Who orders is asked to pay."""
    request = payment.Request(order=source.workflow_id, amount=event.total)
    return Send("payment", payment_of(source.workflow_id), request)


@reactors.on
def confirm_payment(event: payment.PaymentSettled, source: Source) -> Send:
    """What is paid for goes on; an order that was given up meanwhile withdraws the payment, and need not hear of it."""
    return Send("order", event.order, order.ConfirmPayment(payment=source.workflow_id), refused="drop")


@reactors.on
def prepare_shipment(event: order.OrderPaid, source: Source) -> Send:
    """What is paid for is packed."""
    prepare = shipment.Prepare(order=source.workflow_id, address=event.address)
    return Send("shipment", shipment_of(source.workflow_id), prepare)


@reactors.on
def confirm_shipment(event: shipment.ShipmentSent, _: Source) -> Send:
    """What has left is no longer waited for."""
    return Send("order", event.order, order.ConfirmShipment(parcel=event.parcel))


@reactors.on
def withdraw_payment(_: order.OrderCancelled, source: Source) -> Send:
    """What was given up need not be paid, or is paid back."""
    return Send("payment", payment_of(source.workflow_id), payment.Withdraw())


def payment_of(order_id: str) -> str:
    """Return the id of an order's payment."""
    return f"payment-{order_id}"


def shipment_of(order_id: str) -> str:
    """Return the id of an order's shipment."""
    return f"shipment-{order_id}"


class Company:
    """Everything over one store: in each process that takes orders or works them off.

    Args:
        store: Keeps it all; with timers and positions.
    """

    def __init__(self, store: Store) -> None:
        self.orders: WorkflowExecutor[order.Order] = WorkflowExecutor(order.router, store)
        self.payments: WorkflowExecutor[payment.Payment] = WorkflowExecutor(payment.router, store)
        self.shipments: WorkflowExecutor[shipment.Shipment] = WorkflowExecutor(shipment.router, store)
        self.store = store

    def worker(self, **settings: Any) -> Worker:
        """Return a worker; any number of them may run."""
        executors = [self.orders, self.payments, self.shipments]
        usual: dict[str, Any] = {"start": 0, "poll": timedelta(milliseconds=200)}
        return Worker(self.store, executors, reactors=reactors, **usual | settings)
