"""Whether a command costs more when there is more: a longer history, more workflows."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from statistics import median
from time import perf_counter

from statewright import MemoryStore, WorkflowExecutor
from statewright.stores.sqlite import SQLiteStore

from ..setting import Rows, Setting
from ..timing import Measurement
from ..work import CALLERS, workflow_ids
from .ours import COMMANDS, router
from .ours_stored import Orders, open_all

SHORT, LONG = 10, 10_000
BLOCK = 20
"""Commands that are timed together."""
BLOCKS = 40


def memory_history(_: Setting) -> Rows:
    """Compare short and long histories in `MemoryStore`."""
    return asyncio.run(history(WorkflowExecutor(router, MemoryStore())))


def sqlite_history(setting: Setting) -> Rows:
    """Compare short and long histories in `SQLiteStore`."""

    async def run(path: Path) -> Rows:
        async with SQLiteStore(path) as store:
            return await history(WorkflowExecutor(router, store))

    return asyncio.run(run(setting.directory / "orders.db"))


def sqlite_workflows(setting: Setting) -> Rows:
    """Compare few and many workflows in `SQLiteStore`."""

    async def run(path: Path) -> Rows:
        async with SQLiteStore(path) as store:
            return await workflows(WorkflowExecutor(router, store), setting.scaled(1_000_000))

    return asyncio.run(run(setting.directory / "orders.db"))


async def history(orders: Orders) -> Rows:
    """Time commands on an order with a long history and on orders with a short one, in turn, in one store.

    In one store, so that both see tables of one size; in turn, so that both see the same moments of the machine. Each
    block with a short history has an order of its own, because the commands that are timed lengthen it.
    """
    young = [f"young-{number:04}" for number in range(BLOCKS)]
    await open_all(orders, ["old", *young])
    for _ in range(0, LONG, CALLERS):
        await asyncio.gather(*(_command(orders, "old", number) for number in range(CALLERS)))
    for number in range(SHORT - 1):
        await asyncio.gather(*(_command(orders, id, number) for id in young))
    times: dict[str, list[float]] = {"10 commits": [], "10,000 commits": []}
    for id in young:
        times["10 commits"].append(await _time_block(orders, [id] * BLOCK))
        times["10,000 commits"].append(await _time_block(orders, ["old"] * BLOCK))
    return {name: Measurement(median(seen)) for name, seen in times.items()}


async def workflows(orders: Orders, many: int) -> Rows:
    """Time commands on random orders, first among a thousand, then among many."""
    ids, chance = workflow_ids(many), random.Random(7)
    few = ids[:1_000]
    await open_all(orders, few)
    rows = {"1,000 workflows": await _time_random(orders, few, chance)}
    await open_all(orders, ids[1_000:])
    measured = await _time_random(orders, ids, chance)
    return rows | {"many workflows": Measurement(measured.value, {"workflows": many})}


async def _time_random(orders: Orders, ids: list[str], chance: random.Random) -> Measurement:
    blocks = [[chance.choice(ids) for _ in range(BLOCK)] for _ in range(BLOCKS)]
    return Measurement(median([await _time_block(orders, block) for block in blocks]))


async def _command(orders: Orders, id: str, number: int) -> None:
    (await orders.execute(id, COMMANDS[number & 15])).unwrap()


async def _time_block(orders: Orders, ids: list[str]) -> float:
    """Return microseconds per command."""
    started = perf_counter()
    for number, id in enumerate(ids):
        await _command(orders, id, number)
    return (perf_counter() - started) / len(ids) * 1e6
