"""`list`, `show` and `history`: what is stored, for people and for programs."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from statewright.cli.place import named
from statewright.stores.sqlite import SQLiteStore

from .conftest import Run

FIRST = "2026-03-01T09:30:00+00:00"


def test_list_is_a_table(run: Run, orders: Path) -> None:
    """Each workflow has a row, and a line below says how many there are."""
    done = run("list")

    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:4] == ["ID", "DEFINITION", "STATE", "VERSION"]
    assert lines[1] == ["order-1", "demo-order", "Paid", "4", "2026-03-01", "09:30:00"]
    assert lines[2][:4] == ["order-2", "demo-order", "Basket", "1"]
    assert lines[-1] == ["2", "of", "2", "workflows"]
    assert (done.exit_code, done.stderr) == (0, "")


def test_list_as_json(run: Run, orders: Path) -> None:
    """JSON has the whole snapshots."""
    first, second = json.loads(run("list", "--json").stdout)

    assert first["id"] == "order-1"
    assert first["data"]["purchase"]["total"] == "17.90"
    assert (first["version"], first["created_at"], first["entered_at"]) == (4, FIRST, FIRST)
    assert second["data"] == {"customer": "Bela", "lines": []}


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--state", "Paid"], ["order-1"]),
        (["--state", "Shipped"], []),
        (["--definition", "demo-order", "--limit", "1"], ["order-1"]),
        (["--definition", "lamp"], []),
        (["--after", "order-1"], ["order-2"]),
    ],
)
def test_list_can_be_narrowed(run: Run, orders: Path, options: list[str], ids: list[str]) -> None:
    """By definition, by state, and page by page."""
    assert [each["id"] for each in json.loads(run("list", "--json", *options).stdout)] == ids


def test_list_says_how_to_go_on(run: Run, orders: Path) -> None:
    """A page that is full names the option that gives the next one."""
    assert run("list", "--limit", "1").stdout.endswith("1 of 2 workflows; for more: --after order-1\n")


def test_show(run: Run, orders: Path) -> None:
    """One workflow is shown with its facts, its data and what it takes now."""
    shown = run("show", "order-1").stdout

    facts = dict(line.split(maxsplit=1) for line in shown.partition("{")[0].splitlines() if line.strip())
    assert facts["id"].strip() == "order-1"
    assert facts["definition"].strip() == "demo-order (model version 1)"
    assert facts["state"].strip() == "Paid"
    assert facts["version"].strip() == "4"
    assert facts["commands"].split() == ["now", "Ship,", "Cancel"]
    assert json.loads(shown[shown.index("{") :])["payment"] == "pay-1"


def test_show_as_json(run: Run, orders: Path) -> None:
    """JSON has the snapshot and the commands."""
    shown = json.loads(run("show", "order-1", "--json").stdout)

    assert shown["commands"] == ["Ship", "Cancel"]
    assert (shown["state"], shown["version"], shown["data"]["payment"]) == ("Paid", 4, "pay-1")


def test_show_goes_back_in_time(run: Run, orders: Path) -> None:
    """`--at` shows a workflow as it was; what it takes now is not said of then."""
    shown = json.loads(run("show", "order-1", "--at", "2", "--json").stdout)

    assert (shown["state"], shown["version"], shown["commands"]) == ("Basket", 2, None)
    assert shown["data"]["lines"] == [{"article": "mug", "quantity": 2, "unit_price": "8.95"}]


def test_history(run: Run, orders: Path) -> None:
    """Each accepted command has a row: version, time, state, events, command and metadata."""
    done = run("history", "order-1")

    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["VERSION", "TIME", "STATE", "EVENTS", "COMMAND"]
    assert rows[1] == ["1", "2026-03-01", "09:30:00", "Basket", "Open", '{"customer":', '"Ada"}', "channel=web"]
    assert [row[0] for row in rows[1:]] == ["1", "2", "3", "4"]
    assert rows[3][3:] == ["Placed", "OrderPlaced", "Place"]


def test_history_as_json(run: Run, orders: Path) -> None:
    """JSON has the whole commits, and as many as were asked for."""
    commits = json.loads(run("history", "order-1", "--after", "1", "--limit", "2", "--json").stdout)

    assert [commit["version"] for commit in commits] == [2, 3]
    assert commits[1]["command"] == {"type": "Place", "data": {}}
    assert commits[1]["events"] == [{"type": "OrderPlaced", "data": {"customer": "Ada", "total": "17.90"}}]
    assert commits[1]["idempotency_key"] == "place"


def test_history_with_differences(run: Run, orders: Path) -> None:
    """With `--diff` each row is followed by what its command changed; the version before the first row is looked up."""
    lines = run("history", "order-1", "--diff", "--after", "1").stdout.splitlines()

    assert lines[1].startswith("2 ")
    assert lines[2] == '  + data.lines[0] = {"article": "mug", "quantity": 2, "unit_price": "8.95"}'
    assert lines[3].startswith("3 ")
    assert lines[4] == '  ~ state = "Basket" -> "Placed"'
    assert not any(line.startswith("  ") for line in run("history", "order-1").stdout.splitlines())


def test_history_with_differences_as_json(run: Run, orders: Path) -> None:
    """In JSON each commit has its changes; the first one added everything."""
    first, second, *_ = json.loads(run("history", "order-1", "--diff", "--json").stdout)

    assert {"kind": "added", "path": ["data", "customer"], "after": "Ada"} in first["changes"]
    assert {"kind": "added", "path": ["state"], "after": "Basket"} in first["changes"]
    assert [change["path"] for change in second["changes"]] == [["data", "lines", 0]]
    assert "changes" not in json.loads(run("history", "order-1", "--json").stdout)[0]


def test_history_after_pruning(run: Run, orders: Path) -> None:
    """Where the version before is not kept any more, that is said instead of differences."""
    asyncio.run(_prune(orders))

    assert "  (the version before is not kept any more)" in run("history", "order-1", "-d").stdout.splitlines()
    [last] = json.loads(run("history", "order-1", "-d", "--json").stdout)
    assert (last["version"], last["changes"]) == (4, None)


async def _prune(path: Path) -> None:
    async with SQLiteStore(path) as store:
        assert await store.prune(older_than=timedelta(microseconds=1)) == 3


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show", "order-9"], "there is no workflow 'order-9' in statewright-demo.db"),
        (["history", "order-9"], "there is no workflow 'order-9' in statewright-demo.db"),
        (["show", "order-1", "--at", "9"], "workflow 'order-1' has no version 9; it is at version 4"),
    ],
)
def test_what_is_not_there(run: Run, orders: Path, arguments: list[str], complaint: str) -> None:
    """What cannot be found is one line on standard error and status 1."""
    done = run(*arguments)

    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"statewright: {complaint}\n")


def test_another_store_by_option_or_environment(
    run: Run, orders: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store is named by `--store` or by the environment; the demo's own file only stands in."""
    orders.rename(here / "kept.db")

    assert run("list", "--store", "kept.db").stdout.endswith("2 of 2 workflows\n")
    assert run("list", "-s", str(here / "kept.db")).exit_code == 0
    monkeypatch.setenv("STATEWRIGHT_STORE", "kept.db")
    assert run("list").stdout.endswith("2 of 2 workflows\n")


