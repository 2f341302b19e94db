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
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from statewright import SQLiteStore, WorkflowExecutor
from statewright._model.address import WORDS

from .trips import LONG, STAGES, Book, Furnish, Move, Plan, Run, Start, halls, marathons, trips

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
DEMO = [sys.executable, "-c", "from statewright.cli import main; main()", "demo", "--serve"]
SIZES = {"phone": (390, 844), "laptop": (1280, 800), "wide": (1920, 1080)}
ROUTERS: dict[type[Any], Any] = {Furnish: halls, Start: marathons, Run: marathons}
A_TRIP = {"destination": "Oslo", "means": "boat", "leaves": "2030-05-01T08:00:00Z", "price": "120.50", "seats": 2}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the path"),
]


@dataclass
class Site:
    """A server, and the file that it keeps everything in."""

    file: Path
    token: str | None = None
    port: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/console"

    def start(self) -> None:
        """Start the server; once more, where it was before."""
        arguments = [str(self.file), str(self.port), *([] if self.token is None else [self.token])]
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), *arguments], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline().strip()
        assert said
        self.port = int(said)

    def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def send(self, id: str, *commands: Any) -> None:
        """Execute commands in this process, which is not the server's."""

        async def send() -> None:
            async with SQLiteStore(self.file) as store:
                for command in commands:
                    router: Any = ROUTERS.get(type(command), trips)
                    (await WorkflowExecutor(router, store).execute(id, command)).unwrap()

        # Playwright keeps a loop running in this thread.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, send()).result()


@contextmanager
def running(site: Site) -> Iterator[Site]:
    site.start()
    try:
        yield site
    finally:
        site.stop()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(Site(tmp_path / "trips.db")) as site:
        yield site


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
    allowed: str = r"the server responded with a status of 4(04|09|12|22)"
    """The browser itself writes down each answer that is no success; refusals are what some tests ask for."""

    def over(self, page: Any) -> Any:
        page.on("console", lambda message: message.type in ("error", "warning") and self._complain(message))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2].split(":")[0]))
        page.set_default_timeout(15_000)
        return page

    def _complain(self, message: Any) -> None:
        if not re.search(self.allowed, message.text):
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


def test_keyboard_only_for_what_moves_and_asks(site: Site, page: Any) -> None:
    """Slider, dialog, and both buttons of a dead letter obey the keyboard, and give the focus back."""
    site.send("main", Furnish(seats=1))
    site.send("t-1", Plan.model_validate(A_TRIP), Book(amount=Decimal("120.50")))
    page.goto(f"{site.address}/workflows/trip")
    new = page.get_by_role("button", name="New")
    new.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="New trip")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(new).to_be_focused()

    page.goto(f"{site.address}/workflows/trip/t-1")
    retry = page.get_by_role("button", name="Retry Reserve")
    expect(retry).to_be_visible()
    site.send("main", Furnish(seats=5))
    retry.focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Drop Reserve")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Drop for good")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(retry).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Dead letters")).to_be_hidden()

    page.goto(f"{site.address}/workflows/hall/main")
    expect(page.locator("#timeline")).to_contain_text("6 → 4")


def test_timers_are_shown_until_they_are_due(site: Site, page: Any) -> None:
    """A timer appears when a command sets it, says when it is due, and is gone when it has fired."""
    site.send("t-1", Plan.model_validate(A_TRIP), Book(amount=Decimal("120.50")))
    page.goto(f"{site.address}/workflows/trip/t-1")
    timers = page.locator("#timers-card")
    expect(page.locator("#live")).to_have_text("Live")
    expect(timers).to_be_hidden()
    page.locator("summary", has_text="Alert").click()
    form = page.get_by_role("form", name="Alert")
    form.get_by_label("Seconds").fill("90000")
    form.get_by_role("button", name="Alert").click()

    expect(timers).to_contain_text("Remind")
    expect(timers).to_contain_text("note pack")
    expect(timers.locator("time")).to_have_text("in 1 d")
    shoot(page, "timers")

    form.get_by_label("Seconds").fill("0")
    form.get_by_role("button", name="Alert").click()
    expect(page.locator("#timeline").get_by_role("listitem").filter(has_text="Remind")).to_have_count(1)
    expect(timers).to_be_hidden()


