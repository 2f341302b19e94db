"""What a handler is told and may say: the context of one dispatch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar, overload

from ..errors import InvalidDataError, Issue, mark_fresh
from .annotation import called
from .commit import RecordedMessage
from .definition import Definition
from .dependency import Faults, guard
from .parameters import ContextDepsT, ContextEventT
from .plain import flaw
from .snapshot import StoredWorkflow
from .timer import CancelledTimer, ScheduledTimer, TimerChange

T = TypeVar("T")


class ContextKey(Generic[T]):
    """A typed key of a context's bag. Keys are compared by identity, so that two modules never collide.

    Args:
        name: What messages call the key.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"ContextKey({self.name!r})"


class Bag:
    """A typed bag that travels from the executor's middleware to the handler, fresh for each attempt."""

    _items: dict[ContextKey[Any], Any]

    def __getitem__(self, key: ContextKey[T]) -> T:
        try:
            value: T = self._items[key]
        except KeyError:
            raise KeyError(f"nothing was put under {key!r} in this context") from None
        return value

    def __setitem__(self, key: ContextKey[T], value: T) -> None:
        if not isinstance(key, ContextKey):
            raise TypeError(f"a context's keys are ContextKeys, found {type(key).__name__}")
        self._items[key] = value

    def __contains__(self, key: object) -> bool:
        return key in self._items

    @overload
    def get(self, key: ContextKey[T]) -> T | None: ...
    @overload
    def get(self, key: ContextKey[T], default: T) -> T: ...
    def get(self, key: ContextKey[T], default: T | None = None) -> T | None:
        """Return what was put under a key, or the default."""
        return self._items.get(key, default)


