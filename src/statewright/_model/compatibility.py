"""A definition's schemas, written down and compared with what the code says later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from ..errors import DefinitionError
from .definition import Members
from .narrowing import Difference, differences
from .workflow import Workflow

FORMAT: Final = 1
"""The version of the written form itself."""

MemberKind: TypeAlias = Literal["state", "event", "command"]

_ADVICE: Final[Mapping[str, str]] = {
    "state": "stored workflows need a migration",
    "event": "recorded events need migrations.event",
    "command": "clients and waiting timers may still send what it was",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a definition since its schemas were written down."""

    kind: MemberKind
    member: str
    """Stored name of the state, event or command."""
    path: tuple[str, ...]
    """Which field; empty for the class itself."""
    what: str
    needs_migration: bool
    """Whether something that was stored, recorded or sent would be refused or lose data."""

    def to_dict(self) -> dict[str, Any]:
        """Return the change as JSON-safe data."""
        return {
            "kind": self.kind,
            "member": self.member,
            "path": list(self.path),
            "what": self.what,
            "needs_migration": self.needs_migration,
        }

    def __str__(self) -> str:
        place = ".".join((self.member, *self.path))
        return f"{self.kind} {place}: {self.what}" + (f" ({_ADVICE[self.kind]})" if self.needs_migration else "")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What has changed, and whether the code has drawn the consequence."""

    written_version: int
    """The `model_version` that was written down."""
    code_version: int
    """The code's `model_version`."""
    changes: tuple[Change, ...]
    is_current: bool
    """Whether writing the schemas down again would give the same."""

    @property
    def needs_migration(self) -> bool:
        """Whether any change needs one."""
        return any(change.needs_migration for change in self.changes)

    @property
    def is_safe(self) -> bool:
        """Whether the code may be deployed: whatever needs a migration has a higher `model_version`."""
        if self.needs_migration:
            return self.code_version > self.written_version
        return self.code_version >= self.written_version


def describe(workflow: type[Workflow[Any, Any, Any, Any]]) -> dict[str, Any]:
    """Return a definition's schemas as JSON-safe data, to be kept beside the code.

    States and events are described as they are written to a store, commands as they are accepted.
    """
    definition = workflow._definition
    return {
        "statewright": FORMAT,
        "definition": definition.name,
        "model_version": definition.model_version,
        "states": {schema.name: schema.view.stored_schema for schema in definition.states},
        "events": {schema.name: schema.view.stored_schema for schema in definition.events},
        "commands": {schema.name: schema.view.accepted_schema for schema in definition.commands},
    }


def compare(written: Mapping[str, Any], workflow: type[Workflow[Any, Any, Any, Any]]) -> Comparison:
    """Compare schemas that were written down with what the code says now.

    Args:
        written: What `describe` gave.
        workflow: The class as it is now.

    Raises:
        DefinitionError: What was written describes another definition, or is none of ours.
    """
    definition = workflow._definition
    if written.get("statewright") != FORMAT or not isinstance(written.get("model_version"), int):
        raise DefinitionError(f"these are no schemas of a workflow, or of another format than {FORMAT}")
    if written.get("definition") != definition.name:
        raise DefinitionError(f"these are the schemas of {written.get('definition')!r}, not of {definition.name!r}")
    changes = (
        *_changes("state", written["states"], definition.states),
        *_changes("event", written["events"], definition.events),
        *_changes("command", written["commands"], definition.commands),
    )
    is_current = dict(written) == describe(workflow)
    return Comparison(written["model_version"], definition.model_version, changes, is_current)


def _changes(kind: MemberKind, written: Mapping[str, Any], members: Members) -> Iterator[Change]:
    added = [name for name in members.by_name if name not in written]
    for name, old in written.items():
        if name not in members.by_name:
            yield Change(kind, name, (), f"is gone{_renamed(name, added)}", needs_migration=True)
            continue
        schema = members.by_name[name]
        accepts = schema.view.accepted_schema
        writes = accepts if kind == "command" else schema.view.stored_schema
        noise = differences(writes, accepts)  # what the two ways to describe one class disagree in
        for each in differences(old, accepts):
            if each not in noise:
                yield Change(kind, name, each.path, each.what, needs_migration=_is_grave(kind, each))
    for name in added:
        yield Change(kind, name, (), "is new", needs_migration=False)


def _is_grave(kind: MemberKind, found: Difference) -> bool:
    """Return whether a difference needs a migration: a state also for what the next save would drop."""
    return found.is_refused or (kind == "state" and found.kind == "removed")


def _renamed(name: str, added: list[str]) -> str:
    if not added:
        return ""
    return f"; if {' or '.join(added)} is its new name, keep the old one: stored_names={{{added[0]}: {name!r}}}"
