"""`statewright execute`: send a command."""

from __future__ import annotations

import asyncio
import json as json_
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer

from ..._engine.executor import WorkflowExecutor
from ..._model.result import Failure, Result, Success
from ..._model.visibility import client_view
from ..._model.workflow import Workflow
from ..chosen import chosen
from ..option import IdArgument, JsonOption, RouterOption, StoreOption
from ..output import console, print_json
from ..program import MISUSED, WRONG, Complaint, complain
from ..target import find, needed_router, store_of


def execute(
    id: IdArgument,
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="The command's stored name.")],
    payload: Annotated[
        str,
        typer.Argument(
            metavar="PAYLOAD", show_default=False, help="Its fields as a JSON object; - reads it from standard input."
        ),
    ] = "{}",
    *,
    store: StoreOption = None,
    router: RouterOption = None,
    expect: Annotated[
        int | None,
        typer.Option("--expect", min=0, metavar="VERSION", help="Refuse at another version; 0: it must not exist."),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Idempotency key: sent again, the first answer comes back.")
    ] = None,
    metadata: Annotated[
        str, typer.Option("--metadata", metavar="JSON", help="An object to keep with the commit.", show_default=False)
    ] = "{}",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, and save nothing.")] = False,
    json: JsonOption = False,
) -> None:
    """Send a command to a workflow.

    It is decided by the same handlers and saved with the same care as in your program. If it is refused, nothing is
    saved and the status is 1.
    """
    if dry_run and key is not None:
        raise Complaint("--key has no meaning with --dry-run, which saves nothing", MISUSED)
    message = {"type": command, "payload": _object("the payload", sys.stdin.read() if payload == "-" else payload)}
    options: dict[str, Any] = {"expected_version": expect, "metadata": _object("--metadata", metadata)}
    if not dry_run:
        options["idempotency_key"] = key
    result = asyncio.run(_send(store, router, id, message, options, dry_run=dry_run))
    _print(result, as_json=json, dry_run=dry_run)
    if not result.ok:
        raise typer.Exit(WRONG)


def _object(what: str, text: str) -> dict[str, Any]:
    try:
        value = json_.loads(text)
    except ValueError as exc:
        raise Complaint(f"{what} is not JSON: {exc}", MISUSED) from exc
    if not isinstance(value, dict):
        raise Complaint(f'{what} is a JSON object, such as {{"item": "tea"}}', MISUSED)
    return value


async def _send(
    place: str | None, target: str | None, id: str, message: dict[str, Any], options: dict[str, Any], *, dry_run: bool
) -> Result:
    async with _executor(place, target) as executor:
        send = executor.preview if dry_run else executor.execute
        return await send(id, message, **options)


@asynccontextmanager
async def _executor(place: str | None, target: str | None) -> AsyncGenerator[WorkflowExecutor[Any]]:
    found = None if target is None else find(target)
    own = None if found is None else store_of(found)
    async with chosen(place, target, own=own) as (store, _):
        if isinstance(found, WorkflowExecutor):
            yield found
        else:
            yield WorkflowExecutor(found or await needed_router(store, "--router MODULE:NAME"), store)


def _print(result: Result, *, as_json: bool, dry_run: bool) -> None:
    match result:
        case Success(workflow=workflow) as success:
            events = [_event(workflow, event) for event in success.events]
            if as_json:
                answer = {"ok": True, "replayed": success.replayed, "saved": not dry_run}
                print_json({**answer, "workflow": workflow.to_client(), "events": events})
                return
            remarks = [" (decided only: nothing was saved)"] if dry_run else []
            remarks += [" (answered before: nothing was done again)"] if success.replayed else []
            console().print(f"{workflow.id} is {workflow.state} at version {workflow.version}{''.join(remarks)}")
            for event in events:
                console().print(f"  {event['type']} {json_.dumps(event['data'], ensure_ascii=False)}", soft_wrap=True)
        case Failure(error=error):
            if as_json:
                print_json({"ok": False, "error": error.to_dict()})
            else:
                complain(f"{error.category}: {error}")


def _event(workflow: Workflow[Any, Any, Any, Any], event: Any) -> dict[str, Any]:
    """Return an event as a client may see it."""
    schema = workflow._definition.events.by_type[type(event)]
    return {"type": schema.name, "data": client_view(schema, schema.dump(event))}
