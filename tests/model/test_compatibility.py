from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, Json, RootModel, ValidationError, computed_field, create_model
from typing_extensions import TypedDict

from statewright import DefinitionError, ServerOnly, Workflow
from statewright._model.compatibility import compare, describe


class Point(BaseModel):
    x: int
    y: int


class Point3(BaseModel):
    x: int
    y: int
    z: int


class PointWithName(BaseModel):
    x: int
    y: int
    name: str = ""


class Old(Enum):
    A = "a"
    B = "b"


class More(Enum):
    A = "a"
    B = "b"
    C = "c"


class Tree(BaseModel):
    value: int
    below: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]
    bark: str


class Town(TypedDict):
    name: str


@dataclasses.dataclass
class Part:
    number: int


class Open(BaseModel): ...


def workflow(
    state: Any,
    *,
    event: Any = None,
    command: Any = None,
    model_version: int = 1,
    names: dict[str, str] | None = None,
) -> Any:
    """Return a workflow with one state, event and command, named as such unless `names` says otherwise."""
    names = names or {}
    members = {"State": state, "Event": event or Open, "Command": command or Open}
    made = {kind: type(names.get(kind, kind), (member,), {"__module__": __name__}) for kind, member in members.items()}

    class Thing(Workflow[made["State"], made["Command"], made["Event"]], name="thing", model_version=model_version):
        """A workflow that changes."""

    return Thing


def with_field(type_: Any, default: Any = ...) -> Any:
    return create_model("Base", f=(type_, default))


def changes(old: Any, new: Any, kind: str = "state") -> list[tuple[str, bool]]:
    """Return what changed between two classes of one kind, as written to a file and read back."""
    written = json.loads(json.dumps(describe(_one(old, kind))))
    return [
        (f"{'.'.join(change.path)}: {change.what}", change.needs_migration)
        for change in compare(written, _one(new, kind)).changes
    ]


def _one(class_: Any, kind: str) -> Any:
    return workflow(class_) if kind == "state" else workflow(Open, **{kind: class_})


# --- one field -----------------------------------------------------------------------------------------------------

SAME: dict[str, Any] = {
    "str": str,
    "int": int,
    "bool": bool,
    "float": float,
    "decimal": Decimal,
    "date": date,
    "datetime": datetime,
    "uuid": UUID,
    "bytes": bytes,
    "optional": int | None,
    "list": list[int],
    "tuple": tuple[int, str],
    "tuple of many": tuple[int, ...],
    "set": set[int],
    "dict": dict[str, int],
    "dict by int": dict[int, Point],
    "anything": Any,
    "literal": Literal["a", "b"],
    "enum": Old,
    "model": Point,
    "models": list[Point | None],
    "union": int | str | Point,
    "tagged": Annotated[Cat | Dog, Field(discriminator="kind")],
    "typed dict": Town,
    "dataclass": Part,
    "root model": RootModel[list[Point]],
    "recursive": Tree,
    "bounds": Annotated[int, Field(gt=0, le=10)],
    "pattern": Annotated[str, Field(pattern="^a", max_length=3)],
    "json": Json[Point],
    "server-only": Annotated[str, ServerOnly],
}


@pytest.mark.parametrize("kind", SAME)
def test_what_has_not_changed_is_not_reported(kind: str) -> None:
    """A class compared with itself shows no change, whatever it is made of."""
    model = with_field(SAME[kind])

    assert changes(model, model) == []
    assert changes(model, model, "event") == []
    assert changes(model, model, "command") == []


WIDER: dict[str, tuple[Any, Any]] = {
    "int to float": (int, float),
    "to optional": (int, int | None),
    "to a union": (str, str | int),
    "to anything": (str, Any),
    "longer literal": (Literal["a"], Literal["a", "b"]),
    "literal to str": (Literal["a"], str),
    "more of an enum": (Old, More),
    "enum to str": (Old, str),
    "date-time to str": (datetime, str),
    "looser bounds": (Annotated[int, Field(gt=0, le=10)], Annotated[int, Field(ge=0, le=20)]),
    "no bounds": (Annotated[str, Field(max_length=3, pattern="^a")], str),
    "tuple to list": (tuple[int, int], list[int]),
    "set to list": (set[int], list[int]),
    "model to dict": (Point, dict[str, int]),
    "one more in a union": (Cat | Dog, Cat | Dog | Point),
}


@pytest.mark.parametrize("change", WIDER)
def test_wider_type_needs_nothing(change: str) -> None:
    """A type that takes all that the old one wrote needs no migration."""
    old, new = WIDER[change]

    assert [needed for _, needed in changes(with_field(old), with_field(new)) if needed] == []


