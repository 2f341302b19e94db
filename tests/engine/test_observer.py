"""Observers of an executor: what is told before the save, and what after it."""

from __future__ import annotations

import asyncio
from typing import Any, Never

import pytest
from pydantic import BaseModel

from statewright import (
    Commit,
    Context,
    DefinitionError,
    DomainError,
    Failure,
    MemoryStore,
    Observer,
    Success,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
)
from statewright.testing import FaultyStore


class Draft(BaseModel):
    items: list[str] = []


class Placed(BaseModel):
    items: list[str]


class Open(BaseModel): ...


class Add(BaseModel):
    item: str


class Place(BaseModel): ...


class OrderPlaced(BaseModel):
    order_id: str


class EmptyOrder(DomainError):
    minimum: int = 1


class Order(Workflow[Draft | Placed, Open | Add | Place, OrderPlaced, EmptyOrder], name="order"):
    """An order."""


def routed() -> WorkflowRouter[Order, None]:
    router = WorkflowRouter(Order)

    @router.on
    def open_order(_: None, command: Open) -> Draft:
        return Draft()

    @router.on
    def add(order: Draft, command: Add) -> Draft:
        return Draft(items=[*order.items, command.item])

    @router.on
    def place(order: Draft, command: Place, ctx: Context[OrderPlaced, None]) -> Placed:
        if not order.items:
            raise EmptyOrder
        ctx.emit(OrderPlaced(order_id=ctx.id))
        return Placed(items=order.items)

    return router


class Listening(Observer):
    """Writes down what it is told, in few words."""

    def __init__(self, store: Any = None) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.commits: list[Commit] = []
        self.store = store

    def dispatch_started(self, workflow: Any, command: Any) -> None:
        self.heard.append(("started", type(command).__name__))

    def dispatch_ended(self, workflow: Any, command: Any, result: Any) -> None:
        self.heard.append(("ended", result.ok))

    def transitioned(self, source: str, target: str, workflow: Any) -> None:
        self.heard.append(("transitioned", source, target))

    def emitted(self, event: Any, workflow: Any) -> None:
        self.heard.append(("emitted", type(event).__name__))

    def failed(self, error: Any, workflow: Any, command: Any) -> None:
        self.heard.append(("failed", error.category))

    def committed(self, commit: Commit) -> None:
        self.heard.append(("committed", commit.version))
        self.commits.append(commit)
        if self.store is not None:
            self.heard.append(("stored", self.store._rows[commit.workflow_id].current.version))

    def conflicted(self, error: Any) -> None:
        self.heard.append(("conflicted", error.expected_version, error.actual_version))

    def retried(self, id: str, attempt: int) -> None:
        self.heard.append(("retried", id, attempt))


def observed(store: Any = None, **options: Any) -> tuple[WorkflowExecutor[Order], Listening]:
    listening = Listening()
    return WorkflowExecutor(routed(), store or MemoryStore(), **options).observe(listening), listening


async def test_committed_comes_after_the_commit() -> None:
    """What is decided is told first; that it is durable is told when the store has it."""
    store = MemoryStore()
    listening = Listening(store)
    orders = WorkflowExecutor(routed(), store).observe(listening)

    await orders.execute("o-1", Open())
    await orders.execute("o-1", Add(item="tea"))
    await orders.execute("o-1", Place())

    assert listening.heard[-6:] == [
        ("started", "Place"),
        ("transitioned", "Draft", "Placed"),
        ("emitted", "OrderPlaced"),
        ("ended", True),
        ("committed", 3),
        ("stored", 3),
    ]


async def test_commit_is_the_one_that_is_stored() -> None:
    """A commit is told as it is recorded, except for its position, which is given later."""
    orders, listening = observed()
    await orders.execute("o-1", Open(), metadata={"user": "ann"}, idempotency_key="k")

    [stored] = await orders.store.history("o-1")
    [told] = listening.commits
    assert told.position == 0
    assert told == Commit(**{name: getattr(stored, name) for name in Commit.__slots__} | {"position": 0})


