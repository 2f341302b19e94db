"""Workflows and commits as rows, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from ..._engine.ports import RecordedAnswer, SaveOptions, StoredWorkflow
from ..._model.commit import NO_METADATA, Commit, NewCommit, RecordedMessage, new_id
from ..._model.plain import UnstorableError, to_text
from ..._model.snapshot import WorkflowSnapshot, born
from ...errors import DataSource, InvalidDataError, Issue, StoreError

Row: TypeAlias = tuple[Any, ...]  # what SQLite gives back; the columns' constraints say what it is

SNAPSHOT_COLUMNS: Final = "definition, state, data, model_version, version, created_at, updated_at"
WORKFLOW_COLUMNS: Final = f"id, {SNAPSHOT_COLUMNS}, commit_id, entered_at, has_timers"
COMMIT_COLUMNS: Final = (
    "position, id, workflow_id, definition, version, command, command_data, events, state, model_version, metadata, "
    "idempotency_key, recorded_at"
)
ANSWER_COLUMNS: Final = f"workflow_id, {SNAPSHOT_COLUMNS}, command, fingerprint, events"

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_name_text = lru_cache(maxsize=1024)(_encode)


@dataclass(slots=True)
class SaveRows:
    """A save as parameters of statements."""

    commit_id: str
    """Fresh: the row in the store has it if, and only if, this save won."""
    workflow: Row
    commits: list[Row]
    answers: list[Row]
    size: int
    """Characters of all data to be written."""
    has_timer_writes: bool = False


def rows_of(options: SaveOptions) -> SaveRows:
    """Return a save as rows.

    Raises:
        InvalidDataError: Metadata that is not plain, or a time out of range.
    """
    try:
        return _rows_of(options)
    except UnstorableError as exc:
        raise InvalidDataError("argument", (Issue(("metadata", *exc.path), exc.found, "unstorable"),)) from exc
    except OverflowError as exc:
        raise InvalidDataError("state", (Issue((), "a time that is out of range in UTC", "datetime"),)) from exc


def _rows_of(options: SaveOptions) -> SaveRows:
    # Once for each command, so that each time is written once: a save names few moments, and those often.
    snapshot = options.snapshot
    created, updated = time_text(snapshot.created_at), time_text(snapshot.updated_at)
    rows = SaveRows(options.commits[-1].id if options.commits else new_id(), (), [], [], len(snapshot.text))
    began: str | None = None
    entered: str | None = None
    before: WorkflowSnapshot | None = None
    for commit in options.commits:
        own = commit.snapshot
        times = (
            created if own.created_at is snapshot.created_at else time_text(own.created_at),
            updated if own.updated_at is snapshot.updated_at else time_text(own.updated_at),
        )
        if before is None:
            began = times[1]
        elif own.state != before.state:
            entered = times[1]
        before = own
        _add_commit(rows, commit, times)
    rows.has_timer_writes = rows.has_timer_writes or options.renamed is not None
    rows.workflow = _workflow_row(options, rows.commit_id, (created, updated), (entered, began))
    return rows


def _workflow_row(
    options: SaveOptions, commit_id: str, times: tuple[str, str], since: tuple[str | None, str | None]
) -> Row:
    """Return the workflow as parameters of the statements that save it.

    `since` tells since when the workflow is in its state, as far as its commits do: the time of the last change of
    state among them, and that of the first commit, which counts if the stored row is in another state. Where nothing
    happened there is neither: a migration that renames a state does not enter it.
    """
    snapshot = options.snapshot
    return (
        snapshot.text,
        snapshot.model_version,
        snapshot.version,
        commit_id,
        *times,
        options.has_timers,
        *since,
        snapshot.state,
        snapshot.definition,
        options.expected_commit_id,
        options.expected_version,
        options.id,
    )


def _add_commit(rows: SaveRows, commit: NewCommit, times: tuple[str, str]) -> None:
    snapshot, command = commit.snapshot, commit.command
    events = _events_text(commit.events)
    rows.size += len(snapshot.text)
    rows.has_timer_writes = rows.has_timer_writes or bool(commit.timers)
    rows.commits.append(
        (
            commit.id,
            snapshot.id,
            snapshot.version,
            snapshot.definition,
            None if command is None else command.type,
            None if command is None else command.text,
            events,
            snapshot.state,
            snapshot.text,
            snapshot.model_version,
            to_text(commit.metadata) if commit.metadata else "{}",
            commit.idempotency_key,
            *times,
            times[1] if commit.recorded_at is snapshot.updated_at else time_text(commit.recorded_at),
        )
    )
    if commit.idempotency_key is not None:
        rows.answers.append(_answer_row(commit, events, times))


def _answer_row(commit: NewCommit, events: str, times: tuple[str, str]) -> Row:
    snapshot, command = commit.snapshot, commit.command
    return (
        snapshot.id,
        commit.idempotency_key,
        "" if command is None else command.type,
        commit.fingerprint or "",
        snapshot.definition,
        snapshot.state,
        snapshot.text,
        snapshot.model_version,
        snapshot.version,
        *times,
        events,
    )


def _events_text(events: Sequence[RecordedMessage]) -> str:
    if not events:
        return "[]"
    return "[" + ",".join([f'{{"type":{_name_text(event.type)},"data":{event.text}}}' for event in events]) + "]"


def time_text(moment: datetime) -> str:
    """Return a time as it is stored: in UTC, and always as long, so that text sorts like time."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat("T", "microseconds")


