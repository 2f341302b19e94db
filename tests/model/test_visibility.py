from __future__ import annotations

import dataclasses
import enum
import json
import logging
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypeAlias, TypeVar

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    RootModel,
    SerializeAsAny,
    ValidationInfo,
    computed_field,
    create_model,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType, TypedDict

from statewright import (
    DomainError,
    InvalidDataError,
    MemoryStore,
    RecordedMessage,
    RestoreError,
    ServerOnly,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
    WorkflowSnapshot,
)
from statewright._model.schema import Schema
from statewright._model.visibility import client_commit, client_event, client_message, client_schema, client_view

SECRET = "078-05-1120"
Hidden: TypeAlias = Annotated[str, ServerOnly]
Alias = TypeAliasType("Alias", Annotated[str, ServerOnly])
T = TypeVar("T")


class Person(BaseModel):
    name: str = "Ann"
    ssn: Annotated[str, ServerOnly] = SECRET


class Colour(enum.Enum):
    RED = "red"


class Address(TypedDict):
    town: str
    door: NotRequired[Annotated[str, ServerOnly]]


@dataclasses.dataclass
class Account:
    iban: Annotated[str, ServerOnly]
    owner: Person | None = None
    bank: str = "Bank"


class Pair(NamedTuple):
    left: int
    right: Annotated[str, ServerOnly]


class People(RootModel[list[Person]]):
    pass


class Whole(RootModel[Annotated[str, ServerOnly]]):
    pass


class Box(BaseModel, Generic[T]):
    seen: T
    hidden: Annotated[T, ServerOnly]


class Node(BaseModel):
    ssn: Annotated[str, ServerOnly] = SECRET
    next: Node | None = None
    many: list[Node] = []


class Child(Person):
    school: str = "School"


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    chip: Annotated[str, ServerOnly] = SECRET


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    bark: str = "wuff"


class Later(BaseModel):
    person: Unborn


class Unborn(BaseModel):
    name: str = "Bob"
    ssn: Annotated[str, ServerOnly] = SECRET


def schema_of(*types: Any, **fields: Any) -> Schema:
    """Return the schema of a class with one field, or with the fields given."""
    model: Any = create_model("State", **({"f": (types[0], ...)} if types else fields))
    return Schema("order", "state", model, "State")


def seen(type_: Any, value: Any) -> Any:
    """Return what a client sees of a field of this type."""
    schema = schema_of(type_)
    text = json.dumps({"f": value})
    assert SECRET in schema.accept(schema.load(text))[0]  # stores keep everything
    view = client_view(schema, text)
    assert SECRET not in json.dumps(view)
    return view.get("f", "<hidden>")


ANN = {"name": "Ann", "ssn": SECRET}
OPEN = {"name": "Ann"}


