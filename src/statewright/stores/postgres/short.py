"""The short path: a save of one commit as one statement without arrays, for a single caller."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from .rows import EntryRow, Field
from .statements import short_forms
from .timers import AgendaRows, PutRow

_FIELDS: Final = {
    name: place for place, name in enumerate((*EntryRow._fields, *(f"put_{name}" for name in PutRow._fields)))
}


def short_call(rows: Sequence[EntryRow], agenda: AgendaRows | None) -> tuple[str, Sequence[Field]] | None:
    """Return the name of the statement of the short path, and its parameters; `None` for a save that cannot take it.

    It takes one commit, with or without an idempotency key, and at most one timer that is set; with leases, or what
    else becomes of timers, a save goes the way of all.
    """
    row = rows[0]
    if len(rows) > 1 or row.recorded_at is None or (row.idempotency_key is not None and row.command is None):
        return None
    values: tuple[Field, ...] = row
    name = "created_one" if row.expected == "0" else "updated_one"
    if row.idempotency_key is not None:
        name += "_keyed"
    if agenda is not None:
        if agenda.fences or agenda.changes or len(agenda.puts) != 1:
            return None
        name += "_timed"
        values = (*row, *agenda.puts[0])
    return name, [values[place] for place in _places(name)]


@cache
def _places(name: str) -> tuple[int, ...]:
    """Return where among the fields of commit and timer the parameters of a statement stand."""
    _, parameters = short_forms()[name]
    return tuple(_FIELDS[parameter] for parameter in parameters)
