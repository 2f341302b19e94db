"""A shop with secrets in every place, and with every way to fail: what the tests of HTTP and client are about."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any, TypeAlias

import httpx2
import uvicorn
from pydantic import BaseModel, Field

from statewright import (
    Context,
    DomainError,
    MemoryStore,
    ServerOnly,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
)
from statewright.http import create_app

SECRET = "planted-7f3a"
"""Stands in every server-only field, and must leave in no byte."""


class Margin(BaseModel):
    cost: Annotated[str, ServerOnly] = SECRET
    currency: str = "EUR"


class Line(BaseModel):
    article: str = Field(min_length=1)
    margin: Margin = Margin()


class Draft(BaseModel):
    lines: list[Line] = []
    notes: dict[str, Margin] = {}
    score: Annotated[str, ServerOnly]


class Placed(BaseModel):
    lines: list[Line]
    score: Annotated[list[str], ServerOnly]


class Open(BaseModel):
    """Begin an order."""


class AddItem(BaseModel):
    """Put an article in."""

    article: str = Field(min_length=1)
    cost: Annotated[str, ServerOnly] = SECRET
    priority: int = 0


class Place(BaseModel):
    pass


class Break(BaseModel):
    """Fail in some way."""

    how: str
    hint: Annotated[int, ServerOnly, Field(gt=5)] = 6


class Remind(BaseModel):
    after: float = Field(default=60, ge=0, le=86_400)


class OrderPlaced(BaseModel):
    order_id: str
    profit: Annotated[str, ServerOnly] = SECRET


class EmptyOrder(DomainError):
    minimum: int = 1
    inner: Annotated[str, ServerOnly] = SECRET


class Strict(DomainError):
    reason: Annotated[str, ServerOnly]


class Tax:
    async def ask(self) -> None:
        raise RuntimeError(SECRET)


class Deps(BaseModel, arbitrary_types_allowed=True):
    tax: Tax = Tax()


State: TypeAlias = Draft | Placed
Command: TypeAlias = Open | AddItem | Place | Break | Remind
Refusal: TypeAlias = EmptyOrder | Strict
Ctx: TypeAlias = Context[OrderPlaced, Deps]


class Order(Workflow[State, Command, OrderPlaced, Refusal], name="order"):
    """An order."""


router = WorkflowRouter(Order, Deps())


@router.on
def open_order(_: None, command: Open) -> Draft:
    """Begin."""
    return Draft(score=SECRET, notes={"a": Margin()})


@router.on
def add_item(order: Draft, command: AddItem) -> Draft:
    """Add."""
    order.lines.append(Line(article=command.article, margin=Margin(cost=command.cost)))
    return order


@router.on
def place(order: Draft, command: Place, ctx: Ctx) -> Placed:
    """Place."""
    if not order.lines:
        raise EmptyOrder
    ctx.emit(OrderPlaced(order_id=ctx.id))
    return Placed(lines=order.lines, score=[SECRET])


@router.on
def remind(order: Draft, command: Remind, ctx: Ctx) -> None:
    """Come back later."""
    ctx.schedule(AddItem(article="tea", cost=SECRET), delay=timedelta(seconds=command.after))


@router.on
async def break_it(order: Draft, command: Break, ctx: Ctx) -> Draft:
    """Fail."""
    match command.how:
        case "bug":
            raise RuntimeError(SECRET)
        case "dependency":
            await ctx.deps.tax.ask()
        case "strict":
            raise Strict(reason=SECRET)
        case _:
            pass
    return order


class Invalid(Workflow[Draft, Open], name="healthz"):
    """Has the name of a page."""

    @classmethod
    def executor(cls, store: Any) -> WorkflowExecutor[Any]:
        return WorkflowExecutor(WorkflowRouter(cls), store)


def shop(store: Any = None) -> WorkflowExecutor[Order]:
    return WorkflowExecutor(router, MemoryStore() if store is None else store)


@asynccontextmanager
async def asked(app: Any, **options: Any) -> AsyncGenerator[httpx2.AsyncClient]:
    """Yield a client of an application, without a socket between them."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", **options) as client:
        yield client


@asynccontextmanager
async def opened(executor: WorkflowExecutor[Any] | None = None, **options: Any) -> AsyncGenerator[httpx2.AsyncClient]:
    """Yield a client of a shop, without a socket between them."""
    async with asked(create_app([executor or shop()], console=False, **options)) as client:
        yield client


@asynccontextmanager
async def serving(app: Any) -> AsyncGenerator[str]:
    """Serve an application on a free port of the loopback interface; yield its address."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
    with _unsignalled(server):
        running = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            await until(lambda: server.started or running.done())
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
            listening.close()


@contextlib.contextmanager
def _unsignalled(server: Any) -> Any:
    # The signals are the test run's own.
    server.capture_signals = contextlib.nullcontext
    yield


async def until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that has no event."""
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110 - what is waited for is on the other side of a socket
            await asyncio.sleep(0.005)


async def within(waiting: Awaitable[Any], seconds: float = 60) -> Any:
    async with asyncio.timeout(seconds):
        return await waiting
