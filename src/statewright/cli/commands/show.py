"""`statewright show`: one workflow, now or as it was."""

from __future__ import annotations

import asyncio
import json as json_
from typing import Annotated, Any

import typer

from ..._engine.ports import HistoryStore, StoredWorkflow
from ..._model.router import WorkflowRouter
from ..chosen import chosen
from ..option import IdArgument, JsonOption, RouterOption, StoreOption
from ..output import console, moment, print_json, print_table
from ..program import Complaint
from ..target import find, known_router, router_of, store_of
from .list import described


def show(
    id: IdArgument,
    *,
    store: StoreOption = None,
    at: Annotated[int | None, typer.Option("--at", min=1, metavar="VERSION", help="As it was at this version.")] = None,
    router: RouterOption = None,
    json: JsonOption = False,
) -> None:
    """Show one workflow, as it is or as it was.

    It is shown as it is stored. Which commands it takes now is said if its definition is known.
    """
    found, commands = asyncio.run(_load(store, id, at, router))
    if json:
        print_json({**described(found), "commands": commands})
        return
    snapshot = found.snapshot
    facts = [("id", snapshot.id), ("definition", f"{snapshot.definition} (model version {snapshot.model_version})")]
    facts += [("state", snapshot.state), ("version", str(snapshot.version)), ("created", moment(snapshot.created_at))]
    facts += [("updated", moment(snapshot.updated_at)), ("in state since", moment(found.entered_at))]
    facts += [("commands now", ", ".join(commands) or "none")] if commands is not None else []
    print_table(("", ""), [fact for fact in facts if fact[1]])
    console().print(f"\n{json_.dumps(snapshot.data, indent=2, ensure_ascii=False)}", soft_wrap=True)


async def _load(
    place: str | None, id: str, at: int | None, target: str | None
) -> tuple[StoredWorkflow, list[str] | None]:
    definer = None if target is None else find(target)
    own = None if definer is None else store_of(definer)
    async with chosen(place, target, own=own, kind=None if at is None else HistoryStore) as (store, name):
        found = await store.load(id)
        if found is None:
            raise Complaint(f"there is no workflow {id!r} in {name}")
        if at is not None:
            return await _as_it_was(store, found, at), None
        return found, _commands(router_of(definer) if definer else await known_router(store), found)


async def _as_it_was(store: HistoryStore, found: StoredWorkflow, version: int) -> StoredWorkflow:
    snapshot = await store.snapshot_at(found.id, version)
    if snapshot is None:
        raise Complaint(f"workflow {found.id!r} has no version {version}; it is at version {found.version}")
    return StoredWorkflow(snapshot, version)


def _commands(router: WorkflowRouter[Any, Any] | None, found: StoredWorkflow) -> list[str] | None:
    if router is None or router.workflow.name != found.definition:
        return None
    state = router.workflow.states.get(found.state)
    return None if state is None else list(router.available_commands_for(state))
