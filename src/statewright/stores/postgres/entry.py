"""A save that waits for its outcome."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ..._engine.ports import Outcome, SaveOptions, StoredWorkflow
from ..._model.commit import new_id
from ...errors import ConcurrencyConflictError, ExecutionError
from .fault import unknown
from .rows import EntryRow, encoded
from .timers import AgendaRows, agenda_rows


@dataclass(slots=True, eq=False)
class Entry:
    """One save on its way."""

    options: SaveOptions
    commit_id: str
    """What the workflow's row will be marked with, whichever attempt succeeds."""
    rows: list[EntryRow]
    agenda: AgendaRows | None
    """Timers and leases."""
    outcome: Outcome
    began: float
    is_unsettled: bool = False
    """It was sent, and the answer was lost: it may have happened, or happen yet."""
    is_aside: bool = False
    """Somebody keeps its row locked: it waits by itself, and holds up nobody."""

    @classmethod
    def of(cls, options: SaveOptions, loop: asyncio.AbstractEventLoop) -> Entry:
        """Return the entry of a save.

        Raises:
            InvalidDataError: Something in it can be stored nowhere.
        """
        commit_id = options.commits[-1].id if options.commits else new_id()
        rows, agenda = encoded(options, commit_id), agenda_rows(options)
        return cls(options, commit_id, rows, agenda, Outcome(loop=loop), loop.time())

    @property
    def id(self) -> str:
        """The workflow."""
        return self.options.id

    @property
    def first_commit_id(self) -> str | None:
        """The id of the commit at the expected version + 1, if the save holds commits."""
        return self.options.commits[0].id if self.options.commits else None

    def succeed(self) -> None:
        """Say that it was saved."""
        self.outcome.settle()

    def lose(self, current: StoredWorkflow | None) -> None:
        """Say that somebody else was first."""
        self._fail(conflict_of(self.options, current))

    def refuse(self, error: ExecutionError) -> None:
        """Say that it was not saved; only if that is sure, else say that nobody knows."""
        self._fail(unknown(self.id, error.__cause__) if self.is_unsettled else error)

    def _fail(self, error: ExecutionError) -> None:
        self.outcome.settle(error)


def conflict_of(options: SaveOptions, current: StoredWorkflow | None) -> ConcurrencyConflictError:
    """Return the error for a lost race, with what was found as its attribute `current`."""
    actual = 0 if current is None else current.version
    conflict = ConcurrencyConflictError(options.id, options.expected_version, actual)
    conflict.__dict__["current"] = current
    return conflict
