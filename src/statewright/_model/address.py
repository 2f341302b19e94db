"""Where a workflow is on a server: its id as one segment of a path."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

WORDS: Final = frozenset({"counts", "definition", "stream"})
"""What stands where an id may stand: an id of this spelling is sent with a percent-encoded letter."""
DOTS: Final = frozenset({".", ".."})
"""What a path is walked by, even where it is percent-encoded: no reference leads to an id of this spelling."""


def segment(id: str) -> str:
    """Return an id as one segment of a path."""
    if id in DOTS:
        return id.replace(".", "%2E")
    if id in WORDS:
        return f"%{ord(id[0]):02X}{id[1:]}"
    return quote(id, safe="")
