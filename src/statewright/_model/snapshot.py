"""A workflow as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, TypeVar

from .plain import to_text, to_value

T = TypeVar("T")


class Frozen:
    """An object whose attributes are set once, at birth."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be assigned: the object is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted: the object is immutable")


_set = object.__setattr__


def born(cls: type[T], attributes: dict[str, Any]) -> T:
    """Return an immutable object with these attributes, without asking its constructor.

    One assignment of the whole dictionary costs a third of what the assignments of a frozen dataclass do; it is made
    for objects that come once or more for each command.
    """
    thing = cls.__new__(cls)
    _set(thing, "__dict__", attributes)
    return thing


class WorkflowSnapshot(Frozen):
    """A workflow as plain data: what a store keeps.

    Immutable in depth: `data` is decoded afresh at each access, so that changing what it gave changes nothing.

    Args:
        id: The workflow, 1 to 255 characters.
        definition: Name of its definition.
        state: Stored name of its state.
        data: The state's stored form: JSON-compatible data.
        model_version: The definition's `model_version` that wrote it.
        version: Number of commits so far; 0 if it was never stored.
        created_at: When it was first stored; aware.
        updated_at: When it was last stored; aware.

    Raises:
        ValueError: A time is naive, or the data is not storable.
    """

    id: str
    definition: str
    state: str
    model_version: int
    version: int
    created_at: datetime
    updated_at: datetime
    text: str
    """`data` as JSON text, as it is kept."""

    def __init__(
        self,
        id: str,
        definition: str,
        state: str,
        data: Any,
        model_version: int,
        version: int,
        created_at: datetime,
        updated_at: datetime,
    ) -> None:
        for name, moment in (("created_at", created_at), ("updated_at", updated_at)):
            if not isinstance(moment, datetime) or moment.utcoffset() is None:
                raise ValueError(f"snapshot of {id!r}: {name} must be an aware datetime, found {moment!r}")
        self.__dict__.update(
            id=id,
            definition=definition,
            state=state,
            text=to_text(data),
            model_version=model_version,
            version=version,
            created_at=created_at,
            updated_at=updated_at,
        )

    @classmethod
    def of_text(
        cls,
        id: str,
        definition: str,
        state: str,
        text: str,
        model_version: int,
        version: int,
        created_at: datetime,
        updated_at: datetime,
    ) -> Self:
        """Make a snapshot of data that is JSON text already, unchecked: what a store read back."""
        return born(
            cls,
            {
                "id": id,
                "definition": definition,
                "state": state,
                "text": text,
                "model_version": model_version,
                "version": version,
                "created_at": created_at,
                "updated_at": updated_at,
            },
        )

    @property
    def data(self) -> Any:
        """The state's stored form, decoded afresh."""
        return to_value(self.text)

    def replace(self, **changes: Any) -> WorkflowSnapshot:
        """Return a snapshot with some attributes changed.

        Raises:
            TypeError: A change names no attribute.
            ValueError: As the constructor.
        """
        facts: dict[str, Any] = dict(self.__dict__)
        text = facts.pop("text")
        if "data" not in changes:
            merged: dict[str, Any] = {**facts, "data": None, **changes}
            checked = WorkflowSnapshot(**merged)
            checked.__dict__["text"] = text
            return checked
        return WorkflowSnapshot(**{**facts, **changes})

    def to_dict(self) -> dict[str, Any]:
        """Return all attributes as JSON-safe data; times as ISO 8601."""
        return {
            "id": self.id,
            "definition": self.definition,
            "state": self.state,
            "data": self.data,
            "model_version": self.model_version,
            "version": self.version,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Return the snapshot that `to_dict` was called on.

        Raises:
            TypeError: A key is missing or unknown.
            ValueError: A time is no ISO 8601 text with an offset, or the data is not storable.
        """
        times: dict[str, Any] = {
            name: datetime.fromisoformat(facts[name])
            for name in ("created_at", "updated_at")
            if isinstance(facts.get(name), str)
        }
        return cls(**{**facts, **times})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WorkflowSnapshot):
            return NotImplemented
        if self.__dict__ == other.__dict__:
            return True
        return self.to_dict() | _times(self) == other.to_dict() | _times(other)

    def __hash__(self) -> int:
        return hash((self.id, self.definition, self.version))

    def __repr__(self) -> str:
        return (
            f"WorkflowSnapshot(id={self.id!r}, definition={self.definition!r}, state={self.state!r}, "
            f"version={self.version}, model_version={self.model_version})"
        )


@dataclass(frozen=True)
class StoredWorkflow:
    """A workflow as a store holds it."""

    snapshot: WorkflowSnapshot
    version: int
    commit_id: str | None = None
    """Id of the save that wrote the row, where the store compares it, too; `None` where it compares versions only."""
    entered_at: datetime | None = None
    """Since when the workflow is in its state, where the store knows."""
    has_timers: bool = False
    """Whether a timer was ever set for the workflow; where none was, nothing is asked about timers."""

    @property
    def id(self) -> str:
        """The workflow's id."""
        return self.snapshot.id

    @property
    def definition(self) -> str:
        """Name of the workflow's definition."""
        return self.snapshot.definition

    @property
    def state(self) -> str:
        """Stored name of the workflow's state."""
        return self.snapshot.state


def _times(snapshot: WorkflowSnapshot) -> dict[str, Any]:
    # One instant may be written with several offsets.
    return {"created_at": snapshot.created_at, "updated_at": snapshot.updated_at}