CASES: dict[str, tuple[Any, Any, Any]] = {
    "annotated class": (Annotated[str, ServerOnly], SECRET, "<hidden>"),
    "annotated instance": (Annotated[str, ServerOnly()], SECRET, "<hidden>"),
    "alias of a type": (Hidden, SECRET, "<hidden>"),
    "type statement": (Alias, SECRET, "<hidden>"),
    "optional inside": (Annotated[str | None, ServerOnly], SECRET, "<hidden>"),
    "optional outside": (Annotated[str, ServerOnly] | None, SECRET, "<hidden>"),
    "before a Field": (Annotated[str, ServerOnly, Field(min_length=1)], SECRET, "<hidden>"),
    "after a Field": (Annotated[str, Field(min_length=1), ServerOnly], SECRET, "<hidden>"),
    "before a validator": (Annotated[str, ServerOnly, AfterValidator(str)], SECRET, "<hidden>"),
    "after a validator": (Annotated[str, BeforeValidator(str), ServerOnly], SECRET, "<hidden>"),
    "items of a list": (list[Annotated[str, ServerOnly]], [SECRET], "<hidden>"),
    "keys of a dict": (dict[Annotated[str, ServerOnly], int], {SECRET: 1}, "<hidden>"),
    "item of a tuple": (tuple[int, Annotated[str, ServerOnly]], [1, SECRET], "<hidden>"),
    "whole model": (Annotated[Person, ServerOnly], ANN, "<hidden>"),
    "list of models, hidden": (Annotated[list[Person], ServerOnly], [ANN], "<hidden>"),
    "named tuple": (Pair, [1, SECRET], "<hidden>"),
    "root model of a mark": (Whole, SECRET, "<hidden>"),
    "list of such": (list[Whole], [SECRET], "<hidden>"),
    "model": (Person, ANN, OPEN),
    "optional model": (Person | None, ANN, OPEN),
    "model or int": (Person | int, ANN, OPEN),
    "int or model": (int | Person | Dog, ANN, OPEN),
    "list": (list[Person], [ANN, ANN], [OPEN, OPEN]),
    "sequence": (Sequence[Person], [ANN], [OPEN]),
    "tuple of many": (tuple[Person, ...], [ANN], [OPEN]),
    "tuple": (tuple[int, Person], [1, ANN], [1, OPEN]),
    "dict": (dict[str, Person], {"a": ANN}, {"a": OPEN}),
    "dict by int": (dict[int, Person], {"1": ANN}, {"1": OPEN}),
    "dict by enum": (dict[Colour, list[Person]], {"red": [ANN]}, {"red": [OPEN]}),
    "dict of dicts": (dict[str, dict[str, Person | None]], {"a": {"b": ANN, "c": None}}, {"a": {"b": OPEN, "c": None}}),
    "subclass": (Child, {**ANN, "school": "X"}, {"name": "Ann", "school": "X"}),
    "dataclass": (Account, {"iban": SECRET, "owner": ANN, "bank": "B"}, {"owner": OPEN, "bank": "B"}),
    "TypedDict": (Address, {"town": "X", "door": SECRET}, {"town": "X"}),
    "root model of a list": (People, [ANN], [OPEN]),
    "root model of a dict": (RootModel[dict[str, Person]], {"a": ANN}, {"a": OPEN}),
    "generic": (Box[str], {"seen": "x", "hidden": SECRET}, {"seen": "x"}),
    "generic of a model": (Box[Person], {"seen": ANN, "hidden": ANN}, {"seen": OPEN}),
    "union of generics": (Box[Annotated[int, Field(ge=0)]] | Person, ANN, OPEN),
    "recursive": (
        Node,
        {"ssn": SECRET, "next": {"ssn": SECRET, "next": None, "many": []}, "many": []},
        {"next": {"next": None, "many": []}, "many": []},
    ),
    "forward reference": (Later, {"person": {"name": "Bob", "ssn": SECRET}}, {"person": {"name": "Bob"}}),
    "tagged union": (
        Annotated[Cat | Dog, Field(discriminator="kind")],
        {"kind": "cat", "chip": SECRET},
        {"kind": "cat"},
    ),
    "SerializeAsAny": (SerializeAsAny[Person], ANN, OPEN),
    "type statement of a model": (TypeAliasType("Ann", Person), ANN, OPEN),
    "JSON in JSON": (Json[Person], json.dumps(ANN), '{"name":"Ann"}'),
}


@pytest.mark.parametrize("case", CASES)
def test_mark_is_found_wherever_it_is(case: str) -> None:
    """A mark hides the nearest field around it, at whatever depth and in whatever kind of type."""
    type_, stored, client = CASES[case]

    assert seen(type_, stored) == client


def test_sets_of_records() -> None:
    """Members of a set lose their hidden fields like those of a list."""

    class Badge(BaseModel):
        model_config = ConfigDict(frozen=True)
        number: int
        pin: Annotated[str, ServerOnly]

    assert seen(frozenset[Badge], [{"number": 1, "pin": SECRET}]) == [{"number": 1}]


