"""`statewright list`: which workflows there are."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from ..._engine.ports import Catalog, StoredWorkflow
from ..chosen import Where, looked_at
from ..option import ExecutorOption, JsonOption, StoreOption
from ..output import console, moment, print_json, print_table


def list_workflows(
    *,
    store: StoreOption = None,
    router: ExecutorOption = None,
    definition: Annotated[str | None, typer.Option("--definition", "-d", help="Only of this definition.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="Only in this state, by its stored name.")] = None,
    after: Annotated[str, typer.Option("--after", metavar="ID", help="Only ids above this one.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
    json: JsonOption = False,
) -> None:
    """List workflows, in order of id."""
    found, total = asyncio.run(_find((store, router), definition, state, after, limit))
    if json:
        print_json([described(each) for each in found])
        return
    columns = ("ID", "DEFINITION", "STATE", "VERSION", "UPDATED")
    print_table(columns, [_row(each) for each in found])
    more = f"; for more: --after {found[-1].id}" if limit == len(found) < total else ""
    console().print(f"\n{len(found):,} of {total:,} workflows{more}")


async def _find(
    where: Where, definition: str | None, state: str | None, after: str, limit: int
) -> tuple[list[StoredWorkflow], int]:
    async with looked_at(where, Catalog) as (store, _):
        found = await store.find(definition=definition, state=state, after=after, limit=limit)
        return found, await store.count(definition=definition, state=state)


def _row(stored: StoredWorkflow) -> tuple[str, ...]:
    snapshot = stored.snapshot
    return snapshot.id, snapshot.definition, snapshot.state, str(stored.version), moment(snapshot.updated_at)


def described(stored: StoredWorkflow) -> dict[str, Any]:
    """Return a stored workflow as JSON-safe data."""
    entered = stored.entered_at
    return {**stored.snapshot.to_dict(), "entered_at": None if entered is None else entered.isoformat()}
