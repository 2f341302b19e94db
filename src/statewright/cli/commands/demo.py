"""`statewright demo`: a day of orders, and a process that is killed while it writes."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..._model.commit import Commit
from ...demo import FILE, router
from ...demo.crash import CrashError, Recovery, crash
from ...demo.day import make_day
from ...demo.plan import Story
from ...demo.shift import Report, Shift, shop
from ...diagram import text
from ...stores.sqlite import SQLiteStore
from .. import demo_view as view
from ..option import JsonOption
from ..output import console, print_json
from ..place import is_server
from ..program import MISUSED, WRONG, Complaint

SIDE_FILES = ("", "-wal", "-shm", "-lock")
"""What SQLite and the store keep beside a file, and the file itself."""
MOST_ROWS = 9
"""The history that is shown has at most so many commits."""


@dataclass(frozen=True, slots=True)
class Day:
    """What the demo shows of a day."""

    report: Report
    states: Mapping[str, int]
    sample: Sequence[Commit]
    """One order's history."""


def demo(
    *,
    orders: Annotated[int, typer.Option("--orders", min=1, max=1_000_000, help="How many orders the day has.")] = 3000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same day.")] = 7,
    callers: Annotated[int, typer.Option("--callers", min=1, max=10_000, help="How many send at the same time.")] = 64,
    store: Annotated[
        str | None,
        typer.Option("--store", "-s", metavar="FILE", help=f"A new SQLite file. Default: {FILE}, which is replaced."),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Let the day go on slowly, and watch it in the web console.")
    ] = False,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="With --serve: where to listen; 0: where there is room.")
    ] = 8700,
    rate: Annotated[
        float, typer.Option("--rate", min=0.1, max=1000, help="With --serve: so much happens in a second.")
    ] = 12,
    json: JsonOption = False,
) -> None:
    """Execute a day of orders, then kill a process in mid-write.

    Every answer is compared with the one that the made-up day says there must be. After the kill, the file is opened
    again, and every command that the process had acknowledged is looked for. The status is 1 if anything is not as it
    must be.

    The file stays, to be looked at with the other commands.
    """
    path = _made_room(store)
    if serve:
        _serve(path, orders=orders, seed=seed, rate=rate, port=port)
        return
    stories = make_day(orders, seed, (datetime.now(UTC) - timedelta(days=1)).date())
    if not json:
        console().print(f"A day in the shop: {orders:,} orders (seed {seed}), {callers} callers at once, into {path}")
    day = asyncio.run(_live(path, stories, callers))
    if not json:
        view.print_day(day.report, day.states, day.sample)
    recovery, surprises = asyncio.run(_crash(path, stories, max(200, min(orders, 2000))))
    following = view.next_commands(path, stories)
    if json:
        print_json({"file": str(path), "seed": seed, **_described(day, recovery, surprises), "next": following})
    else:
        view.print_recovery(recovery, surprises, following)
    if day.report.surprises or surprises or not recovery.is_whole:
        raise typer.Exit(WRONG)


def _serve(path: Path, *, orders: int, seed: int, rate: float, port: int) -> None:
    try:
        from ...demo.serve import serve_day  # noqa: PLC0415 - a web server is not installed with the command line
    except ImportError as exc:
        raise Complaint(f'demo --serve needs a web server: pip install "statewright[cli,http]" ({exc})') from exc

    def ready(address: str) -> None:
        console().print(f"A day in the shop, live: {address}  (stop it with Ctrl-C; the orders are in {path})")

    try:
        asyncio.run(serve_day(path, orders=orders, seed=seed, rate=rate, port=port, on_ready=ready))
    except OSError as exc:
        if exc.filename is None:
            raise
        raise Complaint(f"{exc.filename}: {exc.strerror}; name another one with --port, or --port 0") from exc


def _made_room(store: str | None) -> Path:
    """Return the file to write; only the one that is the demo's own by its name is replaced.

    Raises:
        Complaint: It is somebody's file, or no file at all.
    """
    if store is None:
        for suffix in SIDE_FILES:
            Path(FILE + suffix).unlink(missing_ok=True)
        return Path(FILE)
    if is_server(store):
        raise Complaint("the demo kills a process that writes to a SQLite file: --store takes the path of one", MISUSED)
    if Path(store).exists():
        raise Complaint(f"{store} exists, and the demo only writes to a new file: name another one", MISUSED)
    return Path(store)


async def _live(path: Path, stories: Sequence[Story], callers: int) -> Day:
    commands = sum(len(moment.sends) for story in stories for moment in story.moments)
    async with SQLiteStore(path) as store:
        with _progress("executing commands", commands) as progress:
            shift = Shift(shop(store), stories, callers=callers, on_progress=progress)
            report = await shift.run()
        sample = await store.history(_worth_showing(stories).id)
        return Day(report, dict(await store.count_by_state(router.workflow.name)), sample)


def _worth_showing(stories: Sequence[Story]) -> Story:
    """Return the story that gets furthest in few steps."""
    ranks = {state: rank for rank, state in enumerate(router.workflow.states)}
    short = [story for story in stories if len(story.moments) <= MOST_ROWS] or stories
    return max(short, key=lambda story: (story.state != "Cancelled", ranks[story.state], len(story.moments)))


async def _crash(path: Path, stories: Sequence[Story], kill_after: int) -> tuple[Recovery, list[str]]:
    """Kill a process, and look for what it had acknowledged and for the day before."""
    try:
        with _progress("writing in another process, to be killed", kill_after) as progress:
            recovery = await crash(path, kill_after, lambda _: progress(1))
    except CrashError as exc:
        raise Complaint(f"the process that was to be killed ended by itself: {exc}") from exc
    async with SQLiteStore(path) as store:
        return recovery, await Shift(shop(store), stories).look_back()


@contextmanager
def _progress(title: str, total: int) -> Generator[Callable[[int], None]]:
    """Show a bar in a terminal, and yield what moves it on."""
    out = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, disable=not out.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)


def _described(day: Day, recovery: Recovery, surprises: Sequence[str]) -> dict[str, Any]:
    report = day.report
    return {
        "orders": report.orders,
        "callers": report.callers,
        "commands": report.commands,
        "seconds": round(report.seconds, 3),
        "commands_per_second": round(report.rate),
        "latency_ms": {"p50": round(report.latency(0.5) * 1e3, 3), "p99": round(report.latency(0.99) * 1e3, 3)},
        "answers": dict(report.answers),
        "refusals": dict(report.refusals),
        "states": dict(day.states),
        "surprises": [*report.surprises, *surprises],
        "history": [commit.to_dict() for commit in day.sample],
        "diagram": text(router, counts=day.states),
        "crash": {**dataclasses.asdict(recovery), "is_whole": recovery.is_whole},
    }