def source_of_fault(options: SaveOptions) -> DataSource:
    """Return which part of a save it is that SQLite cannot store: what is no Unicode, else what is largest."""
    parts: list[tuple[DataSource, str]] = [("state", options.snapshot.text)]
    for commit in options.commits:
        parts.append(("state", commit.snapshot.text))
        parts.extend(("event", event.text) for event in commit.events)
        if commit.command is not None:
            parts.append(("command", commit.command.text))
        parts.append(("argument", options.id + (commit.idempotency_key or "") + str(dict(commit.metadata))))
    for source, text in parts:
        if not _is_unicode(text):
            return source
    largest, _ = max(parts, key=lambda part: len(part[1]))
    return largest


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- and back --------------------------------------------------------------------------------------------------------


def stored_workflow(row: Row) -> StoredWorkflow:
    """Return what a row of `WORKFLOW_COLUMNS` holds.

    Raises:
        StoreError: It was changed by hand, and is no workflow any more.
    """
    try:
        return born(
            StoredWorkflow,
            {
                "snapshot": _snapshot(row),
                "version": row[5],
                "commit_id": row[8],
                "entered_at": datetime.fromisoformat(row[9]),
                "has_timers": bool(row[10]),
            },
        )
    except (TypeError, ValueError) as exc:
        raise _spoilt(row[0]) from exc


def stored_snapshot(row: Row) -> WorkflowSnapshot:
    """Return the snapshot in a row that begins with the workflow's id and `SNAPSHOT_COLUMNS`.

    Raises:
        StoreError: As `stored_workflow`.
    """
    try:
        return _snapshot(row)
    except (TypeError, ValueError) as exc:
        raise _spoilt(row[0]) from exc


def stored_commit(row: Row) -> Commit:
    """Return what a row of `COMMIT_COLUMNS` holds.

    Raises:
        StoreError: As `stored_workflow`.
    """
    position, id, workflow_id, definition, version, command, command_data, events, state, model_version, *rest = row
    metadata, key, recorded_at = rest
    try:
        return Commit(
            position=position,
            id=id,
            workflow_id=workflow_id,
            definition=definition,
            version=version,
            command=None if command is None else RecordedMessage.of_text(command, command_data),
            events=_events(events),
            state=state,
            model_version=model_version,
            metadata=NO_METADATA if metadata == "{}" else MappingProxyType(json.loads(metadata)),
            idempotency_key=key,
            recorded_at=datetime.fromisoformat(recorded_at),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise _spoilt(workflow_id) from exc


def recorded_answer(row: Row) -> RecordedAnswer:
    """Return what a row of `ANSWER_COLUMNS` holds.

    Raises:
        StoreError: As `stored_workflow`.
    """
    command, fingerprint, events = row[8:]
    try:
        return RecordedAnswer(command, fingerprint, _snapshot(row), _events(events))
    except (KeyError, TypeError, ValueError) as exc:
        raise _spoilt(row[0]) from exc


def _snapshot(row: Row) -> WorkflowSnapshot:
    id, definition, state, data, model_version, version, created_at, updated_at = row[:8]
    return WorkflowSnapshot.of_text(
        id,
        definition,
        state,
        data,
        model_version,
        version,
        datetime.fromisoformat(created_at),
        datetime.fromisoformat(updated_at),
    )


def _events(text: str) -> tuple[RecordedMessage, ...]:
    if text == "[]":
        return ()
    return tuple(RecordedMessage.of_text(event["type"], _encode(event["data"])) for event in json.loads(text))


def _spoilt(workflow_id: str) -> StoreError:
    return StoreError(f"what is stored of workflow {workflow_id!r} was changed by other hands, and does not read back")
