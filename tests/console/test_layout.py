"""`layout`: nothing overlaps, every line reaches its boxes, and the same graph gives the same picture."""

from __future__ import annotations

import itertools
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewright.console.layout import Box, Plan, lay_out

SIZE = (80.0, 40.0)
Sizes: TypeAlias = dict[int, tuple[float, float]]
Edges: TypeAlias = list[tuple[int, int]]


def overlap(one: Box, other: Box) -> bool:
    apart_x = abs(one.x - other.x) >= (one.width + other.width) / 2 - 1e-6
    apart_y = abs(one.y - other.y) >= (one.height + other.height) / 2 - 1e-6
    return not (apart_x or apart_y)


def check(plan: Plan, edges: Edges) -> None:
    for one, other in itertools.combinations(plan.boxes.values(), 2):
        assert not overlap(one, other)
    for box in plan.boxes.values():
        assert box.x - box.width / 2 >= -1e-6
        assert box.x + box.width / 2 <= plan.width + 1e-6
        assert box.y - box.height / 2 >= -1e-6
        assert box.y + box.height / 2 <= plan.height + 1e-6
    assert [(route.source, route.target) for route in plan.routes] == edges


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Sizes, Edges]:
    count = draw(st.integers(1, 9))
    side = st.floats(20, 240)
    sizes = {number: (draw(side), draw(side)) for number in range(count)}
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b]
    # Between two boxes stands a label in a real picture: two lines between the same boxes do not occur.
    edges = draw(st.lists(st.sampled_from(pairs), unique_by=frozenset, max_size=14)) if pairs else []
    return sizes, edges


@pytest.mark.slow
@given(graphs(), st.sampled_from(["down", "right"]))
def test_any_graph_is_laid_out(graph: tuple[Sizes, Edges], direction: str) -> None:
    """Boxes never overlap or leave the picture, whatever the graph: cycles, islands, one box."""
    sizes, edges = graph

    plan = lay_out(sizes, edges, to_the_right=direction == "right")

    check(plan, edges)
    assert {key: (box.width, box.height) for key, box in plan.boxes.items()} == sizes
    assert plan == lay_out(sizes, edges, to_the_right=direction == "right")


def test_layers_follow_the_lines() -> None:
    """What leads to a box stands above it; turned, to the left of it."""
    sizes, edges = dict.fromkeys(range(3), SIZE), [(0, 1), (1, 2), (0, 2)]

    down, right = lay_out(sizes, edges), lay_out(sizes, edges, to_the_right=True)

    assert down.boxes[0].y < down.boxes[1].y < down.boxes[2].y
    assert right.boxes[0].x < right.boxes[1].x < right.boxes[2].x


def test_lines_begin_and_end_at_their_boxes() -> None:
    """A line that passes a layer goes straight through it, from the edge of one box to the edge of the other."""
    sizes = dict.fromkeys(range(3), SIZE)

    plan = lay_out(sizes, [(0, 1), (1, 2), (0, 2)])

    route = plan.routes[2]
    assert len(route.runs) == 3
    begin, end, passing = route.runs[0][0], route.runs[-1][0], route.runs[1]
    assert begin[1] == pytest.approx(plan.boxes[0].y + SIZE[1] / 2)
    assert end[1] == pytest.approx(plan.boxes[2].y - SIZE[1] / 2)
    assert passing[0][0] == passing[1][0]
    assert passing[0][1] < plan.boxes[1].y < passing[1][1]


def test_way_back_leads_upwards() -> None:
    """A line that goes back leaves its box at the top, and arrives from below."""
    plan = lay_out(dict.fromkeys("abcd", SIZE), [("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")])

    begin, end = plan.routes[3].runs[0][0], plan.routes[3].runs[-1][0]
    assert begin[1] == pytest.approx(plan.boxes["d"].y - SIZE[1] / 2)
    assert end[1] == pytest.approx(plan.boxes["b"].y + SIZE[1] / 2)