NARROWER: dict[str, tuple[Any, Any, str]] = {
    "float to int": (float, int, "f: was number, is integer"),
    "str to int": (str, int, "f: was string, is integer"),
    "str to datetime": (str, datetime, "f: format was free, is date-time"),
    "not optional": (int | None, int, "f: was null, is integer"),
    "one less in a union": (int | str | None, int | None, "f: string is no longer accepted"),
    "str to decimal": (str, Decimal, "f: string is no longer accepted"),
    "JSON in JSON": (Json[Point], Json[Point3], "f.z: is new and has no default"),
    "from anything": (Any, str, "f: was anything, is string"),
    "shorter literal": (Literal["a", "b"], Literal["a"], "f: 'b' is no longer accepted"),
    "less of an enum": (More, Old, "f: 'c' is no longer accepted"),
    "str to enum": (str, Old, "f: was string, is 'a' or 'b'"),
    "lower bound": (Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)], "f: minimum was 0, is 1"),
    "exclusive bound": (Annotated[int, Field(ge=0)], Annotated[int, Field(gt=0)], "f: exclusiveMinimum was free, is 0"),
    "upper bound": (Annotated[int, Field(le=10)], Annotated[int, Field(lt=10)], "f: exclusiveMaximum was free, is 10"),
    "length": (str, Annotated[str, Field(max_length=3)], "f: maxLength was free, is 3"),
    "pattern": (str, Annotated[str, Field(pattern="^a")], "f: pattern was free, is ^a"),
    "list to set": (list[int], set[int], "f: uniqueItems was free, is True"),
    "list to tuple": (list[int], tuple[int, int], "f: minItems was free, is 2"),
    "shorter tuple": (tuple[int, int], tuple[int], "f: maxItems was 2, is 1"),
    "items": (list[int], list[str], "f.*: was integer, is string"),
    "items of a tuple": (tuple[int, str], tuple[int, int], "f.1: was string, is integer"),
    "tuple to list": (tuple[int, str], list[int], "f.1: was string, is integer"),
    "values": (dict[str, int], dict[str, str], "f.*: was integer, is string"),
    "new field inside": (Point, Point3, "f.z: is new and has no default"),
    "new field in a list": (list[Point], list[Point3], "f.*.z: is new and has no default"),
    "new field in a dict": (dict[str, Point], dict[str, Point3], "f.*.z: is new and has no default"),
    "new field in an optional": (Point | None, Point3 | None, "f.z: is new and has no default"),
    "field gone inside": (Point3, Point, "f.z: is gone"),
    "dict to model": (dict[str, int], Point, "f.x: is new and has no default"),
}


@pytest.mark.parametrize("change", NARROWER)
def test_narrower_type_needs_a_migration(change: str) -> None:
    """A type that refuses, or would lose, something that the old one wrote needs a migration, and says where."""
    old, new, what = NARROWER[change]

    assert (what, True) in changes(with_field(old), with_field(new))


def test_recursive_class_is_compared() -> None:
    """A change inside a class that contains itself is found once."""
    narrower: Any = create_model("Tree", value=(str, ...), below=(list["Tree"], []), __module__="here")

    assert changes(with_field(Tree), with_field(narrower)) == [("f.value: was integer, is string", True)]


# --- fields of a class ---------------------------------------------------------------------------------------------


def test_field_with_a_default_is_added() -> None:
    """A new field with a default reads old data."""
    assert changes(Point, PointWithName) == [("name: is new, with a default", False)]


def test_field_without_a_default_is_added() -> None:
    """A new field without a default does not."""
    assert changes(Point, Point3) == [("z: is new and has no default", True)]


def test_default_is_taken_away() -> None:
    """A field that had a default may be missing in what was stored before it was there."""
    assert changes(with_field(int, 1), with_field(int)) == [("f: has no default any more", True)]


def test_default_is_changed() -> None:
    """Another default changes how old data reads, but refuses none."""
    assert changes(with_field(int, 1), with_field(int, 2)) == [("f: has another default", False)]


def test_field_is_removed() -> None:
    """A field that is gone loses its data with the next save; in an event or command it is merely not read."""
    assert changes(Point3, Point) == [("z: is gone", True)]
    assert changes(Point3, Point, "event") == [("z: is gone", False)]
    assert changes(Point3, Point, "command") == [("z: is gone", False)]


def test_field_is_removed_where_unknown_ones_are_refused() -> None:
    """A command whose class forbids unknown fields refuses those that were sent so far."""

    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")
        x: int
        y: int

    assert changes(Point3, Strict, "command") == [("z: is gone", True)]


def test_field_is_renamed() -> None:
    """A field under another name is one gone and one new; the first says how to keep the name."""
    renamed: Any = create_model("Renamed", x=(int, ...), why=(int, ...))

    assert changes(Point, renamed) == [
        ("y: is gone; if 'why' is its new name, keep the old one as an alias", True),
        ("why: is new and has no default", True),
    ]


def test_alias_keeps_a_field() -> None:
    """A field that was renamed in code alone is the same."""
    renamed: Any = create_model("Renamed", x=(int, ...), why=(Annotated[int, Field(alias="y")], ...))

    assert changes(Point, renamed) == []


def test_extra_fields_are_no_longer_kept() -> None:
    """A class that kept whatever it was given, and does not any more, loses data."""

    class Loose(BaseModel):
        model_config = ConfigDict(extra="allow")
        x: int
        y: int

    assert changes(Loose, Point) == [("*: keys without a field of their own are no longer kept", True)]
    assert changes(Point, Loose) == []