def test_aliases() -> None:
    """A hidden field is hidden under its alias, and a field beside it is shown under its own."""
    schema = schema_of(
        ssn=(Annotated[str, ServerOnly, Field(alias="socialNumber")], ...), name=(str, Field(alias="fullName"))
    )

    assert client_view(schema, json.dumps({"socialNumber": SECRET, "fullName": "Ann"})) == {"fullName": "Ann"}
    assert list(client_schema(schema)["properties"]) == ["fullName"]


def test_hidden_extras() -> None:
    """Extra values of a hidden type are left out; open ones are shown."""

    class Hiding(BaseModel):
        model_config = ConfigDict(extra="allow")
        __pydantic_extra__: dict[str, Annotated[str, ServerOnly]] = Field(init=False)
        name: str

    class Showing(BaseModel):
        model_config = ConfigDict(extra="allow")
        name: str
        ssn: Annotated[str, ServerOnly]

    hiding, showing = (Schema("order", "state", each, each.__name__) for each in (Hiding, Showing))

    assert client_view(hiding, json.dumps({"name": "Ann", "more": SECRET})) == {"name": "Ann"}
    assert client_view(showing, json.dumps({"name": "Ann", "more": 1, "ssn": SECRET})) == {"name": "Ann", "more": 1}


def test_class_of_which_nothing_is_open() -> None:
    """A class that is hidden as a whole is `null` to clients."""
    schema = Schema("order", "state", Whole, "Whole")

    assert client_view(schema, json.dumps(SECRET)) is None
    assert client_schema(schema) == {"type": "null"}


def test_class_without_marks_is_shown_as_it_is_stored() -> None:
    """Where nothing is marked, clients see the stored form."""
    schema = schema_of(price=(Decimal, ...), items=(list[str], []))

    assert client_view(schema, '{"price":"1.10","items":["tea"]}') == {"price": "1.10", "items": ["tea"]}


# --- serializers of the user's own ---------------------------------------------------------------------------------


class Telling(BaseModel):
    name: str = "Ann"
    ssn: Annotated[str, ServerOnly] = SECRET

    @model_serializer(mode="wrap")
    def tell(self, handler: Any) -> dict[str, Any]:
        return {**handler(self), "ssn": self.ssn}


@pytest.mark.parametrize(
    "type_",
    [
        Telling,
        Annotated[Person, PlainSerializer(lambda person: {"name": person.name, "ssn": person.ssn})],
        list[Annotated[Person, PlainSerializer(lambda person: {"name": person.name, "ssn": person.ssn})]],
    ],
    ids=["of the class", "of a field", "of items"],
)
def test_serializer_of_a_class_with_hidden_fields_is_passed_over(type_: Any) -> None:
    """A serializer that could write hidden fields does not run for clients: the fields are shown one by one."""
    many = getattr(type_, "__origin__", None) is list

    assert seen(type_, [ANN] if many else ANN) == ([OPEN] if many else OPEN)


def test_serializer_of_an_open_field_runs() -> None:
    """A serializer of something without hidden fields is used for clients, too."""
    cents = Annotated[Decimal, PlainSerializer(lambda price: f"{price:.2f}")]
    schema = schema_of(price=(cents, ...), ssn=(Hidden, ...))

    assert client_view(schema, json.dumps({"price": "1.1", "ssn": SECRET})) == {"price": "1.10"}


def test_computed_fields_are_not_shown() -> None:
    """What is computed is not stored, and may be computed from hidden fields."""

    class Computing(Person):
        @computed_field
        @property
        def last_digits(self) -> str:
            return self.ssn

    schema = Schema("order", "state", Computing, "Computing")

    assert client_view(schema, json.dumps(ANN)) == OPEN
    assert "last_digits" not in client_schema(schema)["properties"]


# --- JSON Schemas --------------------------------------------------------------------------------------------------


