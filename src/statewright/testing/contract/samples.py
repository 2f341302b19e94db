"""What the contract saves: a workflow that counts its own commits."""

# ruff: noqa: S101 - a specification asserts

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ..._engine.ports import SaveOptions, StoreAdapter, StoredWorkflow
from ..._model.commit import NO_METADATA, NewCommit, RecordedMessage, new_id
from ..._model.plain import to_text
from ..._model.snapshot import WorkflowSnapshot
from ...errors import ConcurrencyConflictError

ID = "w-1"
BEGAN = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)

DATA: Mapping[str, Any] = {
    "empty": {},
    "empty_list": [],
    "root_list": [1, "two", None],
    "root_null": None,
    "root_text": "alone",
    "root_number": 7,
    "nulls_and_booleans": {"a": None, "b": True, "c": False, "d": [None]},
    "empty_key": {"": ""},
    "key_order": {"z": 1, "a": 2, "m": {"y": 1, "b": 2}, "10": 0, "9": 0},
    "one_key_in_two_cases": {"key": 1, "KEY": 2},
    "unicode": {"jalapeño": "日本語 العربية עברית", "😀": "🏳️‍🌈 \U0010ffff"},
    "composed_and_decomposed": {"caf\u00e9": "\u00e9", "cafe\u0301": "e\u0301"},
    "control_characters": {"text": "\t\r\n\b\f\x01\x1f\x7f\u2028\u2029\ufeff"},
    "quotes_and_backslashes": {"text": "\"'`\\ \\\\ \\u0000 \\n $1 %s :name {0} --; DROP TABLE w"},
    "big_numbers": {"a": 2**53 + 1, "b": 2**63, "c": -(2**64), "d": 10**40},
    "floats": {"a": 0.1, "b": 1e-7, "c": 1.7976931348623157e308, "d": 5e-324, "e": -0.0},
    "floats_are_no_integers": {"a": 1e2, "b": 100, "c": 100.0, "d": 1e22, "e": 10**22},
    "numbers_as_text": {"a": "1.10", "b": "0012", "c": "1e2", "d": "true", "e": "null"},
    "dates_as_text": {"a": "2026-03-01", "b": "2026-03-01T12:30:15.123456+00:00"},
    "deep": {"nest": 0},
    "large": {"text": "abcdefgh" * 32_768},
    "many_keys": {f"key-{number}": number for number in range(1000)},
}

IDS: tuple[str, ...] = (
    " ",
    "w",
    "W",
    "w ",
    " w",
    "w-1",
    "w-10",
    "w_1",
    "w%",
    "w*",
    "%",
    "_",
    "?",
    "'",
    '"; --',
    "\\",
    "\\x00",
    "a/b?c=d&e#f",
    "../w",
    "null",
    "0",
    "00",
    "0.0",
    "caf\u00e9",
    "cafe\u0301",
    "straße",
    "STRASSE",
    "日本語",
    "\ufb00",
    "😀",
    "tab\tand\nline",
    "\u200b",
    "l" * 255,
    "l" * 254,
    "😀" * 255,
)


def nested(depth: int) -> dict[str, Any]:
    """Return data that is nested this deeply."""
    data: dict[str, Any] = {"n": depth}
    for _ in range(depth):
        data = {"in": [data]}
    return data


def opening(id: str = ID, *, count: int = 1, **facts: Any) -> SaveOptions:
    """Return the save that creates a workflow; for `count` and `facts`, see `following`."""
    return _saving(id, None, count, None, facts)


def following(
    stored: StoredWorkflow | WorkflowSnapshot | SaveOptions,
    *,
    count: int = 1,
    expected_commit_id: str | None = None,
    **facts: Any,
) -> SaveOptions:
    """Return a save that goes on from a version.

    Args:
        stored: Where it goes on from: what was loaded, or what a save has written.
        count: How many commits it holds.
        expected_commit_id: The commit id that the stored row must have.
        **facts: Of each snapshot (`data`, `state`, `definition`, `model_version`, `created_at`) and of each commit
            (`command`, `events`, `metadata`, `idempotency_key`, `fingerprint`, `timers`); `has_timers`, if there
            were timers before.
    """
    before = stored if isinstance(stored, WorkflowSnapshot) else stored.snapshot
    return _saving(before.id, before, count, expected_commit_id, facts)


def _saving(
    id: str, before: WorkflowSnapshot | None, count: int, expected_commit_id: str | None, facts: dict[str, Any]
) -> SaveOptions:
    of_commit = {name: facts.pop(name) for name in _OF_COMMIT if name in facts}
    has_timers: bool = facts.pop("has_timers", False) or bool(of_commit.get("timers"))
    begin = before.version if before is not None else 0
    commits: list[NewCommit] = []
    for version in range(begin + 1, begin + count + 1):
        before = _snapshot(id, before, version, facts)
        commits.append(_commit(before, of_commit))
    return SaveOptions(id, commits[-1].snapshot, begin, tuple(commits), expected_commit_id, has_timers)


def _snapshot(id: str, before: WorkflowSnapshot | None, version: int, facts: Mapping[str, Any]) -> WorkflowSnapshot:
    first = WorkflowSnapshot(id, "order", "Draft", {}, 1, 0, BEGAN, BEGAN)
    changes: dict[str, Any] = {
        "data": {"count": version},
        "version": version,
        "updated_at": BEGAN + timedelta(seconds=version),
    }
    return (before or first).replace(**changes | dict(facts))


def _commit(snapshot: WorkflowSnapshot, facts: Mapping[str, Any]) -> NewCommit:
    usual: dict[str, Any] = {
        "command": RecordedMessage("Count", {"to": snapshot.version}),
        "events": (RecordedMessage("Counted", {"to": snapshot.version}),),
        "metadata": NO_METADATA,
    }
    return NewCommit(id=new_id(), snapshot=snapshot, recorded_at=snapshot.updated_at, **usual | dict(facts))


_OF_COMMIT = ("command", "events", "metadata", "idempotency_key", "fingerprint", "timers")


async def loaded(store: StoreAdapter, id: str = ID) -> StoredWorkflow:
    """Return what is stored, which must be there."""
    stored = await store.load(id)
    assert stored is not None, f"workflow {id!r} was saved, but is not there"
    return stored


async def refused(store: StoreAdapter, options: SaveOptions, *, actual: int) -> None:
    """Save what must lose, and check the facts of the conflict."""
    with pytest.raises(ConcurrencyConflictError) as caught:
        await store.save(options)
    check_conflict(caught.value, options, actual=actual)


def check_conflict(error: ConcurrencyConflictError, options: SaveOptions, *, actual: int) -> None:
    """Check that a conflict says what was found and what was expected; a missing workflow is at version 0."""
    facts = (error.workflow_id, error.expected_version, error.actual_version)
    assert facts == (options.id, options.expected_version, actual)


def check_stored(stored: StoredWorkflow, snapshot: WorkflowSnapshot) -> None:
    """Check that a workflow is stored as it was saved, to the last digit and key."""
    assert stored.version == snapshot.version
    check_same(stored.snapshot, snapshot)


def check_same(found: WorkflowSnapshot, saved: WorkflowSnapshot) -> None:
    """Check that two snapshots are the same, with the order of keys, and with 100.0 told apart from 100."""
    assert found == saved
    assert to_text(found.data) == to_text(saved.data)
    assert found.created_at.utcoffset() is not None
    assert found.updated_at.utcoffset() is not None
