"""Statewright with its stores in memory and in SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from statewright import MemoryStore, WorkflowExecutor
from statewright.stores.sqlite import SQLiteStore

from ..setting import Setting
from ..timing import Measurement, crowd, repeat_async
from ..work import CALLERS, full_order, workflow_ids
from .ours import COMMANDS, Order, router

Orders: TypeAlias = WorkflowExecutor[Order]


def memory(setting: Setting) -> Measurement:
    """One caller, `MemoryStore`."""
    return asyncio.run(one_caller(WorkflowExecutor(router, MemoryStore()), setting))


def sqlite_one(setting: Setting) -> Measurement:
    """One caller, `SQLiteStore`."""
    return asyncio.run(_on_sqlite(setting, lambda orders: one_caller(orders, setting, chunk=4)))


def sqlite_many(setting: Setting) -> Measurement:
    """Many callers over a thousand orders, `SQLiteStore`."""
    return asyncio.run(_on_sqlite(setting, lambda orders: many_callers(orders, setting)))


def sqlite_hot(setting: Setting) -> Measurement:
    """Many callers on one order, `SQLiteStore`."""
    return asyncio.run(_on_sqlite(setting, lambda orders: hot(orders, setting)))


async def _on_sqlite(setting: Setting, measure: Callable[[Orders], Awaitable[Measurement]]) -> Measurement:
    async with SQLiteStore(setting.directory / "orders.db") as store:
        return await measure(WorkflowExecutor(router, store))


async def open_all(orders: Orders, ids: list[str]) -> None:
    """Store an order under each id."""
    for first in range(0, len(ids), 1_000):
        made = await asyncio.gather(*(orders.create(id, full_order()) for id in ids[first : first + 1_000]))
        for result in made:
            result.unwrap()


async def one_caller(orders: Orders, setting: Setting, *, chunk: int = 32) -> Measurement:
    """Run one command after the other, over a thousand orders."""
    ids = workflow_ids()
    await open_all(orders, ids)

    async def step(turn: int) -> None:
        (await orders.execute(ids[turn % len(ids)], COMMANDS[turn & 15])).unwrap()

    return await check(orders, ids, await repeat_async(step, setting.seconds, chunk=chunk))


async def many_callers(orders: Orders, setting: Setting) -> Measurement:
    """Run commands of many callers over a thousand orders."""
    return await _crowd(orders, setting, workflow_ids())


async def hot(orders: Orders, setting: Setting) -> Measurement:
    """Run commands of many callers on one order."""
    return await _crowd(orders, setting, workflow_ids(1))


async def _crowd(orders: Orders, setting: Setting, ids: list[str]) -> Measurement:
    await open_all(orders, ids)

    async def step(caller: int, turn: int) -> None:
        (await orders.execute(ids[(caller + turn * CALLERS) % len(ids)], COMMANDS[turn & 15])).unwrap()

    return await check(orders, ids, await crowd(step, CALLERS, setting.seconds))


async def check(orders: Orders, ids: list[str], measured: Measurement) -> Measurement:
    """Compare what is stored with what was acknowledged."""
    stored = await asyncio.gather(*(orders.get(id) for id in ids))
    saved = sum(order.version - 1 for order in stored if order is not None)
    if saved != measured.facts["calls"]:
        raise RuntimeError(f"{measured.facts['calls']} acknowledged commands left {saved} saves")
    return measured
