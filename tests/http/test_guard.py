"""Who may come in: tokens, cookies, other sites, other names."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from fastapi import BackgroundTasks, Depends, Header, HTTPException
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.requests import Request

from statewright import DefinitionError, MemoryStore
from statewright.http import create_app, create_router
from statewright.http.guard import POLICY
from statewright.http.session import COOKIE, END, LIFE, SESSION, Sessions
from tests.http.shop import Invalid, Open, asked, opened, serving, shop
from tests.http.test_command import problem

TOKEN = "correct horse battery staple"
PATHS = (
    "/order",
    "/order/1",
    "/order/1/stream",
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/nope",
    "/_/readers",
    "/metrics",
)
SERVED = ("/order", "/metrics", "/openapi.json", "/healthz", "/readyz", "/_/readers")
IN_CONSOLE = (
    "/console/",
    "/console/assets/console.css",
    "/console/workflows/order",
    "/console/data/order",
    "/console/data/order/diagram.svg",
    "/console/nope",
)


async def test_every_request_shows_the_token() -> None:
    """Without the token nothing is answered but 401, whatever is asked for."""
    executor = shop()
    async with opened(executor, token=TOKEN) as client:
        for path in PATHS:
            response = await client.get(path)
            problem(response, 401, "Unauthorized")
            assert response.headers["www-authenticate"].startswith("Bearer")
        problem(await client.post("/order/1/commands/Open"), 401, "Unauthorized")
        good = await client.post("/order/1/commands/Open", headers={"authorization": f"Bearer {TOKEN}"})

        document = (await client.get("/openapi.json", headers={"authorization": f"Bearer {TOKEN}"})).json()

    assert good.status_code == 201
    assert all("401" in each["responses"] for path in document["paths"].values() for each in path.values())


@pytest.mark.parametrize(
    "shown",
    [
        "Bearer wrong",
        "Bearer ",
        "Bearer",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        b"Bearer \xff\xfe",
        "",
    ],
)
async def test_wrong_tokens(shown: Any) -> None:
    """A token that is not the very one is none."""
    async with opened(token=TOKEN) as client:
        problem(
            await client.get("/order", headers={b"authorization": shown.encode() if isinstance(shown, str) else shown}),
            401,
            "Unauthorized",
        )
        for cookie in ("", "x", "é", TOKEN, '"\\', ".", "9" * 5000 + ".x", "99999999999.", "²." + "0" * 64):
            headers = {b"cookie": f"{COOKIE}={cookie}".encode()}
            problem(await client.get("/order", headers=headers), 401, "Unauthorized")


async def test_a_browser_is_asked_once() -> None:
    """A browser gets a page that asks for the token, and for the right one a cookie that no script can read."""
    async with opened(token=TOKEN) as client:
        page = {"accept": "text/html,*/*"}
        sent = await client.get("/console/", headers=page)
        form = await client.get(sent.headers["location"], headers=page)
        wrong = await client.post(SESSION, data={"token": "wrong"})
        right = await client.post(SESSION, data={"token": TOKEN})
        cookie = right.headers["set-cookie"]
        listed = await client.get("/order")

    assert (sent.status_code, sent.headers["location"]) == (303, f"{SESSION}?next=%2Fconsole%2F")
    assert (form.status_code, wrong.status_code, right.status_code) == (200, 401, 303)
    assert right.headers["location"] == "/"
    assert '<form method="post">' in form.text
    assert 'role="alert"' in wrong.text
    assert "set-cookie" not in wrong.headers
    assert {"HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={LIFE}"} <= set(re.split("; ", cookie))
    assert TOKEN not in cookie
    assert listed.status_code == 200


async def test_what_the_page_is_made_of_is_open() -> None:
    """The page that asks for the token has its style and picture before anybody has shown one, and nothing else."""
    async with opened(token=TOKEN) as client:
        page = await client.get(SESSION)
        parts = re.findall(r'(?:href|src)="([^"]+)"', page.text)
        answers = [await client.get(part) for part in parts]

    assert {each.headers["content-type"].partition(";")[0] for each in answers} == {"text/css", "image/svg+xml"}
    assert {each.status_code for each in answers} == {200}
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("wanted", "location"),
    [
        ("/order/1?x=1&y=a%20b", "/order/1?x=1&y=a%20b"),
        ("", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("/\t/evil.example/", "/"),
        ("https://evil.example/", "/"),
    ],
)
async def test_whoever_came_in_goes_where_they_wanted_to(wanted: str, location: str) -> None:
    """The right token leads back to the page that was asked for, and never to another server."""
    async with opened(token=TOKEN) as client:
        right = await client.post(SESSION, params={"next": wanted}, data={"token": TOKEN})

    assert right.headers["location"] == location


@pytest.mark.parametrize(
    "other",
    [
        'prefs={"a":1}',
        "x[y]=1",
        "a=b c",
        "flag",
        "é=1",
        '"',
        "",
        "=",
        f"{COOKIE}=of-another-prefix",
        f"x{COOKIE}=1",
    ],
)
async def test_cookies_of_others_keep_nobody_out(other: str) -> None:
    """Whatever cookies other programs have set, a session is found among them."""
    async with opened(token=TOKEN) as client:
        ours = (await client.post(SESSION, data={"token": TOKEN})).headers["set-cookie"].partition(";")[0]
    async with opened(token=TOKEN) as client:
        for cookies in (f"{other}; {ours}", f"{ours}; {other}", f"{other};{ours};"):
            assert (await client.get("/order", headers={b"cookie": cookies.encode()})).status_code == 200
        both = [(b"cookie", other.encode()), (b"cookie", ours.encode())]
        assert (await client.get("/order", headers=both)).status_code == 200
        assert (await client.get("/order", headers={b"cookie": other.encode()})).status_code == 401


async def test_a_session_behind_a_prefix() -> None:
    """Behind a proxy's prefix the page that asks for the token is where the prefix says, and only there."""
    app = create_app([shop()], console=False, token=TOKEN)
    transport = httpx2.ASGITransport(app, root_path="/shop")
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        pages = [await client.get(path) for path in (f"/shop{SESSION}", f"/shopping{SESSION}", "/shop")]
        right = await client.post(f"/shop{SESSION}", data={"token": TOKEN})

    assert [page.status_code for page in pages] == [200, 401, 401]
    assert (right.status_code, right.headers["location"]) == (303, "/shop/")
    assert "Path=/shop/" in right.headers["set-cookie"]


