"""Where the boxes of a picture stand, and which way the lines between them go; `grandalf` does the layering.

The layering runs downwards; a picture that runs to the right is the same one with its axes exchanged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from grandalf.graphs import Edge, Vertex, graph_core  # type: ignore[import-untyped]
from grandalf.layouts import SugiyamaLayout  # type: ignore[import-untyped]

Key: TypeAlias = Hashable
Point: TypeAlias = tuple[float, float]

_BETWEEN_LAYERS = 26.0
_BESIDE = 22.0
_LANE = 14.0
"""So wide is the way of a line through a layer that it only passes."""
_SPREAD = 16.0
"""So far apart do lines leave a box, where it is wide enough."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box in its place."""

    x: float
    """Of its middle, as `y`."""
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Route:
    """A line from a box to another: runs of points, curved from each run to the next."""

    source: Key
    target: Key
    runs: tuple[tuple[Point, Point], ...]
    """Each is passed straight; the first and the last are single points on the edge of a box."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A picture's layout; everything has coordinates from 0 to `width` and `height`."""

    boxes: Mapping[Key, Box]
    routes: tuple[Route, ...]
    width: float
    height: float

    def turned(self) -> Plan:
        """Return the plan with its axes exchanged."""
        boxes = {key: Box(box.y, box.x, box.height, box.width) for key, box in self.boxes.items()}
        routes = tuple(
            Route(route.source, route.target, tuple(((a[1], a[0]), (b[1], b[0])) for a, b in route.runs))
            for route in self.routes
        )
        return Plan(boxes, routes, self.height, self.width)


def lay_out(
    sizes: Mapping[Key, tuple[float, float]], edges: Sequence[tuple[Key, Key]], *, to_the_right: bool = False
) -> Plan:
    """Place boxes in layers, so that lines lead on from layer to layer where they can.

    Args:
        sizes: Width and height of each box. The first one is a root: everything else stands below what leads to it.
        edges: Pairs of different boxes, each at most once.
        to_the_right: Layers stand beside each other instead of below each other.

    Returns:
        The same plan for the same arguments.
    """
    if to_the_right:
        turned = {key: (height, width) for key, (width, height) in sizes.items()}
        return lay_out(turned, edges).turned()
    boxes: dict[Key, Box] = {}
    routes: list[Route] = []
    left = top = 0.0
    for keys in _connected(sizes, edges):
        own = [edge for edge in edges if edge[0] in keys]
        vertices = {key: _vertex(key, *sizes[key]) for key in keys}
        lines = [Edge(vertices[source], vertices[target]) for source, target in own]
        # Not grandalf's own `Graph`: it keeps a part's edges in a set, whose order is another one each time.
        part = graph_core(list(vertices.values()), lines)
        back = _leading_back(list(keys), own)
        placed = _Part(part, back)
        found = placed.boxes(left)
        boxes |= found
        routes += placed.routes(found)
        left = placed.right + 2 * _BESIDE
        top = max(top, placed.bottom)
    order = {edge: number for number, edge in enumerate(edges)}
    routes.sort(key=lambda route: order[route.source, route.target])
    return Plan(boxes, tuple(routes), max(left - 2 * _BESIDE, 0.0), top)


def _connected(keys: Iterable[Key], edges: Sequence[tuple[Key, Key]]) -> list[dict[Key, None]]:
    """Return the parts of the graph that no line connects, as ordered sets."""
    near: dict[Key, list[Key]] = {key: [] for key in keys}
    for source, target in edges:
        near[source].append(target)
        near[target].append(source)
    parts: list[dict[Key, None]] = []
    left = dict.fromkeys(near)
    while left:
        ahead, part = [next(iter(left))], set[Key]()
        while ahead:
            key = ahead.pop()
            if key not in part:
                part.add(key)
                ahead += near[key]
        parts.append({key: None for key in left if key in part})
        left = {key: None for key in left if key not in part}
    return parts


def _vertex(key: Key, width: float, height: float) -> Any:
    vertex: Any = Vertex(key)
    vertex.view = _View(width, height)
    return vertex


def _leading_back(keys: Sequence[Key], edges: Sequence[tuple[Key, Key]]) -> set[tuple[Key, Key]]:
    """Return the edges that close a cycle when the graph is walked from the first key on: the rest has none."""
    ahead: dict[Key, list[Key]] = defaultdict(list)
    for source, target in edges:
        ahead[source].append(target)
    done: set[Key] = set()
    back: set[tuple[Key, Key]] = set()
    for root in keys:
        # What is being walked through, each with the targets that are still to come: a deep graph is no deep stack.
        trail = [] if root in done else [(root, iter(ahead[root]))]
        while trail:
            source, targets = trail[-1]
            target = next(targets, None)
            if target is None:
                done.add(source)
                trail.pop()
            elif any(target == each for each, _ in trail):
                back.add((source, target))
            elif target not in done:
                trail.append((target, iter(ahead[target])))
    return back


