"""Finding a definition: from `module:name`, or by what a store holds."""

from __future__ import annotations

import importlib
import sys
import traceback
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

from .._engine.executor import WorkflowExecutor
from .._engine.ports import StoreAdapter
from .._engine.worker import Worker
from .._model.migration import Migrations
from .._model.router import WorkflowRouter
from ..demo import DEFINITION
from ..demo import router as demo_router
from ..errors import StatewrightError
from .place import OpenStore, is_demo_here, opened
from .program import MISUSED, Complaint

Target: TypeAlias = WorkflowRouter[Any, Any] | WorkflowExecutor[Any]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is looked for, and what to say if it is not there."""

    types: tuple[type[Any], ...]
    hint: str
    nothing: str


_TARGET = _Kind(
    (WorkflowRouter, WorkflowExecutor),
    "give MODULE:NAME of a WorkflowRouter or WorkflowExecutor, such as shop.orders:router",
    "no router and no executor",
)
_MIGRATIONS = _Kind(
    (Migrations, WorkflowExecutor),
    "give MODULE:NAME of Migrations, or of a WorkflowExecutor that has some, such as shop.orders:migrations",
    "no migrations and no executor",
)
_WORKER = _Kind((Worker,), "give MODULE:NAME of a Worker, such as shop.work:worker", "no worker")


def find(target: str) -> Target:
    """Return the router or executor that is called `module:name`; the name may be left out where there is one only.

    Modules are found as by `python -m`: from the current directory, too.

    Raises:
        Complaint: There is none, or its module cannot be imported.
    """
    found: Target = _find(target, _TARGET)
    return found


def find_migrations(target: str) -> tuple[Migrations[Any], StoreAdapter | None]:
    """Return the migrations that are called `module:name`; for an executor, its own ones and its store.

    Raises:
        Complaint: There are none.
    """
    found = _find(target, _MIGRATIONS)
    if isinstance(found, Migrations):
        return found, None
    migrations = found._restorer.migrations
    if migrations is None:
        raise Complaint(f"the executor {target} has no migrations; {_MIGRATIONS.hint}", MISUSED)
    return migrations, found.store


def find_worker(target: str) -> Worker:
    """Return the worker that is called `module:name`; the name may be left out where there is one only.

    Raises:
        Complaint: There is none.
    """
    found: Worker = _find(target, _WORKER)
    return found


def _find(target: str, kind: _Kind) -> Any:
    module_name, _, name = target.partition(":")
    if not module_name or module_name.startswith("."):
        raise Complaint(f"{target!r} names no module; {kind.hint}", MISUSED)
    module = _imported(module_name, kind)
    there = {name: value for name, value in vars(module).items() if isinstance(value, kind.types)}
    if not name:
        if len(there) == 1:
            return next(iter(there.values()))
        raise Complaint(f"{module_name} has {', '.join(there) or kind.nothing}; {kind.hint}", MISUSED)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise Complaint(f"{module_name} has no {name}; it has {', '.join(there) or kind.nothing}", MISUSED)
        found = getattr(found, part)
    if not isinstance(found, kind.types):
        raise Complaint(f"{target} is of type {type(found).__name__}; {kind.hint}", MISUSED)
    return found


def router_of(target: Target) -> WorkflowRouter[Any, Any]:
    """Return the router of an executor, or the router itself."""
    return target.router if isinstance(target, WorkflowExecutor) else target


def store_of(target: Target) -> StoreAdapter | None:
    """Return the store of an executor; a router has none."""
    return target.store if isinstance(target, WorkflowExecutor) else None


async def meant_router(target: str | None, place: str | None) -> WorkflowRouter[Any, Any]:
    """Return the router that is named, or the demo's if none is and the store holds workflows of the demo.

    Raises:
        Complaint: There is none.
    """
    if target is not None:
        return router_of(find(target))
    if place is None and not is_demo_here():
        such = "a WorkflowRouter or WorkflowExecutor, such as shop.orders:router"
        raise Complaint(f"which definition? Give MODULE:NAME of {such}", MISUSED)
    async with opened(place) as store:
        return await needed_router(store, "MODULE:NAME")


async def known_router(store: OpenStore) -> WorkflowRouter[Any, Any] | None:
    """Return the demo's router if the store holds workflows of the demo."""
    return demo_router if await store.count(definition=DEFINITION) else None


async def needed_router(store: OpenStore, option: str) -> WorkflowRouter[Any, Any]:
    """As `known_router`.

    Raises:
        Complaint: The store holds nothing of the demo, so that its definition has to be named.
    """
    router = await known_router(store)
    if router is None:
        raise Complaint(f"which definition? Give {option}: a WorkflowRouter or WorkflowExecutor", MISUSED)
    return router


def _imported(name: str, kind: _Kind) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and f"{name}.".startswith(f"{exc.name}."):
            raise Complaint(f"there is no module {exc.name} here or installed; {kind.hint}", MISUSED) from exc
        raise _broken(name, exc) from exc
    except StatewrightError as exc:
        raise Complaint(str(exc)) from exc
    except Exception as exc:
        raise _broken(name, exc) from exc


def _broken(name: str, raised: Exception) -> Complaint:
    last = traceback.extract_tb(raised.__traceback__)[-1]
    return Complaint(f"{name} cannot be imported: {last.filename}:{last.lineno}: {type(raised).__name__}: {raised}")
