"""Stored form: what is accepted survives being stored, and what does not survive is refused by name."""

from __future__ import annotations

import collections
import dataclasses
import enum
import ipaddress
import json
import math
import pathlib
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    SecretBytes,
    SecretStr,
    SerializeAsAny,
    TypeAdapter,
    computed_field,
    create_model,
    field_serializer,
    model_serializer,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypedDict

from statewright import DefinitionError, InvalidDataError, Workflow
from statewright._model.schema import Schema

T = TypeVar("T")
BERLIN = timezone(timedelta(hours=1))


def schema_of(type_: type[Any]) -> Schema:
    return Schema("thing", "state", type_, type_.__name__)


def accepted(value: Any) -> Any:
    """Check that a value is accepted as documented, and return what it loads as."""
    schema = schema_of(type(value))
    text, loaded = schema.accept(value)
    adapter = TypeAdapter(type(value))
    assert schema.same(text, json.dumps(adapter.dump_python(value, mode="json", by_alias=True, round_trip=True)))
    assert type(loaded) is type(value)
    assert loaded is not value or isinstance(value, enum.Enum)
    again, _ = schema.accept(loaded)
    assert schema.same(again, text)
    return loaded


def refused(value: Any) -> InvalidDataError:
    with pytest.raises(InvalidDataError) as caught:
        schema_of(type(value)).accept(value)
    assert caught.value.source == "state"
    assert type(value).__name__ in str(caught.value)
    return caught.value


# --- what survives -------------------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Size(enum.IntEnum):
    SMALL = 1


class Mood(enum.StrEnum):
    FINE = "fine"


class Inner(BaseModel):
    x: int = 0


@dataclasses.dataclass
class Plain:
    at: datetime
    inner: Inner
    more: list[Inner] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Slotted:
    weight: Decimal


@pydantic_dataclass
class Checked:
    when: date


class Loose(TypedDict, total=False):
    weight: int


class Point(NamedTuple):
    x: int
    y: Decimal


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


class Box(BaseModel, Generic[T]):
    value: T


class Lines(RootModel[list[Inner]]): ...


class Everything(BaseModel):
    at: datetime
    local: datetime
    naive: datetime
    day: date
    hour: time
    span: timedelta
    price: Decimal
    key: UUID
    raw: bytes
    colour: Colour
    size: Size
    mood: Mood
    inner: Inner
    plain: Plain
    slotted: Slotted
    loose: Loose
    point: Point
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    either: int | str | Inner | None
    box: Box[date]
    boxes: list[Box[Inner]]
    tags: set[str]
    frozen: frozenset[int]
    pair: tuple[int, str]
    many: tuple[Inner, ...]
    by_day: dict[date, Decimal]
    by_number: dict[int, Inner]
    by_colour: dict[Colour, str]
    ratio: float
    big: int
    path: pathlib.Path
    address: ipaddress.IPv4Address
    lines: Lines
    anything: Any
    queue: collections.deque[int]
    counted: collections.Counter[str]
    kept: Json[list[int]]
    wrapped: Base64Bytes


