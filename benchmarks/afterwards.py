"""Scenarios of what happens around a commit: keys and timers that are saved with it, and what follows from it."""

from __future__ import annotations

from .scenario import OURS, Contender, Scenario, Target

EFFECTS = ("bare", "with a key", "with a timer", "with both")
ONE_BY_ONE = "by hand, one by one"
PROCESS = "eventsourcing, process application"


def _effects(name: str, title: str, run: str, *, needs_server: bool = False) -> Scenario:
    return Scenario(
        name,
        title,
        (Contender(OURS, f"effects:{run}", EFFECTS),),
        floor=EFFECTS[0],
        targets=(Target(EFFECTS[-1], "at most", 1.5, EFFECTS[:1]),),
        unit="µs",
        needs_server=needs_server,
        in_picture=False,
    )


def _reactions(name: str, title: str, *peers: Contender, needs_server: bool = False) -> Scenario:
    return Scenario(
        name,
        title,
        (
            Contender(ONE_BY_ONE, "reacting_by_hand:one_by_one"),
            Contender("by hand, page by page", "reacting_by_hand:page_by_page"),
            Contender(f"{OURS}, 1 worker", "reacting:one_worker"),
            Contender(f"{OURS}, 2 workers", "reacting:two_workers"),
            Contender(f"{OURS}, 4 workers", "reacting:four_workers"),
            Contender(PROCESS, "reacting_eventsourced:process_application"),
            Contender("DBOS, 1 worker", "reacting_dbos:one_worker"),
            *peers,
        ),
        floor=ONE_BY_ONE,
        unit="deliveries/s",
        needs_server=needs_server,
    )


AFTERWARDS = (
    _effects("effects-sqlite-1", "A command with a key and a timer, SQLite, one caller", "one"),
    _effects("effects-sqlite-64", "A command with a key and a timer, SQLite, 64 callers", "many"),
    _effects(
        "effects-postgres-1", "A command with a key and a timer, PostgreSQL, one caller", "one", needs_server=True
    ),
    _effects(
        "effects-postgres-64", "A command with a key and a timer, PostgreSQL, 64 callers", "many", needs_server=True
    ),
    _reactions("reactor-sqlite", "What follows from a commit, delivered, SQLite"),
    _reactions(
        "reactor-postgres",
        "What follows from a commit, delivered, PostgreSQL",
        Contender("DBOS, 4 workers", "reacting_dbos:four_workers"),
        needs_server=True,
    ),
)
