"""Pictures of a workflow, and what a look at it can find wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable
from textwrap import dedent
from typing import Any, Never, cast

import pytest
from pydantic import BaseModel

from statewright import DefinitionError, Workflow, WorkflowRouter
from statewright.diagram import Graph, analyse, dot, markdown, mermaid, rst, text


class Draft(BaseModel): ...


class Review(BaseModel): ...


class Published(BaseModel): ...


class Begin(BaseModel): ...


class Edit(BaseModel): ...


class Submit(BaseModel): ...


class Decide(BaseModel):
    accepts: bool


class Withdraw(BaseModel): ...


class Article(
    Workflow[Draft | Review | Published, Begin | Edit | Submit | Decide | Withdraw],
    name="article",
    stored_names={Published: "Live"},
):
    """An article, from the first draft on."""


articles = WorkflowRouter(Article)


# Registered in another order than declared, so that the pictures show whose order counts.
@articles.on
def decide(article: Review, command: Decide) -> Published | Draft:
    """Publish it, or give it back.

    Whoever decides has read it.
    """
    return Published() if command.accepts else Draft()


@articles.on
def begin(_: None, command: Begin) -> Draft:
    """Begin with an empty page."""
    return Draft()


@articles.on
def edit(article: Draft | Review, command: Edit) -> Draft | None:
    return None


@articles.on
def submit(article: Draft, command: Submit) -> Review:
    return Review()


@articles.on
def refuse(article: Published, command: Withdraw) -> Never:
    raise NotImplementedError


class Attic(BaseModel): ...


class Cellar(BaseModel): ...


class Stairs(BaseModel): ...


class Lift(BaseModel): ...


class House(
    Workflow[Draft | Attic | Cellar, Begin | Stairs | Lift],
    name="house",
    stored_names={Draft: 'the "hall"', Attic: "end", Stairs: "up; or # down: 50%"},
):
    """A definition whose stored names are words of the picture's own language."""


house = WorkflowRouter(House)


@house.on
def enter(_: None, command: Begin) -> Draft:
    return Draft()


@house.on
def climb(place: Draft | Cellar, command: Stairs) -> Attic:
    return Attic()


def unindented(picture: str) -> str:
    return dedent(picture).removeprefix("\n")


def test_mermaid() -> None:
    """One arrow for each pair of states that a command leads from and to; ends lead to the end."""
    assert mermaid(articles) == unindented("""
        stateDiagram-v2
            [*] --> Draft: Begin
            Draft --> Draft: Edit
            Draft --> Review: Submit
            Review --> Draft: Edit, Decide
            Review --> Review: Edit
            Review --> Live: Decide
            Live --> [*]
        """)


def test_mermaid_speaks_of_odd_names_by_aliases() -> None:
    """Names that Mermaid would stumble over get an alias, and each character of its syntax is written as a code."""
    assert mermaid(house) == unindented("""
        stateDiagram-v2
            state "the #34;hall#34;" as s1_
            state "end" as s2_
            [*] --> s1_: Begin
            s1_ --> s2_: up#59; or #35; down#58; 50#37;
            Cellar --> s2_: up#59; or #35; down#58; 50#37;
            s2_ --> [*]
        """)


def test_mermaid_shows_a_state_without_arrows() -> None:
    """A state that nothing leads to and nothing leaves is in the picture, too."""

    class Lonely(Workflow[Draft | Review, Begin | Edit], name="lonely"): ...

    router = WorkflowRouter(Lonely)
    router.on(begin)

    @router.on
    def refused(state: Review, command: Edit) -> Never:
        raise NotImplementedError

    assert "    Review --> [*]\n" in mermaid(router)


def test_dot() -> None:
    """Every state is a node, ends have a double border, and commands between two states share an edge."""
    assert dot(articles) == unindented(r"""
        digraph "article" {
            rankdir=LR;
            node [shape=box, style=rounded, fontname="sans-serif"];
            edge [fontname="sans-serif", fontsize=10];
            "[*]" [shape=circle, style=filled, fillcolor=black, width=0.15, label=""];
            "Draft";
            "Review";
            "Live" [peripheries=2];
            "[*]" -> "Draft" [label="Begin"];
            "Draft" -> "Draft" [label="Edit"];
            "Draft" -> "Review" [label="Submit"];
            "Review" -> "Draft" [label="Edit\nDecide"];
            "Review" -> "Review" [label="Edit"];
            "Review" -> "Live" [label="Decide"];
        }
        """)


def test_dot_escapes_quotes() -> None:
    """A quotation mark in a stored name does not end it."""
    assert r'"the \"hall\"" -> "end" [label="up; or # down: 50%"];' in dot(house)


def test_text() -> None:
    """Plain text says of each state what can happen in it and where that leads."""
    assert text(articles) == unindented("""
        article

        (new)
         └─ Begin ─────▶ Draft

        Draft
         ├─ Edit ──────▶ stays
         └─ Submit ────▶ Review

        Review
         ├─ Edit ──────▶ Draft, or stays
         └─ Decide ────▶ Live or Draft

        Live · end
         └─ Withdraw ──▶ always refused
        """)