def test_client_schema_has_no_hidden_field() -> None:
    """Hidden properties, their being required, and definitions that only they used are left out."""
    schema = schema_of(
        name=(str, ...), ssn=(Hidden, ...), account=(Annotated[Account, ServerOnly], ...), friend=(Person, ...)
    )

    found = client_schema(schema)

    assert list(found["properties"]) == ["name", "friend"]
    assert found["required"] == ["name", "friend"]
    assert list(found["$defs"]) == ["Person"]
    assert found["$defs"]["Person"]["properties"].keys() == {"name"}
    assert not {"ssn", "iban"} & set(json.dumps(found).replace('"', " ").split())


def test_client_schema_of_recursive_classes() -> None:
    """A class that contains itself is described without its hidden field."""
    found = client_schema(schema_of(Node))

    assert found["$defs"]["Node"]["properties"].keys() == {"next", "many"}


def test_schemas_quote_no_hidden_value() -> None:
    """Neither defaults nor examples in a schema give away what a field of theirs hides."""

    class Quoting(BaseModel):
        model_config = ConfigDict(json_schema_extra={"examples": [{"owner": ANN}]})
        owner: Person = Field(default=Person(), examples=[ANN])
        pin: Annotated[str, ServerOnly, Field(examples=[SECRET])] = SECRET
        colour: str = "red"

    schema = Schema("order", "command", Quoting, "Quoting")

    for found in (client_schema(schema), schema.json_schema):
        assert SECRET not in json.dumps(found)
        assert found["properties"]["colour"]["default"] == "red"
    assert "pin" in schema.json_schema["properties"]  # a client may send it


def test_hidden_discriminator() -> None:
    """A union that is told apart by a hidden field is described as a plain one."""

    class A(BaseModel):
        kind: Annotated[Literal["a"], ServerOnly] = "a"
        x: int = 1

    class B(BaseModel):
        kind: Annotated[Literal["b"], ServerOnly] = "b"

    schema = schema_of(Annotated[A | B, Field(discriminator="kind")])

    assert client_view(schema, '{"f":{"kind":"a","x":2}}') == {"f": {"x": 2}}
    assert "discriminator" not in json.dumps(client_schema(schema))


def test_open_schema_is_whole() -> None:
    """Where nothing is hidden, the client's schema names every field, with its default."""
    found = client_schema(schema_of(name=(str, "Ann"), tags=(list[str], [])))

    assert found["properties"]["name"]["default"] == "Ann"
    assert found["properties"]["tags"]["default"] == []


# --- a whole workflow ----------------------------------------------------------------------------------------------


def refuse(value: str) -> str:
    if value.endswith("!"):
        raise ValueError(f"{value} is not allowed")
    return value


Strict: TypeAlias = Annotated[str, AfterValidator(refuse), ServerOnly]


class Draft(BaseModel):
    title: str = "Draft"
    customer: Person = Person()


class Done(BaseModel):
    title: str
    secret: Strict = SECRET
    codes: Annotated[dict[str, int], ServerOnly] = {}


class Begin(BaseModel):
    pass


class Finish(BaseModel):
    title: str = "Done"
    secret: Strict
    codes: Annotated[dict[str, int], ServerOnly] = {}


class Refuse(BaseModel):
    pass


class Finished(BaseModel):
    title: str
    secret: Strict


class Refused(DomainError):
    reason: str
    secret: Strict
    customer: Person = Person()

    def __str__(self) -> str:
        return f"{self.reason}: {self.secret}"


class Plain(DomainError):
    reason: str = "no"
    secret: Strict = SECRET
    customer: Person = Person()


class Deal(Workflow[Draft | Done, Begin | Finish | Refuse, Finished, Refused | Plain], name="deal"):
    """A deal with secrets."""


router = WorkflowRouter(Deal)


@router.on
def begin(_: None, command: Begin) -> Draft:
    return Draft()


@router.on
def finish(deal: Draft, command: Finish, ctx: Any) -> Done:
    ctx.emit(Finished(title=command.title, secret=command.secret))
    return Done(title=command.title, secret=command.secret, codes=command.codes)


