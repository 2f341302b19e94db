"""The errors: drawn as they are, and every one survives the way to another process."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import re
from typing import Any

import pytest

import statewright
from statewright import errors
from statewright.errors import (
    ConcurrencyConflictError,
    DefinitionError,
    DependencyError,
    DomainError,
    ExecutionError,
    IdempotencyError,
    InvalidDataError,
    Issue,
    LeaseLostError,
    MigrationError,
    NotFoundError,
    OutcomeUnknownError,
    PositionPrunedError,
    RestoreError,
    RoutingError,
    StatewrightError,
    StoreError,
    StoreUnavailableError,
    UnexpectedError,
    is_unsupported,
    unsupported,
)


class EmptyOrder(DomainError):
    """A refusal with fields of several kinds."""

    minimum: int = 1
    skus: list[str] = []


ISSUE = Issue(("items", 0), "expected a string", "string_type")
SAMPLES: list[StatewrightError] = [
    ConcurrencyConflictError("o-1", 3, 4),
    DefinitionError("a wrong definition"),
    DependencyError("prices"),
    EmptyOrder(minimum=3, skus=["tea"]),
    IdempotencyError("o-1", "key"),
    InvalidDataError("command", [ISSUE], subject="order command 'AddItem'"),
    MigrationError("a broken chain"),
    NotFoundError("o-1"),
    OutcomeUnknownError(),
    LeaseLostError("timers:order", 3),
    PositionPrunedError(3, 9),
    RestoreError("o-1", [ISSUE], workflow="order"),
    RoutingError("NO_HANDLER", workflow="order", state="Draft", command="Ship", expected=["Place"]),
    StoreError("the disk is full"),
    StoreUnavailableError(),
    UnexpectedError("the handler raised"),
]
ROOTS = {StatewrightError, ExecutionError}
"""Never raised themselves."""

each_error = pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
each_failure = pytest.mark.parametrize(
    "error", [one for one in SAMPLES if isinstance(one, ExecutionError)], ids=lambda error: type(error).__name__
)


def classes() -> set[type[StatewrightError]]:
    found = {value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, StatewrightError)}
    return {each for each in found if each.__module__ == errors.__name__}


def drawing() -> dict[str, tuple[str | None, str | None]]:
    """Read the tree at the top of the module: name -> (parent, category as drawn)."""
    drawn: dict[str, tuple[str | None, str | None]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").split("```")[1].strip().splitlines():
        entry = re.match(r"(?P<branch>[│├└─ ]*)(?P<name>\w+)(?: {2,}(?P<category>[a-z_]+)(?= {2,}|$))?", line)
        assert entry is not None, line
        depth = len(entry["branch"]) // 4
        del path[depth:]
        drawn[entry["name"]] = (path[-1] if path else None, entry["category"])
        path.append(entry["name"])
    return drawn


def test_tree_is_drawn_as_it_is() -> None:
    """The picture in the module's docstring shows every class below its base, and no other."""
    actual = {each.__name__: next((b.__name__ for b in each.__mro__[1:] if b in classes()), None) for each in classes()}

    assert {name: parent for name, (parent, _) in drawing().items()} == actual


def test_categories_are_drawn_as_they_are() -> None:
    """The picture names the category of every class that has one of its own."""
    for each in classes() - ROOTS:
        if issubclass(each, ExecutionError):
            parent, category = drawing()[each.__name__]
            inherited = getattr(errors, parent).category if parent else None
            assert each.category == (category or inherited)


def test_every_error_has_a_sample() -> None:
    """A class that is added is tried here, too."""
    tried = {type(error) for error in SAMPLES} - {EmptyOrder} | {DomainError}

    assert tried | ROOTS == classes()


def test_every_error_imports_from_both_doors() -> None:
    """The root gives each error class, and the very same one as `statewright.errors`."""
    for each in classes():
        assert getattr(statewright, each.__name__) is each
        assert each.__name__ in statewright.__all__
        assert each.__name__ in errors.__all__


def facts(error: BaseException) -> tuple[Any, ...]:
    return type(error), str(error), error.args, vars(error)


@each_error
def test_error_survives_pickle(error: StatewrightError) -> None:
    """Class, message, facts and notes come back from another process."""
    error = copy.copy(error)
    error.add_note("seen at the till")

    back = pickle.loads(pickle.dumps(error))

    assert facts(back) == facts(error)
    assert back.__notes__ == ["seen at the till"]


@each_error
def test_message_is_the_same_in_another_process(error: StatewrightError) -> None:
    """A cause stays behind, since it may be of a kind that cannot be pickled; its name in the message does not."""
    error = copy.copy(error)
    error.__cause__ = KeyError("tea")

    back = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error))))

    assert str(back) == str(error)
    assert back.__cause__ is None


@each_error
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_error_survives_copy(error: StatewrightError, copied: Any) -> None:
    """A copy is another object with the same facts and the same cause."""
    error = copy.copy(error)
    error.__cause__ = KeyError("tea")

    twin = copied(error)

    assert twin is not error
    assert facts(twin) == facts(error)
    assert twin.__cause__ is error.__cause__


@each_failure
def test_error_has_a_form_for_json(error: ExecutionError) -> None:
    """`to_dict` gives category, message and facts as JSON, and never the cause."""
    error = copy.copy(error)
    error.__cause__ = KeyError("a secret of the driver")

    form = error.to_dict()

    assert json.loads(json.dumps(form)) == form
    assert form["category"] == error.category
    assert form["message"]
    assert "a secret of the driver" not in json.dumps(form)


@each_error
def test_error_survives_an_exception_group(error: StatewrightError) -> None:
    """A group hands out the very errors that it was given."""
    caught: list[BaseException] = []
    try:
        raise ExceptionGroup("several", [error])
    except* StatewrightError as group:
        caught.extend(group.exceptions)

    assert caught == [error]


def test_a_place_that_cannot_be_encoded_is_told_in_words() -> None:
    """A key with half a character, as a client may send it, harms neither the message nor the form for JSON."""
    error = InvalidDataError("command", [Issue(("\ud800", 0), "not known", "unknown_key")])

    assert str(error).encode()
    assert json.dumps(error.to_dict(), ensure_ascii=False).encode()


def test_what_a_store_lacks_is_told_apart_from_its_failure() -> None:
    """A capability that a store lacks is a StoreError like any other, and known as what it is after pickle and copy."""
    error = unsupported("store Plain keeps no timers")

    assert error.to_dict() == StoreError("store Plain keeps no timers").to_dict()
    assert repr(error) == "StoreError('store Plain keeps no timers')"
    assert all(map(is_unsupported, (error, pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error))))
    assert not is_unsupported(StoreError("store Plain keeps no timers"))
    assert not is_unsupported(UnexpectedError())
