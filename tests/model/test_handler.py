"""A handler's annotations are its registration, however they are written."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Generic, Never, NoReturn, Optional, TypeVar, Union

import pytest
from typing_extensions import TypeAliasType

from statewright import Context, DefinitionError, WorkflowRouter
from tests.model.orders import (
    AddItem,
    Cancel,
    Cancelled,
    Draft,
    EmptyOrder,
    Open,
    Order,
    OrderState,
    Place,
    Placed,
    draft,
    routed,
    succeeded,
)
from tests.model.unpostponed import REAL

if TYPE_CHECKING:
    from decimal import Context as OnlyForTheChecker

T = TypeVar("T")
Alias = TypeAliasType("Alias", "Draft | Placed")
Maybe = TypeAliasType("Maybe", T | None, type_params=(T,))
Live = Annotated[Alias, "not over"]


def pairs(router: WorkflowRouter[Any, Any]) -> set[tuple[str, str, tuple[str, ...]]]:
    """Return what was registered, by names."""
    found = set()
    for each in router.transitions:
        state = "None" if each.state is None else each.state.__name__
        found.add((state, each.command.__name__, tuple(target.__name__ for target in each.targets)))
    return found


# --- how annotations may be written --------------------------------------------------------------------------------


def postponed(order: Draft, command: AddItem) -> Draft: ...
def quoted(order: "Draft", command: "AddItem") -> "Draft": ...  # noqa: UP037
def old_union(order: Union[Draft, Placed], command: AddItem) -> Optional[Draft]: ...  # noqa: UP007, UP045
def new_union(order: Draft | Placed, command: AddItem | Cancel) -> Draft | Placed | None: ...
def aliased(order: OrderState, command: Cancel) -> Cancelled: ...
def named_alias(order: Alias, command: Cancel) -> Alias: ...
def alias_with_argument(order: Draft, command: Cancel) -> Maybe[Cancelled]: ...
def annotated(order: Live, command: Annotated[Cancel, 1]) -> Annotated[Annotated[Cancelled, 1], 2]: ...
def never(order: Draft, command: Cancel) -> Never: ...
def no_return(order: Draft, command: Cancel) -> NoReturn: ...
def keeping(order: Draft, command: Cancel) -> None: ...
def creating(order: None, command: Open) -> Draft: ...
def either(order: Draft | None, command: Open) -> Draft: ...


BOTH = {("Draft", "Cancel"), ("Placed", "Cancel")}
WRITTEN: list[tuple[Callable[..., Any], set[tuple[str, str, tuple[str, ...]]]]] = [
    (postponed, {("Draft", "AddItem", ("Draft",))}),
    (quoted, {("Draft", "AddItem", ("Draft",))}),
    (old_union, {("Draft", "AddItem", ("Draft",)), ("Placed", "AddItem", ("Draft", "Placed"))}),
    (
        new_union,
        {
            (state, command, targets)
            for state, targets in (("Draft", ("Draft", "Placed")), ("Placed", ("Draft", "Placed")))
            for command in ("AddItem", "Cancel")
        },
    ),
    (aliased, {(state, "Cancel", ("Cancelled",)) for state in ("Draft", "Placed", "Cancelled")}),
    (named_alias, {(*pair, ("Draft", "Placed")) for pair in BOTH}),
    (alias_with_argument, {("Draft", "Cancel", ("Cancelled", "Draft"))}),
    (annotated, {(*pair, ("Cancelled",)) for pair in BOTH}),
    (never, {("Draft", "Cancel", ())}),
    (no_return, {("Draft", "Cancel", ())}),
    (keeping, {("Draft", "Cancel", ("Draft",))}),
    (creating, {("None", "Open", ("Draft",))}),
    (either, {("None", "Open", ("Draft",)), ("Draft", "Open", ("Draft",))}),
    *REAL,
]


@pytest.mark.parametrize(("handler", "expected"), WRITTEN, ids=lambda each: getattr(each, "__name__", ""))
def test_each_way_of_writing_registers_the_same(
    handler: Callable[..., Any], expected: set[tuple[str, str, tuple[str, ...]]]
) -> None:
    """Strings, unions, aliases and `Annotated` name their members, on every side."""
    assert pairs(routed(handler)) == expected


def returns_awaitable(order: Draft, command: Place) -> Awaitable[Placed]:
    async def later() -> Placed:
        return Placed(items=order.items)

    return later()


def returns_coroutine(order: Draft, command: Place) -> Coroutine[Any, Any, Placed]:
    return place_async(order, command)


def returns_alias(order: Draft, command: Place) -> Promised:
    return place_async(order, command)


def returns_either(order: Draft, command: Place) -> Placed | Awaitable[Placed]:
    return place_async(order, command)


async def place_async(order: Draft, command: Place) -> Placed:
    return Placed(items=order.items)


Promised = Annotated[Awaitable[Placed], "soon"]


@pytest.mark.parametrize("handler", [place_async, returns_awaitable, returns_coroutine, returns_alias, returns_either])
async def test_an_awaitable_result_is_awaited(handler: Callable[..., Any]) -> None:
    """Whatever the function claims to be, an awaitable is awaited, and its annotation is what it gives."""
    router = routed(handler)

    result = succeeded(await router.dispatch(draft("tea"), Place()))

    assert pairs(router) == {("Draft", "Place", ("Placed",))}
    assert result.workflow.data == Placed(items=["tea"])


async def test_a_sync_function_may_return_an_awaitable_that_it_does_not_announce() -> None:
    """A plain annotation is no promise that the result is there already."""

    def place(order: Draft, command: Place) -> Placed:
        return place_async(order, command)

    result = succeeded(await routed(place).dispatch(draft("tea"), Place()))

    assert result.workflow.state == "Placed"


# --- where names are looked up -------------------------------------------------------------------------------------


def test_names_are_found_in_the_locals_of_the_caller() -> None:
    """A string may name what only the registering function knows."""
    Here = Draft  # noqa: N806

    def handler(order: Here, command: AddItem) -> Here: ...

    assert pairs(routed_here(handler, Here)) == {("Draft", "AddItem", ("Draft",))}


def routed_here(handler: Any, Here: Any) -> Any:  # noqa: N803
    router = WorkflowRouter(Order)
    router.on(handler)
    return router


def registered_elsewhere(handler: Any) -> WorkflowRouter[Any, Any]:
    """Register a handler from code that calls other things by the same names."""
    Draft = AddItem = int  # noqa: F841, N806
    router = WorkflowRouter(Order)
    router.on(handler)
    return router


def add_item(order: Draft, command: AddItem) -> Draft:
    return order


def test_names_of_code_elsewhere_hide_none_of_the_handlers_module() -> None:
    """What a factory calls its variables does not change what the handlers mean that it registers."""
    assert pairs(registered_elsewhere(add_item)) == {("Draft", "AddItem", ("Draft",))}


def test_names_are_found_in_the_closure() -> None:
    """A string may name what the handler closes over, though the registering code does not know it."""

    def make(Inner: Any) -> Any:  # noqa: N803
        def handler(order: Inner, command: AddItem) -> Inner:
            return Inner()

        return handler

    assert pairs(routed(make(Draft))) == {("Draft", "AddItem", ("Draft",))}


def test_names_are_found_in_a_class_body() -> None:
    """A class that gathers handlers may use its own names."""
    router = WorkflowRouter(Order)

    class Handlers:
        State = Draft

        @router.on
        def add(order: State, command: AddItem) -> State:  # noqa: N805
            return order

        @router.on
        @staticmethod
        def cancel(order: State, command: Cancel) -> Cancelled:
            return Cancelled()

    assert {pair[:2] for pair in pairs(router)} == {("Draft", "AddItem"), ("Draft", "Cancel")}


def test_a_local_name_hides_one_of_the_module() -> None:
    """The nearest name counts, as in the language."""

    def local() -> Any:
        Draft = Placed  # noqa: N806, F841
        router = WorkflowRouter(Order)

        @router.on
        def handler(order: Draft, command: Cancel) -> Cancelled: ...

        return router

    assert pairs(local()) == {("Placed", "Cancel", ("Cancelled",))}


def test_the_context_and_other_annotations_are_not_resolved() -> None:
    """A context that exists for the type checker only is no obstacle, nor is one that exists nowhere."""

    def checked(order: Draft, command: AddItem, ctx: OnlyForTheChecker) -> Draft: ...
    def unknown(order: Draft, command: Cancel, ctx: Nowhere[int], extra: Nothing = 1) -> Draft: ...  # noqa: F821

    assert len(pairs(routed(checked, unknown))) == 2


# --- what may be registered ----------------------------------------------------------------------------------------


class Shop(Generic[T]):
    def __init__(self, label: str) -> None:
        self.label = label

    def add(self, order: Draft, command: AddItem, ctx: Context[Any, Any]) -> Draft:
        return Draft(items=[*order.items, f"{self.label} {command.item} of {ctx.id}"])

    async def __call__(self, order: Draft, command: AddItem) -> Draft:
        return Draft(items=[self.label + command.item])

    @classmethod
    def make(cls, order: Draft, command: AddItem) -> Draft:
        return Draft(items=[cls.__name__])

    @staticmethod
    def plain(order: Draft, command: AddItem) -> Draft:
        return Draft(items=[command.item])


def labelled(label: str, order: Draft, command: AddItem, *, suffix: str) -> Draft:
    return Draft(items=[label + command.item + suffix])


def shouted(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        outcome = function(*args, **kwargs)
        return Draft(items=[item.upper() for item in outcome.items])

    return wrapper


@shouted
def wrapped(order: Draft, command: AddItem, ctx: Context[Any, Any]) -> Draft:
    return Draft(items=[f"{command.item} of {ctx.id}"])


def optional(order: Draft, command: AddItem, /, ctx: Any = None, *, more: int = 3, **rest: Any) -> Draft:
    return Draft(items=[f"{command.item} {ctx.id} {more} {rest}"])


CALLABLES: list[tuple[str, Any, str]] = [
    ("bound method", Shop("fine").add, "fine tea of o-1"),
    ("callable object", Shop("fine "), "fine tea"),
    ("class method", Shop.make, "Shop"),
    ("static method", Shop.plain, "tea"),
    ("partial", functools.partial(labelled, "green ", suffix="!"), "green tea!"),
    ("partial of partial", functools.partial(functools.partial(labelled, "green "), suffix="!"), "green tea!"),
    ("partial method object", functools.partial(Shop("fine").add), "fine tea of o-1"),
    ("wrapper", wrapped, "TEA OF O-1"),
    ("wrapped partial", functools.partial(wrapped), "TEA OF O-1"),
    ("optional context", optional, "tea o-1 3 {}"),
]


@pytest.mark.parametrize(("handler", "item"), [case[1:] for case in CALLABLES], ids=[case[0] for case in CALLABLES])
async def test_every_kind_of_callable_is_called_as_it_is_read(handler: Any, item: str) -> None:
    """Methods, callable objects, partials and wrappers are registered and called, with a context if they take one."""
    router = routed()

    assert router.on(handler) is handler
    result = succeeded(await router.dispatch(draft(), AddItem(item="tea")))

    assert result.workflow.data == Draft(items=[item])


def test_every_way_of_registering_returns_the_object() -> None:
    """`on`, bare or with middleware, gives back what it was given."""
    router = routed()

    async def middleware(ctx: Any, call_next: Any) -> Any:
        return await call_next()

    assert router.on(postponed) is postponed
    assert router.on(use=[middleware])(creating) is creating
    assert router.on(use=())(keeping) is keeping


# --- what is refused, and where ------------------------------------------------------------------------------------


def star(order: Draft, command: AddItem, *rest: Any) -> Draft: ...
def only_star(*both: Any) -> Draft: ...
def one(order: Draft) -> Draft: ...
def four(order: Draft, command: AddItem, ctx: Any, more: int) -> Draft: ...
def keyword(order: Draft, command: AddItem, *, more: int) -> Draft: ...
def bare_state(order, command: AddItem) -> Draft: ...  # noqa: ANN001
def bare_command(order: Draft, command) -> Draft: ...  # noqa: ANN001
def bare_return(order: Draft, command: AddItem): ...  # noqa: ANN201
def no_such_state(order: Nowhere, command: AddItem) -> Draft: ...  # noqa: F821
def no_such_command(order: Draft, command: Nowhere) -> Draft: ...  # noqa: F821
def no_such_target(order: Draft, command: AddItem) -> Nowhere: ...  # noqa: F821
def no_such_attribute(order: Draft, command: AddItem) -> Draft.Inner: ...
def broken_text(order: Draft, command: AddItem) -> "Draft |": ...  # noqa: F722
def foreign_state(order: int, command: AddItem) -> Draft: ...
def foreign_command(order: Draft, command: Placed) -> Draft: ...
def no_command(order: Draft, command: None) -> Draft: ...
def foreign_target(order: Draft, command: AddItem) -> Draft | EmptyOrder: ...
def container(order: Draft, command: AddItem) -> list[Draft]: ...
def anything(order: Any, command: AddItem) -> Draft: ...
def any_target(order: Draft, command: AddItem) -> Any: ...
def base(order: object, command: AddItem) -> Draft: ...
def nowhere(order: Never, command: AddItem) -> Draft: ...
def by_nothing(order: Draft, command: Never) -> Draft: ...
def creates_none(order: None, command: Open) -> None: ...
def creates_none_or_keeps(order: Draft | None, command: Open) -> None: ...


WRONG: list[tuple[Callable[..., Any], str]] = [
    (star, r"\*args"),
    (only_star, r"\*args"),
    (one, "fewer than two"),
    (four, "more"),
    (keyword, "more"),
    (bare_state, "no annotation for its state"),
    (bare_command, "no annotation for its command"),
    (bare_return, "no annotation for its return"),
    (no_such_state, "Nowhere"),
    (no_such_command, "Nowhere"),
    (no_such_target, "Nowhere"),
    (no_such_attribute, "Inner"),
    (broken_text, "cannot be resolved"),
    (foreign_state, "state int"),
    (foreign_command, "command Placed"),
    (no_command, "command None"),
    (foreign_target, "EmptyOrder"),
    (container, r"list\["),
    (anything, "Any"),
    (any_target, "Any"),
    (base, "object"),
    (nowhere, "nothing"),
    (by_nothing, "nothing"),
    (creates_none, "first state"),
    (creates_none_or_keeps, "first state"),
]


@pytest.mark.parametrize(("handler", "message"), WRONG, ids=[each[0].__name__ for each in WRONG])
def test_a_wrong_handler_is_refused_with_file_and_line(handler: Callable[..., Any], message: str) -> None:
    """The error says what is wrong, of which handler of which workflow, in which file and line."""
    line = handler.__code__.co_firstlineno

    with pytest.raises(DefinitionError, match=message) as caught:
        routed(handler)

    assert f"{__file__}:{line}" in str(caught.value)
    assert handler.__name__ in str(caught.value)
    assert "'order'" in str(caught.value)


@pytest.mark.parametrize(
    "handler",
    [lambda order, command: order, functools.partial(lambda extra, order, command: order, 1)],
    ids=["lambda", "partial of lambda"],
)
def test_a_lambda_is_refused(handler: Any) -> None:
    """A lambda has no annotations; the error says so and where it stands."""
    with pytest.raises(DefinitionError, match="lambda") as caught:
        routed(handler)

    assert __file__ in str(caught.value)


@pytest.mark.parametrize(
    "thing",
    [1, None, "name", object(), classmethod(creating), property(creating)],
    ids=["number", "none", "name", "object", "classmethod", "property"],
)
def test_what_cannot_be_called_is_refused(thing: Any) -> None:
    """Only something callable can be a handler."""
    router = routed()

    with pytest.raises(DefinitionError):
        router.on(use=())(thing)


@pytest.mark.parametrize("thing", [dict.get, min, int, Draft])
def test_a_callable_that_cannot_be_read_is_refused(thing: Any) -> None:
    """A built-in or a class has no annotations of the right kind."""
    with pytest.raises(DefinitionError):
        routed(thing)


def test_a_wrapper_that_wraps_itself_is_refused() -> None:
    """A circle of wrappers is an error, not a hang."""

    def circle(order: Draft, command: AddItem) -> Draft: ...

    circle.__wrapped__ = circle

    with pytest.raises(DefinitionError, match="signature"):
        routed(circle)


def test_a_refused_handler_leaves_nothing_behind() -> None:
    """After an error the router is what it was."""
    router = routed(creating)

    with pytest.raises(DefinitionError):
        router.on(foreign_target)

    assert pairs(router) == {("None", "Open", ("Draft",))}