async def test_failed_save_is_no_commit() -> None:
    """A command whose save failed was decided, and has failed; nothing was committed."""
    orders, listening = observed(FaultyStore(MemoryStore()).fail(1))

    assert isinstance(await orders.execute("o-1", Open()), Failure)

    assert listening.heard == [("started", "Open"), ("ended", True), ("failed", "store")]


@pytest.mark.parametrize(
    ("send", "category"),
    [
        (lambda orders: orders.execute("o-1", Place()), "domain"),
        (lambda orders: orders.execute("o-1", Open()), "router"),
        (lambda orders: orders.execute("o-1", Add(item="tea"), expected_version=7), "conflict"),
        (lambda orders: orders.execute("o-2", Place()), "not_found"),
        (lambda orders: orders.execute("o-1", {"type": "Fly"}), "router"),
        (lambda orders: orders.execute("", Open()), "validation"),
        (lambda orders: orders.execute("o-1", {"type": "Add"}), "validation"),
        (lambda orders: orders.create("o-1", Draft()), "conflict"),
        (lambda orders: orders.create("o-1", "nothing"), "validation"),
    ],
    ids=["refused", "no handler", "stale", "missing", "unknown", "argument", "payload", "exists", "no state"],
)
async def test_failure_is_told_once(send: Any, category: str) -> None:
    """Whatever a command fails for, before, in or after its dispatch, is told exactly once."""
    orders, listening = observed()
    await orders.execute("o-1", Open())
    listening.heard.clear()

    error = (await send(orders)).error

    assert error.category == category
    assert [each for each in listening.heard if each[0] == "failed"] == [("failed", category)]
    assert ("committed", 2) not in listening.heard


async def test_refusal_of_middleware_is_told_once() -> None:
    """What the executor's middleware refuses has failed; no dispatch has started."""
    orders, listening = observed()

    async def closed(ctx: Any, call_next: Any) -> Any:
        raise EmptyOrder

    await orders.use(closed).execute("o-1", Open())

    assert listening.heard == [("failed", "domain")]


async def test_middleware_that_turns_a_success_down() -> None:
    """A dispatch may end well, and the command fail all the same: nothing is committed."""
    orders, listening = observed()

    async def regret(ctx: Any, call_next: Any) -> Any:
        await call_next()
        raise EmptyOrder

    await orders.use(regret).execute("o-1", Open())

    assert listening.heard == [("started", "Open"), ("ended", True), ("failed", "domain")]


async def test_replay_commits_nothing() -> None:
    """The first answer given again starts no dispatch and commits nothing."""
    orders, listening = observed()
    await orders.execute("o-1", Open(), idempotency_key="k")
    listening.heard.clear()

    assert (await orders.execute("o-1", Open(), idempotency_key="k")).unwrap().replayed

    assert listening.heard == []


async def test_preview_is_told_to_nobody() -> None:
    """A preview is nobody's business."""
    orders, listening = observed()

    assert (await orders.preview("o-1", Open())).ok

    assert listening.heard == []


async def test_creation_without_a_command_is_committed() -> None:
    """`create` has no dispatch, and a commit."""
    orders, listening = observed()

    await orders.create("o-1", Draft())

    assert listening.heard == [("committed", 1)]
    assert listening.commits[0].command is None


async def test_lost_race_is_told() -> None:
    """A save that lost is told with both versions, then that the command is decided again, then its commit."""
    store = MemoryStore()
    orders, listening, held = await racing(store)
    other = WorkflowExecutor(routed(), store)
    call = asyncio.create_task(orders.execute("o-1", Add(item="mine")))
    await held.entered.wait()
    await other.execute("o-1", Add(item="theirs"))
    held.door.set()

    assert isinstance(await call, Success)
    assert listening.heard == [
        ("started", "Add"),
        ("ended", True),
        ("conflicted", 1, 2),
        ("retried", "o-1", 1),
        ("started", "Add"),
        ("ended", True),
        ("committed", 3),
    ]


