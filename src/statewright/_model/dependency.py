"""Telling a dependency that failed from a bug in the handler that called it.

Handlers get stand-ins for their dependencies. A stand-in does what the object does, and notes which exceptions leave
it. Each class of objects has a class of stand-ins, which has the special methods that the objects have and no others,
so that `callable`, `iter`, `isinstance` and operators find what they would find.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import enum
import inspect
import uuid
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Final

# Values on which nothing can be called that could be blamed on a dependency.
_INERT: Final = (
    *(str, bytes, int, float, complex, bool, type(None), type(Ellipsis), enum.Enum, uuid.UUID, decimal.Decimal),
    *(dt.date, dt.time, dt.timedelta, list, tuple, dict, set, frozenset),
)


class Faults:
    """The exceptions that left a dependency during one dispatch, each with the dependency's name."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: list[tuple[BaseException, str]] = []

    def note(self, error: BaseException, name: str) -> None:
        """Remember that an exception left a call on a dependency."""
        if self.name_of(error) is None:
            self._seen.append((error, name))

    def name_of(self, error: BaseException) -> str | None:
        """Return the name of the dependency that an exception came from, or `None`."""
        return next((name for seen, name in self._seen if seen is error), None)

    def call(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call something of a dependency, and note what leaves it."""
        try:
            return function(*args, **kwargs)
        except StopIteration:
            raise  # an iteration that ends has not failed
        except Exception as error:
            self.note(error, name)
            raise


def guard(deps: Any, faults: Faults) -> Any:
    """Return a stand-in for the dependencies that notes what leaves a call on `deps.<name>`."""
    return _stand_in(deps, None, faults)


def _wrap(value: Any, name: str, faults: Faults) -> Any:
    """Return a stand-in for a value of a dependency, or the value itself where nothing can fail in it."""
    if isinstance(value, _INERT) or issubclass(type(value), _StandIn):
        return value
    if isinstance(value, type) and issubclass(value, BaseException):
        return value  # `except` takes nothing but the very class
    return _stand_in(value, name, faults)


class _StandIn:
    """Stands in for an object. What it needs to know is kept under names that no object has."""

    __slots__ = ("__faults", "__name", "__target", "__weakref__")

    def __init__(self, target: Any, name: str | None, faults: Faults) -> None:
        object.__setattr__(self, "_StandIn__target", target)
        object.__setattr__(self, "_StandIn__name", name)
        object.__setattr__(self, "_StandIn__faults", faults)

    @property  # type: ignore[misc]  # read-only; it is what `isinstance` asks
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]
        return type(self.__target)

    def __getattr__(self, attribute: str) -> Any:
        name = self.__name or attribute
        try:
            value = getattr(self.__target, attribute)
        except AttributeError:
            raise  # asking for what is not there is the handler's mistake
        except Exception as error:
            self.__faults.note(error, name)
            raise
        return _wrap(value, name, self.__faults)

    def __setattr__(self, attribute: str, value: Any) -> None:
        self.__faults.call(self.__name or attribute, setattr, self.__target, attribute, _bare(value))

    def __delattr__(self, attribute: str) -> None:
        self.__faults.call(self.__name or attribute, delattr, self.__target, attribute)


def _bare(value: Any) -> Any:
    """Return the object that a stand-in stands for: dependencies get each other as they are."""
    return object.__getattribute__(value, "_StandIn__target") if issubclass(type(value), _StandIn) else value


def _parts(stand_in: Any) -> tuple[Any, str | None, Faults]:
    get = object.__getattribute__
    return (
        get(stand_in, "_StandIn__target"),
        get(stand_in, "_StandIn__name"),
        get(stand_in, "_StandIn__faults"),
    )


def _named(stand_in: Any) -> tuple[Any, str, Faults]:
    """Return object, name and faults; what is called itself, without an attribute, has the name of its own."""
    target, name, faults = _parts(stand_in)
    return target, name or getattr(target, "__name__", None) or type(target).__name__, faults


# --- special methods -----------------------------------------------------------------------------------------------

_OPERATORS: Final = "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift"
_METHODS: Final = """
    eq ne lt le gt ge neg pos abs invert round trunc floor ceil int float complex index bool len length_hint hash
    str repr bytes format fspath dir contains setitem delitem instancecheck subclasscheck
    reduce_ex reduce copy deepcopy
"""
_SIMPLE: Final = (
    *(f"__{prefix}{name}__" for name in _OPERATORS.split() for prefix in ("", "r", "i")),
    *(f"__{name}__" for name in _METHODS.split()),
)


def _simple(method: str) -> Callable[..., Any]:
    """Return a special method whose outcome is a value like any other."""

    def special(self: Any, *args: Any) -> Any:
        target, name, faults = _named(self)
        return faults.call(name, getattr(type(target), method), target, *map(_bare, args))

    special.__name__ = method
    return special


def _call(self: Any, *args: Any, **kwargs: Any) -> Any:
    target, name, faults = _named(self)
    bare = {key: _bare(value) for key, value in kwargs.items()}
    return _watched(faults.call(name, target, *map(_bare, args), **bare), name, faults)


def _getitem(self: Any, key: Any) -> Any:
    target, name, faults = _parts(self)
    key = _bare(key)
    if name is not None:
        return faults.call(name, type(target).__getitem__, target, key)
    return _wrap(target[key], str(key), faults)  # the dependencies themselves: which of them is in the key


def _iter(self: Any) -> Any:
    target, name, faults = _parts(self)
    if name is not None:
        return _wrap(faults.call(name, iter, target), name, faults)
    return (_wrap(each, str(index), faults) for index, each in enumerate(target))


def _next(self: Any) -> Any:
    target, name, faults = _named(self)
    return faults.call(name, next, target)


def _reversed(self: Any) -> Any:
    target, name, faults = _named(self)
    return _wrap(faults.call(name, reversed, target), name, faults)


def _aiter(self: Any) -> Any:
    target, name, faults = _named(self)
    return _wrap(faults.call(name, aiter, target), name, faults)


async def _anext(self: Any) -> Any:
    target, name, faults = _named(self)
    return await _awaited(faults.call(name, type(target).__anext__, target), name, faults)


def _await(self: Any) -> Generator[Any, Any, Any]:
    target, name, faults = _named(self)
    return _awaited(target, name, faults).__await__()


def _enter(self: Any) -> Any:
    target, name, faults = _named(self)
    return _wrap(faults.call(name, type(target).__enter__, target), name, faults)


def _exit(self: Any, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> Any:
    target, name, faults = _named(self)
    try:
        return type(target).__exit__(target, kind, error, trace)
    except Exception as raised:
        if raised is not error:  # the body's own exception passes through; it was not caused here
            faults.note(raised, name)
        raise


async def _aenter(self: Any) -> Any:
    target, name, faults = _named(self)
    entering = faults.call(name, type(target).__aenter__, target)
    return _wrap(await _awaited(entering, name, faults), name, faults)


async def _aexit(
    self: Any, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> Any:
    target, name, faults = _named(self)
    try:
        return await type(target).__aexit__(target, kind, error, trace)
    except Exception as raised:
        if raised is not error:
            faults.note(raised, name)
        raise


_SPECIAL: Final[dict[str, Callable[..., Any]]] = {
    **{name: _simple(name) for name in _SIMPLE},
    "__call__": _call,
    "__getitem__": _getitem,
    "__iter__": _iter,
    "__next__": _next,
    "__reversed__": _reversed,
    "__aiter__": _aiter,
    "__anext__": _anext,
    "__await__": _await,
    "__enter__": _enter,
    "__exit__": _exit,
    "__aenter__": _aenter,
    "__aexit__": _aexit,
}
_CLASSES: Final[weakref.WeakKeyDictionary[type[Any], type[Any]]] = weakref.WeakKeyDictionary()


def _stand_in(target: Any, name: str | None, faults: Faults) -> Any:
    kind = type(target)
    known = _CLASSES.get(kind)
    if known is None:
        known = _CLASSES[kind] = _class_for(kind)
    return known(target, name, faults)


def _class_for(kind: type[Any]) -> type[Any]:
    attributes: dict[str, Any] = {"__slots__": ()}
    for name, special in _SPECIAL.items():
        # On the class, as the language looks it up; `hasattr` would find what a metaclass has, too.
        owner = next((base for base in kind.__mro__ if name in vars(base)), None)
        if owner is not None:
            attributes[name] = special if vars(owner)[name] is not None else None
    if hasattr(kind, "__dataclass_fields__"):
        attributes["__dataclass_fields__"] = kind.__dataclass_fields__  # `dataclasses` looks at nothing else
    return type(f"StandIn[{kind.__name__}]", (_StandIn,), attributes)


# --- what comes back -----------------------------------------------------------------------------------------------


def _watched(result: Any, name: str, faults: Faults) -> Any:
    """Keep watch over a result that has yet to run: an awaitable, an iterator, a context to be entered."""
    if inspect.iscoroutine(result):
        return _awaited(result, name, faults)
    if asyncio.isfuture(result):
        return _watched_future(result, name, faults)
    kind = type(result)
    is_context = hasattr(kind, "__aenter__") or hasattr(kind, "__enter__")
    if is_context or hasattr(kind, "__await__") or isinstance(result, Iterator | AsyncIterator):
        return _wrap(result, name, faults)
    return result


def _watched_future(future: asyncio.Future[Any], name: str, faults: Faults) -> asyncio.Future[Any]:
    """Return the very future, because `gather` and its like take nothing else."""

    def note(done: asyncio.Future[Any]) -> None:
        if not done.cancelled() and isinstance(error := done.exception(), Exception):
            faults.note(error, name)

    if future.done():
        note(future)
    else:
        future.add_done_callback(note)
    return future


async def _awaited(awaitable: Any, name: str, faults: Faults) -> Any:
    try:
        result = await awaitable
    except StopAsyncIteration:
        raise
    except Exception as error:
        faults.note(error, name)
        raise
    return _watched(result, name, faults)
