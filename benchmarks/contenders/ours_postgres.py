"""Statewright on PostgreSQL: one process and several."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable
from time import time

from statewright import WorkflowExecutor
from statewright.stores.postgres import PostgresStore

from ..setting import Rows, Setting
from ..timing import Measurement, crowd
from ..work import CALLERS, workflow_ids
from . import growth, ours_stored
from .ours import COMMANDS, router
from .ours_stored import Orders, check, open_all

START_DELAY = 4.0
"""Seconds until all processes have imported, connected and wait for the common start."""


def one(setting: Setting) -> Measurement:
    """One caller."""
    return asyncio.run(_measure(setting, lambda orders: ours_stored.one_caller(orders, setting, chunk=4)))


def many(setting: Setting) -> Measurement:
    """Many callers over a thousand orders."""
    return asyncio.run(_measure(setting, lambda orders: ours_stored.many_callers(orders, setting)))


def hot(setting: Setting) -> Measurement:
    """Many callers on one order."""
    return asyncio.run(_measure(setting, lambda orders: ours_stored.hot(orders, setting)))


async def _measure(setting: Setting, measure: Callable[[Orders], Awaitable[Measurement]]) -> Measurement:
    async with PostgresStore(setting.dsn) as store:
        return await measure(WorkflowExecutor(router, store))


def history(setting: Setting) -> Rows:
    """Compare short and long histories."""

    async def run() -> Rows:
        async with PostgresStore(setting.dsn) as store:
            return await growth.history(WorkflowExecutor(router, store))

    return asyncio.run(run())


def workflows(setting: Setting) -> Rows:
    """Compare few and many workflows."""

    async def run() -> Rows:
        async with PostgresStore(setting.dsn) as store:
            return await growth.workflows(WorkflowExecutor(router, store), setting.scaled(1_000_000))

    return asyncio.run(run())


def spread_one(setting: Setting) -> Measurement:
    """64 callers in one process over 1,000 orders."""
    return _processes(setting, 1, 1_000)


def spread_two(setting: Setting) -> Measurement:
    """64 callers in each of two processes over the same 1,000 orders."""
    return _processes(setting, 2, 1_000)


def spread_four(setting: Setting) -> Measurement:
    """64 callers in each of four processes over the same 1,000 orders."""
    return _processes(setting, 4, 1_000)


def few_three(setting: Setting) -> Measurement:
    """64 callers in each of three processes over the same 200 orders."""
    return _processes(setting, 3, 200)


def hot_one(setting: Setting) -> Measurement:
    """64 callers in one process on one order."""
    return _processes(setting, 1, 1)


def hot_two(setting: Setting) -> Measurement:
    """64 callers in each of two processes on one order."""
    return _processes(setting, 2, 1)


def hot_four(setting: Setting) -> Measurement:
    """64 callers in each of four processes on one order."""
    return _processes(setting, 4, 1)


def _processes(setting: Setting, count: int, workflows: int) -> Measurement:
    ids = workflow_ids(workflows)
    asyncio.run(_prepare(setting.dsn, ids))
    start = time() + START_DELAY
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        share = [(setting.dsn, ids, number, count, start, setting.seconds) for number in range(count)]
        parts = pool.starmap(_take_part, share)
    calls = sum(part.facts["calls"] for part in parts)
    asyncio.run(_check(setting.dsn, ids, calls))
    rates = [part.value for part in parts]
    # Nobody may win by starving the others: a process that finished nothing shows as a share of 0.
    facts = {"calls": calls, "smallest_share": min(rates) / sum(rates)}
    late = [part.facts["p99_ms"] for part in parts if "p99_ms" in part.facts]
    return Measurement(sum(rates), facts | {"p99_ms": max(late)})


async def _prepare(dsn: str, ids: list[str]) -> None:
    async with PostgresStore(dsn) as store:
        await open_all(WorkflowExecutor(router, store), ids)


async def _check(dsn: str, ids: list[str], calls: float) -> None:
    async with PostgresStore(dsn) as store:
        await check(WorkflowExecutor(router, store), ids, Measurement(0, {"calls": calls}))


def _take_part(dsn: str, ids: list[str], number: int, count: int, start: float, seconds: float) -> Measurement:
    return asyncio.run(_call_as_crowd(dsn, ids, number, count, start, seconds))


async def _call_as_crowd(
    dsn: str, ids: list[str], number: int, count: int, start: float, seconds: float
) -> Measurement:
    async with PostgresStore(dsn) as store:
        # Between processes races are lost and decided again; the default number of retries is for callers with a life.
        orders: Orders = WorkflowExecutor(router, store, retries=1_000)

        async def step(caller: int, turn: int) -> None:
            # Each process walks the orders from a place of its own, so that they meet by chance, not in step.
            place = caller + turn * CALLERS + number * len(ids) // count
            (await orders.execute(ids[place % len(ids)], COMMANDS[turn & 15])).unwrap()

        await asyncio.sleep(max(0.0, start - time()))
        return await crowd(step, CALLERS, seconds)
