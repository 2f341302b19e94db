"""The SQLite store alone, without an executor, beside `sqlite3` used directly.

One operation: read a workflow, decode it, add an item, encode it, save it with one event; durable when it returns.
Every round runs all contenders, so that the ratios compare what the machine did at the same time.

    python benchmarks/sqlite_store.py [--rounds 5] [--operations 4000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from statewright._engine.ports import SaveOptions
from statewright._model.commit import NewCommit, RecordedMessage, new_id
from statewright._model.snapshot import WorkflowSnapshot
from statewright.stores.sqlite import SQLiteStore

WORKFLOWS = 1000
CALLERS = 64
ITEM = "an item of some twenty"
IDS = [f"order-{number:06d}" for number in range(WORKFLOWS)]


def decide(data: dict[str, Any]) -> dict[str, Any]:
    """Add an item and keep the last ten."""
    return {"items": [*data["items"], ITEM][-10:]}


def run_raw(path: Path, operations: int) -> float:
    """Return operations per second of `sqlite3`, one transaction after the other."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE workflow (id TEXT PRIMARY KEY, version INTEGER, data TEXT)")
    columns = "position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, version INTEGER, type TEXT, data TEXT"
    connection.execute(f"CREATE TABLE event ({columns})")
    connection.execute("BEGIN")
    empty = json.dumps({"items": [ITEM] * 10})
    connection.executemany("INSERT INTO workflow VALUES (?, 1, ?)", [(id, empty) for id in IDS])
    connection.execute("COMMIT")
    chosen = random.Random(1).choices(IDS, k=operations)
    began = time.perf_counter()
    for id in chosen:
        connection.execute("BEGIN IMMEDIATE")
        version, text = connection.execute("SELECT version, data FROM workflow WHERE id = ?", (id,)).fetchone()
        after = json.dumps(decide(json.loads(text)))
        connection.execute(
            "UPDATE workflow SET version = version + 1, data = ? WHERE id = ? AND version = ?", (after, id, version)
        )
        event = (id, version + 1, "ItemAdded", json.dumps({"item": ITEM}))
        connection.execute("INSERT INTO event (id, version, type, data) VALUES (?, ?, ?, ?)", event)
        connection.execute("COMMIT")
    elapsed = time.perf_counter() - began
    connection.close()
    return operations / elapsed


def first(id: str) -> SaveOptions:
    """Return the save that creates a workflow."""
    now = datetime.now(UTC)
    snapshot = WorkflowSnapshot(id, "order", "Draft", {"items": [ITEM] * 10}, 1, 1, now, now)
    return SaveOptions(id, snapshot, 0, (NewCommit(new_id(), snapshot, None, (), now),))


async def work(store: SQLiteStore, ids: list[str]) -> None:
    """Be one caller."""
    for id in ids:
        stored = await store.load(id)
        assert stored is not None
        now = datetime.now(UTC)
        text, began = json.dumps(decide(stored.snapshot.data)), stored.snapshot.created_at
        snapshot = WorkflowSnapshot.of_text(id, "order", "Draft", text, 1, stored.version + 1, began, now)
        said = json.dumps({"item": ITEM})
        command, event = RecordedMessage.of_text("AddItem", said), RecordedMessage.of_text("ItemAdded", said)
        commit = NewCommit(new_id(), snapshot, command, (event,), now)
        await store.save(SaveOptions(id, snapshot, stored.version, (commit,), stored.commit_id))


async def run_store(path: Path, operations: int, callers: int) -> float:
    """Return operations per second of the store with some callers."""
    async with SQLiteStore(path) as store:
        await asyncio.gather(*(store.save(first(id)) for id in IDS))
        shares = [IDS[number::callers] for number in range(callers)]
        picks = [random.Random(number).choices(share, k=operations // callers) for number, share in enumerate(shares)]
        began = time.perf_counter()
        await asyncio.gather(*(work(store, ids) for ids in picks))
        elapsed = time.perf_counter() - began
        assert len(await store.commits(limit=operations + WORKFLOWS)) == WORKFLOWS + sum(map(len, picks))
    return operations / elapsed


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--operations", type=int, default=4000)
    options = arguments.parse_args()
    rounds: list[tuple[float, float, float]] = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            raw = run_raw(Path(folder, "raw.db"), options.operations)
            single = asyncio.run(run_store(Path(folder, "single.db"), options.operations, 1))
            many = asyncio.run(run_store(Path(folder, "many.db"), options.operations * 5, CALLERS))
        rounds.append((raw, single / raw, many / raw))
        print(f"round {number + 1}: {_line(*rounds[-1])}")
    raw, single, many = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"median:  {_line(raw, single, many)}")


def _line(raw: float, single: float, many: float) -> str:
    return f"raw {raw:7,.0f}/s   1 caller {single:5.2f} x   {CALLERS} callers {many:5.2f} x"


if __name__ == "__main__":
    main()
