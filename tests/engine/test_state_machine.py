"""An executor and its store beside a plain dict: whatever is done to both, they agree."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from statewright import (
    ConcurrencyConflictError,
    Failure,
    IdempotencyError,
    MemoryStore,
    NotFoundError,
    PostgresStore,
    RoutingError,
    SQLiteStore,
    Success,
    WorkflowExecutor,
)

from .counter import Add, Begin, Count, Counter, Full, counters

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = pytest.mark.slow

IDS = st.sampled_from(["a", "b", "ünïcode/..", "c" * 255])
AMOUNTS = st.integers(-20, 60)
KEYS = st.sampled_from(["k1", "k2"])


class Twin:
    """What a store must hold: for each workflow its totals by version, and the keys that were used."""

    def __init__(self) -> None:
        self.totals: dict[str, list[int]] = {}
        self.keys: dict[tuple[str, str], tuple[int, int]] = {}

    def add(self, id: str, n: int) -> bool:
        """Add if there is room."""
        totals = self.totals[id]
        if totals[-1] + n > 100:
            return False
        totals.append(totals[-1] + n)
        return True


class Machine(RuleBasedStateMachine):
    """Does the same to both."""

    make: Callable[[], Any]
    keeps: bool
    """Whether the store outlives its object."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.store = type(self).make()
        self.wait(self.store.__aenter__())
        self.executor: WorkflowExecutor[Counter] = WorkflowExecutor(counters(), self.store)
        self.twin = Twin()

    def wait(self, awaitable: Any) -> Any:
        async def awaiting() -> Any:
            return await awaitable

        return self.loop.run_until_complete(awaiting())

    def execute(self, id: str, command: Any, **options: Any) -> Any:
        return self.wait(self.executor.execute(id, command, **options))

    @rule(id=IDS)
    def begin(self, id: str) -> None:
        result = self.execute(id, Begin())
        if id in self.twin.totals:
            assert isinstance(result.error, RoutingError)
        else:
            assert result.unwrap().version == 1
            self.twin.totals[id] = [0]

    @rule(id=IDS, total=st.integers(0, 100))
    def create(self, id: str, total: int) -> None:
        result = self.wait(self.executor.create(id, Count(total=total)))
        if id in self.twin.totals:
            assert isinstance(result.error, ConcurrencyConflictError)
            assert result.error.actual_version == len(self.twin.totals[id])
        else:
            assert result.unwrap().version == 1
            self.twin.totals[id] = [total]

    @rule(id=IDS, n=AMOUNTS)
    def add(self, id: str, n: int) -> None:
        self.check_added(id, n, self.execute(id, {"type": "Add", "payload": {"n": n}}))

    @rule(id=IDS, n=AMOUNTS, offset=st.integers(-1, 1))
    def add_expecting(self, id: str, n: int, offset: int) -> None:
        version = len(self.twin.totals.get(id, ()))
        expected = max(0, version + offset)
        result = self.execute(id, Add(n=n), expected_version=expected)
        if id in self.twin.totals and expected != version:
            assert isinstance(result.error, ConcurrencyConflictError)
            assert (result.error.expected_version, result.error.actual_version) == (expected, version)
        else:
            self.check_added(id, n, result)

    @rule(id=IDS, n=st.integers(-3, 3), key=KEYS)
    def add_once(self, id: str, n: int, key: str) -> None:
        known = self.twin.keys.get((id, key))
        result = self.execute(id, Add(n=n), idempotency_key=key)
        if known is None:
            if self.check_added(id, n, result):
                self.twin.keys[id, key] = (n, len(self.twin.totals[id]))
        elif known[0] == n:
            assert (result.unwrap().replayed, result.version) == (True, known[1])
            assert result.workflow.data.total == self.twin.totals[id][known[1] - 1]
        else:
            assert isinstance(result.error, IdempotencyError)

    @rule(id=IDS, amounts=st.lists(AMOUNTS, min_size=2, max_size=6))
    def add_together(self, id: str, amounts: list[int]) -> None:
        async def together() -> list[Any]:
            return await asyncio.gather(*(self.executor.execute(id, Add(n=n)) for n in amounts))

        for n, result in zip(amounts, self.wait(together()), strict=True):
            self.check_added(id, n, result)

    @rule(id=IDS)
    def forget(self, id: str) -> None:
        assert self.wait(self.executor.forget(id)) == (id in self.twin.totals)
        self.twin.totals.pop(id, None)
        self.twin.keys = {place: used for place, used in self.twin.keys.items() if place[0] != id}

    @precondition(lambda self: self.keeps)
    @rule()
    def restart(self) -> None:
        self.wait(self.store.__aexit__(None, None, None))
        self.store = type(self).make()
        self.wait(self.store.__aenter__())
        self.executor = WorkflowExecutor(counters(), self.store)

    @rule(id=IDS, back=st.integers(0, 3))
    def look_back(self, id: str, back: int) -> None:
        totals = self.twin.totals.get(id, [])
        version = len(totals) - back
        earlier = self.wait(self.executor.at(id, max(0, version)))
        assert (None if earlier is None else earlier.data.total) == (totals[version - 1] if version > 0 else None)

    @invariant()
    def agree(self) -> None:
        """Current rows, histories and lists are what the dict says."""
        for id, totals in self.twin.totals.items():
            workflow = self.wait(self.executor.get(id))
            assert workflow is not None
            assert (workflow.version, workflow.data.total) == (len(totals), totals[-1])
            history = self.wait(self.executor.history(id))
            assert [commit.version for commit in history] == list(range(1, len(totals) + 1))
        found = self.wait(self.store.find(definition="counter"))
        assert [each.id for each in found] == sorted(self.twin.totals)
        assert self.wait(self.store.count_by_state("counter")).get("Count", 0) == len(self.twin.totals)

    def check_added(self, id: str, n: int, result: Any) -> bool:
        """Check the answer to an `Add`; return whether it was accepted."""
        if id not in self.twin.totals:
            assert isinstance(result.error, NotFoundError)
            return False
        if self.twin.add(id, n):
            assert isinstance(result, Success), result
            assert (result.version, result.workflow.data.total) == (len(self.twin.totals[id]), self.twin.totals[id][-1])
            return True
        assert isinstance(result, Failure)
        assert isinstance(result.error, Full)
        return False

    def teardown(self) -> None:
        self.wait(self.store.__aexit__(None, None, None))
        self.loop.close()


