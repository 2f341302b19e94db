"""What a command costs that is sent under an idempotency key and sets a timer, beside one that does neither."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from time import perf_counter
from typing import Any

from statewright import Context, WorkflowExecutor, WorkflowRouter
from statewright.stores.postgres import PostgresStore
from statewright.stores.sqlite import SQLiteStore

from ..setting import Rows, Setting
from ..timing import WARM_UP, Measurement
from ..work import CALLERS, AddItem, Draft, ItemAdded, Place, add_item, workflow_ids
from .ours import COMMANDS, Order, router
from .ours_stored import Orders, open_all

BARE, KEYED, TIMED, BOTH = "bare", "with a key", "with a timer", "with both"
SLICES = 8
"""In how many turns each kind of command is measured."""
DELAY = timedelta(hours=1)

timing_router = WorkflowRouter(Order)


@timing_router.on
def take_item_and_remind(order: Draft, command: AddItem, ctx: Context[ItemAdded]) -> Draft:
    """Decide, emit one event, and set the order's deadline anew."""
    ctx.emit(ItemAdded(item=command.item))
    ctx.schedule(Place(), delay=DELAY)
    return add_item(order, command)


def one(setting: Setting) -> Rows:
    """One caller."""
    return asyncio.run(_measure(setting, 1))


def many(setting: Setting) -> Rows:
    """Many callers over a thousand orders."""
    return asyncio.run(_measure(setting, CALLERS))


async def _measure(setting: Setting, callers: int) -> Rows:
    async with _store(setting) as store:
        kinds = [
            _Kind(BARE, WorkflowExecutor(router, store), has_key=False, has_timer=False),
            _Kind(KEYED, WorkflowExecutor(router, store), has_key=True, has_timer=False),
            _Kind(TIMED, WorkflowExecutor(timing_router, store), has_key=False, has_timer=True),
            _Kind(BOTH, WorkflowExecutor(timing_router, store), has_key=True, has_timer=True),
        ]
        for kind in kinds:
            await open_all(kind.orders, kind.ids)
            await kind.run(callers, setting.seconds * WARM_UP)
            kind.spent, kind.measured = 0.0, 0
        # In turn and in slices, so that all kinds see the same moments of the machine.
        for number in range(SLICES):
            for kind in kinds[number % 4 :] + kinds[: number % 4]:
                await kind.run(callers, setting.seconds / SLICES)
        for kind in kinds:
            await kind.check(store)
    return {kind.name: Measurement(kind.spent / kind.measured * 1e6, {"calls": kind.calls}) for kind in kinds}


def _store(setting: Setting) -> SQLiteStore | PostgresStore:
    return PostgresStore(setting.dsn) if setting.dsn else SQLiteStore(setting.directory / "orders.db")


@dataclass
class _Kind:
    """One kind of command, on orders of its own."""

    name: str
    orders: Orders
    has_key: bool
    has_timer: bool
    turns: Iterator[int] = field(default_factory=count)
    calls: int = 0
    measured: int = 0
    spent: float = 0.0

    @property
    def ids(self) -> list[str]:
        """Its orders."""
        return [f"{self.name} {id}" for id in workflow_ids()]

    async def run(self, callers: int, seconds: float) -> None:
        """Send commands for so long."""
        ids, began, before = self.ids, perf_counter(), self.calls

        async def call() -> None:
            while perf_counter() - began < seconds:
                turn = next(self.turns)
                key = f"key {turn}" if self.has_key else None
                id = ids[turn % len(ids)]
                (await self.orders.execute(id, COMMANDS[turn & 15], idempotency_key=key)).unwrap()
                self.calls += 1

        await asyncio.gather(*(call() for _ in range(callers)))
        self.spent += perf_counter() - began
        self.measured += self.calls - before

    async def check(self, store: Any) -> None:
        """Compare what is stored with what was acknowledged: commits, keys and timers.

        Raises:
            RuntimeError: They do not agree.
        """
        saved = keys = replayed = timers = touched = 0
        for id in self.ids:
            history = await self.orders.history(id, after=1)
            saved += len(history)
            touched += bool(history)
            keys += len({commit.idempotency_key for commit in history} - {None})
            timers += len(await store.timers(id))
            if self.has_key and history:
                last = history[-1]
                command = {"type": last.command.type, "payload": last.command.data} if last.command else {}
                again = await self.orders.execute(id, command, idempotency_key=last.idempotency_key)
                replayed += again.unwrap().replayed
        wanted = (self.calls, self.calls * self.has_key, touched * self.has_key, touched * self.has_timer)
        if (saved, keys, replayed, timers) != wanted:
            raise RuntimeError(
                f"{self.calls} commands {self.name} left {saved} commits, {keys} keys of which the last {replayed} are "
                f"replayed, and {timers} timers on {touched} orders"
            )
