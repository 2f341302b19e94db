"""What goes wrong below `SQLiteStore`: a clear error that says what to do, and nothing lost."""

# ruff: noqa: ASYNC240 - a test has its event loop to itself

from __future__ import annotations

import asyncio
import inspect
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from statewright import InvalidDataError, OutcomeUnknownError, RecordedMessage, StoreError, StoreUnavailableError
from statewright.stores.sqlite import SQLiteStore, fault
from statewright.testing.contract.samples import check_stored, following, loaded, opening
from tests.stores.sqlite_seam import Gate, Watched, driver_error, finished, started, watched_store

SHORT = timedelta(milliseconds=50)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.db"


async def refusal(path: Path | str, kind: type[StoreError] = StoreError) -> str:
    """Open a store, which must fail, and return what it says."""
    store = SQLiteStore(path)
    with pytest.raises(StoreError) as caught:
        await store.setup()
    assert type(caught.value) is kind
    assert not store.is_open
    assert str(path) in str(caught.value)
    return str(caught.value)


# --- every exception of the driver -----------------------------------------------------------------------------------


def driver_exceptions() -> Iterator[type[BaseException]]:
    for _, found in inspect.getmembers(sqlite3, inspect.isclass):
        if issubclass(found, BaseException):
            yield found


@pytest.mark.parametrize("kind", list(driver_exceptions()), ids=lambda kind: kind.__name__)
def test_every_exception_of_the_driver_is_translated(kind: type[BaseException]) -> None:
    """Each exception class of `sqlite3` has a translation of its own, which names the file and keeps the cause."""
    exc = kind("as told by a test")

    error = fault.translate(exc, "/some/w.db")

    assert kind in fault.BY_CLASS
    assert issubclass(kind, fault.FAULTS)
    assert error.__cause__ is exc
    assert isinstance(error, InvalidDataError) or "/some/w.db" in str(error)


def result_codes() -> Iterator[str]:
    skipped = {"SQLITE_OK", "SQLITE_ROW", "SQLITE_DONE", "SQLITE_NOTICE", "SQLITE_WARNING", "SQLITE_DENY"}
    for name, value in vars(sqlite3).items():
        is_code = name.startswith("SQLITE_") and isinstance(value, int) and name.count("_") == 1
        if is_code and name not in skipped and hasattr(sqlite3, name) and 0 < value < 27:
            yield name


@pytest.mark.parametrize("name", list(result_codes()))
def test_every_result_code_is_translated(name: str) -> None:
    """Each result code of SQLite, extended ones too, becomes an error of ours."""
    code = getattr(sqlite3, name)

    for extended in (code, code | 7 << 8):
        error = fault.translate(driver_error(extended), "/some/w.db")

        assert isinstance(error, StoreError | InvalidDataError)
        assert isinstance(error, StoreUnavailableError) == (code in fault._UNAVAILABLE)


def test_a_translation_quotes_no_data() -> None:
    """Messages of the driver that quote what they stumbled over are not repeated."""
    unicode = UnicodeEncodeError("utf-8", "secret \ud800", 7, 8, "surrogates not allowed")
    undecodable = sqlite3.OperationalError("Could not decode to UTF-8 column 'data' with text 'secret'")

    for exc in (unicode, undecodable):
        assert "secret" not in str(fault.translate(exc, "w.db"))


# --- opening ---------------------------------------------------------------------------------------------------------


async def test_no_database(path: Path) -> None:
    """A file that is something else is refused and left as it was."""
    text = b"Dear diary, this is no database at all.\n" * 100
    path.write_bytes(text)

    assert "no SQLite database" in await refusal(path)

    assert path.read_bytes() == text


async def test_no_directory(tmp_path: Path) -> None:
    """A missing directory is named, and not made."""
    assert "make it first" in await refusal(tmp_path / "missing" / "w.db", StoreUnavailableError)
    assert not (tmp_path / "missing").exists()


async def test_a_directory(tmp_path: Path) -> None:
    """A directory is no file."""
    assert "is a directory" in await refusal(tmp_path)


async def test_a_file_as_directory(path: Path) -> None:
    """A path through a file is refused."""
    path.touch()

    assert "no directory" in await refusal(path / "w.db", StoreUnavailableError)


