"""Finding a definition: from `module:name`, or by what a store holds."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any, TypeAlias

from .._engine.executor import WorkflowExecutor
from .._model.router import WorkflowRouter
from ..demo import DEFINITION
from ..demo import router as demo_router
from ..errors import StatewrightError
from .place import OpenStore
from .program import MISUSED, Complaint

Target: TypeAlias = WorkflowRouter[Any, Any] | WorkflowExecutor[Any]

_HINT = "give MODULE:NAME of a WorkflowRouter or WorkflowExecutor, such as shop.orders:router"


def find(target: str) -> Target:
    """Return the router or executor that is called `module:name`; the name may be left out where there is one only.

    Modules are found as by `python -m`: from the current directory, too.

    Raises:
        Complaint: There is none, or its module cannot be imported.
    """
    module_name, _, name = target.partition(":")
    if not module_name or module_name.startswith("."):
        raise Complaint(f"{target!r} names no module; {_HINT}", MISUSED)
    module = _imported(module_name)
    there = dict(_targets(module))
    if not name:
        if len(there) == 1:
            return next(iter(there.values()))
        raise Complaint(f"{module_name} has {_listed(there)}; {_HINT}", MISUSED)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise Complaint(f"{module_name} has no {name}; it has {_listed(there)}", MISUSED)
        found = getattr(found, part)
    if not isinstance(found, WorkflowRouter | WorkflowExecutor):
        raise Complaint(f"{target} is of type {type(found).__name__}; {_HINT}", MISUSED)
    return found


def router_of(target: Target) -> WorkflowRouter[Any, Any]:
    """Return the router of an executor, or the router itself."""
    return target.router if isinstance(target, WorkflowExecutor) else target


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


def _imported(name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and f"{name}.".startswith(f"{exc.name}."):
            raise Complaint(f"there is no module {exc.name} here or installed; {_HINT}", MISUSED) from exc
        raise _broken(name, exc) from exc
    except StatewrightError as exc:
        raise Complaint(str(exc)) from exc
    except Exception as exc:
        raise _broken(name, exc) from exc


def _broken(name: str, raised: Exception) -> Complaint:
    last = traceback.extract_tb(raised.__traceback__)[-1]
    return Complaint(f"{name} cannot be imported: {last.filename}:{last.lineno}: {type(raised).__name__}: {raised}")


def _targets(module: ModuleType) -> Iterator[tuple[str, Target]]:
    for name, value in vars(module).items():
        if isinstance(value, WorkflowRouter | WorkflowExecutor):
            yield name, value


def _listed(there: dict[str, Target]) -> str:
    return ", ".join(there) or "no router and no executor"
