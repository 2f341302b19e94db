"""The peer that stores: `eventsourcing`, in its default configuration and in its faster ones.

It keeps events, not states, so the order is rebuilt from them unless its cache has it. It is synchronous: callers are
threads.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError

from ..setting import Setting
from ..timing import Measurement, crowd_of_threads, repeat
from ..work import CALLERS, ITEMS_KEPT, PAYLOADS, WORKFLOWS, AddItem, full_order

CACHE = {"AGGREGATE_CACHE_MAXSIZE": "2000"}
"""Its cache as documented: fast-forwarded by a query, copied for each use."""
SHARED = CACHE | {"DEEPCOPY_FROM_AGGREGATE_CACHE": "n"}
"""Not copied: right while nothing fails, also with several processes."""
FASTEST = SHARED | {"AGGREGATE_CACHE_FASTFORWARD": "n"}
"""Nor asked whether it is still true: right only while one process writes and nothing fails."""
FUNCTIONS = {"POSTGRES_ENABLE_DB_FUNCTIONS": "y"}
"""Events inserted by a stored function, in one round trip."""


class StoredOrder(Aggregate):
    """An order as an aggregate."""

    @event("Opened")
    def __init__(self, items: list[str]) -> None:
        self.items = items

    @event("ItemAdded")
    def add_item(self, item: str) -> None:
        """Put one more item on the order."""
        self.items = [*self.items, item][-ITEMS_KEPT:]


class Orders(Application[UUID]):
    """The application around the orders."""

    def open_all(self, count: int) -> list[UUID]:
        """Store so many orders and return their ids."""
        made = [StoredOrder(items=full_order().items) for _ in range(count)]
        for order in made:
            self.save(order)
        return [order.id for order in made]

    def execute(self, id: UUID, payload: dict[str, Any]) -> None:
        """Run one command."""
        command = AddItem.model_validate(payload)
        order: StoredOrder = self.repository.get(id)
        order.add_item(command.item)
        self.save(order)


@dataclass(slots=True)
class Locks:
    """One lock per order, which is what an application would put around a hot aggregate."""

    by_id: dict[UUID, threading.Lock]

    def execute(self, orders: Orders, id: UUID, payload: dict[str, Any]) -> None:
        """Run one command while nobody else does."""
        with self.by_id[id]:
            orders.execute(id, payload)


def memory(setting: Setting) -> Measurement:
    """One caller, default configuration, in memory."""
    return _one_caller(setting, {})


def memory_fastest(setting: Setting) -> Measurement:
    """One caller, its cache without copies, in memory."""
    return _one_caller(setting, FASTEST)


def sqlite_one(setting: Setting) -> Measurement:
    """One caller, default configuration, SQLite."""
    return _one_caller(setting, _sqlite(setting))


def sqlite_one_fastest(setting: Setting) -> Measurement:
    """One caller, its cache without copies, SQLite."""
    return _one_caller(setting, _sqlite(setting) | FASTEST)


def sqlite_many(setting: Setting) -> Measurement:
    """Many callers over a thousand orders, default configuration, SQLite."""
    return _many_callers(setting, _sqlite(setting))


def sqlite_many_fastest(setting: Setting) -> Measurement:
    """Many callers over a thousand orders, its cache without copies, SQLite."""
    return _many_callers(setting, _sqlite(setting) | FASTEST)


def sqlite_hot(setting: Setting) -> Measurement:
    """Many callers on one order, default configuration, SQLite; a lost race is tried again."""
    return _hot_retrying(setting, _sqlite(setting))


def sqlite_hot_cache(setting: Setting) -> Measurement:
    """Many callers on one order, its cache as documented, SQLite; a lost race is tried again."""
    return _hot_retrying(setting, _sqlite(setting) | CACHE)


def sqlite_hot_fastest(setting: Setting) -> Measurement:
    """Many callers on one order, its cache without copies, SQLite, behind a lock of the application's."""
    return _hot_locked(setting, _sqlite(setting) | FASTEST)


def postgres_one(setting: Setting) -> Measurement:
    """One caller, default configuration, PostgreSQL."""
    return _one_caller(setting, postgres_environment(setting))


