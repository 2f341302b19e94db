"""The write-ahead log stays short while commits flow, and checkpoints keep to the rules."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from statewright.stores.sqlite import SQLiteStore
from statewright.testing.contract.samples import following, loaded, opening
from tests.stores.sqlite_seam import Watched, driver_error, watched_store

FRAME = 4096 + 24


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.db"


def log_size(path: Path) -> int:
    """Return the size of a database's write-ahead log."""
    log = path.with_name(f"{path.name}-wal")
    return log.stat().st_size if log.exists() else 0


async def grow(store: SQLiteStore, path: Path, id: str, saves: int) -> int:
    """Save a workflow again and again, and return how large the log ever was."""
    options, largest = opening(id, data={"text": "x" * 2000}), 0
    await store.save(options)
    for _ in range(saves):
        options = following(options)
        await store.save(options)
        largest = max(largest, log_size(path))
    return largest


@pytest.mark.slow
async def test_the_log_stays_short(path: Path) -> None:
    """However much is saved, by one or by many, the log is moved into the database before it is long."""
    async with SQLiteStore(path, checkpoint_pages=100) as store:
        alone = await grow(store, path, "alone", 500)
        together = await asyncio.gather(*(grow(store, path, f"w-{number}", 50) for number in range(20)))

        assert len(await store.commits(limit=2000)) == 501 + 20 * 51
    assert alone <= 450 * FRAME
    assert max(together) <= 800 * FRAME


@pytest.mark.slow
async def test_readers_do_not_let_it_grow(path: Path) -> None:
    """Subscribers and long lists read page by page, so that the log begins anew under them."""
    async with SQLiteStore(path, checkpoint_pages=50) as store:
        seen: set[int] = set()

        async def subscribe() -> None:
            async for commit in store.subscribe():
                seen.add(commit.position)

        async def read() -> None:
            while True:
                await store.history("w-0")
                await store.find()

        readers = [asyncio.ensure_future(work()) for work in (subscribe, subscribe, read, read)]
        largest = await asyncio.gather(*(grow(store, path, f"w-{number}", 100) for number in range(8)))
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    assert len(seen) > 100
    assert max(largest) <= 16 * 50 * FRAME + 200 * FRAME


@pytest.mark.slow
async def test_it_shrinks_when_a_reader_ends(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While another program keeps a read transaction open the log has to grow, which is told once; then it shrinks."""
    async with SQLiteStore(path, checkpoint_pages=5) as store:
        await store.save(opening("first"))
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM workflow").fetchone() == (1,)

        held = await grow(store, path, "held", 150)
        assert held > 16 * 5 * FRAME
        warnings = [record for record in caplog.records if "read transaction open" in record.getMessage()]
        assert len(warnings) == 1

        reader.close()
        await grow(store, path, "free", 100)
        assert log_size(path) <= 100 * FRAME


async def test_checkpoints_are_ours_and_under_the_lock(path: Path) -> None:
    """Every write and every checkpoint is done with the side lock held; SQLite makes no checkpoint by itself."""
    fcntl = pytest.importorskip("fcntl")
    unlocked: list[str] = []
    checkpoints: list[str] = []

    def watch(_connection: Watched, sql: str) -> None:
        writes = sql.startswith(("BEGIN IMMEDIATE", "COMMIT", "PRAGMA wal_checkpoint", "PRAGMA journal_mode"))
        if writes and threading.current_thread().name == "statewright-sqlite-writer":
            checkpoints.extend([sql] * ("wal_checkpoint" in sql))
            with path.with_name("w.db-lock").open("r+") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                unlocked.append(sql)

    async with watched_store(path, watch, checkpoint_pages=5) as store:
        options = opening("a")
        await store.save(options)
        for _ in range(60):
            options = following(options)
            await store.save(options)
        await store.forget("a")
        assert store._session is not None
        automatic = await store._session.write(
            lambda database: database.connection.execute("PRAGMA wal_autocheckpoint").fetchone()
        )

    assert automatic == (0,)
    assert checkpoints
    assert unlocked == []


async def test_a_checkpoint_that_fails_is_tried_again(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A checkpoint that fails costs no save; it is logged and tried again."""
    failures = [2]

    def watch(_connection: Watched, sql: str) -> None:
        if "PASSIVE" in sql and failures[0]:
            failures[0] -= 1
            raise driver_error(sqlite3.SQLITE_IOERR_FSYNC)

    async with watched_store(path, watch, checkpoint_pages=5) as store:
        await grow(store, path, "a", 150)
        assert (await loaded(store, "a")).version == 151

    assert failures == [0]
    assert len([record for record in caplog.records if "to be tried again" in record.getMessage()]) == 2


async def test_company_is_warned_of_once(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an old library, a second process on the file is told once in the log; another store in this one is not."""
    pytest.importorskip("fcntl")
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr("statewright.stores.sqlite.side_lock.SAFE_LIBRARY", (99, 0, 0))
    async with SQLiteStore(path, checkpoint_pages=5, timeout=timedelta(seconds=5)) as store, SQLiteStore(path) as other:
        await other.save(opening("b"))
        await grow(store, path, "a", 100)
        assert caplog.records == []

        path.with_name("w.db-lock").write_text("1".ljust(20))  # as process 1 would leave it
        await grow(store, path, "c", 150)

    [warning] = caplog.records
    assert "second process" in warning.getMessage()
    assert "99.0.0" in warning.getMessage()


async def test_a_new_library_needs_no_warning(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a library that is safe, a second process is nothing to speak of."""
    monkeypatch.setattr("statewright.stores.sqlite.side_lock.SAFE_LIBRARY", (3, 0, 0))
    path.with_name("w.db-lock").write_text("1".ljust(20))

    async with SQLiteStore(path) as store:
        await store.save(opening("a"))

    assert caplog.records == []


async def test_without_fcntl(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no file locks the store works all the same, on SQLite's own locks."""
    monkeypatch.setattr("statewright.stores.sqlite.side_lock.fcntl", None)

    async with SQLiteStore(path) as store, SQLiteStore(path) as other:
        await asyncio.gather(*(each.save(opening(f"{n}-{id(each)}")) for n in range(10) for each in (store, other)))
        assert await store.count() == 20

    assert not path.with_name("w.db-lock").exists()
