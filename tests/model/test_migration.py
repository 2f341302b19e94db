from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from statewright import DefinitionError, MigrationError, Migrations, RecordedMessage, Workflow, WorkflowSnapshot

BORN = datetime(2026, 3, 1, tzinfo=UTC)


class Draft(BaseModel):
    items: list[str] = []
    currency: str


class Submitted(BaseModel):
    items: list[str]


class Cancelled(BaseModel):
    reason: str


class Open(BaseModel): ...


class Shipped(BaseModel):
    number: str


class Order(Workflow[Draft | Submitted | Cancelled, Open, Shipped], name="order", model_version=3):
    """An order that has changed twice."""


class Parcel(Workflow[Draft, Open], name="parcel", model_version=2):
    """Something else."""


def stored(state: str, data: Any, model_version: int = 1, definition: str = "order") -> WorkflowSnapshot:
    return WorkflowSnapshot("o-1", definition, state, data, model_version, 7, BORN, BORN)


def chain() -> Migrations[Order]:
    migrations = Migrations(Order)

    @migrations.to(2, "orders carry a currency")
    def add_currency(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
        return snapshot.replace(data={**snapshot.data, "currency": "EUR"})

    @migrations.to(3, "Sent is Submitted; a closed order is one that was cancelled")
    def rename(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
        match snapshot.state:
            case "Sent":
                return snapshot.replace(state="Submitted", data={"items": snapshot.data["items"]})
            case "Closed" | "Rejected":
                return snapshot.replace(state="Cancelled", data={"reason": snapshot.state.lower()})
            case _:
                return snapshot

    return migrations


def test_steps_run_one_after_the_other() -> None:
    """A snapshot two versions old goes through both steps, and is stamped with the last."""
    upgraded = chain().upgrade(stored("Draft", {"items": ["tea"]}))

    assert upgraded == stored("Draft", {"items": ["tea"], "currency": "EUR"}, model_version=3)
    order = Order.from_snapshot(upgraded)
    assert isinstance(order.data, Draft)
    assert order.data.currency == "EUR"


def test_upgrade_begins_at_the_version_found() -> None:
    """A step that a snapshot has behind it does not run again."""
    before = stored("Draft", {"items": [], "currency": "JPY"}, model_version=2)

    assert chain().upgrade(before).data == {"items": [], "currency": "JPY"}


def test_current_snapshot_is_left_alone() -> None:
    """A snapshot of the code's own version is the same object afterwards."""
    snapshot = stored("Draft", {"currency": "EUR"}, model_version=3)

    assert chain().upgrade(snapshot) is snapshot


def test_state_is_renamed() -> None:
    """A step may give a state another name, and its data another form."""
    assert chain().upgrade(stored("Sent", {"items": ["tea"]})) == stored("Submitted", {"items": ["tea"]}, 3)


@pytest.mark.parametrize("state", ["Closed", "Rejected"])
def test_states_are_merged(state: str) -> None:
    """Two old states may become one, which keeps in its data where it came from."""
    assert chain().upgrade(stored(state, {"items": []})) == stored("Cancelled", {"reason": state.lower()}, 3)


def test_state_is_split() -> None:
    """One old state may become two, as the data of each workflow says."""
    migrations = Migrations(Order, oldest=2)

    @migrations.to(3, "a draft with a reason is cancelled")
    def split(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
        data = snapshot.data
        return snapshot.replace(state="Cancelled", data=data) if "reason" in data else snapshot

    assert migrations.upgrade(stored("Draft", {"reason": "late"}, 2)).state == "Cancelled"
    assert migrations.upgrade(stored("Draft", {"items": []}, 2)).state == "Draft"


def test_identity_version_and_times_are_kept() -> None:
    """What a step returns is the same workflow at the same version and time."""
    upgraded = chain().upgrade(stored("Sent", {"items": []}))

    assert (upgraded.id, upgraded.version, upgraded.created_at, upgraded.updated_at) == ("o-1", 7, BORN, BORN)


def test_stamp_is_not_left_to_the_step() -> None:
    """`to(n)` stamps `model_version = n`, whatever the step says."""
    migrations = Migrations(Order, oldest=2)
    migrations.to(3, "stamps by itself")(lambda snapshot: snapshot.replace(model_version=99))

    assert migrations.upgrade(stored("Draft", {"currency": "EUR"}, 2)).model_version == 3


def test_registration_returns_the_function() -> None:
    """A step stays a plain function that a test can call."""
    migrations = Migrations(Order)

    def step(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
        return snapshot

    def rename(message: RecordedMessage) -> RecordedMessage:
        return message

    assert migrations.to(2, "nothing")(step) is step
    assert migrations.event("Sent", to=2)(rename) is rename


def test_steps_are_listed_in_order() -> None:
    """`steps` tells versions and descriptions, lowest version first, in whatever order they were written."""
    migrations = Migrations(Order)
    migrations.to(3, "third")(lambda snapshot: snapshot)
    migrations.to(2, "second")(lambda snapshot: snapshot)

    assert [(step.to, step.description) for step in migrations.steps] == [(2, "second"), (3, "third")]


# --- the chain -----------------------------------------------------------------------------------------------------


def same(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
    return snapshot


def test_whole_chain_is_accepted() -> None:
    """A chain with one step for each version is in order, for its own class."""
    chain().check(Order)


@pytest.mark.parametrize(
    ("versions", "complaint"),
    [
        ([], "no step leads to version 2; no step leads to version 3"),
        ([3], "no step leads to version 2"),
        ([2], "no step leads to version 3"),
        ([2, 2, 3], "both lead to version 2"),
        ([2, 3, 4], "leads to version 4, but the chain goes from 1 to 3"),
        ([1, 2, 3], "leads to version 1, but the chain goes from 1 to 3"),
    ],
)
def test_broken_chain_is_refused(versions: list[int], complaint: str) -> None:
    """A gap, a repetition and a step beyond the code's model version are named."""
    migrations = Migrations(Order)
    for version in versions:
        migrations.to(version, "a step")(same)

    with pytest.raises(MigrationError, match=complaint) as caught:
        migrations.check(Order)

    assert "workflow 'order'" in str(caught.value)


def test_repetition_names_both_functions() -> None:
    """Two steps to one version are found by file and line."""
    migrations = Migrations(Parcel)
    migrations.to(2, "once")(same)
    migrations.to(2, "again")(lambda snapshot: snapshot)

    with pytest.raises(MigrationError, match=r"same \(.*test_migration\.py:\d+\) and .*<lambda> \(.*\) both lead"):
        migrations.check(Parcel)


def test_other_workflow_is_refused() -> None:
    """Migrations are those of one class, even if another has its name."""
    with pytest.raises(MigrationError, match=r"were made for .*\.Order, not for .*\.Parcel"):
        chain().check(Parcel)


def test_deleted_steps_are_told() -> None:
    """With `oldest`, the steps before may be gone; what is older still has no way up."""
    migrations = Migrations(Order, oldest=2)
    migrations.to(3, "the only one left")(same)
    migrations.check(Order)

    with pytest.raises(MigrationError, match=r"no chain leads from model version 1 .* it goes from 2 to 3"):
        migrations.upgrade(stored("Draft", {}))


@pytest.mark.parametrize("oldest", [0, 4, "1"])
def test_oldest_is_a_version(oldest: Any) -> None:
    """The oldest version lies between 1 and the code's."""
    with pytest.raises(MigrationError, match="the oldest version is from 1 to the code's model_version 3"):
        Migrations(Order, oldest=oldest).check()


def test_newer_snapshot_has_no_way_down() -> None:
    """What newer code stored cannot be upgraded by older."""
    with pytest.raises(MigrationError, match="no chain leads from model version 4"):
        chain().upgrade(stored("Draft", {}, 4))


def test_other_definition_has_no_way_up() -> None:
    """A snapshot of another definition is not touched."""
    with pytest.raises(MigrationError, match="belongs to workflow 'parcel', not 'order'"):
        chain().upgrade(stored("Draft", {}, definition="parcel"))


@pytest.mark.parametrize("version", ["2", 2.0, True, None])
def test_version_is_a_number(version: Any) -> None:
    """A step to something that is no integer is refused where it is written."""
    migrations = Migrations(Order)

    with pytest.raises(MigrationError, match="an integer"):
        migrations.to(version, "a step")
    with pytest.raises(MigrationError, match="an integer"):
        migrations.event("Sent", to=version)


def test_description_is_needed() -> None:
    """A step says for people what has changed."""
    with pytest.raises(MigrationError, match="needs a description"):
        Migrations(Order).to(2, " ")


def test_event_name_is_needed() -> None:
    """A step for events says for which."""
    with pytest.raises(MigrationError, match="needs the stored name"):
        Migrations(Order).event("", to=2)


@pytest.mark.parametrize("workflow", [Workflow, Draft, "order"])
def test_workflow_class_is_needed(workflow: Any) -> None:
    """Migrations of something that is no workflow class are refused."""
    with pytest.raises(DefinitionError, match="belong to a workflow class"):
        Migrations(workflow)


# --- steps that fail -----------------------------------------------------------------------------------------------


def failing(function: Any) -> MigrationError:
    migrations = Migrations(Order, oldest=2)
    migrations.to(3, "the third form")(function)
    with pytest.raises(MigrationError, match=r"the migration to version 3 \(the third form\) failed") as caught:
        migrations.upgrade(stored("Draft", {"items": ["secret tea"]}, 2))
    return caught.value


def test_step_that_raises() -> None:
    """The error names step and exception, keeps it as its cause, and quotes nothing that is stored."""

    def broken(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
        raise LookupError(snapshot.data["items"][0])

    error = failing(broken)

    assert "broken" in str(error)
    assert "raised LookupError" in str(error)
    assert "tea" not in str(error)
    assert isinstance(error.__cause__, LookupError)


def test_step_that_returns_something_else() -> None:
    """A step returns a snapshot, not data and not `None`."""
    assert "returned dict, not a WorkflowSnapshot" in str(failing(lambda snapshot: snapshot.data))
    assert "returned NoneType" in str(failing(lambda snapshot: None))


@pytest.mark.parametrize(
    ("name", "value"), [("id", "o-2"), ("version", 8), ("definition", "parcel"), ("updated_at", datetime.now(UTC))]
)
def test_step_that_changes_what_is_not_its_own(name: str, value: Any) -> None:
    """Which workflow it is, and when it was saved, is no matter of form."""
    assert f"changed {name};" in str(failing(lambda snapshot: snapshot.replace(**{name: value})))


def test_step_that_changes_its_copy() -> None:
    """`snapshot.data` is a copy: a step that changes it and returns the snapshot has changed nothing, and is told."""

    def in_place(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
        snapshot.data["items"].append("coffee")
        return snapshot

    assert "return snapshot.replace(data=...)" in str(failing(in_place))


def test_step_that_gives_what_cannot_be_stored() -> None:
    """Data that is no JSON is found in the step that made it."""
    error = failing(lambda snapshot: snapshot.replace(data={"at": datetime.now(UTC)}))

    assert "raised UnstorableError" in str(error)


# --- events --------------------------------------------------------------------------------------------------------


def renaming() -> Migrations[Order]:
    migrations = chain()

    @migrations.event("Sent", to=2)
    def give_number(message: RecordedMessage) -> RecordedMessage:
        return RecordedMessage("Sent", {"number": str(message.data["no"])})

    @migrations.event("Sent", to=3)
    def rename(message: RecordedMessage) -> RecordedMessage:
        return RecordedMessage("Shipped", message.data)

    return migrations


def test_event_goes_through_its_steps() -> None:
    """A recorded event is renamed and rewritten as it would be recorded today."""
    old = RecordedMessage("Sent", {"no": 12})

    assert renaming().upgrade_event(old, 1) == RecordedMessage("Shipped", {"number": "12"})
    assert old == RecordedMessage("Sent", {"no": 12})


def test_event_begins_at_the_version_of_its_commit() -> None:
    """Steps that the recording code had behind it do not run."""
    assert renaming().upgrade_event(RecordedMessage("Sent", {"number": "7"}), 2) == RecordedMessage(
        "Shipped", {"number": "7"}
    )
    assert renaming().upgrade_event(RecordedMessage("Sent", {"number": "7"}), 3).type == "Sent"


def test_renamed_event_follows_its_new_name() -> None:
    """The steps of later versions go on from the name that an earlier one gave."""
    migrations = Migrations(Order)
    migrations.event("A", to=2)(lambda message: RecordedMessage("B", message.data))
    migrations.event("B", to=3)(lambda message: RecordedMessage("Shipped", message.data))

    assert migrations.upgrade_event(RecordedMessage("A", {"number": "1"}), 1).type == "Shipped"
    assert migrations.upgrade_event(RecordedMessage("B", {"number": "1"}), 2).type == "Shipped"


def test_other_events_are_left_alone() -> None:
    """A step is for events of one stored name."""
    other = RecordedMessage("Paid", {})

    assert renaming().upgrade_event(other, 1) is other


def test_version_that_changed_events_alone_needs_no_step_for_snapshots() -> None:
    """A step for an event covers its version; snapshots pass through it unchanged."""
    migrations = Migrations(Parcel)
    migrations.event("Sent", to=2)(lambda message: message)
    migrations.check(Parcel)
    snapshot = stored("Draft", {"currency": "EUR"}, 1, "parcel")

    assert migrations.upgrade(snapshot) == snapshot.replace(model_version=2)


def test_steps_for_events_outlive_those_for_snapshots() -> None:
    """Commits are never rewritten, so that a step for their events stays when the oldest snapshots are gone."""
    migrations = Migrations(Order, oldest=3)
    migrations.event("Sent", to=2)(lambda message: RecordedMessage("Shipped", message.data))
    migrations.check(Order)

    assert migrations.upgrade_event(RecordedMessage("Sent", {}), 1).type == "Shipped"


def test_event_chain_is_checked_too() -> None:
    """Two steps for one event and version, or a step beyond the code, are a broken chain."""
    migrations = chain()
    for version in (2, 2, 4):
        migrations.event("Sent", to=version)(lambda message: message)

    with pytest.raises(MigrationError, match=r"leads to version 4.*|both lead to version 2") as caught:
        migrations.check(Order)

    assert "both lead to version 2" in str(caught.value)
    assert "leads to version 4" in str(caught.value)


def test_event_step_that_fails() -> None:
    """A step for events that raises, or returns no message, is a `MigrationError` that says so."""
    migrations = chain()
    migrations.event("Sent", to=2)(lambda message: message.data["missing"])
    migrations.event("Paid", to=2)(lambda message: {"amount": 1})

    with pytest.raises(MigrationError, match="raised KeyError"):
        migrations.upgrade_event(RecordedMessage("Sent", {}), 1)
    with pytest.raises(MigrationError, match="returned dict, not a RecordedMessage"):
        migrations.upgrade_event(RecordedMessage("Paid", {}), 1)
