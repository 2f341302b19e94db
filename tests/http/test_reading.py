"""Reading over HTTP: ETags, pages, time travel, odd ids, any prefix."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from fastapi import FastAPI

from statewright import MemoryStore, Workflow, WorkflowExecutor, WorkflowRouter, WorkflowSnapshot
from statewright._model.address import WORDS
from statewright.http import create_app, create_router
from tests.http.shop import AddItem, Draft, Open, Place, Remind, asked, opened, router, shop
from tests.http.test_command import problem

ODD = [
    "a/b",
    "/",
    "..",
    ".",
    "../..",
    "%2F",
    "a b+c?d#e&f",
    "größe-ä/😀",
    "a\nb",
    "ends\n",
    '"quoted"',
    "x" * 255,
    *sorted(WORDS),
    "commands",
    "healthz",
]


def address(id: str) -> str:
    """Write an id as one segment, as any client can."""
    if id in WORDS:
        return f"%{ord(id[0]):02X}{id[1:]}"
    return quote(id, safe="").replace(".", "%2E")


async def test_a_workflow_has_an_etag() -> None:
    """A workflow is its client view, with its version as a strong ETag, for whoever asks only."""
    executor = shop()
    order = (await executor.execute("1", Open())).unwrap().workflow
    async with opened(executor) as client:
        response = await client.get("/order/1")

    assert response.status_code == 200
    assert response.json() == order.to_client()
    assert response.headers["etag"] == '"1"'
    assert response.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize(
    ("tag", "status"),
    [('"2"', 304), ('W/"2"', 304), ("*", 304), ('"1", "2"', 304), ('"1"', 200), ('"22"', 200), ("2", 400), ("", 400)],
)
async def test_what_the_reader_has_is_not_sent(tag: str, status: int) -> None:
    """`If-None-Match` with the present version is 304 with the ETag and no body."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    (await executor.execute("1", AddItem(article="tea"))).unwrap()
    async with opened(executor) as client:
        for path in ("/order/1", "/order/1/at/2"):
            response = await client.get(path, headers={"if-none-match": tag})
            assert response.status_code == status
            assert (response.content == b"") is (status == 304)
            if status == 304:
                assert response.headers["etag"] == '"2"'


async def test_what_is_not_there_is_404() -> None:
    """A workflow or version that does not exist is 404; its history is empty, as in process."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    async with opened(executor) as client:
        for path in ("/order/2", "/order/1/at/2", "/order/2/timers", "/order/2/stream"):
            problem(await client.get(path), 404, "NotFoundError")
        problem(await client.get("/orders/1"), 404, "Http404")
        assert (await client.get("/order/2/history")).json() == []


async def test_time_travel() -> None:
    """Each version can be read as it was."""
    executor = shop()
    for command in (Open(), AddItem(article="tea"), Place()):
        (await executor.execute("1", command)).unwrap()
    async with opened(executor) as client:
        found = [(await client.get(f"/order/1/at/{version}")).json() for version in (1, 2, 3)]

    assert [(each["version"], each["state"], len(each["data"]["lines"])) for each in found] == [
        (1, "Draft", 0),
        (2, "Draft", 1),
        (3, "Placed", 1),
    ]


async def test_available_commands() -> None:
    """What is allowed now is told with JSON Schemas, also for an id that does not exist."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    async with opened(executor) as client:
        now, before = (await client.get("/order/1/commands")).json(), (await client.get("/order/2/commands")).json()

    assert now == await executor.available_commands("1")
    assert list(before) == ["Open"]


async def pages(client: httpx2.AsyncClient, url: str) -> list[list[Any]]:
    """Follow the links to the next page to the end."""
    found: list[list[Any]] = []
    at = httpx2.URL(f"http://localhost{url}")
    while True:
        response = await client.get(at)
        assert response.status_code == 200
        found.append(response.json())
        if "next" not in response.links:
            return found
        at = at.join(response.links["next"]["url"])


