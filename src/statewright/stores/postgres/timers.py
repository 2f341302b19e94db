"""What saves do to timers, as rows of one statement, in which no timer may be touched twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from ..._engine.ports import Fence, SaveOptions
from ..._model.timer import ConsumeTimer, DropTimer, LeftState, RenamedState, SetTimer, TimerWrite
from ...errors import InvalidDataError, Issue
from .rows import Field, array, check_text

_HOUR: Final = timedelta(hours=1)
_SECOND: Final = timedelta(seconds=1)
_MILLENNIUM: Final = timedelta(days=365_250)


class FenceRow(NamedTuple):
    """A lease under which a save was decided."""

    id: str
    name: str
    epoch: str


class ChangeRow(NamedTuple):
    """What becomes of a workflow's stored timers.

    One of `end` (this key), `leave` (all that do not stay), `stay` (this state), `rename` and `rename kept` (of this
    state to that one, all or those that are kept).
    """

    id: str
    kind: str
    one: Field
    two: Field


class PutRow(NamedTuple):
    """A timer as it is after the save."""

    id: str
    key: str
    generation: str
    definition: str
    state: str
    keep: str
    command: str
    command_data: str
    due_at: Field
    delay: Field


@dataclass(slots=True)
class AgendaRows:
    """What comes with a save beside workflow and commits."""

    fences: list[FenceRow] = field(default_factory=list)
    changes: list[ChangeRow] = field(default_factory=list)
    puts: list[PutRow] = field(default_factory=list)


def agenda_rows(options: SaveOptions) -> AgendaRows | None:
    """Return the rows of a save; `None` if it has neither fences nor timers, as most.

    Raises:
        InvalidDataError: Something in it can be stored nowhere.
    """
    if not options.fences and options.renamed is None and not any(commit.timers for commit in options.commits):
        return None
    fences = [FenceRow(options.id, check_text("lease", fence.name), str(fence.epoch)) for fence in options.fences]
    writes = options.timers
    match writes:
        case [SetTimer() as only]:  # the usual one comes to itself
            return AgendaRows(fences, [], [_put(options, only, only.state)])
        case _:
            return AgendaRows(fences, *_in_the_end(options, writes))


def _in_the_end(options: SaveOptions, writes: Sequence[TimerWrite]) -> tuple[list[ChangeRow], list[PutRow]]:
    final, ended = _by_key(writes)
    changes = [ChangeRow(options.id, "end", check_text("key", key), None) for key in ended]
    changes += [ChangeRow(options.id, *facts) for facts in _by_state(writes)]
    return changes, [_put(options, write, state) for write, state in final.values()]


def agenda_params(rows: Sequence[AgendaRows]) -> list[str]:
    """Return the parameters that follow those of the saves themselves; none if there is nothing to do."""
    if not rows:
        return []
    return [
        *_columns([fence for agenda in rows for fence in agenda.fences], 3),
        *_columns([change for agenda in rows for change in agenda.changes], 4),
        *_columns([put for agenda in rows for put in agenda.puts], 10),
    ]


def fence_params(fences: Sequence[Fence]) -> tuple[str, str]:
    """Return the parameters of `fallen` and `release_leases`."""
    return array(fence.name for fence in fences), array(str(fence.epoch) for fence in fences)


def moment_text(moment: datetime | None) -> Field:
    """Return a time as a parameter."""
    return None if moment is None else moment.astimezone(UTC).isoformat()


@lru_cache(maxsize=128)
def length_text(length: timedelta) -> str:
    """Return a duration as a parameter. Not in days, which are not all of one length."""
    hours, rest = divmod(length, _HOUR)
    seconds, rest = divmod(rest, _SECOND)
    return f"{hours} hours {seconds} seconds {rest.microseconds} microseconds"


def age_text(age: timedelta) -> str:
    """Return how long ago something was, as a parameter; ages that no clock counts back to are a thousand years."""
    return length_text(min(age, _MILLENNIUM))


def _columns(rows: Sequence[tuple[Field, ...]], width: int) -> list[str]:
    return [array(row[column] for row in rows) for column in range(width)]


# --- what several writes come to -----------------------------------------------------------------------------------


def _by_key(writes: Iterable[TimerWrite]) -> tuple[dict[str, tuple[SetTimer, str]], set[str]]:
    """Return the timers that are set in the end, with their states, and the keys of stored timers that are ended."""
    final: dict[str, tuple[SetTimer, str]] = {}
    ended: set[str] = set()
    for write in writes:
        match write:
            case SetTimer():
                final[write.key] = (write, write.state)
            case DropTimer(key=key) | ConsumeTimer(key=key):
                final.pop(key, None)
            case LeftState(state=now):
                final = {key: (timer, state) for key, (timer, state) in final.items() if timer.keep or state == now}
            case RenamedState(old=old, new=new):
                final = {key: (timer, new if state == old else state) for key, (timer, state) in final.items()}
        if isinstance(write, SetTimer | DropTimer | ConsumeTimer):
            ended.add(write.key)  # a stored one, whatever becomes of the one that was set in its place
    return final, ended - final.keys()


def _by_state(writes: Sequence[TimerWrite]) -> list[tuple[str, Field, Field]]:
    """Return what becomes of stored timers, by the states that they belong to."""
    moves = [write for write in writes if isinstance(write, LeftState | RenamedState)]
    named = {
        name for move in moves for name in ((move.state,) if isinstance(move, LeftState) else (move.old, move.new))
    }
    is_left = any(isinstance(move, LeftState) for move in moves)
    facts: list[tuple[str, Field, Field]] = [("leave", None, None)] if is_left else []
    for name in sorted(named):
        stays, end = _follow(name, moves)
        if is_left and stays:
            facts.append(("stay", name, None))
        if end != name:
            facts.append(("rename" if stays else "rename kept", name, end))
    return facts


def _follow(state: str, moves: Iterable[LeftState | RenamedState]) -> tuple[bool, str]:
    """Return whether a timer of a state that is not kept stays, and the state that it belongs to in the end."""
    stays = True
    for move in moves:
        if isinstance(move, LeftState):
            stays = stays and state == move.state
        elif state == move.old:
            state = move.new
    return stays, state


def _put(options: SaveOptions, timer: SetTimer, state: str) -> PutRow:
    delay = timer.delay or timedelta()
    try:
        at, later = moment_text(timer.at), length_text(delay)
    except OverflowError:
        issue = Issue(("at",), "a time within the years 1 to 9999, in UTC too, is expected", "unstorable")
        raise InvalidDataError("argument", [issue]) from None
    return PutRow(
        options.id,
        check_text("key", timer.key),
        timer.generation,
        options.snapshot.definition,
        state,
        "t" if timer.keep else "f",
        timer.command.type,
        timer.command.text,
        at,
        None if at is not None else later,
    )
