"""The console in a real browser, in front of a real server.

It needs playwright (`uv run --group browser pytest -m browser`) and a Chromium: the one that the environment variable
`STATEWRIGHT_CHROMIUM` names, or one on the path. Screenshots stay in `test-output/console/`.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from statewright import SQLiteStore, WorkflowExecutor

from .trips import Book, Furnish, Move, Plan, halls, trips

sync_api: Any = pytest.importorskip("playwright.sync_api", reason="the group `browser` is not installed")

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("STATEWRIGHT_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OUTPUT = Path(__file__).parents[2] / "test-output" / "console"
SERVER = Path(__file__).with_name("trips.py")
SIZES = {"phone": (390, 844), "laptop": (1280, 800), "wide": (1920, 1080)}
A_TRIP = {"destination": "Oslo", "means": "boat", "leaves": "2030-05-01T08:00:00Z", "price": "120.50", "seats": 2}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the path"),
]


@dataclass
class Site:
    address: str
    file: Path

    def send(self, id: str, *commands: Any) -> None:
        """Execute commands in this process, which is not the server's."""

        async def send() -> None:
            async with SQLiteStore(self.file) as store:
                for command in commands:
                    router: Any = halls if isinstance(command, Furnish) else trips
                    (await WorkflowExecutor(router, store).execute(id, command)).unwrap()

        # Playwright keeps a loop running in this thread.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, send()).result()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    file = tmp_path / "trips.db"
    with subprocess.Popen(
        [sys.executable, str(SERVER), str(file)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            assert port
            yield Site(f"http://127.0.0.1:{port}/console", file)
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Watch:
    """Sees what no page may do."""

    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def over(self, page: Any) -> Any:
        page.on("console", lambda message: message.type in ("error", "warning") and self._complain(message))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2].split(":")[0]))
        page.set_default_timeout(15_000)
        return page

    def _complain(self, message: Any) -> None:
        # The browser itself writes down each answer that is no success; refusals are what some tests ask for.
        if not re.search(r"the server responded with a status of 4(04|09|12|22)", message.text):
            self.complaints.append(message.text)


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    assert watch.complaints == []
    assert watch.hosts <= {"127.0.0.1"}


@pytest.fixture
def page(chromium: Any, watch: Watch) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, timezone_id="UTC")
    yield watch.over(context.new_page())
    context.close()


def expect(locator: Any) -> Any:
    return sync_api.expect(locator)


def shoot(page: Any, name: str) -> None:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(OUTPUT / f"{name}.png"), full_page=True)


def test_create_by_form(site: Site, page: Any) -> None:
    """A workflow is created by a form with every kind of field; what the server finds wrong stands beside its field."""
    page.goto(f"{site.address}/workflows/trip")
    page.get_by_role("button", name="New").click()
    dialog = page.get_by_role("dialog", name="New trip")
    dialog.get_by_role("button", name="Plan").click()
    expect(dialog.get_by_text("A new workflow needs an id.").first).to_be_visible()
    dialog.get_by_label("Id", exact=True).fill("t-1")
    dialog.get_by_label("Destination").fill("O")
    dialog.get_by_label("Means").select_option(label="boat")
    dialog.get_by_label("Leaves").fill("2030-05-01T08:00")
    dialog.get_by_label("Seats").fill("many")
    dialog.get_by_role("button", name="Add to travellers").click()
    dialog.get_by_label("Name").fill("Ada")
    dialog.get_by_label("Insurance").check()
    dialog.get_by_label("Number").fill("nothing")
    dialog.get_by_role("button", name="Plan").click()

    expect(dialog.get_by_label("Destination")).to_have_accessible_description(re.compile("at least 2 characters"))
    expect(dialog.get_by_label("Price")).to_have_accessible_description(re.compile("Field required"))
    expect(dialog.get_by_label("Seats")).to_have_accessible_description(re.compile("valid integer"))
    expect(dialog.get_by_label("Born")).to_have_accessible_description(re.compile("Field required"))
    expect(dialog.get_by_label("Number")).to_have_accessible_description(re.compile("match pattern"))
    expect(dialog.get_by_label("Destination")).to_be_focused()
    shoot(page, "create-field-errors")

    dialog.get_by_label("Destination").fill("Oslo")
    dialog.get_by_label("Price").fill("120.50")
    dialog.get_by_label("Seats").fill("2")
    dialog.get_by_label("Born").fill("1990-02-03")
    dialog.get_by_label("Is vegetarian").check()
    dialog.get_by_label("Number").fill("NO17")
    dialog.get_by_role("button", name="Plan").click()

    expect(page.get_by_role("heading", name="t-1")).to_be_visible()
    expect(page.locator("#standing")).to_contain_text("Planned")
    data = page.locator("#data")
    for text in ("Oslo", "boat", "2030-05-01T08:00:00Z", "120.50", "Ada", "1990-02-03", "yes", "NO17"):
        expect(data).to_contain_text(text)


