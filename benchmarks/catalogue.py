"""All scenarios: the work, the floors, the peers, and what Statewright should reach."""

from __future__ import annotations

from .afterwards import AFTERWARDS
from .contenders.imports import STATEMENTS as IMPORTS
from .scenario import OURS, Contender, Scenario, Target

RAW = "raw sqlite3"
DEFAULT = "eventsourcing"
CACHE = "eventsourcing, cache"
SHARED = "eventsourcing, cache, no copies"
FASTEST = "eventsourcing, cache, no copies, one writer"

IN_MEMORY = (
    Scenario(
        "dispatch",
        "Dispatch, nothing stored",
        (
            Contender("bare Pydantic", "bare:dispatch"),
            Contender(OURS, "ours:dispatch"),
            Contender(f"{OURS}, five middlewares", "ours:dispatch_five_middlewares"),
            Contender("transitions", "machines:transitions"),
            Contender("python-statemachine", "machines:statemachine"),
        ),
        floor="bare Pydantic",
        targets=(Target(OURS, "at least", 0.7, ("bare Pydantic",)),),
    ),
    Scenario(
        "dispatch-event",
        "Dispatch with one event, nothing stored",
        (Contender("bare Pydantic", "bare:dispatch_with_event"), Contender(OURS, "ours:dispatch_with_event")),
        floor="bare Pydantic",
        in_picture=False,
    ),
    Scenario(
        "memory",
        "Memory, one caller",
        (
            Contender("JSON compare-and-swap", "bare:compare_and_swap"),
            Contender(OURS, "ours_stored:memory"),
            Contender(DEFAULT, "eventsourced:memory"),
            Contender(FASTEST, "eventsourced:memory_fastest"),
        ),
        floor="JSON compare-and-swap",
        targets=(Target(OURS, "at least", 0.5, ("JSON compare-and-swap",)),),
    ),
)

ON_SQLITE = (
    Scenario(
        "sqlite-1",
        "SQLite, durable, one caller",
        (
            Contender(RAW, "raw_sqlite:one_caller"),
            Contender(OURS, "ours_stored:sqlite_one"),
            Contender(DEFAULT, "eventsourced:sqlite_one"),
            Contender(FASTEST, "eventsourced:sqlite_one_fastest"),
        ),
        floor=RAW,
        targets=(Target(OURS, "at least", 0.5, (RAW,)),),
    ),
    Scenario(
        "sqlite-64",
        "SQLite, durable, 64 callers, 1,000 workflows",
        (
            Contender(RAW, "raw_sqlite:many_callers"),
            Contender(OURS, "ours_stored:sqlite_many"),
            Contender(DEFAULT, "eventsourced:sqlite_many"),
            Contender(FASTEST, "eventsourced:sqlite_many_fastest"),
            Contender("batch limit", "raw_sqlite:batch_limit"),
        ),
        floor=RAW,
        targets=(
            Target(OURS, "at least", 5, (RAW,)),
            Target(OURS, "at least", 9, (DEFAULT, FASTEST), "eventsourcing at its best"),
        ),
    ),
    Scenario(
        "sqlite-hot",
        "SQLite, durable, 64 callers, one workflow",
        (
            Contender(RAW, "raw_sqlite:hot"),
            Contender(OURS, "ours_stored:sqlite_hot"),
            Contender(DEFAULT, "eventsourced:sqlite_hot"),
            Contender(CACHE, "eventsourced:sqlite_hot_cache"),
            Contender(f"{FASTEST}, a lock", "eventsourced:sqlite_hot_fastest"),
            Contender("fold limit", "raw_sqlite:fold_limit"),
        ),
        floor=RAW,
        targets=(
            Target(OURS, "at least", 5, (RAW,)),
            Target(OURS, "at least", 15, (DEFAULT, CACHE), "eventsourcing with its cache"),
        ),
    ),
)

HISTORIES = ("10 commits", "10,000 commits")
CROWDS = ("1,000 workflows", "many workflows")
WALKS = ("listing, after a fifth", "listing, at the end", "migrating, after a fifth", "migrating, at the end")

