"""The schema of `SQLiteStore`: numbered steps, applied once, in order."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from pathlib import Path

import pytest

from statewright import StoreError
from statewright.stores.sqlite import SQLiteStore, schema
from statewright.testing.contract.samples import check_stored, loaded, opening


def tables(path: Path) -> list[tuple[str, str]]:
    """Return names and SQL of all that stands in a file."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY name"
        ).fetchall()
    finally:
        connection.close()


def test_steps_are_numbered_without_gaps() -> None:
    """The steps are 1, 2, 3, ... each with a name, and each consists of whole statements."""
    steps = schema.migrations()

    assert [step.version for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.name for step in steps)
    for step in steps:
        joined = "".join(step.statements())
        assert joined.split() == step.sql.split()


async def test_the_printed_schema_is_the_real_one(tmp_path: Path) -> None:
    """What `schema_sql` prints makes the same tables as `setup`, and a store opens the file."""
    ours, printed = tmp_path / "ours.db", tmp_path / "printed.db"
    async with SQLiteStore(ours):
        pass
    connection = sqlite3.connect(printed)
    connection.executescript(SQLiteStore.schema_sql())
    connection.close()

    assert tables(ours) == tables(printed)
    assert "CREATE TABLE workflow" in SQLiteStore.schema_sql()
    async with SQLiteStore(printed, auto_setup=False) as store:
        await store.save(opening())


async def test_setup_changes_nothing_twice(tmp_path: Path) -> None:
    """Setting a store up again leaves schema and contents as they are."""
    path = tmp_path / "w.db"
    options = opening()
    async with SQLiteStore(path) as store:
        await store.save(options)
    before = tables(path)

    async with SQLiteStore(path) as store:
        await store.setup()
        check_stored(await loaded(store), options.snapshot)

    assert tables(path) == before


async def test_the_first_schema_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that knows only the first step gets the others, and keeps what it holds."""
    path, fresh = tmp_path / "w.db", tmp_path / "fresh.db"
    steps = schema.migrations()
    connection = sqlite3.connect(path)
    connection.executescript(schema._RECORD + ";" + steps[0].sql)
    connection.execute("INSERT INTO statewright_schema VALUES (1, 'workflows', '2026-01-01')")
    when = "2026-03-01T12:30:15.123456+00:00"
    connection.execute(
        "INSERT INTO workflow (id, definition, state, data, model_version, version, commit_id, created_at, updated_at,"
        " entered_at) VALUES ('old', 'order', 'Draft', '{}', 1, 1, 'c', ?, ?, ?)",
        (when, when, when),
    )
    connection.commit()
    connection.close()

    async with SQLiteStore(path) as store, SQLiteStore(fresh):
        assert (await loaded(store, "old")).version == 1
        await store.save(opening("new"))

    assert tables(path) == tables(fresh)


async def test_a_step_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that fails leaves nothing behind; the steps before it stay, and a better step goes on from there."""
    path = tmp_path / "w.db"
    good = schema.migrations()
    number = len(good) + 1
    bad = schema.Migration(number, "bad", "CREATE TABLE half (a);\nCREATE TABLE half (b);\n")
    monkeypatch.setattr(schema, "migrations", lambda: (*good, bad))
    store = SQLiteStore(path)
    with pytest.raises(StoreError, match="half"):
        await store.setup()
    assert not store.is_open
    assert "half" not in dict(tables(path))

    better = schema.Migration(number, "better", "CREATE TABLE whole (a);\n")
    monkeypatch.setattr(schema, "migrations", lambda: (*good, better))
    async with store:
        await store.save(opening())

    assert "whole" in dict(tables(path))


async def test_many_stores_set_up_at_once(tmp_path: Path) -> None:
    """Stores that open one new file at the same time make one schema."""
    stores = [SQLiteStore(tmp_path / "w.db") for _ in range(8)]

    await asyncio.gather(*(store.setup() for store in stores))

    await asyncio.gather(*(store.save(opening(f"w-{number}")) for number, store in enumerate(stores)))
    assert {await store.count() for store in stores} == {8}
    await asyncio.gather(*(store.close() for store in stores))


def test_no_placeholder_has_a_number() -> None:
    """Python 3.12.0 to 3.12.3 warn of `?1` at each use, and with `-W error` nothing could be saved."""
    folder = Path(schema.__file__).parent
    numbered = [file.name for file in folder.rglob("*.py") if re.search(r"\?\d", file.read_text(encoding="utf-8"))]

    assert numbered == []
