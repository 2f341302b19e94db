"""What the driver raises, translated: its exceptions never leave this package."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from ...errors import ExecutionError, InvalidDataError, Issue, StoreError, StoreUnavailableError

FAULTS: Final = (sqlite3.Error, sqlite3.Warning, MemoryError, OverflowError, UnicodeError)
"""All that a call on a connection raises."""

_DAMAGED = "is damaged: write no more, copy it with its -wal file, and restore a backup or try `.recover` of the shell"
_DENIED = "may not be written by this user: check the owner and mode of the file and of its directory"

_UNAVAILABLE: Mapping[int, str] = MappingProxyType(
    {
        sqlite3.SQLITE_ABORT: "gave an operation up; try again",
        sqlite3.SQLITE_AUTH: _DENIED,
        sqlite3.SQLITE_BUSY: "is locked by another program; try again, or find who keeps a transaction open",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened: check that its directory exists and that this user may write there",
        sqlite3.SQLITE_FULL: "has no room left: the disk is full, or the file has reached its size limit",
        sqlite3.SQLITE_INTERRUPT: "was interrupted; try again",
        sqlite3.SQLITE_IOERR: "cannot be read or written: check the disk",
        sqlite3.SQLITE_LOCKED: "is locked by another connection; try again",
        sqlite3.SQLITE_NOLFS: "is larger than this system's files may be",
        sqlite3.SQLITE_NOMEM: "needs more memory than there is",
        sqlite3.SQLITE_PERM: _DENIED,
        sqlite3.SQLITE_PROTOCOL: "could not be locked: is it on a network file system?",
        sqlite3.SQLITE_READONLY: "is read-only: check the mode of the file and of its directory, and the mount",
    }
)
"""By primary result code: nothing was saved, and the same call may work later."""

_BROKEN: Mapping[int, str] = MappingProxyType(
    {
        sqlite3.SQLITE_CORRUPT: _DAMAGED,
        sqlite3.SQLITE_FORMAT: _DAMAGED,
        sqlite3.SQLITE_NOTADB: "is no SQLite database, or an encrypted one, and was left as it is: choose another path",
    }
)

Translation = Callable[[BaseException, str], ExecutionError]


def translate(exc: BaseException, path: str) -> ExecutionError:
    """Return our error for one of the driver's, caused by it.

    Args:
        exc: What was raised, one of `FAULTS`.
        path: The file, as the message names it.
    """
    code = result_code(exc) or sqlite3.SQLITE_OK
    if code in _UNAVAILABLE:
        error: ExecutionError = StoreUnavailableError(f"{path!r} {_UNAVAILABLE[code]} ({exc}); nothing was saved")
    elif code in _BROKEN:
        error = StoreError(f"{path!r} {_BROKEN[code]} ({exc})")
    elif code == sqlite3.SQLITE_TOOBIG:
        error = _unfit(exc, path)
    else:
        error = next(make for kind, make in BY_CLASS.items() if isinstance(exc, kind))(exc, path)
    error.__cause__ = exc
    return error


def result_code(exc: BaseException) -> int | None:
    """Return SQLite's primary result code; `None` for what the driver found without asking SQLite."""
    extended = getattr(exc, "sqlite_errorcode", None)
    return None if extended is None else int(extended) & 0xFF  # the upper bits say more than we need


def _unfit(exc: BaseException, _path: str) -> ExecutionError:
    if isinstance(exc, UnicodeError):
        # The driver's message quotes the text.
        issue = Issue((), "text without lone surrogates is expected", "unicode")
    elif isinstance(exc, OverflowError) or result_code(exc) == sqlite3.SQLITE_TOOBIG:
        issue = Issue((), "larger than SQLite can store in one row", "too_large")
    else:
        issue = Issue((), "not of a type that SQLite can store", "type")
    return InvalidDataError("argument", (issue,))


def _refused(exc: BaseException, path: str) -> ExecutionError:
    if str(exc).startswith("Could not decode"):  # the driver's message goes on to quote what it found
        return StoreError(f"{path!r} {_DAMAGED} (a text in it is not UTF-8)")
    return StoreError(f"{path!r} refused a statement: {exc}; was its schema changed by hand?")


def _misused(exc: BaseException, path: str) -> ExecutionError:
    if result_code(exc) is None and str(exc).startswith("Error binding parameter"):
        return _unfit(exc, path)
    return StoreError(f"{path!r}: the driver refused a call: {exc}")


def _out_of_memory(_exc: BaseException, path: str) -> ExecutionError:
    return StoreUnavailableError(f"{path!r} {_UNAVAILABLE[sqlite3.SQLITE_NOMEM]}; nothing was saved")


BY_CLASS: Mapping[type[BaseException], Translation] = MappingProxyType(
    {
        sqlite3.DataError: _unfit,
        sqlite3.InterfaceError: _misused,
        sqlite3.ProgrammingError: _misused,
        sqlite3.IntegrityError: _refused,
        sqlite3.InternalError: _refused,
        sqlite3.NotSupportedError: _refused,
        sqlite3.OperationalError: _refused,
        sqlite3.DatabaseError: _refused,
        sqlite3.Error: _refused,
        sqlite3.Warning: _misused,
        MemoryError: _out_of_memory,
        OverflowError: _unfit,
        UnicodeError: _unfit,
    }
)
"""By class, the most specific first, for what has no result code of its own above."""