@router.on
def refuse_it(deal: Draft, command: Refuse) -> Draft:
    raise Refused(reason="no", secret=SECRET)


async def finished() -> tuple[WorkflowExecutor[Deal], Any]:
    deals = WorkflowExecutor(router, MemoryStore())
    await deals.execute("d-1", Begin())
    return deals, (await deals.execute("d-1", Finish(secret=SECRET, codes={SECRET: 1}), idempotency_key="k")).unwrap()


async def test_to_client_and_client_schemas() -> None:
    """A workflow gives itself to clients without what is hidden, and its schemas describe that."""
    _, success = await finished()

    assert success.workflow.to_client() == {
        "id": "d-1",
        "definition": "deal",
        "state": "Done",
        "version": 2,
        "data": {"title": "Done"},
    }
    schemas = Deal.client_schemas()
    assert schemas["Done"]["properties"].keys() == {"title"}
    assert schemas["Draft"]["$defs"]["Person"]["properties"].keys() == {"name"}


async def test_stored_and_seen_by_handlers() -> None:
    """What is hidden from clients is stored, and there for handlers."""
    deals, success = await finished()

    stored = await deals.store.load("d-1")
    assert stored is not None
    assert stored.snapshot.data == {"title": "Done", "secret": SECRET, "codes": {SECRET: 1}}
    assert success.workflow.data.secret == SECRET
    assert success.events == (Finished(title="Done", secret=SECRET),)


async def test_commits_for_clients() -> None:
    """Commands and events of a commit are shown without their hidden fields."""
    deals, success = await finished()
    definition = Deal._definition

    [_, commit] = await deals.history("d-1")
    view = client_commit(definition, commit)

    assert view["command"] == {"type": "Finish", "data": {"title": "Done"}}
    assert view["events"] == [{"type": "Finished", "data": {"title": "Done"}}]
    assert (view["workflow_id"], view["version"], view["state"]) == ("d-1", 2, "Done")
    assert client_event(definition, success.events[0]) == view["events"][0]
    assert SECRET not in json.dumps(view)


@pytest.mark.parametrize(
    "message",
    [RecordedMessage("Gone", {"secret": SECRET}), RecordedMessage("Finished", {"secrt": SECRET})],
    ids=["unknown", "of another form"],
)
def test_message_that_no_longer_decodes_is_hidden_as_a_whole(message: RecordedMessage) -> None:
    """Nobody can tell which fields of an unknown message were hidden, so that none of them is shown."""
    definition = Deal._definition

    assert client_message(definition.events, message) == {"type": message.type, "data": None}
    assert client_event(definition, message) == {"type": message.type, "data": None}


async def test_reprs_quote_nothing() -> None:
    """Results, workflows, snapshots, commits and errors may be logged as they are."""
    deals, success = await finished()
    refusal = await WorkflowExecutor(router, MemoryStore()).execute("d-1", Begin())
    stored = await deals.store.load("d-1")
    commits = await deals.history("d-1")
    recorded = await deals.store.recall("d-1", "k")
    raw = await deals.store.history("d-1")

    shown = repr([success, refusal, stored, stored.snapshot, commits, recorded, raw, success.workflow])

    assert SECRET not in shown
    assert "events=[Finished]" in shown


async def test_refusal_for_clients() -> None:
    """A domain error's dictionary is a client's view, even if its `__str__` says more."""
    deals = WorkflowExecutor(router, MemoryStore())
    await deals.execute("d-1", Begin())

    error = (await deals.execute("d-1", Refuse())).error

    assert error.to_dict() == {
        "category": "domain",
        "code": "Refused",
        "message": "Refused(reason='no', customer={'name': 'Ann'})",
        "data": {"reason": "no", "customer": {"name": "Ann"}},
    }
    assert error.secret == SECRET
    assert error.data["secret"] == SECRET
    assert SECRET not in repr(error)


