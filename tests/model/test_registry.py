"""Which handler serves which pair: the most specific one; a parent's own before an included one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from statewright import DefinitionError, Transition, Workflow, WorkflowRouter
from tests.model.orders import (
    AddItem,
    Cancel,
    Cancelled,
    Draft,
    Open,
    Order,
    OrderState,
    Place,
    Placed,
    draft,
    routed,
    succeeded,
)


def exact(order: Draft, command: Cancel) -> Cancelled:
    return Cancelled(reason="exact")


def two_commands(order: Draft, command: Cancel | Place) -> Cancelled:
    return Cancelled(reason="two commands")


def two_states(order: Draft | Placed, command: Cancel) -> Cancelled:
    return Cancelled(reason="two states")


def with_none(order: Draft | None, command: Cancel) -> Cancelled:
    return Cancelled(reason="with none")


def three_states(order: OrderState, command: Cancel) -> Cancelled:
    return Cancelled(reason="three states")


def two_by_two(order: Draft | Placed, command: Cancel | Place) -> Cancelled:
    return Cancelled(reason="two by two")


def one_by_four(order: Draft, command: Cancel | Place | AddItem | Open) -> Cancelled:
    return Cancelled(reason="one by four")


BY_RANK = [exact, two_commands, one_by_four, two_states, two_by_two, three_states]


async def who(router: WorkflowRouter[Order, Any]) -> str:
    result: Any = succeeded(await router.dispatch(draft(), Cancel()))
    return str(result.workflow.data.reason)


PAIRS = list(itertools.permutations(BY_RANK, 2))


@pytest.mark.parametrize("pair", PAIRS, ids=["-".join(each.__name__ for each in pair) for pair in PAIRS])
async def test_the_most_specific_handler_wins(pair: tuple[Callable[..., Any], ...]) -> None:
    """Fewest states, then fewest commands, in whichever order they are registered."""
    winner = min(pair, key=BY_RANK.index)

    assert await who(routed(*pair)) == winner.__name__.replace("_", " ")


async def test_the_rest_of_a_general_handler_stays() -> None:
    """A more specific handler takes its pair, and leaves the others to the general one."""
    router = routed(two_by_two, exact)

    assert await who(router) == "exact"
    result: Any = succeeded(await router.dispatch(draft(), Place()))
    assert result.workflow.data.reason == "two by two"


def twin(order: Draft, command: Cancel) -> Cancelled: ...
def other_two_states(order: Draft | Cancelled, command: Cancel) -> Cancelled: ...
def same_size(order: Draft, command: Cancel | AddItem) -> Cancelled: ...


TIES = [
    (exact, twin),
    (two_states, other_two_states),
    (two_states, with_none),
    (two_commands, same_size),
    (exact, exact),
]


@pytest.mark.parametrize(("first", "second"), [*TIES, *(pair[::-1] for pair in TIES[:-1])])
def test_a_tie_is_refused_at_the_second_registration(first: Callable[..., Any], second: Callable[..., Any]) -> None:
    """Two handlers as specific as each other are an error that names both, with their places, and the pair."""
    router = routed(first)

    with pytest.raises(DefinitionError) as caught:
        router.on(second)

    message = str(caught.value)
    for handler in (first, second):
        assert handler.__name__ in message
        assert f"{__file__}:{handler.__code__.co_firstlineno}" in message
    assert "Draft" in message
    assert "Cancel" in message


def test_a_tie_is_a_tie_below_a_specific_handler_too() -> None:
    """Whether two handlers tie does not depend on the order in which a third one is registered."""
    for order in itertools.permutations([exact, two_states, other_two_states]):
        with pytest.raises(DefinitionError):
            routed(*order)


async def test_a_refused_handler_registers_none_of_its_pairs() -> None:
    """A handler that ties for one pair is not registered for the others."""
    router = routed(two_states)

    with pytest.raises(DefinitionError):
        router.on(other_two_states)

    assert {each.state for each in router.transitions} == {Draft, Placed}


def test_handlers_that_do_not_meet_do_not_tie() -> None:
    """Equally general handlers of different pairs are no tie."""

    def cancel_placed(order: Placed, command: Cancel) -> Cancelled: ...

    assert len(routed(exact, cancel_placed).transitions) == 2


# --- transitions and commands ----------------------------------------------------------------------------------------


def open_order(_: None, command: Open) -> Draft | None:
    return Draft()


def add(order: Draft, command: AddItem) -> Draft | Placed | None:
    return order


def test_transitions_are_of_classes() -> None:
    """One entry for each pair, with the targets of the handler that wins; `None` as a target is the state itself."""
    assert routed(open_order, add, two_by_two, exact).transitions == (
        Transition(None, Open, (Draft,), open_order),
        Transition(Draft, AddItem, (Draft, Placed), add),
        Transition(Draft, Cancel, (Cancelled,), exact),
        Transition(Draft, Place, (Cancelled,), two_by_two),
        Transition(Placed, Cancel, (Cancelled,), two_by_two),
        Transition(Placed, Place, (Cancelled,), two_by_two),
    )


def test_available_commands_are_those_with_a_handler() -> None:
    """By state, in the order of declaration, with the JSON Schema of what is sent."""
    router = routed(open_order, add, exact)

    assert list(router.available_commands_for(Draft)) == ["AddItem", "Cancel"]
    assert list(router.available_commands_for(None)) == ["Open"]
    assert router.available_commands_for(Cancelled) == {}
    schema = router.available_commands_for(Draft)["AddItem"]
    assert schema["properties"]["item"]["type"] == "string"
    assert schema["required"] == ["item"]


def test_a_schema_that_is_handed_out_can_be_changed() -> None:
    """Nobody sees what somebody else did to a schema."""
    router = routed(add)
    router.available_commands_for(Draft)["AddItem"]["properties"].clear()

    assert router.available_commands_for(Draft)["AddItem"]["properties"]


@pytest.mark.parametrize("state", [Open, int, "Draft", Draft()])
def test_only_states_have_commands(state: Any) -> None:
    """An undeclared state is an error, not an empty answer."""
    with pytest.raises(DefinitionError):
        routed(add).available_commands_for(state)


# --- including -----------------------------------------------------------------------------------------------------


async def test_an_included_router_gives_its_handlers() -> None:
    """What the other knows, the parent knows; the router itself is returned."""
    router = routed(add)

    assert router.include(routed(exact, open_order)) is router
    assert await who(router) == "exact"
    assert len(router.transitions) == 3


@pytest.mark.parametrize("own_first", [True, False])
async def test_an_own_handler_wins_also_when_it_is_less_specific(own_first: bool) -> None:  # noqa: FBT001
    """The parent's own registration decides, whenever it was made."""
    router = routed(three_states) if own_first else routed()
    router.include(routed(exact))
    if not own_first:
        router.on(three_states)

    assert await who(router) == "three states"


