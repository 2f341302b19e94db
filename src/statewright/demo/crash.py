"""Killing a process in mid-write, and looking for every command that it had acknowledged."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._engine.ports import HistoryStore
from .._model.commit import Commit
from ..stores.sqlite import SQLiteStore


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A command whose acceptance was acknowledged to whoever sent it."""

    id: str
    version: int
    command: Any
    """Its data."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was found after a process was killed."""

    process: int
    """The id of the process that was killed."""
    acknowledged: int
    workflows: int
    missing: tuple[Acknowledged, ...]
    """Acknowledged, but not there: must be empty."""
    damaged: tuple[str, ...]
    """Ids of workflows whose commits are not exactly versions 1 to the stored one: must be empty."""
    unreported: int
    """Saved as well, but killed before the answer was out."""
    seconds: float
    """How long it took to open the file again and to look for everything."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing was lost."""
        return not self.missing and not self.damaged


class CrashError(Exception):
    """The process that was to be killed ended by itself."""


async def crash(path: Path, kill_after: int, on_progress: Callable[[int], None] = lambda _: None) -> Recovery:
    """Start a process that writes to a file, kill it in mid-write, and look for what it had acknowledged.

    Args:
        path: The file; no store may have it open that holds what is about to be written.
        kill_after: How many acknowledged commands to wait for.
        on_progress: Told how many there are so far.

    Raises:
        CrashError: The process ended before it was killed.
        StoreError: The file cannot be opened again.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "statewright.demo.writer", str(path), stdout=PIPE, stderr=PIPE
    )
    try:
        lines = await _read(process, kill_after, on_progress)
        has_ended = process.returncode is not None
    finally:
        if process.returncode is None:
            process.kill()
        rest, complaint = await process.communicate()
    if len(lines) < kill_after or has_ended:
        said = complaint.decode(errors="replace").strip().splitlines()
        raise CrashError(said[-1] if said else f"it said nothing, and its status was {process.returncode}")
    # The pipe may hold reports that nobody has read yet; the last line may have been cut off.
    lines += rest.splitlines(keepends=True)
    reports = [json.loads(line) for line in lines if line.endswith(b"\n")]
    return await look(path, process.pid, [Acknowledged(**report) for report in reports])


async def _read(process: asyncio.subprocess.Process, count: int, on_progress: Callable[[int], None]) -> list[bytes]:
    if process.stdout is None:
        raise CrashError("it has no standard output")
    lines: list[bytes] = []
    while len(lines) < count:
        line = await process.stdout.readline()
        if not line:
            break
        lines.append(line)
        on_progress(len(lines))
    return lines


async def look(path: Path, process: int, acknowledged: Sequence[Acknowledged]) -> Recovery:
    """Open a file and look for every acknowledged command: the right one at the right version.

    Raises:
        StoreError: The file cannot be opened.
    """
    begun = time.perf_counter()
    by_id: dict[str, dict[int, Any]] = defaultdict(dict)
    for each in acknowledged:
        by_id[each.id][each.version] = each.command
    missing: list[Acknowledged] = []
    damaged: list[str] = []
    kept = 0
    async with SQLiteStore(path) as store:
        for id, expected in by_id.items():
            commits = await _commits(store, id)
            stored = await store.load(id)
            if [commit.version for commit in commits] != list(range(1, 1 + (stored.version if stored else 0))):
                damaged.append(id)
            found = {commit.version: commit.command.data for commit in commits if commit.command}
            missing += [
                Acknowledged(id, version, command)
                for version, command in expected.items()
                if found.get(version) != command
            ]
            kept += len(commits)
    return Recovery(
        process=process,
        acknowledged=len(acknowledged),
        workflows=len(by_id),
        missing=tuple(missing),
        damaged=tuple(damaged),
        unreported=kept - (len(acknowledged) - len(missing)),
        seconds=time.perf_counter() - begun,
    )


async def _commits(store: HistoryStore, id: str) -> list[Commit]:
    return await store.history(id)
