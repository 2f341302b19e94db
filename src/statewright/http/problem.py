"""Errors as RFC 9457 problems: what went wrong, without anything that is none of a client's business."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from ..errors import (
    ConcurrencyConflictError,
    DependencyError,
    DomainError,
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
    is_unsupported,
)

URN: Final = "urn:statewright:"
DIGITS: Final = 99
"""A version that is expected has so many at most."""
NO_VERSION: Final = 10**DIGITS
"""Expected where what is asked for names no version: no workflow is ever at this one, and nobody can send it."""
RETRY_AFTER: Final = "1"
"""Seconds after which a store that was unavailable may be asked again."""

_TITLES: Final[Mapping[type[ExecutionError], str]] = {
    DomainError: "Refused",
    InvalidDataError: "Invalid data",
    RoutingError: "Not possible now",
    DependencyError: "A dependency failed",
    NotFoundError: "Not found",
    ConcurrencyConflictError: "Another version",
    RestoreError: "Not readable by this server",
    IdempotencyError: "Key used before",
    StoreUnavailableError: "Store unavailable",
    OutcomeUnknownError: "Outcome unknown",
    PositionPrunedError: "Pruned",
    StoreError: "The store failed",
}


class Problem(Response):
    """An answer of type `application/problem+json`.

    Args:
        status: The status code.
        kind: What stands behind `urn:statewright:`.
        title: The kind in words.
        detail: What happened.
        category: The category of our errors that it belongs to.
        facts: What more there is to say.
        headers: More headers.
    """

    media_type = "application/problem+json"

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str,
        *,
        category: str,
        facts: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        head = {"type": URN + kind, "title": title, "status": status, "detail": detail, "category": category}
        # Escaped, because what was sent may be no text that UTF-8 can hold.
        content = json.dumps({**(facts or {}), **head})
        super().__init__(content, status, {"cache-control": "no-store", **(headers or {})})


class Refused(Exception):  # noqa: N818 - an answer on its way
    """A request that is answered before it comes to an executor."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.status_code)
        self.problem = problem


def invalid(status: int, message: str, type: str, *, source: str = "command", title: str = "Invalid data") -> Refused:
    """Return the refusal of something that cannot be read."""
    facts = {"source": source, "issues": [Issue((), message, type).to_dict()]}
    return Refused(Problem(status, "InvalidDataError", title, message, category="validation", facts=facts))


def problem_of(error: ExecutionError, *, is_conditional: bool = False, has_key: bool = False) -> Problem:
    """Return the answer for an error.

    Args:
        error: What an executor answered or raised.
        is_conditional: Whether a conflict means that the request's condition is not met, not that somebody was first.
        has_key: Whether the request carried an idempotency key.
    """
    kind = next((each for each in _TITLES if isinstance(error, each)), None)
    if kind is None:
        return unexpected()
    status, detail, facts = _described(error, is_conditional=is_conditional, has_key=has_key)
    return Problem(
        status,
        kind.__name__,
        "Not supported by the store" if status == 501 else _TITLES[kind],
        detail,
        category=error.category,
        facts=facts,
        headers=_headers(error, status),
    )


def unexpected() -> Problem:
    """Return the answer for a bug: nothing of what it was."""
    detail = "the server met an error that it did not expect; what happened stands in its log"
    return Problem(500, "UnexpectedError", "Unexpected error", detail, category="unexpected")


def _described(error: ExecutionError, *, is_conditional: bool, has_key: bool) -> tuple[int, str, dict[str, Any]]:
    """Return status, detail and facts."""
    told = error.to_dict()
    facts = {name: value for name, value in told.items() if name not in {"category", "type", "message"}}
    detail: str = told["message"]
    match error:
        case RestoreError():
            return _unreadable(error)
        case StoreError():
            return _store_failed(error, facts, has_key=has_key)
        case DependencyError():
            return 503, f"the dependency {error.name!r} failed", facts
        case ConcurrencyConflictError(expected_version=expected):
            if expected == NO_VERSION:
                del facts["expected_version"]
                detail = f"workflow {error.workflow_id!r} is at version {error.actual_version}, which is not asked for"
            return 412 if is_conditional else 409, detail, facts
        case _:
            return _refused(error), detail, facts


def _refused(error: ExecutionError) -> int:
    match error:
        case InvalidDataError() | IdempotencyError():
            return 422
        case NotFoundError() | RoutingError(code="UNKNOWN_COMMAND"):
            return 404
        case _:
            return 409


def _unreadable(error: RestoreError) -> tuple[int, str, dict[str, Any]]:
    """Describe what cannot be restored by its kind only: what is stored is told to nobody."""
    kinds = {issue.type for issue in error.issues}
    facts = {"workflow_id": error.workflow_id}
    if "other_definition" in kinds:
        return 404, "the id belongs to a workflow of another definition", {**facts, "reason": "other_definition"}
    if "newer_model" in kinds:
        return 503, "it was written by newer code than this server's", {**facts, "reason": "newer_model"}
    return 500, "what is stored under this id cannot be read by this server", facts


def _store_failed(error: StoreError, facts: dict[str, Any], *, has_key: bool) -> tuple[int, str, dict[str, Any]]:
    # What a driver says may name hosts and quote rows: it is for the server's log.
    match error:
        case StoreUnavailableError():
            return 503, "the store is unavailable; nothing was saved", {"safe_to_retry": True}
        case OutcomeUnknownError():
            detail = "the store did not say whether the command was saved"
            return 504, detail, {"safe_to_retry": has_key}
        case PositionPrunedError():
            return 410, str(error), facts
        case _ if is_unsupported(error):
            return 501, str(error), {"reason": "unsupported"}
        case _:
            return 500, "the store failed; what happened stands in the server's log", {}


def _headers(error: ExecutionError, status: int) -> dict[str, str]:
    if isinstance(error, StoreUnavailableError):
        return {"retry-after": RETRY_AFTER}
    if status == 412 and isinstance(error, ConcurrencyConflictError) and error.actual_version:
        return {"etag": f'"{error.actual_version}"'}
    return {}
