"""Starting processes under load, and reading what they reported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from statewright.testing import Operation

SCRIPT = Path(__file__).parent / "load_process.py"


def start(
    place: str, schema: str, seconds: float, seed: int, *, callers: int, workflows: int, hasty: bool = False
) -> subprocess.Popen[str]:
    """Start a process; it reports on its standard output."""
    arguments = [place, schema, str(seconds), str(seed), str(callers), str(workflows)]
    environment = {**os.environ, "HASTY": "1"} if hasty else None
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def reports(output: str) -> list[dict[str, Any]]:
    """Return the whole lines of an output; a process that was killed may have left half a line."""
    whole = output[: output.rfind("\n") + 1]
    return [json.loads(line) for line in whole.splitlines()]


def operations(seen: Iterable[dict[str, Any]]) -> list[Operation]:
    """Return what was reported, as the checker takes it."""
    return [
        Operation(
            kind=each["kind"],
            workflow_id=each["id"],
            called=each["called"],
            returned=each["returned"],
            version=each.get("version"),
            outcome=each.get("outcome", "known"),
            value=each.get("value"),
        )
        for each in seen
        if each["kind"] != "none"
    ]


def acknowledged(seen: Iterable[dict[str, Any]]) -> dict[str, dict[int, str]]:
    """Return the marks that were acknowledged, by workflow and version."""
    found: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for each in seen:
        if each["kind"] == "write" and "version" in each:
            found[each["id"]][each["version"]] = each["value"]
    return found