EVERYTHING = Everything(
    at=datetime(2026, 1, 1, 1, 2, 3, 456789, tzinfo=UTC),
    local=datetime(2026, 1, 1, tzinfo=BERLIN),
    naive=datetime(2026, 1, 1),  # noqa: DTZ001
    day=date(2026, 1, 1),
    hour=time(1, 2, 3, 4),
    span=timedelta(days=-1, microseconds=1),
    price=Decimal("1.500"),
    key=uuid4(),
    raw="ünïcode".encode(),
    colour=Colour.BLUE,
    size=Size.SMALL,
    mood=Mood.FINE,
    inner=Inner(x=1),
    plain=Plain(datetime(2026, 1, 1, tzinfo=UTC), Inner(x=2), [Inner(x=3)]),
    slotted=Slotted(weight=Decimal("0.1")),
    loose={"weight": 3},
    point=Point(1, Decimal("2.0")),
    pet=Dog(name="Rex"),
    either=Inner(x=4),
    box=Box[date](value=date(2026, 1, 2)),
    boxes=[Box[Inner](value=Inner(x=5))],
    tags={"a", "b", "c", "d", "e"},
    frozen=frozenset({3, 1, 2}),
    pair=(1, "x"),
    many=(Inner(x=6), Inner(x=7)),
    by_day={date(2026, 1, 1): Decimal("1.0")},
    by_number={7: Inner(x=8)},
    by_colour={Colour.RED: "r"},
    ratio=0.1,
    big=2**80,
    path=pathlib.Path("/tmp/x"),
    address=ipaddress.IPv4Address("127.0.0.1"),
    lines=Lines([Inner(x=9)]),
    anything={"a": [1, None, True, "x", 1.5]},
    queue=collections.deque([1, 2]),
    counted=collections.Counter(a=2),
    kept="[1, 2]",
    wrapped=b"aGVsbG8=",
)


def test_a_model_of_everything_survives() -> None:
    """Each type that Pydantic can write and read comes back equal."""
    assert accepted(EVERYTHING) == EVERYTHING


@pytest.mark.parametrize("name", Everything.model_fields)
def test_each_type_survives_by_itself(name: str) -> None:
    """Each of these types survives as the only field of a model and of a dataclass."""
    annotation = Everything.__annotations__[name]
    namespace = {"__annotations__": {"field": annotation}, "__module__": __name__}
    value = getattr(EVERYTHING, name)
    if name in {"kept", "wrapped"}:
        value = {"kept": "[1, 2]", "wrapped": b"aGVsbG8="}[name]

    model = type("Model", (BaseModel,), dict(namespace))
    assert accepted(model(field=value)).field == getattr(EVERYTHING, name)
    if name not in {"kept", "wrapped"}:
        record = dataclasses.dataclass(type("Record", (), dict(namespace)))
        globals()["Record"] = record
        assert accepted(record(value)).field == value


@pytest.mark.parametrize(
    "value",
    [
        Plain(datetime(2026, 1, 1, tzinfo=UTC), Inner(x=1)),
        Slotted(weight=Decimal("1.10")),
        Checked(when=date(2026, 1, 1)),
        Point(1, Decimal(2)),
        Lines([Inner(x=1)]),
        Colour.RED,
    ],
    ids=lambda value: type(value).__name__,
)
def test_classes_that_are_no_models_survive(value: Any) -> None:
    """Dataclasses, named tuples, root models and enums may be members, too."""
    assert accepted(value) == value


class Dressed(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, strict=True, str_strip_whitespace=True)
    at: datetime
    pair: tuple[int, ...]
    tags: set[str] = set()
    written: str = Field(default="", alias="spelled")
    _private: int = PrivateAttr(default=3)

    @computed_field
    @property
    def twice(self) -> int:
        return len(self.pair) * 2


def test_configuration_does_not_get_in_the_way() -> None:
    """Strict and frozen models, extra fields, aliases, private attributes and computed fields survive."""
    value = Dressed(at=EVERYTHING.at, pair=(1, 2), tags={"x"}, spelled="s", more={"a": 1})

    loaded = accepted(value)

    assert loaded.written == "s"
    assert loaded.more == {"a": 1}
    assert loaded.twice == 4
    assert json.loads(schema_of(Dressed).accept(value)[0]) == {
        "at": "2026-01-01T01:02:03.456789Z",
        "pair": [1, 2],
        "tags": ["x"],
        "spelled": "s",
        "more": {"a": 1},
    }


