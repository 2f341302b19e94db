"""Floors without a store: what bare Python and Pydantic do with no library around them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..setting import Setting
from ..timing import Measurement, repeat
from ..work import HANDLERS, PAYLOADS, Draft, ItemAdded, decide_text, full_order, present, workflow_ids


def dispatch(setting: Setting) -> Measurement:
    """Look the handler up, validate the payload, run it, make the new model, take one timestamp."""
    order = full_order()

    def decide(state: Draft, name: str, payload: dict[str, Any]) -> tuple[Draft, datetime]:
        command_type, handler = HANDLERS[type(state), name]
        return handler(state, command_type.model_validate(payload)), present()

    def step(turn: int) -> None:
        nonlocal order
        order, _ = decide(order, "AddItem", PAYLOADS[turn & 15])

    return repeat(step, setting.seconds)


def dispatch_with_event(setting: Setting) -> Measurement:
    """As `dispatch`, and make one event."""
    order = full_order()

    def decide(state: Draft, name: str, payload: dict[str, Any]) -> tuple[Draft, list[ItemAdded], datetime]:
        command_type, handler = HANDLERS[type(state), name]
        command = command_type.model_validate(payload)
        return handler(state, command), [ItemAdded(item=command.item)], present()

    def step(turn: int) -> None:
        nonlocal order
        order, _, _ = decide(order, "AddItem", PAYLOADS[turn & 15])

    return repeat(step, setting.seconds)


class VersionError(Exception):
    """Somebody else saved first."""


def compare_and_swap(setting: Setting) -> Measurement:
    """Do the whole work on JSON texts in a dict: decode, decide, encode, check the version, keep the event."""
    ids, count = workflow_ids(), len(workflow_ids())
    rows = dict.fromkeys(ids, (full_order().model_dump_json(), 1))
    events: list[tuple[str, int, str, str, datetime]] = []

    def execute(id: str, name: str, payload: dict[str, Any]) -> None:
        text, version = rows[id]
        state, event = decide_text(text, name, payload)
        if rows[id][1] != version:
            raise VersionError(id)
        rows[id] = (state, version + 1)
        events.append((id, version + 1, "ItemAdded", event, present()))

    measured = repeat(lambda turn: execute(ids[turn % count], "AddItem", PAYLOADS[turn & 15]), setting.seconds)
    saved = sum(version - 1 for _, version in rows.values())
    if not saved == len(events) == measured.facts["calls"]:
        raise RuntimeError(f"{measured.facts['calls']} calls left {saved} saves and {len(events)} events")
    return measured
