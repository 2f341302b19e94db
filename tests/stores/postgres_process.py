"""A process that saves and reports what it was told; run by `test_postgres_processes.py`."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from typing import Any

from statewright.errors import ConcurrencyConflictError, OutcomeUnknownError, StoreError
from statewright.stores.postgres import PostgresStore
from statewright.testing.contract.samples import following, opening


def _report(**facts: Any) -> None:
    # One write for each line, so that what was reported before a kill is there in whole.
    os.write(sys.stdout.fileno(), (json.dumps(facts) + "\n").encode())


async def _race(store: PostgresStore, worker: str, ids: list[str], rounds: int) -> None:
    """Load and save workflows that others load and save, too, and report every operation with its times."""
    dice = random.Random(worker)
    for turn in range(rounds):
        id, tag = dice.choice(ids), f"{worker}-{turn}"
        called = time.perf_counter()
        stored = await store.load(id)
        _report(
            kind="read",
            workflow_id=id,
            called=called,
            returned=time.perf_counter(),
            version=stored.version if stored else 0,
            value=stored.snapshot.data["tag"] if stored else None,
        )
        options = opening(id, data={"tag": tag}) if stored is None else following(stored, data={"tag": tag})
        called = time.perf_counter()
        facts: dict[str, Any] = {"workflow_id": id, "called": called, "version": options.snapshot.version}
        try:
            await store.save(options)
        except ConcurrencyConflictError as conflict:
            facts |= {"kind": "refused", "version": conflict.actual_version}
        except OutcomeUnknownError:
            facts |= {"kind": "write", "version": None, "value": tag, "outcome": "unknown"}
        except StoreError:
            continue
        else:
            facts |= {"kind": "write", "value": tag}
        _report(**facts, returned=time.perf_counter())


async def _count_up(store: PostgresStore, id: str) -> None:
    """Save one workflow again and again until killed, and report each version that was acknowledged."""
    while True:
        stored = await store.load(id)
        options = opening(id) if stored is None else following(stored)
        await store.save(options)
        _report(workflow_id=id, version=options.snapshot.version)


async def _main(dsn: str, schema: str, worker: str, work: str) -> None:
    async with PostgresStore(dsn, schema=schema) as store:
        if work == "race":
            ids = [f"w-{number}" for number in range(5)]
            await asyncio.gather(*(_race(store, f"{worker}-{task}", ids, 25) for task in range(8)))
        else:
            await asyncio.gather(*(_count_up(store, f"{worker}-{task}") for task in range(8)))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
