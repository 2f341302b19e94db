"""Workflows for the tests of workers: a bell with timers, and a shop whose sales a ledger books."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from pydantic import BaseModel

from statewright import (
    Commit,
    Context,
    DomainError,
    Reactors,
    Send,
    Source,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
)

Store: TypeAlias = Any
"""One of the three; they share no class."""

ZERO = timedelta()

# --- a workflow with timers ------------------------------------------------------------------------------------------


class Idle(BaseModel):
    rung: list[str] = []


class Busy(BaseModel):
    rung: list[str] = []


class Gone(BaseModel):
    rung: list[str] = []


class Begin(BaseModel): ...


class Ring(BaseModel):
    name: str = "bell"
    is_refused: bool = False


class Set(BaseModel):
    """Schedule a ring."""

    ring: Ring = Ring()
    key: str | None = None
    delay: timedelta | None = None
    at: datetime | None = None
    keep: bool = False
    cancel: str | None = None
    """Cancel this one first."""
    then: str | None = None
    """Go to this state."""


class Move(BaseModel): ...


class Leave(BaseModel): ...


class Rung(BaseModel):
    name: str


class Silence(DomainError):
    """The bell may not ring."""


class Bell(Workflow[Idle | Busy | Gone, Begin | Ring | Set | Move | Leave, Rung, Silence], name="bell"): ...


@dataclass
class Trouble:
    """What goes wrong with a ring, as long as it does."""

    raises: Exception | None = None
    rings: int = 0
    """How often the handler ran."""


def bell_router(trouble: Trouble | None = None, *, clock: Any = None) -> WorkflowRouter[Bell, Any]:
    """Return the handlers of a bell."""
    router: WorkflowRouter[Bell, Any] = WorkflowRouter(Bell, **({} if clock is None else {"clock": clock}))

    @router.on
    def begin(state: None, command: Begin) -> Idle:
        return Idle()

    @router.on
    def ring(state: Idle | Busy, command: Ring, ctx: Context[Rung]) -> Idle | Busy:
        if trouble is not None:
            trouble.rings += 1
            if trouble.raises is not None:
                raise trouble.raises
        if command.is_refused:
            raise Silence
        ctx.emit(Rung(name=command.name))
        return type(state)(rung=[*state.rung, command.name])

    @router.on
    def set_(state: Idle | Busy, command: Set, ctx: Context[Rung]) -> Idle | Busy:
        if command.cancel is not None:
            ctx.cancel(command.cancel)
        if command.delay is not None:
            ctx.schedule(command.ring, delay=command.delay, key=command.key, keep=command.keep)
        if command.at is not None:
            ctx.schedule(command.ring, at=command.at, key=command.key, keep=command.keep)
        target = {"Idle": Idle, "Busy": Busy}[command.then or type(state).__name__]
        return target(rung=state.rung)

    @router.on
    def move(state: Idle | Busy, command: Move) -> Idle | Busy:
        return Busy(rung=state.rung) if isinstance(state, Idle) else Idle(rung=state.rung)

    @router.on
    def leave(state: Idle | Busy, command: Leave) -> Gone:
        return Gone(rung=state.rung)

    return router


async def rung(bells: WorkflowExecutor[Any], id: str = "b-1") -> list[str]:
    """Return what has rung."""
    bell = await bells.get(id)
    names: list[str] = bell.data.rung
    return names


# --- two workflows with a reactor in between -------------------------------------------------------------------------


class Account(BaseModel):
    booked: list[int] = []


class Book(BaseModel):
    amount: int


class Audit(BaseModel):
    """Needs an account that exists."""


class Booked(BaseModel):
    amount: int


class TooMuch(DomainError):
    amount: int


class Ledger(Workflow[Account, Book | Audit, Booked, TooMuch], name="ledger"): ...


class Open(BaseModel):
    sold: int = 0


class Sell(BaseModel):
    amounts: list[int]
    to: str = "l-1"


class Sold(BaseModel):
    amount: int
    to: str


class Shop(Workflow[Open, Sell, Sold], name="shop"): ...


@dataclass
class Weather:
    """What goes wrong at the ledger, by amount."""

    raises: dict[int, Exception] = field(default_factory=dict)
    tried: list[int] = field(default_factory=list)
    """Amounts in the order in which the handler saw them."""


def ledger_router(weather: Weather | None = None) -> WorkflowRouter[Ledger, Any]:
    """Return the handlers of a ledger, which takes no amount from 1000 on."""
    router: WorkflowRouter[Ledger, Any] = WorkflowRouter(Ledger)

    @router.on
    def book(state: Account | None, command: Book, ctx: Context[Booked]) -> Account:
        if weather is not None:
            weather.tried.append(command.amount)
            if command.amount in weather.raises:
                raise weather.raises[command.amount]
        if command.amount >= 1000:
            raise TooMuch(amount=command.amount)
        ctx.emit(Booked(amount=command.amount))
        return Account(booked=[*(state.booked if state else []), command.amount])

    @router.on
    def audit(state: Account, command: Audit) -> Account:
        return state

    return router


def shop_router() -> WorkflowRouter[Shop, Any]:
    """Return the handlers of a shop, which sells amounts."""
    router: WorkflowRouter[Shop, Any] = WorkflowRouter(Shop)

    @router.on
    def sell(state: Open | None, command: Sell, ctx: Context[Sold]) -> Open:
        for amount in command.amounts:
            ctx.emit(Sold(amount=amount, to=command.to))
        return Open(sold=(state.sold if state else 0) + len(command.amounts))

    return router


def booking() -> Reactors:
    """Return the reactor that books what is sold."""
    reactors = Reactors()

    @reactors.on
    def book(event: Sold, source: Source) -> Send:
        return Send("ledger", event.to, Book(amount=event.amount))

    return reactors


async def booked(ledgers: WorkflowExecutor[Any], id: str = "l-1") -> list[int]:
    """Return what a ledger holds."""
    ledger = await ledgers.get(id)
    return [] if ledger is None else list(ledger.data.booked)


@dataclass
class Paper:
    """A publisher that writes down what it is given, and fails as it is told."""

    name: str = "paper"
    printed: list[Commit] = field(default_factory=list)
    failures: int = 0
    """How many calls are still to fail."""

    async def publish(self, commit: Commit) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("out of ink")
        self.printed.append(commit)

    def lines(self) -> list[tuple[str, int]]:
        """Return workflows and versions in the order of printing."""
        return [(commit.workflow_id, commit.version) for commit in self.printed]
