"""Middleware: one signature for router and executor, composed once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias

from ..errors import DefinitionError, DomainError, ExecutionError, UnexpectedError, settle
from .cancellation import was_asked_to_stop
from .result import Failure, Result, Success

CallNext: TypeAlias = Callable[[], Awaitable[Result]]
"""What a middleware calls, at most once, to go on; a refusal arrives as a value."""
Middleware: TypeAlias = Callable[[Any, CallNext], Awaitable[Result]]
"""`async def middleware(ctx, call_next) -> Success | Failure`."""


class Passage(Protocol):
    """One call on its way through a chain."""

    context: Any

    def error_of(self, raised: BaseException, doing: str) -> ExecutionError:
        """Return the error that stands for what was raised."""
        ...

    def bug(self, what: str) -> UnexpectedError:
        """Return the error that says what is wrong."""
        ...


Chain: TypeAlias = Callable[[Any], Awaitable[Result]]


def compose(middleware: Sequence[Middleware], endpoint: Chain) -> Chain:
    """Return a chain that runs the middleware around the endpoint; the first is the outermost."""
    chain = endpoint
    for each in reversed(middleware):
        chain = _link(each, chain)
    return chain


def check_middleware(middleware: object, owner: str) -> None:
    """Check that something can be a middleware.

    Raises:
        DefinitionError: It cannot be called.
    """
    if not callable(middleware):
        found = type(middleware).__name__
        raise DefinitionError(f"{owner}: a middleware is an async function (ctx, call_next), found {found}")


def _link(middleware: Middleware, inner: Chain) -> Chain:
    name = getattr(middleware, "__qualname__", type(middleware).__qualname__)

    async def run(passage: Passage) -> Result:
        call_next = _CallNext(inner, passage)
        try:
            result = await middleware(passage.context, call_next)
        except Exception as raised:  # noqa: BLE001 - a dispatch never raises
            return Failure(passage.error_of(raised, f"middleware {name} raised"))
        except asyncio.CancelledError as raised:
            if was_asked_to_stop():
                raise
            return Failure(passage.error_of(raised, f"middleware {name} was cancelled by nobody"))
        return _checked(result, call_next, passage, name)

    return run


class _CallNext:
    """The way on, once."""

    __slots__ = ("calls", "given", "inner", "passage")

    def __init__(self, inner: Chain, passage: Passage) -> None:
        self.inner = inner
        self.passage = passage
        self.given: Result | None = None
        self.calls = 0

    async def __call__(self) -> Result:
        self.calls += 1
        if self.calls > 1:
            raise RuntimeError("call_next() was called twice; a middleware goes on once")
        self.given = result = await self.inner(self.passage)
        return result


def _checked(result: Any, call_next: _CallNext, passage: Passage, name: str) -> Result:
    if call_next.calls > 1:
        return Failure(passage.bug(f"middleware {name} called call_next() twice"))
    if result is call_next.given and result is not None:
        return result
    match result:
        case Failure(error=DomainError() as error):
            found = passage.error_of(error, f"middleware {name} returned the undeclared error {type(error).__name__}")
            return result if found is error else Failure(found)
        case Failure(error=ExecutionError() as error):
            settle(error)
            return result
        case Success():
            return Failure(passage.bug(f"middleware {name} returned a Success that call_next() did not give"))
        case _:
            what = type(result).__name__
            unexpected = passage.bug(f"middleware {name} returned {what}, not a Success, or a Failure of ours")
            if isinstance(result, Failure) and isinstance(result.error, BaseException):
                unexpected.__cause__ = result.error
            return Failure(unexpected)