async def test_the_included_router_is_copied_at_once() -> None:
    """What is registered in the other later does not arrive."""
    other = routed(exact)
    router = routed().include(other)

    other.on(add)

    assert [each.command for each in router.transitions] == [Cancel]


def test_two_included_routers_with_one_pair_are_refused() -> None:
    """The error names both handlers, and nothing of the second router is included."""
    router = routed().include(routed(exact))

    with pytest.raises(DefinitionError, match="twin") as caught:
        router.include(routed(two_commands, twin, add))

    assert "exact" in str(caught.value)
    assert len(router.transitions) == 1


def test_the_pairs_that_count_are_those_that_win() -> None:
    """What the other itself overrules is not included, and so cannot clash."""
    other = routed(exact).include(routed(twin))

    assert len(routed().include(other).transitions) == 1


async def test_inclusion_is_transitive() -> None:
    """A router that includes one that includes another has the handlers of all."""
    assert await who(routed(add).include(routed(open_order).include(routed(exact)))) == "exact"


def test_a_router_does_not_include_itself() -> None:
    """Neither itself nor a twin with other dependencies, which shares its handlers."""
    router = routed(exact)

    with pytest.raises(DefinitionError, match="itself"):
        router.include(router)
    with pytest.raises(DefinitionError, match="itself"):
        router.include(router.with_deps(1))


def test_a_router_of_another_workflow_is_not_included() -> None:
    """Neither another definition's, nor anything that is no router."""

    class Invoice(Workflow[Draft, Open], name="invoice"): ...

    with pytest.raises(DefinitionError, match="invoice"):
        routed().include(WorkflowRouter(Invoice))
    with pytest.raises(DefinitionError):
        routed().include(exact)
