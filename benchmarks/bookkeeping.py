"""The work of every delivery: an item was added to an order, and is booked on the order's ledger.

Both keep their last ten items. A ledger also counts its bookings, and those that came out of order, by which a run
looks afterwards whether each event had its effect once.
"""

from __future__ import annotations

from pydantic import BaseModel

from .work import ITEMS_KEPT, PAYLOADS

ORDERS = 1_000


class Booking(BaseModel):
    """An item to be booked."""

    number: int
    """Of the event, from 0, over all orders; an order's rise."""
    item: str


class Book(BaseModel):
    """A ledger."""

    items: list[str] = []
    count: int = 0
    last: int = -1
    disorder: int = 0


def book(ledger: Book, booking: Booking) -> Book:
    """Decide: the last ten items, and one booking more."""
    return Book(
        items=[*ledger.items, booking.item][-ITEMS_KEPT:],
        count=ledger.count + 1,
        last=booking.number,
        disorder=ledger.disorder + (booking.number <= ledger.last),
    )


def booking(number: int) -> Booking:
    """Return what follows from an event."""
    return Booking(number=number, item=item(number))


def item(number: int) -> str:
    """Return the item that an event adds."""
    return str(PAYLOADS[number & 15]["item"])


def order_id(number: int) -> str:
    """Return the order that an event belongs to."""
    return f"order-{number % ORDERS:07}"


def ledger_id(number: int) -> str:
    """Return the ledger that it is booked on."""
    return f"ledger-{number % ORDERS:07}"


def check(ledgers: list[Book], count: int, *, in_order: bool = True) -> None:
    """Compare the ledgers with the number of events.

    Raises:
        RuntimeError: They do not agree.
    """
    booked, disorder = sum(each.count for each in ledgers), sum(each.disorder for each in ledgers)
    if booked != count or (in_order and disorder):
        raise RuntimeError(f"{count} events left {booked} bookings, {disorder} of them out of order")