OF_SIZE = (
    Scenario(
        "history-memory",
        "A command after 10 and after 10,000 commits, memory",
        (Contender(OURS, "growth:memory_history", HISTORIES),),
        floor=HISTORIES[0],
        targets=(Target(HISTORIES[1], "at most", 1.1, HISTORIES[:1]),),
        unit="µs",
        in_picture=False,
    ),
    Scenario(
        "history-sqlite",
        "A command after 10 and after 10,000 commits, SQLite",
        (Contender(OURS, "growth:sqlite_history", HISTORIES),),
        floor=HISTORIES[0],
        targets=(Target(HISTORIES[1], "at most", 1.1, HISTORIES[:1]),),
        unit="µs",
        in_picture=False,
    ),
    Scenario(
        "import",
        "Import",
        (Contender(OURS, "imports:compare", IMPORTS),),
        floor=IMPORTS[0],
        targets=(Target(IMPORTS[1], "at most", 1.3, IMPORTS[:1]),),
        unit="ms",
        in_picture=False,
    ),
    Scenario(
        "waiting",
        "Memory of one waiting command",
        (
            Contender(
                OURS,
                "footprint:waiting",
                (
                    "a task that waits, alone",
                    "waiting for its turn",
                    "waiting for its turn, its task aside",
                    "waiting for the disk",
                ),
            ),
        ),
        targets=(
            Target("waiting for its turn, its task aside", "at most", 2_048),
            Target("waiting for the disk", "at most", 2_048),
        ),
        unit="bytes",
        in_rounds=False,
        in_picture=False,
    ),
    Scenario(
        "resident",
        "Resident size, a million commands on 100,000 workflows, SQLite",
        (Contender(OURS, "footprint:sqlite_resident", ("after a fifth", "at the end")),),
        floor="after a fifth",
        targets=(Target("at the end", "at most", 1.05, ("after a fifth",)),),
        unit="MB",
        in_rounds=False,
        in_picture=False,
    ),
)

TRANSACTION = "psycopg transaction"
STATEMENT = "psycopg, SELECT and one CTE statement"
KEPT = "psycopg, one CTE statement, state kept"
PGBENCH = "pgbench simple-update"
LIMITS = ("psycopg unnest 64", "psycopg unnest 64, synchronous")

