"""What a lane holds: where a workflow stands, the calls that wait, and what was decided for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from .._model.commit import NewCommit
from .._model.snapshot import WorkflowSnapshot
from .._model.timer import SetTimer
from ..errors import ConcurrencyConflictError, ExecutionError
from .nesting import ActiveCall
from .ports import Fence, StoredWorkflow

if TYPE_CHECKING:
    from .._model.workflow import Workflow


class Standing:
    """A workflow as the next command finds it: stored, or about to be."""

    workflow: Workflow[Any, Any, Any, Any] | None = None
    """What an executor made of the snapshot, for the next one that would make the same."""

    has_timers: bool = False
    """Whether a timer was ever set."""
    is_remembered: bool = False
    """Whether it outlived its lane: it may be out of date, so that only an accepted save may rest on it."""

    def __init__(self, snapshot: WorkflowSnapshot | None, version: int, commit_id: str | None, read_at: int) -> None:
        self.snapshot = snapshot
        self.version = version
        self.commit_id = commit_id
        self.read_at = read_at
        """The lane's tick at which reading it, or saving it, began."""

    @classmethod
    def of(cls, stored: StoredWorkflow | None, read_at: int) -> Standing:
        """Return the standing of what a store holds."""
        if stored is None:
            return cls(None, 0, None, read_at)
        standing = cls(stored.snapshot, stored.version, stored.commit_id, read_at)
        standing.has_timers = stored.has_timers
        return standing

    def stored(self) -> StoredWorkflow | None:
        """Return it as middleware sees it."""
        return None if self.snapshot is None else StoredWorkflow(self.snapshot, self.version, self.commit_id)


class Call:
    """One command in a lane."""

    attempts: int = 0
    wake: asyncio.Future[None] | None = None
    outcome: asyncio.Future[None] | None = None
    verdict: Any = None
    """The final answer: a result, or an `ExecutionError` that stands in its place."""
    again: bool = False
    """The decision fell with the save that it rested on."""
    conflict: ConcurrencyConflictError | None = None
    """The race that was lost last, until somebody was told."""
    doom: ExecutionError | None = None
    """How the save failed on which the running decision rests; `_AGAIN` for a lost race."""
    is_gone: bool = False
    """The caller gave up waiting."""
    heir: Callable[[Any], object] | None = None
    """Is given the verdict in the place of a caller that is gone."""
    unconfirmed: tuple[str | None, Any] | None = None
    """An answer that rests on what was remembered, with the id of the commit that this was."""

    fence: Fence | None = None
    """The lease under which a worker sent the command."""
    active: ActiveCall | None = None
    """The call as those that it makes see it, while it is being decided."""

    def __init__(self, arrived: int, retries: int, expected_version: int | None) -> None:
        self.arrived = arrived
        self.retries = retries
        self.expected_version = expected_version


class Entry(NamedTuple):
    """What was decided for a call: a commit, or an answer that rests on the commits before it."""

    call: Call
    answer: Any
    commit: NewCommit | None


class Fold:
    """Decisions that are saved together."""

    characters: int = 0
    opened: float | None = None
    """When the lane first asked whether it was full."""
    ticked: int = 0
    """The lane's tick at which saving it began."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        """What the first of them was decided on."""
        self.has_timers = standing.has_timers
        """Whether a timer was ever set, by the last of them."""
        self.entries: list[Entry] = []
        self.commits: list[NewCommit] = []

    def add(self, entry: Entry) -> None:
        """Take a decision in."""
        self.entries.append(entry)
        if entry.commit is not None:
            self.commits.append(entry.commit)
            if entry.commit.timers and not self.has_timers:
                self.has_timers = any(isinstance(write, SetTimer) for write in entry.commit.timers)

    def after(self, commit: NewCommit) -> Standing:
        """Return how the workflow stands after the last of its commits."""
        standing = Standing(commit.snapshot, commit.snapshot.version, commit.id, self.standing.read_at)
        standing.has_timers = self.has_timers
        return standing

    def fences(self) -> tuple[Fence, ...]:
        """Return the leases under which its commits were sent."""
        found = {entry.call.fence for entry in self.entries if entry.commit is not None}
        return tuple(fence for fence in found if fence is not None)


class Lapsed(Exception):  # noqa: N818 - nothing is wrong
    """The decision fell: decide again."""
