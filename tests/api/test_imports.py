"""What an import costs a user: no optional dependency, and a plain word where one is missing."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
CORE = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}


def run(source: str) -> str:
    """Run Python in a fresh process and return what it printed."""
    command = [sys.executable, "-W", "error", "-c", dedent(source)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.slow
def test_root_imports_only_what_the_core_needs() -> None:
    """`import statewright` loads nothing that a plain install does not bring."""
    loaded: list[str] = json.loads(
        run("""
        import json, sys, sysconfig
        import statewright
        for name in statewright.__all__:
            if name != "PostgresStore":
                getattr(statewright, name)
        site = sysconfig.get_path("purelib")
        files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
        print(json.dumps(sorted({name.partition(".")[0] for name, file in files.items() if file.startswith(site)})))
        """)
    )

    assert set(loaded) - {"statewright", "_statewright_pytest"} <= CORE


@pytest.mark.slow
def test_a_name_enters_no_room_that_it_does_not_need() -> None:
    """Whoever only describes workflows waits for no event loop, and for no database."""
    loaded = run("""
        import sys
        import statewright
        print({"asyncio", "pydantic", "sqlite3"} & {*sys.modules})
        from statewright import Workflow
        print({"asyncio", "sqlite3"} & {*sys.modules})
        from statewright import WorkflowExecutor
        print({"sqlite3"} & {*sys.modules})
    """)

    assert loaded.split() == ["set()"] * 3


@pytest.mark.slow
def test_pytest_plugin_does_not_import_the_library() -> None:
    """Every project of an environment loads our plugin, so it waits with the library until it is asked for."""
    loaded = run("""
        import sys
        import _statewright_pytest
        print("statewright" in sys.modules)
    """)

    assert loaded.strip() == "False"


def test_core_dependencies_are_two() -> None:
    """A plain install brings pydantic and typing-extensions, nothing else."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert sorted(each.partition(">")[0] for each in project["dependencies"]) == ["pydantic", "typing-extensions"]


EXTRAS = {
    "cli": ("cli", ["typer", "rich"]),
    "client": ("client", ["httpx2"]),
    "http": ("http", ["fastapi", "starlette", "sse_starlette", "uvicorn"]),
    "otel": ("otel", ["opentelemetry"]),
    "postgres": ("stores.postgres", ["psycopg", "psycopg_pool"]),
    "testing": ("testing", ["pytest", "pytest_asyncio", "hypothesis"]),
}
"""Extra: the module that needs it, and what it installs."""


@pytest.mark.slow
@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_missing_extra_is_named(extra: str) -> None:
    """Whoever uses a door without its extra reads what to install, not which module was missing."""
    module, blocked = EXTRAS[extra]
    if importlib.util.find_spec(f"statewright.{module}") is None:
        pytest.skip(f"there is no statewright.{module} yet")

    said = run(f"""
        import importlib, sys
        for name in {blocked!r}:
            sys.modules[name] = None
        try:
            door = importlib.import_module("statewright.{module}")
            for name in door.__all__:
                getattr(door, name)
        except ImportError as error:
            print(error)
        else:
            print("imported late")
    """)

    assert "imported late" in said or f"statewright[{extra}]" in said
