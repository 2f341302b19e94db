"""Between the engine's values and the rows of the tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring as _quoted_json
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from ..._engine.ports import RecordedAnswer, SaveOptions, StoredWorkflow
from ..._model.commit import NO_METADATA, Commit, NewCommit, RecordedMessage
from ..._model.plain import UnstorableError, to_text, to_value
from ..._model.snapshot import WorkflowSnapshot
from ...errors import InvalidDataError, Issue

if TYPE_CHECKING:
    from .link import Row

Field: TypeAlias = str | None

_LONGEST_ID: Final = 255


def check_id(id: str) -> str:
    """Return a workflow's id.

    Raises:
        InvalidDataError: No store could keep it.
    """
    if not 0 < len(id) <= _LONGEST_ID:
        raise _invalid("id", f"1 to {_LONGEST_ID} characters are expected")
    return check_text("id", id)


def check_text(name: str, text: str) -> str:
    """Return a text.

    Raises:
        InvalidDataError: No store could keep it.
    """
    if "\0" in text or not (text.isascii() or _is_encodable(text)):
        raise _invalid(name, "text without NUL and lone surrogates is expected")
    return text


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _invalid(name: str, message: str) -> InvalidDataError:
    return InvalidDataError("argument", [Issue((name,), message, "unstorable")])


# --- what is saved -------------------------------------------------------------------------------------------------


class EntryRow(NamedTuple):
    """One row of `save_many`: a commit, or a workflow's new form, or, most often, both."""

    id: str
    expected: Field
    """Set on the row that becomes the workflow's current one."""
    expected_commit_id: Field
    version: str
    commit_id: str
    definition: str
    state: str
    model_version: str
    data: str
    created_at: str
    updated_at: str
    entered_at: Field
    stays: Field
    """Whether the workflow has been in the state before, if it is the stored one."""
    command: Field
    command_data: Field
    events: Field
    metadata: Field
    idempotency_key: Field
    fingerprint: Field
    recorded_at: Field
    """Set on a commit."""
    has_timers: Field = None
    """Set on the current row."""


def encoded(options: SaveOptions, commit_id: str) -> list[EntryRow]:
    """Return the rows of `save_many` for one save, oldest commit first.

    Args:
        options: The save.
        commit_id: What the workflow's own row is marked with: the last commit's id, or a fresh one.

    Raises:
        InvalidDataError: Something in it can be stored nowhere.
    """
    check_id(options.id)
    entered_at, stays = _entered(options)
    current = _Current(
        str(options.expected_version), options.expected_commit_id, entered_at, stays, "t" if options.has_timers else "f"
    )
    earlier, last = options.commits[:-1], options.commits[-1] if options.commits else None
    try:
        rows = [_commit_row(options.id, commit, _PAST) for commit in earlier]
        if last is not None:
            is_current = _is_same(options.snapshot, last.snapshot)
            rows.append(_commit_row(options.id, last, current if is_current else _PAST))
    except UnstorableError as exc:
        raise InvalidDataError("argument", [Issue(exc.path, str(exc), "unstorable")]) from exc
    if not rows or rows[-1].expected is None:
        rows.append(_bare_row(options, current, commit_id))
    return rows


class _Current(NamedTuple):
    """What a row says that becomes the workflow's current one."""

    expected: Field
    expected_commit_id: Field
    entered_at: Field
    stays: Field
    has_timers: Field


_PAST: Final = _Current(None, None, None, None, None)


def _is_same(one: WorkflowSnapshot, other: WorkflowSnapshot) -> bool:
    return one is other or one == other


def _commit_row(id: str, commit: NewCommit, current: _Current) -> EntryRow:
    key, command = commit.idempotency_key, commit.command
    return EntryRow(
        id,
        current.expected,
        current.expected_commit_id,
        *_of_snapshot(commit.snapshot, commit.id),
        current.entered_at,
        current.stays,
        None if command is None else command.type,
        None if command is None else command.text,
        _events_text(commit.events),
        "{}" if commit.metadata is NO_METADATA else to_text(dict(commit.metadata)),
        None if key is None else check_text("idempotency_key", key),
        commit.fingerprint,
        _moment(commit.recorded_at),
        current.has_timers,
    )


def _bare_row(options: SaveOptions, current: _Current, commit_id: str) -> EntryRow:
    """Return the row of a workflow's new form that no commit brought."""
    nothing = (None, None, None, None, None, None, None)
    return EntryRow(
        options.id,
        current.expected,
        current.expected_commit_id,
        *_of_snapshot(options.snapshot, commit_id),
        current.entered_at,
        current.stays,
        *nothing,
        current.has_timers,
    )


