"""A store that fails when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar, get_args

from .._engine.ports import SaveOptions, StoreAdapter, StoredWorkflow
from ..errors import OutcomeUnknownError, StoreUnavailableError

T = TypeVar("T")

FaultyCall: TypeAlias = Literal["load", "save"]
FaultKind: TypeAlias = Literal["before", "after", "hang"]


class FaultyStore:
    """A store around another one, whose k-th load or save fails as you say.

    ```python
    store = FaultyStore(MemoryStore()).fail(2, how="after")
    ```

    It has every public attribute of the store that it wraps, so that it keeps the same optional protocols. As an async
    context manager it opens and closes that store.

    Args:
        store: Any `StoreAdapter`.
    """

    def __new__(cls, store: StoreAdapter) -> Self:
        """Make a store with the wrapped one's public attributes: a protocol is recognised by them, on the class."""
        dressed: type[Self] = _dressed_as(cls, type(store))
        return super().__new__(dressed)

    def __init__(self, store: StoreAdapter) -> None:
        self._store = store
        self._faults: dict[tuple[FaultyCall, int], FaultKind] = {}
        self._calls: dict[FaultyCall, int] = {"load": 0, "save": 0}
        self._hung: dict[asyncio.Task[Any], asyncio.Event] = {}
        self._hanging = asyncio.Event()
        self._crashed = False

    @property
    def calls(self) -> Mapping[FaultyCall, int]:
        """How many loads and saves began so far."""
        return MappingProxyType(self._calls)

    def fail(self, call: int, *, on: FaultyCall = "save", how: FaultKind = "before") -> Self:
        """Make one call fail.

        Args:
            call: Which one, counted from 1 since this store was made.
            on: What is counted: loads, or saves (a `submit` is a save).
            how: `before`: nothing is done, `StoreUnavailableError`. `after`: the save is done, or has lost its race,
                but the answer is lost: `OutcomeUnknownError` (for a load, which changes nothing,
                `StoreUnavailableError`).
                `hang`: no answer; the call is done after `release`, and never if it is cancelled before.

        Raises:
            ValueError: There is no such call or fault, or the call has been made already.
        """
        if on not in get_args(FaultyCall) or how not in get_args(FaultKind):
            raise ValueError(f"no such fault: on={on!r}, how={how!r}")
        if call <= self._calls[on]:
            raise ValueError(f"{on} {call} cannot fail: calls count from 1, and {self._calls[on]} have been made")
        self._faults[on, call] = how
        return self

    def release(self) -> None:
        """Let the calls that hang go on; safe from any thread."""
        for task, door in list(self._hung.items()):
            task.get_loop().call_soon_threadsafe(door.set)

    async def crash(self) -> None:
        """End the process, as seen from the store: calls that hang never get through, and none does from now on."""
        self._crashed = True
        hung = list(self._hung)
        for task in hung:
            task.cancel()
        await asyncio.gather(*hung, return_exceptions=True)

    async def until_hanging(self) -> None:
        """Wait until a call hangs."""
        await self._hanging.wait()

    async def load(self, id: str) -> StoredWorkflow | None:
        """Load from the wrapped store, unless this call is to fail."""
        return await self._perform("load", self._next("load"), lambda: self._store.load(id))

    async def save(self, options: SaveOptions) -> None:
        """Save in the wrapped store, unless this call is to fail."""
        await self._perform("save", self._next("save"), lambda: self._store.save(options))

    def _submit(self, options: SaveOptions) -> asyncio.Future[None]:
        """Submit to the wrapped store, unless this call is to fail; becomes `submit` where that store has one."""
        submit: Callable[[SaveOptions], asyncio.Future[None]] = self._store.submit  # type: ignore[attr-defined]
        fault = self._next("save")
        if fault is None:
            return submit(options)
        # Nobody's cancellation stops a submit: only the caller's side of it is handed out.
        return asyncio.shield(asyncio.ensure_future(self._perform("save", fault, lambda: submit(options))))

    def _next(self, on: FaultyCall) -> FaultKind | None:
        if self._crashed:
            return "before"
        self._calls[on] += 1
        return self._faults.pop((on, self._calls[on]), None)

    async def _perform(self, on: FaultyCall, fault: FaultKind | None, act: Callable[[], Awaitable[T]]) -> T:
        match fault:
            case "before":
                raise StoreUnavailableError(f"this {on} was made to fail; nothing was done")
            case "after":
                with suppress(Exception):
                    await act()
                failure = OutcomeUnknownError if on == "save" else StoreUnavailableError
                raise failure(f"this {on} was made to lose its answer")
            case "hang":
                await self._hang()
                return await act()
            case None:
                return await act()

    async def _hang(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a FaultyStore hangs inside a task only")
        self._hung[task] = door = asyncio.Event()
        self._hanging.set()
        try:
            await door.wait()
        finally:
            self._hung.pop(task, None)
            if not self._hung:
                self._hanging.clear()

    async def __aenter__(self) -> Self:
        if isinstance(self._store, AbstractAsyncContextManager):
            await self._store.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(self._store, AbstractAsyncContextManager):
            await self._store.__aexit__(kind, error, traceback)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self._store, name)


def _dressed_as(cls: type[FaultyStore], store: type[object]) -> Any:
    """Return a subclass that has the public attributes of a store's class, each read from the wrapped store."""
    lent = {name: _lent(name) for name in dir(store) if not name.startswith("_") and not hasattr(cls, name)}
    if "submit" in lent:
        lent["submit"] = cls._submit
    return type(cls.__name__, (cls,), {"__doc__": cls.__doc__, "__module__": cls.__module__, **lent})


def _lent(name: str) -> Any:
    return property(lambda self: getattr(self._store, name))
