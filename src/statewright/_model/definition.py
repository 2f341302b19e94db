"""What a workflow declares: its states, commands, events and errors, by class and by stored name."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import typing_extensions

from ..errors import DefinitionError, DomainError
from .annotation import NOTHING, members, spelled
from .plain import flaw
from .schema import Kind, Schema

_NAME = re.compile(r"[a-z][a-z0-9-]*")


class Members:
    """The declared classes of one kind.

    Args:
        workflow: Name of the definition, for messages.
        kind: What the classes are declared as.
        types: The classes, in the order of their declaration.
        stored_names: Names other than the class's own.
        scope: The names that annotations of the classes may use.

    Raises:
        DefinitionError: A class cannot be stored, or two of them share a name.
    """

    def __init__(
        self,
        workflow: str,
        kind: Kind,
        types: list[Any],
        stored_names: Mapping[type[Any], str],
        scope: Mapping[str, Any],
    ) -> None:
        self.kind = kind
        self.by_type: dict[type[Any], Schema] = {}
        self.by_name: dict[str, Schema] = {}
        for member in types:
            _check_member(workflow, kind, member)
            name = stored_names.get(member, member.__name__)
            if name in self.by_name:
                other = self.by_name[name].type.__qualname__
                raise DefinitionError(
                    f"workflow {workflow!r}: {kind}s {other} and {member.__qualname__} share the stored name {name!r}; "
                    "give one of them another in stored_names"
                )
            self.by_type[member] = self.by_name[name] = Schema(workflow, kind, member, name, scope)
        self.classes: Mapping[str, type[Any]] = MappingProxyType({n: m.type for n, m in self.by_name.items()})

    def __iter__(self) -> Iterator[Schema]:
        return iter(self.by_type.values())


class Definition:
    """A workflow's definition, checked."""

    def __init__(
        self,
        name: str,
        model_version: int,
        arguments: tuple[Any, Any, Any, Any],
        stored_names: Mapping[type[Any], str],
        scope: Mapping[str, Any],
    ) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise DefinitionError(f"a workflow's name matches [a-z][a-z0-9-]*, found {name!r}")
        if not isinstance(model_version, int) or isinstance(model_version, bool) or model_version < 1:
            raise DefinitionError(f"workflow {name!r}: model_version is an integer from 1, found {model_version!r}")
        self.name = name
        self.model_version = model_version
        states, commands, events, errors = (_read(name, argument, scope) for argument in arguments)
        _check_stored_names(name, stored_names, {*states, *commands, *events, *errors})
        self.states = Members(name, "state", states, stored_names, scope)
        self.commands = Members(name, "command", commands, stored_names, scope)
        self.events = Members(name, "event", events, stored_names, scope)
        self.errors = _read_errors(name, errors, stored_names)
        _check_no_substates(name, states)


def _read(workflow: str, argument: Any, scope: Mapping[str, Any]) -> list[Any]:
    try:
        return list(dict.fromkeys(members(argument, scope)))
    except Exception as exc:  # the user's own text may fail in any way
        raise DefinitionError(f"workflow {workflow!r}: {spelled(argument)} cannot be resolved: {exc}") from exc


def _read_errors(workflow: str, types: list[Any], stored_names: Mapping[type[Any], str]) -> Mapping[str, type[Any]]:
    found: dict[str, type[Any]] = {}
    for member in types:
        if not isinstance(member, type) or not issubclass(member, DomainError) or member is DomainError:
            raise DefinitionError(f"workflow {workflow!r}: error {spelled(member)} is not a subclass of DomainError")
        name = stored_names.get(member, member.__name__)
        if name in found:
            raise DefinitionError(f"workflow {workflow!r}: two errors share the stored name {name!r}")
        found[name] = member
        if member in stored_names:
            member._stored_name = name
    return MappingProxyType(found)


def _check_member(workflow: str, kind: Kind, member: Any) -> None:
    expected = f"workflow {workflow!r}: a {kind} is a non-generic class that Pydantic can describe, found"
    if member in {NOTHING, Any, object} or not isinstance(member, type):
        raise DefinitionError(f"{expected} {'None' if member is NOTHING else spelled(member)}")
    generic = getattr(member, "__pydantic_generic_metadata__", {})
    if getattr(member, "__parameters__", ()) or generic.get("args"):
        raise DefinitionError(f"{expected} the generic {member.__qualname__}; subclass it with its arguments filled in")
    if typing.is_typeddict(member) or typing_extensions.is_typeddict(member):
        raise DefinitionError(f"{expected} the TypedDict {member.__qualname__}, whose values are plain dicts")
    if issubclass(member, DomainError):
        raise DefinitionError(f"{expected} the error {member.__qualname__}")


def _check_stored_names(workflow: str, stored_names: Mapping[type[Any], str], declared: set[Any]) -> None:
    if not isinstance(stored_names, Mapping):
        found = type(stored_names).__name__
        raise DefinitionError(f"workflow {workflow!r}: stored_names maps classes to names, found {found}")
    for member, name in stored_names.items():
        if member not in declared:
            raise DefinitionError(f"workflow {workflow!r}: stored_names names {spelled(member)}, which is not declared")
        if not isinstance(name, str) or not name.strip() or "/" in name or flaw(name):
            raise DefinitionError(f"workflow {workflow!r}: the stored name {name!r} is not a name")


def _check_no_substates(workflow: str, states: list[Any]) -> None:
    if not states:
        raise DefinitionError(f"workflow {workflow!r} declares no state")
    for state in states:
        for other in states:
            if state is not other and issubclass(state, other):
                raise DefinitionError(
                    f"workflow {workflow!r}: state {state.__qualname__} subclasses state {other.__qualname__}; "
                    "a value belongs to one state, so let both subclass a class that is no state"
                )
