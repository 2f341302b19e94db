"""The pages: a frame with the picture in it, which the scripts fill with what is going on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from ..diagram import Graph
from .drawing import draw


@dataclass(frozen=True, slots=True)
class Frame:
    """What is the same on all pages of one mount."""

    base: str
    """Path of the console, without a slash at its end."""
    api: str
    """Path of the public API, without a slash at its end."""
    definitions: Sequence[str]
    has_letters: bool
    """Whether the store keeps dead letters."""
    has_session: bool = False
    """Whether the reader has shown a token, and may want to go."""

    def address(self, definition: str) -> str:
        """Return the path of a definition's page."""
        return f"{self.base}/workflows/{quote(definition, safe='')}"

    def page(self, title: str, script: str, main: str, **facts: str) -> str:
        """Return a whole page.

        Args:
            title: Its name.
            script: The module that enlivens it.
            main: What is in it: HTML.
            facts: What the script must know, as `data-` attributes of the body.
        """
        facts = {"base": self.base, "api": self.api, "letters": str(self.has_letters).lower(), **facts}
        data = " ".join(f'data-{name}="{escape(value)}"' for name, value in facts.items())
        asset = f"{escape(self.base)}/assets"
        return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)} · Statewright</title>
<link rel="icon" href="{asset}/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{asset}/console.css">
<script type="module" src="{asset}/{script}"></script>
</head>
<body {data}>
<a class="skip" href="#main">Skip to content</a>
<header class="top">
<a class="brand" href="{escape(self.base)}/"><img src="{asset}/icon.svg" alt="" width="22" height="22">Statewright</a>
<nav aria-label="Main">{self._links(facts)}</nav>
<p id="live" class="live" data-state="starting" role="status"><span class="dot" aria-hidden="true"></span>\
<span class="word">Connecting</span></p>
{self._leaving()}</header>
<main id="main" tabindex="-1">
{main}
</main>
<div id="announcer" class="unseen" aria-live="polite"></div>
<noscript><p class="notice">The console needs JavaScript: modules of its own, nothing from elsewhere.</p></noscript>
</body>
</html>
"""

    def _leaving(self) -> str:
        if not self.has_session:
            return ""
        action = f"{escape(self.api)}/_/session/end"
        return f'<form method="post" action="{action}"><button class="quiet">Sign out</button></form>\n'

    def _links(self, facts: Mapping[str, str]) -> str:
        here = facts.get("definition")
        links = [
            f'<a href="{escape(self.address(name))}"{_current(name == here)}>{escape(name)}</a>'
            for name in self.definitions
        ]
        if self.has_letters:
            links.append(
                f'<a href="{escape(self.base)}/dead-letters"{_current(facts.get("page") == "letters")}>Dead letters'
                '<span id="letter-count" class="badge" hidden></span></a>'
            )
        return "".join(links)

    def overview(self, graphs: Sequence[tuple[Graph, str, Mapping[str, int] | None]]) -> str:
        """Return the page that shows all definitions.

        Args:
            graphs: Each with its summary and how many workflows are in each state.
        """
        cards = "".join(
            f'<section class="card" data-definition="{escape(graph.definition)}" '
            f'aria-labelledby="of-{escape(graph.definition)}"><h2 id="of-{escape(graph.definition)}">'
            f'<a href="{escape(self.address(graph.definition))}">{escape(graph.definition)}</a></h2>'
            f'<p class="summary">{escape(summary)}</p>{self.picture(graph, counts)}</section>'
            for graph, summary, counts in graphs
        )
        return self.page("Workflows", "overview.js", f"<h1>Workflows</h1>{cards}", page="overview")

    def definition(self, graph: Graph, summary: str, counts: Mapping[str, int] | None) -> str:
        """Return a definition's page."""
        main = f"""<div class="heading"><div><h1>{escape(graph.definition)}</h1>
<p class="summary">{escape(summary)}</p></div><div id="actions" class="actions"></div></div>
<section class="card machine-card" aria-label="State machine">{self.picture(graph, counts)}</section>
<div class="columns wide-left">
<section class="card" aria-labelledby="list-title"><div class="bar"><h2 id="list-title">Workflows</h2>\
<div id="open"></div></div><div id="list"></div></section>
<section class="card" aria-labelledby="feed-title"><h2 id="feed-title">Activity</h2><div id="feed"></div></section>
</div>"""
        return self.page(graph.definition, "definition.js", main, page="definition", definition=graph.definition)

    def workflow(self, graph: Graph, id: str) -> str:
        """Return a workflow's page."""
        main = f"""<div class="heading"><div><p class="trail"><a href="{escape(self.address(graph.definition))}">\
{escape(graph.definition)}</a></p><h1 class="id">{escape(id)}</h1>
<p id="standing" class="standing"></p></div></div>
<div id="missing" class="notice" hidden></div>
<div id="workflow" hidden>
<section class="card machine-card" aria-label="State machine">{self.picture(graph, None)}</section>
<div class="columns workflow">
<section class="card" aria-labelledby="data-title"><div class="bar"><h2 id="data-title">Data</h2>\
<div id="travel" class="travel"></div></div><div id="data"></div></section>
<div class="side">
<section class="card" aria-labelledby="commands-title"><h2 id="commands-title">Commands</h2>\
<div id="commands"></div></section>
<section class="card" aria-labelledby="timers-title" id="timers-card" hidden><h2 id="timers-title">Timers</h2>\
<div id="timers"></div></section>
<section class="card" aria-labelledby="letters-title" id="letters-card" hidden>\
<h2 id="letters-title">Dead letters</h2><div id="letters"></div></section>
</div>
<section class="card" aria-labelledby="timeline-title"><h2 id="timeline-title">Timeline</h2>\
<div id="timeline"></div></section>
</div></div>"""
        facts = {"page": "workflow", "definition": graph.definition, "id": id}
        return self.page(id, "workflow.js", main, **facts)

    def letters(self) -> str:
        """Return the page of what was given up."""
        main = """<div class="heading"><div><h1>Dead letters</h1>
<p class="summary">Commands of timers and reactors that were given up. What follows from the same workflow waits.</p>
</div></div>
<section class="card" aria-label="Dead letters"><div id="letters"></div></section>
<section class="card" aria-labelledby="readers-title" id="readers-card" hidden><h2 id="readers-title">Readers</h2>
<div id="readers"></div></section>"""
        return self.page("Dead letters", "letters.js", main, page="letters")

    def missing(self) -> str:
        """Return the page for an address that leads nowhere."""
        main = f'<h1>Nothing here</h1><p>Go to <a href="{escape(self.base)}/">all workflows</a>.</p>'
        return self.page("Nothing here", "overview.js", main, page="missing")

    def picture(self, graph: Graph, counts: Mapping[str, int] | None) -> str:
        """Return a definition's picture, upright for narrow windows and lying for wide ones."""
        link = f"{self.address(graph.definition)}?state="
        drawn: list[Any] = [
            draw(graph, direction=direction, counts=counts, link=link) for direction in ("down", "right")
        ]
        return f'<div class="picture">{"".join(drawn)}</div>'


def _current(is_current: bool) -> str:  # noqa: FBT001 - it is all that there is to say
    return ' aria-current="page"' if is_current else ""
