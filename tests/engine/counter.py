"""A counter up to a hundred, whose handlers wait, refuse and call back as their commands say."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any, Never, TypeAlias

from pydantic import BaseModel

from statewright import Context, DomainError, Workflow, WorkflowRouter

user: ContextVar[str] = ContextVar("user", default="nobody")


class Count(BaseModel):
    total: int = 0
    note: str = ""


class Begin(BaseModel): ...


class Add(BaseModel):
    n: int
    note: str = ""


class Pause(BaseModel):
    gate: str
    refuse: bool = False


class Relay(BaseModel):
    """Executes other workflows from within the handler: the first of them with the rest of the way."""

    to: list[str]
    read: str = ""
    in_task: bool = False
    in_background: bool = False


class Full(DomainError):
    limit: int = 100


class Counter(Workflow[Count, Begin | Add | Pause | Relay, Never, Full], name="counter"):
    """Counts up to a hundred."""


Ctx: TypeAlias = Context[Never, dict[str, Any]]


def counters() -> WorkflowRouter[Counter, Any]:
    """Return a router; its dependencies, a dict, are given by `with_deps`."""
    router = WorkflowRouter(Counter, {}, wrap_deps=False)
    router.on(begin)
    router.on(add)
    router.on(wait)
    router.on(relay)
    return router


def begin(_: None, command: Begin) -> Count:
    return Count()


def add(count: Count, command: Add) -> Count:
    match command.note:
        case "context":
            return Count(total=count.total + command.n, note=user.get())
        case "cancel":
            raise asyncio.CancelledError
        case "interrupt":
            raise KeyboardInterrupt
        case "exit":
            raise SystemExit(3)
        case _:
            pass
    if count.total + command.n > 100:
        count.total = -1  # a change that must not leak
        raise Full
    return Count(total=count.total + command.n, note=command.note)


async def wait(count: Count, command: Pause, ctx: Ctx) -> Count:
    await ctx.deps[command.gate].wait()
    if command.refuse:
        raise Full
    return count


async def relay(count: Count, command: Relay, ctx: Ctx) -> Count:
    if command.read:
        ctx.deps["read"] = (await ctx.deps["executor"].get(command.read)).version
    if command.in_background:
        ctx.deps["task"] = asyncio.create_task(_later(command, ctx))
    elif command.in_task:
        await asyncio.create_task(_forward(command, ctx))
    elif command.to:
        await _forward(command, ctx)
    return count


async def _later(command: Relay, ctx: Ctx) -> None:
    await ctx.deps["later"].wait()
    await _forward(command, ctx)


async def _forward(command: Relay, ctx: Ctx) -> None:
    first, *rest = command.to
    result = await ctx.deps["executor"].execute(first, Relay(to=rest))
    ctx.deps.setdefault("inner", []).append("ok" if result.ok else type(result.error).__name__)
