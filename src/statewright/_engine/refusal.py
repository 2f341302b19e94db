"""The errors that stand for what went wrong in a lane."""

from __future__ import annotations

import copy
from typing import Any

from ..errors import ConcurrencyConflictError, ExecutionError, OutcomeUnknownError, StoreError, UnexpectedError, settle


def circle(id: str) -> UnexpectedError:
    """Return the error of a call whose turn would never come."""
    return UnexpectedError(
        f"workflow {id!r} is being executed by a call that waits for the one that now executes it; "
        "send one of the commands after the other"
    )


def save_failure(id: str, raised: BaseException) -> StoreError:
    """Return the error that stands for what a save raised."""
    if isinstance(raised, StoreError):
        settle(raised)
        return raised
    error = OutcomeUnknownError(
        f"workflow {id!r}: the store raised {type(raised).__name__} from save, which does not say whether it happened"
    )
    error.__cause__ = raised
    return error


def twin(error: ExecutionError) -> Any:
    """Return a copy of an error, so that no two callers raise the same object."""
    settle(error)
    try:
        copied = copy.copy(error)
        copied.__dict__.pop("current", None)
    except Exception:  # noqa: BLE001 - an error of a user's own may be made so that it cannot be copied
        return error
    return copied if isinstance(copied, ExecutionError) else UnexpectedError(str(error))


def lost_race(conflict: ConcurrencyConflictError, expected: int | None) -> ConcurrencyConflictError:
    """Return the conflict of one command of a fold: in the words of the version that its caller expected, if any."""
    error: ConcurrencyConflictError = twin(conflict)
    if expected is None or expected in {conflict.expected_version, conflict.actual_version}:
        return error
    own = ConcurrencyConflictError(conflict.workflow_id, expected, conflict.actual_version)
    own.__cause__ = conflict.__cause__
    return own