def test_command_and_refusal(site: Site, page: Any) -> None:
    """A refusal by the domain is told in plain words with its facts; what is accepted moves the page along."""
    site.send("t-1", Plan.model_validate(A_TRIP))
    page.goto(f"{site.address}/workflows/trip/t-1")
    page.locator("summary", has_text="Book").click()
    form = page.get_by_role("form", name="Book")
    form.get_by_label("Amount").fill("1")
    form.get_by_role("button", name="Book").click()

    alert = form.get_by_role("alert")
    expect(alert).to_contain_text("Wrong amount")
    expect(alert).to_contain_text("due120.50")
    shoot(page, "domain-error")

    form.get_by_label("Amount").fill("120.50")
    form.get_by_role("button", name="Book").click()

    expect(page.locator("#standing")).to_contain_text("Booked")
    expect(page.locator("#commands")).to_contain_text("Accepted. It is Booked now, at version 2.")
    expect(page.get_by_role("link", name="Booked: current state")).to_be_visible()
    expect(page.locator("#timeline")).to_contain_text("TripBooked")
    expect(page.locator("summary", has_text="Finish")).to_be_visible()
    expect(page.locator("summary", has_text="Book")).to_have_count(0)


def test_changes_of_another_process_appear(site: Site, page: Any) -> None:
    """What another process saves is on both pages without a reload; a form that is being filled in stays as it is."""
    site.send("t-1", Plan.model_validate(A_TRIP))
    other = page.context.new_page()
    page.goto(f"{site.address}/workflows/trip/t-1")
    other.goto(f"{site.address}/workflows/trip")
    expect(page.locator("#live")).to_have_text("Live")
    expect(other.locator("#live")).to_have_text("Live")
    expect(other.get_by_role("link", name="Planned: 1")).to_be_visible()
    page.locator("summary", has_text="Book").click()
    page.get_by_role("form", name="Book").get_by_label("Amount").fill("77")

    site.send("t-1", Move.model_validate({"leaves": "2030-06-01T08:00:00Z"}))
    expect(page.locator("#version")).to_have_text("2")
    expect(page.locator("#data")).to_contain_text("2030-06-01")
    expect(page.get_by_role("form", name="Book").get_by_label("Amount")).to_have_value("77")

    site.send("t-1", Book(amount=Decimal("120.50")))
    expect(page.locator("#standing")).to_contain_text("Booked")
    expect(other.get_by_role("link", name="Booked: 1")).to_be_visible()
    expect(other.locator("#feed")).to_contain_text("Book t-1")
    expect(other.get_by_role("row", name=re.compile("t-1 Booked 3"))).to_be_visible()


def test_time_travel(site: Site, page: Any) -> None:
    """The slider shows each version's data and state, marks what it changed, and leads back to now."""
    moved = Move.model_validate({"leaves": "2031-01-01T00:00:00Z"})
    site.send("t-1", Plan.model_validate(A_TRIP), moved, Book(amount=Decimal("120.50")))
    page.goto(f"{site.address}/workflows/trip/t-1")
    slider = page.get_by_role("slider", name="Version")
    expect(slider).to_have_value("3")

    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#data .is-changed")).to_contain_text("leaves")
    expect(page.locator("#data")).to_contain_text("2031-01-01")
    expect(page.get_by_role("link", name="Planned: current state")).to_be_visible()
    page.keyboard.press("Home")
    expect(page.locator("#data")).to_contain_text("2030-05-01")
    expect(slider).to_have_attribute("aria-valuetext", "1 of 3, Planned")
    assert page.url.endswith("?version=1")
    shoot(page, "time-travel")

    page.reload()
    expect(slider).to_have_value("1")
    page.get_by_role("button", name="Back to now").click()
    expect(page.get_by_role("link", name="Booked: current state")).to_be_visible()
    expect(page.locator("#timeline")).to_contain_text("2030-05-01T08:00:00Z → 2031-01-01T00:00:00Z")