def test_computed_fields_do_not_count() -> None:
    """What is computed is not stored."""

    class Computing(Point):
        @computed_field
        @property
        def sum(self) -> int:
            return self.x + self.y

    assert changes(Point, Computing) == []
    assert changes(Computing, Point) == []


# --- members -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["State", "Event", "Command"])
def test_member_is_renamed(kind: str) -> None:
    """A state, event or command under another stored name is one gone, with a hint, and one new."""
    old = json.loads(json.dumps(describe(workflow(Point, event=Point, command=Point))))
    comparison = compare(old, workflow(Point, event=Point, command=Point, names={kind: "Renamed"}))

    gone, new = comparison.changes
    assert (gone.member, gone.needs_migration) == (kind, True)
    assert gone.what == f"is gone; if Renamed is its new name, keep the old one: stored_names={{Renamed: '{kind}'}}"
    assert (new.member, new.what, new.needs_migration) == ("Renamed", "is new", False)


def test_change_says_what_to_do() -> None:
    """A grave change says who is concerned."""
    written = describe(workflow(Point, event=Point, command=Point))

    found = [str(each) for each in compare(written, workflow(Point3, event=Point3, command=Point3)).changes]

    assert found == [
        "state State.z: is new and has no default (stored workflows need a migration)",
        "event Event.z: is new and has no default (recorded events need migrations.event)",
        "command Command.z: is new and has no default (clients and waiting timers may still send what it was)",
    ]


def test_change_as_data() -> None:
    """A change can be printed as JSON."""
    [change] = compare(describe(workflow(Point)), workflow(Point3)).changes

    assert change.to_dict() == {
        "kind": "state",
        "member": "State",
        "path": ["z"],
        "what": "is new and has no default",
        "needs_migration": True,
    }


@pytest.mark.parametrize(
    ("new", "version", "is_safe"),
    [(Point, 1, True), (PointWithName, 1, True), (Point3, 1, False), (Point3, 2, True), (Point, 2, True)],
    ids=["same", "wider", "narrower", "narrower and raised", "same and raised"],
)
def test_raised_model_version_is_the_consequence(new: Any, version: int, *, is_safe: bool) -> None:
    """Whatever needs a migration is safe only with a higher model version."""
    comparison = compare(describe(workflow(Point)), workflow(new, model_version=version))

    assert comparison.is_safe is is_safe
    assert comparison.is_current is (new is Point and version == 1)


def test_model_version_does_not_go_back() -> None:
    """Code with a lower model version than what was written down would refuse what is stored."""
    assert not compare(describe(workflow(Point, model_version=2)), workflow(Point)).is_safe


def test_other_definition_is_refused() -> None:
    """Schemas of another definition, or of no definition at all, cannot be compared."""

    class Other(Workflow[Point, Open], name="other"):
        """Something else."""

    with pytest.raises(DefinitionError, match="the schemas of 'other', not of 'thing'"):
        compare(describe(Other), workflow(Point))
    with pytest.raises(DefinitionError, match="no schemas of a workflow"):
        compare({"openapi": "3.1.0"}, workflow(Point))


# --- against Pydantic itself ---------------------------------------------------------------------------------------

FIELD_TYPES: Sequence[Any] = (
    *SAME.values(),
    *(old for old, _ in WIDER.values()),
    *(new for _, new in WIDER.values()),
    *(old for old, _, _ in NARROWER.values()),
    *(new for _, new, _ in NARROWER.values()),
)
VALUES: Sequence[Any] = (
    *(0, 1, 7, -1, 1.5, "a", "b", "c", "long", "1.10", True, None, [], [1], [1, 2], [1, 1], [1, "a"], ["a"], [None]),
    *(
        {},
        {"k": 1},
        {"k": "v"},
        {"1": {"x": 1, "y": 2}},
        {"x": 1, "y": 2},
        {"x": 1, "y": 2, "z": 3},
        [{"x": 1, "y": 2}],
    ),
    *({"kind": "cat"}, {"kind": "dog", "bark": "wuff"}, {"name": "T"}, {"number": 1}, '{"x":1,"y":2}'),
    *({"value": 1, "below": [{"value": 2, "below": []}]}, "2026-03-01", "2026-03-01T10:00:00Z", "0a" * 16),
)


@pytest.mark.slow
def test_what_is_called_safe_loads() -> None:
    """If no change needs a migration, then everything that the old class wrote loads with the new one."""
    workflows = [workflow(with_field(type_)) for type_ in FIELD_TYPES]
    described = [(describe(each), each._definition.states.by_name["State"]) for each in workflows]
    safe = 0
    for number, (written, schema) in enumerate(described):
        texts = list(_accepted(schema))
        for other, (_, newer) in enumerate(described):
            if not compare(written, workflows[other]).needs_migration:
                safe += number != other
                for text in texts:
                    newer.load(text)

    assert safe > len(FIELD_TYPES)  # the comparison is not merely afraid of everything


def _accepted(schema: Any) -> Iterator[str]:
    """Yield what a class writes of the values that it takes."""
    for value in VALUES:
        try:
            loaded = schema.load(json.dumps({"f": value}))
        except ValidationError:
            continue
        yield schema.accept(loaded)[0]
