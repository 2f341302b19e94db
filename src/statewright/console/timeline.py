"""Commits with what each of them changed."""

from __future__ import annotations

from typing import Any

from .._engine.executor import WorkflowExecutor
from .._engine.ports import CommitLog, ReaderStore
from .._model.commit import WorkflowCommit
from .._model.difference import data_differences
from .._model.visibility import client_commit
from ..errors import RestoreError

MOST = 50
"""So many commits at once."""
_LOOK_BACK = 400
"""Among so many of the store's last commits the recent ones of a definition are looked for."""


async def timeline(executor: WorkflowExecutor[Any], id: str, *, after: int, limit: int) -> list[dict[str, Any]]:
    """Return commits above a version, oldest first, as clients see them, each with its `changes`.

    `changes` is `None` where the data before or after cannot be had: it was pruned, or no longer loads.

    Raises:
        ExecutionError: As the executor's `history` and `at`.
    """
    commits = await executor.history(id, after=after, limit=limit)
    found: list[dict[str, Any]] = []
    before = await _data(executor, id, commits[0].version - 1) if commits else None
    for commit in commits:
        data = await _data(executor, id, commit.version)
        changes = (
            None if before is None or data is None else [each.to_dict() for each in data_differences(before, data)]
        )
        found.append({**_seen(executor, commit), "changes": changes})
        before = data
    return found


async def _data(executor: WorkflowExecutor[Any], id: str, version: int) -> Any:
    if version == 0:
        return {}
    try:
        workflow = await executor.at(id, version)
    except RestoreError:
        return None
    return None if workflow is None else workflow.to_client()["data"]


def _seen(executor: WorkflowExecutor[Any], commit: WorkflowCommit[Any]) -> dict[str, Any]:
    return client_commit(executor.router.workflow._definition, commit)


async def recent(executor: WorkflowExecutor[Any], *, limit: int) -> tuple[int | None, list[dict[str, Any]]]:
    """Return the store's last position and a definition's last commits, oldest first.

    Where the store does not tell its last position: `None`, and nothing.

    Raises:
        StoreError: The store failed.
    """
    store = executor.store
    if not isinstance(store, ReaderStore) or not isinstance(store, CommitLog):
        return None, []
    last = await store.last_position()
    commits = await store.commits(after=max(0, last - _LOOK_BACK), limit=_LOOK_BACK)
    name = executor.router.workflow.name
    own = [commit for commit in commits if commit.definition == name][-limit:]
    return last, [_seen(executor, executor._restorer.commit(commit)) for commit in own]
