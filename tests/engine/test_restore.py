"""From what a store keeps back to what the code knows."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel

from statewright import RecordedMessage, RestoreError, Workflow
from statewright._engine.restore import Restorer
from tests.model.orders import Draft, ItemAdded, Open, Order, OrderPlaced
from tests.model.test_commit import new_commit
from tests.model.test_snapshot import snapshot


def explode(value: int) -> int:
    raise RuntimeError(value)


class Fragile(BaseModel):
    x: Annotated[int, AfterValidator(explode)]


class Vase(Workflow[Draft, Open, Fragile], name="vase"): ...


def test_a_snapshot_becomes_a_workflow() -> None:
    """What is stored comes back as the user's own class."""
    order = Restorer(Order, None).restore(snapshot())

    assert type(order) is Order
    assert order.data == Draft(items=["tea"])


@pytest.mark.parametrize("changes", [{"state": "Unheard"}, {"data": {"items": 3}}, {"model_version": 7}])
def test_what_does_not_fit_is_a_restore_error(changes: dict[str, Any]) -> None:
    """Nothing is made of a snapshot that this code does not understand."""
    with pytest.raises(RestoreError):
        Restorer(Order, None).restore(snapshot(**changes))


def test_events_are_decoded_where_they_can_be() -> None:
    """What is not declared any more, or does not fit any more, stays as it was recorded."""
    kept = [RecordedMessage("Unheard", {}), RecordedMessage("ItemAdded", {"item": 3})]
    recorded = [RecordedMessage("ItemAdded", {"item": "tea"}), *kept, RecordedMessage("OrderPlaced", {"order_id": "o"})]

    events = Restorer(Order, None).events(recorded, 1)

    assert events == (ItemAdded(item="tea"), *kept, OrderPlaced(order_id="o"))


def test_a_validator_that_breaks_leaves_an_event_as_it_was_recorded() -> None:
    """Whatever decoding raises, the history can be read."""
    message = RecordedMessage("Fragile", {"x": 1})

    assert Restorer(Vase, None).events([message], 1) == (message,)


def test_a_commit_keeps_all_its_facts() -> None:
    """Only the events of a commit are decoded."""
    commit = new_commit().at(7)

    decoded = Restorer(Order, None).commit(commit)

    for name in ("position", "id", "workflow_id", "definition", "version", "command", "state", "model_version"):
        assert getattr(decoded, name) == getattr(commit, name)
    assert decoded.metadata == commit.metadata
    assert (decoded.idempotency_key, decoded.recorded_at) == ("k-1", commit.recorded_at)
    assert decoded.events == (ItemAdded(item="tea"),)
