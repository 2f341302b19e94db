"""What a workflow may declare, and what is refused at the class statement."""

from __future__ import annotations

import dataclasses
import enum
import types
from typing import Any, Generic, NamedTuple, Never, Protocol, TypedDict, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, RootModel

from statewright import DefinitionError, DomainError, Workflow
from tests.model.orders import AddItem, Cancelled, Draft, EmptyOrder, ItemAdded, Open, Order, Placed

T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    value: T


class IntBox(Box[int]): ...


@dataclasses.dataclass
class Crate(Generic[T]):
    value: T


@dataclasses.dataclass(frozen=True, slots=True)
class Parcel:
    weight: int


class Loose(TypedDict):
    weight: int


class Point(NamedTuple):
    x: int


class Shape(Protocol):
    x: int


class Colour(enum.Enum):
    RED = "red"


class Lines(RootModel[list[str]]): ...


class SpecialDraft(Draft): ...


class SpecialOpen(Open): ...


class SpecialEmpty(EmptyOrder): ...


def define(
    states: Any = Draft, commands: Any = Open, events: Any = Never, errors: Any = Never, **keywords: Any
) -> type[Workflow[Any, Any, Any, Any]]:
    keywords.setdefault("name", "thing")

    class Thing(Workflow[states, commands, events, errors], **keywords): ...

    return Thing


# --- what it reads -------------------------------------------------------------------------------------------------


def test_members_are_read_by_stored_name() -> None:
    """Each kind is a read-only mapping from stored name to class, in the order of declaration."""
    assert dict(Order.states) == {"Draft": Draft, "Placed": Placed, "Cancelled": Cancelled}
    assert list(Order.commands) == ["Open", "AddItem", "Place", "Cancel"]
    assert list(Order.events) == ["ItemAdded", "OrderPlaced"]
    assert list(Order.errors) == ["EmptyOrder", "TooMany"]
    assert (Order.name, Order.model_version) == ("order", 1)


@pytest.mark.parametrize("kind", ["states", "commands", "events", "errors"])
def test_the_mappings_cannot_be_changed(kind: str) -> None:
    """A definition is fixed at its class statement."""
    with pytest.raises(TypeError):
        getattr(Order, kind)["Other"] = int


def test_events_and_errors_default_to_none_at_all() -> None:
    """Two parameters are enough."""

    class Small(Workflow[Draft, Open], name="small"): ...

    assert (dict(Small.events), dict(Small.errors)) == ({}, {})


def test_a_stored_name_replaces_the_class_name_of_every_kind() -> None:
    """`stored_names` names states, commands, events and errors alike."""
    names = {Draft: "Begun", AddItem: "Add", ItemAdded: "Added", EmptyOrder: "Empty"}

    thing = define(Draft | Placed, AddItem | Open, ItemAdded, EmptyOrder, stored_names=names, model_version=3)

    assert dict(thing.states) == {"Begun": Draft, "Placed": Placed}
    assert dict(thing.commands) == {"Add": AddItem, "Open": Open}
    assert dict(thing.events) == {"Added": ItemAdded}
    assert dict(thing.errors) == {"Empty": EmptyOrder}
    assert thing.model_version == 3


def test_two_kinds_may_share_a_name() -> None:
    """Names are unique within a kind only, and one class may be of several kinds."""
    thing = define(Draft, Open, Open, stored_names={Draft: "Open"})

    assert dict(thing.states) == {"Open": Draft}
    assert dict(thing.events) == {"Open": Open}


def test_parameters_may_be_text() -> None:
    """Forward references are found in the module and among the locals of the class statement."""

    class Local(BaseModel): ...

    class Thing(Workflow["Draft | Local", "Open"], name="thing"): ...

    assert list(Thing.states.values()) == [Draft, Local]


