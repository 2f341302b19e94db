"""Statements that may be sent again: whatever happens to a connection, each call ends in bounded time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from ...errors import StoreUnavailableError
from .connections import Connections
from .fault import FAULTS, Fault, judge, translate
from .link import Link, Params, Row

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long things may take, in seconds."""

    call: float
    """A whole call, from its beginning to its answer."""
    connect: float
    """Getting a connection."""
    lock: float
    """A batch's wait for a locked row."""

    @property
    def attempt(self) -> float:
        """One statement: less than a call, so that a second attempt has time to settle the first."""
        return self.call * 0.4


class Pause:
    """Waits between attempts: longer each time, with jitter."""

    def __init__(self) -> None:
        self._longest = _FIRST_PAUSE

    async def __call__(self) -> None:
        """Wait."""
        await asyncio.sleep(random.uniform(0, self._longest))  # noqa: S311 - no secret
        self._longest = min(self._longest * 2, _LONGEST_PAUSE)


def fault_on(link: Link, exc: BaseException) -> Fault:
    """Return what is to be done after a statement failed on a connection."""
    return Fault.LOST if link.is_broken else judge(exc)


class Runner:
    """Runs what may run twice.

    Args:
        connections: To run it on.
        bounds: How long it may take.
    """

    def __init__(self, connections: Connections, bounds: Bounds) -> None:
        self.connections = connections
        self.bounds = bounds

    async def fetch(self, query: bytes, params: Params = ()) -> list[Row]:
        """Return a statement's rows.

        Raises:
            StoreError: Not in time, or never.
        """
        return await self.run(lambda link: link.fetch(query, params, timeout=self.bounds.attempt))

    async def run(self, work: Callable[[Link], Awaitable[T]]) -> T:
        """Return what some work on a connection returns.

        Raises:
            StoreError: It failed, and trying again did not help.
        """
        deadline = asyncio.get_running_loop().time() + self.bounds.call
        pause = Pause()
        while True:
            try:
                return await self._attempt(work)
            except _RetryError as retry:
                if asyncio.get_running_loop().time() >= deadline:
                    raise translate(retry.cause, retry.fault) from retry.cause
            await pause()

    async def _attempt(self, work: Callable[[Link], Awaitable[T]]) -> T:
        link = await self.connections.acquire(self.bounds.connect)
        try:
            result = await work(link)
        except FAULTS as exc:
            fault = fault_on(link, exc)
            if fault is Fault.LOST:
                self.connections.distrust()
            if fault is Fault.STALE:
                self.connections.discard(link)
            else:
                self.connections.release(link)
            if fault in _WORTH_RETRYING:
                raise _RetryError(exc, fault) from exc
            raise translate(exc, fault) from exc
        except BaseException:
            self.connections.discard(link)  # cancelled in the middle of a statement
            raise
        self.connections.release(link)
        return result


_WORTH_RETRYING: Final = frozenset({Fault.LOST, Fault.STALE, Fault.AGAIN, Fault.BLOCKED})


class _RetryError(Exception):
    """Try again."""

    def __init__(self, cause: BaseException, fault: Fault) -> None:
        super().__init__()
        self.cause = cause
        self.fault = fault


def unavailable(reason: str, exc: BaseException | None) -> StoreUnavailableError:
    """Return the error for something that was not saved."""
    error = StoreUnavailableError(reason)
    error.__cause__ = exc
    return error