def test_refusal_in_words() -> None:
    """The text of a domain error names the fields that are open, and shows the others without what they hide."""
    error = Plain()

    assert str(error) == "Plain(reason='no', customer={'name': 'Ann'})"
    error.customer = Person(name="Bob")
    assert str(error) == "Plain(reason='no', customer={'name': 'Bob'})"
    error.customer = SECRET  # no longer of its own type: nobody can tell what of it may be shown
    assert str(error) == "Plain(reason='no', customer=...)"
    assert error.to_dict()["data"] == {"reason": "no"}


# --- error texts ---------------------------------------------------------------------------------------------------


def texts_of(error: Any) -> str:
    return " ".join([str(error), repr(error), json.dumps(error.to_dict()), repr(error.issues)])


async def test_invalid_command_quotes_nothing() -> None:
    """A validator's own words about a hidden field are not passed on; where it was, and what kind, is."""
    deals = WorkflowExecutor(router, MemoryStore())
    await deals.execute("d-1", Begin())

    error = (await deals.execute("d-1", {"type": "Finish", "payload": {"secret": SECRET + "!"}})).error

    assert isinstance(error, InvalidDataError)
    assert [(issue.path, issue.type) for issue in error.issues] == [(("secret",), "value_error")]
    assert SECRET not in texts_of(error)


async def test_keys_of_hidden_data_are_in_no_path() -> None:
    """A path ends at the hidden field: what follows would be keys of its data."""
    deals = WorkflowExecutor(router, MemoryStore())
    await deals.execute("d-1", Begin())
    payload = {"secret": "x", "codes": {SECRET: "no number"}}

    error = (await deals.execute("d-1", {"type": "Finish", "payload": payload})).error

    assert [(issue.path, issue.type) for issue in error.issues] == [(("codes",), "int_parsing")]
    assert SECRET not in texts_of(error)


async def test_what_cannot_be_stored_names_no_hidden_key() -> None:
    """A value that no store can keep is found by a path that ends at the hidden field."""
    deals = WorkflowExecutor(router, MemoryStore())
    await deals.execute("d-1", Begin())
    payload = {"secret": "a\0", "codes": {}}

    error = (await deals.execute("d-1", {"type": "Finish", "payload": payload})).error
    nested = (await deals.execute("d-1", Finish(secret="x", codes={SECRET + "\0": 1}))).error

    assert [issue.path for issue in error.issues] == [("secret",)]
    assert [issue.path[:1] for issue in nested.issues] == [("codes",)]
    assert SECRET not in texts_of(error) + texts_of(nested)


def test_restore_error_quotes_nothing() -> None:
    """What does not load is told without what it hides."""
    draft = Deal.create("d-1", Draft())
    snapshot = draft.to_snapshot().replace(state="Done", data={"title": "x", "secret": SECRET + "!"})

    with pytest.raises(RestoreError) as caught:
        Deal.from_snapshot(snapshot)

    assert [issue.path for issue in caught.value.issues] == [("secret",)]
    assert SECRET not in texts_of(caught.value)


def test_invalid_error_fields_quote_nothing() -> None:
    """A domain error that is constructed wrongly does not tell the hidden field that was wrong."""
    with pytest.raises(InvalidDataError) as caught:
        Refused(reason="no", secret=SECRET + "!")

    assert [issue.path for issue in caught.value.issues] == [("secret",)]
    assert SECRET not in texts_of(caught.value)


class Watching(BaseModel):
    ssn: Annotated[str, ServerOnly]
    name: str = ""

    @field_validator("name")
    @classmethod
    def compare(cls, name: str, info: ValidationInfo) -> str:
        if name == "bad":
            raise PydanticCustomError("like_" + info.data["ssn"], "{name} is like {ssn}", {"name": name, **info.data})
        return name

    @model_validator(mode="after")
    def whole(self) -> Watching:
        if self.name == "worse":
            raise ValueError(f"no {self.ssn} here")
        return self


