"""`statewright migrate`: bring a whole store up to date."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from ..._engine.migration import MigrationReport
from ..._engine.migration import migrate as migrate_store
from ..._engine.ports import StoreAdapter
from ..._model.migration import Migrations
from ..chosen import chosen
from ..option import JsonOption, StoreOption
from ..output import console, print_heading, print_json, print_table
from ..program import WRONG
from ..target import find_migrations

_LINE_EVERY = 1000
"""After how many workflows a line of progress is printed."""


def migrate(
    target: Annotated[
        str,
        typer.Argument(metavar="MODULE:NAME", help="Migrations, or a WorkflowExecutor that has some, and its store."),
    ],
    *,
    store: StoreOption = None,
    apply: Annotated[bool, typer.Option("--apply", help="Save what was migrated; without it nothing is.")] = False,
    after: Annotated[str, typer.Option("--after", metavar="ID", help="Only ids above this one.")] = "",
    json: JsonOption = False,
) -> None:
    """Bring all stored workflows of one definition up to date.

    Your programs may go on working meanwhile. Without `--apply` every migration is tried and nothing is saved. What
    is up to date is left alone, so a run that was stopped may simply be begun again. Workflows that fail are listed,
    and stop no others; the status is 1 then.
    """
    migrations, own = find_migrations(target)
    report, name = asyncio.run(_migrate(store, target, own, migrations, after, apply=apply))
    if json:
        print_json({**_described(report, migrations), "store": name})
    else:
        _print(report, migrations, name)
    if report.failed:
        raise typer.Exit(WRONG)


async def _migrate(
    place: str | None, target: str, own: StoreAdapter | None, migrations: Migrations[Any], after: str, *, apply: bool
) -> tuple[MigrationReport, str]:
    async with chosen(place, target, own=own) as (store, name):
        report = await migrate_store(store, migrations, dry_run=not apply, after=after, progress=_Progress().tell)
        return report, name


class _Progress:
    """Says on standard error how far the walk is, so that standard output holds the report alone."""

    def __init__(self) -> None:
        self._out = console(stderr=True)
        self._told = 0

    def tell(self, report: MigrationReport) -> None:
        """Print a line now and then."""
        if report.seen - self._told >= _LINE_EVERY:
            self._told = report.seen
            self._out.print(f"{report.seen:,} looked at, {report.migrated:,} migrated; up to {report.last_id}")


def _described(report: MigrationReport, migrations: Migrations[Any]) -> dict[str, Any]:
    return {
        "definition": migrations.workflow.name,
        "model_version": migrations.workflow.model_version,
        "dry_run": report.dry_run,
        "seen": report.seen,
        "migrated": report.migrated,
        "current": report.current,
        "newer": report.newer,
        "failed": report.failed,
        "failures": [
            {"id": each.id, "model_version": each.model_version, "reason": each.reason} for each in report.failures
        ],
        "last_id": report.last_id,
    }


def _print(report: MigrationReport, migrations: Migrations[Any], store: str) -> None:
    out = console()
    workflow = migrations.workflow
    done = "would be migrated" if report.dry_run else "migrated"
    looked = f"{report.seen:,} workflows looked at in {store}"
    out.print(f"{workflow.name}: {looked}; model version {workflow.model_version}", soft_wrap=True)
    out.print(f"  {report.migrated:,} {done}")
    out.print(f"  {report.current:,} up to date")
    if report.newer:
        out.print(f"  {report.newer:,} of newer code, left alone")
    if report.failed:
        out.print(f"  {report.failed:,} failed, stored as they were")
        print_heading("failures")
        rows = [(each.id, str(each.model_version), each.reason) for each in report.failures]
        print_table(("ID", "MODEL", "REASON"), rows)
    if report.dry_run:
        out.print("\nnothing was saved; to save: --apply")
