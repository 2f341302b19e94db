"""Trips and halls behind a real server: `python trips.py FILE PORT [TOKEN]` serves them, and says when it does."""

from __future__ import annotations

import asyncio
import socket
import sys
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import reduce
from itertools import pairwise
from operator import or_
from typing import Any, Never, TypeAlias

import uvicorn
from pydantic import BaseModel, Field, create_model

from statewright import (
    Context,
    DomainError,
    Reactors,
    Send,
    Source,
    SQLiteStore,
    Worker,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
)
from statewright.http import create_app


class Means(Enum):
    TRAIN = "train"
    BOAT = "boat"


class Traveller(BaseModel):
    name: str
    born: date
    is_vegetarian: bool = False


class Insurance(BaseModel):
    number: str = Field(pattern=r"^[A-Z]{2}\d+$")


class Planned(BaseModel):
    """Thought out, not paid for."""

    destination: str
    means: Means
    leaves: datetime
    price: Decimal
    seats: int
    travellers: list[Traveller] = []
    insurance: Insurance | None = None


class Booked(BaseModel):
    """Paid for."""

    trip: Planned


class Finished(BaseModel):
    """Over and done with."""

    stars: int


class Plan(BaseModel):
    """Think of a trip."""

    destination: str = Field(min_length=2)
    means: Means
    leaves: datetime
    price: Decimal = Field(ge=0)
    seats: int = Field(default=1, ge=1, le=9)
    travellers: list[Traveller] = []
    insurance: Insurance | None = None


class Move(BaseModel):
    """Leave at another time."""

    leaves: datetime


class Book(BaseModel):
    """Pay for it."""

    amount: Decimal


class Finish(BaseModel):
    """Come home."""

    stars: int = Field(ge=1, le=5)


class Alert(BaseModel):
    """Be reminded after some seconds."""

    seconds: float = Field(ge=0)


class Remind(BaseModel):
    """Tell the travellers to pack."""

    note: str


class TripBooked(BaseModel):
    seats: int


class WrongAmount(DomainError):
    """What was paid is not what is due."""

    due: Decimal


Command: TypeAlias = Plan | Move | Book | Finish | Alert | Remind


class Trip(Workflow[Planned | Booked | Finished, Command, TripBooked, WrongAmount], name="trip"):
    """A trip, from the idea to the way home."""


Ctx: TypeAlias = Context[TripBooked]
trips = WorkflowRouter(Trip)


@trips.on
def plan(_: None, command: Plan) -> Planned:
    return Planned(**command.model_dump())


@trips.on
def move(trip: Planned, command: Move) -> Planned:
    return trip.model_copy(update={"leaves": command.leaves})


@trips.on
def book(trip: Planned, command: Book, ctx: Ctx) -> Booked:
    if command.amount != trip.price:
        raise WrongAmount(due=trip.price)
    ctx.emit(TripBooked(seats=trip.seats))
    return Booked(trip=trip)


@trips.on
def set_alert(trip: Booked, command: Alert, ctx: Ctx) -> None:
    ctx.schedule(Remind(note="pack"), delay=timedelta(seconds=command.seconds))


@trips.on
def remind(trip: Booked, command: Remind) -> None:
    pass


@trips.on
def finish(trip: Booked, command: Finish) -> Finished:
    return Finished(stars=command.stars)


class Hall(BaseModel):
    free: int


class Furnish(BaseModel):
    """Put seats into it."""

    seats: int = Field(ge=1)


class Reserve(BaseModel):
    """Keep seats free."""

    seats: int


class SoldOut(DomainError):
    """There are not so many seats."""

    free: int


class Station(Workflow[Hall, Furnish | Reserve, Never, SoldOut], name="hall"):
    """A hall with seats."""


halls = WorkflowRouter(Station)


@halls.on
def open_hall(_: None, command: Furnish) -> Hall:
    return Hall(free=command.seats)


@halls.on
def furnish(hall: Hall, command: Furnish) -> Hall:
    return Hall(free=hall.free + command.seats)


@halls.on
def reserve(hall: Hall, command: Reserve) -> Hall:
    if command.seats > hall.free:
        raise SoldOut(free=hall.free)
    return Hall(free=hall.free - command.seats)


class AwaitingConfirmationFromTheWarehouseManagerOfTheRegion(BaseModel):
    """Has a longer name than a badge has room for."""


class Start(BaseModel):
    """Begin to run."""


class Run(BaseModel):
    """Go on to the next stage."""


class ConfirmThatTheWarehouseManagerOfTheRegionHasBeenConsulted(BaseModel):
    """Has a longer name than a button has room for."""

    what_the_warehouse_manager_of_the_region_had_to_say_about_it: str


STAGES: list[Any] = [
    AwaitingConfirmationFromTheWarehouseManagerOfTheRegion,
    *(create_model(f"Stage{number}", __module__=__name__) for number in range(1, 22)),
]
LONG = "race-of-so-many-stages-that-nobody-has-ever-seen-its-end"
Race: TypeAlias = Start | Run | ConfirmThatTheWarehouseManagerOfTheRegionHasBeenConsulted


class Marathon(Workflow[reduce(or_, STAGES), Race], name=LONG):  # type: ignore[misc]
    """Long names and many states."""


marathons = WorkflowRouter(Marathon)


def lead(source: Any, command: Any, target: Any) -> None:
    """Let a command lead from one state to another."""

    def go(_state: Any, _command: Any) -> Any:
        return target()

    go.__annotations__ = {"_state": source, "_command": command, "return": target}
    marathons.on(go)


lead(None, Start, STAGES[0])
lead(STAGES[0], ConfirmThatTheWarehouseManagerOfTheRegionHasBeenConsulted, STAGES[0])
for here, there in pairwise(STAGES):
    lead(here, Run, there)


reactors = Reactors()


@reactors.on(name="seats")
def keep_seats(event: TripBooked, source: Source) -> Send:
    return Send("hall", "main", Reserve(seats=event.seats))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, port: int) -> None:
        super().__init__(config)
        self._port = port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._port, flush=True)  # noqa: T201 - whoever started it reads this


async def serve(path: str, port: int, token: str | None) -> None:
    with socket.create_server(("127.0.0.1", port)) as listener:
        async with SQLiteStore(path) as store:
            executors: list[Any] = [WorkflowExecutor(router, store) for router in (trips, halls, marathons)]
            worker = Worker(store, executors, reactors=reactors, start=0, backoff=timedelta(milliseconds=20))
            work = asyncio.create_task(worker.run())
            config = uvicorn.Config(create_app(executors, token=token), log_level="error", timeout_graceful_shutdown=1)
            await _Server(config, listener.getsockname()[1]).serve([listener])
            work.cancel()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None))
