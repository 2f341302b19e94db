"""The store contract: right stores pass it, and each broken one is caught by the clause that is meant for it."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from statewright import MemoryStore
from statewright.testing import FaultyStore, StoreContract
from tests.testing.stores import DictStore, TableStore

pytest_plugins = ["pytester"]


class TestDictStore(StoreContract):
    """The least that a store can be passes."""

    @pytest.fixture
    def store(self) -> DictStore:
        return DictStore()


class TestTableStore(StoreContract):
    """A store of one table and two statements passes, and what it acknowledges is durable."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[TableStore]:
        async with TableStore(tmp_path / "w.db") as store:
            yield store

    def reopen(self, store: Any) -> AbstractAsyncContextManager[TableStore]:
        return TableStore(store.path)


class TestFaultyStoreWithoutFaults(StoreContract):
    """A `FaultyStore` that is told nothing is as good as the store that it wraps."""

    @pytest.fixture
    def store(self) -> FaultyStore:
        return FaultyStore(MemoryStore())


BROKEN: Mapping[str, tuple[str, ...]] = {
    "UncheckedStore": ("test_second_writer_loses", "test_second_creator_loses", "test_one_writer_per_version_wins"),
    "ReadThenWriteStore": ("test_one_writer_per_version_wins", "test_one_creator_wins", "test_no_update_is_lost"),
    "WrongFactsStore": ("test_a_conflict_tells_the_actual_version",),
    "SharedSnapshotStore": ("test_what_was_handed_out_cannot_be_changed",),
    "EagerStore": ("test_create", "test_no_update_is_lost"),
    "UncommittedStore": ("test_an_acknowledged_save_is_durable",),
    "ReorderingStore": ("test_data_is_kept[key_order]", "test_data_is_kept[floats_are_no_integers]"),
    "CarelessIdStore": ("test_ids_are_told_apart",),
    "LostCommitStore": ("test_history_is_dense", "test_every_version_can_be_read"),
    "EveryTenthLostStore": ("test_races_leave_one_commit_per_version",),
    "UnfencedStore": ("test_another_commit_id_is_refused", "test_a_forgotten_workflow_does_not_come_back"),
    "SkippingStore": ("test_the_log_in_pages", "test_a_reader_beside_writers_skips_nothing"),
    "ForgetfulStore": ("test_nothing_is_left",),
    "HastyTimersStore": ("test_a_lost_race_leaves_timers_alone",),
    "UnguardedStore": ("test_a_save_under_a_lease", "test_a_reader_that_was_overtaken_changes_nothing"),
}
"""What is wrong, and the clauses that must say so."""

ONE_CALLER_IS_FINE = {"ReadThenWriteStore", "EveryTenthLostStore"}
"""Faults that only show under many callers, or after many saves."""


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_store_is_caught(pytester: pytest.Pytester, name: str) -> None:
    """A store with one fault fails the clauses that are meant for it, and does not fail everything."""
    failed, passed = _judge(pytester, name)

    assert set(BROKEN[name]) <= failed
    assert "test_a_missing_workflow_is_none" in passed
    if name in ONE_CALLER_IS_FINE:
        assert {"test_create", "test_update", "test_second_writer_loses", "test_second_creator_loses"} <= passed


@pytest.mark.parametrize(("store", "protocol"), [("DictStore", "HistoryStore"), ("TableStore", "FoldingStore")])
def test_what_a_store_lacks_is_a_visible_skip(pytester: pytest.Pytester, store: str, protocol: str) -> None:
    """A clause that the store has no protocol for is skipped with the names of both."""
    _write_suite(pytester, "tests.testing.stores", store)

    result = pytester.runpytest_inprocess("-rs", "-k", "empty or saved_at_once or dense", *_OPTIONS)

    result.stdout.fnmatch_lines([f"SKIPPED*{store}*({protocol})"])
    assert "failed" not in result.parseoutcomes()


def test_the_contract_runs_in_strict_mode_too(pytester: pytest.Pytester) -> None:
    """The clauses carry their asyncio mark, so that a project in strict mode runs them."""
    _write_suite(pytester, "tests.testing.stores", "DictStore")

    result = pytester.runpytest_inprocess("-o", "asyncio_mode=strict", *_OPTIONS[2:])

    assert set(result.parseoutcomes()) <= {"passed", "skipped"}
    assert result.parseoutcomes()["passed"] > 40


_OPTIONS = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function", "-p", "no:cacheprovider")


def _judge(pytester: pytest.Pytester, name: str) -> tuple[set[str], set[str]]:
    _write_suite(pytester, "tests.testing.broken_stores", name)
    passed, _, failed = pytester.inline_run(*_OPTIONS).listoutcomes()
    return {_clause(report) for report in failed}, {_clause(report) for report in passed}


def _clause(report: pytest.CollectReport | pytest.TestReport) -> str:
    return report.nodeid.rpartition("::")[2]


def _write_suite(pytester: pytest.Pytester, module: str, name: str) -> None:
    """Write a test module as a user would, for a store in memory or one that opens a file."""
    pytester.makepyfile(
        textwrap.dedent(f"""
        import inspect

        import pytest

        from {module} import {name}
        from statewright.testing import StoreContract

        ON_DISK = "path" in inspect.signature({name}).parameters


        class TestStore(StoreContract):
            @pytest.fixture
            def store(self, request):
                return request.getfixturevalue("opened") if ON_DISK else {name}()

            @pytest.fixture
            async def opened(self, tmp_path):
                async with {name}(tmp_path / "w.db") as store:
                    yield store

            def reopen(self, store):
                return {name}(store.path) if ON_DISK else None
        """)
    )