def test_a_serializer_of_the_users_own_is_trusted_if_it_survives() -> None:
    """What a serializer writes counts, as long as it is read back as the same."""

    class Timed(BaseModel):
        at: datetime
        ratio: Annotated[Fraction, BeforeValidator(Fraction), PlainSerializer(str)]
        token: Annotated[SecretStr, PlainSerializer(SecretStr.get_secret_value)]
        key: SecretBytes

        model_config = ConfigDict(arbitrary_types_allowed=True)

        @field_serializer("at")
        def seconds(self, at: datetime) -> float:
            return at.timestamp()

        @field_serializer("key")
        def reveal(self, key: SecretBytes) -> str:
            return key.get_secret_value().decode()

    value = Timed(at=EVERYTHING.at, ratio=Fraction(1, 3), token="t", key=b"k")

    assert accepted(value) == value


def test_a_whole_model_may_write_itself() -> None:
    """A model serializer may write what is excluded or secret otherwise."""

    class Sealed(BaseModel):
        secret: SecretStr
        hidden: int = Field(default=1, exclude=True)

        @model_serializer
        def write(self) -> dict[str, Any]:
            return {"secret": self.secret.get_secret_value(), "hidden": self.hidden}

    value = Sealed(secret="s", hidden=2)

    assert accepted(value) == value


def test_bytes_are_read_as_they_are_written() -> None:
    """`ser_json_bytes="base64"` is enough for any bytes, at any depth."""

    class Blob(BaseModel):
        model_config = ConfigDict(ser_json_bytes="base64")
        raw: bytes
        many: list[bytes] = []

    class Holder(BaseModel):
        blob: Blob

    value = Holder(blob=Blob(raw=b"\xff\0\xfe", many=[b"\x80"]))

    assert accepted(value) == value


def test_hex_bytes_are_read_as_they_are_written() -> None:
    """The other encoding works as well."""

    class Blob(BaseModel):
        model_config = ConfigDict(ser_json_bytes="hex")
        raw: bytes

    assert accepted(Blob(raw=b"\xff\0")).raw == b"\xff\0"


def test_sets_are_compared_as_sets() -> None:
    """The order of a set is none: two orders of one set are the same data."""

    class Tagged(BaseModel):
        tags: set[str]
        deep: dict[str, frozenset[Decimal]] = {}

    for count in range(40):
        accepted(Tagged(tags={str(n * 7) for n in range(count)}, deep={"a": frozenset(map(Decimal, range(count)))}))


@pytest.mark.slow
@given(
    st.builds(
        EVERYTHING.model_copy,
        update=st.fixed_dictionaries(
            {},
            optional={
                "at": st.datetimes(timezones=st.just(UTC)),
                "naive": st.datetimes(),
                "day": st.dates(),
                "hour": st.times(),
                "price": st.decimals(allow_nan=False, allow_infinity=False),
                "ratio": st.floats(allow_nan=False, allow_infinity=False),
                "big": st.integers(),
                "tags": st.sets(st.text(st.characters(codec="utf-8", exclude_characters="\0"))),
                "by_day": st.dictionaries(st.dates(), st.decimals(allow_nan=False, allow_infinity=False)),
                "either": st.integers() | st.none() | st.builds(Inner, x=st.integers()),
            },
        ),
    )
)
def test_any_values_survive(value: Everything) -> None:
    """Whatever the values of these types are, the stored form gives them back."""
    assert accepted(value) == value


# --- what is refused alike everywhere ------------------------------------------------------------------------------


class Holder(BaseModel):
    text: str = ""
    ratio: float = 0.0
    maybe: float | None = None
    ratios: list[float] = []
    anything: Any = None
    by_text: dict[str, int] = {}
    raw: bytes = b""


FLAWED = [
    {"text": "a\0"},
    {"text": "\ud800"},
    {"ratio": math.nan},
    {"ratio": math.inf},
    {"maybe": math.nan},
    {"maybe": -math.inf},
    {"ratios": [0.0, math.nan]},
    {"ratios": [math.inf]},
    {"anything": math.nan},
    {"anything": {"deep": [math.inf]}},
    {"anything": {"deep": ["\0"]}},
    {"anything": {"deep": ["\udfff"]}},
    {"anything": {"\0": 1}},
    {"anything": object()},
    {"by_text": {"\0": 1}},
    {"by_text": {"\ud800": 1}},
    {"raw": b"\0"},
]