async def test_a_session_ends_where_the_reader_says_so() -> None:
    """A POST gives the cookie back; a GET ends nothing."""
    async with opened(token=TOKEN) as client:
        await client.post(SESSION, data={"token": TOKEN})
        await client.get(END)
        before = await client.get("/order")
        ended = await client.post(END)
        after = await client.get("/order")

    assert (before.status_code, ended.status_code, after.status_code) == (200, 303, 401)
    assert ended.headers["location"] == SESSION
    assert {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=0"} <= set(ended.headers["set-cookie"].split("; "))


async def test_a_session_ends_after_a_working_day() -> None:
    """A cookie is good until the time that it says, which nobody else can write, and for its own token only."""
    now = 1_000_000.0
    sessions = Sessions(TOKEN, clock=lambda: now)
    async with asked(Answering(sessions)) as client:
        await client.post(SESSION, data={"token": TOKEN})
    cookie = client.cookies[COOKIE]
    end, _, seal = cookie.partition(".")

    assert is_open(sessions, cookie)
    assert not is_open(sessions, f"{int(end) + 1}.{seal}")
    assert not is_open(sessions, f"{end}.{seal[:-1]}")
    assert not is_open(Sessions(f"{TOKEN}!", clock=lambda: now), cookie)
    now += LIFE - 1
    assert is_open(sessions, cookie)
    now += 1
    assert not is_open(sessions, cookie)


def is_open(sessions: Sessions, cookie: str) -> bool:
    return sessions.is_open(Headers({"cookie": f"{COOKIE}={cookie}"}))


class Answering:
    """An application that answers for sessions, and nothing else."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answer = await self.sessions.answer(Request(scope, receive))
        assert answer is not None
        await answer(scope, receive, send)


async def test_the_cookie_is_secure_over_tls() -> None:
    """Over TLS the cookie is for TLS only."""
    app = create_app([shop()], console=False, token=TOKEN)
    async with asked(app) as client:
        right = await client.post(f"https://localhost{SESSION}", data={"token": TOKEN})

    assert "Secure" in right.headers["set-cookie"]


async def test_a_huge_form_is_no_token() -> None:
    """What is sent in place of a token is read to a limit only."""
    async with opened(token=TOKEN) as client:
        assert (await client.post(SESSION, content=b"token=" + b"x" * 100_000)).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 201),
        ({"sec-fetch-site": "none"}, 201),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://localhost"}, 201),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({}, 201),
    ],
)
async def test_other_sites_change_nothing(headers: dict[str, str], status: int) -> None:
    """A page of another site may not send commands; programs, which say nothing of sites, may."""
    async with opened() as client:
        assert (await client.post("/order/1/commands/Open", headers=headers)).status_code == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8000", 200),
        ("127.0.0.1:8000", 200),
        ("127.0.0.2", 200),
        ("127.255.255.254:80", 200),
        ("[::1]:8000", 200),
        ("rebound.example", 403),
        ("127.0.0.1.rebound.example", 403),
        ("192.0.2.1", 403),
        ("0.0.0.0", 403),
        ("[::]", 403),
        ("2130706433", 403),
        ("", 403),
        ("[", 403),
    ],
)
async def test_loopback_answers_to_loopback_names(host: str, status: int) -> None:
    """A server that asks nobody answers only to names that mean this machine."""
    async with opened(loopback_only=True) as client:
        assert (await client.get("/order", headers={"host": host})).status_code == status


async def test_every_answer_binds_the_browser() -> None:
    """Every answer forbids scripts from elsewhere, frames, and guesses about its type."""
    async with opened() as client:
        for path in PATHS:
            if path.endswith("stream"):
                continue
            headers = (await client.get(path)).headers
            assert headers["content-security-policy"] == POLICY
            assert headers["x-content-type-options"] == "nosniff"

    assert "unsafe" not in POLICY


async def test_get_changes_nothing() -> None:
    """Whatever is read, nothing is stored by it."""
    store = MemoryStore()
    async with opened(shop(store)) as client:
        await client.post("/order/1/commands/Open")
        before = await store.commits()
        for path in [path for path in PATHS if not path.endswith("stream")]:
            await client.get(path)
        for path in ("/order/1/commands/AddItem", "/_/dead-letters/x/retry", "/_/dead-letters/x/drop"):
            assert (await client.get(path)).status_code == 405

    assert await store.commits() == before


async def test_health() -> None:
    """The process says that it is alive, and whether its store answers."""
    store = Silent()
    async with opened(shop(store)) as client:
        assert (await client.get("/readyz")).json() == {"status": "ok"}
        assert [(await client.head(path)).status_code for path in ("/healthz", "/readyz")] == [200, 200]
        store.is_silent = True
        assert [(await client.head(path)).status_code for path in ("/healthz", "/readyz")] == [200, 503]
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        problem(await client.get("/readyz"), 503, "StoreUnavailableError")
        paths = (await client.get("/openapi.json")).json()["paths"]

    assert [list(paths[path]) for path in ("/healthz", "/readyz")] == [["get"], ["get"]]


@pytest.mark.slow
async def test_health_is_asked_with_head() -> None:
    """A server answers HEAD as GET, without a body."""
    async with serving(create_app([shop()], console=False)) as address, httpx2.AsyncClient(base_url=address) as client:
        answers = [await client.request(method, path) for path in ("/healthz", "/readyz") for method in ("HEAD", "GET")]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert [answer.content for answer in answers] == [b"", b'{"status":"ok"}'] * 2
    assert answers[0].headers["content-length"] == answers[1].headers["content-length"]


class Silent(MemoryStore):
    is_silent = False

    async def load(self, id: str) -> Any:
        if self.is_silent:
            raise RuntimeError("gone")
        return await super().load(id)


async def test_metrics_name_routes_and_never_ids() -> None:
    """Prometheus reads requests by route and commands by how they ended; no id is among them."""
    pytest.importorskip("prometheus_client", reason="metrics need prometheus-client")
    async with opened() as client:
        await client.post("/order/my-id/commands/Open")
        await client.post("/order/my-id/commands/Place")
        await client.get("/order/my-id")
        text = (await client.get("/metrics")).text

    assert 'statewright_commands_total{command="Open",result="accepted",workflow="order"} 1.0' in text
    assert 'statewright_commands_total{command="Place",result="domain",workflow="order"} 1.0' in text
    assert 'route="/order/{id}",status="200"' in text
    assert "my-id" not in text


async def test_without_prometheus_there_are_no_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where prometheus-client is not installed, everything else is there."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    async with opened() as client:
        assert (await client.get("/metrics")).status_code == 404
        assert (await client.get("/healthz")).status_code == 200


async def test_a_bug_of_the_applications_own_is_a_problem() -> None:
    """Whatever a dependency raises is 500 without internals."""

    def broken() -> None:
        raise RuntimeError("planted-7f3a")

    async with opened(dependencies=[Depends(broken)]) as client:
        response = await client.get("/order/1")

    problem(response, 500, "UnexpectedError")
    assert "planted" not in response.text


@pytest.mark.slow
async def test_dependencies_are_asked_on_every_route() -> None:
    """No route but health answers to somebody whom the dependencies refuse: not the console, figures or document."""

    def known(authorization: str = Header("")) -> None:
        if authorization != "Bearer ann":
            raise HTTPException(401, "who are you?")

    pytest.importorskip("prometheus_client", reason="metrics need prometheus-client")
    app = create_app([shop()], dependencies=[Depends(known)])
    routes = [route for route in app.router.routes if isinstance(route, APIRoute)]
    ways = [(method, route.path.replace("{id}", "1")) for route in routes for method in route.methods or ()]
    async with asked(app) as client:
        for method, path in [*ways, *(("GET", path) for path in IN_CONSOLE)]:
            refused = await client.request(method, path)
            assert (refused.status_code == 401) is (path not in {"/healthz", "/readyz"}), path
            assert "order" not in refused.text
        client.headers["authorization"] = "Bearer ann"
        answers = {path: (await client.get(path)).status_code for path in (*SERVED, *IN_CONSOLE)}
        document = (await client.get("/openapi.json")).json()

    assert len(routes) == len(app.router.routes)
    assert {"/", "/console", "/console/{path:path}", *SERVED} <= {route.path for route in routes}
    assert answers == dict.fromkeys((*SERVED, *IN_CONSOLE), 200) | {"/console/": 307, "/console/nope": 404}
    assert "/order/{id}" in document["paths"]


async def test_what_a_dependency_leaves_to_do_is_done() -> None:
    """A background task of a dependency runs after an answer of the console, too."""
    done: list[str] = []

    def noting(tasks: BackgroundTasks) -> None:
        tasks.add_task(done.append, "noted")

    async with asked(create_app([shop()], dependencies=[Depends(noting)])) as client:
        assert (await client.get("/console/workflows/order")).status_code == 200

    assert done == ["noted"]


@pytest.mark.slow
async def test_the_console_behind_a_prefix_answers_after_the_dependencies() -> None:
    """Behind a proxy's prefix the console finds its own paths, and the document names the prefix."""
    app = create_app([shop()], dependencies=[Depends(lambda: None)])
    transport = httpx2.ASGITransport(app, root_path="/shop")
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        page = await client.get("/shop/console/workflows/order")
        document = await client.get("/shop/openapi.json")

    assert page.status_code == 200
    assert '"/shop/console/assets/' in page.text
    assert document.json()["servers"] == [{"url": "/shop"}]


async def test_dependencies_can_be_overridden() -> None:
    """An application's dependencies give way to its overrides, as everywhere in FastAPI."""

    def nobody() -> None:
        raise HTTPException(403)

    app = create_app([shop()], console=False, dependencies=[Depends(nobody)])
    async with asked(app) as client:
        refused = [(await client.get(path)).status_code for path in ("/order", "/_/dead-letters", "/healthz")]
        app.dependency_overrides[nobody] = lambda: None
        listed = await client.get("/order")

    assert refused == [403, 403, 200]
    assert listed.status_code == 200


def test_applications_are_wired_rightly() -> None:
    """What cannot be served is said where the application is made."""
    store = MemoryStore()
    wrong: list[Any] = [
        lambda: create_app([]),
        lambda: create_app([SimpleNamespace()]),  # type: ignore[list-item]
        lambda: create_app([shop(store), shop(store)]),
        lambda: create_app([shop(), Invalid.executor(MemoryStore())], console=False),
        lambda: create_app([Invalid.executor(store)], console=False),
        lambda: create_app([shop()], console=False, token="  "),
        lambda: create_app([shop()], console=False, token="schlüssel"),
        lambda: create_app([shop()], console=False, token="two\nlines"),
        lambda: create_app([shop()], console=False, token=" spaced"),
        lambda: create_app([shop()], console=False, token="\udcff"),
        lambda: create_router(SimpleNamespace()),  # type: ignore[arg-type]
        lambda: create_router(shop(), max_body=0),
        lambda: create_router(shop(), heartbeat=0),
    ]
    for make in wrong:
        with pytest.raises(DefinitionError):
            make()


async def test_dead_letters_are_retried_and_dropped() -> None:
    """Dead letters are listed as clients see them, retried and dropped by POST, and gone then."""
    store = Buried()
    async with opened(shop(store)) as client:
        [letter] = (await client.get("/_/dead-letters")).json()
        assert letter["command"] == {"type": "AddItem", "data": {"article": "tea", "priority": 0}}
        assert (await client.post(f"/_/dead-letters/{letter['id']}/retry")).status_code == 204
        assert (await client.post(f"/_/dead-letters/{letter['id']}/drop")).status_code == 204
        problem(await client.post(f"/_/dead-letters/{letter['id']}/drop"), 404, "NotFoundError")
        problem(await client.post("/_/dead-letters/%00/drop"), 422, "InvalidDataError")

    assert store.done == [("retry", "letter-1"), ("drop", "letter-1"), ("drop", "letter-1")]


class Buried(MemoryStore):
    """Has one dead letter."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[str, str]] = []

    async def dead_letters(self, *, after: str = "", limit: int = 100) -> Any:
        from statewright import DeadLetter, RecordedMessage

        command = RecordedMessage("AddItem", {"article": "tea", "cost": "planted-7f3a"})
        facts: dict[str, Any] = {"kind": "timer", "reader": "timers:order", "workflow_id": "1", "target": "order"}
        more: dict[str, Any] = {"target_id": "1", "position": None, "attempts": 5, "error": {"category": "store"}}
        return [DeadLetter(id="letter-1", command=command, **facts, **more)]

    async def retry_dead_letter(self, id: str) -> bool:
        self.done.append(("retry", id))
        return True

    async def drop_dead_letter(self, id: str) -> bool:
        self.done.append(("drop", id))
        return len(self.done) <= 2


async def test_an_application_opens_its_store(tmp_path: Any) -> None:
    """The application's life is the store's, unless the store was open before."""
    from statewright.stores.sqlite import SQLiteStore

    store = SQLiteStore(tmp_path / "orders.db")
    executor = shop(store)
    app = create_app([executor], console=False)
    async with app.router.lifespan_context(app):
        (await executor.execute("1", Open())).unwrap()
        async with asked(app) as client:
            assert (await client.get("/order/1")).status_code == 200
        assert store.is_open
    assert not store.is_open

    async with store:
        async with app.router.lifespan_context(app):
            pass
        assert store.is_open


def test_httpx_is_what_these_tests_ask_with() -> None:
    """The client of these tests sends what it is told, dots and all."""
    assert httpx2.URL("http://localhost/order/%2E%2E").raw_path == b"/order/%2E%2E"