def test_store_of_an_executor(run: Run, orders: Path, lamps: Path) -> None:
    """An executor brings its store for looking, too, although the demo's file is here."""
    run("execute", "lamp-1", "Install", "--router", "rooms:hall")
    hall = ("--router", "rooms:hall")

    assert json.loads(run("show", "lamp-1", *hall, "--json").stdout)["commands"] == ["Switch"]
    assert run("show", "lamp-1", "--at", "1", *hall).exit_code == 0
    assert [each["command"]["type"] for each in json.loads(run("history", "lamp-1", *hall, "--json").stdout)] == [
        "Install"
    ]
    assert [each["id"] for each in json.loads(run("list", *hall, "--json").stdout)] == ["lamp-1"]
    assert run("readers", *hall, "--json").stdout == "[]\n"
    assert run("letters", "list", *hall, "--json").stdout == "[]\n"
    missing = run("show", "order-1", *hall)
    assert missing.stderr == "statewright: there is no workflow 'order-1' in the store of rooms:hall\n"


@pytest.mark.parametrize(
    "command", [["show", "lamp-1"], ["history", "lamp-1"], ["list"], ["readers"], ["letters", "list"]]
)
def test_one_store_is_meant(run: Run, orders: Path, lamps: Path, command: list[str]) -> None:
    """A router without a store is not looked for in the demo's file, and an executor is not given a second store."""
    none = run(*command, "--router", "lamps:router")
    two = run(*command, "--router", "rooms:hall", "--store", str(orders))

    assert (none.exit_code, two.exit_code) == (2, 2)
    assert none.stderr.startswith("statewright: which store? lamps:router has none of its own.")
    assert "leave --store out" in two.stderr