async def test_history_has_pages() -> None:
    """Commits come oldest first, in pages that link to the next one, without metadata and keys."""
    executor = shop()
    (await executor.execute("1", Open(), metadata={"who": "ann"}, idempotency_key="k")).unwrap()
    for _ in range(4):
        (await executor.execute("1", AddItem(article="tea"))).unwrap()
    async with opened(executor) as client:
        found = await pages(client, "/order/1/history?limit=2")
        later = (await client.get("/order/1/history?after=3")).json()

    assert [[each["version"] for each in page] for page in found] == [[1, 2], [3, 4], [5]]
    assert [each["version"] for each in later] == [4, 5]
    assert found[0][1]["command"] == {"type": "AddItem", "data": {"article": "tea", "priority": 0}}
    assert not {"metadata", "idempotency_key"} & found[0][0].keys()


async def test_lists_have_pages() -> None:
    """Workflows come by id, by state if asked, in pages that link to the next one."""
    executor = shop()
    ids = sorted(f"ö & {number}" for number in range(5))
    for id in ids:
        (await executor.execute(id, Open())).unwrap()
    (await executor.execute(ids[0], AddItem(article="tea"))).unwrap()
    (await executor.execute(ids[0], Place())).unwrap()
    async with opened(executor) as client:
        found = await pages(client, "/order?limit=2")
        drafts = await pages(client, "/order?limit=3&state=Draft")
        counts = (await client.get("/order/counts")).json()

    assert [each["id"] for page in found for each in page] == ids
    assert [each["id"] for page in drafts for each in page] == ids[1:]
    assert counts == {"Draft": 4, "Placed": 1}
    assert found[0][0]["entered_at"]


async def test_a_list_shows_what_cannot_be_restored() -> None:
    """One workflow that cannot be read is listed without its data, and does not hide the others."""
    store = MemoryStore()
    executor = shop(store)
    (await executor.execute("1", Open())).unwrap()
    (await executor.execute("2", Open())).unwrap()
    await spoil(store, "1", data={"score": 5})
    async with opened(executor) as client:
        found = (await client.get("/order")).json()
        body = problem(await client.get("/order/1"), 500, "RestoreError")

    assert [(each["id"], each["data"] is None) for each in found] == [("1", True), ("2", False)]
    assert "issues" not in body


async def spoil(store: MemoryStore, id: str, **changes: Any) -> None:
    """Change what is stored behind the executor's back."""
    row = store._rows[id]
    snapshot: WorkflowSnapshot = row.current.snapshot
    row.current = type(row.current)(snapshot.replace(**changes), row.current.version)


async def test_a_newer_model_is_503() -> None:
    """What newer code wrote is 503: this server cannot read it, another one can."""
    store = MemoryStore()
    executor = shop(store)
    (await executor.execute("1", Open())).unwrap()
    await spoil(store, "1", model_version=2)
    async with opened(executor) as client:
        for response in (await client.get("/order/1"), await client.post("/order/1/commands/Place")):
            assert problem(response, 503, "RestoreError")["reason"] == "newer_model"


class Invoice(Workflow[Draft, Open], name="invoice"):
    """Another definition in the same store."""


invoices = WorkflowRouter(Invoice)


@invoices.on
def begin(_: None, command: Open) -> Draft:
    """Begin."""
    return Draft(score="")


async def test_definitions_share_an_application() -> None:
    """Each definition has its own name; another one's workflow is not found under it."""
    store = MemoryStore()
    app = create_app([shop(store), WorkflowExecutor(invoices, store)], console=False)
    async with asked(app) as client:
        await client.post("/order/1/commands/Open")
        await client.post("/invoice/2/commands/Open")

        assert [each["id"] for each in (await client.get("/invoice")).json()] == ["2"]
        for response in (await client.get("/order/2"), await client.post("/order/2/commands/Open")):
            assert problem(response, 404, "RestoreError")["reason"] == "other_definition"


