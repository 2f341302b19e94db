"""The test kit: for your own workflows, and for stores of your own.

`StoreContract` needs pytest and pytest-asyncio: `pip install "statewright[testing]"`. It is loaded when it is asked
for, so that the rest of the kit needs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .clock import ManualClock
from .crash import CrashPoint, CrashRun, crash_points
from .faulty import FaultyStore
from .linearizability import Operation, Violation, check_linearizable

if TYPE_CHECKING:
    from .contract import StoreContract

__all__ = [
    "CrashPoint",
    "CrashRun",
    "FaultyStore",
    "ManualClock",
    "Operation",
    "StoreContract",
    "Violation",
    "check_linearizable",
    "crash_points",
]

_LATE = {"StoreContract": ".contract"}
_EXTRA = frozenset({"hypothesis", "pytest", "pytest_asyncio"})


def __getattr__(name: str) -> Any:
    module = _LATE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(module, __name__), name)
    except ModuleNotFoundError as exc:
        if exc.name not in _EXTRA:
            raise
        raise ImportError(f'{__name__}.{name} needs {exc.name}: pip install "statewright[testing]"') from exc


def __dir__() -> list[str]:
    return __all__