def postgres_one_fastest(setting: Setting) -> Measurement:
    """One caller, its cache without copies and its stored functions, PostgreSQL."""
    return _one_caller(setting, postgres_environment(setting) | FASTEST | FUNCTIONS)


def postgres_many(setting: Setting) -> Measurement:
    """Many callers over a thousand orders, default configuration, PostgreSQL."""
    return _many_callers(setting, postgres_environment(setting))


def postgres_many_fastest(setting: Setting) -> Measurement:
    """Many callers over a thousand orders, its cache without copies and its stored functions, PostgreSQL."""
    return _many_callers(setting, postgres_environment(setting) | FASTEST | FUNCTIONS)


def postgres_many_shared(setting: Setting) -> Measurement:
    """Many callers over a thousand orders, as fast as it goes where several processes write, PostgreSQL."""
    return _many_callers(setting, postgres_environment(setting) | SHARED | FUNCTIONS)


def postgres_hot(setting: Setting) -> Measurement:
    """Many callers on one order, default configuration, PostgreSQL; a lost race is tried again."""
    return _hot_retrying(setting, postgres_environment(setting))


def postgres_hot_fastest(setting: Setting) -> Measurement:
    """Many callers on one order, its cache without copies, PostgreSQL, behind a lock of the application's."""
    return _hot_locked(setting, postgres_environment(setting) | FASTEST | FUNCTIONS)


def _sqlite(setting: Setting) -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "eventsourcing.sqlite",
        "SQLITE_DBNAME": str(setting.directory / "orders.db"),
        "SQLITE_LOCK_TIMEOUT": "30",
    }


def postgres_environment(setting: Setting) -> dict[str, str]:
    """Return what its environment says about the server."""
    address = urlsplit(setting.dsn)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": address.path.lstrip("/"),
        "POSTGRES_HOST": address.hostname or "",
        "POSTGRES_PORT": str(address.port or 5432),
        "POSTGRES_USER": unquote(address.username or ""),
        "POSTGRES_PASSWORD": unquote(address.password or ""),
    }


def _one_caller(setting: Setting, environment: dict[str, str]) -> Measurement:
    with Orders(environment) as orders:
        ids = orders.open_all(WORKFLOWS)
        return _checked(
            orders,
            len(ids),
            repeat(lambda turn: orders.execute(ids[turn % len(ids)], PAYLOADS[turn & 15]), setting.seconds, chunk=4),
        )


def _many_callers(setting: Setting, environment: dict[str, str]) -> Measurement:
    with Orders(environment) as orders:
        ids = orders.open_all(WORKFLOWS)

        def step(caller: int, turn: int) -> None:
            # 64 callers over 1,000 orders meet on none of them within 15 turns of each other.
            orders.execute(ids[(caller + turn * CALLERS) % len(ids)], PAYLOADS[turn & 15])

        return _checked(orders, len(ids), crowd_of_threads(step, CALLERS, setting.seconds))


def _hot_retrying(setting: Setting, environment: dict[str, str]) -> Measurement:
    lost: list[int] = []
    with Orders(environment) as orders:
        (id,) = orders.open_all(1)

        def step(_: int, turn: int) -> None:
            while True:
                try:
                    return orders.execute(id, PAYLOADS[turn & 15])
                except IntegrityError:
                    lost.append(1)

        measured = _checked(orders, 1, crowd_of_threads(step, CALLERS, setting.seconds))
    return Measurement(measured.value, measured.facts | {"lost_per_success": len(lost) / measured.facts["calls"]})


def _hot_locked(setting: Setting, environment: dict[str, str]) -> Measurement:
    with Orders(environment) as orders:
        (id,) = orders.open_all(1)
        locks = Locks({id: threading.Lock()})
        return _checked(
            orders,
            1,
            crowd_of_threads(lambda _, turn: locks.execute(orders, id, PAYLOADS[turn & 15]), CALLERS, setting.seconds),
        )


def _checked(orders: Orders, opened: int, measured: Measurement) -> Measurement:
    stored = orders.recorder.max_notification_id() or 0
    if stored < opened + measured.facts["calls"]:
        raise RuntimeError(f"{measured.facts['calls']} commands on {opened} orders left {stored} events")
    return measured