class _View:
    """What `grandalf` knows of a box."""

    def __init__(self, width: float, height: float) -> None:
        self.w, self.h = width, height
        self.xy: Point = (0.0, 0.0)


class _Part:
    """One connected part of the graph, in layers."""

    def __init__(self, part: Any, back: Collection[tuple[Key, Key]]) -> None:
        self._part = part
        sugiyama: Any = SugiyamaLayout(part)
        sugiyama.xspace, sugiyama.yspace = _BESIDE, _BETWEEN_LAYERS
        sugiyama.dw = _LANE
        inverted = [edge for edge in part.sE if (edge.v[0].data, edge.v[1].data) in back]
        # Its own way of breaking cycles leaves some of them whole.
        sugiyama.init_all(roots=[], inverted_edges=inverted)
        sugiyama.draw(4)
        self._sugiyama = sugiyama
        self._keep_apart()
        tops = [min(v.view.xy[1] - v.view.h / 2 for v in layer) for layer in sugiyama.layers]
        bottoms = [max(v.view.xy[1] + v.view.h / 2 for v in layer) for layer in sugiyama.layers]
        self._bounds = list(zip(tops, bottoms, strict=True))
        self.right = 0.0
        self.bottom = max(bottoms)
        self._shift = 0.0

    def _keep_apart(self) -> None:
        # The mean of two alignments, which each keep their distances, need not keep them.
        for layer in self._sugiyama.layers:
            edge = float("-inf")
            for vertex in layer:
                x, y = vertex.view.xy
                x = max(x, edge + vertex.view.w / 2)
                vertex.view.xy = (x, y)
                edge = x + vertex.view.w / 2 + _BESIDE

    def boxes(self, left: float) -> dict[Key, Box]:
        """Return the boxes, the leftmost of them at `left`."""
        everything = [vertex.view for layer in self._sugiyama.layers for vertex in layer]
        self._shift = left - min(view.xy[0] - view.w / 2 for view in everything)
        self.right = self._shift + max(view.xy[0] + view.w / 2 for view in everything)
        return {
            vertex.data: Box(vertex.view.xy[0] + self._shift, vertex.view.xy[1], vertex.view.w, vertex.view.h)
            for vertex in self._part.sV
        }

    def routes(self, boxes: Mapping[Key, Box]) -> Iterator[Route]:
        """Yield the lines of this part."""
        ways = {(edge.v[0].data, edge.v[1].data): list(self._lanes(edge)) for edge in self._part.sE}
        ports = _ports(boxes, ways)
        for (source, target), lanes in ways.items():
            begin, end = ports[source, target, True], ports[source, target, False]
            yield Route(source, target, ((begin, begin), *lanes, (end, end)))

    def _lanes(self, edge: Any) -> Iterator[tuple[Point, Point]]:
        """Yield the ways through the layers that a line only passes, from its source to its target."""
        source, target = edge.v
        grx = self._sugiyama.grx
        is_downward = grx[source].rank < grx[target].rank
        control = self._sugiyama.ctrls.get(edge, {})
        for rank in sorted(control, reverse=not is_downward):
            if control[rank] not in (source, target):
                x = control[rank].view.xy[0] + self._shift
                top, bottom = self._bounds[rank]
                yield ((x, top), (x, bottom)) if is_downward else ((x, bottom), (x, top))


def _ports(
    boxes: Mapping[Key, Box], ways: Mapping[tuple[Key, Key], Sequence[tuple[Point, Point]]]
) -> dict[tuple[Key, Key, bool], Point]:
    """Return where each line leaves its source (`True`) and reaches its target (`False`)."""
    sides: dict[tuple[Key, bool], list[tuple[float, tuple[Key, Key, bool]]]] = defaultdict(list)
    for (source, target), lanes in ways.items():
        ahead = lanes[0][0] if lanes else (boxes[target].x, boxes[target].y)
        behind = lanes[-1][1] if lanes else (boxes[source].x, boxes[source].y)
        sides[source, ahead[1] > boxes[source].y].append((ahead[0], (source, target, True)))
        sides[target, behind[1] > boxes[target].y].append((behind[0], (source, target, False)))
    ports: dict[tuple[Key, Key, bool], Point] = {}
    for (key, is_below), ends in sides.items():
        box = boxes[key]
        gap = min(_SPREAD, box.width * 0.7 / len(ends))
        y = box.y + box.height / 2 if is_below else box.y - box.height / 2
        for number, (_, end) in enumerate(sorted(ends, key=lambda each: each[0])):
            ports[end] = (box.x + (number - (len(ends) - 1) / 2) * gap, y)
    return ports
