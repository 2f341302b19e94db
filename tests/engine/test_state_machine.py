"""An executor and its store beside a plain dict: whatever is done to both, they agree."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

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
STEPS = st.one_of(
    st.tuples(st.just("add"), AMOUNTS),
    st.tuples(st.just("add expecting"), AMOUNTS, st.integers(-1, 1)),
    st.tuples(st.just("add once"), st.integers(-3, 3), KEYS),
    st.tuples(st.just("begin")),
    st.tuples(st.just("give up"), AMOUNTS),
)
"""What callers may do to one workflow at the same moment."""

Check: TypeAlias = Callable[[Any], None]


class Twin:
    """What a store must hold: for each workflow its totals by version, and the keys that were used."""

    def __init__(self) -> None:
        self.totals: dict[str, list[int]] = {}
        self.keys: dict[tuple[str, str], tuple[int, int]] = {}
        self.added = False
        """Whether the last `add` found room."""

    def add(self, id: str, n: int) -> bool:
        """Add if there is room."""
        totals = self.totals[id]
        self.added = totals[-1] + n <= 100
        if self.added:
            totals.append(totals[-1] + n)
        return self.added


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

    @rule(id=IDS, steps=st.lists(STEPS, min_size=2, max_size=8))
    def do_together(self, id: str, steps: list[tuple[Any, ...]]) -> None:
        """Callers that come at once are served as if one after the other, whatever they want."""
        planned = [self.plan(id, *step) for step in steps]

        async def together() -> list[Any]:
            tasks = [asyncio.create_task(self.executor.execute(id, command, **how)) for command, how, _ in planned]
            for task, (_, _, check) in zip(tasks, planned, strict=True):
                if check is None:
                    task.cancel()  # before it has begun: it is never decided
            return await asyncio.gather(*tasks, return_exceptions=True)

        for result, (_, _, check) in zip(self.wait(together()), planned, strict=True):
            if check is None:
                assert isinstance(result, asyncio.CancelledError)
            else:
                check(result)

    def plan(self, id: str, kind: str, n: int = 0, more: Any = None) -> tuple[Any, dict[str, Any], Check | None]:
        """Do a step to the dict; return the same for the executor, and how to check its answer."""
        totals = self.twin.totals.get(id)
        match kind:
            case "give up":
                return Add(n=n), {}, None
            case "begin":
                self.twin.totals.setdefault(id, [0])
                return Begin(), {}, partial(self.check_begun, totals is None)
            case "add":
                return Add(n=n), {}, self.planned(id, n)
            case "add expecting":
                version = len(totals or ())
                expected = max(0, version + more)
                if totals is not None and expected != version:
                    return Add(n=n), {"expected_version": expected}, partial(self.check_conflict, expected, version)
                return Add(n=n), {"expected_version": expected}, self.planned(id, n)
            case _:
                return Add(n=n), {"idempotency_key": more}, self.planned_once(id, n, more)

    def planned(self, id: str, n: int) -> Check:
        if id not in self.twin.totals:
            return lambda result: self.check_error(result, NotFoundError)
        if not self.twin.add(id, n):
            return lambda result: self.check_error(result, Full)
        version = len(self.twin.totals[id])
        return lambda result: self.check_version(result, version)

    def planned_once(self, id: str, n: int, key: str) -> Check:
        known = self.twin.keys.get((id, key))
        if known is not None and known[0] == n:
            return lambda result: self.check_version(result, known[1], replayed=True)
        if known is not None:
            return lambda result: self.check_error(result, IdempotencyError)
        check = self.planned(id, n)
        if id in self.twin.totals and self.twin.added:
            self.twin.keys[id, key] = (n, len(self.twin.totals[id]))
        return check

    @staticmethod
    def check_error(result: Any, kind: type[BaseException]) -> None:
        assert isinstance(result, Failure), result
        assert type(result.error) is kind, result

    @staticmethod
    def check_begun(is_new: bool, result: Any) -> None:  # noqa: FBT001 - bound by `partial`
        if is_new:
            Machine.check_version(result, 1)
        else:
            Machine.check_error(result, RoutingError)

    @staticmethod
    def check_conflict(expected: int, actual: int, result: Any) -> None:
        Machine.check_error(result, ConcurrencyConflictError)
        assert (result.error.expected_version, result.error.actual_version) == (expected, actual)

    @staticmethod
    def check_version(result: Any, version: int, *, replayed: bool = False) -> None:
        assert isinstance(result, Success), result
        assert (result.version, result.replayed) == (version, replayed)

    @precondition(lambda self: self.keeps)
    @rule(id=IDS, n=AMOUNTS)
    def add_elsewhere(self, id: str, n: int) -> None:
        """Another process, as far as the store can tell: this one's memory of the workflow is out of date."""

        async def elsewhere() -> Any:
            async with type(self).make() as store:
                return await WorkflowExecutor(counters(), store).execute(id, Add(n=n))

        self.check_added(id, n, self.wait(elsewhere()))

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
