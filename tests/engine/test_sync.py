"""The executor for code without an event loop: many threads, one private loop."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from statewright import (
    ConcurrencyConflictError,
    Context,
    Failure,
    MemoryStore,
    NotFoundError,
    SQLiteStore,
    Success,
    UnexpectedError,
    WorkflowExecutor,
)
from statewright._engine.sync import SyncExecutor
from tests.model.orders import AddItem, Draft, Open, Order, Place, Placed, failed, routed, succeeded
from tests.testing.stores import DictStore

user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")
Ctx = Context[Any, Any]


def open_order(_: None, command: Open) -> Draft:
    return Draft()


def add(order: Draft, command: AddItem) -> Draft:
    item = user.get() if command.item == "who" else command.item
    return Draft(items=[*order.items, item])


def executor(store: Any = None, *handlers: Any, **options: Any) -> WorkflowExecutor[Order]:
    return WorkflowExecutor(routed(open_order, *(handlers or (add,)), **options), store or MemoryStore())


def test_it_has_the_executors_surface() -> None:
    """Execute, create, preview, get, at, history, available commands and forget block and answer."""
    with executor().sync() as orders:
        succeeded(orders.execute("o-1", Open()))
        result = succeeded(
            orders.execute(
                "o-1",
                {"type": "AddItem", "payload": {"item": "tea"}},
                expected_version=1,
                idempotency_key="k",
                metadata={"a": 1},
            )
        )
        assert result.workflow.data.items == ["tea"]
        failed(orders.execute("o-9", AddItem(item="x")), NotFoundError)
        assert succeeded(orders.create("o-2", Placed(items=[]), metadata={})).version == 1
        assert succeeded(orders.preview("o-1", AddItem(item="x"), expected_version=2, metadata={})).version == 3
        assert orders.get("o-1").version == 2
        assert orders.get("o-9") is None
        assert orders.at("o-1", 1).version == 1
        assert [commit.version for commit in orders.history("o-1", after=1, limit=5)] == [2]
        assert list(orders.available_commands("o-1")) == ["AddItem"]
        assert orders.forget("o-1") is True


def test_it_has_all_of_the_executors_surface() -> None:
    """Every call that is awaited there has its blocking twin here, with the same parameters."""

    def calls(cls: type[Any]) -> dict[str, list[str]]:
        public = {name: value for name, value in vars(cls).items() if not name.startswith("_")}
        return {name: list(inspect.signature(value).parameters) for name, value in public.items() if callable(value)}

    awaited = {
        name: parameters
        for name, parameters in calls(WorkflowExecutor).items()
        if inspect.iscoroutinefunction(getattr(WorkflowExecutor, name))
    }

    assert calls(SyncExecutor) == awaited


@pytest.mark.slow
def test_any_number_of_threads_may_call() -> None:
    """Commands of many threads on one workflow are all applied, each in order of its own thread."""
    with executor().sync() as orders, ThreadPoolExecutor(8) as threads:
        succeeded(orders.execute("o-1", Open()))

        def run(thread: int) -> None:
            for number in range(20):
                succeeded(orders.execute("o-1", AddItem(item=f"{thread}-{number}")))

        list(threads.map(run, range(8)))
        items = orders.get("o-1").data.items

    assert len(items) == 160
    for thread in range(8):
        assert [item for item in items if item.startswith(f"{thread}-")] == [f"{thread}-{n}" for n in range(20)]


def test_each_call_runs_in_its_callers_context() -> None:
    """A handler sees the context variables of the thread that called, and no other's."""
    with executor().sync() as orders, ThreadPoolExecutor(3) as threads:
        succeeded(orders.execute("o-1", Open()))

        def run(name: str) -> None:
            user.set(name)
            succeeded(orders.execute("o-1", AddItem(item="who")))

        list(threads.map(run, ["ann", "bob", "cid"]))

        assert sorted(orders.get("o-1").data.items) == ["ann", "bob", "cid"]
    assert user.get() == "nobody"


def test_handlers_run_on_the_private_loop() -> None:
    """An async handler has a running loop, and may use threads of its own."""
    seen: list[Any] = []

    async def handler(order: Draft, command: AddItem) -> Draft:
        await asyncio.sleep(0)
        seen.append(threading.current_thread().name)
        seen.append(await asyncio.to_thread(lambda: threading.current_thread().name))
        return order

    with executor(None, handler).sync() as orders:
        succeeded(orders.execute("o-1", Open()))
        succeeded(orders.execute("o-1", AddItem(item="x")))

    assert seen[0] == "statewright-sync"
    assert seen[1] != seen[0]
    assert "statewright-sync" not in {thread.name for thread in threading.enumerate()}


# --- the store -----------------------------------------------------------------------------------------------------


class Door(DictStore):
    """Notes when it is opened and closed, and on which thread."""

    def __init__(self, *, is_open: bool = False) -> None:
        super().__init__()
        self.is_open = is_open
        self.steps: list[str] = []
        self.fails = ""

    async def __aenter__(self) -> Self:
        self.steps.append(f"open on {threading.current_thread().name}")
        if self.fails == "open":
            raise OSError("no disk")
        self.is_open = True
        return self

    async def __aexit__(self, *error: object) -> None:
        self.steps.append("close")
        self.is_open = False
        if self.fails == "close":
            raise OSError("no disk")


def test_it_opens_and_closes_the_store() -> None:
    """What it opens, on its own thread, it closes, also after an exception."""
    store = Door()

    def block() -> None:
        with executor(store).sync() as orders:
            succeeded(orders.execute("o-1", Open()))
            raise KeyError

    with pytest.raises(KeyError):
        block()

    assert store.steps == ["open on statewright-sync", "close"]