@pytest.mark.parametrize("member", [Parcel, IntBox, Lines, Point], ids=lambda each: each.__name__)
def test_every_class_with_a_schema_may_be_declared(member: Any) -> None:
    """Dataclasses, root models, named tuples and models that fill in a generic one are classes like others."""
    assert list(define(member, member, member).states.values()) == [member]


def test_commands_and_events_may_subclass_each_other() -> None:
    """Only states may not: a command or event belongs to its exact class."""
    thing = define(Draft, Open | SpecialOpen, Open | SpecialOpen)

    assert len(thing.commands) == len(thing.events) == 2


def test_two_workflows_may_declare_one_error_under_two_names() -> None:
    """A stored name belongs to the workflow, not to the class."""

    class Full(DomainError): ...

    one, other = (define(errors=Full, stored_names={Full: name}) for name in ("Brimful", "Stuffed"))

    assert dict(one.errors) == {"Brimful": Full}
    assert dict(other.errors) == {"Stuffed": Full}


# --- what it refuses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "Order", "1order", "-order", "or der", "order\n", "ordér", "a_b", None, 7])
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    """A name is lower-case letters, digits and hyphens, beginning with a letter."""
    with pytest.raises(DefinitionError, match="name"):
        define(name=name)


def test_a_name_is_required() -> None:
    """Without a name there is nothing to store under."""
    with pytest.raises(DefinitionError, match="Nameless"):

        class Nameless(Workflow[Draft, Open]): ...


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.0, None])
def test_a_model_version_counts_from_one(version: Any) -> None:
    """Anything but an integer from 1 is refused."""
    with pytest.raises(DefinitionError, match="model_version"):
        define(model_version=version)


def test_an_unknown_keyword_is_refused() -> None:
    """A misspelt class keyword is named."""
    with pytest.raises(DefinitionError, match="model_versoin"):
        define(model_versoin=2)


def test_bare_workflow_is_refused() -> None:
    """A subclass says what it may be."""
    with pytest.raises(DefinitionError, match="Bare"):

        class Bare(Workflow, name="bare"): ...


MEMBERS = [
    ("generic", Box, "generic"),
    ("argument filled in", Box[int], "generic"),
    ("generic dataclass", Crate, "generic"),
    ("filled in dataclass", Crate[int], "Crate"),
    ("typed dict", Loose, "TypedDict"),
    ("error", EmptyOrder, "EmptyOrder"),
    ("instance", Parcel(1), "Parcel"),
    ("None", None, "None"),
    ("list", list[int], "list"),
    ("any", Any, "Any"),
    ("protocol", Shape, "Shape"),
    ("union with None", Draft | None, "None"),
]


@pytest.mark.parametrize("kind", ["states", "commands", "events"])
@pytest.mark.parametrize(("member", "named"), [each[1:] for each in MEMBERS], ids=[each[0] for each in MEMBERS])
def test_a_member_that_is_no_class_with_a_schema_is_refused(kind: str, member: Any, named: str) -> None:
    """The error names the workflow, the kind and what was found."""
    with pytest.raises(DefinitionError, match=named) as caught:
        define(**{kind: member})

    assert "thing" in str(caught.value)
    assert kind[:-1] in str(caught.value)


@pytest.mark.parametrize("member", [DomainError, ValueError, Draft, None, int | EmptyOrder, "EmptyOrder | Draft"])
def test_an_error_that_is_no_domain_error_is_refused(member: Any) -> None:
    """Errors are subclasses of DomainError, and not DomainError itself."""
    with pytest.raises(DefinitionError, match="'thing'"):
        define(errors=member)


def test_no_state_is_refused() -> None:
    """A workflow is always in some state."""
    with pytest.raises(DefinitionError, match="no state"):
        define(states=Never)


def test_a_state_that_subclasses_a_state_is_refused() -> None:
    """A value belongs to one state, whichever of the two is declared first."""
    with pytest.raises(DefinitionError, match=r"SpecialDraft.*subclasses.*Draft"):
        define(Draft | SpecialDraft)
    with pytest.raises(DefinitionError, match=r"SpecialDraft.*subclasses.*Draft"):
        define(SpecialDraft | Draft)


