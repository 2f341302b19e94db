"""`execute`: a command sent from a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run

SHIP = '{"parcel": "P1"}'


def version(run: Run, id: str) -> int:
    found: int = json.loads(run("show", id, "--json").stdout)["version"]
    return found


def test_accepted_command_is_saved(run: Run, orders: Path) -> None:
    """The new state and version are printed, with the events, and they are in the store."""
    done = run("execute", "order-1", "Ship", SHIP)

    assert done.exit_code == 0
    assert done.stdout == 'order-1 is Shipped at version 5\n  OrderShipped {"parcel": "P1"}\n'
    assert version(run, "order-1") == 5


def test_accepted_command_as_json(run: Run, orders: Path) -> None:
    """JSON has the workflow as a client sees it, and the events."""
    answer = json.loads(run("execute", "order-1", "Ship", SHIP, "--json").stdout)

    assert (answer["ok"], answer["saved"], answer["replayed"]) == (True, True, False)
    assert (answer["workflow"]["state"], answer["workflow"]["version"]) == ("Shipped", 5)
    assert answer["events"] == [{"type": "OrderShipped", "data": {"parcel": "P1"}}]


def test_command_that_creates(run: Run, orders: Path) -> None:
    """A command that creates begins a workflow with the id that is given."""
    done = run("execute", "order-3", "Open", '{"customer": "Chidi"}', "--expect", "0")

    assert done.stdout == "order-3 is Basket at version 1\n"


def test_payload_from_standard_input(run: Run, orders: Path) -> None:
    """A payload may come through a pipe."""
    assert run("execute", "order-1", "Ship", "-", typed=SHIP).exit_code == 0


def test_metadata_is_kept(run: Run, orders: Path) -> None:
    """Metadata is found in the history."""
    run("execute", "order-1", "Ship", SHIP, "--metadata", '{"clerk": "Dora"}')

    assert json.loads(run("history", "order-1", "--json").stdout)[-1]["metadata"] == {"clerk": "Dora"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["order-2", "Place"], "domain: EmptyBasket()"),
        (["order-2", "Ship", SHIP], "router: workflow 'order-2' of 'demo-order' has no handler for 'Ship'"),
        (["order-2", "Fly"], "router: workflow 'demo-order' has no command 'Fly'"),
        (["order-1", "Ship"], "validation: invalid demo-order command 'Ship': parcel: Field required"),
        (["order-9", "Place"], "not_found: workflow 'order-9' does not exist"),
        (["order-2", "Place", "--expect", "7"], "conflict: workflow 'order-2' is at version 1, but version 7"),
    ],
)
def test_refused_command(run: Run, orders: Path, arguments: list[str], complaint: str) -> None:
    """A refusal is one line on standard error and status 1, and nothing is saved."""
    done = run("execute", *arguments)

    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"statewright: {complaint}")
    assert done.stderr.count("\n") == 1
    assert (version(run, "order-1"), version(run, "order-2")) == (4, 1)


def test_refused_command_as_json(run: Run, orders: Path) -> None:
    """With `--json`, a program reads the refusal where it reads answers, and sees it by the status, too."""
    done = run("execute", "order-2", "Place", "--json")

    assert done.exit_code == 1
    error = json.loads(done.stdout)["error"]
    assert (error["category"], error["code"]) == ("domain", "EmptyBasket")


def test_key_sent_again(run: Run, orders: Path) -> None:
    """The same command under the same key is answered with the first result, and done once."""
    first, again = (run("execute", "order-1", "Ship", SHIP, "--key", "k") for _ in range(2))

    assert first.stdout.startswith("order-1 is Shipped at version 5\n")
    assert again.stdout.startswith("order-1 is Shipped at version 5 (answered before: nothing was done again)\n")
    assert version(run, "order-1") == 5


def test_dry_run_saves_nothing(run: Run, orders: Path) -> None:
    """A dry run says what would be decided."""
    done = run("execute", "order-1", "Ship", SHIP, "--dry-run")

    assert done.stdout.startswith("order-1 is Shipped at version 5 (decided only: nothing was saved)\n")
    assert version(run, "order-1") == 4


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["order-1", "Ship", "{"], "the payload is not JSON"),
        (["order-1", "Ship", "[]"], "the payload is a JSON object"),
        (["order-1", "Ship", SHIP, "--metadata", "1"], "--metadata is a JSON object"),
        (["order-1", "Ship", SHIP, "--dry-run", "--key", "k"], "--key has no meaning with --dry-run"),
    ],
)
def test_command_that_was_written_wrongly(run: Run, orders: Path, arguments: list[str], complaint: str) -> None:
    """What cannot be meant is refused with status 2, before the store is opened."""
    done = run("execute", *arguments)

    assert done.exit_code == 2
    assert done.stderr.startswith(f"statewright: {complaint}")


def test_router_of_the_user(run: Run, orders: Path, lamps: Path) -> None:
    """A router of the user's own decides, on the store that is named."""
    where = ["--store", str(orders), "--router", "lamps:router"]
    run("execute", "lamp-1", "Install", *where)
    done = run("execute", "lamp-1", "Switch", '{"by": "ann"}', *where)

    assert done.stdout == 'lamp-1 is On at version 2\n  SwitchedOn {"by": "ann"}\n'
    assert "Switch" in run("show", "lamp-1", *where).stdout


def test_executor_of_the_user_brings_store_and_middleware(run: Run, lamps: Path, here: Path) -> None:
    """An executor is used as it is: with its own store, which is opened for it, and with its middleware."""
    assert run("execute", "lamp-1", "Install", "--router", "rooms:hall").exit_code == 0
    assert run("list", "--store", str(here / "rooms.db")).stdout.endswith("1 of 1 workflows\n")

    stranger = run("execute", "lamp-1", "Install", "--router", "rooms:attic")
    ann = run("execute", "lamp-1", "Install", "--router", "rooms:attic", "--metadata", '{"user": "ann"}')

    assert stranger.stderr == "statewright: domain: NotYours(owner='ann')\n"
    assert ann.exit_code == 0


def test_router_of_the_user_does_not_write_into_the_demos_file(run: Run, orders: Path, lamps: Path) -> None:
    """Where a router is named and no store, nothing stands in for the store, not even the demo's file."""
    done = run("execute", "lamp-1", "Install", "--router", "lamps:router")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("statewright: which store? lamps:router has none of its own. Give --store FILE")
    assert run("list").stdout.endswith("2 of 2 workflows\n")


def test_executor_and_store_do_not_go_together(run: Run, orders: Path, lamps: Path) -> None:
    """An executor has a store already; naming another one is a mistake, not a choice."""
    done = run("execute", "lamp-1", "Install", "--router", "rooms:hall", "--store", str(orders))

    assert done.exit_code == 2
    assert done.stderr == "statewright: rooms:hall is an executor and has its store already: leave --store out\n"


def test_store_that_is_not_the_demos_needs_a_definition(run: Run, lamps: Path, here: Path) -> None:
    """Whose commands are meant has to be said, unless the file is the demo's."""
    run("execute", "lamp-1", "Install", "--router", "rooms:hall")

    done = run("execute", "lamp-1", "Install", "--store", "rooms.db")

    assert done.exit_code == 2
    assert done.stderr.startswith("statewright: which definition? Give --router MODULE:NAME")


def test_workflow_of_another_definition(run: Run, orders: Path, lamps: Path) -> None:
    """A router does not touch what belongs to another definition."""
    done = run("execute", "order-1", "Repair", "--router", "lamps:router", "--store", str(orders))

    assert done.exit_code == 1
    assert "belongs to definition 'demo-order', not 'lamp'" in done.stderr
