"""Telling a dependency that failed from a bug in the handler that called it."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import inspect
import types
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any

# Values that cannot fail: nothing is called on them that could be blamed on a dependency.
_INERT = (
    *(str, bytes, int, float, complex, bool, type(None), type(Ellipsis), enum.Enum, uuid.UUID, decimal.Decimal),
    *(dt.date, dt.time, dt.timedelta, list, tuple, dict, set, frozenset, type, types.ModuleType),
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


def guard(deps: Any, faults: Faults) -> Any:
    """Return a stand-in for the dependencies that notes what leaves a call on `deps.<name>`."""
    return _Deps(deps, faults)


class _Deps:
    """The object behind `ctx.deps`: its attributes are the dependencies."""

    __slots__ = ("__faults", "__target")

    def __init__(self, target: Any, faults: Faults) -> None:
        object.__setattr__(self, "_Deps__target", target)
        object.__setattr__(self, "_Deps__faults", faults)

    @property  # type: ignore[misc]  # read-only; it is what `isinstance` asks
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]
        return type(self.__target)

    def __getattr__(self, name: str) -> Any:
        return wrap(getattr(self.__target, name), name, self.__faults)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__target, name, value)

    def __getitem__(self, key: Any) -> Any:
        return wrap(self.__target[key], str(key), self.__faults)

    def __contains__(self, key: Any) -> bool:
        return key in self.__target

    def __iter__(self) -> Any:
        return iter(self.__target)

    def __len__(self) -> int:
        return len(self.__target)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = getattr(self.__target, "__name__", type(self.__target).__name__)
        return wrap(self.__target, name, self.__faults)(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return bool(self.__target == _bare(other))

    def __hash__(self) -> int:
        return hash(self.__target)

    def __repr__(self) -> str:
        return repr(self.__target)


def wrap(value: Any, name: str, faults: Faults) -> Any:
    """Return a stand-in for a dependency, or the value itself where nothing on it can be called."""
    if isinstance(value, _INERT):
        return value
    return _Guarded(value, name, faults)


def _bare(value: object) -> object:
    if type(value) is _Guarded:
        return value._target
    return object.__getattribute__(value, "_Deps__target") if type(value) is _Deps else value


class _Guarded:
    """A stand-in for a dependency: behaves like it, and notes the exceptions that leave it."""

    __slots__ = ("_faults", "_name", "_target")

    def __init__(self, target: Any, name: str, faults: Faults) -> None:
        object.__setattr__(self, "_target", target)
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_faults", faults)

    @property  # type: ignore[misc]  # read-only; it is what `isinstance` asks
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]
        return type(self._target)

    def __getattr__(self, name: str) -> Any:
        return wrap(getattr(self._target, name), self._name, self._faults)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._target, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._noting(lambda: self._target(*args, **kwargs))

    def _noting(self, call: Callable[[], Any]) -> Any:
        """Call, note what leaves, and keep watch over what comes back if it has yet to run."""
        try:
            result = call()
        except Exception as error:
            self._faults.note(error, self._name)
            raise
        return _watched(result, self._name, self._faults)

    def __await__(self) -> Generator[Any, Any, Any]:
        return _awaited(self._target, self._name, self._faults).__await__()

    def __enter__(self) -> Any:
        return self._noting(lambda: type(self._target).__enter__(self._target))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> Any:
        try:
            return type(self._target).__exit__(self._target, kind, error, trace)
        except Exception as raised:
            if raised is not error:  # the body's own exception is passed through, not caused
                self._faults.note(raised, self._name)
            raise

    async def __aenter__(self) -> Any:
        entered = type(self._target).__aenter__(self._target)
        result = await _awaited(entered, self._name, self._faults)
        return wrap(result, self._name, self._faults)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> Any:
        try:
            return await type(self._target).__aexit__(self._target, kind, error, trace)
        except Exception as raised:
            if raised is not error:
                self._faults.note(raised, self._name)
            raise

    def __iter__(self) -> Any:
        return _Guarded(self._noting_bare(lambda: iter(self._target)), self._name, self._faults)

    def __next__(self) -> Any:
        return self._noting_bare(lambda: next(self._target))

    def __aiter__(self) -> Any:
        return _Guarded(self._noting_bare(lambda: aiter(self._target)), self._name, self._faults)

    async def __anext__(self) -> Any:
        return await _awaited(type(self._target).__anext__(self._target), self._name, self._faults)

    def _noting_bare(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except StopIteration:
            raise
        except Exception as error:
            self._faults.note(error, self._name)
            raise

    def __getitem__(self, key: Any) -> Any:
        return self._noting_bare(lambda: self._target[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._noting_bare(lambda: self._target.__setitem__(key, value))

    def __delitem__(self, key: Any) -> None:
        self._noting_bare(lambda: self._target.__delitem__(key))

    def __contains__(self, key: Any) -> bool:
        return bool(self._noting_bare(lambda: key in self._target))

    def __len__(self) -> int:
        return int(self._noting_bare(lambda: len(self._target)))

    def __bool__(self) -> bool:
        return bool(self._target)

    def __eq__(self, other: object) -> bool:
        return bool(self._target == _bare(other))

    def __hash__(self) -> int:
        return hash(self._target)

    def __repr__(self) -> str:
        return repr(self._target)

    def __str__(self) -> str:
        return str(self._target)


def _watched(result: Any, name: str, faults: Faults) -> Any:
    """Keep watch over a result that has yet to run: an awaitable, an iterator, a context to be entered."""
    if inspect.iscoroutine(result):
        return _awaited(result, name, faults)
    kind = type(result)
    is_context = hasattr(kind, "__aenter__") or hasattr(kind, "__enter__")
    if is_context or hasattr(kind, "__await__") or isinstance(result, Generator | AsyncGenerator):
        return wrap(result, name, faults)
    return result


async def _awaited(awaitable: Any, name: str, faults: Faults) -> Any:
    try:
        result = await awaitable
    except StopAsyncIteration:
        raise
    except Exception as error:
        faults.note(error, name)
        raise
    return _watched(result, name, faults) if not isinstance(awaitable, Coroutine) or _is_context(result) else result


def _is_context(value: Any) -> bool:
    return hasattr(type(value), "__aenter__")
