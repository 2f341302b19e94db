"""The `Workflow` base class: what a definition is, and what an instance is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Never, Self, get_args, get_origin

from pydantic import ValidationError
from typing_extensions import get_original_bases

from ..errors import DefinitionError, InvalidDataError, Issue, RestoreError, mark_fresh, settle
from .annotation import called
from .definition import Definition
from .parameters import CommandT, ErrorT, EventT, StateT
from .plain import flaw
from .schema import Schema
from .snapshot import Frozen, WorkflowSnapshot, born
from .visibility import client_schema, client_view

_MAX_ID = 255


class Workflow(Frozen, Generic[StateT, CommandT, EventT, ErrorT]):
    """A thing with a life: subclass it once for each kind of thing.

    ```python
    class Order(Workflow[Draft | Placed, Open | AddItem | Place, OrderPlaced, EmptyOrder], name="order"):
        "An order, from its first item to the till."
    ```

    The four parameters are unions of classes: states, commands, events and errors; the last two default to `Never`.
    An instance is one workflow at one version. It is immutable; `data` is a copy for reading, and changing it changes
    nothing that is decided on or stored.

    Class keywords:
        name: The definition's stored name, `[a-z][a-z0-9-]*`.
        model_version: Rises when the stored form of a state changes; see `Migrations`.
        stored_names: Names in the store other than the class's own, so that a rename in code is none in the store.

    Raises:
        DefinitionError: At the class statement, for whatever is wrong with the definition.
    """

    name: ClassVar[str]
    """The definition's stored name."""
    model_version: ClassVar[int]
    """The version of the stored form that this code writes."""
    states: ClassVar[Mapping[str, type[Any]]]
    """Stored name to class, of each state."""
    commands: ClassVar[Mapping[str, type[Any]]]
    """Stored name to class, of each command."""
    events: ClassVar[Mapping[str, type[Any]]]
    """Stored name to class, of each event."""
    errors: ClassVar[Mapping[str, type[Any]]]
    """Stored name to class, of each error."""

    _definition: ClassVar[Definition]
    _snapshot: WorkflowSnapshot
    _schema: Schema
    _exposed: Any  # what `data` gave
    _private: Any  # loaded, but seen by nobody yet

    if TYPE_CHECKING:

        def __init_subclass__(
            cls, *, name: str, model_version: int = 1, stored_names: Mapping[type[Any], str] | None = None
        ) -> None: ...
    else:

        def __init_subclass__(
            cls,
            *,
            name: str | None = None,
            model_version: int = 1,
            stored_names: Mapping[type[Any], str] | None = None,
            **unknown: Any,
        ) -> None:
            super().__init_subclass__()
            if unknown:
                raise DefinitionError(f"{cls.__qualname__}: unknown class keywords {', '.join(map(repr, unknown))}")
            if name is None:
                raise DefinitionError(f'{cls.__qualname__} needs a name: class {cls.__name__}(..., name="...")')
            if hidden := sorted(_OURS & vars(cls).keys()):
                raise DefinitionError(f"{cls.__qualname__}.{hidden[0]} would hide what every workflow has; rename it")
            caller = sys._getframe(1)
            scope = {**vars(sys.modules[cls.__module__]), **caller.f_globals, **caller.f_locals}
            names = {} if stored_names is None else stored_names
            definition = Definition(name, model_version, _arguments(cls), names, scope)
            cls._definition = definition
            cls.name = definition.name
            cls.model_version = definition.model_version
            cls.states = definition.states.classes
            cls.commands = definition.commands.classes
            cls.events = definition.events.classes
            cls.errors = definition.errors

    def __init__(self) -> None:
        raise TypeError(f"use {type(self).__name__}.create(id, data) or {type(self).__name__}.from_snapshot(snapshot)")

    @classmethod
    def create(cls, id: str, data: StateT) -> Self:  # type: ignore[misc]
        """Return a workflow in an initial state, at version 0: not stored yet.

        Raises:
            InvalidDataError: The id is none (`source="argument"`), or the data is not a storable value of a declared
                state (`source="state"`).
        """
        check_id(cls._definition.name, id)
        schema = cls._definition.states.by_type.get(type(data))
        try:
            if schema is None:
                raise foreign_state(cls._definition, data)
            text, loaded = schema.accept(data)
        except InvalidDataError as error:
            settle(error)
            raise
        now = datetime.now(UTC)
        snapshot = WorkflowSnapshot.of_text(id, cls.name, schema.name, text, cls.model_version, 0, now, now)
        return cls._of(snapshot, schema, loaded)

    @classmethod
    def from_snapshot(cls, snapshot: WorkflowSnapshot) -> Self:
        """Return the workflow that a snapshot was taken of, validated.

        Raises:
            RestoreError: The snapshot is another definition's, of another model version, or its data does not fit.
        """
        if not isinstance(snapshot, WorkflowSnapshot):
            found = type(snapshot).__name__
            raise TypeError(f"from_snapshot takes a WorkflowSnapshot, found {found}; see WorkflowSnapshot.from_dict")
        definition = cls._definition
        schema = definition.states.by_name.get(snapshot.state)
        if snapshot.definition != definition.name:
            found = f"it belongs to definition {snapshot.definition!r}, not {definition.name!r}"
            raise RestoreError(snapshot.id, [Issue((), found, "other_definition")], workflow=definition.name)
        if snapshot.model_version != definition.model_version:
            raise RestoreError(snapshot.id, [_other_model(snapshot, definition)], workflow=definition.name)
        if schema is None:
            declared = ", ".join(definition.states.by_name)
            found = f"its state {snapshot.state!r} is not declared; declared: {declared}"
            raise RestoreError(snapshot.id, [Issue(("state",), found, "unknown_state")], workflow=definition.name)
        try:
            return cls._of(snapshot, schema, schema.load(snapshot.text))
        except ValidationError as exc:
            raise RestoreError(snapshot.id, schema.issues_of(exc), workflow=definition.name) from None
        except Exception as exc:  # a validator of the user's own may raise anything
            issue = Issue((), f"its schema raised {type(exc).__name__}", "schema_failed")
            raise RestoreError(snapshot.id, [issue], workflow=definition.name) from exc

    @classmethod
    def _of(cls, snapshot: WorkflowSnapshot, schema: Schema, loaded: Any) -> Self:
        return born(cls, {"_snapshot": snapshot, "_schema": schema, "_exposed": None, "_private": loaded})

    def _take(self) -> Any:
        """Return a copy of the state that nobody else has: a handler may change it."""
        # One step, because another thread may ask for `data` at the same time.
        private = self.__dict__.pop("_private", None)
        return self._schema.load(self._snapshot.text) if private is None else private

    @property
    def id(self) -> str:
        """The workflow's id."""
        return self._snapshot.id

    @property
    def state(self) -> str:
        """Stored name of the state."""
        return self._snapshot.state

    @property
    def data(self) -> StateT:
        """The state's data, an instance of the state's class; the same object at each access."""
        exposed = self.__dict__["_exposed"]
        if exposed is None:
            exposed = self.__dict__["_exposed"] = self._take()
        data: StateT = exposed
        return data

    @property
    def version(self) -> int:
        """Number of commits so far; 0 if it was never stored."""
        return self._snapshot.version

    @property
    def created_at(self) -> datetime:
        """When it was first stored."""
        return self._snapshot.created_at

    @property
    def updated_at(self) -> datetime:
        """When it was last stored."""
        return self._snapshot.updated_at

    def to_snapshot(self) -> WorkflowSnapshot:
        """Return the workflow as plain data."""
        return self._snapshot

    def to_client(self) -> dict[str, Any]:
        """Return id, definition, state, version and data as JSON-safe data, without server-only fields."""
        snapshot = self._snapshot
        return {
            "id": snapshot.id,
            "definition": snapshot.definition,
            "state": snapshot.state,
            "version": snapshot.version,
            "data": client_view(self._schema, snapshot.text),
        }

    @classmethod
    def client_schemas(cls) -> dict[str, dict[str, Any]]:
        """Return the JSON Schema of each state's data as a client sees it, by the state's stored name."""
        return {schema.name: client_schema(schema) for schema in cls._definition.states}

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._snapshot == other._snapshot

    def __hash__(self) -> int:
        return hash(self._snapshot)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._snapshot)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self._of(self._snapshot, self._schema, None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, state={self.state!r}, version={self.version})"