async def test_the_definition_describes_itself() -> None:
    """The definition is told with its schemas, its transitions and its picture."""
    async with opened() as client:
        found = (await client.get("/order/definition")).json()

    assert found["name"] == "order"
    assert list(found["states"]) == ["Draft", "Placed"]
    assert {"state": "Draft", "command": "Place", "targets": ["Placed"], "summary": "Place."} in found["transitions"]
    assert found["transitions"][0]["state"] is None
    assert found["mermaid"].startswith("stateDiagram")


async def test_timers_are_told() -> None:
    """The timers of a workflow are listed with their commands as clients see them."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    (await executor.execute("1", Remind(after=timedelta(hours=1).total_seconds()))).unwrap()
    async with opened(executor) as client:
        [timer] = (await client.get("/order/1/timers")).json()

    assert timer["command"] == {"type": "AddItem", "data": {"article": "tea", "priority": 0}}
    assert (timer["state"], timer["keep"], timer["attempts"]) == ("Draft", False, 0)


@pytest.mark.parametrize("id", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("prefix", ["", "/api", "/mounted"])
async def test_odd_ids(id: str, prefix: str) -> None:
    """An id may hold anything; percent-encoded it is one segment, under any prefix."""
    executor = shop()
    if prefix == "/mounted":
        id = id.replace("\n", "-")  # Starlette mounts nothing at a path with a line break
        app = FastAPI()
        app.mount("/mounted", create_app([executor], console=False))
    else:
        app = FastAPI()
        app.include_router(create_router(executor), prefix=prefix)
    base = f"{prefix}/order/{address(id)}"
    async with asked(app) as client:
        created = await client.post(f"{base}/commands/Open")
        read = await client.get(base)
        history = await client.get(f"{base}/history")

    assert (created.status_code, created.json()["id"]) == (201, id)
    assert (read.status_code, read.json()["id"]) == (200, id)
    assert history.json()[0]["workflow_id"] == id
    assert await executor.get(id) is not None


@pytest.mark.parametrize("id", ["x" * 256, "x" * 10_000, "%00", "%FF", "a%ED%A0%80"], ids=range(5))
async def test_no_ids(id: str) -> None:
    """What is no id is 422, for reading as for writing."""
    async with opened() as client:
        for response in (
            await client.post(f"/order/{id}/commands/Open"),
            await client.get(f"/order/{id}"),
            await client.get(f"/order/{id}/history"),
            await client.get(f"/order/{id}/stream"),
        ):
            problem(response, 422, "InvalidDataError")


@pytest.mark.parametrize(
    "path",
    [
        "/order?limit=0",
        "/order?limit=1001",
        "/order?after=%00",
        "/order?state=%00",
        "/order/1/history?after=-1",
        "/order/1/history?after=99999999999999999999",
        "/order/1/history?limit=x",
        "/order/1/at/x",
        "/order/1/at/99999999999999999999",
        "/order/stream?after=-1",
    ],
)
async def test_no_arguments(path: str) -> None:
    """An argument that is none is 422."""
    async with opened() as client:
        assert problem(await client.get(path), 422, "InvalidDataError")["source"] == "argument"


async def test_other_methods_are_405() -> None:
    """What exists but takes no such method says so."""
    async with opened() as client:
        response = await client.delete("/order/1")

    problem(response, 405, "Http405")
    assert response.headers["allow"]


async def test_a_router_answers_with_problems_in_any_application() -> None:
    """In an application of the user's own the routes answer with problems, too."""
    app = FastAPI()
    app.include_router(create_router(shop()), prefix="/v1")
    async with asked(app) as client:
        problem(await client.get("/v1/order/1"), 404, "NotFoundError")
        problem(await client.get("/v1/order?limit=0"), 422, "InvalidDataError")
        assert "/v1/order/{id}/commands/AddItem" in (await client.get("/openapi.json")).json()["paths"]


def test_handlers_of_the_shop_are_registered() -> None:
    """The shop has a handler for every command that the tests send."""
    assert {each.command.__name__ for each in router.transitions} == {"Open", "AddItem", "Place", "Break", "Remind"}