@pytest.mark.parametrize("fields", FLAWED, ids=ascii)
@pytest.mark.parametrize("extra", [{}, {"tags": (set[int], set())}], ids=["plain", "careful"])
def test_what_no_store_keeps_is_refused(fields: dict[str, Any], extra: dict[str, Any]) -> None:
    """NaN, infinities, NUL and lone surrogates are refused with the place, in simple and in complicated models."""
    model = create_model("Model", __base__=Holder, **extra)

    error = refused(model.model_construct(**fields))

    assert error.issues
    assert error.issues[0].path[:1] in {(), (next(iter(fields)),)}


class ByText(BaseModel):
    by_text: dict[str, int] = {}


def test_a_key_that_pydantic_would_rewrite_is_refused_in_a_simple_model() -> None:
    """A lone surrogate in a key is refused with its place, given or on the wire; a replacement character is no flaw."""
    assert refused(ByText(by_text={"\ud800": 1})).issues[0].path == ("by_text",)
    with pytest.raises(InvalidDataError):
        schema_of(ByText).receive({"by_text": {"\ud800": 1}})

    assert accepted(ByText(by_text={"\ufffd" * 3: 1})).by_text == {"\ufffd" * 3: 1}


def test_keys_that_are_written_alike_are_refused() -> None:
    """Of `1` and `"1"` one would be lost; at any depth, with the place."""

    class Mixed(BaseModel):
        by_key: list[dict[int | str, int]]
        tags: set[str] = set()

    error = refused(Mixed(by_key=[{1: 1}, {1: 1, "1": 2}]))

    assert [(issue.path, issue.type) for issue in error.issues] == [(("by_key", 1), "loses_entries")]
    assert accepted(Mixed(by_key=[{"a": 1, "b": 2}], tags=set("abcdefgh"))).by_key == [{"a": 1, "b": 2}]


@pytest.mark.parametrize("config", ["strings", "constants"])
def test_a_model_cannot_smuggle_what_is_not_finite(config: Any) -> None:
    """However a model would write NaN, it is no JSON number, and no store keeps it as one."""

    class Smuggler(BaseModel):
        model_config = ConfigDict(ser_json_inf_nan=config)
        ratio: float

    refused(Smuggler(ratio=math.nan))
    refused(Smuggler(ratio=-math.inf))


def test_bytes_that_are_no_text_are_refused_with_the_cure() -> None:
    """The message names the setting that makes them survive."""
    error = refused(Holder(raw=b"\xff\xfe"))

    assert 'ser_json_bytes="base64"' in str(error)


def test_another_refusal_does_not_speak_of_bytes() -> None:
    """A hint that does not help is not given."""

    class Growing(BaseModel):
        text: Annotated[str, AfterValidator(lambda text: text + "!")]

    error = refused(Growing(text="a"))

    assert error.issues[0].path == ("text",)
    assert "base64" not in str(error)


# --- what would be lost --------------------------------------------------------------------------------------------


class Base(BaseModel):
    x: int = 0


class Sub(Base):
    y: int = 1


class SameFields(Base): ...


class FrozenBase(BaseModel):
    model_config = ConfigDict(frozen=True)
    x: int = 0


class FrozenSub(FrozenBase):
    y: int = 1


@dataclasses.dataclass
class Record:
    x: int = 0


@dataclasses.dataclass
class SubRecord(Record):
    y: int = 1


class Keeper(BaseModel):
    one: Base = Base()
    many: list[Base] = []
    by_name: dict[str, Base] = {}
    pair: tuple[int, Base] = (1, Base())
    maybe: Base | None = None
    open: SerializeAsAny[Base] = Base()
    record: Record = Record()
    unique: set[FrozenBase] = set()
    queue: collections.deque[Base] = collections.deque()
    sequence: Sequence[Base] = ()
    root: RootModel[Base] = RootModel[Base](Base())


