"""What the driver raises, judged and translated: its exceptions never leave this package."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

import psycopg

from ...errors import ExecutionError, InvalidDataError, Issue, OutcomeUnknownError, StoreError, StoreUnavailableError

FAULTS: Final = (psycopg.Error, psycopg.Warning, OSError, TimeoutError, MemoryError, OverflowError, UnicodeError)
"""All that a call on a connection raises."""


class Fault(Enum):
    """What is to be done after a call failed."""

    LOST = auto()
    """The connection is gone: the statement may have happened."""
    STALE = auto()
    """The connection is of no use, but nothing happened: try another one."""
    AGAIN = auto()
    """Nothing happened, and the same may work at once: a deadlock, a serialization failure."""
    BLOCKED = auto()
    """Nothing happened: somebody else kept a row locked for too long."""
    DATA = auto()
    """Nothing happened, and never will: the server refuses the data itself."""
    DOWN = auto()
    """Nothing happened, and nothing will for a while: no room, no memory, cancelled."""
    WRONG = auto()
    """Nothing happened, and nothing will before somebody mends something: no schema, no permission."""


BY_CODE: Mapping[str, Fault] = MappingProxyType(
    {
        "0A000": Fault.STALE,  # "cached plan must not change result type": the schema was upgraded meanwhile
        "25006": Fault.STALE,  # a read-only server: it was the primary before a failover
        "26000": Fault.STALE,  # a prepared statement that a proxy in between has forgotten
        "42P05": Fault.STALE,  # or remembers from somebody else
        "40001": Fault.AGAIN,
        "40003": Fault.LOST,
        "40P01": Fault.AGAIN,
        "55P03": Fault.BLOCKED,
        "57014": Fault.DOWN,
        "57P01": Fault.LOST,
        "57P02": Fault.LOST,
        "57P03": Fault.STALE,
        "57P05": Fault.LOST,
        "25P03": Fault.LOST,
        "25P04": Fault.LOST,
    }
)
"""By SQLSTATE."""

BY_CLASS_OF_CODE: Mapping[str, Fault] = MappingProxyType(
    {
        "02": Fault.WRONG,
        "03": Fault.WRONG,
        "08": Fault.LOST,
        "09": Fault.WRONG,
        "0A": Fault.WRONG,
        "0B": Fault.WRONG,
        "0F": Fault.WRONG,
        "0L": Fault.WRONG,
        "0P": Fault.WRONG,
        "0Z": Fault.WRONG,
        "10": Fault.WRONG,
        "20": Fault.WRONG,
        "21": Fault.DATA,
        "22": Fault.DATA,
        "23": Fault.DATA,
        "24": Fault.WRONG,
        "25": Fault.WRONG,
        "26": Fault.WRONG,
        "27": Fault.WRONG,
        "28": Fault.WRONG,
        "2B": Fault.WRONG,
        "2D": Fault.WRONG,
        "2F": Fault.WRONG,
        "34": Fault.WRONG,
        "38": Fault.WRONG,
        "39": Fault.WRONG,
        "3B": Fault.WRONG,
        "3D": Fault.WRONG,
        "3F": Fault.WRONG,
        "40": Fault.AGAIN,
        "42": Fault.WRONG,
        "44": Fault.WRONG,
        "53": Fault.DOWN,
        "54": Fault.DATA,
        "55": Fault.DOWN,
        "57": Fault.DOWN,
        "58": Fault.DOWN,
        "72": Fault.DOWN,
        "F0": Fault.WRONG,
        "HV": Fault.WRONG,
        "P0": Fault.WRONG,
        "XX": Fault.DOWN,
    }
)
"""By the first two characters of the SQLSTATE, for what is not above."""

BY_CLASS: Mapping[type[BaseException], Fault] = MappingProxyType(
    {
        psycopg.errors.ConnectionTimeout: Fault.LOST,
        psycopg.errors.CancellationTimeout: Fault.LOST,
        psycopg.errors.PipelineAborted: Fault.WRONG,
        psycopg.DataError: Fault.DATA,
        psycopg.IntegrityError: Fault.DATA,
        psycopg.ProgrammingError: Fault.WRONG,
        psycopg.NotSupportedError: Fault.WRONG,
        psycopg.InternalError: Fault.DOWN,
        psycopg.OperationalError: Fault.LOST,
        psycopg.InterfaceError: Fault.LOST,
        psycopg.DatabaseError: Fault.DOWN,
        psycopg.Error: Fault.LOST,
        psycopg.Warning: Fault.WRONG,
        UnicodeError: Fault.DATA,
        OverflowError: Fault.DATA,
        MemoryError: Fault.DOWN,
        TimeoutError: Fault.LOST,
        OSError: Fault.LOST,
    }
)
"""By class, the most specific first, for what has no SQLSTATE: the driver found it without the server."""

_ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "42P01": "the schema is missing or incomplete: call `await store.setup()`, or run the printed SQL",
        "3F000": "the schema is missing: call `await store.setup()`, or run the printed SQL",
        "42P07": "the schema holds a table that is not ours: give the store a schema of its own",
        "42703": "the schema does not fit this code: was it changed by hand?",
        "42501": "this user lacks a permission on the store's schema: ask for it, or use another user",
        "53100": "the server's disk is full",
        "53300": "the server has no connection left: lower `max_connections` here, or raise it there",
        "57014": "the statement was cancelled, by somebody or by a `statement_timeout`",
        "25006": "the server is read-only: give the address of the primary",
    }
)


def judge(exc: BaseException) -> Fault:
    """Return what is to be done after one of `FAULTS` on a connection that still works."""
    code = getattr(exc, "sqlstate", None)
    if code is not None:
        return BY_CODE.get(code) or BY_CLASS_OF_CODE.get(code[:2], Fault.DOWN)
    return next(fault for kind, fault in BY_CLASS.items() if isinstance(exc, kind))


def translate(exc: BaseException, fault: Fault | None = None) -> ExecutionError:
    """Return our error for one of the driver's, caused by it, where nothing was saved."""
    fault = fault or judge(exc)
    code = getattr(exc, "sqlstate", None)
    reason = _ADVICE.get(code or "") or _REASONS[fault]
    error: ExecutionError
    if fault is Fault.DATA:
        error = InvalidDataError("argument", [Issue((), f"PostgreSQL refuses it{_coded(code)}", "unstorable")])
    elif fault is Fault.WRONG:
        error = StoreError(f"PostgreSQL refused a statement: {reason}{_told(exc)}")
    else:
        error = StoreUnavailableError(f"{reason}{_told(exc)}; nothing was saved")
    error.__cause__ = exc
    return error


