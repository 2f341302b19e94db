"""Reactors as definitions: how they are registered, and what they resolve to."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from pydantic import BaseModel

from statewright import MemoryStore, Reactors, Send, Source, WorkflowExecutor
from statewright.errors import DefinitionError
from tests.engine.workshop import Audit, Book, Booked, Sold, ledger_router

SOURCE = Source(workflow_id="s-1", definition="shop", version=3, position=7, metadata={"actor": "ann"})
SALE = Sold(amount=5, to="l-1")


def test_a_mapping_that_is_pure() -> None:
    """What all reactors of an event decide is given in the order of registration, each as one, several or none."""
    reactors = Reactors()

    @reactors.on
    def one(event: Sold, source: Source) -> Send:
        return Send("ledger", f"{source.workflow_id}-{source.version}", Book(amount=event.amount))

    @reactors.on
    def several(event: Sold, source: Source) -> list[Send]:
        return [Send("ledger", "a", Audit()), Send("ledger", "b", Audit(), refused="drop")]

    @reactors.on
    def nothing(event: Sold, source: Source) -> None:
        return None

    @reactors.on
    def another(event: Booked, source: Source) -> Send:
        return Send("ledger", "c", Audit())

    assert reactors.resolve(SALE, SOURCE) == [
        Send("ledger", "s-1-3", Book(amount=5)),
        Send("ledger", "a", Audit()),
        Send("ledger", "b", Audit(), refused="drop"),
    ]
    assert reactors.resolve(Booked(amount=1), SOURCE) == [Send("ledger", "c", Audit())]
    assert [reactor.name for reactor in reactors] == ["one", "several", "nothing", "another"]


def test_a_union_of_events() -> None:
    """A reactor may react to several events."""
    reactors = Reactors()

    @reactors.on(name="both")
    def either(event: Sold | Booked, source: Source) -> Send:
        return Send("ledger", "l-1", Book(amount=event.amount))

    assert len(reactors.resolve(SALE, SOURCE)) == len(reactors.resolve(Booked(amount=1), SOURCE)) == 1
    assert reactors.resolve(Audit(), SOURCE) == []


def test_the_function_stays_what_it_is() -> None:
    """A registered function can be called as before."""
    reactors = Reactors()

    @reactors.on
    def one(event: Sold, source: Source) -> None:
        return None

    assert one(SALE, SOURCE) is None
    assert one.__name__ == "one"


def test_what_a_send_goes_to() -> None:
    """A Send goes to an executor or to a definition's name, which is the same."""
    ledgers: WorkflowExecutor[Any] = WorkflowExecutor(ledger_router(), MemoryStore())

    assert Send(ledgers, "l-1", Audit()) == Send("ledger", "l-1", Audit())
    assert Send("ledger", "l-1", Audit()) != Send("ledger", "l-1", Audit(), refused="drop")
    assert Send("ledger", "l-1", Audit()) != Send("ledger", "l-2", Audit())
    assert len({Send("ledger", "l-1", Audit()), Send(ledgers, "l-1", Audit())}) == 1
    assert repr(Send("ledger", "l-1", Audit())) == "Send('ledger', 'l-1', Audit())"
    with pytest.raises(TypeError, match="executor or to a definition's name"):
        Send(7, "l-1", Audit())
    with pytest.raises(ValueError, match="'dead-letter' or 'drop'"):
        Send("ledger", "l-1", Audit(), refused="ignore")  # type: ignore[arg-type]


def test_what_is_no_answer() -> None:
    """A reactor that returns something else than Sends is told so."""
    reactors = Reactors()

    @reactors.on
    def wrong(event: Sold, source: Source) -> Any:
        return ["ledger"]

    with pytest.raises(TypeError, match="'wrong' returned list, not Send"):
        reactors.resolve(SALE, SOURCE)


async def _async(event: Sold, source: Source) -> None: ...


def _lonely(event: Sold) -> None: ...


def _crowded(event: Sold, source: Source, third: str) -> None: ...


class Later:
    """Answers later, which nobody waits for."""

    __name__ = "later"

    async def __call__(self, event: Sold, source: Source) -> None: ...


def _bound(fixed: str, event: Sold, source: Source) -> None: ...


def _bare(event, source) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001


def _unknown(event: NoSuchEvent, source: Source) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def _none(event: None, source: Source) -> None: ...


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (_async, "plain function"),
        (_lonely, "takes two parameters"),
        (_crowded, "takes two parameters"),
        (Later(), "plain function"),
        (_bare, "no annotation for its event"),
        (_unknown, "cannot be resolved"),
        (_none, "no class of events"),
        (lambda event, source: None, "needs a name"),
        (7, "plain function"),
    ],
)
def test_functions_that_are_no_reactors(function: Any, complaint: str) -> None:
    """What cannot be a reactor is refused when it is registered, with the reason."""
    with pytest.raises(DefinitionError, match=complaint):
        Reactors().on(function)


def test_a_function_that_is_bound_is_a_reactor() -> None:
    """Of a `partial` the annotations are read where the function was written."""
    reactors = Reactors()
    reactors.on(functools.partial(_bound, "fixed"), name="bound")

    assert [reactor.events for reactor in reactors] == [(Sold,)]


@pytest.mark.parametrize("name", ["", "x" * 201])
def test_names_that_are_none(name: str) -> None:
    """A stored name has 1 to 200 characters."""
    with pytest.raises(DefinitionError, match="1 to 200 characters"):
        Reactors().on(name=name)(lambda event, source: None)


def test_two_of_a_name() -> None:
    """Two reactors cannot share a stored name."""
    reactors = Reactors()
    reactors.on(name="one")(_react)

    with pytest.raises(DefinitionError, match="share the name 'one'"):
        reactors.on(name="one")(_react)


def test_events_of_a_functions_own_scope() -> None:
    """Annotations may name classes of the function in which the reactor is defined."""

    class Local(BaseModel): ...

    reactors = Reactors()

    @reactors.on
    def react(event: Local, source: Source) -> Send:
        return Send("ledger", "l-1", Audit())

    assert len(reactors.resolve(Local(), SOURCE)) == 1


def _react(event: Sold, source: Source) -> None: ...
