"""`statewright worker`: timers, reactors and publishing, in a process of their own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Generator
from typing import Annotated

import typer

from ..._engine.worker import Worker
from ..output import console
from ..target import find_worker


def worker(
    target: Annotated[
        str, typer.Argument(metavar="MODULE:NAME", help="A Worker, over a store that it opens and closes.")
    ],
    *,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="Leave when nothing is due now, instead of waiting for more.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings only.")] = False,
) -> None:
    """Run timers, deliver what reactors decide, and publish commits.

    Any number of workers may run over one store: each of their roles is held by one of them at a time. Ctrl-C or
    SIGTERM lets it finish what is under way, and give its roles to the others.
    """
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    found = find_worker(target)
    asyncio.run(_work(found, until_idle=until_idle, quiet=quiet))


async def _work(worker: Worker, *, until_idle: bool, quiet: bool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        if hasattr(worker.store, "__aenter__"):
            await stack.enter_async_context(worker.store)
        if not quiet:
            console(stderr=True).print(f"at work: {', '.join(worker.roles) or 'no roles'}")
        if until_idle:
            await worker.run_until_idle()
            return
        running = asyncio.ensure_future(worker.run())
        with _ended_by_signals(running), contextlib.suppress(asyncio.CancelledError):
            await running


@contextlib.contextmanager
def _ended_by_signals(running: asyncio.Future[None]) -> Generator[None]:
    """Cancel the work when the process is told to end, for the length of a block."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C cancels the main task by itself
        for each in signals:
            loop.add_signal_handler(each, running.cancel)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError):
            for each in signals:
                loop.remove_signal_handler(each)
