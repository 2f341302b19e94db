"""Reading a handler: its annotations are its registration."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import DefinitionError
from .annotation import NOTHING, members, spelled
from .definition import Definition

_DEEPEST = 100
"""How many wrappers are looked through: a wrapper may, by mistake, wrap itself."""
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True, eq=False)
class Handler:
    """A handler as it was read."""

    function: Callable[..., Any]
    states: tuple[type[Any], ...]
    """Where it applies; `NoneType` for a workflow that does not exist yet."""
    commands: tuple[type[Any], ...]
    targets: tuple[type[Any], ...]
    """What it may return; `NoneType` for keeping the state."""
    takes_context: bool
    name: str
    where: str
    """File and line, for messages."""

    @property
    def rank(self) -> tuple[int, int]:
        """How general it is: the lowest wins."""
        return len(self.states), len(self.commands)

    def __str__(self) -> str:
        return f"{self.name} ({self.where})"


def read_handler(
    definition: Definition, function: Callable[..., Any], scope: Mapping[str, Any], within: str = "<module>"
) -> Handler:
    """Read a handler's annotations.

    Args:
        definition: What the annotations must name.
        function: Anything callable with a signature that can be read.
        scope: The locals of the code that registers it.
        within: The qualified name of that code.

    Raises:
        DefinitionError: With file and line, for whatever is wrong with it.
    """
    return _Reader(definition, function, scope, within).read()


class _Reader:
    """Reads one handler, and knows how to complain about it."""

    def __init__(
        self, definition: Definition, function: Callable[..., Any], scope: Mapping[str, Any], within: str
    ) -> None:
        self.definition = definition
        self.function = function
        if not callable(function):
            raise DefinitionError(
                f"workflow {definition.name!r}: a handler is a function (state, command[, ctx]) -> state, "
                f"found {type(function).__name__}"
            )
        self.source = source_of(function)
        code = getattr(self.source, "__code__", None)
        self.where = f"{code.co_filename}:{code.co_firstlineno}" if code else "unknown place"
        self.name = getattr(self.source, "__qualname__", None) or type(function).__qualname__
        self.scope = scope_of(self.source, scope, within)

    def read(self) -> Handler:
        if getattr(self.source, "__name__", "") == "<lambda>":
            raise self.wrong("is a lambda, which has no annotations to register it by; write a function")
        signature = self.signature()
        parameters = self.positional(signature)
        states = self.members("state", parameters[0].annotation, self.definition.states.by_type, or_none=True)
        commands = self.members("command", parameters[1].annotation, self.definition.commands.by_type)
        targets = self.members("return", signature.return_annotation, self.definition.states.by_type, or_none=True)
        if not states or not commands:
            raise self.wrong("is annotated to apply to nothing")
        if NOTHING in states and targets == (NOTHING,):
            raise self.wrong("creates a workflow but is annotated to return None; return the first state")
        return Handler(self.function, states, commands, targets, len(parameters) > 2, self.name, self.where)

    def wrong(self, what: str) -> DefinitionError:
        return DefinitionError(f"{self.where}: handler {self.name} of workflow {self.definition.name!r} {what}")

    def signature(self) -> inspect.Signature:
        try:
            return signature_of(self.function)
        except (ValueError, TypeError) as exc:
            raise self.wrong(f"has no signature that can be read: {exc}") from exc

    def positional(self, signature: inspect.Signature) -> list[inspect.Parameter]:
        parameters = list(signature.parameters.values())
        positional = [p for p in parameters if p.kind in _POSITIONAL]
        if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
            raise self.wrong("takes *args; name its parameters: (state, command[, ctx])")
        others = [p for p in parameters if p not in positional[:3] and p.kind is not inspect.Parameter.VAR_KEYWORD]
        if required := [p.name for p in others if p.default is inspect.Parameter.empty]:
            raise self.wrong(f"requires {', '.join(required)} beside (state, command[, ctx]); bind it with partial")
        if len(positional) < 2:
            raise self.wrong("takes fewer than two positional parameters; expected (state, command[, ctx])")
        return positional[:3]

    def members(
        self, role: str, annotation: Any, declared: Mapping[type[Any], Any], *, or_none: bool = False
    ) -> tuple[type[Any], ...]:
        if annotation is inspect.Parameter.empty:
            raise self.wrong(f"has no annotation for its {role}; annotations are the registration")
        try:
            found = tuple(dict.fromkeys(members(annotation, self.scope, awaited=role == "return")))
        except Exception as exc:
            raise self.wrong(f"has an annotation for its {role} that cannot be resolved: {annotation} ({exc})") from exc
        for member in found:
            if not (member is NOTHING and or_none) and not (isinstance(member, type) and member in declared):
                names = ", ".join(known.__name__ for known in declared) + (", None" if or_none else "")
                kind = "state" if role == "return" else role
                raise self.wrong(f"names the {role} {spelled(member)}, which is no declared {kind}; declared: {names}")
        return found


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return a signature whose annotations may name what does not exist yet.

    Raises:
        TypeError: There is none that can be read.
        ValueError: As above.
    """
    if sys.version_info >= (3, 14):
        import annotationlib  # noqa: PLC0415 - does not exist before 3.14

        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(function)


def source_of(function: Any) -> Any:
    """Return the plain function below wrappers, partials, methods and callable objects."""
    for _ in range(_DEEPEST):
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif not hasattr(function, "__code__") and hasattr(type(function), "__call__"):  # noqa: B004 - its function is wanted
            call = type(function).__call__
            if not hasattr(call, "__code__") and not hasattr(call, "__wrapped__"):
                return function
            function = call
        else:
            break
    return function


def scope_of(source: Any, local: Mapping[str, Any], within: str) -> dict[str, Any]:
    """Return the names that the annotations of a function may use.

    Args:
        source: The plain function.
        local: The locals of the code that registers it.
        within: The qualified name of that code.
    """
    names = getattr(source, "__globals__", {})
    root = within.partition(".")[0]
    is_inside = root in {"<module>", getattr(source, "__qualname__", root).partition(".")[0]}
    # Names of the code around a handler hide those of its module; names of code elsewhere only fill gaps.
    scope = {**names, **local} if is_inside else {**local, **names}
    code = getattr(source, "__code__", None)
    for name, cell in zip(code.co_freevars if code else (), getattr(source, "__closure__", None) or (), strict=False):
        try:
            scope[name] = cell.cell_contents
        except ValueError:  # not bound yet
            continue
    return scope
