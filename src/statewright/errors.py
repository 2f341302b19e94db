"""Every error that Statewright names.

```
StatewrightError
├── DefinitionError                 wrong definition or wiring; raised at once
├── MigrationError                  a broken chain of migrations, or a step that failed
└── ExecutionError                  what a Failure carries
    ├── DomainError                 domain       yours to subclass: a refusal by your own rules
    ├── InvalidDataError            validation   an argument, command, state, event or error that its schema refuses
    ├── RoutingError                router       nothing is registered for this command, state or pair
    ├── DependencyError             dependency   a call on a dependency failed
    ├── NotFoundError               not_found    no workflow with this id
    ├── ConcurrencyConflictError    conflict     someone saved first
    ├── RestoreError                restore      what is stored does not load with this code
    ├── IdempotencyError            idempotency  the key was used with another command
    ├── StoreError                  store        the store failed
    │   ├── StoreUnavailableError                nothing was saved
    │   │   └── LeaseLostError                   a worker's lease has passed to another one
    │   ├── OutcomeUnknownError                  it may have been saved
    │   └── PositionPrunedError                  what was asked for has been pruned
    └── UnexpectedError             unexpected   a bug: see __cause__
```

An error keeps its facts as attributes and words its own message. All of them survive `pickle` and `copy`, and
`to_dict()` gives a form that `json.dumps` takes.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, TypeAlias, dataclass_transform

from pydantic import Field, ValidationError
from pydantic_core import to_jsonable_python

from ._fields import FieldSchema, own_fields
from ._mark import View

__all__ = [
    "ConcurrencyConflictError",
    "DataSource",
    "DefinitionError",
    "DependencyError",
    "DomainError",
    "ExecutionError",
    "IdempotencyError",
    "InvalidDataError",
    "Issue",
    "LeaseLostError",
    "MigrationError",
    "NotFoundError",
    "OutcomeUnknownError",
    "PositionPrunedError",
    "RestoreError",
    "RoutingCode",
    "RoutingError",
    "StatewrightError",
    "StoreError",
    "StoreUnavailableError",
    "UnexpectedError",
]

DataSource: TypeAlias = Literal["argument", "command", "state", "event", "error"]
RoutingCode: TypeAlias = Literal["NO_HANDLER", "UNKNOWN_STATE", "UNKNOWN_COMMAND"]


@dataclasses.dataclass(frozen=True, slots=True)
class Issue:
    """One thing that a schema found wrong."""

    path: tuple[str | int, ...]
    """Where: field names and list indexes, from the outside in; empty for the value itself."""
    message: str
    """What was expected. Never quotes the value that was found."""
    type: str
    """A stable name for this kind of problem; Pydantic's own where Pydantic found it."""

    def to_dict(self) -> dict[str, Any]:
        """Return the issue as JSON-safe data."""
        return {"path": list(self.path), "message": self.message, "type": self.type}

    def __str__(self) -> str:
        where = _encodable(".".join(map(str, self.path)))
        return f"{where}: {self.message}" if self.path else self.message


def _rebuild(cls: type[StatewrightError], args: tuple[Any, ...], facts: dict[str, Any]) -> StatewrightError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class StatewrightError(Exception):
    """The root of every error that Statewright raises or returns."""

    _cause_name: str | None = None
    """Class of the cause that an error had in the process that it came from."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls __init__ with `args`; ours take facts by keyword.
        facts = dict(self.__dict__)
        if self.__cause__ is not None:
            facts["_cause_name"] = type(self.__cause__).__name__  # the cause may be of a kind that cannot be pickled
        return _rebuild, (type(self), self.args, facts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __copy__(self) -> StatewrightError:
        twin = _rebuild(type(self), self.args, dict(self.__dict__))
        if "__notes__" in twin.__dict__:
            twin.__notes__ = list(twin.__notes__)
        twin.__cause__ = self.__cause__
        twin.__suppress_context__ = self.__suppress_context__
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> StatewrightError:
        twin = _rebuild(type(self), copy.deepcopy(self.args, memo), copy.deepcopy(self.__dict__, memo))
        twin.__cause__ = self.__cause__
        twin.__suppress_context__ = self.__suppress_context__
        return twin


class DefinitionError(StatewrightError):
    """A workflow, handler, store or executor was defined or wired wrongly; raised at once, where it was."""


class MigrationError(StatewrightError):
    """A chain of migrations is broken, or one of its steps failed.

    Raised when an executor is built over a broken chain; the cause of a `RestoreError` when a step fails.
    """


class ExecutionError(StatewrightError):
    """What a `Failure` carries: the reason why a command was not accepted."""

    category: ClassVar[str] = "execution"
    """A stable, lower-case name for the kind of failure."""
    _facts: ClassVar[tuple[str, ...]] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return category, message and facts as JSON-safe data. Causes are left out."""
        facts = {name: _json_safe(getattr(self, name)) for name in self._facts}
        message = _encodable(str(self))
        return {"category": self.category, "type": type(self).__name__, "message": message, **facts}


