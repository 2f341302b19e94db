"""Reading annotations: strings, aliases and unions, down to classes."""

from __future__ import annotations

import types
import typing
from collections.abc import Awaitable, Generator, Iterator, Mapping
from typing import Annotated, Any, ForwardRef, Never, NoReturn, Union, get_args, get_origin

from typing_extensions import TypeAliasType

NOTHING = type(None)
_NEVER = (Never, NoReturn)
# PEP 695 aliases of Python 3.12 are another class than the backport's.
_ALIASES: tuple[type[Any], ...] = tuple({TypeAliasType, getattr(typing, "TypeAliasType", TypeAliasType)})


def members(annotation: Any, scope: Mapping[str, Any], *, awaited: bool = False) -> Iterator[Any]:
    """Yield the members of an annotation: unions, aliases and `Annotated` are opened, `Never` has none.

    `None` is yielded as `NoneType`. What is no class is yielded as it is, for the caller to refuse.

    Args:
        annotation: The annotation, or its text.
        scope: The names that a text may use.
        awaited: Whether an awaitable stands for what it gives.

    Raises:
        NameError: A text names something that does not exist.
        SyntaxError: A text is no expression.
    """
    for part in _parts(annotation, scope, awaited=awaited):
        if part is annotation:
            yield part
        else:
            yield from members(part, scope, awaited=awaited)


def _parts(annotation: Any, scope: Mapping[str, Any], *, awaited: bool) -> tuple[Any, ...]:
    """Return what an annotation stands for, one step on; the annotation itself where there is no further step."""
    if isinstance(annotation, ForwardRef):
        return (annotation.__forward_arg__,)
    if isinstance(annotation, str):
        return (eval(annotation, dict(scope)),)  # noqa: S307 - the user's own source text
    if isinstance(annotation, _ALIASES):
        return (annotation.__value__,)
    if annotation in _NEVER:
        return ()
    origin = get_origin(annotation)
    return (NOTHING if annotation is None else annotation,) if origin is None else _opened(annotation, origin, awaited)


def _opened(annotation: Any, origin: Any, awaited: bool) -> tuple[Any, ...]:  # noqa: FBT001 - one caller
    arguments = get_args(annotation)
    if origin in (Union, types.UnionType):
        return arguments
    if origin is Annotated:
        return arguments[:1]
    if isinstance(origin, _ALIASES):
        return (origin.__value__[arguments],)
    if awaited and isinstance(origin, type) and issubclass(origin, (Awaitable, Generator)):
        return arguments[-1:]
    return (annotation,)


def spelled(annotation: Any) -> str:
    """Return how an annotation reads, for messages."""
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)


def called(value: object) -> str:
    """Return what to call a value of a wrong class in a message; a class itself was given in an instance's place."""
    return f"the class {value.__name__} itself" if isinstance(value, type) else type(value).__name__
