"""Statewright behind `statewright serve`, and a route that does nothing behind the same framework and server."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import Any

from statewright import WorkflowExecutor
from statewright.stores.postgres import PostgresStore
from statewright.stores.sqlite import SQLiteStore

from ..setting import Setting
from ..timing import Measurement
from ..wire import call, serving
from ..work import CALLERS, PAYLOADS, AddItem, workflow_ids
from .ours import router
from .ours_stored import check, open_all

_BODIES = [json.dumps(payload) for payload in PAYLOADS]
_SERVE = ("-c", "from statewright.cli import main; main()", "serve", "benchmarks.contenders.ours:router")
_QUIET = ("--port", "0", "--no-console", "--no-access-log")


def sqlite(setting: Setting) -> Measurement:
    """Many callers over a thousand orders, `SQLiteStore` behind `statewright serve`."""
    place = str(setting.directory / "orders.db")
    return asyncio.run(_serve(place, lambda: SQLiteStore(place), setting))


def postgres(setting: Setting) -> Measurement:
    """Many callers over a thousand orders, `PostgresStore` behind `statewright serve`."""
    return asyncio.run(_serve(setting.dsn, lambda: PostgresStore(setting.dsn), setting))


async def _serve(place: str, make_store: Any, setting: Setting) -> Measurement:
    ids = workflow_ids()
    async with make_store() as store:
        await open_all(WorkflowExecutor(router, store), ids)
    paths = [f"/order/{id}/commands/AddItem" for id in ids]
    with serving(*_SERVE, "--store", place, *_QUIET) as address:
        measured = await call(address, paths, _BODIES, CALLERS, setting)
    async with make_store() as store:
        return await check(WorkflowExecutor(router, store), ids, measured)


def nothing(setting: Setting) -> Measurement:
    """Many callers of a FastAPI route that reads an item, and stores nothing."""
    with serving("-m", "benchmarks.contenders.served") as address:
        return asyncio.run(call(address, ["/items"], _BODIES, CALLERS, setting))


def main() -> None:
    """Serve the route that stores nothing, on a free port of the loopback interface."""
    import uvicorn  # noqa: PLC0415 - only the process that serves needs it
    from fastapi import FastAPI  # noqa: PLC0415 - as above

    app = FastAPI()

    @app.post("/items")
    async def read_item(item: AddItem) -> AddItem:
        return item

    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        sys.stdout.write("http://{}:{}\n".format(*listening.getsockname()))
        sys.stdout.flush()
        uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False)).run(sockets=[listening])


if __name__ == "__main__":
    main()
