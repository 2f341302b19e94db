"""Dependencies of one command: opened by middleware, found in the context, closed whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Never, Protocol, Self

import pytest
from pydantic import BaseModel

from statewright import (
    Context,
    ContextKey,
    DependencyError,
    DomainError,
    Execution,
    MemoryStore,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
)


class Draft(BaseModel):
    price: int


class Open(BaseModel):
    article: str


class Add(BaseModel):
    article: str


class Unknown(DomainError):
    article: str


class Order(Workflow[Draft, Open | Add, Never, Unknown], name="order"):
    """An order whose prices come from elsewhere."""


class Session:
    """A connection that has to be closed."""

    def __init__(self, log: list[str], number: int) -> None:
        self.log = log
        self.number = number
        log.append(f"open {number}")

    async def price(self, article: str) -> int:
        self.log.append(f"{article} by {self.number}")
        return len(article)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.log.append(f"close {self.number}")


SESSION: ContextKey[Session] = ContextKey("session")


def opened(log: list[str]) -> Any:
    """Return the middleware of the recipe."""
    numbers = iter(range(1, 100))

    async def with_session(ctx: Execution, call_next: Any) -> Any:
        async with Session(log, next(numbers)) as session:
            ctx[SESSION] = session
            return await call_next()

    return with_session


def routed() -> WorkflowRouter[Order, None]:
    router = WorkflowRouter(Order)

    @router.on
    async def open_order(_: None, command: Open, ctx: Context) -> Draft:
        return Draft(price=await ctx[SESSION].price(command.article))

    @router.on
    async def add(order: Draft, command: Add, ctx: Context) -> Draft:
        if command.article == "nothing":
            raise Unknown(article=command.article)
        return Draft(price=order.price + await ctx[SESSION].price(command.article))

    return router


async def test_each_command_has_a_session_of_its_own() -> None:
    """What middleware opens serves one command, and is closed after it, refusals included."""
    log: list[str] = []
    orders = WorkflowExecutor(routed(), MemoryStore()).use(opened(log))

    await orders.execute("o-1", Open(article="tea"))
    await orders.execute("o-1", Add(article="mug"))
    await orders.execute("o-1", Add(article="nothing"))

    assert log == ["open 1", "tea by 1", "close 1", "open 2", "mug by 2", "close 2", "open 3", "close 3"]


async def test_commands_that_wait_together_do_not_share_a_session() -> None:
    """Commands that are saved together still have a session each: one is closed before the next is opened."""
    log: list[str] = []
    orders = WorkflowExecutor(routed(), MemoryStore()).use(opened(log))
    await orders.execute("o-1", Open(article="tea"))
    log.clear()

    await asyncio.gather(*(orders.execute("o-1", Add(article=str(number))) for number in range(3)))

    assert [line.split()[0] for line in log] == ["open", "0", "close", "open", "1", "close", "open", "2", "close"]


async def test_command_that_is_decided_again_gets_a_new_session() -> None:
    """After a lost race the middleware runs again: nothing is left over from the first attempt."""
    log: list[str] = []
    store = MemoryStore()
    other = WorkflowExecutor(routed(), store).use(opened([]))
    await other.execute("o-1", Open(article="tea"))
    raced = False

    async def race(ctx: Execution, call_next: Any) -> Any:
        nonlocal raced
        assert SESSION not in ctx
        if not raced:
            raced = True
            await other.execute("o-1", Add(article="by other"))
        return await call_next()

    orders = WorkflowExecutor(routed(), _Apart(store)).use(race).use(opened(log))

    assert (await orders.execute("o-1", Add(article="mug"))).unwrap().version == 3
    assert log == ["open 1", "mug by 1", "close 1", "open 2", "mug by 2", "close 2"]


class _Apart:
    """Another process's view of a store: its lanes are its own."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def load(self, id: str) -> Any:
        return await self._store.load(id)

    async def save(self, options: Any) -> None:
        await self._store.save(options)


async def test_missing_session_is_named() -> None:
    """A handler that asks for what no middleware has put there is told by the key's name."""
    error = (await WorkflowExecutor(routed(), MemoryStore()).execute("o-1", Open(article="tea"))).error

    assert error.category == "unexpected"
    assert "session" in str(error.__cause__)


# --- a factory among the dependencies ------------------------------------------------------------------------------


class Prices(Protocol):
    """What handlers need: something that opens sessions."""

    def session(self) -> Any: ...


class Deps:
    """The dependencies of the router: they live as long as the program."""

    def __init__(self, prices: Prices) -> None:
        self.prices = prices


class Shop:
    def __init__(self, log: list[str], *, is_down: bool = False) -> None:
        self.log = log
        self.is_down = is_down

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        if self.is_down:
            raise ConnectionError("the shop is closed")
        async with Session(self.log, 1) as session:
            yield session


def with_factory() -> WorkflowRouter[Order, Deps]:
    router = WorkflowRouter(Order, deps_type=Deps)

    @router.on
    async def open_order(_: None, command: Open, ctx: Context[Any, Deps]) -> Draft:
        async with ctx.deps.prices.session() as session:
            return Draft(price=await session.price(command.article))

    return router


async def test_factory_among_the_dependencies() -> None:
    """A handler may open what it needs itself; nobody else pays for it."""
    log: list[str] = []
    router = with_factory().with_deps(Deps(Shop(log)))

    order = (await router.dispatch(None, Open(article="tea"))).unwrap().workflow

    assert order.data == Draft(price=3)
    assert log == ["open 1", "tea by 1", "close 1"]


async def test_factory_that_fails_is_a_dependency_that_fails() -> None:
    """What cannot be opened is told apart from a bug in the handler."""
    router = with_factory().with_deps(Deps(Shop([], is_down=True)))

    error = (await router.dispatch(None, Open(article="tea"))).error

    assert isinstance(error, DependencyError)
    assert error.name == "prices"
    assert isinstance(error.__cause__, ConnectionError)


@pytest.mark.parametrize("price", [1, 42])
async def test_dependencies_are_replaced_in_tests(price: int) -> None:
    """`with_deps` gives a router with the same handlers and other dependencies; the first one is as it was."""

    class Fixed:
        @asynccontextmanager
        async def session(self) -> AsyncIterator[Any]:
            yield self

        async def price(self, article: str) -> int:
            return price

    router = with_factory()
    replaced = router.with_deps(Deps(Fixed()))

    assert (await replaced.dispatch(None, Open(article="tea"))).unwrap().workflow.data.price == price
    assert (await router.dispatch(None, Open(article="tea"))).error.category == "unexpected"


async def test_facts_of_the_request_come_as_metadata() -> None:
    """Who asks, and whatever else is JSON, comes with the command and is kept with its commit."""
    seen: list[Any] = []
    router = WorkflowRouter(Order)

    @router.on
    def open_order(_: None, command: Open, ctx: Context) -> Draft:
        seen.append(ctx.metadata["user"])
        return Draft(price=0)

    orders = WorkflowExecutor(router, MemoryStore())
    await orders.execute("o-1", Open(article="tea"), metadata={"user": "ann"})

    assert seen == ["ann"]
    assert (await orders.history("o-1"))[0].metadata == {"user": "ann"}
