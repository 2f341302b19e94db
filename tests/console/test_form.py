"""`form`: from JSON Schemas to fields."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, HttpUrl, SecretStr

from statewright.console.form import form_of


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    """Where it goes."""

    street: str
    floor: int | None = None


class Node(BaseModel):
    name: str
    children: list[Node] = []


class Card(BaseModel):
    kind: Literal["card"] = "card"
    number: str


class Cash(BaseModel):
    kind: Literal["cash"] = "cash"
    given: Decimal


def fields(**annotations: Any) -> dict[str, dict[str, Any]]:
    """Return the fields of a model with these annotations, by name."""
    model = type("Command", (BaseModel,), {"__annotations__": annotations, "__module__": __name__})
    form = form_of(model.model_json_schema())
    assert form["kind"] == "group"
    return {each["name"]: each for each in form["fields"]}


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (str, "text"),
        (int, "integer"),
        (float, "number"),
        (Decimal, "decimal"),
        (bool, "boolean"),
        (date, "date"),
        (datetime, "moment"),
        (time, "time"),
        (timedelta, "text"),
        (UUID, "text"),
        (HttpUrl, "address"),
        (SecretStr, "secret"),
        (Colour, "choice"),
        (Literal["a", "b"], "choice"),
        (Literal["a"], "constant"),
        (Address, "group"),
        (list[int], "list"),
        (list[Address], "list"),
        (Card | Cash, "variant"),
        (Annotated[Card | Cash, Field(discriminator="kind")], "variant"),
        (tuple[int, str], "json"),
        (dict[str, int], "json"),
        (int | list[int], "json"),
        (Any, "json"),
    ],
    ids=str,
)
def test_each_type_has_its_control(annotation: Any, kind: str) -> None:
    """A field's control follows from its type; what no control fits is asked for as JSON."""
    assert fields(it=annotation)["it"]["kind"] == kind


def test_optional_field_keeps_its_control() -> None:
    """`X | None` is asked for as X, and may be left empty."""
    it = fields(it=Decimal | None)["it"]

    assert (it["kind"], it["nullable"], it["required"]) == ("decimal", True, True)


def test_words_limits_and_defaults_are_taken_over() -> None:
    """A field says what it is called, what is meant, what may be given, and what stands there if nothing is."""

    class Command(BaseModel):
        unit_price: Decimal = Field(ge=0)
        how_many: int = Field(default=1, ge=1, le=9, title="Pieces", description="Per\nparcel.")

    price, pieces = form_of(Command.model_json_schema())["fields"]

    assert (price["label"], price["required"], price["minimum"]) == ("Unit price", True, 0)
    assert pieces == {
        "name": "how_many",
        "label": "Pieces",
        "hint": "Per parcel.",
        "default": 1,
        "minimum": 1,
        "maximum": 9,
        "kind": "integer",
        "required": False,
    }


def test_group_within_a_list() -> None:
    """Models within lists have their own fields, and the hint of their class."""
    it = fields(it=list[Address])["it"]

    assert it["item"]["kind"] == "group"
    assert it["item"]["hint"] == "Where it goes."
    assert [(each["name"], each["kind"], each.get("nullable")) for each in it["item"]["fields"]] == [
        ("street", "text", None),
        ("floor", "integer", True),
    ]


def test_variants_are_named_after_their_classes() -> None:
    """A union of models is a choice between them; what tells them apart is not asked for."""
    it = fields(it=Card | Cash)["it"]

    assert [each["label"] for each in it["variants"]] == ["Card", "Cash"]
    assert it["variants"][0]["fields"][0]["kind"] == "constant"


def test_circle_ends_in_json() -> None:
    """A schema that contains itself gives a form that ends."""
    form: dict[str, Any] = form_of(Node.model_json_schema())
    kinds = []
    while form.get("kind") in ("group", "list"):
        kinds.append(form["kind"])
        form = form["item"] if form["kind"] == "list" else form["fields"][-1]

    assert form["kind"] == "json"
    assert 2 <= len(kinds) <= 8


@pytest.mark.parametrize("schema", [{}, {"type": ["string", "null"]}, {"$ref": "#/$defs/None"}, {"$ref": "#"}])
def test_strange_schemas_are_asked_for_as_json(schema: dict[str, Any]) -> None:
    """What the reader of schemas does not know, the reader of the page writes as JSON."""
    assert form_of(schema)["kind"] == "json"