@pytest.mark.parametrize(
    "fields",
    [
        {"one": Sub()},
        {"one": SameFields()},
        {"many": [Base(), Sub()]},
        {"by_name": {"a": Sub()}},
        {"pair": (1, Sub())},
        {"maybe": Sub()},
        {"open": Sub()},
        {"record": SubRecord()},
        {"unique": {FrozenSub()}},
        {"queue": collections.deque([Sub()])},
        {"sequence": [Sub()]},
        {"root": RootModel[Base].model_construct(Sub())},
    ],
    ids=repr,
)
def test_a_subclass_in_a_field_of_its_base_is_refused(fields: dict[str, Any]) -> None:
    """What the subclass adds would be lost on the way, so that nothing is accepted that only looks the same."""
    error = refused(Keeper(**fields))

    assert error.issues[0].path[0] == next(iter(fields))


class Numbers(BaseModel):
    count: int
    items: list[str] = []


@pytest.mark.parametrize(
    "value",
    [
        Numbers.model_construct(),
        Numbers.model_construct(count="5"),
        Numbers.model_construct(count=object()),
        Numbers.model_construct(count=None),
        Numbers.model_construct(count=1, items="abc"),
        Numbers.model_construct(count=1, items=[1]),
        Numbers.model_construct(count=1, items=None),
        Numbers.model_construct(count=[1]),
        Plain("2026", Inner()),
    ],
    ids=repr,
)
def test_garbage_that_was_never_validated_is_refused(value: Any) -> None:
    """An instance is checked again, however it was made."""
    refused(value)


def test_an_instance_that_was_spoiled_later_is_refused() -> None:
    """Assignments are checked as if they had been arguments."""

    class Limited(BaseModel):
        count: Annotated[int, Field(le=3)]

    value = Limited(count=1)
    value.count = 4

    refused(value)


@pytest.mark.parametrize("error", [KeyError, RuntimeError, ZeroDivisionError, AttributeError, OSError])
def test_a_schema_that_breaks_is_invalid_data(error: type[Exception]) -> None:
    """Whatever a validator or serializer of the user's own raises, the value does not survive."""

    def broken(_: Any) -> Any:
        raise error("boom")

    class Writes(BaseModel):
        x: Annotated[int, PlainSerializer(broken)] = 1

    class Reads(BaseModel):
        x: Annotated[int, AfterValidator(broken)] = 1

    for value in (Writes(), Reads.model_construct(x=1)):
        assert isinstance(refused(value).__cause__, Exception)


def test_an_equality_that_breaks_is_no_obstacle() -> None:
    """How the user's class compares is not what decides."""

    class Stubborn(BaseModel):
        x: int

        def __eq__(self, other: object) -> bool:
            raise KeyError

        __hash__ = None

    class Holds(BaseModel):
        stubborn: Stubborn

    accepted_text, _ = schema_of(Holds).accept(Holds(stubborn=Stubborn(x=1)))

    assert json.loads(accepted_text) == {"stubborn": {"x": 1}}


# --- schemas that cannot survive -----------------------------------------------------------------------------------


class Registry:
    """A class that Pydantic knows nothing of."""


def mortal(annotation: Any, field: Any = ..., **config: Any) -> type[BaseModel]:
    config.setdefault("arbitrary_types_allowed", True)
    body = {"__annotations__": {"doomed": annotation}, "model_config": ConfigDict(**config), "__module__": __name__}
    return type("Mortal", (BaseModel,), body if field is ... else {**body, "doomed": field})


class Nested(BaseModel):
    deep: list[dict[str, mortal(SecretStr)]] = []