_OURS = frozenset(
    name for name in (*vars(Workflow), *Workflow.__annotations__) if not (name.startswith("__") and name.endswith("__"))
)


def _rebuild(cls: type[Workflow[Any, Any, Any, Any]], snapshot: WorkflowSnapshot) -> Workflow[Any, Any, Any, Any]:
    return cls._of(snapshot, cls._definition.states.by_name[snapshot.state], None)


def _arguments(cls: type[Any]) -> tuple[Any, Any, Any, Any]:
    """Return the four parameters that a class, or the nearest of its bases, gave to `Workflow`."""
    for base in cls.__mro__:
        for written in get_original_bases(base) if base is not Workflow else ():
            if get_origin(written) is Workflow:
                given = get_args(written)
                states, commands, events, errors = (*given, Never, Never)[:4]
                return states, commands, events, errors
    raise DefinitionError(f"{cls.__qualname__} must say what it is: Workflow[States, Commands, Events, Errors]")


def _other_model(snapshot: WorkflowSnapshot, definition: Definition) -> Issue:
    found, code = snapshot.model_version, definition.model_version
    if found > code:
        return Issue(("model_version",), f"model version {found} is newer than this code's {code}", "newer_model")
    return Issue(("model_version",), f"model version {found} needs migrations to this code's {code}", "older_model")


def foreign_state(definition: Definition, data: object) -> InvalidDataError:
    """Return the error for a value that belongs to no declared state."""
    expected = ", ".join(schema.type.__name__ for schema in definition.states)
    issue = Issue((), f"expected one of {expected}, found {called(data)}", "undeclared_state")
    return mark_fresh(InvalidDataError("state", [issue], subject=f"{definition.name} state"))


def check_id(definition: str, id: object) -> None:
    """Check a workflow's id: 1 to 255 characters, no NUL, storable as UTF-8.

    Raises:
        InvalidDataError: (`source="argument"`) It is none.
    """
    if not isinstance(id, str):
        found = f"an id is a string, found {type(id).__name__}"
    elif not 1 <= len(id) <= _MAX_ID:
        found = f"an id has 1 to {_MAX_ID} characters, found {len(id)}"
    elif unstorable := flaw(id):
        found = f"an id is storable text, found {unstorable}"
    else:
        return
    raise InvalidDataError("argument", [Issue(("id",), found, "invalid_id")], subject=f"{definition} argument 'id'")