def _json_safe(value: Any) -> Any:
    try:
        return _strict(to_jsonable_python(value, fallback=repr, bytes_mode="base64"))
    except Exception:  # noqa: BLE001 - it holds itself, or an object that cannot even be shown
        return f"<{type(value).__name__}>"


def _strict(value: Any) -> Any:
    """Return plain data without what Python writes as JSON and other parsers refuse: NaN, infinity, half characters."""
    match value:
        case str():
            return _encodable(value)
        case float() if not math.isfinite(value):
            return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
        case list():
            return [_strict(item) for item in value]
        case dict():
            return {_encodable(key): _strict(item) for key, item in value.items()}
        case _:
            return value


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class InvalidDataError(ExecutionError):
    """Data that its schema refuses.

    Args:
        source: What was refused: an `argument` of the call, or a `command`, `state`, `event` or `error`.
        issues: What is wrong, one entry for each place.
        subject: What the data was meant to be, for the message, such as `order command 'AddItem'`.
    """

    category = "validation"
    _facts = ("source", "issues")

    def __init__(self, source: DataSource, issues: Iterable[Issue] = (), *, subject: str | None = None) -> None:
        self.source: DataSource = source
        self.issues: tuple[Issue, ...] = tuple(issues)
        self.subject = subject or source
        super().__init__()

    def __str__(self) -> str:
        details = "; ".join(map(str, self.issues)) or "does not fit its schema"
        return f"invalid {self.subject}: {details}"


class RoutingError(ExecutionError):
    """Nothing is registered for this command, state, or the pair of them.

    Args:
        code: `NO_HANDLER` (the pair), `UNKNOWN_STATE` or `UNKNOWN_COMMAND` (not declared by the workflow).
        workflow: The definition's name.
        state: Stored name of the state found; `None` for a workflow that does not exist yet.
        command: Stored name of the command, or the name of the class that was given.
        expected: What would have been accepted.
        workflow_id: The workflow that was found in this state; `None` where it was not looked at.
    """

    category = "router"
    _facts = ("code", "workflow", "workflow_id", "state", "command", "expected")

    def __init__(
        self,
        code: RoutingCode,
        *,
        workflow: str,
        state: str | None,
        command: str,
        expected: Iterable[str] = (),
        workflow_id: str | None = None,
    ) -> None:
        self.code: RoutingCode = code
        self.workflow = workflow
        self.workflow_id = workflow_id
        self.state = state
        self.command = command
        self.expected: tuple[str, ...] = tuple(expected)
        super().__init__()

    def __str__(self) -> str:
        expected = ", ".join(self.expected) or "none"
        match self.code:
            case "NO_HANDLER":
                place = f"in state {self.state!r}" if self.state is not None else "before it exists"
                of = f"{self.workflow_id!r} of " if self.workflow_id is not None else ""
                return (
                    f"workflow {of}{self.workflow!r} has no handler for {self.command!r} {place}; expected: {expected}"
                )
            case "UNKNOWN_STATE":
                return f"workflow {self.workflow!r} has no state {self.state!r}; declared: {expected}"
            case _:
                return f"workflow {self.workflow!r} has no command {self.command!r}; declared: {expected}"


class DependencyError(ExecutionError):
    """A call on a dependency failed, and the handler let it pass; `__cause__` is the original exception.

    Args:
        name: The attribute of `ctx.deps` that failed.
        workflow: Which workflow was being decided, for the message, such as `'o-1' of 'order'`.
    """

    category = "dependency"
    _facts = ("name",)

    def __init__(self, name: str, *, workflow: str | None = None) -> None:
        self.name = name
        self.workflow = workflow
        super().__init__()

    def __str__(self) -> str:
        where = f"workflow {self.workflow}: " if self.workflow else ""
        return f"{where}dependency {self.name!r} failed{_named_cause(self)}"


class NotFoundError(ExecutionError):
    """There is no workflow with this id, and the command does not create one."""

    category = "not_found"
    _facts = ("workflow_id",)

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        super().__init__()

    def __str__(self) -> str:
        return f"workflow {self.workflow_id!r} does not exist, and only a command that creates could begin it"


