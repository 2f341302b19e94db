"""What a caller asked for, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from .._model.commit import RecordedMessage
from .._model.definition import Definition
from .._model.metadata import NO_METADATA, read_metadata
from .._model.plain import flaw
from .._model.router import record_command
from .._model.schema import Schema
from .._model.workflow import check_id
from ..errors import InvalidDataError, Issue, unsupported
from .lanes import Lanes
from .ports import DueTimer, Fence

if TYPE_CHECKING:
    from .._model.workflow import Workflow

_MAX_KEY = 255


@dataclass(eq=False, slots=True)
class Request:
    """One call of `execute`, `preview` or `create`, checked."""

    id: str
    schema: Schema | None
    """The command's schema; `None` for `create`."""
    command: Any
    text: str
    """The command's stored form."""
    expected_version: int | None
    key: str | None
    fingerprint: str | None
    """With a key: the stored form of the fields that were set."""
    metadata: Mapping[str, Any]
    initial: Workflow[Any, Any, Any, Any] | None = None
    """What `create` is to store."""
    timer: DueTimer | None = None
    """The timer whose command it is."""
    fence: Fence | None = None
    """The lease under which a worker sends it."""
    is_fresh: bool = field(default=True, init=False)
    """No handler has seen the command yet."""
    fields: Any = field(default=None, init=False)
    """What was set in the command, for the next handler that sees it."""

    @classmethod
    def creation(
        cls, id: str, initial: Workflow[Any, Any, Any, Any], metadata: Mapping[str, Any] | None, workflow: str
    ) -> Self:
        """Return a request to store an initial state.

        Raises:
            InvalidDataError: The metadata is not plain data.
        """
        return cls(id, None, None, "", 0, None, None, read_metadata(workflow, metadata), initial)

    def take_command(self) -> Any:
        """Return the command as nobody has changed it yet: a handler may."""
        if self.schema is None:
            return self.command
        if self.is_fresh:
            self.is_fresh = False
            self.fields = self.schema.what_is_set(self.command)
            return self.command
        return self.schema.load_as_set(self.text, self.fields)


def read_request(
    definition: Definition,
    id: Any,
    command: Any,
    expected_version: Any,
    key: Any,
    metadata: Any,
    lanes: Lanes,
) -> Request:
    """Check the arguments, the command's name and its payload, in this order.

    Raises:
        InvalidDataError: An argument or the command is invalid.
        RoutingError: The command is not declared.
        StoreError: The store cannot keep idempotency keys.
    """
    name = definition.name
    check_id(name, id)
    check_version(name, expected_version)
    if key is not None:
        _check_key(name, key)
        if lanes.answers is None:
            raise unsupported(
                f"store {type(lanes.store).__name__} keeps no idempotency keys; implement `recall` (IdempotentStore), "
                "or leave idempotency_key out"
            )
    facts = read_metadata(name, metadata)
    schema, value, text = record_command(definition, command)
    fingerprint = schema.dump(value, exclude_unset=True) if key is not None else None
    return Request(id, schema, value, text, expected_version, key, fingerprint, facts)


def read_delivery(definition: Definition, id: str, message: RecordedMessage, fence: Fence) -> Request:
    """Check a recorded command that a worker delivers.

    Raises:
        InvalidDataError: The id is none, or the command no longer fits its schema.
        RoutingError: The command is not declared (any more).
    """
    check_id(definition.name, id)
    schema, value, text = record_command(definition, {"type": message.type, "payload": message.data})
    fingerprint = schema.dump(value, exclude_unset=True)
    return Request(id, schema, value, text, None, None, fingerprint, NO_METADATA, fence=fence)


def check_version(workflow: str, version: Any, name: str = "expected_version", *, is_optional: bool = True) -> None:
    """Check a version, or another number that counts from 0; `None` where it may be left out.

    Raises:
        InvalidDataError: (`source="argument"`) It is none.
    """
    if (version is None and is_optional) or (type(version) is int and version >= 0):
        return
    raise _argument(workflow, name, f"it is an integer from 0, found {_shown(version)}")


def _check_key(workflow: str, key: Any) -> None:
    if not isinstance(key, str) or not 1 <= len(key) <= _MAX_KEY or flaw(key):
        raise _argument(workflow, "idempotency_key", f"a key is a string of 1 to {_MAX_KEY} characters without NUL")


def _argument(workflow: str, name: str, message: str) -> InvalidDataError:
    issue = Issue((name,), message, f"invalid_{name}")
    return InvalidDataError("argument", [issue], subject=f"{workflow} argument {name!r}")


def _shown(value: Any) -> str:
    return str(value) if type(value) is int else type(value).__name__
