"""What a process remembers of workflows that it does not execute now."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from .fold import Standing

MAX_REMEMBERED: Final = 1000
"""How many idle workflows of a store are remembered."""
_MAX_CHARACTERS: Final = 20_000

_DOUBT_OF_ONE: Final = 3
_DOUBTFUL: Final = 24
_MOST_DOUBT: Final = 48
_PROBE: Final = 8


class Memory:
    """Standings of idle workflows, so that their next command needs no load.

    Only an accepted save may rest on what is remembered, and such a save is lost where another process has written
    meanwhile. That costs more than a load would have. So where more than about a quarter of the saves are lost like
    this, memory is consulted for one command in eight only, until most of those are right again.
    """

    def __init__(self) -> None:
        self._standings: OrderedDict[str, Standing] = OrderedDict()
        self._doubt = 0
        self._asked = 0

    def __len__(self) -> int:
        return len(self._standings)

    def recall(self, id: str) -> Standing | None:
        """Return what is remembered of a workflow, and forget it."""
        standing = self._standings.pop(id, None)
        if standing is None or self._doubt <= _DOUBTFUL:
            return standing
        self._asked += 1
        return standing if self._asked % _PROBE == 0 else None

    def keep(self, id: str, standing: Standing) -> None:
        """Remember what an idle lane read or saved last."""
        if standing.commit_id is None or standing.snapshot is None or len(standing.snapshot.text) > _MAX_CHARACTERS:
            return
        standing.is_remembered = True
        standing.read_at = -1
        self._standings[id] = standing
        if len(self._standings) > MAX_REMEMBERED:
            self._standings.popitem(last=False)

    def proved_right(self) -> None:
        """Hear that a save which rested on memory was accepted."""
        if self._doubt:
            self._doubt -= 1

    def proved_wrong(self) -> None:
        """Hear that a save which rested on memory was lost."""
        self._doubt = min(_MOST_DOUBT, self._doubt + _DOUBT_OF_ONE)