def _of_snapshot(snapshot: WorkflowSnapshot, commit_id: str) -> tuple[str, str, str, str, str, str, str, str]:
    return (
        str(snapshot.version),
        commit_id,
        snapshot.definition,
        snapshot.state,
        str(snapshot.model_version),
        snapshot.text,
        _moment(snapshot.created_at),
        _moment(snapshot.updated_at),
    )


def _events_text(events: tuple[RecordedMessage, ...]) -> str:
    return "[" + ",".join([f'{{"type":{_quoted_json(event.type)},"data":{event.text}}}' for event in events]) + "]"


def _entered(options: SaveOptions) -> tuple[Field, Field]:
    """Return when the workflow entered its state, and whether it was there already if it is the stored one, too.

    A save without commits leaves the answer as it is: a migration that renames a state moves nobody.
    """
    entered: datetime | None = None
    for commit in reversed(options.commits):
        if commit.snapshot.state != options.snapshot.state:
            return _moment(entered or options.snapshot.updated_at), "f"
        entered = commit.snapshot.updated_at
    return (None, None) if entered is None else (_moment(entered), "t")


@lru_cache(maxsize=128)
def _moment(moment: datetime) -> str:
    # One instant stands in several places of a save; the text of a time costs as much as finding it again saves.
    try:
        return moment.astimezone(UTC).isoformat()
    except OverflowError:
        raise _invalid("time", "a time within the years 1 to 9999, in UTC too, is expected") from None


def batch_call(rows: Iterable[EntryRow], more: Sequence[str] = ()) -> tuple[str, Sequence[Field]]:
    """Return the name of the statement for any number of saves, and its parameters.

    Args:
        rows: Of all the saves.
        more: The parameters for their leases and timers, if there are any.
    """
    params = [array(values) for values in zip(*rows, strict=True)]
    return ("save_agenda", [*params, *more]) if more else ("save_many", params)


def array(values: Iterable[Field]) -> str:
    """Return an array literal. With the driver's own arrays, a batch has half the throughput *(measured)*."""
    values = tuple(values)
    if None not in values:
        # All at once, which is twice as fast: NUL stands between two values, and in none of them.
        joined = "\0".join(cast("tuple[str, ...]", values))
        if values and joined.count("\0") == len(values) - 1:
            return '{"' + joined.replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","') + '"}'
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


# --- what is read --------------------------------------------------------------------------------------------------


def stored_of(row: Row) -> StoredWorkflow:
    """Return the workflow of a row: as for `snapshot_of`, then commit_id, entered_at and has_timers."""
    return StoredWorkflow(snapshot_of(row), row[5], row[8], row[9].astimezone(UTC), row[10])


def snapshot_of(row: Row) -> WorkflowSnapshot:
    """Return the snapshot of a row (id, definition, state, data, model_version, version, created_at, updated_at)."""
    id, definition, state, text, model_version, version, created_at, updated_at = row[:8]
    return WorkflowSnapshot.of_text(
        id, definition, state, text, model_version, version, created_at.astimezone(UTC), updated_at.astimezone(UTC)
    )


def commit_of(row: Row) -> Commit:
    """Return the commit of a row; one without a position has 0."""
    position, id, workflow_id, definition, version, command, command_data, events, state, model, metadata, key, at = row
    return Commit(
        position=position or 0,
        id=id,
        workflow_id=workflow_id,
        definition=definition,
        version=version,
        command=None if command is None else RecordedMessage.of_text(command, command_data),
        events=events_of(events),
        state=state,
        model_version=model,
        metadata=NO_METADATA if metadata == "{}" else to_value(metadata),
        idempotency_key=key,
        recorded_at=at.astimezone(UTC),
    )


def events_of(text: str) -> tuple[RecordedMessage, ...]:
    """Return the messages of a JSON list of {"type", "data"}."""
    if text == "[]":
        return ()
    return tuple(RecordedMessage(event["type"], event["data"]) for event in to_value(text))


def answer_of(row: Row) -> RecordedAnswer:
    """Return what a key was used for, of a row (id, key, command, fingerprint, events, then as `snapshot_of`)."""
    _, _, command, fingerprint, events, *rest = row
    return RecordedAnswer(command, fingerprint, snapshot_of((row[0], *rest)), events_of(events))
