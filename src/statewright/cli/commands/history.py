"""`statewright history`: what happened to a workflow."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, TypeAlias

import typer

from ..._engine.ports import HistoryStore
from ..._model.commit import Commit
from ..._model.difference import Change, differences
from ..._model.snapshot import WorkflowSnapshot
from ..chosen import Where, looked_at
from ..option import ExecutorOption, IdArgument, JsonOption, StoreOption
from ..output import print_commits, print_json
from ..program import Complaint

Changes: TypeAlias = list[Change] | None
"""What a commit changed; `None` where the version before it is not kept any more."""


def history(
    id: IdArgument,
    *,
    store: StoreOption = None,
    router: ExecutorOption = None,
    after: Annotated[int, typer.Option("--after", min=0, metavar="VERSION", help="Only versions above this one.")] = 0,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="At most so many.", show_default=False)
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", "-d", help="Say what each command changed.")] = False,
    json: JsonOption = False,
) -> None:
    """Show what happened to a workflow, command by command.

    What changed is told of what is stored, server-only fields included.
    """
    commits, changes = asyncio.run(_read((store, router), id, after, limit, diff=diff))
    if not json:
        print_commits(commits, [_lines(each) for each in changes])
    elif diff:
        print_json(
            [commit.to_dict() | {"changes": _plain(each)} for commit, each in zip(commits, changes, strict=True)]
        )
    else:
        print_json([commit.to_dict() for commit in commits])


async def _read(
    where: Where, id: str, after: int, limit: int | None, *, diff: bool
) -> tuple[list[Commit], list[Changes]]:
    async with looked_at(where, HistoryStore) as (store, name):
        commits = await store.history(id, after=after, limit=limit)
        if not commits and await store.load(id) is None:
            raise Complaint(f"there is no workflow {id!r} in {name}")
        return commits, await _changes(store, commits) if diff else []


async def _changes(store: HistoryStore, commits: list[Commit]) -> list[Changes]:
    found: list[Changes] = []
    before: WorkflowSnapshot | None = None
    for commit in commits:
        if before is None and commit.version > 1:
            before = await store.snapshot_at(commit.workflow_id, commit.version - 1)
        after = await store.snapshot_at(commit.workflow_id, commit.version)
        is_known = before is not None or commit.version == 1
        found.append(differences(before, after) if is_known else None)
        before = after
    return found


def _plain(changes: Changes) -> list[dict[str, Any]] | None:
    return None if changes is None else [change.to_dict() for change in changes]


def _lines(changes: Changes) -> list[str]:
    return ["(the version before is not kept any more)"] if changes is None else [str(change) for change in changes]
