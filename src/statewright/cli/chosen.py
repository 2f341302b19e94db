"""Which store a command is about: what was named decides, and the demo's file only stands in for nothing at all."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeAlias

from .place import STORE_VARIABLE, named, opened, required
from .program import MISUSED, Complaint
from .target import find, store_of

Where: TypeAlias = tuple[str | None, str | None]
"""What was given as `--store` and as `--router`."""


class Chosen(NamedTuple):
    """An open store, and what to call it in a message."""

    store: Any
    name: str


@asynccontextmanager
async def chosen(
    place: str | None, target: str | None = None, *, own: Any = None, kind: type[Any] | None = None
) -> AsyncGenerator[Chosen]:
    """Open the store that a command is about.

    Args:
        place: A path or a DSN, if one was given.
        target: The `module:name` that was given, if one was.
        own: The store of the executor that `target` names.
        kind: What is needed of the store: one of the protocols.

    Raises:
        Complaint: There is no store, there are two of them, or it cannot do what is needed.
    """
    if own is not None and place is not None:
        also = f", and {STORE_VARIABLE} unset" if os.environ.get(STORE_VARIABLE) == place else ""
        raise Complaint(f"{target} is an executor and has its store already: leave --store out{also}", MISUSED)
    if own is not None:
        async with _entered(own):
            yield Chosen(_able(own, kind), f"the store of {target}")
        return
    # Whoever names a definition means its own workflows: the demo's file would take them in, too, and say nothing.
    found = place if target is None else required(place, target)
    async with opened(found) as store:
        yield Chosen(_able(store, kind), named(found))


@asynccontextmanager
async def looked_at(where: Where, kind: type[Any]) -> AsyncGenerator[Chosen]:
    """Open the store to look at: of the executor that is named, if one is, or the one at a place.

    Raises:
        Complaint: As from `chosen`.
    """
    place, target = where
    own = None if target is None else store_of(find(target))
    async with chosen(place, target, own=own, kind=kind) as found:
        yield found


@asynccontextmanager
async def _entered(store: Any) -> AsyncGenerator[None]:
    if not hasattr(store, "__aenter__"):
        yield
        return
    async with store:
        yield


def _able(store: Any, kind: type[Any] | None) -> Any:
    if kind is not None and not isinstance(store, kind):
        raise Complaint(f"store {type(store).__name__} has no {kind.__name__}")
    return store
