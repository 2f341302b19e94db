"""Look-ups that are asked for at the same time, asked together."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from typing import Final, Generic, TypeVar

from ...errors import StoreError, StoreUnavailableError
from .lanes import Lanes

K = TypeVar("K")
V = TypeVar("V")

_LANES: Final = 2
_SIZE: Final = 256


class Collector(Generic[K, V]):
    """Gathers keys and fetches what belongs to them in one statement.

    A key that is asked for again while it is being fetched is fetched again: what was read before the second caller
    asked may be older than what that caller has seen.

    Args:
        fetch: Returns what was found; raises a `StoreError`.
    """

    def __init__(self, fetch: Callable[[list[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._fetch = fetch
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._loop = asyncio.get_running_loop()
        self._lanes = Lanes(_LANES, self._work)

    def ask(self, key: K) -> asyncio.Future[V | None]:
        """Return what belongs to a key, or `None`, as a future."""
        future: asyncio.Future[V | None] = self._loop.create_future()
        self._waiting.setdefault(key, []).append(future)
        self._lanes.call()
        return future

    async def quiet(self) -> None:
        """Wait until everybody has an answer."""
        await self._lanes.quiet()

    async def _work(self) -> None:
        while self._waiting:
            batch = {key: self._waiting.pop(key) for key in list(islice(self._waiting, _SIZE))}
            try:
                found = await self._fetch(list(batch))
            except StoreError as error:
                _refuse(batch, error)
            except BaseException as exc:
                _refuse(batch, _interrupted(exc))
                raise
            else:
                for key, futures in batch.items():
                    for future in futures:
                        if not future.done():
                            future.set_result(found.get(key))


def _refuse(batch: Mapping[K, list[asyncio.Future[V | None]]], error: StoreError) -> None:
    for futures in batch.values():
        for future in futures:
            if not future.done():
                future.set_exception(copy.copy(error))  # each caller raises an object of its own
                future.exception()  # a caller that went away leaves nobody to look at it


def _interrupted(exc: BaseException) -> StoreError:
    error = StoreUnavailableError("the store was interrupted while it was reading")
    error.__cause__ = exc
    return error