def test_dead_letter_is_retried(site: Site, page: Any) -> None:
    """A command that was given up is shown with its reason, and delivered after what was wrong has been put right."""
    site.send("main", Furnish(seats=1))
    site.send("t-1", Plan.model_validate(A_TRIP), Book(amount=Decimal("120.50")))
    page.goto(f"{site.address}/dead-letters")
    letter = page.get_by_role("listitem").filter(has_text="Reserve")
    expect(letter).to_contain_text("hall main")
    expect(letter).to_contain_text("SoldOut")
    expect(page.locator("#letter-count")).to_have_text("1")
    shoot(page, "dead-letters")

    site.send("main", Furnish(seats=5))
    letter.get_by_role("button", name="Retry Reserve").click()

    expect(page.get_by_text("There are none")).to_be_visible()
    page.goto(f"{site.address}/workflows/hall/main")
    expect(page.locator("#timeline")).to_contain_text("6 → 4")


def test_dead_letter_is_dropped(site: Site, page: Any) -> None:
    """Dropping asks once more, and leaves the workflow that it was meant for as it is."""
    site.send("main", Furnish(seats=1))
    site.send("t-1", Plan.model_validate(A_TRIP), Book(amount=Decimal("120.50")))
    page.goto(f"{site.address}/workflows/trip/t-1")
    letter = page.get_by_role("listitem").filter(has_text="Reserve")
    letter.get_by_role("button", name="Drop Reserve").click()
    letter.get_by_role("button", name="Drop for good").click()

    expect(page.get_by_role("heading", name="Dead letters")).to_be_hidden()
    page.goto(f"{site.address}/workflows/hall/main")
    expect(page.locator("#version")).to_have_text("1")


def test_keyboard_only(site: Site, page: Any) -> None:
    """Everything can be reached and done without a mouse, beginning with a link past the head of the page."""
    site.send("t-1", Plan.model_validate(A_TRIP))
    page.goto(f"{site.address}/workflows/trip")
    expect(page.get_by_role("row", name=re.compile("t-1"))).to_be_visible()

    def tab_to(locator: Any) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if locator.evaluate("element => element === document.activeElement"):
                return
        pytest.fail(f"no way to {locator} by the keyboard")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page.get_by_role("link", name="Planned: 1"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("state=Planned"))
    tab_to(page.get_by_role("row", name=re.compile("t-1")).get_by_role("link"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="t-1")).to_be_visible()
    tab_to(page.locator("summary", has_text="Book"))
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("120.50")
    page.keyboard.press("Enter")

    expect(page.locator("#standing")).to_contain_text("Booked")


def test_id_that_does_not_exist_offers_to_create(site: Site, page: Any) -> None:
    """The page of an id that nobody has used says so, and offers what creates."""
    page.goto(f"{site.address}/workflows/hall/side")
    expect(page.get_by_text("There is no hall with this id yet.")).to_be_visible()
    page.locator("summary", has_text="Furnish").click()
    page.get_by_label("Seats").fill("3")
    page.get_by_role("button", name="Furnish").click()

    expect(page.locator("#standing")).to_contain_text("Hall")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_fit_their_window(site: Site, chromium: Any, watch: Watch, size: str, scheme: str) -> None:
    """No page is wider than its window, at no size and in no colours; a picture of each is kept."""
    site.send("main", Furnish(seats=1))
    for number in range(1, 9):
        site.send(f"t-{number}", Plan.model_validate(A_TRIP))
    site.send("t-1", Book(amount=Decimal("120.50")))
    width, height = SIZES[size]
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = watch.over(context.new_page())
    pages = {
        "overview": "/",
        "definition": "/workflows/trip",
        "workflow": "/workflows/trip/t-1",
        "letters": "/dead-letters",
    }
    for name, path in pages.items():
        page.goto(f"{site.address}{path}")
        expect(page.locator("#live")).to_have_text("Live")
        page.evaluate("document.fonts.ready")
        shoot(page, f"{name}-{size}-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
