"""Refusals: keyword fields like a dataclass's, on an exception that stays an ordinary one."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from threading import Thread
from typing import Annotated, Any, ClassVar
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from statewright import DefinitionError, DomainError, InvalidDataError


class Money(BaseModel):
    amount: Decimal
    currency: str = "EUR"


class Overdrawn(DomainError):
    account: UUID
    missing: Money
    at: datetime
    tags: list[str] = []
    note: Annotated[str, Field(max_length=5)] = ""
    limit: ClassVar[int] = 3


class DeeplyOverdrawn(Overdrawn):
    depth: int = 0


class Quiet(DomainError):
    pass


class Worded(DomainError):
    minimum: int = 1

    def __str__(self) -> str:
        return f"at least {self.minimum}, please"


ACCOUNT = UUID(int=7)
FACTS: dict[str, Any] = {
    "account": ACCOUNT,
    "missing": Money(amount=Decimal("1.50")),
    "at": datetime(2026, 1, 1, tzinfo=UTC),
}
COPIES: list[Callable[[Any], Any]] = [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy]
each_copy = pytest.mark.parametrize("copied", COPIES, ids=["pickle", "copy", "deepcopy"])


def test_fields_are_typed_keywords_with_defaults() -> None:
    """Values are validated as by Pydantic, and defaults are filled in."""
    error = Overdrawn(account=str(ACCOUNT), missing={"amount": "1.50"}, at="2026-01-01T00:00:00Z")

    assert error.data == {**FACTS, "tags": [], "note": ""}
    assert error.account == ACCOUNT
    assert error.limit == 3


def test_a_subclass_adds_fields_to_those_of_its_base() -> None:
    """Fields are inherited, in the order of declaration."""
    error = DeeplyOverdrawn(**FACTS, depth=3)

    assert list(error.data) == ["account", "missing", "at", "tags", "note", "depth"]
    assert isinstance(error, Overdrawn)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "missing"),
        ({"maximum": "many"}, "int_parsing"),
        ({"maximum": 3, "other": 1}, "unexpected_keyword_argument"),
    ],
    ids=["missing", "wrong", "unknown"],
)
def test_wrong_fields_are_refused_where_the_error_is_made(fields: dict[str, Any], kind: str) -> None:
    """A missing, wrong or unknown field is an InvalidDataError of source `error` that names the class."""

    class TooMany(DomainError):
        maximum: int

    with pytest.raises(InvalidDataError, match="TooMany") as caught:
        TooMany(**fields)

    assert caught.value.source == "error"
    assert [issue.type for issue in caught.value.issues] == [kind]
    assert caught.value.__cause__ is None


def test_a_wrong_value_is_not_quoted() -> None:
    """The message says what was expected, never what was given."""
    with pytest.raises(InvalidDataError) as caught:
        Worded(minimum="hunter2")

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in json.dumps(caught.value.to_dict())


def test_fields_are_not_positional() -> None:
    """An argument by position is refused and says so."""
    with pytest.raises(InvalidDataError, match="by keyword"):
        Worded(3)


@pytest.mark.parametrize(
    "name",
    ["args", "category", "code", "data", "to_dict", "add_note", "with_traceback", "__notes__", "_hidden", "__cause__"],
)
def test_a_field_named_like_an_attribute_is_refused(name: str) -> None:
    """Names that exceptions or our errors use are a DefinitionError that names class and field."""
    with pytest.raises(DefinitionError, match=rf"Clash\.{name}"):
        type("Clash", (DomainError,), {"__annotations__": {name: "int"}, "__module__": __name__})


def test_a_field_that_pydantic_cannot_describe_is_refused() -> None:
    """A type without a schema is a DefinitionError at the class statement."""
    with pytest.raises(DefinitionError, match="Odd"):

        class Odd(DomainError):
            thread: Thread


def test_equality_is_by_identity() -> None:
    """Two errors with the same fields are two errors, and usable in sets."""
    one, other = Worded(), Worded()

    assert one != other
    assert len({one, other, one}) == 2


def test_an_error_is_never_frozen() -> None:
    """Tracebacks, notes and the user's own attributes can be set, as on any exception."""
    error = Worded()
    error.__cause__ = KeyError("k")
    error.add_note("seen")
    error.minimum = 9
    error.own = 1

    with pytest.raises(Worded) as caught:
        raise error

    assert caught.value is error
    assert error.__traceback__ is not None
    assert error.data == {"minimum": 9}


def test_mutable_defaults_are_not_shared() -> None:
    """A list that is a field's default belongs to one error."""
    first = Overdrawn(**FACTS)
    first.tags.append("x")

    assert Overdrawn(**FACTS).tags == []


@each_copy
def test_fields_and_notes_survive_copying(copied: Callable[[Any], Any]) -> None:
    """`pickle`, `copy` and `deepcopy` keep class, fields and notes."""
    error = DeeplyOverdrawn(**FACTS, tags=["a"], depth=2)
    error.add_note("at the till")

    twin = copied(error)

    assert type(twin) is DeeplyOverdrawn
    assert twin is not error
    assert twin.data == error.data
    assert twin.__notes__ == ["at the till"]
    assert str(twin) == str(error)


