"""Whatever the driver raises is judged, and leaves the package as an error of ours."""

from __future__ import annotations

import inspect
import re

import psycopg
import psycopg_pool
import pytest

from statewright.errors import ExecutionError, InvalidDataError, StoreError, StoreUnavailableError
from statewright.stores.postgres.fault import BY_CLASS, BY_CLASS_OF_CODE, BY_CODE, FAULTS, Fault, judge, translate


def _classes() -> list[type[BaseException]]:
    modules = (psycopg, psycopg.errors, psycopg_pool)
    found = {value for module in modules for value in vars(module).values() if inspect.isclass(value)}
    raised = [each for each in found if issubclass(each, psycopg.Error | psycopg.Warning)]
    return sorted(raised, key=lambda each: each.__name__)


@pytest.mark.parametrize("kind", _classes(), ids=lambda kind: kind.__name__)
def test_every_exception_of_the_driver_is_mapped(kind: type[BaseException]) -> None:
    """No exception of psycopg falls through to a general answer: its SQLSTATE or its class is in a table."""
    code = getattr(kind, "sqlstate", None)
    if code is not None:
        assert code in BY_CODE or code[:2] in BY_CLASS_OF_CODE
    else:
        nearest = next(known for known in BY_CLASS if issubclass(kind, known))
        assert nearest is not psycopg.Error or kind is psycopg.Error
    assert issubclass(kind, FAULTS)


@pytest.mark.parametrize("kind", _classes(), ids=lambda kind: kind.__name__)
def test_every_exception_of_the_driver_is_translated(kind: type[BaseException]) -> None:
    """Each becomes an error of ours that keeps the original as its cause and quotes only its first line."""
    original = kind("what went wrong\nDETAIL: a secret")

    error = translate(original)

    assert isinstance(error, StoreError | InvalidDataError)
    assert error.__cause__ is original
    assert "secret" not in str(error)


def test_there_are_many_exceptions() -> None:
    """The two tests above look at what the driver really has."""
    assert len(_classes()) > 200


def test_codes_are_well_formed() -> None:
    """The tables hold SQLSTATEs and their classes."""
    assert all(re.fullmatch("[0-9A-Z]{5}", code) for code in BY_CODE)
    assert all(re.fullmatch("[0-9A-Z]{2}", code) for code in BY_CLASS_OF_CODE)


@pytest.mark.parametrize(
    ("kind", "fault", "answer"),
    [
        (psycopg.errors.SerializationFailure, Fault.AGAIN, StoreUnavailableError),
        (psycopg.errors.DeadlockDetected, Fault.AGAIN, StoreUnavailableError),
        (psycopg.errors.LockNotAvailable, Fault.BLOCKED, StoreUnavailableError),
        (psycopg.errors.AdminShutdown, Fault.LOST, StoreUnavailableError),
        (psycopg.errors.StatementCompletionUnknown, Fault.LOST, StoreUnavailableError),
        (psycopg.errors.QueryCanceled, Fault.DOWN, StoreUnavailableError),
        (psycopg.errors.DiskFull, Fault.DOWN, StoreUnavailableError),
        (psycopg.errors.ReadOnlySqlTransaction, Fault.STALE, StoreUnavailableError),
        (psycopg.errors.UndefinedTable, Fault.WRONG, StoreError),
        (psycopg.errors.InsufficientPrivilege, Fault.WRONG, StoreError),
        (psycopg.errors.UntranslatableCharacter, Fault.DATA, InvalidDataError),
        (psycopg.errors.ProgramLimitExceeded, Fault.DATA, InvalidDataError),
        (psycopg.OperationalError, Fault.LOST, StoreUnavailableError),
        (psycopg_pool.PoolTimeout, Fault.LOST, StoreUnavailableError),
    ],
)
def test_what_is_to_be_done(kind: type[BaseException], fault: Fault, answer: type[ExecutionError]) -> None:
    """The kinds that callers meet are told apart."""
    assert judge(kind("x")) is fault
    assert type(translate(kind("x"))) is answer
