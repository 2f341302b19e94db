"""A lock on a file beside the database, held around whatever writes or checkpoints it.

SQLite before 3.51.3 can, rarely, corrupt a file when one connection checkpoints while another one writes; this lock
keeps the two apart. It is also fairer than SQLite's own busy timeout, which tries again after ever longer naps.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

from ...errors import StoreUnavailableError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: SQLite's own locks alone keep writers apart
    fcntl = None  # type: ignore[assignment]
# pyright: reportOptionalMemberAccess=false
# Where there is no `fcntl`, there is no lock file either, and nothing below is reached.

_logger = logging.getLogger("statewright.sqlite")

_FIRST_NAP: Final = 0.0001
_LONGEST_NAP: Final = 0.001
SAFE_LIBRARY: Final = (3, 51, 3)


class SideLock:
    """The lock beside one database, as one open store holds it.

    The file also holds the process id of whoever opened it last, by which a second process is noticed.

    Args:
        path: The database's path, symbolic links resolved; `None` for a database in memory, which nobody shares.
        timeout: How long to wait for the lock, in seconds.
    """

    def __init__(self, path: str | None, timeout: float) -> None:
        self._database = path
        self._path = None if path is None or fcntl is None else f"{path}-lock"
        self._timeout = timeout
        self._file: int | None = None
        self._has_company = False
        self.meanwhile: Callable[[], None] = lambda: None
        """Called now and then while the lock is waited for."""

    def open(self) -> None:
        """Open the file, and make it where it is missing.

        Raises:
            StoreUnavailableError: It cannot be opened.
        """
        if self._path is None:
            return
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as exc:
            raise StoreUnavailableError(
                f"{self._path!r}, the lock beside the database, cannot be opened for writing ({exc.strerror}): "
                "check that its directory is there and that this user may write there"
            ) from exc
        with self:
            if _is_alive(self._owner()):
                self._notice_company()
            os.pwrite(self._file, f"{os.getpid():<20}".encode(), 0)

    def close(self) -> None:
        """Close the file."""
        if self._file is None:
            return
        if self._owner() == os.getpid():
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
        os.close(self._file)
        self._file = None

    def abandon(self) -> None:
        """Close the file in a forked child; the parent's lock stays as it is.

        The child's copy would otherwise keep the lock after the parent died with it.
        """
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def look_around(self) -> None:
        """Warn, once, if another process has opened the database since."""
        if self._file is not None and self._owner() not in (None, os.getpid()):
            self._notice_company()

    def __enter__(self) -> None:
        if self._file is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.look_around()
            self._wait(self._file)
        except OSError as exc:
            raise StoreUnavailableError(
                f"{self._path!r} cannot be locked ({exc.strerror}): is it on a network file system?"
            ) from exc

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _wait(self, file: int) -> None:
        # There is no flock with a timeout; short naps find the holder's pauses between two of its transactions.
        deadline = time.monotonic() + self._timeout
        nap = _FIRST_NAP
        while True:
            self.meanwhile()
            time.sleep(nap)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreUnavailableError(self._blocked()) from None
                nap = min(nap * 2, _LONGEST_NAP)
            else:
                return

    def _blocked(self) -> str:
        owner = self._owner()
        who = f" (last opened by process {owner})" if owner else ""
        return (
            f"{self._database!r} was kept locked by somebody else{who} for {self._timeout:g} s; nothing was saved: try "
            "again, or find out who holds its -lock file"
        )

    def _owner(self) -> int | None:
        if self._file is None:
            return None
        text = os.pread(self._file, 20, 0).strip()
        return int(text) if text.isdigit() else None

    def _notice_company(self) -> None:
        if self._has_company:
            return
        self._has_company = True
        if sqlite3.sqlite_version_info < SAFE_LIBRARY:
            _logger.warning(
                "%r is open in a second process, and this SQLite library (%s) is older than %s, which mends a rare "
                "corruption between processes: the lock file keeps those apart that use statewright; other programs "
                "should not write to this file",
                self._database,
                sqlite3.sqlite_version,
                ".".join(map(str, SAFE_LIBRARY)),
            )


def _is_alive(pid: int | None) -> bool:
    if pid is None or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
