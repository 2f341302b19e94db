"""Import time, each in an interpreter that has imported nothing yet."""

from __future__ import annotations

import os
import subprocess
import sys

from ..setting import Rows, Setting
from ..timing import Measurement

REPETITIONS = 7
TIMED = "from time import perf_counter as now; start = now(); {}; print(now() - start)"
STATEMENTS = (
    "from pydantic import BaseModel",
    "import statewright",
    "from statewright import Workflow",
    "from statewright import WorkflowExecutor, WorkflowRouter, SQLiteStore",
)
"""Ours is entered room by room, so that what a user goes on to use is timed, too."""


def compare(setting: Setting) -> Rows:
    """Import one and the others in turn; the fastest of several is what the machine can do undisturbed."""
    # Compiled once, as after any installation: not every installer compiles, and some shells forbid Python to.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(setting.directory)
    seen: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for _ in range(1 + REPETITIONS):
        for statement, times in seen.items():
            command = [sys.executable, "-c", TIMED.format(statement)]
            ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            times.append(float(ran.stdout) * 1e3)
    return {statement: Measurement(min(times[1:])) for statement, times in seen.items()}
