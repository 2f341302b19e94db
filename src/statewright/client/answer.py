"""From what a server answered back to what an executor gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import httpx2
from pydantic import ValidationError

from .._model.commit import RecordedMessage, WorkflowCommit
from .._model.metadata import NO_METADATA
from .._model.result import Success
from .._model.snapshot import WorkflowSnapshot
from .._model.workflow import Workflow
from ..errors import (
    ConcurrencyConflictError,
    DataSource,
    DependencyError,
    ExecutionError,
    IdempotencyError,
    InvalidDataError,
    Issue,
    NotFoundError,
    OutcomeUnknownError,
    PositionPrunedError,
    RestoreError,
    RoutingError,
    StoreError,
    StoreUnavailableError,
    UnexpectedError,
)
from .link import PASSING
from .partial import Messages, Refusals, partial

_URN: Final = "urn:statewright:"
_NOT_IMPLEMENTED: Final = 501


class Reader:
    """Reads answers about one definition.

    Args:
        workflow: The workflow class.
    """

    def __init__(self, workflow: type[Workflow[Any, Any, Any, Any]]) -> None:
        self._workflow = workflow
        self._name = workflow.name
        self._states = {schema.name: partial(schema) for schema in workflow._definition.states}
        self._events = Messages(workflow._definition.events)
        self._refusals = Refusals(workflow._definition.errors)

    # --- workflows --------------------------------------------------------------------------------------------------

    def success(self, response: httpx2.Response, *, is_replayed: bool) -> Success[Any, Any]:
        """Return what an accepted command led to.

        Raises:
            RestoreError: This code cannot read it.
            UnexpectedError: It is no answer of Statewright's.
        """
        body = plain(response, dict)
        workflow = self.workflow(body, response.headers)
        try:
            return Success(workflow, tuple(map(self._events.load, body["events"])), is_replayed)
        except (KeyError, TypeError):
            raise _foreign("it does not list events") from None

    def workflow(self, body: Any, headers: Mapping[str, str]) -> Any:
        """Return the workflow that an answer shows.

        Raises:
            RestoreError: This code cannot read it.
            UnexpectedError: It is no answer of Statewright's.
        """
        try:
            facts = {
                "created_at": headers["statewright-created"],
                "updated_at": headers["statewright-updated"],
                "model_version": int(headers["statewright-model-version"]),
            }
        except (KeyError, ValueError):
            raise _foreign("its headers do not describe a workflow") from None
        return self.moment({**body, **facts})

    def moment(self, body: Any) -> Any:
        """Return the workflow that an event of a stream shows.

        Raises:
            RestoreError: This code cannot read it.
            UnexpectedError: It is no answer of Statewright's.
        """
        try:
            names = ("id", "state", "data", "model_version", "version")
            facts: dict[str, Any] = {name: body[name] for name in names}
            times: dict[str, Any] = {name: datetime.fromisoformat(body[name]) for name in ("created_at", "updated_at")}
            snapshot = WorkflowSnapshot(definition=self._name, **facts, **times)
        except (KeyError, TypeError, ValueError):
            raise _foreign("it does not describe a workflow") from None
        return self._restored(snapshot)

    def _restored(self, snapshot: WorkflowSnapshot) -> Any:
        schema = self._states.get(snapshot.state)
        is_known = snapshot.model_version == self._workflow.model_version
        if schema is None or not is_known or not schema.view.has_hidden:
            return self._workflow.from_snapshot(snapshot)
        try:
            return self._workflow._of(snapshot, schema, schema.load(snapshot.text))
        except ValidationError as exc:
            raise RestoreError(snapshot.id, schema.issues_of(exc), workflow=self._name) from None

    def commit(self, body: Any) -> WorkflowCommit[Any]:
        """Return a commit: what a server keeps to itself is empty.

        Raises:
            UnexpectedError: It is no answer of Statewright's.
        """
        try:
            command = body["command"]
            return WorkflowCommit(
                position=body["position"],
                id=body["id"],
                workflow_id=body["workflow_id"],
                definition=self._name,
                version=body["version"],
                command=None if command is None else RecordedMessage(command["type"], command["data"]),
                events=tuple(map(self._events.load, body["events"])),
                state=body["state"],
                model_version=body["model_version"],
                metadata=NO_METADATA,
                idempotency_key=None,
                recorded_at=datetime.fromisoformat(body["recorded_at"]),
            )
        except (KeyError, TypeError, ValueError):
            raise _foreign("it does not describe a commit") from None

    # --- errors -----------------------------------------------------------------------------------------------------

    def error(self, response: httpx2.Response) -> ExecutionError:
        """Return the error that a problem stands for."""
        try:
            body = json.loads(response.content)
            if body["type"].startswith(_URN):
                return self._error(body["type"].removeprefix(_URN), body)
        except (AttributeError, KeyError, TypeError, ValueError):
            pass
        return _unspoken(response.status_code)

    def _error(self, kind: str, body: Mapping[str, Any]) -> ExecutionError:
        detail = str(body["detail"])
        match kind:
            case "DomainError":
                refusal = self._refusals.load(body["code"], body["data"])
                return refusal or UnexpectedError(f"the server refused with {body['code']!r}, which is not known here")
            case "InvalidDataError":
                source: DataSource = body["source"]
                subject = detail.removeprefix("invalid ").partition(": ")[0]
                return InvalidDataError(source, map(_issue, body["issues"]), subject=subject)
            case "RoutingError":
                facts = {name: body[name] for name in ("workflow", "state", "command", "expected")}
                return RoutingError(body["code"], workflow_id=body.get("workflow_id"), **facts)
            case "DependencyError":
                return DependencyError(body["name"], workflow=self._name)
            case _:
                return self._stored(kind, body, detail)

    def _stored(self, kind: str, body: Mapping[str, Any], detail: str) -> ExecutionError:
        match kind:
            case "RestoreError":
                issue = Issue((), detail, body.get("reason", "unreadable"))
                return RestoreError(body["workflow_id"], [issue], workflow=self._name)
            case "PositionPrunedError" if "horizon" not in body:
                return StoreError(detail)
            case _ if kind in _TOLD:
                return _TOLD[kind](detail)
            case _ if kind in _FACTS:
                error, *names = _FACTS[kind]
                built: ExecutionError = error(*(body[name] for name in names))
                return built
            case _:
                return UnexpectedError(f"the server answered: {detail}")


_TOLD: Final[Mapping[str, Callable[[str], ExecutionError]]] = {
    "StoreUnavailableError": StoreUnavailableError,
    "OutcomeUnknownError": OutcomeUnknownError,
    "StoreError": StoreError,
}
_FACTS: Final[Mapping[str, tuple[Any, ...]]] = {
    "NotFoundError": (NotFoundError, "workflow_id"),
    "ConcurrencyConflictError": (ConcurrencyConflictError, "workflow_id", "expected_version", "actual_version"),
    "IdempotencyError": (IdempotencyError, "workflow_id", "key"),
    "PositionPrunedError": (PositionPrunedError, "after", "horizon"),
}


def _issue(found: Mapping[str, Any]) -> Issue:
    return Issue(tuple(found["path"]), found["message"], found["type"])


def _plain(response: httpx2.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        raise _foreign("it is not JSON") from None


def plain(response: httpx2.Response, kind: type[Any]) -> Any:
    """Return the plain data of an answer.

    Raises:
        UnexpectedError: It is no answer of Statewright's.
    """
    body = _plain(response)
    if not isinstance(body, kind):
        raise _foreign(f"a {kind.__name__} was expected")
    return body


def _foreign(reason: str) -> UnexpectedError:
    return UnexpectedError(f"what answered is no Statewright server, or a proxy spoke for it: {reason}")


def _unspoken(status: int) -> ExecutionError:
    """Return the error for a refusal that is no problem of Statewright's."""
    if status in PASSING:
        return StoreUnavailableError(f"a proxy answered with status {status}, and the server behind it does not answer")
    return _foreign(f"status {status}")


def is_unsupported(response: httpx2.Response) -> bool:
    """Return whether the server says that its store has no means for what was asked."""
    if response.status_code != _NOT_IMPLEMENTED:
        return False
    try:
        return bool(json.loads(response.content)["reason"] == "unsupported")
    except (KeyError, TypeError, ValueError):
        return False


def command_text(schema: Any, value: Any, text: str) -> str:
    """Return a command as it is sent: what was set, so that the server knows what was only defaulted.

    Where that is not the same command when it is read back, the whole of it is sent.
    """
    said: str = schema.dump(value, exclude_unset=True)
    try:
        return said if schema.dump(schema.load(said)) == text else text
    except ValidationError:
        return text