def test_text_with_counts_and_faults() -> None:
    """Counts stand beside the states, and so does what the analysis found."""
    assert text(house, counts={"end": 1234}) == unindented("""
        house

        (new)
         └─ Begin ───────────────▶ the "hall"

        the "hall" · 0
         └─ up; or # down: 50% ──▶ end

        end · 1,234 · end

        Cellar · 0 · cannot be reached
         └─ up; or # down: 50% ──▶ end

        handled in no state: Lift
        """)


def test_markdown() -> None:
    """A page for MkDocs has the Mermaid block and a row for each transition, told by its docstring or its name."""
    assert markdown(articles) == f"```mermaid\n{mermaid(articles)}```\n" + unindented("""

        | State | Command | Leads to | What happens |
        | --- | --- | --- | --- |
        | *new* | `Begin` | `Draft` | Begin with an empty page. |
        | `Draft` | `Edit` | `Draft` | `edit` |
        | `Draft` | `Submit` | `Review` | `submit` |
        | `Review` | `Edit` | `Draft`, `Review` | `edit` |
        | `Review` | `Decide` | `Live`, `Draft` | Publish it, or give it back. |
        | `Live` | `Withdraw` | *always refused* | `refuse` |
        """)


def test_markdown_keeps_the_columns_apart() -> None:
    """A bar in a name does not begin a column of its own."""

    class Barred(Workflow[Draft, Begin], name="barred", stored_names={Draft: "a|b"}): ...

    router = WorkflowRouter(Barred)
    router.on(begin)

    assert r"| *new* | `Begin` | `a\|b` | Begin with an empty page. |" in markdown(router)


def test_rst() -> None:
    """A page for Sphinx has the Graphviz directive and the same table."""
    page = rst(articles)

    assert page.startswith('.. graphviz::\n\n   digraph "article" {\n       rankdir=LR;\n')
    assert page.endswith(
        unindented("""
            .. list-table::
               :header-rows: 1

               * - State
                 - Command
                 - Leads to
                 - What happens
               * - *new*
                 - ``Begin``
                 - ``Draft``
                 - Begin with an empty page.
               * - ``Draft``
                 - ``Edit``
                 - ``Draft``
                 - ``edit``
               * - ``Draft``
                 - ``Submit``
                 - ``Review``
                 - ``submit``
               * - ``Review``
                 - ``Edit``
                 - ``Draft``, ``Review``
                 - ``edit``
               * - ``Review``
                 - ``Decide``
                 - ``Live``, ``Draft``
                 - Publish it, or give it back.
               * - ``Live``
                 - ``Withdraw``
                 - *always refused*
                 - ``refuse``
            """)
    )


def test_analysis_of_a_sound_workflow() -> None:
    """A workflow is sound if every state is reached and every command handled; that it ends is no fault."""
    analysis = analyse(articles)

    assert (analysis.unreachable, analysis.ends, analysis.unhandled) == ((), ("Live",), ())
    assert analysis.is_sound


def test_analysis_finds_what_is_wrong() -> None:
    """A state that only itself could lead to is not reached, and a command without a handler is named."""
    analysis = analyse(house)

    assert (analysis.unreachable, analysis.ends, analysis.unhandled) == (("Cellar",), ("end",), ("Lift",))
    assert not analysis.is_sound


def test_analysis_is_not_fooled_by_a_ring() -> None:
    """States that lead to each other, but that no creation leads to, cannot be reached."""

    class Ring(Workflow[Draft | Review | Published, Begin | Edit], name="ring"): ...

    router = WorkflowRouter(Ring)
    router.on(begin)

    @router.on
    def forth(state: Review, command: Edit) -> Published:
        return Published()

    @router.on
    def back(state: Published, command: Edit) -> Review:
        return Review()

    assert analyse(router).unreachable == ("Review", "Published")
    assert analyse(router).ends == ("Draft",)


def test_graph_sees_through_wrappers() -> None:
    """An arrow is told by the function that somebody wrote, below `partial` and `wraps`."""

    def noted(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    def cut(state: Draft, command: Edit, depth: int) -> Draft:
        """Shorten it."""
        return state

    class Cut(Workflow[Draft, Begin | Edit], name="cut"): ...

    router = WorkflowRouter(Cut)
    router.on(noted(begin))
    router.on(functools.partial(cut, depth=2))

    told = [(arrow.handler, arrow.summary) for arrow in Graph.of(router).arrows]
    assert told == [("begin", "Begin with an empty page."), ("cut", "Shorten it.")]


def test_graph_as_json() -> None:
    """A graph gives all that a picture needs as plain data."""
    graph = Graph.of(house).to_dict()

    assert graph["definition"] == "house"
    assert graph["states"] == ['the "hall"', "end", "Cellar"]
    assert graph["commands"] == ["Begin", "up; or # down: 50%", "Lift"]
    assert graph["transitions"][0] == {
        "state": None,
        "command": "Begin",
        "targets": ['the "hall"'],
        "handler": "enter",
        "summary": "",
    }


@pytest.mark.parametrize("draw", [mermaid, dot, text, markdown, rst, analyse])
def test_what_is_no_router_is_refused(draw: Callable[[Any], object]) -> None:
    """Whoever hands over the workflow class reads what is wanted instead."""
    with pytest.raises(DefinitionError, match="of a WorkflowRouter, found type"):
        draw(cast("Any", House))
