"""A process under load: callers execute commands on a few workflows and report what they saw, line by line.

Started as a script by the tests: `python load_process.py STORE SCHEMA SECONDS SEED CALLERS WORKFLOWS`. With `HASTY=1`
in its environment it answers before anything is durable.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from typing import Any, Never

from pydantic import BaseModel

from statewright import (
    ConcurrencyConflictError,
    DomainError,
    Failure,
    OutcomeUnknownError,
    PostgresStore,
    SaveOptions,
    SQLiteStore,
    Success,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
)


class Tally(BaseModel):
    marks: list[str] = []


class Open(BaseModel): ...


class Mark(BaseModel):
    mark: str


class Refuse(BaseModel): ...


class Refused(DomainError):
    version: int


class Tallies(Workflow[Tally, Open | Mark | Refuse, Never, Refused], name="tally"):
    """Keeps the last ten marks."""


router = WorkflowRouter(Tallies)


@router.on
def begin(_: None, command: Open) -> Tally:
    """Begin without a mark."""
    return Tally()


@router.on
def mark(tally: Tally, command: Mark) -> Tally:
    """Keep a mark."""
    return Tally(marks=[*tally.marks[-9:], command.mark])


@router.on
def refuse(tally: Tally, command: Refuse, ctx: Any) -> Tally:
    """Refuse, and say which version was seen."""
    raise Refused(version=ctx.version)


class HastyStore(SQLiteStore):
    """Broken on purpose: says that a save is done when it has only been accepted."""

    def submit(self, options: SaveOptions) -> asyncio.Future[None]:
        """Begin a save, and do not wait for it."""
        saving = super().submit(options)
        saving.add_done_callback(lambda done: done.cancelled() or done.exception())
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


def store_of(place: str, schema: str) -> SQLiteStore | PostgresStore:
    """Return the store at a path or DSN."""
    if place.startswith("postgresql"):
        return PostgresStore(place, schema=schema)
    return HastyStore(place) if os.environ.get("HASTY") else SQLiteStore(place)


class Caller:
    """Sends one command after the other, and writes down when and with what answer."""

    def __init__(self, executor: WorkflowExecutor[Tallies], number: str, chance: random.Random) -> None:
        self.executor = executor
        self.number = number
        self.chance = chance
        self.sent = 0

    async def call(self, id: str) -> None:
        """Send a command, or look."""
        self.sent += 1
        called = time.clock_gettime(time.CLOCK_MONOTONIC)
        kind = self.chance.choices(["write", "read", "refused"], [8, 1, 1])[0]
        seen: dict[str, Any] = {"kind": kind, "id": id, "called": called}
        if kind == "read":
            workflow = await self.executor.get(id)
            seen["version"] = 0 if workflow is None else workflow.version
        elif kind == "refused":
            seen["version"] = self._refused(await self.executor.execute(id, Refuse()))
        else:
            value = f"{self.number}-{self.sent}"
            seen |= self._written(await self.executor.execute(id, Mark(mark=value)), value)
        report(seen | {"returned": time.clock_gettime(time.CLOCK_MONOTONIC)})

    def _refused(self, result: Any) -> int | None:
        match result:
            case Failure(error=Refused(version=version)):
                return version
            case _:
                return None

    def _written(self, result: Any, value: str) -> dict[str, Any]:
        match result:
            case Success(version=version):
                return {"version": version, "value": value}
            case Failure(error=OutcomeUnknownError()):
                return {"outcome": "unknown", "value": value}
            case Failure(error=ConcurrencyConflictError()):
                return {"kind": "none"}
            case Failure(error=error):
                raise error
            case _:
                raise TypeError(result)


def report(seen: dict[str, Any]) -> None:
    """Write a line that outlives the process."""
    os.write(1, (json.dumps(seen) + "\n").encode())


async def main(place: str, schema: str, seconds: float, seed: int, callers: int, workflows: int) -> None:
    """Call until the time is over."""
    ids = [f"tally-{number}" for number in range(workflows)]
    async with store_of(place, schema) as store:
        executor = WorkflowExecutor(router, store, retries=100)
        end = time.monotonic() + seconds

        async def calling(number: int) -> None:
            chance = random.Random(f"{seed}-{number}")
            caller = Caller(executor, f"{os.getpid()}-{number}", chance)
            while time.monotonic() < end:
                await caller.call(chance.choice(ids))

        await asyncio.gather(*(calling(number) for number in range(callers)))


if __name__ == "__main__":
    place, schema, seconds, seed, callers, workflows = sys.argv[1:]
    asyncio.run(main(place, schema, float(seconds), int(seed), int(callers), int(workflows)))