def test_one_store_is_meant_by_the_environment(run: Run, lamps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An executor beside a store that the environment names is refused, and told where that one is from."""
    monkeypatch.setenv("STATEWRIGHT_STORE", "kept.db")

    done = run("list", "--router", "rooms:hall")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.endswith("has its store already: leave --store out, and STATEWRIGHT_STORE unset\n")


def test_store_that_cannot_do_it(run: Run, here: Path, lamps: Path) -> None:
    """A store of an executor that keeps no list of workflows is told so in one line."""
    (here / "bare.py").write_text(
        "from statewright import MemoryStore, WorkflowExecutor\n"
        "from lamps import router\n"
        "class Bare:\n"
        "    def __init__(self):\n"
        "        self.load, self.save = MemoryStore().load, MemoryStore().save\n"
        "cellar = WorkflowExecutor(router, Bare())\n"
    )

    assert run("list", "--router", "bare:cellar").stderr == "statewright: store Bare has no Catalog\n"


@pytest.mark.parametrize(
    ("dsn", "name"),
    [
        ("postgresql://db.example:5433/shop", "postgresql://db.example:5433/shop"),
        ("postgresql://clerk:hush@db.example/shop?sslpassword=hush", "postgresql://db.example/shop"),
        ("postgres:///shop?host=/run/db&password=hush", "postgres:///shop"),
        ("postgresql://clerk:hu/sh@db.example/shop", "that database"),
        ("postgresql://clerk:h@sh@db.example/shop", "that database"),
    ],
)
def test_server_is_named_without_secrets(dsn: str, name: str) -> None:
    """Of a DSN, a message repeats where the server is; no user, no password, no option."""
    assert named(dsn) == name


def test_looking_creates_nothing(run: Run, here: Path) -> None:
    """A file that is not there is not made by looking at it."""
    done = run("list", "--store", "nowhere.db")

    assert done.exit_code == 1
    assert done.stderr.startswith("statewright: nowhere.db: no such file")
    assert list(here.iterdir()) == []


def test_no_store_at_all(run: Run) -> None:
    """Without a store, and without the demo's file, the options are named."""
    done = run("list")

    assert done.exit_code == 2
    assert done.stderr.startswith("statewright: which store? Give --store FILE, or --store postgresql://")


def test_file_that_is_no_database(run: Run, here: Path) -> None:
    """A file of another kind is refused in one line, and left as it is."""
    (here / "notes.db").write_text("shopping list\n" * 100)

    done = run("list", "--store", "notes.db")

    assert done.exit_code == 1
    assert "notes.db" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (here / "notes.db").read_text() == "shopping list\n" * 100


@pytest.mark.slow
def test_server_that_cannot_be_reached(run: Run) -> None:
    """A PostgreSQL server that is not there is one line, which does not repeat the password."""
    done = run("list", "--store", "postgresql://clerk:hush@127.0.0.1:1/shop")

    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "hush" not in done.stderr
