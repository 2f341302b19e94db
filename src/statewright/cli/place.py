"""Where workflows are kept: from what was typed to an open store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from .._engine.ports import Catalog, HistoryStore, StoreAdapter
from ..demo import FILE
from ..stores.sqlite import SQLiteStore
from .program import MISUSED, Complaint

_SCHEMES = ("postgresql://", "postgres://")


class OpenStore(StoreAdapter, HistoryStore, Catalog, Protocol):
    """What the command line needs of a store."""


@asynccontextmanager
async def opened(place: str | None) -> AsyncGenerator[OpenStore]:
    """Open the store at a place; nothing is created or upgraded.

    Args:
        place: A path, a DSN, or `None` for the demo's file, if it is here.

    Raises:
        Complaint: There is none.
        StoreError: It cannot be opened.
    """
    async with _store_at(located(place)) as store:
        yield store


def located(place: str | None) -> str:
    """Return a place, or the demo's file if none was given.

    Raises:
        Complaint: None was given, and the demo has left no file here.
    """
    if place is not None:
        return place
    if Path(FILE).exists():
        return FILE
    raise Complaint("which store? Give --store FILE, or --store postgresql://..., or set STATEWRIGHT_STORE", MISUSED)


def spoken(place: str | None) -> str:
    """Return a place for a message: a DSN may hold a password, and is not repeated."""
    found = located(place)
    return "that database" if is_server(found) else found


def is_server(place: str) -> bool:
    """Return whether a place is a PostgreSQL server."""
    return place.startswith(_SCHEMES)


def _store_at(place: str) -> Any:
    if is_server(place):
        return _postgres_store(place)
    if not Path(place).exists():
        raise Complaint(f"{place}: no such file; a program that opens SQLiteStore({place!r}) makes it")
    return SQLiteStore(place, auto_setup=False)


def _postgres_store(dsn: str) -> Any:
    from ..stores.postgres import PostgresStore  # noqa: PLC0415 - slow to import, and rarely meant

    try:
        return PostgresStore(dsn, auto_setup=False)
    except ImportError as exc:
        raise Complaint(str(exc)) from exc
