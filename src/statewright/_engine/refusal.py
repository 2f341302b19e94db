"""The errors that stand for what went wrong in a lane."""

from __future__ import annotations

import copy
from typing import Any

from ..errors import ExecutionError, OutcomeUnknownError, StoreError, UnexpectedError, settle


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
    copied = copy.copy(error)
    copied.__dict__.pop("current", None)
    return copied if isinstance(copied, ExecutionError) else UnexpectedError(str(error))