def test_it_closes_only_what_it_opened() -> None:
    """A store that was open stays open."""
    store = Door(is_open=True)
    with executor(store).sync() as orders:
        succeeded(orders.execute("o-1", Open()))

    assert store.steps == []


@pytest.mark.parametrize("fails", ["open", "close"])
def test_a_store_that_fails_at_the_door_is_told(fails: str) -> None:
    """What opening or closing raises is raised, and the thread ends."""
    store = Door()
    store.fails = fails
    with pytest.raises(OSError, match="no disk"), executor(store).sync() as orders:
        succeeded(orders.execute("o-1", Open()))

    assert "statewright-sync" not in {thread.name for thread in threading.enumerate()}


# --- where it must not be used ---------------------------------------------------------------------------------------


async def test_it_does_not_begin_on_a_running_loop() -> None:
    """From a running loop's thread the block is a RuntimeError that names `await`."""
    with pytest.raises(RuntimeError, match="await"), executor().sync():
        pytest.fail("the block began")


def test_it_does_not_block_a_running_loop() -> None:
    """So is each method, and nothing is left running."""
    with executor().sync() as orders:

        async def call() -> None:
            for method, arguments in (("execute", ("o-1", Open())), ("get", ("o-1",)), ("forget", ("o-1",))):
                with pytest.raises(RuntimeError, match=rf"await executor\.{method}"):
                    getattr(orders, method)(*arguments)

        asyncio.run(call())
        assert orders.get("o-1") is None


def test_a_handler_does_not_call_it() -> None:
    """A handler that blocks its own loop is told so, and the answer is a failure."""
    seen: list[Any] = []

    def handler(order: Draft, command: AddItem) -> Draft:
        orders.execute("o-2", Open())
        return order

    with executor(None, handler).sync() as orders:
        succeeded(orders.execute("o-1", Open()))
        error = failed(orders.execute("o-1", AddItem(item="x")), UnexpectedError)
        seen.append(error.__cause__)

    assert isinstance(seen[0], RuntimeError)


def test_it_ends_with_its_block() -> None:
    """Afterwards every call is a RuntimeError that says so."""
    with executor().sync() as orders:
        succeeded(orders.execute("o-1", Open()))

    with pytest.raises(RuntimeError, match="ended"):
        orders.execute("o-1", AddItem(item="x"))


# --- ends ----------------------------------------------------------------------------------------------------------


class Gate:
    """Lets a handler wait on one thread until another one says so."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    async def handler(self, order: Draft, command: Place) -> Placed:
        self.entered.set()
        await asyncio.to_thread(self.opened.wait, timedelta(seconds=10).total_seconds())
        return Placed(items=order.items)


def test_the_end_of_the_block_waits_for_other_threads() -> None:
    """A call that has begun on another thread is answered before the store is closed."""
    gate, store = Gate(), Door()
    with ThreadPoolExecutor(2) as threads:
        with executor(store, gate.handler).sync() as orders:
            succeeded(orders.execute("o-1", Open()))
            calling = threads.submit(orders.execute, "o-1", Place())
            assert gate.entered.wait(30)
            threads.submit(gate.opened.set)

        succeeded(calling.result(30))
    assert store.rows["o-1"].version == 2


def test_an_exception_in_the_block_cancels_other_threads() -> None:
    """Nobody waits for ever for a block that has failed."""
    began = threading.Event()
    calling: list[Any] = []

    async def handler(order: Draft, command: Place) -> Placed:
        began.set()
        await asyncio.Event().wait()

    def block() -> None:
        with executor(None, handler).sync() as orders:
            succeeded(orders.execute("o-1", Open()))
            calling.append(threads.submit(orders.execute, "o-1", Place()))
            assert began.wait(30)
            raise KeyError

    with ThreadPoolExecutor(1) as threads:
        with pytest.raises(KeyError):
            block()
        with pytest.raises(RuntimeError, match="ended"):
            calling[0].result(30)


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_reaches_the_calling_thread(end: type[BaseException]) -> None:
    """A handler's interrupt is raised where it was called from, and the others go on."""

    def handler(order: Draft, command: AddItem) -> Draft:
        if command.item == "end":
            raise end
        return order

    with executor(None, handler).sync() as orders:
        succeeded(orders.execute("o-1", Open()))
        with pytest.raises(end):
            orders.execute("o-1", AddItem(item="end"))
        succeeded(orders.execute("o-1", AddItem(item="x")))


def test_races_between_threads_and_processes_are_decided_again() -> None:
    """Two sync executors over one store behave as two processes: no update is lost."""
    store = MemoryStore()
    with executor(store).sync() as here, executor(store).sync() as there, ThreadPoolExecutor(2) as threads:
        succeeded(here.execute("o-1", Open()))

        def run(orders: Any) -> list[Success | Failure]:
            return [orders.execute("o-1", AddItem(item="x")) for _ in range(30)]

        results = [result for found in threads.map(run, [here, there]) for result in found]
        items = here.get("o-1").data.items

    assert len(items) == sum(result.ok for result in results)
    assert {type(result.error) for result in results if not result.ok} <= {ConcurrencyConflictError}


def test_whoever_ends_first_closes_nothing_under_another(tmp_path: Path) -> None:
    """Two threads use one store, each in a block of its own: it is closed with the last of them."""
    store = SQLiteStore(tmp_path / "orders.db")
    orders = executor(store)
    is_inside, is_over = threading.Event(), threading.Event()

    def second() -> None:
        assert is_inside.wait(30)
        with orders.sync() as there:
            succeeded(there.execute("o-1", Open()))
            is_over.set()
            first.result(30)
            succeeded(there.execute("o-2", Open()))

    def begin() -> None:
        with orders.sync():
            is_inside.set()
            assert is_over.wait(30)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(begin)
        threads.submit(second).result(60)
    assert not store.is_open