_REASONS: Mapping[Fault, str] = MappingProxyType(
    {
        Fault.LOST: "the connection to PostgreSQL was lost",
        Fault.STALE: "PostgreSQL cannot be used now",
        Fault.AGAIN: "PostgreSQL gave the transaction up again and again",
        Fault.BLOCKED: "another transaction keeps what was asked for locked",
        Fault.DATA: "PostgreSQL refuses the data",
        Fault.DOWN: "PostgreSQL could not do it",
        Fault.WRONG: "it does not fit the schema",
    }
)


def _told(exc: BaseException) -> str:
    # Of the server's message only the first line: what follows may quote the data.
    return f" ({' '.join(str(exc).splitlines()[:1]) or type(exc).__name__})"


def _coded(code: str | None) -> str:
    return f" (SQLSTATE {code})" if code else ""


def unreachable(exc: BaseException) -> StoreUnavailableError:
    """Return the error for a server that gives no connection."""
    error = StoreUnavailableError(f"PostgreSQL cannot be reached{_told(exc)}; nothing was saved")
    error.__cause__ = exc
    return error


def unknown(id: str, exc: BaseException | None) -> OutcomeUnknownError:
    """Return the error for a save that was sent, whose answer was lost, and which nothing has settled since."""
    error = OutcomeUnknownError(
        f"the connection was lost while workflow {id!r} was being saved, and PostgreSQL has not said since whether it "
        "was; read it back, or send the command again under the same idempotency key"
    )
    error.__cause__ = exc
    return error