MORTAL = [
    ("secret", mortal(SecretStr), "Mortal.doomed"),
    ("secret bytes", mortal(SecretBytes), "Mortal.doomed"),
    ("optional secret", mortal(SecretStr | None), "Mortal.doomed"),
    ("list of secrets", mortal(list[SecretStr]), "Mortal.doomed"),
    ("nested secret", Nested, r"Nested\.deep\.doomed"),
    ("excluded", mortal(int, Field(default=1, exclude=True)), "Mortal.doomed"),
    ("callable", mortal(collections.abc.Callable[[], int]), "Mortal.doomed"),
    ("aliases that differ", mortal(int, Field(validation_alias="a", serialization_alias="b")), "Mortal.doomed"),
    ("choices without", mortal(int, Field(validation_alias=AliasChoices("a", "b"))), "Mortal.doomed"),
    ("object", mortal(Registry), "Mortal.doomed"),
    ("class", mortal(type[Base]), "Mortal.doomed"),
    ("iterator", mortal(Iterable[int]), "Mortal.doomed"),
]


@pytest.mark.parametrize("kind", ["state", "command", "event"])
@pytest.mark.parametrize(("type_", "named"), [each[1:] for each in MORTAL], ids=[each[0] for each in MORTAL])
def test_a_schema_that_cannot_survive_is_refused(kind: Any, type_: type[Any], named: str) -> None:
    """Secrets, exclusions and what has no JSON form are found at the class statement, by field."""
    with pytest.raises(DefinitionError, match=named) as caught:
        Schema("thing", kind, type_, "Mortal")

    assert f"thing {kind}" in str(caught.value)


def test_a_dataclass_with_an_init_variable_is_refused() -> None:
    """What is needed for loading and never stored is found, too."""

    @dataclasses.dataclass
    class Begun:
        x: int
        seed: dataclasses.InitVar[int] = 3

    with pytest.raises(DefinitionError, match=r"Begun\.seed"):
        schema_of(Begun)


def test_a_computed_secret_is_not_stored_and_no_obstacle() -> None:
    """What is computed is left out, whatever its type."""

    class Computing(BaseModel):
        x: int = 1

        @computed_field
        @property
        def shown(self) -> SecretStr:
            return SecretStr("s")

    accepted(Computing())


# --- what is sent --------------------------------------------------------------------------------------------------


class Sent(BaseModel):
    item: str
    at: datetime | None = None
    tags: set[str] = set()
    ratio: float = 0.0
    more: Any = None


def test_a_payload_is_the_stored_form() -> None:
    """A payload is read like what is stored: times as text, sets as lists."""
    value = schema_of(Sent).receive({"item": "tea", "at": "2026-01-01T00:00:00Z", "tags": ["a"]})

    assert value == Sent(item="tea", at=datetime(2026, 1, 1, tzinfo=UTC), tags={"a"})


@pytest.mark.parametrize(
    "payload",
    [
        {"item": "\0"},
        {"item": "\ud800"},
        {"item": "x", "ratio": math.nan},
        {"item": "x", "ratio": math.inf},
        {"item": "x", "ratio": "NaN"},
        {"item": "x", "ratio": "-inf"},
        {"item": "x", "more": math.nan},
        {"item": "x", "more": ["\0"]},
        {"item": "x", "more": {"\ud800": 1}},
        {"item": "x", "more": object()},
        {"item": "x", "unknown": math.nan},
        {},
        [],
        "item",
        1,
        object(),
        b"\xff",
        {"item": 1},
        {("item",): 1},
    ],
    ids=ascii,
)
def test_a_payload_that_does_not_fit_is_refused(payload: Any) -> None:
    """Everything that is refused in an instance is refused in a payload, and so is what is no JSON."""
    schema = schema_of(Sent)

    with pytest.raises(InvalidDataError):
        schema.vouch(schema.receive(payload))


def test_a_payload_that_contains_itself_is_refused() -> None:
    """A circle is an error like others."""
    circle: dict[str, Any] = {"item": "x"}
    circle["more"] = circle

    with pytest.raises(InvalidDataError):
        schema_of(Sent).receive(circle)


