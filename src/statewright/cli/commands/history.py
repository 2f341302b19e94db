"""`statewright history`: what happened to a workflow."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from ..._model.commit import Commit
from ..option import IdArgument, JsonOption, StoreOption
from ..output import print_commits, print_json
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
        print_commits(commits)


async def _read(place: str | None, id: str, after: int, limit: int | None) -> list[Commit]:
    async with opened(place) as store:
        commits = await store.history(id, after=after, limit=limit)
        if not commits and await store.load(id) is None:
            raise Complaint(f"there is no workflow {id!r} in {spoken(place)}")
        return commits