@pytest.mark.parametrize(
    ("kind", "members", "names"),
    [
        ("states", Draft | Placed, {Draft: "Placed"}),
        ("states", Draft | Placed, {Draft: "X", Placed: "X"}),
        ("commands", Open | AddItem, {AddItem: "Open"}),
        ("events", Open | ItemAdded, {Open: "ItemAdded"}),
        ("errors", EmptyOrder | SpecialEmpty, {SpecialEmpty: "EmptyOrder"}),
    ],
)
def test_two_members_of_one_kind_with_one_name_are_refused(kind: str, members: Any, names: dict[type, str]) -> None:
    """A stored name stands for one class of a kind; the error names it."""
    with pytest.raises(DefinitionError, match="share the stored name"):
        define(**{kind: members}, stored_names=names)


def test_two_classes_of_one_name_are_refused() -> None:
    """Classes of the same name from two modules need a stored name."""
    with pytest.raises(DefinitionError, match="share the stored name 'Draft'"):
        define(Draft | type("Draft", (BaseModel,), {}))


def test_a_stored_name_for_a_stranger_is_refused() -> None:
    """A key of `stored_names` is a member."""
    with pytest.raises(DefinitionError, match="Placed"):
        define(Draft, stored_names={Placed: "Submitted"})


@pytest.mark.parametrize("name", ["", " ", 7, None, "a\0b", "a/b", "a\ud800"])
def test_a_stored_name_that_is_none_is_refused(name: Any) -> None:
    """A stored name is text that every store and every path keeps."""
    with pytest.raises(DefinitionError, match="stored name"):
        define(Draft, stored_names={Draft: name})


@pytest.mark.parametrize("names", [["Draft"], "Draft", 7])
def test_stored_names_are_a_mapping(names: Any) -> None:
    """Anything else is refused as what it is."""
    with pytest.raises(DefinitionError, match="stored_names"):
        define(Draft, stored_names=names)


@pytest.mark.parametrize("text", ["Nowhere", "Draft.Inner", "1 + None"])
def test_text_that_cannot_be_resolved_is_refused(text: str) -> None:
    """Whatever goes wrong with a forward reference is a DefinitionError."""
    with pytest.raises(DefinitionError, match="'thing'"):
        define(states=text)


def test_a_class_that_pydantic_cannot_describe_is_refused() -> None:
    """The error names the class."""

    class Plain: ...

    with pytest.raises(DefinitionError, match="Plain"):
        define(states=Plain)


@pytest.mark.parametrize("name", ["name", "states", "id", "state", "data", "version", "to_snapshot", "_take", "create"])
def test_an_own_attribute_does_not_hide_one_of_ours(name: str) -> None:
    """A method or property that would replace what everybody relies on is refused by name."""
    own = property(lambda self: 1)

    with pytest.raises(DefinitionError, match=name):
        types.new_class("Thing", (Workflow[Draft, Open],), {"name": "thing"}, lambda body: body.update({name: own}))


def test_own_attributes_are_welcome() -> None:
    """Methods, properties and class attributes of the user's own are just that."""

    class Cart(Workflow[Draft, Open], name="cart"):
        limit = 3

        @property
        def count(self) -> int:
            return len(self.data.items)

        def has_room(self) -> bool:
            return self.count < self.limit

    cart = Cart.create("c-1", Draft(items=["tea"]))

    assert cart.count == 1
    assert cart.has_room()


def test_a_model_that_hides_its_generic_argument_is_described() -> None:
    """A field may be generic, and a model may have any configuration that survives."""

    class Shelf(BaseModel):
        model_config = ConfigDict(frozen=True)
        box: Box[int]

    assert define(Shelf).create("s", Shelf(box=Box(value=1))).to_snapshot().data == {"box": {"value": 1}}