@pytest.mark.parametrize("name", ["bad", "worse"])
def test_words_of_validators_near_hidden_fields(name: str) -> None:
    """A validator of an open field, or of the class, may quote a hidden one beside it: its words are withheld."""
    schema = schema_of(list[Watching])

    with pytest.raises(InvalidDataError) as caught:
        schema.receive({"f": [{"ssn": SECRET, "name": name}]})

    [issue] = caught.value.issues
    assert issue.path[:2] == ("f", 0)
    assert issue.type == "value_error"
    assert "not shown" in issue.message
    assert SECRET not in texts_of(caught.value)


def test_tag_of_a_union_is_quoted_only_where_nothing_is_hidden() -> None:
    """A message of Pydantic's own that quotes what was found is withheld where something is hidden."""

    class A(BaseModel):
        kind: Annotated[Literal["a"], ServerOnly]

    class B(BaseModel):
        kind: Annotated[Literal["b"], ServerOnly]

    with pytest.raises(InvalidDataError) as caught:
        schema_of(Annotated[A | B, Field(discriminator="kind")]).receive({"f": {"kind": SECRET}})

    assert SECRET not in texts_of(caught.value)


def test_open_classes_keep_their_validators_words() -> None:
    """Where nothing is hidden, a validator's message is passed on as it is."""
    schema = schema_of(Annotated[str, AfterValidator(refuse)])

    with pytest.raises(InvalidDataError, match="tea! is not allowed"):
        schema.receive({"f": "tea!"})


def test_pydantics_own_words_about_open_fields_are_kept() -> None:
    """A message that quotes nothing is passed on, also beside hidden fields."""
    schema = schema_of(name=(str, ...), ssn=(Hidden, ...))

    with pytest.raises(InvalidDataError, match="name: Input should be a valid string"):
        schema.receive({"name": 1, "ssn": SECRET})


def test_alias_of_a_hidden_field_is_known_in_paths() -> None:
    """The path of a problem names a field by its alias, and ends there."""
    plain = Annotated[dict[str, int], ServerOnly, Field(alias="secretCodes")]
    schema = schema_of(plain=(plain, {}), open=(dict[str, int], {}))

    with pytest.raises(InvalidDataError) as caught:
        schema.receive({"secretCodes": {SECRET: "x"}, "open": {"a": "x"}})

    assert [issue.path for issue in caught.value.issues] == [("secretCodes",), ("open", "a")]


def test_serializer_that_fails_is_not_quoted() -> None:
    """The exception of a failing serializer is kept as a cause only where nothing is hidden."""

    def failing(value: str) -> str:
        raise ValueError(f"cannot write {value}")

    broken = Annotated[str, PlainSerializer(failing)]
    hidden, shown = schema_of(Annotated[broken, ServerOnly]), schema_of(broken)

    for schema, has_cause in ((hidden, False), (shown, True)):
        value = schema.type.model_construct(f=SECRET)
        with pytest.raises(InvalidDataError) as caught:
            schema.accept(value)
        assert (caught.value.__cause__ is not None) is has_cause
        assert SECRET not in texts_of(caught.value)


async def test_logs_quote_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What the library itself logs about results and errors holds nothing hidden."""
    with caplog.at_level(logging.DEBUG):
        deals, success = await finished()
        logging.getLogger("user").info("accepted %s", success)
        refused = await deals.execute("d-1", {"type": "Finish", "payload": {"secret": SECRET + "!"}})
        logging.getLogger("user").info("refused %r", refused)

    assert SECRET not in caplog.text


def test_snapshot_is_no_client_view() -> None:
    """A snapshot holds everything, for stores; its `repr` holds no data."""
    snapshot = Deal.create("d-1", Done(title="x")).to_snapshot()

    assert isinstance(snapshot, WorkflowSnapshot)
    assert snapshot.data["secret"] == SECRET
    assert SECRET not in repr(snapshot)