ON_POSTGRES = (
    Scenario(
        "postgres-1",
        "PostgreSQL, durable, one caller",
        (
            Contender(STATEMENT, "raw_postgres:statement_one"),
            Contender(OURS, "ours_postgres:one"),
            Contender(KEPT, "raw_postgres:kept_one"),
            Contender(TRANSACTION, "raw_postgres:transaction_one"),
            Contender(PGBENCH, "raw_postgres:pgbench_one"),
            Contender(DEFAULT, "eventsourced:postgres_one"),
            Contender(FASTEST, "eventsourced:postgres_one_fastest"),
        ),
        floor=STATEMENT,
        targets=(Target(OURS, "at least", 0.6, (STATEMENT,)), Target(OURS, "at least", 0.6, (KEPT,))),
        needs_server=True,
    ),
    Scenario(
        "postgres-64",
        "PostgreSQL, durable, 64 callers, 1,000 workflows",
        (
            Contender(LIMITS[0], "raw_postgres:batch_limit"),
            Contender(LIMITS[1], "raw_postgres:batch_limit_synchronous"),
            Contender(OURS, "ours_postgres:many"),
            Contender(TRANSACTION, "raw_postgres:transaction_many"),
            Contender(PGBENCH, "raw_postgres:pgbench_many"),
            Contender(DEFAULT, "eventsourced:postgres_many"),
            Contender(SHARED, "eventsourced:postgres_many_shared"),
            Contender(FASTEST, "eventsourced:postgres_many_fastest"),
        ),
        floor=LIMITS[0],
        targets=(
            Target(OURS, "at least", 0.6, LIMITS, "the faster unnest 64"),
            Target(OURS, "at least", 2, (PGBENCH,)),
            Target(OURS, "at least", 12, (DEFAULT, SHARED), "eventsourcing that processes may share"),
            Target(OURS, "at least", 12, (DEFAULT, SHARED, FASTEST), "eventsourcing at its best"),
        ),
        needs_server=True,
    ),
    Scenario(
        "postgres-hot",
        "PostgreSQL, durable, 64 callers, one workflow",
        (
            Contender("naive compare-and-swap loop", "raw_postgres:naive_hot"),
            Contender(OURS, "ours_postgres:hot"),
            Contender(DEFAULT, "eventsourced:postgres_hot"),
            Contender(f"{FASTEST}, a lock", "eventsourced:postgres_hot_fastest"),
        ),
        floor="naive compare-and-swap loop",
        targets=(Target(OURS, "at least", 50, ("naive compare-and-swap loop",)),),
        needs_server=True,
    ),
    Scenario(
        "postgres-processes",
        "PostgreSQL, durable, 64 callers in each of several processes",
        (
            Contender("1 process, 1,000 workflows", "ours_postgres:spread_one"),
            Contender("2 processes, 1,000 workflows", "ours_postgres:spread_two"),
            Contender("4 processes, 1,000 workflows", "ours_postgres:spread_four"),
            Contender("3 processes, 200 workflows", "ours_postgres:few_three"),
            Contender("1 process, one workflow", "ours_postgres:hot_one"),
            Contender("2 processes, one workflow", "ours_postgres:hot_two"),
            Contender("4 processes, one workflow", "ours_postgres:hot_four"),
        ),
        floor="1 process, 1,000 workflows",
        targets=(Target("3 processes, 200 workflows", "at least", 21_600),),
        needs_server=True,
        in_picture=False,
    ),
    Scenario(
        "history-postgres",
        "A command after 10 and after 10,000 commits, PostgreSQL",
        (Contender(OURS, "ours_postgres:history", HISTORIES),),
        floor=HISTORIES[0],
        targets=(Target(HISTORIES[1], "at most", 1.3, HISTORIES[:1]),),
        unit="µs",
        needs_server=True,
        in_picture=False,
    ),
    Scenario(
        "workflows-postgres",
        "A command among 1,000 and among a million workflows, PostgreSQL",
        (Contender(OURS, "ours_postgres:workflows", CROWDS),),
        floor=CROWDS[0],
        targets=(Target(CROWDS[1], "at most", 1.3, CROWDS[:1]),),
        unit="µs",
        needs_server=True,
        in_rounds=False,
        in_picture=False,
    ),
    Scenario(
        "walk-postgres",
        "Resident size, a walk over a million workflows, PostgreSQL",
        (Contender(OURS, "walks:postgres", WALKS),),
        floor=WALKS[0],
        targets=(
            Target(WALKS[1], "at most", 1.05, WALKS[:1]),
            Target(WALKS[3], "at most", 1.05, WALKS[2:3]),
        ),
        unit="MB",
        needs_server=True,
        in_rounds=False,
        in_picture=False,
    ),
)

BY_HAND = "FastAPI, a route that stores nothing"
SERVED = f"{OURS}, served"

OVER_HTTP = (
    Scenario(
        "serve-sqlite",
        "64 callers, 1,000 workflows, SQLite: in process and over HTTP",
        (
            Contender(OURS, "ours_stored:sqlite_many"),
            Contender(SERVED, "served:sqlite"),
            Contender(BY_HAND, "served:nothing"),
        ),
        floor=OURS,
        in_picture=False,
    ),
    Scenario(
        "serve-postgres",
        "64 callers, 1,000 workflows, PostgreSQL: in process and over HTTP",
        (
            Contender(OURS, "ours_postgres:many"),
            Contender(SERVED, "served:postgres"),
            Contender(BY_HAND, "served:nothing"),
        ),
        floor=OURS,
        needs_server=True,
        in_picture=False,
    ),
)

SCENARIOS: tuple[Scenario, ...] = (
    *IN_MEMORY,
    *ON_SQLITE,
    *OF_SIZE,
    *ON_POSTGRES,
    *OVER_HTTP,
    *AFTERWARDS,
)