def run(make: Callable[[], Callable[[], Any]], *, keeps: bool, examples: int) -> None:
    """Run the machine; `make` gives, for each run, what opens its store."""

    class Run(Machine):
        def __init__(self) -> None:
            type(self).make = staticmethod(make())  # type: ignore[method-assign]
            super().__init__()

    Run.keeps = keeps
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Run, settings=settings(max_examples=examples, stateful_step_count=25, suppress_health_check=checks)
    )


def test_memory() -> None:
    """A memory store agrees with a dict."""
    run(lambda: MemoryStore, keeps=False, examples=60)


def test_sqlite(tmp_path: Path) -> None:
    """A SQLite file agrees with a dict, over restarts."""

    def make() -> Callable[[], SQLiteStore]:
        path = tmp_path / f"{secrets.token_hex(6)}.db"
        return lambda: SQLiteStore(path)

    run(make, keeps=True, examples=25)


@pytest.mark.postgres
def test_postgres(postgres: Any) -> None:
    """A PostgreSQL schema agrees with a dict, over restarts."""
    schemas: list[str] = []

    def make() -> Callable[[], PostgresStore]:
        schemas.append(f"machine_{secrets.token_hex(6)}")
        return lambda: PostgresStore(postgres.dsn, schema=schemas[-1])

    try:
        run(make, keeps=True, examples=12)
    finally:
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            for schema in schemas:
                connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'.encode())