def test_wrong_defaults_are_refused_on_both_ways_in() -> None:
    """A default that its own schema refuses is refused as instance and as payload, because neither would load back."""
    for annotation, default in (
        (int, "many"),
        (float, math.nan),
        (str, "\0"),
        (list[int], ["x"]),
        (Holder, {"text": 3}),
    ):
        careless = create_model("Careless", field=(annotation, default), other=(int, 1))

        refused(careless())
        schema = schema_of(careless)
        with pytest.raises(InvalidDataError):
            schema.vouch(schema.receive({"other": 2}))


# --- forward references --------------------------------------------------------------------------------------------


class Early(BaseModel):
    late: Late


class Thing(Workflow[Early, Early], name="thing"): ...


class Late(BaseModel):
    x: int


def test_a_forward_reference_is_resolved_at_the_first_use() -> None:
    """A class may be declared before what it names exists."""
    assert Thing.create("t", Early(late=Late(x=1))).to_snapshot().data == {"late": {"x": 1}}


def test_a_local_dataclass_with_postponed_annotations_is_described() -> None:
    """Annotations of a dataclass that name local classes are found by way of the class statement of the workflow."""

    class Near(BaseModel):
        x: int

    @dataclasses.dataclass
    class Here:
        near: Near

    class Local(Workflow[Here, Near], name="local"): ...

    assert Local.create("l", Here(Near(x=1))).to_snapshot().data == {"near": {"x": 1}}


# --- the same command ----------------------------------------------------------------------------------------------


def test_the_same_value_is_known_however_it_is_written() -> None:
    """Key order and the order of sets do not make another value."""
    schema = schema_of(Sent)

    assert schema.same('{"item":"x","tags":["a","b"]}', '{"tags":["b","a"],"item":"x"}')
    assert not schema.same('{"item":"x"}', '{"item":"y"}')


# --- what was set, and not only defaulted ----------------------------------------------------------------------------


class Patch(BaseModel):
    name: str = "?"
    size: int = 1


class Change(BaseModel):
    patch: Patch
    more: list[Patch] = []
    note: str = ""


@dataclasses.dataclass
class RecordedChange:
    patch: Patch


CHANGES: list[Any] = [
    Patch(size=3),
    Change(patch=Patch(name="x"), more=[Patch(), Patch(size=2)]),
    RecordedChange(Patch(name="x")),
]


@pytest.mark.parametrize("given", CHANGES, ids=lambda each: type(each).__name__)
def test_what_was_set_is_known_at_every_depth(given: Any) -> None:
    """A value that was made of another one, once or again later, tells apart what was set from what is a default."""
    schema = schema_of(type(given))
    expected = TypeAdapter(type(given)).dump_python(given, exclude_unset=True)

    text, loaded = schema.accept(given)
    schema.keep_unset(given, loaded)
    again = schema.load_as_set(text, schema.what_is_set(loaded))

    assert TypeAdapter(type(given)).dump_python(loaded, exclude_unset=True) == expected
    assert TypeAdapter(type(given)).dump_python(again, exclude_unset=True) == expected
    assert again == loaded == given


class Tags(BaseModel):
    tags: list[str] = []
    owner: str = "nobody"


class Shout(str):
    __slots__ = ()


def test_what_is_accepted_is_read_back_without_its_text() -> None:
    """A value of plain types is copied: equal to what its text says, sharing nothing, the given one as it was."""
    schema = Schema("order", "state", Tags, "Tags")
    given = Tags(tags=["a"])

    text, loaded = schema.accept(given)

    assert loaded == schema.load(text)
    assert loaded.model_fields_set == schema.load(text).model_fields_set == {"tags", "owner"}
    assert loaded.tags is not given.tags
    assert given.model_fields_set == {"tags"}


def test_what_only_its_text_makes_plain() -> None:
    """A value that holds more than its text says is read back as its text says."""
    schema = Schema("order", "state", Tags, "Tags")
    odd = Tags.model_construct(tags=(Shout("a"),), owner=Shout("b"))

    _, loaded = schema.accept(odd)

    assert loaded.tags == ["a"]
    assert [type(loaded.tags[0]), type(loaded.owner)] == [str, str]
