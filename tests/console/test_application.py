"""The console over ASGI: pages, files, and the data that they read."""

from __future__ import annotations

from decimal import Decimal
from html.parser import HTMLParser
from typing import Annotated, Any
from xml.etree import ElementTree as ET

import httpx2
import pytest
from pydantic import BaseModel
from starlette.applications import Starlette

from statewright import MemoryStore, Workflow, WorkflowExecutor, WorkflowRouter
from statewright._mark import ServerOnly
from statewright.console import create_console
from statewright.console.application import POLICY
from statewright.console.asset import assets
from statewright.demo.order import AddItem, Open, Place

from .conftest import foreign_addresses

PAGES = ["/workflows/demo-order", "/workflows/demo-order/o-1", "/dead-letters", "/nowhere"]


async def fill(executor: WorkflowExecutor[Any]) -> None:
    mug = AddItem(article="mug", unit_price=Decimal("8.95"))
    for command in (Open(customer="Ada"), mug, Place()):
        (await executor.execute("o-1", command)).unwrap()


@pytest.mark.parametrize("path", [*PAGES, "/assets/console.css", "/assets/none.js", "/data/demo-order", "/data/none"])
async def test_every_answer_is_guarded(browser: httpx2.AsyncClient, path: str) -> None:
    """Whatever is answered, the browser is told to run and load nothing that is not ours."""
    answer = await browser.get(f"/shop/console{path}")

    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "'unsafe" not in POLICY


