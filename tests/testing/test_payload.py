"""Random payloads for classes that Pydantic describes."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from pydantic import (
    UUID4,
    AfterValidator,
    AnyUrl,
    AwareDatetime,
    Base64UrlBytes,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FutureDate,
    Json,
    NaiveDatetime,
    PastDatetime,
    PlainValidator,
    RootModel,
    StringConstraints,
    TypeAdapter,
)
from pydantic_core import to_json
from typing_extensions import TypedDict

from statewright.testing.payload import payloads


class Colour(Enum):
    RED = "red"
    BLUE = 2


class Scalars(BaseModel):
    a: int
    b: float
    c: str
    d: bool
    e: None
    f: bytes
    g: Decimal
    h: Colour
    i: Literal["x", 1]
    j: Any
    k: PurePosixPath


class Numbers(BaseModel):
    a: int = Field(ge=3, lt=7)
    b: int = Field(gt=-3, le=0, multiple_of=2)
    c: float = Field(gt=0, le=1)
    d: float = Field(ge=-1, lt=0)
    e: float = Field(ge=0, le=10, multiple_of=5)
    f: Decimal = Field(gt=0, max_digits=6, decimal_places=2)
    g: Decimal = Field(ge=5, lt=100, multiple_of=5)


class Sizes(BaseModel):
    a: str = Field(min_length=2, max_length=4)
    b: str = Field(pattern=r"^[A-Z]{2}-[0-9]+$")
    c: Annotated[str, Field(pattern=r"^a*$", max_length=3)]
    d: list[int] = Field(min_length=1, max_length=2)
    e: dict[str, int] = Field(max_length=2)
    f: set[int] = Field(min_length=2)
    g: frozenset[str]


class Moments(BaseModel):
    a: datetime
    b: AwareDatetime
    c: NaiveDatetime
    d: PastDatetime
    e: FutureDate
    f: date = Field(ge=date(2026, 1, 1), lt=date(2026, 1, 3))
    g: time
    h: timedelta
    i: timedelta = Field(gt=timedelta(0), le=timedelta(hours=1))
    j: datetime = Field(ge=datetime(2026, 1, 1, tzinfo=UTC))


class Formats(BaseModel):
    a: uuid.UUID
    b: UUID4
    c: AnyUrl
    d: IPv4Address
    e: Base64UrlBytes
    f: Json[Any]
    g: Json[dict[str, int]]


@dataclass
class Inner:
    name: str
    size: int = 1
    tags: list[str] = field(default_factory=list)
    is_seen: bool = field(default=False, init=False)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Typed(TypedDict, total=False):
    a: int


class Tree(BaseModel):
    value: int
    children: list[Tree] = []
    left: Tree | None = None


class Nested(BaseModel):
    a: Inner
    b: list[Inner | None]
    c: tuple[int, str]
    d: tuple[int, ...]
    e: Annotated[Cat | Dog, Field(discriminator="kind")]
    f: dict[Literal["x", "y"], Inner]
    g: Tree
    h: int | str | None = None
    i: int = Field(alias="I")
    j: dict[int, date]
    k: Typed


class Binary(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    data: bytes


class Functions(BaseModel):
    a: Annotated[int, AfterValidator(abs)]
    b: Annotated[str, BeforeValidator(lambda text: text), StringConstraints(strip_whitespace=True)]
    c: Annotated[Any, PlainValidator(lambda value: value)]


class Nothing(BaseModel):
    pass


class Listed(RootModel[list[int]]):
    pass


CLASSES = [Scalars, Numbers, Sizes, Moments, Formats, Inner, Nested, Tree, Binary, Functions, Nothing, Listed]
HURRIED = settings(
    max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None
)


@pytest.mark.slow
@pytest.mark.parametrize("type", CLASSES)
def test_payloads_fit(type: type[Any]) -> None:
    """What is drawn for a class is accepted by it, as JSON."""
    adapter: TypeAdapter[Any] = TypeAdapter(type)

    @HURRIED
    @given(payloads(adapter.core_schema))
    def accepted(payload: Any) -> None:
        adapter.validate_json(to_json(payload))

    accepted()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("type", "wanted"),
    [
        (Tree, lambda tree: tree.children and tree.left),
        (Nested, lambda nested: nested.e.kind == "dog" and nested.f),
        (Nested, lambda nested: isinstance(nested.h, str)),
        (Inner, lambda inner: inner.size > 1000),
        (Scalars, lambda scalars: scalars.h is Colour.BLUE),
        (Numbers, lambda numbers: numbers.f % 1 and numbers.f > 1000),
        (Binary, lambda binary: b"\xff" in binary.data),
        (Listed, lambda listed: len(listed.root) > 2),
    ],
    ids=["recursion", "another variant", "a union", "a default", "an enum", "all digits", "bytes", "a list"],
)
def test_payloads_are_varied(type: type[Any], wanted: Any) -> None:
    """Optional fields, variants, recursion and extremes are drawn, too."""
    adapter: TypeAdapter[Any] = TypeAdapter(type)
    strategy = payloads(adapter.core_schema).map(lambda payload: adapter.validate_json(to_json(payload)))

    assert wanted(find(strategy, wanted, settings=settings(HURRIED, max_examples=3000, phases=[Phase.generate])))


def test_a_pattern_of_another_engine_is_left_to_chance() -> None:
    """A pattern that Python does not know does not stop anybody."""
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[str, StringConstraints(pattern=r"(?-u:\w)\z")])

    assert isinstance(find(payloads(adapter.core_schema), lambda _: True), str)


def test_a_compiled_pattern_is_read() -> None:
    """A pattern may be compiled."""
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[str, StringConstraints(pattern=re.compile("^(yes|no)$"))])

    assert find(payloads(adapter.core_schema), lambda text: "n" in text).strip() == "no"


def test_no_text_is_unstorable() -> None:
    """Texts hold neither NUL nor lone surrogates, which no store keeps."""
    free: TypeAdapter[Any] = TypeAdapter(str)
    bound: TypeAdapter[Any] = TypeAdapter(Annotated[str, StringConstraints(pattern="^.")])

    @HURRIED
    @given(payloads(free.core_schema) | payloads(bound.core_schema))
    def storable(text: str) -> None:
        assert "\0" not in text
        text.encode()

    storable()
