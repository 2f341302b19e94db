"""The machine as SVG: a box for each state, a label for the commands that lead from one to the next.

The picture holds no style of its own, only classes; `console.css` knows what they look like.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import quote
from xml.sax.saxutils import escape

from ..diagram import Graph
from ..diagram._analysis import analyse_graph
from .layout import Box, Key, Plan, Route, lay_out

Direction: TypeAlias = Literal["down", "right"]

HUES = 8
"""So many colours of states there are before they begin again."""

_BEGIN = "begin"
_CHARACTER = 7.4
_SMALL_CHARACTER = 6.3
_LINE = 15.0
_MARGIN = 6.0
_LONGEST = 24
"""A longer name is cut off in the picture; its title keeps it whole."""
_SPACE = 32
_DELETE = 127


@dataclass(frozen=True, slots=True)
class _State:
    name: str
    stays: tuple[str, ...]
    """Commands that leave it where it is."""
    is_end: bool
    hue: int
    head: float
    """So high is what stands above the commands: the name, and the count below it."""

    def size(self) -> tuple[float, float]:
        widths = [_width(self.name, _CHARACTER) + 26.0, 96.0]
        widths += [_width(line, _SMALL_CHARACTER) + 40.0 for line in self.lines()]
        return min(max(widths), 250.0), self.head + _LINE * len(self.lines())

    def lines(self) -> list[str]:
        return [f"↻ {_short(command)}" for command in self.stays]


def draw(
    graph: Graph, *, direction: Direction = "down", counts: Mapping[str, int] | None = None, link: str | None = None
) -> str:
    """Return a definition's picture as one `<svg>` element.

    Args:
        graph: What is drawn.
        direction: Where the layers lead to.
        counts: How many workflows are in each state; without it no counts are shown.
        link: What a state's name is put behind to make the address that it leads to; without it states are no links.

    Returns:
        The same text for the same arguments; well-formed XML.
    """
    return _Picture(graph, direction, counts).svg(link)


class _Picture:
    def __init__(self, graph: Graph, direction: Direction, counts: Mapping[str, int] | None) -> None:
        self._graph = graph
        self._counts = counts
        head = 44.0 if counts is None else 58.0
        self._direction: Direction = direction
        ends = analyse_graph(graph).ends
        self._states = {
            name: _State(name, _stays(graph, name), name in ends, number % HUES, head)
            for number, name in enumerate(graph.states)
        }
        self._edges = [edge for edge in graph.edges() if edge[0] != edge[1]]
        self._plan = self._laid_out()

    def _laid_out(self) -> Plan:
        sizes: dict[Key, tuple[float, float]] = {}
        edges: list[tuple[Key, Key]] = []
        if any(source is None for source, _, _ in self._edges):
            sizes[_BEGIN, ""] = (18.0, 18.0)
        sizes |= {("state", name): state.size() for name, state in self._states.items()}
        for number, (source, target, commands) in enumerate(self._edges):
            label = ("label", number)
            width = max(_width(_short(command), _SMALL_CHARACTER) for command in commands) + 16.0
            sizes[label] = (width, 8.0 + _LINE * len(commands))
            edges += [(_source(source), label), (label, ("state", target))]
        return lay_out(sizes, edges, to_the_right=self._direction == "right")

    def svg(self, link: str | None) -> str:
        plan = self._plan
        width, height = (_number(side + 2 * _MARGIN) for side in (plan.width, plan.height))
        sides = f"{_number(-_MARGIN)} {_number(-_MARGIN)} {width} {height}"
        spoken = _quoted(f"States of {self._graph.definition}")
        parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" class="machine machine-{self._direction}" '
                f'role="group" aria-label={spoken} viewBox="{sides}" width="{width}" height="{height}">'
            ),
            self._arrowhead(),
            '<g class="lines" aria-hidden="true">',
            *(self._line(route) for route in plan.routes),
            "</g>",
            '<g class="labels" aria-hidden="true">',
            *(self._label(number) for number in range(len(self._edges))),
            "</g>",
            *self._begin(),
            *(self._state(state, link) for state in self._states.values()),
            "</svg>",
        ]
        return "\n".join(parts)

    def _arrowhead(self) -> str:
        # Two pictures of one page each have a marker of their own: the hidden one's would not be drawn.
        return (
            f'<defs><marker id="arrow-{self._direction}" class="arrowhead" viewBox="0 0 8 8" refX="7" refY="4" '
            'markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto-start-reverse">'
            '<path d="M0 0.5 L7.5 4 L0 7.5 z"/></marker></defs>'
        )

    def _line(self, route: Route) -> str:
        key = route.source if isinstance(route.source, tuple) and route.source[0] == "label" else route.target
        source, target, commands = self._edges[_index(key)]
        head = f' marker-end="url(#arrow-{self._direction})"' if route.source == key else ""
        return f'<path class="line"{_edge_data(source, target, commands)} d="{self._curve(route)}"{head}/>'

    def _curve(self, route: Route) -> str:
        (begin, at), *rest = route.runs
        drawn = [f"M{_number(begin[0])} {_number(begin[1])}"]
        for start, end in rest:
            drawn.append(self._bend(at, start))
            if end != start:
                drawn.append(f"L{_number(end[0])} {_number(end[1])}")
            at = end
        return " ".join(drawn)

    def _bend(self, a: tuple[float, float], b: tuple[float, float]) -> str:
        """Return a curve that leaves and arrives in the direction of the layers."""
        if self._direction == "down":
            middle = (a[1] + b[1]) / 2
            points = (a[0], middle, b[0], middle, *b)
        else:
            middle = (a[0] + b[0]) / 2
            points = (middle, a[1], middle, b[1], *b)
        return f"C{' '.join(map(_number, points))}"

    def _label(self, number: int) -> str:
        source, target, commands = self._edges[number]
        box = self._plan.boxes["label", number]
        first = box.y - _LINE * (len(commands) - 1) / 2
        lines = [
            f'<text x="{_number(box.x)}" y="{_number(first + _LINE * row + 4)}" text-anchor="middle">'
            f"{_text(_short(command))}</text>"
            for row, command in enumerate(commands)
        ]
        return f'<g class="label"{_edge_data(source, target, commands)}>{_rect(box, 9)}{"".join(lines)}</g>'

    def _begin(self) -> Iterator[str]:
        box = self._plan.boxes.get((_BEGIN, ""))
        if box is not None:
            yield f'<circle class="begin" cx="{_number(box.x)}" cy="{_number(box.y)}" r="7" aria-hidden="true"/>'

    def _state(self, state: _State, link: str | None) -> str:
        box = self._plan.boxes["state", state.name]
        classes = f"state hue-{state.hue}{' is-end' if state.is_end else ''}"
        count = None if self._counts is None else self._counts.get(state.name, 0)
        spoken = state.name if count is None else f"{state.name}: {count}"
        inner = [f"<title>{_text(spoken)}</title>", _rect(box, 10)]
        if state.is_end:
            inner.append(_rect(Box(box.x, box.y, box.width - 7, box.height - 7), 7, "inner"))
        inner += self._content(state, box, count)
        attributes = f'class="{classes}" data-state={_quoted(state.name)}'
        if link is None:
            return f'<g {attributes} role="img" aria-label={_quoted(spoken)}>{"".join(inner)}</g>'
        href = _quoted(link + quote(state.name, safe=""))
        return f"<a {attributes} href={href} aria-label={_quoted(spoken)}>{''.join(inner)}</a>"

    def _content(self, state: _State, box: Box, count: int | None) -> Iterator[str]:
        top = box.y - box.height / 2
        yield _words("name", box.x, top + (24 if count is not None else 27), _short(state.name))
        if count is not None:
            yield _words("count", box.x, top + 46, str(count))
        for row, line in enumerate(state.lines()):
            yield _words("stays", box.x, top + state.head + 4 + _LINE * row, line)


def _source(state: str | None) -> Key:
    return (_BEGIN, "") if state is None else ("state", state)


def _index(key: Key) -> int:
    return int(key[1]) if isinstance(key, tuple) else 0


def _stays(graph: Graph, state: str) -> tuple[str, ...]:
    return tuple(arrow.command for arrow in graph.leaving(state) if state in arrow.targets)


def _edge_data(source: str | None, target: str, commands: Sequence[str]) -> str:
    begin = "" if source is None else f" data-source={_quoted(source)}"
    # A space may be part of a stored name; a slash may not.
    return f"{begin} data-target={_quoted(target)} data-commands={_quoted('/'.join(commands))}"


def _rect(box: Box, radius: float, name: str = "box") -> str:
    x, y = _number(box.x - box.width / 2), _number(box.y - box.height / 2)
    return (
        f'<rect class="{name}" x="{x}" y="{y}" width="{_number(box.width)}" height="{_number(box.height)}" '
        f'rx="{_number(radius)}"/>'
    )


def _words(name: str, x: float, y: float, text: str) -> str:
    return f'<text class="{name}" x="{_number(x)}" y="{_number(y)}" text-anchor="middle">{_text(text)}</text>'


def _width(text: str, character: float) -> float:
    """Return how wide a text is at most, roughly: nobody knows the reader's font."""
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return (len(text) + wide * 0.8) * character


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(text: str) -> str:
    return escape(_printable(text))


def _quoted(text: str) -> str:
    # Always in double quotes, so that nobody has to look for the other kind.
    return f'"{escape(_printable(text), {chr(34): "&quot;"})}"'


def _printable(text: str) -> str:
    """Return a text without what XML has no way to write."""
    return "".join(each if each >= chr(_SPACE) and each != chr(_DELETE) else "�" for each in text)