class Context(Bag, Generic[ContextEventT, ContextDepsT]):
    """What a handler is told about the workflow, and how it emits events and sets timers.

    One context serves one dispatch. Annotate it with the events that the handler may emit and with its dependencies:
    `Context[OrderPlaced, Deps]`.
    """

    # Said by few handlers, so that a context begins without them.
    _deps: Any = None
    _faults: Faults | None = None
    _events: tuple[Any, ...] = ()
    _recorded: tuple[RecordedMessage, ...] = ()
    _timers: tuple[TimerChange, ...] = ()
    _is_closed: bool = False

    id: Final[str]
    """The workflow's id."""
    version: Final[int]
    """The version before this command; 0 before creation."""
    now: Final[datetime]
    """The present, aware, in UTC: one instant for the whole dispatch, from the router's clock."""

    def __init__(
        self,
        definition: Definition,
        id: str,
        version: int,
        now: datetime,
        state: str | None,
        data: Any,
        command: Any,
        metadata: Mapping[str, Any],
        items: dict[ContextKey[Any], Any],
    ) -> None:
        self._definition = definition
        self.id = id
        self.version = version
        self.now = now
        self._state = state
        self._data = data
        self._command = command
        self._metadata = metadata
        self._items = items

    def _give(self, deps: Any, *, guarded: bool) -> None:
        """Let the handler have dependencies, guarded to tell their failures from bugs."""
        if guarded:
            self._faults = Faults()
            deps = guard(deps, self._faults)
        self._deps = deps

    @property
    def deps(self) -> ContextDepsT:
        """The router's dependencies."""
        deps: ContextDepsT = self._deps
        return deps

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the caller sent beside the command; empty if nothing was."""
        return self._metadata

    @property
    def state(self) -> str | None:
        """Stored name of the state before this command; `None` before creation."""
        return self._state

    @property
    def data(self) -> Any:
        """The state's data before this command, as the handler was given it; `None` before creation."""
        return self._data

    @property
    def command(self) -> Any:
        """The validated command."""
        return self._command

    @property
    def events(self) -> tuple[Any, ...]:
        """What was emitted so far, in order."""
        return self._events

    def emit(self, event: ContextEventT) -> None:
        """Say that something happened; it is recorded with the save, or not at all.

        Raises:
            InvalidDataError: (`source="event"`) The event's class is not declared, or its data could not be stored.
        """
        self._check_open()
        schema = self._definition.events.by_type.get(type(event))
        if schema is None:
            declared = ", ".join(member.type.__name__ for member in self._definition.events) or "none"
            issue = Issue((), f"expected one of {declared}, found {called(event)}", "undeclared_event")
            raise mark_fresh(InvalidDataError("event", [issue], subject=f"{self._definition.name} event"))
        text, loaded = schema.accept(event)
        self._events = (*self._events, loaded)
        self._recorded = (*self._recorded, RecordedMessage.of_text(schema.name, text))

    @overload
    def schedule(self, command: object, *, delay: timedelta, key: str | None = None, keep: bool = False) -> None: ...
    @overload
    def schedule(self, command: object, *, at: datetime, key: str | None = None, keep: bool = False) -> None: ...
    def schedule(
        self,
        command: object,
        *,
        delay: timedelta | None = None,
        at: datetime | None = None,
        key: str | None = None,
        keep: bool = False,
    ) -> None:
        """Have a command executed later; saved with the state.

        The timer belongs to the state that the handler returns: leaving that state cancels it.

        Args:
            command: A declared command.
            delay: How long after the store's present, or after `ctx.now` where the router has a clock; not negative.
            at: When, aware.
            key: The timer's name within the workflow; its command's stored name if not given. Scheduling a key again
                replaces the timer.
            keep: Keep the timer when the state is left.

        Raises:
            InvalidDataError: (`source="argument"`, or `"command"`) The time, key or command is invalid.
        """
        self._check_open()
        schema = self._definition.commands.by_type.get(type(command))
        if schema is None:
            declared = ", ".join(member.type.__name__ for member in self._definition.commands)
            raise self._refused("command", f"expected one of {declared}, found {called(command)}")
        if (delay is None) == (at is None):
            raise self._refused("argument", "give either delay or at")
        if at is not None and (not isinstance(at, datetime) or at.utcoffset() is None):
            raise self._refused("argument", "at is an aware datetime")
        if delay is not None and (not isinstance(delay, timedelta) or delay < timedelta()):
            raise self._refused("argument", "delay is a timedelta that is not negative")
        text, _ = schema.accept(command)
        message = RecordedMessage.of_text(schema.name, text)
        timer = ScheduledTimer(self._key(schema.name if key is None else key), message, delay, at, keep)
        self._timers = (*self._timers, timer)

    def cancel(self, key: str) -> None:
        """Cancel a timer by its key; a key that is not scheduled is none of anybody's business.

        Raises:
            InvalidDataError: (`source="argument"`) The key is no key.
        """
        self._check_open()
        self._timers = (*self._timers, CancelledTimer(self._key(key)))

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("the handler has returned: what is said now would be lost, so say it before")

    def _key(self, key: object) -> str:
        if not isinstance(key, str) or not 1 <= len(key) <= 255 or flaw(key):
            raise self._refused("argument", "a timer's key is a string of 1 to 255 characters")
        return key

    def _refused(self, source: Any, message: str) -> InvalidDataError:
        subject = f"{self._definition.name} timer"
        return mark_fresh(InvalidDataError(source, [Issue((), message, "invalid_timer")], subject=subject))


class Execution(Bag):
    """What an executor's middleware is told about one attempt at a command."""

    id: Final[str]
    """The workflow's id."""
    command: Final[Any]
    """The validated command."""
    stored: Final[StoredWorkflow | None]
    """The workflow as it is stored, or about to be by the commands before; `None` only for a command that creates."""
    metadata: Final[Mapping[str, Any]]
    """What the caller sent beside the command; empty if nothing was."""
    expected_version: Final[int | None]
    """The version that the caller expects, if any."""
    replayed: Final[bool]
    """Whether the command was accepted before: the first answer is given again in the place of the handler."""

    def __init__(
        self,
        id: str,
        command: Any,
        stored: StoredWorkflow | None,
        metadata: Mapping[str, Any],
        expected_version: int | None,
        replayed: bool,  # noqa: FBT001 - one caller, who has the attributes in this order
    ) -> None:
        self._items = {}
        self.id = id
        self.command = command
        self.stored = stored
        self.metadata = metadata
        self.expected_version = expected_version
        self.replayed = replayed


def read_only(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a read-only view of a mapping."""
    return metadata if isinstance(metadata, MappingProxyType) else MappingProxyType(dict(metadata))
