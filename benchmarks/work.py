"""The work that every contender does: one `AddItem` on a stored order.

Validate the payload, decode the state, run the handler, encode the new state and one event, compare-and-swap save with
one event row. An order keeps its last ten items and begins full, so that its size never changes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

ITEMS_KEPT = 10
WORKFLOWS = 1_000
CALLERS = 64


class Draft(BaseModel):
    """An order that is being filled."""

    items: list[str] = []


class Placed(BaseModel):
    """An order that was sent."""

    items: list[str]


class AddItem(BaseModel):
    """Put one more item on the order."""

    item: str


class Place(BaseModel):
    """Send the order."""


class ItemAdded(BaseModel):
    """An item was put on the order."""

    item: str


PAYLOADS: tuple[dict[str, Any], ...] = tuple({"item": f"a pound of tea, blend {number:02}"} for number in range(16))
"""What callers send, in turn."""


def full_order() -> Draft:
    """Return an order that holds as many items as it keeps."""
    return Draft(items=[f"an earlier item, number {number}" for number in range(ITEMS_KEPT)])


def add_item(order: Draft, command: AddItem) -> Draft:
    """Decide: the last ten items, the new one included."""
    return Draft(items=[*order.items, command.item][-ITEMS_KEPT:])


HANDLERS = {(Draft, "AddItem"): (AddItem, add_item)}
"""The table that bare Python would look a handler up in."""


def workflow_ids(count: int = WORKFLOWS) -> list[str]:
    """Return the ids of the orders that a run works on."""
    return [f"order-{number:07}" for number in range(count)]


def present() -> datetime:
    """Return the present, aware."""
    return datetime.now(UTC)


def decide_text(text: str, name: str, payload: dict[str, Any]) -> tuple[str, str]:
    """Do the work between load and save on JSON text; return the new state's and the event's text."""
    command_type, handler = HANDLERS[Draft, name]
    command = command_type.model_validate(payload)
    state = handler(Draft.model_validate_json(text), command)
    return state.model_dump_json(), ItemAdded(item=command.item).model_dump_json()
