"""Peers that only dispatch: state machine libraries, doing the dispatch floor's work in a self-transition."""

from __future__ import annotations

from typing import Any

from statemachine import State, StateMachine
from transitions import EventData, Machine

from ..setting import Setting
from ..timing import Measurement, repeat
from ..work import PAYLOADS, AddItem, add_item, full_order, present


class TransitionsOrder:
    """An order as a model of `transitions`, which adds the trigger `add_item`."""

    def __init__(self) -> None:
        self.data = full_order()
        self.changed_at = present()

    def take_item(self, event: EventData) -> None:
        """Decide, inside the transition."""
        self.data = add_item(self.data, AddItem.model_validate(event.kwargs["payload"]))
        self.changed_at = present()


def transitions(setting: Setting) -> Measurement:
    """Trigger an internal transition, which is the cheapest of its self-transitions."""
    order: Any = TransitionsOrder()
    Machine(
        model=order,
        states=["draft", "placed"],
        transitions=[
            {"trigger": "add_item", "source": "draft", "dest": None, "before": "take_item"},
            {"trigger": "place", "source": "draft", "dest": "placed"},
        ],
        initial="draft",
        auto_transitions=False,
        send_event=True,
    )
    return _taken(order, repeat(lambda turn: order.add_item(payload=PAYLOADS[turn & 15]), setting.seconds))


class StateMachineOrder(StateMachine):
    """An order as a machine of `python-statemachine`."""

    draft = State(initial=True)
    placed = State(final=True)
    add_item = draft.to.itself(internal=True, on="take_item")  # type: ignore[no-untyped-call]  # the library's own
    place = draft.to(placed)

    def __init__(self) -> None:
        self.data = full_order()
        self.changed_at = present()
        super().__init__()

    def take_item(self, payload: dict[str, Any]) -> None:
        """Decide, inside the transition."""
        self.data = add_item(self.data, AddItem.model_validate(payload))
        self.changed_at = present()


def statemachine(setting: Setting) -> Measurement:
    """Send the event to one machine."""
    order = StateMachineOrder()
    return _taken(order, repeat(lambda turn: order.send("add_item", payload=PAYLOADS[turn & 15]), setting.seconds))


def _taken(order: Any, measured: Measurement) -> Measurement:
    # Both libraries can be told to swallow what a callback raises; a peer that did nothing would look fast.
    last = PAYLOADS[(int(measured.facts["calls"]) - 1) & 15]["item"]
    if order.data.items[-1] != last:
        raise RuntimeError(f"the last item is {order.data.items[-1]!r}, not {last!r}")
    return measured
