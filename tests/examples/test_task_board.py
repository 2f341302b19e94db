from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import strategies as st

from examples.task_board.__main__ import main
from examples.task_board.board import (
    Add,
    Doing,
    Done,
    Finish,
    HandOver,
    Rename,
    Reopen,
    SomebodyElsesTask,
    Start,
    TaskFinished,
    TaskStarted,
    Todo,
    router,
)
from statewright import InvalidDataError, RoutingError
from statewright.diagram import analyse
from statewright.testing import TransitionCoverage, check_path, explore, given

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
DOING = Doing(title="Make tea", assignee="Ann", started_at=NINE)


def test_card_goes_over_the_board() -> None:
    """A card passes through the columns, and comes back when it was not done after all."""
    check_path(
        router,
        [
            (Add(title="Make tea"), Todo),
            (Rename(title="Make green tea"), Todo),
            (Start(assignee="Bob"), Doing),
            (HandOver(assignee="Ann"), Doing),
            (Finish(by="Ann"), Done),
            (Reopen(), Todo),
        ],
    )


def test_start_says_who_and_when() -> None:
    """Who starts a task has it from that moment on."""
    started = given(router, Todo(title="Make tea"), now=NINE).when(Start(assignee="Ann"))

    started.then(DOING).emits(TaskStarted(assignee="Ann"))


def test_finish_measures_the_time() -> None:
    """What is done says how long it took."""
    an_hour = timedelta(hours=1)
    finished = given(router, DOING, now=NINE + an_hour).when(Finish(by="Ann"))

    finished.then(Done(title="Make tea", assignee="Ann", finished_at=NINE + an_hour, took=an_hour))
    finished.emits(TaskFinished(assignee="Ann", took=an_hour))


def test_only_who_works_on_it_finishes_it() -> None:
    """A task that somebody works on is not finished by another, and stays as it is."""
    given(router, DOING).when(Finish(by="Bob")).fails(SomebodyElsesTask, assignee="Ann").then(DOING)


def test_rename_keeps_the_column() -> None:
    """A card keeps everything but its title."""
    given(router, DOING).when(Rename(title="Make coffee")).then(
        Doing(title="Make coffee", assignee="Ann", started_at=NINE)
    )


def test_title_is_not_empty() -> None:
    """A title of spaces is refused before any handler runs."""
    given(router, None).when({"type": "Add", "payload": {"title": "  "}}).fails(InvalidDataError, source="command")


def test_what_is_done_is_not_renamed() -> None:
    """The last column is left by reopening only."""
    done = Done(title="Make tea", assignee="Ann", finished_at=NINE, took=timedelta())

    given(router, done).when(Rename(title="Drink tea")).fails(RoutingError, code="NO_HANDLER")


@pytest.mark.slow
def test_board_keeps_to_its_definition() -> None:
    """No sequence of commands leads to an unexpected error, and every transition is reached."""
    coverage = TransitionCoverage(router)
    people = st.sampled_from(["Ann", "Bob"])  # drawn from all names, hardly anyone would finish what they began
    done = Done(title="Make tea", assignee="Ann", finished_at=NINE, took=timedelta())

    for state in (None, DOING, done):
        commands = {Start: st.builds(Start, assignee=people), Finish: st.builds(Finish, by=people)}
        explore(router, start=state, commands=commands, sequences=30)

    assert not coverage.missing, str(coverage)
    assert analyse(router).is_sound


async def test_program_prints_the_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The board of a file has the cards of all runs."""
    for _ in range(2):
        await main(str(tmp_path / "board.db"))

    printed = capsys.readouterr().out
    assert "Bob may not: Ann works on it\nAnn finished 'Make tea'" in printed
    assert printed.endswith(
        "\nTodo (2)\n  [ ] Bake bread\n  [ ] Bake bread\n\nDoing (0)\n\nDone (2)\n"
        "  [x] Make tea (Ann)\n  [x] Make tea (Ann)\n"
    )