class ConcurrencyConflictError(ExecutionError):
    """The stored version is not the expected one: someone saved first.

    Args:
        workflow_id: The workflow.
        expected_version: The version that the save was decided on; 0 for "must not exist".
        actual_version: The version found; `None` where it cannot be known (inside a caller's transaction).
    """

    category = "conflict"
    _facts = ("workflow_id", "expected_version", "actual_version")

    def __init__(self, workflow_id: str, expected_version: int, actual_version: int | None = None) -> None:
        self.workflow_id = workflow_id
        self.expected_version = expected_version
        self.actual_version = actual_version
        super().__init__()

    def __str__(self) -> str:
        found = "another version" if self.actual_version is None else f"version {self.actual_version}"
        expected = "it must not exist" if self.expected_version == 0 else f"version {self.expected_version} is expected"
        return f"workflow {self.workflow_id!r} is at {found}, but {expected}; load it again and decide anew"


class RestoreError(ExecutionError):
    """What is stored under this id does not load with this code.

    Also raised for another definition's workflow and for a newer `model_version` than the code's.

    Args:
        workflow_id: The workflow.
        issues: What is wrong, one entry for each place.
    """

    category = "restore"
    _facts = ("workflow_id", "issues")

    def __init__(self, workflow_id: str, issues: Iterable[Issue] = (), *, workflow: str | None = None) -> None:
        self.workflow_id = workflow_id
        self.workflow = workflow
        self.issues: tuple[Issue, ...] = tuple(issues)
        super().__init__()

    def __str__(self) -> str:
        of = f" of {self.workflow!r}" if self.workflow else ""
        details = "; ".join(map(str, self.issues)) or "it does not fit the schema"
        return f"workflow {self.workflow_id!r}{of} cannot be restored: {details}"


class IdempotencyError(ExecutionError):
    """The idempotency key was used before, with another command.

    Args:
        workflow_id: The workflow that the key belongs to.
        key: The idempotency key.
    """

    category = "idempotency"
    _facts = ("workflow_id", "key")

    def __init__(self, workflow_id: str, key: str) -> None:
        self.workflow_id = workflow_id
        self.key = key
        super().__init__()

    def __str__(self) -> str:
        return (
            f"workflow {self.workflow_id!r}: idempotency key {self.key!r} was used with another command; "
            "send a new command under a new key"
        )


class StoreError(ExecutionError):
    """The store failed; `__cause__` is the driver's exception where there is one.

    Args:
        reason: What happened and what to do about it, in one sentence.
    """

    category = "store"
    _facts: ClassVar[tuple[str, ...]] = ("reason",)

    def __init__(self, reason: str = "the store failed") -> None:
        self.reason = reason
        super().__init__()

    def __str__(self) -> str:
        return self.reason


class StoreUnavailableError(StoreError):
    """The store cannot be reached or cannot write now. Nothing was saved, so that trying again is safe."""

    def __init__(self, reason: str = "the store is unavailable; nothing was saved") -> None:
        super().__init__(reason)


class OutcomeUnknownError(StoreError):
    """The save may or may not have happened; only reading back, or an idempotency key, can tell."""

    def __init__(self, reason: str = "the store did not say whether the save happened") -> None:
        super().__init__(reason)


class LeaseLostError(StoreUnavailableError):
    """A worker acted on a lease that has passed to another one; nothing was saved.

    Args:
        name: What the lease is for.
        epoch: The worker's own epoch; a higher one is in force.
    """

    _facts = ("name", "epoch")

    def __init__(self, name: str, epoch: int) -> None:
        self.name = name
        self.epoch = epoch
        super().__init__(f"lease {name!r} of epoch {epoch} has passed to another worker; nothing was saved")


class PositionPrunedError(StoreError):
    """Commits after this position have been pruned; reading on from here would skip some.

    Args:
        after: The position that was asked for.
        horizon: The last position that was pruned; reading may begin here.
    """

    _facts = ("after", "horizon")

    def __init__(self, after: int, horizon: int) -> None:
        self.after = after
        self.horizon = horizon
        super().__init__(
            f"commits up to position {horizon} have been pruned, so reading after {after} would skip some; "
            f"begin at {horizon} or later"
        )


class UnexpectedError(ExecutionError):
    """A bug: something was raised that is no declared refusal; `__cause__` is the original exception.

    Args:
        reason: What was being done, for the message.
    """

    category = "unexpected"

    def __init__(self, reason: str = "unexpected error") -> None:
        self.reason = reason
        super().__init__()

    def __str__(self) -> str:
        return f"{self.reason}{_named_cause(self)}"


def _named_cause(error: StatewrightError) -> str:
    # The class only: the cause's own text may quote what no client may see.
    name = type(error.__cause__).__name__ if error.__cause__ is not None else error._cause_name
    return f" ({name})" if name else ""


# --- refusals ------------------------------------------------------------------------------------------------------


