"""Where workflows are kept: from what was typed to an open store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from .._engine.ports import Catalog, HistoryStore, StoreAdapter
from ..demo import FILE
from ..stores.sqlite import SQLiteStore
from .program import MISUSED, Complaint

_SCHEMES = ("postgresql://", "postgres://")
STORE_VARIABLE = "STATEWRIGHT_STORE"
"""The environment variable that may name the store."""
_HOW = f"Give --store FILE, or --store postgresql://..., or set {STORE_VARIABLE}"


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
    if is_demo_here():
        return FILE
    raise Complaint(f"which store? {_HOW}", MISUSED)


def required(place: str | None, target: str) -> str:
    """Return a place; nothing stands in for one that was not given.

    Raises:
        Complaint: None was given.
    """
    if place is None:
        raise Complaint(f"which store? {target} has none of its own. {_HOW}", MISUSED)
    return place


def is_demo_here() -> bool:
    """Return whether the demo has left its file in this directory."""
    return Path(FILE).exists()


def named(place: str | None) -> str:
    """Return what to call a place in a message; of a DSN no user, password or option, which may be secret."""
    found = located(place)
    if not is_server(found):
        return found
    parts = urlsplit(found)
    if found.count("@") > 1 or ("@" in found and "@" not in parts.netloc):
        return "that database"  # a password that was not escaped: where it ends, nobody knows
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


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
