from __future__ import annotations

import dataclasses
import itertools
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, RootModel, create_model
from typing_extensions import TypeAliasType, TypedDict

from statewright import (
    DomainError,
    InvalidDataError,
    MemoryStore,
    RestoreError,
    ServerOnly,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
)
from statewright._model.visibility import client_commit, client_event

MARKER = "marker-4711"
T = TypeVar("T")
_numbers = itertools.count()


def _quoting(value: str) -> str:
    if value.endswith("!"):
        raise ValueError(f"this validator quotes {value}")
    return value


Text = Annotated[str, AfterValidator(_quoting)]


@dataclass(frozen=True)
class Shape:
    """A type, a value of it as it is stored, and that value as clients may see it."""

    type: Any
    stored: Any
    client: Any


class Box(BaseModel, Generic[T]):
    content: T


def leaves(*, hidden: bool) -> st.SearchStrategy[Shape]:
    if hidden:
        return st.sampled_from([Shape(Text, MARKER, None), Shape(dict[Text, int], {MARKER: 1}, None)])
    return st.sampled_from([Shape(Text, "open", "open"), Shape(int, 5, 5), Shape(str | None, None, None)])


@st.composite
def records(draw: st.DrawFn, inner: st.SearchStrategy[Shape]) -> Shape:
    """Draw a class with named fields, one of which at least is hidden."""
    open_fields = {f"open{next(_numbers)}": draw(inner) for _ in range(draw(st.integers(0, 2)))}
    hidden = {f"hidden{next(_numbers)}": draw(shapes(hidden=True)) for _ in range(draw(st.integers(1, 2)))}
    types = {name: shape.type for name, shape in open_fields.items()}
    for name, shape in hidden.items():
        types[name] = draw(st.sampled_from([Annotated[shape.type, ServerOnly], Annotated[shape.type, ServerOnly()]]))
    names = draw(st.permutations(list(types)))
    stored = {name: shape.stored for name, shape in (open_fields | hidden).items()}
    client = {name: shape.client for name, shape in open_fields.items()}
    return Shape(draw(kinds({name: types[name] for name in names})), stored, client)