@dataclass_transform(kw_only_default=True, field_specifiers=(Field,))
class DomainError(ExecutionError):
    """A refusal by your own rules: subclass it, annotate its fields, raise it in a handler.

    Fields are keywords, typed and validated like a dataclass's:

    ```python
    class EmptyOrder(DomainError):
        minimum: int = 1


    raise EmptyOrder(minimum=3)
    ```

    Equality and hash are by identity. `str()` names class and fields unless you override `__str__`.

    Raises:
        InvalidDataError: (`source="error"`) where it is constructed with fields that do not fit.
        DefinitionError: At the class statement, for a field whose name exceptions already use.
    """

    category = "domain"
    _schema: ClassVar[FieldSchema | None] = None
    _scope: ClassVar[Mapping[str, Any]] = {}
    _stored_name: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in own_fields(cls):
            if name in _RESERVED or name.startswith("_"):
                raise DefinitionError(
                    f"{cls.__qualname__}.{name}: exceptions already use the name {name!r}; give the field another name"
                )
        caller = sys._getframe(1)
        cls._stored_name = None
        cls._schema = None
        cls._scope = caller.f_locals if caller.f_locals is not caller.f_globals else {}
        try:
            cls._fields()
        except NameError:
            pass  # a forward reference: read again at the first use, when the name exists

    @classmethod
    def _fields(cls) -> FieldSchema:
        if cls._schema is None:
            try:
                cls._schema = FieldSchema(cls, DomainError, cls._scope)
            except NameError:
                raise
            except Exception as exc:
                raise DefinitionError(f"{cls.__qualname__} has a field that Pydantic cannot describe: {exc}") from exc
            cls._scope = {}
        return cls._schema

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__()
        self.args = ()
        if args:
            issue = Issue((), "the fields of an error are given by keyword, not by position", "positional_argument")
            raise self._invalid([issue])
        try:
            self.__dict__.update(self._fields().validate(fields))
        except NameError as exc:
            raise DefinitionError(
                f"{type(self).__qualname__} has an annotation that cannot be resolved: {exc}"
            ) from exc
        except ValidationError as exc:
            raise self._invalid(issues_of(exc, self._fields().view)) from None

    @classmethod
    def _invalid(cls, issues: Iterable[Issue]) -> InvalidDataError:
        return mark_fresh(InvalidDataError("error", issues, subject=f"error {cls.__name__!r}"))

    @property
    def code(self) -> str:
        """The error's stored name: its class name, unless the workflow's `stored_names` says otherwise."""
        return self.__dict__.get("_code") or type(self)._stored_name or type(self).__name__

    @property
    def data(self) -> dict[str, Any]:
        """The fields and their values."""
        return {name: getattr(self, name) for name in self._fields().names}

    def to_dict(self) -> dict[str, Any]:
        """Return category, code, message and fields as JSON-safe data, as a client may see them.

        Causes and server-only fields are left out. The message of an error that has such fields is the plain one, even
        if `__str__` is overridden.
        """
        fields = self._fields()
        try:
            data = _strict(fields.client_view(self.data))
        except Exception:  # noqa: BLE001 - a field changed after construction may no longer fit its own schema
            data = {name: _json_safe(self.data[name]) for name in fields.open_names}
        message = _encodable(DomainError.__str__(self) if fields.view.has_hidden else str(self))
        return {"category": self.category, "code": self.code, "message": message, "data": data}

    def __str__(self) -> str:
        fields = ", ".join(f"{name}={shown}" for name, shown in self._fields().reprs(self.data))
        return f"{type(self).__name__}({fields})"

    def __repr__(self) -> str:
        return DomainError.__str__(self)


_RESERVED = frozenset(dir(DomainError)) | {"_code", "__notes__"}


# --- for the floors above ------------------------------------------------------------------------------------------


def issues_of(error: ValidationError, view: View) -> tuple[Issue, ...]:
    """Return what Pydantic found, without the values that it found and without what the view hides."""
    return tuple(
        Issue(*view.shown(tuple(found["loc"]), found["msg"], found["type"]))
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    )


def mark_fresh(error: InvalidDataError) -> InvalidDataError:
    """Mark an error as found by the running dispatch itself, so that it is told apart from one of a nested call."""
    error.__dict__["_fresh"] = True
    return error


def is_fresh(error: BaseException) -> bool:
    """Return whether the running dispatch found this error itself."""
    return isinstance(error, InvalidDataError) and bool(error.__dict__.get("_fresh"))


def unsupported(reason: str) -> StoreError:
    """Return the error of a store that lacks a capability, marked so that it is told apart from one that failed."""
    error = StoreError(reason)
    error.__dict__["_unsupported"] = True
    return error


def is_unsupported(error: BaseException) -> bool:
    """Return whether a store lacks what was asked of it."""
    return isinstance(error, StoreError) and bool(error.__dict__.get("_unsupported"))


def settle(error: ExecutionError) -> None:
    """Make an error ready to be returned: it is a value from here on, without the way that it came."""
    error.__dict__.pop("_fresh", None)
    error.__traceback__ = None
