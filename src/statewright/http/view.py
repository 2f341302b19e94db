"""What goes out: client views only, in which no server-only field is left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.responses import Response

from .._engine.ports import DeadLetter, DueTimer, ReaderStatus, StoredWorkflow
from .._engine.restore import Restorer
from .._model.commit import RecordedMessage, WorkflowCommit
from .._model.definition import Definition
from .._model.result import Success
from .._model.snapshot import WorkflowSnapshot
from .._model.visibility import client_commit, client_event, client_message
from .._model.workflow import Workflow
from ..errors import RestoreError
from .condition import etag

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Json(Response):
    """An answer of plain data."""

    media_type = "application/json"

    def __init__(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        # What is somebody's own is not for shared caches, and never shown without asking again.
        super().__init__(to_json(value), status, {"cache-control": "private, no-cache", **(headers or {})})


def to_json(value: Any) -> str:
    """Return plain data as JSON text in one line."""
    return _encode(value)


def workflow_headers(snapshot: WorkflowSnapshot) -> dict[str, str]:
    """Return the headers beside a workflow: its ETag, and what is not in its client view."""
    return {
        "etag": etag(snapshot.version),
        "statewright-created": snapshot.created_at.isoformat(),
        "statewright-updated": snapshot.updated_at.isoformat(),
        "statewright-model-version": str(snapshot.model_version),
    }


def success_body(definition: Definition, result: Success[Any, Any]) -> dict[str, Any]:
    """Return the body that answers an accepted command."""
    seen = result.workflow.to_client()
    body = {name: seen[name] for name in ("id", "state", "data", "version")}
    return {**body, "events": [client_event(definition, event) for event in result.events]}


def commit_body(definition: Definition, commit: WorkflowCommit[Any]) -> dict[str, Any]:
    """Return a commit as clients see it."""
    return {"id": commit.id, **client_commit(definition, commit), "model_version": commit.model_version}


def moment_body(
    definition: Definition, workflow: Workflow[Any, Any, Any, Any], commit: WorkflowCommit[Any] | None
) -> dict[str, Any]:
    """Return a workflow at one version, and the commit that led there."""
    snapshot = workflow.to_snapshot()
    return {
        **workflow.to_client(),
        "created_at": snapshot.created_at.isoformat(),
        "updated_at": snapshot.updated_at.isoformat(),
        "model_version": snapshot.model_version,
        "commit": None if commit is None else commit_body(definition, commit),
    }


def item_body(restorer: Restorer, stored: StoredWorkflow) -> dict[str, Any]:
    """Return a workflow as an entry of a list; without its data where that cannot be restored."""
    snapshot = stored.snapshot
    try:
        seen = restorer.restore(snapshot).to_client()
    except (RestoreError, ValidationError):
        seen = {"id": snapshot.id, "definition": snapshot.definition, "state": snapshot.state, "data": None}
    return {
        **seen,
        "version": stored.version,
        "created_at": snapshot.created_at.isoformat(),
        "updated_at": snapshot.updated_at.isoformat(),
        "entered_at": None if stored.entered_at is None else stored.entered_at.isoformat(),
    }


def timer_body(definition: Definition, timer: DueTimer) -> dict[str, Any]:
    """Return a timer as clients see it."""
    return {
        "key": timer.key,
        "command": client_message(definition.commands, timer.command),
        "state": timer.state,
        "keep": timer.keep,
        "due_at": timer.due_at.isoformat(),
        "attempts": timer.attempts,
    }


def letter_body(definitions: Mapping[str, Definition], letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as clients see it."""
    return letter.to_dict() | {"command": _command(definitions.get(letter.target), letter.command)}


def _command(definition: Definition | None, command: RecordedMessage | None) -> dict[str, Any] | None:
    if command is None:
        return None
    # Nobody here knows which fields of a foreign command are server-only.
    return {"type": command.type, "data": None} if definition is None else client_message(definition.commands, command)


def reader_body(reader: ReaderStatus) -> dict[str, Any]:
    """Return how far a reader has read."""
    return {"name": reader.name, "position": reader.position, "lag": reader.lag, "undelivered": reader.undelivered}


def next_link(page: Sequence[Any], limit: int, **query: Any) -> dict[str, str]:
    """Return the header that leads to the next page, if there may be one."""
    if len(page) < limit:
        return {}
    given = {name: value for name, value in {**query, "limit": limit}.items() if value is not None}
    return {"link": f'<?{urlencode(given)}>; rel="next"'}
