"""The test kit: for your own workflows, and for stores of your own.

`StoreContract` needs pytest and pytest-asyncio, `explore` needs Hypothesis: `pip install "statewright[testing]"`. They
are loaded when they are asked for, so that the rest of the kit needs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .clock import ManualClock
from .coverage import TransitionCoverage
from .crash import CrashPoint, CrashRun, crash_points
from .faulty import FaultyStore
from .handler_context import context
from .linearizability import Operation, Violation, check_linearizable
from .scenario import Scenario, check_path, given

if TYPE_CHECKING:
    from .contract import StoreContract
    from .exploration import Exploration, explore

__all__ = [
    "CrashPoint",
    "CrashRun",
    "Exploration",
    "FaultyStore",
    "ManualClock",
    "Operation",
    "Scenario",
    "StoreContract",
    "TransitionCoverage",
    "Violation",
    "check_linearizable",
    "check_path",
    "context",
    "crash_points",
    "explore",
    "given",
]

_LATE = {"Exploration": ".exploration", "StoreContract": ".contract", "explore": ".exploration"}
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
