"""`statewright history`: what happened to a workflow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from ..._model.commit import Commit
from ..option import IdArgument, JsonOption, StoreOption
from ..output import compact, moment, print_json, print_table
from ..place import opened, spoken
from ..program import Complaint


def history(
    id: IdArgument,
    *,
    store: StoreOption = None,
    after: Annotated[int, typer.Option("--after", min=0, metavar="VERSION", help="Only versions above this one.")] = 0,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="At most so many.", show_default=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show what happened to a workflow, command by command."""
    commits = asyncio.run(_read(store, id, after, limit))
    if json:
        print_json([commit.to_dict() for commit in commits])
    else:
        print_history(commits)


def print_history(commits: Sequence[Commit]) -> None:
    """Print commits as a table."""
    print_table(
        ("VERSION", "TIME", "STATE", "EVENTS", "COMMAND"),
        [_row(commit) for commit in commits],
    )


async def _read(place: str | None, id: str, after: int, limit: int | None) -> list[Commit]:
    async with opened(place) as store:
        commits = await store.history(id, after=after, limit=limit)
        if not commits and await store.load(id) is None:
            raise Complaint(f"there is no workflow {id!r} in {spoken(place)}")
        return commits


def _row(commit: Commit) -> tuple[str, ...]:
    told = ["(created)"] if commit.command is None else [commit.command.type, compact(commit.command.data)]
    told += [f"{key}={value}" for key, value in commit.metadata.items()]
    events = ", ".join(event.type for event in commit.events)
    return str(commit.version), moment(commit.recorded_at), commit.state, events, " ".join(filter(None, told))