async def test_somebody_elses_tables(path: Path) -> None:
    """A database that has tables of our names, but not from us, is refused and left as it was."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE workflow (mine TEXT)")
    connection.close()

    assert "a file of its own" in await refusal(path)

    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("workflow",)]
    connection.close()


async def test_a_newer_schema(path: Path) -> None:
    """A schema from a later release is refused and left as it was; the message tells both versions."""
    async with SQLiteStore(path) as store:
        await store.save(opening())
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("INSERT INTO statewright_schema VALUES (999, 'from the future', '2030-01-01')")
    connection.close()

    said = await refusal(path)

    assert "999" in said
    assert "upgrade statewright" in said


async def test_without_setup(path: Path) -> None:
    """Without `auto_setup` a file without our schema is refused; after `setup` it is not."""
    store = SQLiteStore(path, auto_setup=False)
    with pytest.raises(StoreError, match=r"store\.setup\(\)"):
        async with store:
            pass
    assert not store.is_open

    await store.setup()
    await store.close()

    async with store:
        await store.save(opening())


_READ_ONLY = """
import asyncio, os, sys
from statewright.stores.sqlite import SQLiteStore
from statewright.testing.contract.samples import opening

async def main():
    try:
        async with SQLiteStore(sys.argv[1]) as store:
            print("opened", await store.count())
    except Exception as error:
        print(type(error).__name__, error)

if os.getuid() == 0:
    os.setuid(65534)
asyncio.run(main())
"""


@pytest.fixture
def shared(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory that any user may enter: the tests' own are closed to others, and root may write anywhere."""
    directory = Path("/tmp") / f"statewright-test-{os.getpid()}-{abs(hash(request.node.name))}"
    directory.mkdir(mode=0o755)
    try:
        yield directory
    finally:
        directory.chmod(0o755)
        shutil.rmtree(directory)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="there are no users here")
async def test_a_read_only_file(shared: Path) -> None:
    """A file that may not be written is refused, and the message says so."""
    path = shared / "w.db"
    async with SQLiteStore(path) as store:
        await store.save(opening())
    path.chmod(0o444)
    shared.chmod(0o777)

    [said] = finished(started(_READ_ONLY, path))

    assert said.startswith("StoreUnavailableError")
    assert str(path) in said
    assert "check its mode" in said


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="there are no users here")
async def test_a_read_only_directory(shared: Path) -> None:
    """A directory that may not be written is refused: SQLite keeps files beside the database."""
    path = shared / "w.db"
    async with SQLiteStore(path) as store:
        await store.save(opening())
    for file in shared.iterdir():
        file.chmod(0o666)
    shared.chmod(0o555)

    [said] = finished(started(_READ_ONLY, path))

    assert said.startswith("StoreUnavailableError")
    assert str(shared) in said
    assert "may not write" in said


# --- saving ----------------------------------------------------------------------------------------------------------


async def test_a_full_disk(path: Path) -> None:
    """When there is no room, what does not fit is refused, what fits is saved, and all goes on when there is room."""
    gate = Gate()
    async with watched_store(path, gate.watch, "PRAGMA max_page_count = 40") as store:
        before = opening("before")
        await store.save(before)
        gate.shut()
        first = store.submit(opening("first"))
        await gate.reached()
        large = store.submit(opening("large", data={"text": "x" * 400_000}))
        small = store.submit(opening("small"))
        gate.open()

        await asyncio.gather(first, small)
        with pytest.raises(StoreUnavailableError, match="no room") as caught:
            await large
        assert str(path) in str(caught.value)
        assert await store.load("large") is None
        check_stored(await loaded(store, "before"), before.snapshot)

    async with SQLiteStore(path) as store:
        await store.save(opening("large", data={"text": "x" * 400_000}))
        assert [commit.workflow_id for commit in await store.commits()] == ["before", "first", "small", "large"]


async def test_too_large(path: Path) -> None:
    """Data beyond SQLite's limit is refused to whoever sent it, with the part that is to blame."""

    def limit(connection: Watched, _sql: str) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)

    async with watched_store(path, limit) as store:
        big = {"text": "x" * 20_000}
        options = opening()
        for source, facts in (
            ("state", {"data": big}),
            ("command", {"command": RecordedMessage("Big", big)}),
            ("event", {"events": (RecordedMessage("Big", big),)}),
            ("argument", {"metadata": big}),
        ):
            with pytest.raises(InvalidDataError, match="larger") as caught:
                await store.save(opening(**facts))
            assert caught.value.source == source
        await store.save(options)


