"""What stays in the process: resident size over many commands, and bytes per command that waits."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import tracemalloc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from statewright import MemoryStore, WorkflowExecutor, WorkflowRouter
from statewright.stores.sqlite import SQLiteStore

from ..setting import Rows, Setting
from ..timing import Measurement
from ..work import CALLERS, AddItem, Draft, add_item, workflow_ids
from .ours import COMMANDS, Order, router
from .ours_stored import Orders, check, open_all

WAITING = 5_000


def resident_kilobytes() -> float:
    """Return the resident size of this process."""
    gc.collect()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1])
    raise RuntimeError("this system does not tell a process its resident size in /proc/self/status")


def sqlite_resident(setting: Setting) -> Rows:
    """Run a million commands of 64 callers on 100,000 orders in `SQLiteStore`; look after each fifth."""

    async def run(path: Path) -> Rows:
        async with SQLiteStore(path) as store:
            return await resident(WorkflowExecutor(router, store), setting)

    return asyncio.run(run(setting.directory / "orders.db"))


async def resident(orders: Orders, setting: Setting) -> Rows:
    """Run the commands in fifths and note the resident size after each."""
    ids = workflow_ids(setting.scaled(100_000, least=CALLERS))
    await open_all(orders, ids)
    fifth, sizes = setting.scaled(1_000_000, least=5 * CALLERS) // 5, []
    for _ in range(5):
        await _run_commands(orders, ids, fifth)
        sizes.append(resident_kilobytes() / 1024)
    done = fifth // CALLERS * CALLERS * 5
    await check(orders, ids, Measurement(0, {"calls": done}))
    facts: dict[str, float] = {"commands": done, "workflows": len(ids)}
    return {"after a fifth": Measurement(sizes[0], facts), "at the end": Measurement(sizes[-1], facts)}


async def _run_commands(orders: Orders, ids: list[str], count: int) -> None:
    async def call(caller: int) -> None:
        for turn in range(count // CALLERS):
            (await orders.execute(ids[(caller + turn * CALLERS) % len(ids)], COMMANDS[turn & 15])).unwrap()

    async with asyncio.TaskGroup() as group:
        for caller in range(CALLERS):
            group.create_task(call(caller))


def waiting(setting: Setting) -> Rows:
    """Count the bytes of commands that wait: for their turn on one order, and for the disk on as many orders."""
    alone, for_turn = asyncio.run(_bare_tasks()), asyncio.run(_waiting_for_turn())
    return {
        "a task that waits, alone": alone,
        "waiting for its turn": for_turn,
        "waiting for its turn, its task aside": Measurement(for_turn.value - alone.value),
        "waiting for the disk": asyncio.run(_waiting_for_disk(setting.directory / "orders.db")),
    }


async def _bare_tasks() -> Measurement:
    gate = asyncio.get_running_loop().create_future()
    # Shielded, so that each task waits on a future of its own, as a command does.
    return await _bytes_each(lambda _: _wait_for(gate), lambda: gate.set_result(None))


async def _wait_for(gate: asyncio.Future[None]) -> None:
    await asyncio.shield(gate)


async def _waiting_for_turn() -> Measurement:
    gate, slow_router = asyncio.Event(), WorkflowRouter(Order)

    @slow_router.on
    async def take_item_late(order: Draft, command: AddItem) -> Draft:
        """Decide when the gate opens: all others wait meanwhile."""
        await gate.wait()
        return add_item(order, command)

    orders: Orders = WorkflowExecutor(slow_router, MemoryStore())
    await open_all(orders, ["hot"])
    return await _bytes_each(lambda number: orders.execute("hot", COMMANDS[number & 15]), gate.set)


async def _waiting_for_disk(path: Path) -> Measurement:
    async with SQLiteStore(path) as store:
        orders: Orders = WorkflowExecutor(router, store)
        ids = workflow_ids(WAITING)
        await open_all(orders, ids)
        other = sqlite3.connect(path, isolation_level=None)
        # Another process in the middle of a write: readers go on, our writer waits for its turn.
        other.execute("BEGIN IMMEDIATE")
        try:
            return await _bytes_each(
                lambda number: orders.execute(ids[number], COMMANDS[number & 15]), lambda: other.execute("COMMIT")
            )
        finally:
            other.close()


async def _bytes_each(call: Callable[[int], Coroutine[Any, Any, Any]], let_go: Callable[[], object]) -> Measurement:
    tracemalloc.start()
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    tasks = [asyncio.create_task(call(number)) for number in range(WAITING)]
    await asyncio.sleep(1)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    left = sum(not task.done() for task in tasks)
    tracemalloc.stop()
    let_go()
    for result in await asyncio.gather(*tasks):
        if result is not None:
            result.unwrap()
    if left < WAITING * 0.9:
        raise RuntimeError(f"only {left} of {WAITING} commands were waiting")
    return Measurement((after - before) / left, {"waiting": left})
