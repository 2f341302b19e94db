"""Opening a database file, and writing to it one whole transaction at a time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from ...errors import OutcomeUnknownError, StoreError, StoreUnavailableError
from .fault import FAULTS, result_code, translate
from .side_lock import SideLock

MEMORY: Final = ":memory:"

_NOTHING_SAVED: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
    }
)
"""Results of COMMIT after which nothing stands in the file that recovery could take for a commit."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a store was constructed with."""

    path: str
    """Absolute, or `:memory:`."""
    timeout: float
    """How long to wait for a lock, in seconds."""
    retention: timedelta
    clock: Callable[[], datetime]
    checkpoint_pages: int
    connection_class: type[sqlite3.Connection]
    batch_listeners: list[Callable[[int], object]] = field(default_factory=list, compare=False)
    """Told, on the writing thread, how many saves each committed batch held."""

    @property
    def in_memory(self) -> bool:
        """Whether nothing is on disk."""
        return self.path == MEMORY

    @property
    def file(self) -> str | None:
        """The file itself, behind symbolic links: SQLite names its side files after it, and so do we."""
        return None if self.in_memory else os.path.realpath(self.path)


def connect(settings: Settings) -> sqlite3.Connection:
    """Open a connection.

    Raises:
        StoreError: There is no such directory, no permission, or something else stands there.
        sqlite3.Error: What SQLite itself refuses.
    """
    if not settings.in_memory:
        _check_place(settings.path)
    connection = sqlite3.connect(
        settings.path,
        timeout=settings.timeout,
        isolation_level=None,  # transactions are begun and ended here, never behind our back
        check_same_thread=False,  # one thread uses it; another one may have to close it
        cached_statements=64,
        factory=settings.connection_class,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # on macOS fsync alone leaves data in the drive's cache
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # checkpoints are ours: they need the side lock
        # What is deleted is overwritten: a forgotten workflow must not be found in the file. Costs a write only where a
        # page gets free.
        connection.execute("PRAGMA secure_delete = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _check_place(path: str) -> None:
    file = Path(path)
    directory = str(file.parent)
    if not file.parent.is_dir():
        raise StoreUnavailableError(f"{path!r} cannot be opened: there is no directory {directory!r}; make it first")
    if file.is_dir():
        raise StoreError(f"{path!r} is a directory; give the path of a file in it")
    if file.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise StoreUnavailableError(f"{path!r} may not be read and written by this user: check its mode and owner")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise StoreUnavailableError(
            f"{path!r} cannot be opened for writing: SQLite keeps files beside it, and this user may not write to "
            f"{directory!r}"
        )


class Database:
    """The one connection that writes, used by one thread.

    Args:
        settings: Of the store.
    """

    connection: sqlite3.Connection

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lock = SideLock(settings.file, settings.timeout)
        self.is_doubtful = False
        """A COMMIT failed in a way that leaves its outcome open: no more writes before `reopen`."""

    def open(self) -> None:
        """Open the file, and make it where it is missing.

        Raises:
            StoreError: It cannot be opened.
        """
        with translated(self.settings.path):
            if not self.settings.in_memory:
                _check_place(self.settings.path)
            self.lock.open()
            try:
                with self.lock:
                    self.connection = self._connect()
            except BaseException:
                self.lock.close()
                raise

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self.settings)
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal" and not self.settings.in_memory:
                raise StoreError(
                    f"{self.settings.path!r} cannot have a write-ahead log (its journal mode stays {mode!r}): "
                    "move it to a local file system"
                )
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Write in one transaction, committed where the block ends; a block may roll it back itself.

        Raises:
            StoreUnavailableError: Somebody else kept the file locked.
            OutcomeUnknownError: The COMMIT failed, and may have happened.
            sqlite3.Error: What SQLite refused; nothing was saved.
        """
        if self.is_doubtful:
            self.reopen()
        with self.lock:
            connection = self.connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                self._roll_back()
                raise
            if connection.in_transaction:
                self._commit()

    def _commit(self) -> None:
        try:
            self.connection.execute("COMMIT")
        except FAULTS as exc:
            self._roll_back()
            if result_code(exc) in _NOTHING_SAVED or self.settings.in_memory:
                raise
            self.is_doubtful = True
            raise OutcomeUnknownError(
                f"{self.settings.path!r}: COMMIT failed ({exc}), and what was written may still come back: load it "
                "again before you decide anew"
            ) from exc

    def _roll_back(self) -> None:
        # A failed statement may have ended the transaction by itself.
        if self.connection.in_transaction:
            try:
                self.connection.execute("ROLLBACK")
            except FAULTS:
                self.is_doubtful = True

    def reopen(self) -> None:
        """Settle what a failed COMMIT left open: whatever can be read afterwards is on disk, and nothing else is.

        A failed fsync does not say which frames of the log are on disk, and a later one may report them as written
        although they are not. So the log is emptied: what stands in it is written to the database anew, and synced.

        Raises:
            StoreUnavailableError: It does not work yet.
        """
        with translated(self.settings.path), self.lock:
            fresh = self._connect()
            try:
                is_busy, _, _ = fresh.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if is_busy:
                    raise StoreUnavailableError(
                        f"{self.settings.path!r} takes no writes since a COMMIT failed, because somebody reads it and "
                        "its log cannot be emptied; nothing was saved, try again"
                    )
                fresh.execute("SELECT count(*) FROM sqlite_master").fetchone()
            except BaseException:
                fresh.close()
                raise
            with contextlib.suppress(*FAULTS):
                self.connection.close()
            self.connection = fresh
            self.is_doubtful = False

    def close(self) -> None:
        """Close the connection and the lock."""
        try:
            # Whoever closes last empties the log, which is a checkpoint.
            with self.lock:
                self.connection.close()
        except StoreUnavailableError:
            self.connection.close()  # somebody else has the file open, so that this close is no checkpoint
        finally:
            self.lock.close()


@contextlib.contextmanager
def translated(path: str) -> Generator[None]:
    """Turn what the driver raises into our errors."""
    try:
        yield
    except FAULTS as exc:
        raise translate(exc, path) from exc
