"""Walking over many workflows takes no more memory at the end than at the beginning.

The whole million: `python -m benchmarks --whole --only walk-postgres`.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from statistics import median
from typing import Never

import psycopg
import pytest
from pydantic import BaseModel

from statewright import Migrations, PostgresStore, Workflow, WorkflowSnapshot, migrate
from tests.postgres_server import PostgresServer

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = [pytest.mark.postgres, pytest.mark.slow]

COUNT = 10_000
PAGE = 250


class Kept(BaseModel):
    text: str


class Keep(BaseModel): ...


class Box(Workflow[Kept, Keep, Never], name="box", model_version=2):
    """Something in store."""


migrations = Migrations(Box)


@migrations.to(2, "louder")
def louder(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
    return snapshot.replace(data={"text": snapshot.data["text"].upper()})


FILL = """
INSERT INTO {schema}.workflow
  (id, definition, state, data, model_version, version, commit_id, created_at, updated_at, entered_at)
SELECT 'box-' || lpad(number::text, 8, '0'), 'box', 'Kept', json_build_object('text', repeat('abcdefgh', 25)), 1, 1,
  md5(number::text), now(), now(), now()
FROM generate_series(1, {count}) AS number
"""


@pytest.fixture
async def full(postgres: PostgresServer, postgres_store: PostgresStore) -> PostgresStore:
    """A store with many workflows of an older model version."""
    async with await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as connection:
        schema = postgres_store._settings.schema
        await connection.execute(FILL.format(schema=schema, count=COUNT).encode())
    return postgres_store


class Gauge:
    """Notes how much memory is held after each page."""

    def __init__(self) -> None:
        self.held: list[int] = []

    def look(self, _: object = None) -> None:
        """Say that a page is done."""
        gc.collect()
        self.held.append(tracemalloc.get_traced_memory()[0])

    @property
    def has_grown(self) -> bool:
        """Whether the last quarter held more than the second one; the first warms caches up.

        How many saves are under way when a page is done is a matter of timing, so that single looks differ; a walk that
        keeps what it has read doubles the median.
        """
        quarter = len(self.held) // 4
        return median(self.held[-quarter:]) > 1.3 * median(self.held[quarter : 2 * quarter])


@pytest.fixture
def gauge() -> Iterator[Gauge]:
    tracemalloc.start()
    yield Gauge()
    tracemalloc.stop()


async def _walk(store: PostgresStore, gauge: Gauge, keep: Callable[[object], object]) -> int:
    seen, after = 0, ""
    while page := await store.find(definition="box", after=after, limit=PAGE):
        seen, after = seen + len(page), page[-1].id
        keep(page)
        gauge.look()
    return seen


async def test_a_list_of_many_is_walked_in_constant_memory(full: PostgresStore, gauge: Gauge) -> None:
    """A page of a long list takes as much memory as any other, and all workflows are seen."""
    assert await _walk(full, gauge, lambda page: None) == COUNT
    assert not gauge.has_grown


async def test_a_walk_that_keeps_something_would_be_seen(full: PostgresStore, gauge: Gauge) -> None:
    """The same measure tells of a walk that keeps what it has read."""
    kept: list[object] = []
    assert await _walk(full, gauge, kept.append) == COUNT
    assert gauge.has_grown


async def test_many_are_migrated_in_constant_memory(full: PostgresStore, gauge: Gauge) -> None:
    """Bringing a large store up to date takes as much memory at its end as at its beginning."""
    report = await migrate(full, migrations, dry_run=False, progress=gauge.look)

    assert (report.seen, report.migrated, report.failed) == (COUNT, COUNT, 0)
    assert not gauge.has_grown
    last = await full.load(f"box-{COUNT:08}")
    assert last is not None
    assert last.snapshot.data == {"text": "ABCDEFGH" * 25}
    assert last.snapshot.model_version == 2
