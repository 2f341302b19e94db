"""A store in memory: for tests and prototypes, and the smallest correct example for authors of stores."""

from __future__ import annotations

import asyncio
import bisect
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Final, Self

from ..._engine.argument import check_after, check_limit, check_number, check_pruning
from ..._engine.bell import Bell
from ..._engine.ports import FoldingStore, RecordedAnswer, SaveOptions, StoreAdapter, StoredWorkflow
from ..._model.commit import Commit, NewCommit, new_id
from ..._model.snapshot import WorkflowSnapshot, born
from ...errors import ConcurrencyConflictError, PositionPrunedError
from .agenda import MemoryAgenda

_MILLENNIUM: Final = timedelta(days=365_250)
"""A longer age is no different: no clock counts back so far."""


@dataclass(slots=True)
class _Row:
    """All that is kept of one workflow."""

    current: StoredWorkflow
    commits: list[tuple[int, NewCommit]] = field(default_factory=list)
    answers: dict[str, RecordedAnswer] = field(default_factory=dict)


class MemoryStore(MemoryAgenda):
    """Keeps everything in memory, and loses it with the process.

    What it hands out is immutable, so that nobody can change what it keeps. Idempotency keys are kept for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, _Row] = {}
        self._log: list[tuple[int, NewCommit]] = []
        self._position = 0
        self._horizon = 0
        self._bell = Bell()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def setup(self) -> None:
        """Do nothing: there is no schema."""

    # --- the two methods that every store has -----------------------------------------------------------------------

    async def load(self, id: str) -> StoredWorkflow | None:
        """Return what is stored under this id, or `None`."""
        with self._lock:  # not half of what another thread saves: the version without its key
            row = self._rows.get(id)
            return None if row is None else row.current

    async def save(self, options: SaveOptions) -> None:
        """Save if, and only if, the stored version is the expected one.

        Raises:
            ConcurrencyConflictError: It is another one.
        """
        self._save(options)

    def _save(self, options: SaveOptions) -> None:
        with self._lock:
            row = self._rows.get(options.id)
            actual = 0 if row is None else row.current.version
            if actual != options.expected_version or _is_foreign(row, options):
                conflict = ConcurrencyConflictError(options.id, options.expected_version, actual)
                conflict.__dict__["current"] = None if row is None else row.current
                raise conflict
            if options.fences:
                self._check_fences(options.fences)
            self._keep(options, row)
            if options.has_timers:
                self._keep_timers(options)
        self._bell.ring()

    def _keep(self, options: SaveOptions, row: _Row | None) -> None:
        snapshot = options.snapshot
        commit_id = options.commits[-1].id if options.commits else new_id()
        entered = _entered_at(row, snapshot)
        current = born(
            StoredWorkflow,
            {
                "snapshot": snapshot,
                "version": snapshot.version,
                "commit_id": commit_id,
                "entered_at": entered,
                "has_timers": options.has_timers,
            },
        )
        if row is None:
            row = self._rows[options.id] = _Row(current)
        row.current = current
        for commit in options.commits:
            self._position += 1
            numbered = (self._position, commit)
            row.commits.append(numbered)
            self._log.append(numbered)
            if commit.idempotency_key is not None and commit.command is not None:
                row.answers[commit.idempotency_key] = RecordedAnswer(
                    commit.command.type, commit.fingerprint or "", commit.snapshot, commit.events
                )

    # --- what more it can do ----------------------------------------------------------------------------------------

    def submit(self, options: SaveOptions) -> asyncio.Future[None]:
        """Save at once; return the outcome as a future."""
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._save(options)
        except Exception as error:  # noqa: BLE001 - it is the outcome
            outcome.set_exception(error)
        else:
            outcome.set_result(None)
        return outcome

    async def recall(self, id: str, key: str) -> RecordedAnswer | None:
        """Return what was recorded under an idempotency key, or `None`."""
        row = self._rows.get(id)
        return None if row is None else row.answers.get(key)

    async def history(self, id: str, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        """Return a workflow's commits with a version above `after`, oldest first.

        Raises:
            InvalidDataError: The limit is below zero.
        """
        start, most = check_number("after", after), None if limit is None else check_limit(limit)
        row = self._rows.get(id)
        if row is None:
            return []
        found = [commit.at(position) for position, commit in row.commits if commit.version > start]
        return found[:most]

    async def snapshot_at(self, id: str, version: int) -> WorkflowSnapshot | None:
        """Return the workflow as it was after the commit with this version."""
        check_number("version", version)
        row = self._rows.get(id)
        commits = row.commits if row is not None else []
        return next((commit.snapshot for _, commit in commits if commit.version == version), None)

    async def commits(self, *, after: int = 0, limit: int = 1000) -> list[Commit]:
        """Return commits with a position above `after`, in order of position.

        Raises:
            InvalidDataError: Position or limit is below zero.
            PositionPrunedError: Some of them have been pruned.
        """
        after, most = check_number("after", after), check_limit(limit)
        with self._lock:
            if after < self._horizon:
                raise PositionPrunedError(after, self._horizon)
            start = bisect.bisect_right(self._log, after, key=itemgetter(0))
            page = self._log[start : start + most]
        return [commit.at(position) for position, commit in page]

    async def subscribe(self, *, after: int = 0) -> AsyncIterator[Commit]:
        """Yield commits with a position above `after`, and wait for more."""
        while True:
            rung = self._bell.rung
            page = await self.commits(after=after)
            for commit in page:
                yield commit
                after = commit.position
            if not page:
                await self._bell.wait(rung, None)

    async def wait_for_change(self, timeout: timedelta) -> None:
        """Return when something may have been saved, at the latest after the timeout."""
        await self._bell.wait(self._bell.rung, timeout.total_seconds())

    async def last_position(self) -> int:
        """Return the position of the last commit; 0 if there is none."""
        return self._position

    async def find(
        self, *, definition: str | None = None, state: str | None = None, after: str = "", limit: int = 100
    ) -> list[StoredWorkflow]:
        """Return workflows with an id above `after`, in order of id.

        Raises:
            InvalidDataError: The limit is below zero.
        """
        last, most = check_after(after), check_limit(limit)
        found = sorted((each for each in self._all() if each.id > last), key=attrgetter("id"))
        return [each for each in found if _fits(each, definition, state)][:most]

    async def count(self, *, definition: str | None = None, state: str | None = None) -> int:
        """Return how many workflows there are."""
        return sum(_fits(each, definition, state) for each in self._all())

    async def count_by_state(self, definition: str) -> Mapping[str, int]:
        """Return how many workflows of a definition are in each state that has any."""
        return Counter(each.state for each in self._all() if each.definition == definition)

    def _all(self) -> list[StoredWorkflow]:
        with self._lock:  # another thread may save while this one looks through them
            return [row.current for row in self._rows.values()]

    async def forget(self, id: str) -> bool:
        """Remove everything that is kept of a workflow; return whether there was anything."""
        with self._lock:
            row = self._rows.pop(id, None)
            self._log = [numbered for numbered in self._log if numbered[1].snapshot.id != id]
            self._forget_agenda(id)
        return row is not None

    async def prune(self, *, before_position: int | None = None, older_than: timedelta | None = None) -> int:
        """Delete old commits, and return how many; what is still needed stays.

        Raises:
            InvalidDataError: Neither a position nor an age was given, or one below zero.
        """
        before_position = check_pruning(before_position, older_than)
        with self._lock:
            end = self._first_needed(self._position + 1)
            if before_position is not None:
                end = min(end, before_position)
            if older_than is not None:
                end = min(end, self._first_since(datetime.now(UTC) - min(older_than, _MILLENNIUM)))
            return self._drop_before(end)

    def _first_since(self, moment: datetime) -> int:
        young = (position for position, commit in self._log if commit.recorded_at >= moment)
        return next(young, self._position + 1)

    def _drop_before(self, end: int) -> int:
        newest = {row.commits[-1][0] for row in self._rows.values() if row.commits}
        gone = {position for position, _ in self._log if position < end and position not in newest}
        if gone:
            self._horizon = max(self._horizon, *gone)
        self._log = [numbered for numbered in self._log if numbered[0] not in gone]
        for row in self._rows.values():
            row.commits = [numbered for numbered in row.commits if numbered[0] not in gone]
        return len(gone)


def _is_foreign(row: _Row | None, options: SaveOptions) -> bool:
    expected = options.expected_commit_id
    return expected is not None and row is not None and row.current.commit_id != expected


def _entered_at(row: _Row | None, snapshot: WorkflowSnapshot) -> datetime:
    if row is not None and row.current.state == snapshot.state and row.current.entered_at is not None:
        return row.current.entered_at
    return snapshot.updated_at


def _fits(stored: StoredWorkflow, definition: str | None, state: str | None) -> bool:
    return definition in (None, stored.definition) and state in (None, stored.state)


if TYPE_CHECKING:
    _adapter: StoreAdapter = MemoryStore()
    _folding: FoldingStore = MemoryStore()
