"""Reading from a store that may do anything: what it raises, and what it gives, is checked here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

from .._model.cancellation import was_asked_to_stop
from .._model.snapshot import StoredWorkflow, WorkflowSnapshot
from ..errors import StoreError, settle

P = ParamSpec("P")
T = TypeVar("T")


async def read(reading: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Ask a store.

    Raises:
        StoreError: For whatever the store raises; its own `StoreError`s are raised as they are.
    """
    try:
        return await reading(*args, **kwargs)
    except StoreError as error:
        settle(error)
        raise
    except asyncio.CancelledError as raised:
        if was_asked_to_stop():
            raise
        raise _failure(raised, args) from raised
    except Exception as raised:
        raise _failure(raised, args) from raised


def check_stored(stored: Any, id: str) -> StoredWorkflow | None:
    """Return what a store loaded, checked.

    Raises:
        StoreError: It is none, or another workflow's.
    """
    if type(stored) is StoredWorkflow and type(stored.version) is int and stored.version > 0:
        snapshot = stored.snapshot
        if type(snapshot) is WorkflowSnapshot and snapshot.id == id:
            return stored  # as good as always; what follows finds words for the rest
    match stored:
        case None:
            return None
        case StoredWorkflow(snapshot=WorkflowSnapshot(id=found), version=int(version)) if version > 0:
            if found != id:
                raise StoreError(f"asked for workflow {id!r}, the store loaded {found!r}")
            return stored
        case StoredWorkflow():
            raise StoreError(f"the store loaded workflow {id!r} without a snapshot or a version from 1")
        case _:
            found = type(stored).__name__
            raise StoreError(f"the store loaded workflow {id!r} as {found}, not as a StoredWorkflow")


def _failure(raised: BaseException, asked: tuple[Any, ...]) -> StoreError:
    about = next((f" about workflow {each!r}" for each in asked if isinstance(each, str)), "")
    return StoreError(f"the store raised {type(raised).__name__} when it was asked{about}")