async def test_race_that_is_lost_for_good() -> None:
    """A command that is not decided again has a conflict, and has failed."""
    store = MemoryStore()
    orders, listening, held = await racing(store, retries=0)
    other = WorkflowExecutor(routed(), store)
    call = asyncio.create_task(orders.execute("o-1", Add(item="mine")))
    await held.entered.wait()
    await other.execute("o-1", Add(item="theirs"))
    held.door.set()

    assert isinstance(await call, Failure)
    assert listening.heard == [("started", "Add"), ("ended", True), ("conflicted", 1, 2), ("failed", "conflict")]


class _Held:
    """A middleware that waits once, so that somebody else can be first."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.door = asyncio.Event()

    async def __call__(self, ctx: Any, call_next: Any) -> Any:
        self.entered.set()
        await self.door.wait()
        return await call_next()


class _Apart:
    """Another process's view of a store: its lanes are its own."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def load(self, id: str) -> Any:
        return await self._store.load(id)

    async def save(self, options: Any) -> None:
        await self._store.save(options)


async def racing(store: MemoryStore, **options: Any) -> tuple[WorkflowExecutor[Order], Listening, _Held]:
    await WorkflowExecutor(routed(), store).execute("o-1", Open())
    orders, listening = observed(_Apart(store), **options)
    held = _Held()
    return orders.use(held), listening, held


async def test_bound_store_is_not_committed_yet() -> None:
    """In a caller's own transaction nothing is committed when the save returns, so nothing is told to be."""

    class Bound(MemoryStore):
        bound = True

    orders, listening = observed(Bound())

    assert (await orders.execute("o-1", Open())).ok
    assert listening.heard == [("started", "Open"), ("ended", True)]


async def test_routers_observers_are_told_first() -> None:
    """An executor tells its router's observers, too, of commits as well."""
    router = routed()
    of_router, of_executor = Listening(), Listening()
    order: list[str] = []
    of_router.committed = lambda commit: order.append("router")  # type: ignore[method-assign]
    of_executor.committed = lambda commit: order.append("executor")  # type: ignore[method-assign]
    orders = WorkflowExecutor(router.observe(of_router), MemoryStore()).observe(of_executor)

    await orders.execute("o-1", Open())

    assert order == ["router", "executor"]
    assert of_router.heard == of_executor.heard == [("started", "Open"), ("ended", True)]


async def test_observer_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A broken observer costs nobody a commit, an answer or a turn."""

    class Broken(Observer):
        def committed(self, commit: Commit) -> Never:
            raise LookupError

        def dispatch_ended(self, workflow: Any, command: Any, result: Any) -> Never:
            raise LookupError

        def failed(self, error: Any, workflow: Any, command: Any) -> Never:
            raise LookupError

    orders = WorkflowExecutor(routed(), MemoryStore()).observe(Broken())
    listening = Listening()
    orders.observe(listening)

    results = await asyncio.gather(*(orders.execute("o-1", Open()) for _ in range(3)))

    assert [result.ok for result in results] == [True, False, False]
    assert ("committed", 1) in listening.heard
    assert (await orders.get("o-1")).version == 1
    assert {record.name for record in caplog.records} == {"statewright.observer"}


async def test_each_command_of_a_fold_is_told() -> None:
    """Commands that are saved together are each told to be committed, once, when their save is done."""
    store = FaultyStore(MemoryStore()).fail(2, how="hang")
    orders, listening = observed(store)
    await orders.execute("o-1", Open())

    calls = [asyncio.create_task(orders.execute("o-1", Add(item=str(number)))) for number in range(5)]
    await store.until_hanging()
    assert listening.heard.count(("committed", 2)) == 0
    store.release()
    await asyncio.gather(*calls)

    assert sorted(commit.version for commit in listening.commits) == [1, 2, 3, 4, 5, 6]


def test_something_else_is_refused() -> None:
    """An executor refuses what cannot be told anything, as a router does."""
    with pytest.raises(DefinitionError, match="executor of workflow 'order': an observer is an instance"):
        WorkflowExecutor(routed(), MemoryStore()).observe(print)
