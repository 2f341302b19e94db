"""The pytest plugin of Statewright.

With `--statewright-coverage` a run ends with the (state, command) pairs that no test exercised, of each router that an
imported module holds under a name; `--statewright-coverage=shop` looks at the modules of `shop` only.

It stands outside the package, and imports it only when it is used, so that pytest starts no slower for having it
installed, and coverage tools see every line of the package being imported.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from statewright.testing import TransitionCoverage

# The clauses of StoreContract assert; a failing one should show what was compared.
pytest.register_assert_rewrite("statewright.testing.contract")

_OPTION = "--statewright-coverage"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    group = parser.getgroup("statewright", "Statewright")
    group.addoption(
        _OPTION,
        nargs="?",
        const="",
        default=None,
        metavar="PACKAGE",
        help="at the end, name the (state, command) pairs of routers (of this package) that no test exercised",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register what watches the run, if it was asked for."""
    package = config.getoption(_OPTION)
    if package is not None:
        config.pluginmanager.register(_Watch(package), "statewright-coverage")


class _Watch:
    """Observes the routers that the modules of a package hold, and reports what was never exercised."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._coverages: dict[str, TransitionCoverage] = {}

    def pytest_collection_finish(self) -> None:
        """Look for routers: all modules have been imported, and no test has run."""
        from statewright import WorkflowRouter  # noqa: PLC0415 - only when it is used
        from statewright.testing import TransitionCoverage  # noqa: PLC0415

        known: set[int] = set()
        for name, module in sorted(sys.modules.items(), key=lambda entry: _is_test(entry[0])):
            if not self._is_asked_for(name):
                continue
            for attribute, value in list(getattr(module, "__dict__", {}).items()):
                # Twins made by `with_deps` share one registry: the first name that is found stands for all.
                if isinstance(value, WorkflowRouter) and id(value._registry) not in known:
                    known.add(id(value._registry))
                    self._coverages[f"{name}.{attribute}"] = TransitionCoverage(value)

    def _is_asked_for(self, module: str) -> bool:
        return not self._package or module == self._package or module.startswith(f"{self._package}.")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Report."""
        terminalreporter.section("statewright: transitions that no test exercised")
        for name, coverage in sorted(self._coverages.items()):
            terminalreporter.write_line(f"[{name}] {coverage}")
        if not self._coverages:
            where = f"a module of {self._package!r}" if self._package else "an imported module"
            terminalreporter.write_line(f"no router was found under a name in {where}")


def _is_test(module: str) -> bool:
    # A router is named after the module that made it, not after a test that imports it.
    last = module.rpartition(".")[2]
    return last.startswith("test_") or last.endswith("_test") or last == "conftest"
