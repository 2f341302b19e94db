"""A whole store brought up to date."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from .._model.migration import Migrations
from .._model.snapshot import StoredWorkflow
from .._model.timer import RenamedState
from ..errors import ConcurrencyConflictError, InvalidDataError, RestoreError, unsupported
from .ports import Catalog, SaveOptions, StoreAdapter
from .restore import Restorer

_log = logging.getLogger("statewright.migration")

PAGE: Final = 100
"""How many workflows are read, and saved side by side, at a time."""
ATTEMPTS: Final = 10
"""How often a workflow is looked at again because somebody else has saved it."""
KEPT_FAILURES: Final = 1000
"""How many failures a report lists; it counts them all."""

Fate: TypeAlias = Literal["current", "migrated", "newer", "gone"]


@dataclass(frozen=True, slots=True)
class MigrationFailure:
    """A workflow that could not be brought up to date; it is stored as it was."""

    id: str
    model_version: int
    """The model version that it has."""
    reason: str


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What came of a walk over a store; also how far it is while it goes on."""

    dry_run: bool
    """Nothing was written: `migrated` counts what would have been."""
    seen: int = 0
    """Workflows of this definition that were looked at."""
    migrated: int = 0
    """Workflows brought up to date."""
    current: int = 0
    """Workflows that were up to date already, or had become so in the meantime."""
    newer: int = 0
    """Workflows that newer code than this has stored; left alone."""
    failed: int = 0
    """Workflows that could not be brought up to date."""
    failures: tuple[MigrationFailure, ...] = field(default=(), repr=False)
    """The failures, with ids and reasons; at most the first 1000."""
    last_id: str = ""
    """The last workflow that was looked at: give it as `after` to go on from there."""


Progress: TypeAlias = Callable[[MigrationReport], object]


async def migrate(
    store: StoreAdapter,
    migrations: Migrations[Any],
    *,
    dry_run: bool = True,
    after: str = "",
    progress: Progress | None = None,
) -> MigrationReport:
    """Bring every stored workflow of one definition up to date, while others go on working.

    A workflow that somebody saves in the meantime is looked at again, so that no update is lost. Neither versions nor
    histories nor times change. What is up to date is left alone, so an interrupted walk may simply be begun again.

    Args:
        store: A store that can list what it holds (`Catalog`).
        migrations: The definition's migrations.
        dry_run: Only say what would happen: every step is run and its result checked, and nothing is saved.
        after: Only workflows with an id above this one.
        progress: Called with the report so far after each page of workflows.

    Returns:
        The report. Workflows that fail are listed in it, and do not stop the others.

    Raises:
        MigrationError: The chain of migrations is broken.
        StoreError: The store failed, or cannot list.
    """
    if not isinstance(store, Catalog):
        raise unsupported(f"store {type(store).__name__} cannot list what it holds: implement `find` (Catalog)")
    walk = _Walk(store, migrations, dry_run=dry_run)
    report = MigrationReport(dry_run, last_id=after)
    while page := await store.find(definition=walk.definition, after=report.last_id, limit=PAGE):
        report = _added(report, await _each(walk.advance(stored) for stored in page), page[-1].id)
        if progress is not None:
            progress(report)
    return report


class _Walk:
    """Brings one workflow after the other up to date."""

    def __init__(self, store: StoreAdapter, migrations: Migrations[Any], *, dry_run: bool) -> None:
        self.store = store
        self.restorer = Restorer(migrations.workflow, migrations)
        self.definition: str = migrations.workflow.name
        self.model_version: int = migrations.workflow.model_version
        self.dry_run = dry_run

    async def advance(self, stored: StoredWorkflow) -> Fate | MigrationFailure:
        """Bring a workflow up to date, whatever happens to it in the meantime."""
        current: StoredWorkflow | None = stored
        for _ in range(ATTEMPTS):
            if current is None or current.definition != self.definition:
                return "gone"
            if current.snapshot.model_version >= self.model_version:
                return "current" if current.snapshot.model_version == self.model_version else "newer"
            try:
                await self._save(current)
            except ConcurrencyConflictError:
                current = await self.store.load(stored.id)
            except (RestoreError, InvalidDataError) as error:
                return self._failure(current, "; ".join(map(str, error.issues)) or str(error))
            else:
                return "migrated"
        return self._failure(stored, f"it was saved by somebody else {ATTEMPTS} times in a row; migrate again")

    async def _save(self, stored: StoredWorkflow) -> None:
        snapshot = stored.snapshot.replace(version=stored.version)
        updated = self.restorer.restore(snapshot).to_snapshot()
        renamed = RenamedState(snapshot.state, updated.state) if snapshot.state != updated.state else None
        if not self.dry_run:
            options = SaveOptions(
                stored.id,
                updated,
                stored.version,
                expected_commit_id=stored.commit_id,
                renamed=renamed,
                has_timers=stored.has_timers,
            )
            await self.store.save(options)

    def _failure(self, stored: StoredWorkflow, reason: str) -> MigrationFailure:
        facts = {"definition": self.definition, "workflow_id": stored.id, "reason": reason}
        _log.warning("a workflow could not be migrated", extra=facts)
        return MigrationFailure(stored.id, stored.snapshot.model_version, reason)


async def _each(advances: Iterable[Awaitable[Fate | MigrationFailure]]) -> list[Fate | MigrationFailure]:
    """Wait for all of a page, so that nothing goes on behind the back of a failure."""
    fates = await asyncio.gather(*advances, return_exceptions=True)
    for fate in fates:
        if isinstance(fate, BaseException):
            raise fate
    return [fate for fate in fates if not isinstance(fate, BaseException)]


def _added(report: MigrationReport, fates: list[Fate | MigrationFailure], last_id: str) -> MigrationReport:
    """Return a report with one more page."""
    failures = [fate for fate in fates if isinstance(fate, MigrationFailure)]
    return replace(
        report,
        seen=report.seen + len(fates),
        migrated=report.migrated + fates.count("migrated"),
        current=report.current + fates.count("current"),
        newer=report.newer + fates.count("newer"),
        failed=report.failed + len(failures),
        failures=(*report.failures, *failures)[:KEPT_FAILURES],
        last_id=last_id,
    )