def test_page_outlives_its_server(site: Site, page: Any, watch: Watch) -> None:
    """While the server is away the page says so, and what happened meanwhile is shown when it is back."""
    watch.allowed += "|ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET"
    site.send("t-1", Plan.model_validate(A_TRIP))
    other = watch.over(page.context.new_page())
    letters = watch.over(page.context.new_page())
    page.goto(f"{site.address}/workflows/trip/t-1")
    other.goto(f"{site.address}/workflows/trip")
    letters.goto(f"{site.address}/dead-letters")
    for each in (page, other, letters):
        expect(each.locator("#live")).to_have_text("Live")
    page.locator("summary", has_text="Book").click()
    form = page.get_by_role("form", name="Book")
    form.get_by_label("Amount").fill("120.50")

    site.stop()
    for each in (page, other, letters):
        expect(each.locator("#live")).to_have_text("Reconnecting")
    form.get_by_role("button", name="Book").click()
    expect(form.get_by_role("alert")).to_contain_text("The server cannot be reached.")
    site.send("t-1", Move.model_validate({"leaves": "2030-06-01T08:00:00Z"}))
    site.start()

    expect(page.locator("#version")).to_have_text("2")
    expect(page.locator("#data")).to_contain_text("2030-06-01")
    expect(other.locator("#feed")).to_contain_text("Move t-1")
    for each in (page, other, letters):
        expect(each.locator("#live")).to_have_text("Live")
    form.get_by_role("button", name="Book").click()
    expect(page.locator("#standing")).to_contain_text("Booked")
    expect(other.get_by_role("link", name="Booked: 1")).to_be_visible()


TOKEN = "correct horse battery staple"


def test_token_is_asked_for_once(tmp_path: Path, chromium: Any, watch: Watch) -> None:
    """A wrong token is refused, the right one leads to the page that was asked for, and its owner can sign out."""
    watch.allowed += "|the server responded with a status of 401"
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, timezone_id="UTC")
    page = watch.over(context.new_page())
    with running(Site(tmp_path / "trips.db", TOKEN)) as site:
        site.send("t-1", Plan.model_validate(A_TRIP))
        page.goto(f"{site.address}/workflows/trip/t-1")
        field = page.get_by_label("Token")
        expect(field).to_be_focused()
        page.keyboard.type("let me in")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("This is not the token of this server.")
        expect(field).to_be_focused()
        shoot(page, "token")
        page.keyboard.type(TOKEN)
        page.keyboard.press("Enter")

        expect(page.get_by_role("heading", name="t-1")).to_be_visible()
        expect(page.locator("#live")).to_have_text("Live")
        site.send("t-1", Book(amount=Decimal("120.50")))
        expect(page.locator("#standing")).to_contain_text("Booked")
        assert [(each["httpOnly"], each["sameSite"]) for each in context.cookies()] == [(True, "Strict")]

        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        assert context.cookies() == []
        page.goto(f"{site.address}/")
        expect(page.get_by_label("Token")).to_be_visible()
        context.close()


def test_session_that_has_ended_is_asked_for_again(tmp_path: Path, chromium: Any, watch: Watch) -> None:
    """An open page whose session ends goes to where the token is asked for, and back from there."""
    watch.allowed += "|the server responded with a status of 401|ERR_|aborted"
    context = chromium.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = watch.over(context.new_page())
    with running(Site(tmp_path / "trips.db", TOKEN)) as site:
        site.send("t-1", Plan.model_validate(A_TRIP))
        page.goto(f"{site.address}/workflows/trip/t-1")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Come in").click()
        expect(page.locator("#live")).to_have_text("Live")
        shoot(page, "signed-in-phone-dark")
        site.token = f"{TOKEN}, another"  # under it the old cookie is worth nothing, as after its last hour
        site.stop()
        site.start()

        expect(page.get_by_label("Token")).to_be_visible()
        shoot(page, "token-phone-dark")
        page.get_by_label("Token").fill(site.token)
        page.get_by_role("button", name="Come in").click()
        expect(page.get_by_role("heading", name="t-1")).to_be_visible()
        expect(page.locator("#live")).to_have_text("Live")
        context.close()


def test_id_that_does_not_exist_offers_to_create(site: Site, page: Any) -> None:
    """The page of an id that nobody has used says so, and offers what creates."""
    page.goto(f"{site.address}/workflows/hall/side")
    missing = page.get_by_text("There is no hall with this id yet.")
    expect(missing).to_be_visible()
    commands = page.get_by_role("region", name="Commands")
    assert commands.bounding_box()["x"] == missing.bounding_box()["x"]  # no column is left empty
    shoot(page, "missing")
    page.locator("summary", has_text="Furnish").click()
    page.get_by_label("Seats").fill("3")
    page.get_by_role("button", name="Furnish").click()

    expect(page.locator("#standing")).to_contain_text("Hall")


def test_ids_are_taken_as_they_are(site: Site, page: Any) -> None:
    """An id that is a word of the API, or has spaces around it, is opened and commanded like any other."""
    for id in (*sorted(WORDS), " a b "):
        site.send(id, Plan.model_validate(A_TRIP))
        page.goto(f"{site.address}/workflows/trip")
        page.get_by_label("Open a workflow by its id").fill(id)
        page.keyboard.press("Enter")
        expect(page.locator("#standing")).to_contain_text("Planned")
        expect(page.locator("#live")).to_have_text("Live")
        page.locator("summary", has_text="Book").click()
        page.get_by_role("form", name="Book").get_by_label("Amount").fill("120.50")
        page.get_by_role("form", name="Book").get_by_role("button", name="Book").click()
        expect(page.locator("#standing")).to_contain_text("Booked")


