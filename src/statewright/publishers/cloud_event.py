"""A commit as a CloudEvent, version 1.0, in binary mode: attributes as headers, the commit as the body."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .._model.commit import Commit

CONTENT_TYPE: Final = "application/json"


def attributes(commit: Commit, *, source: str) -> dict[str, str]:
    """Return the attributes of a commit, by their names in the specification.

    Beside those that are required there are three extensions: `definition`, `workflowversion` and `position`. Whoever
    receives them can drop what is repeated or late: `subject` and `workflowversion` together never go back in a first
    delivery.

    Args:
        commit: The commit, with its position.
        source: A URI reference that says where it comes from, such as `/shop`.
    """
    return {
        "specversion": "1.0",
        "id": commit.id,
        "source": source,
        "type": f"{commit.definition}.committed",
        "subject": commit.workflow_id,
        "time": commit.recorded_at.isoformat(),
        "datacontenttype": CONTENT_TYPE,
        "definition": commit.definition,
        "workflowversion": str(commit.version),
        "position": str(commit.position),
    }


def body(commit: Commit) -> bytes:
    """Return the commit as JSON, with all that its events hold, server-only fields included."""
    return json.dumps(commit.to_dict(), ensure_ascii=False, separators=(",", ":")).encode()
