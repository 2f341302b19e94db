"""The front doors: what is public, and that it says what it is."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import statewright

SHARED = {"statewright.errors": {"is_fresh", "is_unsupported", "issues_of", "mark_fresh", "settle", "unsupported"}}
"""For the floors above, not for users; no module but this one may sit below all of them."""
DOORS = ("errors", "stores", "publishers", "testing", "otel", "http", "client", "diagram")
"""What users import by name beside the root; everything else is underscored, or a program."""
PROGRAMS = ("cli", "console", "demo")

PROMISED = [
    "CallNext",
    "Commit",
    "ConcurrencyConflictError",
    "Context",
    "ContextKey",
    "DefinitionError",
    "DependencyError",
    "DomainError",
    "Execution",
    "ExecutionError",
    "Failure",
    "IdempotencyError",
    "InvalidDataError",
    "MemoryStore",
    "Middleware",
    "MigrationError",
    "NotFoundError",
    "Observer",
    "OutcomeUnknownError",
    "RecordedMessage",
    "RestoreError",
    "Result",
    "RoutingError",
    "SQLiteStore",
    "SaveOptions",
    "StatewrightError",
    "StoreAdapter",
    "StoreError",
    "StoreUnavailableError",
    "StoredWorkflow",
    "Success",
    "Transition",
    "UnexpectedError",
    "Workflow",
    "WorkflowCommit",
    "WorkflowExecutor",
    "WorkflowRouter",
    "WorkflowSnapshot",
    "errors",
]


def submodules(package: ModuleType) -> list[str]:
    return [found.name for found in pkgutil.iter_modules(package.__path__)]


def public_modules() -> Iterator[str]:
    """Yield the modules that users import from, packages with one public module for each back-end included."""
    yield "statewright"
    for door in DOORS:
        if door in submodules(statewright) and door != "stores":
            yield f"statewright.{door}"
    for store in submodules(importlib.import_module("statewright.stores")):
        if not store.startswith("_"):
            yield f"statewright.stores.{store}"


MODULES = list(public_modules())


def defined_names(module: ModuleType) -> set[str]:
    """Return the names without an underscore of the classes and functions that a module defines."""
    bound: set[str] = set()
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            bound.add(node.name)
    return {name for name in bound if not name.startswith("_")}


def test_modules_are_doors_programs_or_private() -> None:
    """A new module at the top is either promised to users or underscored."""
    public = {name for name in submodules(statewright) if not name.startswith("_")}

    assert public <= {*DOORS, *PROGRAMS}


def test_front_door_gives_what_is_promised() -> None:
    """Every name of the contract can be imported from the root."""
    assert [name for name in PROMISED if not hasattr(statewright, name)] == []


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted_and_true(name: str) -> None:
    """`__all__` is sorted, names nothing twice, and each of its names is there."""
    module = importlib.import_module(name)

    exported: list[str] = module.__all__
    assert exported == sorted(set(exported))
    assert [each for each in exported if not hasattr(module, each)] == []
    assert [each for each in exported if each.startswith("_")] == []


def test_front_door_hides_nothing() -> None:
    """What the root binds without an underscore is exported; submodules and what it opens rooms with are exempt."""
    bound = {name for name, value in vars(statewright).items() if not name.startswith("_") and not is_submodule(value)}

    assert bound - {"Final", "TYPE_CHECKING", "errors", "import_module"} <= set(statewright.__all__)


def is_submodule(value: object) -> bool:
    return isinstance(value, ModuleType) and value.__name__.startswith("statewright.")


def test_checkers_and_programs_enter_the_same_rooms() -> None:
    """What a type checker reads in the front door is what a program finds there."""
    tree = ast.parse(inspect.getsource(statewright))
    for_checkers = next(node for node in tree.body if isinstance(node, ast.If)).body
    read = {
        f".{node.module}": tuple(each.name for each in node.names)
        for node in for_checkers
        if isinstance(node, ast.ImportFrom) and node.module is not None
    }

    assert read == statewright._ROOMS
    assert {name for names in read.values() for name in names} | {"errors"} == set(statewright.__all__)


def test_front_door_names_what_is_not_there() -> None:
    """A name that nobody exports is an `AttributeError`, as of any module."""
    with pytest.raises(AttributeError, match="module 'statewright' has no attribute 'Workflw'"):
        statewright.Workflw  # type: ignore[attr-defined]  # noqa: B018


def test_dir_of_the_front_door_is_what_it_exports() -> None:
    """A look through the door shows what is exported, and nothing of how the door is made."""
    assert [name for name in dir(statewright) if not name.startswith("__")] == statewright.__all__
    assert {"__all__", "__doc__", "__name__"} <= set(dir(statewright))


@pytest.mark.parametrize("name", MODULES)
def test_what_a_public_module_defines_is_exported(name: str) -> None:
    """A class or function without an underscore in a public module is part of its door."""
    module = importlib.import_module(name)

    assert defined_names(module) - set(module.__all__) == SHARED.get(name, set())


def exported() -> Iterator[tuple[str, Any]]:
    for name in MODULES:
        module = importlib.import_module(name)
        for each in module.__all__:
            yield f"{name}.{each}", getattr(module, each)


def members(owner: type[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties that a class of ours defines or inherits from a class of ours."""
    for base in owner.__mro__:
        if base.__module__.startswith("statewright"):
            for name, value in vars(base).items():
                if not name.startswith("_") and isinstance(
                    value, property | classmethod | staticmethod | type(lambda: None)
                ):
                    yield f"{base.__qualname__}.{name}", value


def test_public_names_have_docstrings() -> None:
    """Every exported class and function, and each of their public methods and properties, says what it is for."""
    undocumented: set[str] = set()
    for path, value in exported():
        if inspect.isclass(value) or inspect.isfunction(value) or inspect.ismodule(value):
            if not inspect.getdoc(value) or (inspect.isclass(value) and not vars(value).get("__doc__")):
                undocumented.add(path)
            if inspect.isclass(value):
                undocumented.update(name for name, member in members(value) if not inspect.getdoc(member))

    assert undocumented == set()
