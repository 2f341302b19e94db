"""The process that is killed: `python -m statewright.demo.writer FILE` writes orders until somebody ends it.

Each command that was acknowledged is reported on standard output, one JSON line each, and not a moment earlier.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Iterator
from decimal import Decimal

from .._engine.executor import WorkflowExecutor
from ..errors import StatewrightError
from ..stores.sqlite import SQLiteStore
from .order import AddItem, Open, Order, router

CALLERS = 32
LINES_PER_ORDER = 10
STANDARD_OUTPUT = 1


async def write(path: str) -> None:
    """Write orders to a file, many at once, for ever."""
    numbers = itertools.count(1)
    async with SQLiteStore(path) as store, asyncio.TaskGroup() as callers:
        executor = WorkflowExecutor(router, store)
        for _ in range(CALLERS):
            callers.create_task(_call(executor, numbers))


async def _call(executor: WorkflowExecutor[Order], numbers: Iterator[int]) -> None:
    for number in numbers:
        id = f"night-{number:06}"
        await _send(executor, id, Open(customer=f"night owl {number}"))
        for line in range(LINES_PER_ORDER):
            await _send(executor, id, AddItem(article=f"{id}/{line}", unit_price=Decimal("1.00")))


async def _send(executor: WorkflowExecutor[Order], id: str, command: Open | AddItem) -> None:
    result = (await executor.execute(id, command)).unwrap()
    line = json.dumps({"id": id, "version": result.version, "command": command.model_dump(mode="json")})
    os.write(STANDARD_OUTPUT, f"{line}\n".encode())  # unbuffered: what is reported is out of this process


if __name__ == "__main__":
    try:
        asyncio.run(write(sys.argv[1]))
    except StatewrightError as error:
        sys.exit(str(error))
