"""Conditional requests: `If-Match` is the expected version, `If-None-Match: *` creates only."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from .._model.result import Failure, Result
from ..errors import ConcurrencyConflictError, ExecutionError
from .problem import DIGITS, NO_VERSION, Problem, Refused, invalid

_TAG: Final = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*')
_VERSION: Final = re.compile(rf"[1-9][0-9]{{0,{DIGITS - 1}}}")
_TRIES: Final = 5


def etag(version: int) -> str:
    """Return the strong ETag of a version."""
    return f'"{version}"'


@dataclass(frozen=True, slots=True)
class Condition:
    """What a command's request says of the version that it wants to meet."""

    versions: frozenset[int] | None = None
    """Any of these; `None`: whichever there is."""
    exists: bool = False
    """It must exist, at whichever version (`If-Match: *`)."""

    async def execute(self, execute: Callable[[int | None], Awaitable[Result]]) -> Result:
        """Execute a command at a version that the condition allows.

        An executor takes one expected version. Of several, the one that is there is learnt from the first refusal, and
        so is that the workflow exists.
        """
        if self.exists:
            refused = await execute(NO_VERSION)
            return await execute(None) if _found(refused) else refused
        if self.versions is None:
            return await execute(None)
        expected = max(self.versions, default=NO_VERSION)
        result = await execute(expected)
        for _ in range(_TRIES):
            found = _found(result)
            if not found or found == expected or found not in self.versions:
                break
            expected = found
            result = await execute(expected)
        return result

    def is_unmet(self, error: ExecutionError) -> bool:
        """Return whether an error says that the condition is not met, not that somebody was first."""
        if not isinstance(error, ConcurrencyConflictError):
            return False
        return error.expected_version == NO_VERSION if self.exists else self.versions is not None


def read_condition(request: Request, *, is_required: bool = False) -> Condition:
    """Return the condition of a command's request.

    Raises:
        Refused: 400 for headers that cannot be read, 428 if there is none and one is required.
    """
    match, none_match = _header(request, "if-match"), _header(request, "if-none-match")
    if match is not None and none_match is not None:
        raise invalid(400, "If-Match and If-None-Match exclude each other", "invalid_header", source="argument")
    if none_match is not None:
        if none_match.strip() != "*":
            raise invalid(400, "of a command's If-None-Match only * has a meaning", "invalid_header", source="argument")
        return Condition(frozenset({0}))
    if match is not None:
        return _matching(match)
    if is_required:
        detail = 'send If-Match: "version" of the state that you decided on, or If-None-Match: * to create'
        raise Refused(Problem(428, "PreconditionRequired", "Precondition required", detail, category="conflict"))
    return Condition()


def _matching(header: str) -> Condition:
    if header.strip() == "*":
        return Condition(exists=True)
    # Strong comparison: a weak tag matches nothing, and neither does one that is no version of ours.
    strong = (tag for weak, tag in _tags(header, "If-Match") if not weak)
    return Condition(frozenset(int(tag) for tag in strong if _VERSION.fullmatch(tag)))


def is_unchanged(request: Request, version: int) -> bool:
    """Return whether the reader has this version already (`If-None-Match`).

    Raises:
        Refused: 400, the header cannot be read.
    """
    header = _header(request, "if-none-match")
    if header is None:
        return False
    return header.strip() == "*" or str(version) in {tag for _, tag in _tags(header, "If-None-Match")}


def _tags(header: str, name: str) -> list[tuple[bool, str]]:
    """Return weakness and text of each tag."""
    found: list[tuple[bool, str]] = []
    for part in filter(str.strip, header.split(",")):
        tag = _TAG.fullmatch(part)
        if tag is None:
            raise invalid(
                400, f'{name} takes versions in double quotes, such as "3"', "invalid_header", source="argument"
            )
        found.append((tag[1] is not None, tag[2]))
    if not found:
        raise invalid(400, f"{name} is empty", "invalid_header", source="argument")
    return found


def _header(request: Request, name: str) -> str | None:
    values = request.headers.getlist(name)
    return ",".join(values) if values else None


def _found(result: Any) -> int | None:
    match result:
        case Failure(error=ConcurrencyConflictError(actual_version=actual)):
            return actual
        case _:
            return None