class Reader(HTMLParser):
    """Collects what a strict policy would refuse, and what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.loaded: list[str] = []
        self._open = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._open = tag
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        if tag in ("script", "img", "link"):
            self.loaded.append(given.get("src") or given.get("href") or "")

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style") and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


@pytest.mark.parametrize("path", PAGES)
async def test_pages_keep_to_the_policy(browser: httpx2.AsyncClient, path: str) -> None:
    """No page holds a script or style of its own, and everything that it loads is there, below its own mount."""
    page = await browser.get(f"/shop/console{path}")
    reader = Reader()
    reader.feed(page.text)

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert reader.inline == []
    assert len(reader.loaded) >= 3
    for address in reader.loaded:
        assert address.startswith("/shop/console/assets/")
        assert (await browser.get(address)).status_code == 200
    assert foreign_addresses(page.text) == []


@pytest.mark.parametrize("name", sorted(assets()))
async def test_asset_has_its_type_and_is_sent_once(browser: httpx2.AsyncClient, name: str) -> None:
    """A file comes with its media type and an ETag, and not again to whoever has it."""
    types = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}

    first = await browser.get(f"/shop/console/assets/{name}")
    again = await browser.get(f"/shop/console/assets/{name}", headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["content-type"] == types[name.rpartition(".")[2]]
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert foreign_addresses(first.text) == []


@pytest.mark.parametrize("name", sorted(each for each in assets() if each.endswith(".js")))
def test_modules_import_each_other_only(name: str) -> None:
    """A script imports nothing but the files beside it, and every one that it names is there."""
    text = assets()[name].body.decode()
    imported = [line.rpartition('from "')[2].strip('";') for line in text.splitlines() if line.startswith("import ")]

    assert {each.removeprefix('import "').removeprefix("./") for each in imported} <= set(assets())


async def test_one_definition_is_shown_at_once(browser: httpx2.AsyncClient) -> None:
    """Where there is one definition only, its page is the first page."""
    answer = await browser.get("/shop/console/")

    assert (answer.status_code, answer.headers["location"]) == (307, "/shop/console/workflows/demo-order")


async def test_page_shows_counts_before_any_script_runs(
    browser: httpx2.AsyncClient, executor: WorkflowExecutor[Any]
) -> None:
    """The picture comes with the page, counted."""
    await fill(executor)

    page = (await browser.get("/shop/console/workflows/demo-order")).text

    assert 'aria-label="Placed: 1"' in page
    assert 'href="/shop/console/workflows/demo-order?state=Placed"' in page


async def test_id_is_text(browser: httpx2.AsyncClient) -> None:
    """An id is shown as it is, whatever it holds; slashes do not lead elsewhere."""
    page = await browser.get("/shop/console/workflows/demo-order/a%2Fb<img src=x onerror=y>")

    assert page.status_code == 200
    assert "<img src=x" not in page.text
    assert "a/b&lt;img src=x onerror=y&gt;" in page.text


async def test_description(browser: httpx2.AsyncClient) -> None:
    """A page knows which commands are allowed in which state, and has a form for each of them."""
    found = (await browser.get("/shop/console/data/demo-order")).json()

    assert found["creations"] == ["Open"]
    assert found["allowed"]["Basket"] == ["AddItem", "RemoveItem", "Place", "Cancel"]
    assert found["allowed"]["Delivered"] == []
    assert [each["name"] for each in found["states"] if each["is_end"]] == ["Delivered", "Cancelled"]
    fields = found["commands"]["AddItem"]["form"]["fields"]
    assert [each["kind"] for each in fields] == ["text", "decimal", "integer"]
    assert found["commands"]["Place"]["form"]["fields"] == []


async def test_diagram_is_a_file_of_its_own(browser: httpx2.AsyncClient) -> None:
    """The picture can be had as SVG, in both directions."""
    for direction in ("down", "right"):
        answer = await browser.get("/shop/console/data/demo-order/diagram.svg", params={"direction": direction})

        assert answer.headers["content-type"].startswith("image/svg+xml")
        assert ET.fromstring(answer.text).attrib["class"] == f"machine machine-{direction}"


async def test_timeline_says_what_changed(browser: httpx2.AsyncClient, executor: WorkflowExecutor[Any]) -> None:
    """Each commit comes with the differences that it made; pages go back and on from a version."""
    await fill(executor)

    async def timeline(**query: int) -> list[dict[str, Any]]:
        answer = await browser.get("/shop/console/data/demo-order/timeline/o-1", params=query)
        assert answer.json()["entered_at"] is not None
        return list(answer.json()["commits"])

    line = {"article": "mug", "quantity": 1, "unit_price": "8.95"}
    commits = await timeline()
    assert [each["version"] for each in commits] == [1, 2, 3]
    assert commits[1]["changes"] == [{"kind": "added", "path": ["lines", 0], "after": line}]
    assert {tuple(each["path"]) for each in commits[2]["changes"]} >= {("purchase",), ("placed_at",), ("lines",)}
    assert [each["version"] for each in await timeline(before=3, limit=1)] == [2]
    assert [each["version"] for each in await timeline(after=2)] == [3]
    assert await timeline(before=1) == []


async def test_recent_commits(browser: httpx2.AsyncClient, executor: WorkflowExecutor[Any]) -> None:
    """The feed begins with what happened last, and the stream goes on where it ends."""
    await fill(executor)

    found = (await browser.get("/shop/console/data/demo-order/recent")).json()

    assert found["position"] == found["commits"][-1]["position"] == 3
    assert [each["command"]["type"] for each in found["commits"]] == ["Open", "AddItem", "Place"]


async def test_bad_id_is_the_askers_fault(browser: httpx2.AsyncClient) -> None:
    """An id that can be none is refused, without a word of what is inside."""
    answer = await browser.get(f"/shop/console/data/demo-order/timeline/{'x' * 300}")

    assert (answer.status_code, answer.json()["category"]) == (422, "validation")


class Kept(BaseModel):
    open: str
    hidden: Annotated[str, ServerOnly]


class Keep(BaseModel):
    open: str
    hidden: Annotated[str, ServerOnly] = "SECRET"


class Safe(Workflow[Kept, Keep], name="safe"):
    """Keeps something."""


safe = WorkflowRouter(Safe)


@safe.on
def keep(_: None, command: Keep) -> Kept:
    return Kept(open=command.open, hidden=command.hidden)


async def test_server_only_values_stay() -> None:
    """No page and no data of the console holds what is for the server only; not even the default of a command."""
    executor = WorkflowExecutor(safe, MemoryStore())
    (await executor.execute("s-1", Keep(open="yes", hidden="SECRET"))).unwrap()
    app: Starlette = create_console([executor], executor.store)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://127.0.0.1") as browser:
        paths = ["/workflows/safe", "/workflows/safe/s-1", "/data/safe", "/data/safe/recent", "/data/safe/timeline/s-1"]
        texts = [(await browser.get(path)).text for path in paths]

    assert [text for text in texts if "SECRET" in text] == []
    # What a command takes is asked for by its name; what is kept of it is shown to nobody.
    assert [text for text in texts[3:] if "hidden" in text] == []
    assert '"open"' in texts[-1]
