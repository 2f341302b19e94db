"""Commits: what each accepted command leaves behind."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Self

from typing_extensions import TypeVar

from .metadata import NO_METADATA as NO_METADATA  # noqa: PLC0414 - stores know it from here
from .metadata import Metadata
from .plain import to_text, to_value
from .snapshot import Frozen, WorkflowSnapshot, born
from .timer import TimerWrite

EventT = TypeVar("EventT", covariant=True, default=Any)


class _Ids:
    """Ids that no other process gives: 8 random bytes of this process's own, and a counter from a random start."""

    def __init__(self) -> None:
        self.renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self._prefix = os.urandom(8).hex()
        self._count = itertools.count(int.from_bytes(os.urandom(6), "big"))

    def next(self) -> str:
        return f"{self._prefix}{next(self._count):016x}"


new_id = _Ids().next
"""Return a fresh id of 32 hexadecimal digits, of which no other save in the world has the same."""


class RecordedMessage(Frozen):
    """A command or event as it was recorded: its stored name and its stored form.

    Args:
        type: The stored name.
        data: The stored form: JSON-compatible data. Decoded afresh at each access.
    """

    type: str
    text: str
    """`data` as JSON text, as it is kept."""

    __match_args__ = ("type", "data")

    def __init__(self, type: str, data: Any) -> None:
        self.__dict__.update(type=type, text=to_text(data))

    @classmethod
    def of_text(cls, type: str, text: str) -> Self:
        """Make a message of data that is JSON text already, unchecked."""
        return born(cls, {"type": type, "text": text})

    @property
    def data(self) -> Any:
        """The stored form, decoded afresh."""
        return to_value(self.text)

    def to_dict(self) -> dict[str, Any]:
        """Return the message as JSON-safe data."""
        return {"type": self.type, "data": self.data}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RecordedMessage):
            return NotImplemented
        return self.type == other.type and (self.text == other.text or self.data == other.data)

    def __hash__(self) -> int:
        return hash(self.type)

    def __repr__(self) -> str:
        # Without the data: a commit may be logged, and nobody knows here which fields are server-only.
        return f"RecordedMessage(type={self.type!r})"


@dataclass(frozen=True)
class NewCommit:
    """A commit that has not been saved: it has no position yet."""

    id: str
    """A fresh random id: whose commit this is, when the outcome of a save was lost."""
    snapshot: WorkflowSnapshot
    """The workflow after this commit."""
    command: RecordedMessage | None
    """What was accepted; `None` for `create`."""
    events: tuple[RecordedMessage, ...]
    recorded_at: datetime
    metadata: Mapping[str, Any] = field(default_factory=lambda: NO_METADATA)
    idempotency_key: str | None = None
    fingerprint: str | None = field(default=None, repr=False)
    """With a key: canonical JSON of the command's fields that were set, to know the same command again."""
    timers: tuple[TimerWrite, ...] = ()
    """What happens to the workflow's timers, in order."""

    def __post_init__(self) -> None:
        _protect_metadata(self)

    @property
    def version(self) -> int:
        """The workflow's version after this commit."""
        return self.snapshot.version

    @property
    def size(self) -> int:
        """About how many characters of data it holds."""
        command = 0 if self.command is None else len(self.command.text)
        return len(self.snapshot.text) + command + sum(len(event.text) for event in self.events)

    def at(self, position: int) -> Commit:
        """Return the commit as it is once a position was given to it."""
        return Commit(
            position=position,
            id=self.id,
            workflow_id=self.snapshot.id,
            definition=self.snapshot.definition,
            version=self.snapshot.version,
            command=self.command,
            events=self.events,
            state=self.snapshot.state,
            model_version=self.snapshot.model_version,
            metadata=self.metadata,
            idempotency_key=self.idempotency_key,
            recorded_at=self.recorded_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One accepted command, as it was recorded. Messages are never decoded here."""

    position: int
    """Its place among all commits of the store: from 1, rising, with gaps where workflows were forgotten."""
    id: str
    """The commit's own random id, by which a consumer can drop a repetition."""
    workflow_id: str
    definition: str
    version: int
    """The workflow's version after this commit."""
    command: RecordedMessage | None
    """`None` for a workflow that was stored by `create`."""
    events: tuple[RecordedMessage, ...]
    state: str
    """Stored name of the state after this commit."""
    model_version: int
    metadata: Mapping[str, Any]
    idempotency_key: str | None
    recorded_at: datetime
    """Aware; never goes back within a workflow."""

    def __post_init__(self) -> None:
        _protect_metadata(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the commit as JSON-safe data."""
        return {
            "position": self.position,
            "id": self.id,
            "workflow_id": self.workflow_id,
            "definition": self.definition,
            "version": self.version,
            "command": self.command.to_dict() if self.command else None,
            "events": [event.to_dict() for event in self.events],
            "state": self.state,
            "model_version": self.model_version,
            "metadata": dict(self.metadata),
            "idempotency_key": self.idempotency_key,
            "recorded_at": self.recorded_at.isoformat(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowCommit(Generic[EventT]):
    """One accepted command with its events decoded, as an executor gives it.

    An event that no longer decodes with today's code stays a `RecordedMessage`.
    """

    position: int
    id: str
    workflow_id: str
    definition: str
    version: int
    command: RecordedMessage | None
    events: tuple[EventT | RecordedMessage, ...] = field(repr=False)
    state: str
    model_version: int
    metadata: Mapping[str, Any]
    idempotency_key: str | None
    recorded_at: datetime

    def __post_init__(self) -> None:
        _protect_metadata(self)


def _protect_metadata(commit: NewCommit | Commit | WorkflowCommit[Any]) -> None:
    if not isinstance(commit.metadata, Metadata):
        object.__setattr__(commit, "metadata", Metadata(commit.metadata))
