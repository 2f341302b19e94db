"""All commits in one order: positions, reading on, pruning."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from psycopg import sql

from ..._model.commit import Commit
from ...errors import PositionPrunedError, StoreError
from .link import Link, Row
from .rows import commit_of
from .runner import Runner
from .statements import Statements
from .timers import age_text

_CHUNK: Final = 5_000
"""Commits that are numbered in one transaction."""
_BACKLOG: Final = 2
"""Chunks that a history numbers for everybody, before it numbers its own workflow only."""
_PRUNED: Final = 500
"""Commits that are pruned in one transaction."""


class Log:
    """The commits of a store, by position.

    Commits are saved without a position, and get one from whoever reads: under a lock of its own, in a statement begun
    after it is held, in the order in which they were inserted. A commit that becomes visible late gets a late position,
    so that nobody who reads on skips it, and nobody waits for a transaction that is still open.

    Args:
        runner: For what may run twice.
        statements: Of the schema.
    """

    def __init__(self, runner: Runner, statements: Statements) -> None:
        self._runner = runner
        self._sql = statements
        self._turn = asyncio.Lock()
        self._begun = 0

    async def read(self, after: int, limit: int) -> list[Commit]:
        """Return commits with a position above `after`, numbering those that have none.

        Raises:
            PositionPrunedError: Some of them have been pruned.
            StoreError: They could not be read.
        """
        while True:
            rows = await self._runner.fetch(self._sql["commits"], (str(after), str(limit)))
            horizon, has_unnumbered = rows[0][:2]
            if after < horizon:
                raise PositionPrunedError(after, horizon)
            found = [commit_of(row[2:]) for row in rows if row[2] is not None]
            if len(found) >= limit or not has_unnumbered:
                return found
            await self.number()

    async def number(self) -> None:
        """Number the oldest commits without a position that are visible now, one chunk of them.

        Calls that wait for their turn are content with a run that began after they asked.

        Raises:
            StoreError: It did not work.
        """
        asked = self._begun
        async with self._turn:
            if self._begun > asked:
                return
            self._begun += 1
            await self._run("")

    async def number_all(self) -> None:
        """Number all commits that are visible now.

        Raises:
            StoreError: It did not work.
        """
        while await self._run("") == _CHUNK:
            pass

    async def number_workflow(self, id: str) -> None:
        """Number the commits of a workflow that are visible now.

        First those of all, in order; but where nobody has read for long, a history does not wait for a million others.

        Raises:
            StoreError: It did not work.
        """
        for _ in range(_BACKLOG):
            if await self._run("") < _CHUNK:
                return
        while await self._run(f"AND workflow_id = {sql.Literal(id).as_string(None)}") == _CHUNK:
            pass

    async def _run(self, only: str) -> int:
        """Run the sequencer once; return how many commits it numbered."""
        number = self._sql.script("number", only=only, limit=str(_CHUNK))
        # One message, so that a process that is stopped in the middle cannot keep the lock.
        script = (
            f"SET LOCAL lock_timeout = {self._runner.bounds.attempt * 1000:.0f};"
            f"SELECT pg_advisory_xact_lock({self._sql.lock('sequencer')});"
            f"{number}"
        )

        async def work(link: Link) -> list[Row]:
            return await link.run(script, timeout=self._runner.bounds.call)

        [(count, heads)] = await self._runner.run(work)
        if count and not heads:
            raise StoreError("the table 'sequencer' is empty: it was changed by hand, and commits cannot be numbered")
        return int(count)

    async def prune(self, before_position: int | None, older_than: timedelta | None) -> int:
        """Delete commits below a position, or older than this; return how many.

        Raises:
            StoreError: The rest could not be deleted.
        """
        await self.number_all()
        end = await self._end(before_position, older_than)
        removed, reached, seen = 0, 0, _PRUNED
        while seen == _PRUNED:
            params = (str(reached), str(end), str(_PRUNED))
            [(gone, seen, last)] = await self._runner.fetch(self._sql["prune"], params)
            removed += gone
            reached = last or reached
        return removed

    async def _end(self, before_position: int | None, older_than: timedelta | None) -> int:
        """Return the first position to keep: what a reader has not read, or a dead letter stands for, may not go."""
        ends = [] if before_position is None else [before_position]
        if older_than is not None:
            [(first,)] = await self._runner.fetch(self._sql["first_to_keep"], (age_text(older_than),))
            ends.append(first)
        [(needed,)] = await self._runner.fetch(self._sql["needed"])
        return min(ends if needed is None else [*ends, needed])