def kinds(types: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return the ways to write down a class with these fields."""
    name = f"Record{next(_numbers)}"
    fields: Any = {each: (type_, ...) for each, type_ in types.items()}
    first = dict(itertools.islice(fields.items(), 1))
    rest = {each: field for each, field in fields.items() if each not in first}
    return st.sampled_from(
        [
            lambda: create_model(name, **fields),
            lambda: create_model(name, __base__=create_model(f"{name}Base", **first), **rest),
            lambda: dataclasses.make_dataclass(name, list(types.items())),
            lambda: TypedDict(name, types),
        ]
    ).map(lambda make: make())


def wrapped(inner: st.SearchStrategy[Shape]) -> st.SearchStrategy[Shape]:
    """Return shapes around other shapes."""
    return st.one_of(
        inner.map(lambda s: Shape(list[s.type], [s.stored, s.stored], [s.client, s.client])),
        inner.map(lambda s: Shape(dict[str, s.type], {"key": s.stored}, {"key": s.client})),
        inner.map(lambda s: Shape(dict[int, s.type], {"7": s.stored}, {"7": s.client})),
        inner.map(lambda s: Shape(tuple[int, s.type], [1, s.stored], [1, s.client])),
        inner.map(lambda s: Shape(tuple[s.type, ...], [s.stored], [s.client])),
        inner.map(lambda s: Shape(s.type | None, s.stored, s.client)),
        inner.map(lambda s: Shape(TypeAliasType(f"Alias{next(_numbers)}", s.type), s.stored, s.client)),
        inner.map(lambda s: Shape(RootModel[s.type], s.stored, s.client)),
        inner.map(lambda s: Shape(Box[s.type], {"content": s.stored}, {"content": s.client})),
    )


def shapes(*, hidden: bool = False) -> st.SearchStrategy[Shape]:
    def deeper(inner: st.SearchStrategy[Shape]) -> st.SearchStrategy[Shape]:
        return wrapped(inner) if hidden else st.one_of(wrapped(inner), records(inner))

    return st.recursive(leaves(hidden=hidden), deeper, max_leaves=4)


class Go(BaseModel):
    """Moves on."""


def texts(*found: Any) -> Iterator[str]:
    """Yield whatever can be made a text of."""
    for each in found:
        yield from (str(each), repr(each))
        if hasattr(each, "to_dict"):
            yield json.dumps(each.to_dict())
        if isinstance(each, dict | list):
            yield json.dumps(each)


def build(shape: Shape) -> tuple[Any, Any, Any, Any]:
    """Return a workflow whose state, event, error and command hold a value of this shape."""
    state: Any = create_model("State", field=(shape.type, ...))
    event: Any = create_model("Event", field=(shape.type, ...))
    start: Any = create_model("Start", field=(shape.type, ...))
    error: Any = type("Refusal", (DomainError,), {"__annotations__": {"field": shape.type}})

    class Thing(Workflow[state, start | Go, event, error], name="thing"):
        """Whatever was drawn."""

    return Thing, start, event, error


@pytest.mark.slow
@settings(max_examples=60)
@given(shape=st.one_of(records(shapes()), wrapped(records(shapes()))))
async def test_marker_is_in_no_output(shape: Shape) -> None:
    """Wherever a server-only field is, its value is in no client view, schema, error text, log or `repr`."""
    workflow, start, event, refusal = build(shape)
    state = next(iter(workflow.states.values()))
    router = WorkflowRouter(workflow)

    def begin(_: Any, command: Any, ctx: Any) -> Any:
        ctx.emit(event(field=command.field))
        return state(field=command.field)

    def refuse(thing: Any, command: Any) -> Any:
        raise refusal(field=thing.field)

    # What was drawn is known at run time only.
    begin.__annotations__ = {"_": None, "command": start, "return": state}
    refuse.__annotations__ = {"thing": state, "command": Go, "return": state}
    router.on(begin)
    router.on(refuse)
    log = _Log()
    with log:
        things = WorkflowExecutor(router, MemoryStore())
        success = (await things.execute("t-1", {"type": "Start", "payload": {"field": shape.stored}})).unwrap()
        refused = await things.execute("t-1", {"type": "Go"})
        bad = json.loads(json.dumps(shape.stored).replace(MARKER, MARKER + "!"))
        invalid = await things.execute("t-2", {"type": "Start", "payload": {"field": bad}})
        for result in (success, refused, invalid):
            logging.getLogger("user").debug("%s", result)

    client = success.workflow.to_client()
    assert client["data"] == {"field": shape.client}
    [commit] = await things.history("t-1")
    seen = [
        client,
        client_commit(workflow._definition, commit),
        client_event(workflow._definition, success.events[0]),
        workflow.client_schemas(),
        await things.available_commands("t-1"),
        success,
        refused,
        refused.error,
        refused.error.to_dict()["data"],
        invalid,
        commit,
        *map(repr, await things.store.history("t-1")),
        repr(await things.store.load("t-1")),
    ]
    assert isinstance(invalid.error, InvalidDataError)
    with pytest.raises(RestoreError) as broken:
        workflow.from_snapshot(success.snapshot.replace(data={"field": bad}))
    seen += [invalid.error, *invalid.error.issues, broken.value, *broken.value.issues]
    assert MARKER in json.dumps(success.snapshot.data)
    assert [text for text in texts(*seen) if MARKER in text] == []
    assert MARKER not in log.text
    assert "hidden" not in json.dumps(workflow.client_schemas())


class _Log(logging.Handler):
    """What was logged, formatted with tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record) + repr(record.__dict__) + "\n"

    def __enter__(self) -> None:
        self._level = logging.getLogger().level
        logging.getLogger().setLevel(logging.DEBUG)
        logging.getLogger().addHandler(self)

    def __exit__(self, *exc: object) -> None:
        logging.getLogger().removeHandler(self)
        logging.getLogger().setLevel(self._level)