def test_timeline_tells_states_from_data(site: Site, page: Any) -> None:
    """Of a commit that changed nothing but the state, the timeline does not say that nothing changed."""
    site.send("r-1", Start(), Run())
    page.goto(f"{site.address}/workflows/{LONG}/r-1")
    moved = page.get_by_role("listitem").filter(has=page.get_by_text("Run", exact=True))

    expect(moved).to_contain_text("Stage1")
    expect(moved).to_contain_text("The data stayed as it was.")


@pytest.mark.parametrize("size", ["phone", "laptop"])
def test_large_pictures_scroll(site: Site, chromium: Any, watch: Watch, size: str) -> None:
    """A picture of many states stays large enough to be read; its card scrolls, and begins where the workflow is."""
    site.send("r-1", Start(), *[Run()] * (len(STAGES) - 1))
    width, height = SIZES[size]
    context = chromium.new_context(viewport={"width": width, "height": height})
    page = watch.over(context.new_page())
    page.goto(f"{site.address}/workflows/{LONG}/r-1")
    last = page.get_by_role("link", name=f"{STAGES[-1].__name__}: current state")
    expect(last).to_be_visible()
    drawn = "each => [each.clientWidth / each.getAttribute('width'), each.clientHeight / each.getAttribute('height')]"
    assert min(page.locator("svg.machine:visible").evaluate(drawn)) >= 0.74
    card, state = page.locator(".picture").bounding_box(), last.bounding_box()
    for start, length in (("x", "width"), ("y", "height")):
        assert card[start] <= state[start]
        assert state[start] + state[length] <= card[start] + card[length]
    context.close()


@contextmanager
def demonstrated(folder: Path, *options: str) -> Iterator[str]:
    """Run the demo as a user types it; yield the address that it prints."""
    with subprocess.Popen([*DEMO, "--port", "0", *options], cwd=folder, stdout=subprocess.PIPE, text=True) as demo:
        try:
            assert demo.stdout is not None
            said = demo.stdout.readline()
            yield said[said.index("http://") :].split()[0]
        finally:
            demo.kill()


def test_demo_moves_within_ten_seconds(tmp_path: Path, chromium: Any, watch: Watch) -> None:
    """Ten seconds after one command was typed, somebody who has opened the console has seen counts move."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    page = watch.over(context.new_page())
    began = time.monotonic()
    with demonstrated(tmp_path) as address:
        page.goto(address)
        counts = page.locator(".machine-right .count")
        before = counts.all_text_contents()
        expect(counts).not_to_have_text(before, timeout=10_000)
        took = time.monotonic() - began
        context.close()  # before its server: a page that is left alone complains

    assert took < 10


def test_pictures_of_the_documentation(tmp_path: Path, chromium: Any, watch: Watch) -> None:
    """A lively day has orders in every state; pictures of it are kept, and copied into the documentation."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 800}, color_scheme="dark", reduced_motion="reduce", timezone_id="UTC"
    )
    page = watch.over(context.new_page())
    with demonstrated(tmp_path, "--rate", "60", "--orders", "120") as address:
        page.goto(address)
        for count in page.locator(".machine-right .count").all():
            expect(count).not_to_have_text("0", timeout=60_000)
        start = page.url
        page.goto(f"{start}?state=Shipped")
        page.get_by_role("row").nth(1).get_by_role("link").click()
        paid = page.get_by_role("listitem").filter(has=page.get_by_text("Pay", exact=True))
        paid.get_by_role("link").click()
        expect(page.locator("#data .is-changed").first).to_be_visible()
        page.evaluate("scrollTo(0, 0)")
        OUTPUT.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(OUTPUT / "demo-workflow.png"))
        page.emulate_media(color_scheme="light")
        page.goto(start)
        expect(page.get_by_role("row")).to_have_count(26)
        expect(page.locator("#live")).to_have_text("Live")
        page.screenshot(path=str(OUTPUT / "demo-definition.png"))
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_fit_their_window(site: Site, chromium: Any, watch: Watch, size: str, scheme: str) -> None:
    """No page is wider than its window, at no size and in no colours; a picture of each is kept."""
    site.send("main", Furnish(seats=1))
    for number in range(1, 9):
        site.send(f"t-{number}", Plan.model_validate(A_TRIP))
    site.send("t-1", Book(amount=Decimal("120.50")))
    site.send("r" * 255, Start())
    width, height = SIZES[size]
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = watch.over(context.new_page())
    pages = {
        "overview": "/",
        "definition": "/workflows/trip",
        "workflow": "/workflows/trip/t-1",
        "letters": "/dead-letters",
        "long-definition": f"/workflows/{LONG}",
        "long-workflow": f"/workflows/{LONG}/{'r' * 255}",
    }
    for name, path in pages.items():
        page.goto(f"{site.address}{path}")
        expect(page.locator("#live")).to_have_text("Live")
        page.evaluate("document.fonts.ready")
        for closed in page.locator(".command-card > summary").all():
            closed.click()
        shoot(page, f"{name}-{size}-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for table in page.locator("#list > .scroll").all():
            assert table.evaluate("each => each.scrollWidth <= each.clientWidth")
    context.close()
