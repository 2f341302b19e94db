"""`drawing`: the machine as SVG."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from statewright.console.drawing import Direction, draw
from statewright.demo import router
from statewright.diagram import Arrow, Graph

SVG = "{http://www.w3.org/2000/svg}"
GRAPH = Graph.of(router)
DIRECTIONS: tuple[Direction, ...] = ("down", "right")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_picture_shows_every_state_with_its_count(direction: Direction) -> None:
    """Each state has one box with its name and its count; a state that holds nothing shows 0."""
    root = ET.fromstring(draw(GRAPH, direction=direction, counts={"Basket": 12, "Paid": 3}))

    found = {
        each.attrib["data-state"]: [text.text for text in each.iter(f"{SVG}text")][:2]
        for each in root.iter(f"{SVG}g")
        if "data-state" in each.attrib
    }
    assert list(found) == list(GRAPH.states)
    assert found["Basket"] == ["Basket", "12"]
    assert found["Cancelled"] == ["Cancelled", "0"]


def test_picture_names_every_command() -> None:
    """A command stands on the line that it leads along, or in the state that it does not leave."""
    root = ET.fromstring(draw(GRAPH))

    labels = [each for each in root.iter(f"{SVG}g") if each.attrib.get("class") == "label"]
    ways = [(each.get("data-source"), each.get("data-target"), each.get("data-commands")) for each in labels]
    stays = [each.text for each in root.iter(f"{SVG}text") if each.attrib.get("class") == "stays"]
    assert (None, "Basket", "Open") in ways
    assert ("Paid", "Cancelled", "Cancel") in ways
    assert len(ways) == len([edge for edge in GRAPH.edges() if edge[0] != edge[1]])
    assert stays == ["↻ AddItem", "↻ RemoveItem"]


def test_states_are_links_where_they_lead_somewhere() -> None:
    """With an address, a state is a link that says its name and count to those who do not see it."""
    root = ET.fromstring(draw(GRAPH, counts={"Paid": 3}, link="/orders?state="))

    links = {each.attrib["href"]: each.attrib["aria-label"] for each in root.iter(f"{SVG}a")}
    assert links["/orders?state=Paid"] == "Paid: 3"


def test_names_never_become_markup() -> None:
    """Whatever a stored name holds, the picture stays well-formed, and the name what it was."""
    name = "<script>\"&'</script>"
    graph = Graph("order", (name,), (name,), (Arrow(None, name, (name,), "handler", ""),))

    text = draw(graph, counts={name: 1}, link="/?state=")

    (link,) = ET.fromstring(text).iter(f"{SVG}a")
    assert link.attrib["data-state"] == name
    assert "<script>" not in text
    assert 'style="' not in text


def test_same_graph_same_picture() -> None:
    """The picture is a function of what is drawn."""
    assert draw(GRAPH, direction="right") == draw(Graph.of(router), direction="right")