async def test_an_id_that_is_no_unicode(path: Path) -> None:
    """An id with a lone surrogate is refused, and harms nobody who loads at the same time."""
    async with SQLiteStore(path) as store:
        await store.save(opening("good"))

        answers = await asyncio.gather(
            *(store.load(id) for id in ("good", "\ud800", "nobody")),
            *(store.save(opening(f"new-{number}")) for number in range(3)),
            *(store.load(id) for id in ("good", "\ud800", "nobody")),
            return_exceptions=True,
        )

        for good, odd, missing in (answers[:3], answers[6:]):
            assert not isinstance(good, BaseException)
            assert isinstance(odd, InvalidDataError)
            assert missing is None


async def test_a_lock_that_is_not_given_back(path: Path) -> None:
    """When the side lock is held by somebody else, a write gives up in time, and works when it is free."""
    fcntl = pytest.importorskip("fcntl")
    async with SQLiteStore(path, timeout=SHORT) as store:
        await store.save(opening("a"))
        with path.with_name("w.db-lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            saves = [store.submit(opening(f"w-{number}")) for number in range(3)]
            for save in saves:
                with pytest.raises(StoreUnavailableError, match="locked") as caught:
                    await save
                assert str(path) in str(caught.value)
            await loaded(store, "a")
            assert await store.count() == 1
        await store.save(opening("b"))


async def test_loads_go_on_while_a_lock_is_waited_for(path: Path) -> None:
    """Somebody else's long write holds up saves, but no load."""
    fcntl = pytest.importorskip("fcntl")
    async with SQLiteStore(path, timeout=timedelta(seconds=20)) as store:
        await store.save(opening("a"))
        with path.with_name("w.db-lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            saving = store.submit(opening("b"))
            await asyncio.sleep(0)

            await asyncio.gather(*(loaded(store, "a") for _ in range(10)))
            assert await store.recall("a", "k") is None
            assert not saving.done()
        await saving


async def test_another_program_that_writes(path: Path) -> None:
    """When another program keeps a transaction open, a write gives up in time, and works when it is over."""
    async with SQLiteStore(path, timeout=SHORT) as store:
        await store.save(opening("a"))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="locked by another program"):
            await store.save(opening("b"))
        other.execute("ROLLBACK")
        other.close()

        await store.save(opening("b"))


async def test_a_damaged_file(path: Path) -> None:
    """A file whose pages are overwritten is an error that says so; nothing else escapes."""
    async with SQLiteStore(path) as store:
        await asyncio.gather(*(store.save(opening(f"w-{number}", data={"x": "y" * 3000})) for number in range(50)))
    content = bytearray(path.read_bytes())
    content[3 * 4096 :] = os.urandom(len(content) - 3 * 4096)
    path.write_bytes(content)

    store = SQLiteStore(path)
    outcomes: list[Any] = []
    try:
        await store.setup()
        for number in range(50):
            outcomes += await asyncio.gather(
                store.load(f"w-{number}"),
                store.save(opening(f"w-{number}")),
                store.history(f"w-{number}"),
                return_exceptions=True,
            )
    except StoreError as error:
        outcomes.append(error)
    finally:
        await store.close()

    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert errors
    assert all(isinstance(error, StoreError) for error in errors)
    assert any("damaged" in str(error) for error in errors)


async def test_statements_that_fail_are_unavailable(path: Path) -> None:
    """An I/O error before the COMMIT saves nothing and says so; the next save works."""
    failing = [True]

    def watch(_connection: Watched, sql: str) -> None:
        if sql == "BEGIN IMMEDIATE" and failing and opened:
            failing.clear()
            raise driver_error(sqlite3.SQLITE_IOERR_READ)

    opened: list[bool] = []
    async with watched_store(path, watch) as store:
        opened.append(True)
        with pytest.raises(StoreUnavailableError, match="check the disk"):
            await store.save(opening())
        await store.save(opening())


async def test_a_bug_leaves_nobody_waiting(path: Path) -> None:
    """Even an exception that no driver raises is answered, as an outcome that nobody knows."""
    broken: list[bool] = []

    def watch(_connection: Watched, sql: str) -> None:
        if broken and "FROM workflow" in sql:
            raise LookupError(sql)

    async with watched_store(path, watch) as store:
        options = opening()
        await store.save(options)
        broken.append(True)
        for call in (store.load("a"), store.save(opening("b", count=2)), store.save(options), store.count()):
            outcome = (await asyncio.gather(call, return_exceptions=True))[0]
            assert outcome is None or isinstance(outcome, StoreError)
        broken.clear()
        await loaded(store)


# --- a COMMIT that fails ---------------------------------------------------------------------------------------------


class FailingCommit:
    """Fails COMMITs, before or after they were done, and what the store then does to recover."""

    def __init__(self) -> None:
        self.how: str | None = None
        self.is_recovery_blocked = False
        self.recoveries = 0

    def watch(self, connection: Watched, sql: str) -> None:
        if sql == "COMMIT" and self.how is not None:
            how, self.how = self.how, None
            connection.really("COMMIT" if how == "after" else "ROLLBACK")
            raise driver_error(sqlite3.SQLITE_IOERR_FSYNC, "disk I/O error")
        if "TRUNCATE" in sql:
            self.recoveries += 1
            if self.is_recovery_blocked:
                raise driver_error(sqlite3.SQLITE_IOERR_FSYNC, "disk I/O error")


@pytest.mark.parametrize("how", ["before", "after"])
async def test_a_commit_that_fails(path: Path, how: str) -> None:
    """An I/O error at COMMIT is an unknown outcome; after that the store writes again, on what it read back."""
    failing, gate = FailingCommit(), Gate()

    def watch(connection: Watched, sql: str) -> None:
        gate.watch(connection, sql)
        failing.watch(connection, sql)

    async with watched_store(path, watch) as store:
        taken = opening("taken")
        await store.save(taken)
        gate.shut()
        first = store.submit(opening("first"))
        await gate.reached()
        saves = [store.submit(opening(f"w-{number}")) for number in range(3)]
        lost = store.submit(opening("taken"))
        gate.open()
        gate.shut()
        await first
        await gate.reached()
        failing.how = how
        gate.open()

        for save in (*saves, lost):
            with pytest.raises(OutcomeUnknownError) as caught:
                await save
            assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert failing.recoveries == 0

        await store.save(opening("next"))
        assert failing.recoveries == 1
        expected = {"first", "next", "taken"} | ({"w-0", "w-1", "w-2"} if how == "after" else set())
        assert {stored.id for stored in await store.find()} == expected
        check_stored(await loaded(store, "taken"), taken.snapshot)

    async with SQLiteStore(path) as store:
        assert {stored.id for stored in await store.find()} == expected


async def test_no_writes_before_recovery(path: Path) -> None:
    """After a failed COMMIT nothing is written until the file was opened anew and its log emptied; loads work."""
    failing = FailingCommit()
    async with watched_store(path, failing.watch) as store:
        options = opening("a")
        await store.save(options)
        failing.how, failing.is_recovery_blocked = "before", True
        with pytest.raises(OutcomeUnknownError):
            await store.save(following(options))

        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                await store.save(following(options))
            with pytest.raises(StoreUnavailableError):
                await store.forget("a")
            check_stored(await loaded(store, "a"), options.snapshot)

        failing.is_recovery_blocked = False
        await store.save(following(options))
        assert (await loaded(store, "a")).version == 2


async def test_recovery_waits_for_readers(path: Path) -> None:
    """While another connection reads an old state, the log cannot be emptied: unavailable, and later it works."""
    failing = FailingCommit()
    async with watched_store(path, failing.watch, timeout=SHORT) as store:
        await store.save(opening("a"))
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM workflow").fetchone() == (1,)
        await store.save(opening("b"))
        failing.how = "before"
        with pytest.raises(OutcomeUnknownError):
            await store.save(opening("c"))

        with pytest.raises(StoreUnavailableError, match="somebody reads it"):
            await store.save(opening("c"))

        reader.close()
        await store.save(opening("c"))
        assert await store.count() == 3


_FILE_LIMIT = """
import asyncio, resource, sys
from pathlib import Path
from statewright.errors import OutcomeUnknownError, StoreUnavailableError
from statewright.stores.sqlite import SQLiteStore
from statewright.testing.contract.samples import opening, loaded

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main():
    path = Path(sys.argv[1])
    async with SQLiteStore(path) as store:
        await store.save(opening("a"))
        limit(path.with_name("w.db-wal").stat().st_size + 5000)
        for number in range(3):
            try:
                await store.save(opening(f"large-{number}", data={"text": "x" * 100_000}))
            except (OutcomeUnknownError, StoreUnavailableError) as error:
                print(type(error).__name__)
        limit(resource.RLIM_INFINITY)
        await store.save(opening("b"))
        print(sorted(stored.id for stored in await store.find()))

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits here")
def test_a_real_write_error(path: Path) -> None:
    """When the system refuses to write at COMMIT the outcome is unknown; when it writes again, so does the store."""
    lines = finished(started(_FILE_LIMIT, path))

    assert lines[0] == "OutcomeUnknownError"
    assert lines[-1] == "['a', 'b']"
