"""What all tests share: settings of Hypothesis, and an eye on slow tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

SLOW = 0.25
"""Seconds from which a test has to be marked `slow`."""

# One machine measures nothing about another: a slow example is no failing example.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# What is merged was tested with the very examples that anyone else gets.
settings.register_profile("ci", parent=settings.get_profile("here"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# `uv run pytest` and `pytest` are the same tests: what they start is told nothing of uv.
os.environ.pop("UV_RUN_RECURSION_DEPTH", None)

_unmarked: dict[str, float] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    """Note each test that takes long without saying so."""
    if call.when == "call" and call.duration > SLOW and item.get_closest_marker("slow") is None:
        _unmarked[item.nodeid] = call.duration
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that want the mark. No failure: a busy machine is not the author's fault."""
    if _unmarked:
        terminalreporter.section(f"longer than {SLOW} s, but not marked slow")
        for test, seconds in sorted(_unmarked.items(), key=lambda found: -found[1]):
            terminalreporter.write_line(f"{seconds:6.2f} s {test}")
