"""`statewright letters` and `statewright readers`: what has been given up, and how far everybody is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, TypeAlias

import typer

from ..._engine.ports import DeadLetter, DeadLetterStore, ReaderStatus, ReaderStore
from ..chosen import Where, looked_at
from ..option import ExecutorOption, JsonOption, StoreOption
from ..output import console, print_json, print_table
from ..program import WRONG, Complaint, complain

_PAGE = 100

LetterArguments: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="LETTER...", help="Dead letters, by the ids that `letters list` prints.")
]

letters = typer.Typer(
    help="Look at dead letters, retry or drop them: timers and commands of reactors that were given up.",
    no_args_is_help=True,
)


@letters.command("list")
def list_letters(
    *,
    store: StoreOption = None,
    router: ExecutorOption = None,
    after: Annotated[str, typer.Option("--after", metavar="LETTER", help="Only letters above this one.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = _PAGE,
    json: JsonOption = False,
) -> None:
    """List dead letters.

    One holds back what follows it from the same workflow in the same reactor, and nobody else.
    """
    found = asyncio.run(_list((store, router), after, limit))
    if json:
        print_json([letter.to_dict() for letter in found])
        return
    rows = [
        (each.id, each.reader, each.workflow_id, f"{each.target} {each.target_id}", _command(each), _why(each))
        for each in found
    ]
    print_table(("LETTER", "READER", "FROM", "TO", "COMMAND", "REASON"), rows)


@letters.command("show")
def show_letter(
    letter: Annotated[str, typer.Argument(metavar="LETTER")],
    *,
    store: StoreOption = None,
    router: ExecutorOption = None,
) -> None:
    """Show all that is known of a dead letter, as JSON."""
    print_json(asyncio.run(_find((store, router), letter)).to_dict())


@letters.command("retry")
def retry(letters: LetterArguments, *, store: StoreOption = None, router: ExecutorOption = None) -> None:
    """Let dead letters be tried again by the next worker, before what waits behind them."""
    _each(letters, (store, router), "is tried again", lambda there, id: there.retry_dead_letter(id))


@letters.command("drop")
def drop(letters: LetterArguments, *, store: StoreOption = None, router: ExecutorOption = None) -> None:
    """Remove dead letters: they never act, and what waits behind them goes on."""
    _each(letters, (store, router), "is dropped", lambda there, id: there.drop_dead_letter(id))


def readers(*, store: StoreOption = None, router: ExecutorOption = None, json: JsonOption = False) -> None:
    """Show how far reactors and publishers have read, and how far they are behind."""
    found = asyncio.run(_readers((store, router)))
    if json:
        print_json([asdict(status) for status in found])
        return
    rows = [(each.name, str(each.position), str(each.lag), str(each.undelivered)) for each in found]
    print_table(("READER", "POSITION", "BEHIND", "UNDELIVERED"), rows)


# --- the store -------------------------------------------------------------------------------------------------------


async def _list(where: Where, after: str, limit: int) -> list[DeadLetter]:
    async with looked_at(where, DeadLetterStore) as (store, _):
        found: list[DeadLetter] = await store.dead_letters(after=after, limit=limit)
        return found


async def _find(where: Where, id: str) -> DeadLetter:
    async with looked_at(where, DeadLetterStore) as (store, _):
        after = ""
        while page := await store.dead_letters(after=after, limit=_PAGE):
            for letter in page:
                if letter.id == id:
                    found: DeadLetter = letter
                    return found
            after = page[-1].id
        raise Complaint(f"there is no dead letter {id}")


def _each(ids: list[str], where: Where, done: str, act: Callable[[DeadLetterStore, str], Awaitable[bool]]) -> None:
    async def all_of_them() -> list[str]:
        async with looked_at(where, DeadLetterStore) as (store, _):
            return [id for id in ids if not await act(store, id)]

    missing = asyncio.run(all_of_them())
    for id in ids:
        if id in missing:
            complain(f"there is no dead letter {id}")
        else:
            console().print(f"{id} {done}")
    if missing:
        raise typer.Exit(WRONG)


async def _readers(where: Where) -> list[ReaderStatus]:
    async with looked_at(where, ReaderStore) as (store, _):
        found: list[ReaderStatus] = await store.readers()
        return found


# --- words -----------------------------------------------------------------------------------------------------------


def _command(letter: DeadLetter) -> str:
    return "(none: the reactor raised)" if letter.command is None else letter.command.type


def _why(letter: DeadLetter) -> str:
    return str(letter.error.get("message", ""))