@each_copy
def test_an_own_constructor_is_not_in_the_way_of_copying(copied: Callable[[Any], Any]) -> None:
    """A class whose `__init__` takes something else is copied by its fields."""
    twin = copied(Positional(4))

    assert twin.minimum == 4


class Positional(DomainError):
    minimum: int

    def __init__(self, minimum: int) -> None:
        super().__init__(minimum=minimum)


def test_groups_keep_fields_and_notes() -> None:
    """An ExceptionGroup splits, derives and hands out the errors as they are."""
    error = Worded(minimum=2)
    error.add_note("n")
    matching, rest = ExceptionGroup("g", [error, ValueError()]).split(Worded)

    assert matching is not None
    assert rest is not None
    assert matching.exceptions == (error,)
    back = pickle.loads(pickle.dumps(ExceptionGroup("g", [error])))
    assert back.exceptions[0].data == {"minimum": 2}


def test_text_names_class_and_fields() -> None:
    """Without a `__str__` of its own, an error names its class and its fields."""
    assert str(Overdrawn(**FACTS)).startswith("Overdrawn(account=UUID(")
    assert str(Quiet()) == "Quiet()"


def test_text_may_be_overridden() -> None:
    """`str()` is the user's, `repr()` stays ours."""
    assert str(Worded(minimum=3)) == "at least 3, please"
    assert repr(Worded(minimum=3)) == "Worded(minimum=3)"


def test_form_for_json_has_code_and_fields_but_no_cause() -> None:
    """`to_dict` is JSON-safe whatever the fields hold, and leaves the cause to the server."""
    error = Overdrawn(**FACTS)
    error.__cause__ = ValueError("password")

    form = json.loads(json.dumps(error.to_dict()))

    assert form["category"] == "domain"
    assert form["code"] == "Overdrawn"
    assert form["data"] == {
        "account": str(ACCOUNT),
        "missing": {"amount": "1.50", "currency": "EUR"},
        "at": "2026-01-01T00:00:00Z",
        "tags": [],
        "note": "",
    }
    assert "password" not in json.dumps(form)


def test_form_for_json_survives_a_field_that_was_spoiled() -> None:
    """Fields that were changed to anything at all still give a JSON-safe form."""
    error = Worded()
    error.minimum = object()

    assert "minimum" in json.loads(json.dumps(error.to_dict()))["data"]


@pytest.mark.parametrize("text", ["\ud800", "a\0b"])
def test_form_for_json_survives_odd_text(text: str) -> None:
    """Text that no store keeps is still something to report."""

    class Named(DomainError):
        label: Any

    error = Named(label=text)

    assert isinstance(json.dumps(error.to_dict()), str)
    assert isinstance(str(error), str)


def circle() -> list[Any]:
    """Return a list that holds itself."""
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, None),
        ("\ud800", "\\ud800"),
        ({"\ud800": 1}, "<dict>"),
        (circle(), "<list>"),
        (b"\xff", "_w=="),
    ],
    ids=["nan", "surrogate", "surrogate key", "circle", "bytes"],
)
def test_form_for_json_is_what_every_parser_reads(value: Any, shown: Any) -> None:
    """What Python alone would write as JSON, or nobody can, is told in words, in a field of its own type or of any."""

    class Measured(DomainError):
        found: Any
        ratio: float = math.inf

    form = Measured(found=value).to_dict()

    assert form["data"] == {"found": shown, "ratio": "Infinity"}
    json.dumps(form, allow_nan=False, ensure_ascii=False).encode()


def test_fields_may_name_local_classes() -> None:
    """Annotations are found among the locals of the class statement."""

    class Near(BaseModel):
        x: int

    class Refers(DomainError):
        near: Near

    assert Refers(near={"x": 1}).data == {"near": Near(x=1)}


class Early(DomainError):
    late: Late


class Late(BaseModel):
    y: int


def test_fields_may_name_what_comes_later_in_the_module() -> None:
    """A forward reference is resolved when the first error is made."""
    assert Early(late={"y": 2}).data == {"late": Late(y=2)}


def test_a_name_that_nothing_has_is_a_definition_error() -> None:
    """An annotation that can never be resolved is said so at the first use."""

    class Lost(DomainError):
        near: Nowhere  # noqa: F821

    with pytest.raises(DefinitionError, match="Nowhere"):
        Lost(near=1)


def test_an_own_class_attribute_is_no_field() -> None:
    """What is not annotated is no field, and a method is the user's own."""

    class Helpful(DomainError):
        minimum: int = 1
        advice = "add something"

        def doubled(self) -> int:
            return self.minimum * 2

    assert Helpful(minimum=2).doubled() == 4
    assert Helpful().data == {"minimum": 1}


def test_a_refused_field_is_raised_without_a_chain() -> None:
    """The validation error behind a refused field, which quotes the value, is not shown."""
    with pytest.raises(InvalidDataError) as caught:
        Worded(minimum="x")

    assert caught.value.__suppress_context__
