"""Reading annotations: strings, aliases and unions, down to classes."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ForwardRef, Never, NoReturn, Union, get_args, get_origin
from typing import Never as ExtensionNever

from typing_extensions import TypeAliasType

NOTHING = type(None)
_NEVER = (Never, NoReturn, ExtensionNever)
# PEP 695 aliases of Python 3.12 are another class than the backport's.
_ALIASES: tuple[type[Any], ...] = tuple({TypeAliasType, getattr(__import__("typing"), "TypeAliasType", TypeAliasType)})


def members(annotation: Any, scope: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the members of an annotation: unions, aliases and `Annotated` are opened, `Never` has none.

    `None` is yielded as `NoneType`. What is no class is yielded as it is, for the caller to refuse.

    Args:
        annotation: The annotation, or its text.
        scope: The names that a text may use.

    Raises:
        NameError: A text names something that does not exist.
        SyntaxError: A text is no expression.
    """
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        yield from members(eval(annotation, dict(scope)), scope)  # noqa: S307 - the user's own source text
    elif annotation is None or annotation is NOTHING:
        yield NOTHING
    elif annotation in _NEVER:
        return
    elif isinstance(annotation, _ALIASES):
        yield from members(annotation.__value__, scope)
    elif get_origin(annotation) in (Union, types.UnionType):
        for argument in get_args(annotation):
            yield from members(argument, scope)
    elif get_origin(annotation) is Annotated:
        yield from members(get_args(annotation)[0], scope)
    else:
        yield annotation


def spelled(annotation: Any) -> str:
    """Return how an annotation reads, for messages."""
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
