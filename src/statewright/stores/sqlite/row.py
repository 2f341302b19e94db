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
    commits = options.commits
    times = _Times()
    try:
        rows = [_commit_row(commit, times) for commit in commits]
        commit_id = commits[-1].id if commits else new_id()
        workflow = _workflow_row(options, commit_id, times)
        answers = [_answer_row(commit, times) for commit in commits if commit.idempotency_key is not None]
    except UnstorableError as exc:
        raise InvalidDataError("argument", (Issue(("metadata", *exc.path), exc.found, "unstorable"),)) from exc
    except OverflowError as exc:
        raise InvalidDataError("state", (Issue((), "a time that is out of range in UTC", "datetime"),)) from exc
    size = len(options.snapshot.text)
    for commit in commits:
        size += len(commit.snapshot.text)
    has_timer_writes = options.renamed is not None or any(commit.timers for commit in commits)
    return SaveRows(commit_id, workflow, rows, answers, size, has_timer_writes)


class _Times:
    """Times as text, each written once: a save names few moments, and those often."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[int, str] = {}  # by identity, which is cheaper than to hash an aware datetime

    def text(self, moment: datetime) -> str:
        """Return a time as it is stored."""
        text = self._known.get(id(moment))
        if text is None:
            text = self._known[id(moment)] = time_text(moment)
        return text


def _workflow_row(options: SaveOptions, commit_id: str, times: _Times) -> Row:
    snapshot = options.snapshot
    entered, began = _entered(options.commits)
    return (
        snapshot.text,
        snapshot.model_version,
        snapshot.version,
        commit_id,
        times.text(snapshot.created_at),
        times.text(snapshot.updated_at),
        entered and times.text(entered),
        began and times.text(began),
        snapshot.state,
        snapshot.definition,
        options.expected_commit_id,
        options.expected_version,
        options.id,
        options.has_timers,
    )


def _entered(commits: Sequence[NewCommit]) -> tuple[datetime | None, datetime | None]:
    """Return when the last state was entered, by what the commits themselves tell.

    The first time stands where a commit came from another state than the last one's. The second is that of the first
    commit, which entered the state if the stored row is in another one.
    """
    if not commits:
        return None, None  # nothing happened: a migration that renames a state does not enter it
    if len(commits) > 1:
        for before, after in zip(commits[-2::-1], commits[:0:-1], strict=True):
            if before.snapshot.state != after.snapshot.state:
                return after.snapshot.updated_at, None
    return None, commits[0].snapshot.updated_at


def _commit_row(commit: NewCommit, times: _Times) -> Row:
    snapshot, command = commit.snapshot, commit.command
    return (
        commit.id,
        snapshot.id,
        snapshot.version,
        snapshot.definition,
        None if command is None else command.type,
        None if command is None else command.text,
        _events_text(commit.events),
        snapshot.state,
        snapshot.text,
        snapshot.model_version,
        to_text(commit.metadata) if commit.metadata else "{}",
        commit.idempotency_key,
        times.text(snapshot.created_at),
        times.text(snapshot.updated_at),
        times.text(commit.recorded_at),
    )


def _answer_row(commit: NewCommit, times: _Times) -> Row:
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
        times.text(snapshot.created_at),
        times.text(snapshot.updated_at),
        _events_text(commit.events),
    )


def _events_text(events: Sequence[RecordedMessage]) -> str:
    if not events:
        return "[]"
    return "[" + ",".join(f'{{"type":{_name_text(event.type)},"data":{event.text}}}' for event in events) + "]"


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
