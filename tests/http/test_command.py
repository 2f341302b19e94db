"""Commands over HTTP: statuses, conditions, keys and problems."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from statewright import (
    ConcurrencyConflictError,
    DependencyError,
    Failure,
    MemoryStore,
    OutcomeUnknownError,
    StoreError,
    StoreUnavailableError,
)
from statewright._model.address import DOTS, WORDS, segment
from statewright.http.condition import Condition
from tests.http.shop import AddItem, Open, opened, shop

OPEN = "/order/1/commands/Open"
ADD = "/order/1/commands/AddItem"
PLACE = "/order/1/commands/Place"


def problem(response: httpx2.Response, status: int, kind: str) -> dict[str, Any]:
    """Check what every problem has, and return it."""
    body: dict[str, Any] = response.json()
    assert response.status_code == status, body
    assert response.headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    assert body["type"] == f"urn:statewright:{kind}"
    assert body["title"]
    assert body["detail"]
    assert body["category"]
    return body


async def test_a_command_that_creates_is_201() -> None:
    """A command that creates is answered with 201, the body of the contract and a strong ETag."""
    async with opened() as client:
        response = await client.post(OPEN)

    assert response.status_code == 201
    assert response.headers["etag"] == '"1"'
    assert str(response.request.url.join(response.headers["location"])).endswith("/order/1")
    data = {"lines": [], "notes": {"a": {"currency": "EUR"}}}
    assert response.json() == {"id": "1", "state": "Draft", "data": data, "version": 1, "events": []}


async def test_a_command_is_200_with_its_events() -> None:
    """A command that goes on is answered with 200 and with what its handler emitted."""
    async with opened() as client:
        await client.post(OPEN)
        await client.post(ADD, json={"article": "tea"})
        response = await client.post(PLACE)

    assert response.status_code == 200
    assert response.headers["etag"] == '"3"'
    assert response.json()["events"] == [{"type": "OrderPlaced", "data": {"order_id": "1"}}]


@pytest.mark.parametrize("id", ["1", "a/b", "größe ?#", "%2F", "...", *sorted(WORDS), *sorted(DOTS)])
async def test_a_location_leads_to_what_was_created(id: str) -> None:
    """The `Location` of a 201 leads to the workflow; where no reference could, there is none."""
    async with opened() as client:
        created = await client.post(f"/order/{segment(id)}/commands/Open")
        location = created.headers.get("location")
        assert (location is None) is (id in DOTS)
        found = await client.get(created.request.url.join(location) if location else f"/order/{segment(id)}")

    assert created.status_code == 201
    assert (found.status_code, found.json()["id"]) == (200, id)


async def test_a_replay_keeps_status_and_body() -> None:
    """A repeated key is answered with the first status and body, and says that it is a replay."""
    key = {b"idempotency-key": "schlüssel".encode()}
    async with opened() as client:
        first = await client.post(OPEN, headers=key)
        await client.post(ADD, json={"article": "tea"})
        again = await client.post(OPEN, headers=key)

    assert (again.status_code, again.content) == (201, first.content)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["etag"] == '"1"'


async def test_a_key_of_another_command_is_422() -> None:
    """One key for two commands is refused."""
    key = {"idempotency-key": "k"}
    async with opened() as client:
        await client.post(OPEN)
        await client.post(ADD, json={"article": "tea"}, headers=key)
        body = problem(await client.post(ADD, json={"article": "salt"}, headers=key), 422, "IdempotencyError")

    assert body["category"] == "idempotency"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-match": '"2"'}, 200),
        ({"if-match": '"1"'}, 412),
        ({"if-match": '"7", "2"'}, 200),
        ({"if-match": '"2", "9"'}, 200),
        ({"if-match": '"7", "9"'}, 412),
        ({"if-match": "*"}, 200),
        ({"if-match": f'"2", "{2**53 - 1}"'}, 200),
        ({"if-match": 'W/"2"'}, 412),
        ({"if-match": '"abc"'}, 412),
        ({"if-match": '"0"'}, 412),
        ({"if-none-match": "*"}, 412),
        ({"if-match": "2"}, 400),
        ({"if-match": ""}, 400),
        ({"if-none-match": '"2"'}, 400),
        ({"if-match": '"2"', "if-none-match": "*"}, 400),
    ],
)
async def test_conditions(headers: dict[str, str], status: int) -> None:
    """`If-Match` is the expected version, compared strongly; `If-None-Match: *` creates only."""
    async with opened() as client:
        await client.post(OPEN)
        await client.post(ADD, json={"article": "tea"})
        response = await client.post(ADD, json={"article": "tea"}, headers=headers)

    assert response.status_code == status
    if status == 412:
        body = problem(response, 412, "ConcurrencyConflictError")
        assert body["actual_version"] == 2
        assert body.get("expected_version") in {None, 0, 1, 9}
        assert response.headers["etag"] == '"2"'


@pytest.mark.parametrize("version", [1, 2**53 - 1, 2**53, 2**70, 10**99 - 1])
async def test_the_one_version_that_was_expected_is_told(version: int) -> None:
    """A problem says which version was expected, however high, if the request named one."""
    async with opened() as client:
        await client.post(OPEN)
        await client.post(ADD, json={"article": "tea"})
        response = await client.post(ADD, json={"article": "tea"}, headers={"if-match": f'"{version}"'})

    body = problem(response, 412, "ConcurrencyConflictError")
    assert (body["expected_version"], body["actual_version"]) == (version, 2)


@pytest.mark.parametrize("tag", ['"abc"', f'"{10**99}"', "*"])
async def test_what_names_no_version_expects_none(tag: str) -> None:
    """A problem names no expected version where the request named none."""
    async with opened() as client:
        response = await client.post(OPEN, headers={"if-match": tag})

    body = problem(response, 412, "ConcurrencyConflictError")
    assert "expected_version" not in body
    assert str(10**99) not in body["detail"]


async def test_if_match_any_loses_no_race() -> None:
    """`If-Match: *` asks only that the workflow exists: somebody who saves again and again is not in its way."""
    accepted = await shop().execute("1", Open())
    asked: list[int | None] = []

    async def execute(expected: int | None) -> Any:
        asked.append(expected)
        version = len(asked)
        is_right = expected is None or expected == version
        return accepted if is_right else Failure(ConcurrencyConflictError("1", expected or 0, version))

    assert await Condition(exists=True).execute(execute) is accepted
    assert asked[1:] == [None]


async def test_if_match_begins_nothing() -> None:
    """Whoever expects a version begins no workflow: a command that could is 412, any other 404."""
    async with opened() as client:
        for tag in ("*", '"1"'):
            body = problem(await client.post(OPEN, headers={"if-match": tag}), 412, "ConcurrencyConflictError")
            problem(await client.post(PLACE, headers={"if-match": tag}), 404, "NotFoundError")
            assert body["actual_version"] == 0

        assert (await client.post(OPEN, headers={"if-none-match": "*"})).status_code == 201


async def test_a_required_condition_is_428() -> None:
    """Where conditions are required, a command without one is not decided."""
    async with opened(require_if_match=True) as client:
        problem(await client.post(OPEN), 428, "PreconditionRequired")
        assert (await client.get("/order/1")).status_code == 404

        assert (await client.post(OPEN, headers={"if-none-match": "*"})).status_code == 201


@pytest.mark.parametrize(
    ("body", "type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"article": NaN}', "application/json", 400),
        (b'{"article": "\\ud800"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", None, 415),
        (b"", "application/x-www-form-urlencoded", 415),
        (b"{}", "application/jsonp", 415),
        (b'{"article": "tea"}', "application/merge-patch+json", 200),
        (b'{"article": "tea"}', "Application/JSON; charset=utf-8", 200),
        (b"null", "application/json", 422),
        (b"[]", "application/json", 422),
        (b"{}", "application/json", 422),
        (b'{"article": "' + b"x" * 3000 + b'"}', "application/json", 413),
    ],
    ids=range(16),
)
async def test_bodies(body: bytes, type: str | None, status: int) -> None:
    """What cannot be read is 400, 413 or 415; what its schema refuses is 422."""
    most = 2000 if status == 413 else 1_048_576
    async with opened(max_body=most) as client:
        await client.post(OPEN)
        headers = {} if type is None else {"content-type": type}
        response = await client.post(ADD, content=body, headers=headers)

    assert response.status_code == status, response.text
    if status >= 400:
        found = problem(response, status, "InvalidDataError")
        assert found["category"] == "validation"
        assert found["issues"]


async def test_a_compressed_body_is_415() -> None:
    """A body is taken as it is: one that would have to be unpacked is refused."""
    async with opened() as client:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        problem(await client.post(ADD, content=b"\x1f\x8b", headers=headers), 415, "InvalidDataError")


async def test_a_body_of_unknown_length_is_limited() -> None:
    """A body that announces no length is read up to the limit, and no further."""
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b"[" * 1000

    async with opened(max_body=10_000) as client:
        headers = {"content-type": "application/json"}
        problem(await client.post(ADD, content=endless(), headers=headers), 413, "InvalidDataError")

    assert sent <= 12


async def test_refusals_are_409_with_code_and_data() -> None:
    """A refusal by the workflow's own rules is 409 with its code and the fields that a client may see."""
    async with opened() as client:
        await client.post(OPEN)
        body = problem(await client.post(PLACE), 409, "DomainError")

    assert (body["category"], body["code"], body["data"]) == ("domain", "EmptyOrder", {"minimum": 1})


async def test_routing_problems() -> None:
    """A command that the state does not take is 409; one that nobody declared is 404."""
    async with opened() as client:
        await client.post(OPEN)
        refused = problem(await client.post(OPEN), 409, "RoutingError")
        unknown = problem(await client.post("/order/1/commands/Fly%20away"), 404, "RoutingError")

    assert (refused["code"], refused["state"]) == ("NO_HANDLER", "Draft")
    assert (unknown["code"], unknown["command"]) == ("UNKNOWN_COMMAND", "Fly away")


async def test_field_errors_name_their_fields() -> None:
    """A payload that its schema refuses is 422, with one issue for each field."""
    async with opened() as client:
        await client.post(OPEN)
        body = problem(await client.post(ADD, json={"article": "", "priority": "x"}), 422, "InvalidDataError")

    assert body["source"] == "command"
    assert [issue["path"] for issue in body["issues"]] == [["article"], ["priority"]]


async def test_a_command_to_nothing_is_404() -> None:
    """A command that creates nothing finds nothing where nothing is."""
    async with opened() as client:
        body = problem(await client.post(ADD, json={"article": "tea"}), 404, "NotFoundError")

    assert body["workflow_id"] == "1"


@pytest.mark.parametrize(
    ("how", "status", "kind"),
    [("bug", 500, "UnexpectedError"), ("dependency", 503, "DependencyError"), ("strict", 409, "DomainError")],
)
async def test_failures_say_nothing_of_what_is_inside(how: str, status: int, kind: str) -> None:
    """A bug is 500, a dependency that fails 503, and neither quotes what was raised."""
    async with opened() as client:
        await client.post(OPEN)
        response = await client.post("/order/1/commands/Break", json={"how": how})

    body = problem(response, status, kind)
    assert "planted" not in response.text
    assert "RuntimeError" not in response.text
    assert "retry-after" not in response.headers
    if how == "dependency":
        assert body["name"] == "tax"


class Failing(MemoryStore):
    """Fails as it is told."""

    error: Exception | None = None

    def submit(self, options: Any) -> Any:
        if self.error is None:
            return super().submit(options)
        raise self.error

    async def load(self, id: str) -> Any:
        if isinstance(self.error, StoreUnavailableError):
            raise self.error
        return await super().load(id)


async def test_two_idempotency_keys_are_refused() -> None:
    """Of two keys nobody can say which is meant, so that nothing is done; the same one twice is one."""
    async with opened(shop()) as client:
        keys = [("idempotency-key", "one"), ("idempotency-key", "two")]
        problem(await client.post(OPEN, headers=keys), 400, "InvalidDataError")
        assert (await client.get("/order/1")).status_code == 404

        assert (await client.post(OPEN, headers=keys[:1] * 2)).status_code == 201


@pytest.mark.parametrize("key", [None, "k"])
async def test_an_unknown_outcome_is_504(key: str | None) -> None:
    """An unknown outcome is 504 without Retry-After; only a key makes another try safe."""
    store = Failing()
    async with opened(shop(store)) as client:
        store.error = OutcomeUnknownError("somewhere.example said planted-7f3a")
        response = await client.post(OPEN, headers={} if key is None else {"idempotency-key": key})

    body = problem(response, 504, "OutcomeUnknownError")
    assert "retry-after" not in response.headers
    assert body["safe_to_retry"] is (key is not None)
    assert "planted" not in response.text


async def test_an_unavailable_store_is_503() -> None:
    """A store that is not there is 503, and says when to come back, but not where it is."""
    store = Failing()
    async with opened(shop(store)) as client:
        store.error = StoreUnavailableError("no connection to db.example")
        answers = [await client.post(OPEN), await client.get("/order/1")]

    for response in answers:
        problem(response, 503, "StoreUnavailableError")
        assert response.headers["retry-after"] == "1"
        assert "db.example" not in response.text


class Plain:
    """The two methods that every store has."""

    def __init__(self) -> None:
        inner = MemoryStore()
        self.load, self.save = inner.load, inner.save


async def test_what_a_store_cannot_do_is_501() -> None:
    """A store of two methods serves commands; what needs more says so."""
    async with opened(shop(Plain())) as client:
        assert (await client.post(OPEN)).status_code == 201
        assert (await client.get("/order/1")).status_code == 200
        paths = ("/order", "/order/counts", "/order/stream", "/order/1/history", "/order/1/timers", "/order/1/stream")
        for path in (*paths, "/_/dead-letters", "/_/readers"):
            body = problem(await client.get(path), 501, "StoreError")
            assert "Plain" in body["detail"]
            assert (body["category"], body["reason"]) == ("store", "unsupported")
        keyed = problem(await client.post(PLACE, headers={"idempotency-key": "k"}), 501, "StoreError")
        timed = problem(await client.post("/order/1/commands/Remind"), 501, "StoreError")

    assert (keyed["reason"], timed["reason"]) == ("unsupported", "unsupported")


async def test_a_store_that_failed_is_500_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    """What a store says of its own failure stands in the server's log, and in no answer."""
    store = Broken("table 'workflow' of /var/lib/orders.db is damaged")
    async with opened(shop(store)) as client:
        answers = [await client.post(OPEN), await client.get("/order/1"), await client.get("/order")]

    for answer in answers:
        body = problem(answer, 500, "StoreError")
        assert (body["title"], body["category"]) == ("The store failed", "store")
        assert "orders.db" not in answer.text
        assert "reason" not in body
    assert caplog.text.count("StoreError answered with 500: table 'workflow' of /var/lib/orders.db is damaged") == 3


class Broken(MemoryStore):
    """Fails, and says in which words."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words

    async def load(self, id: str) -> Any:
        raise StoreError(self._words)

    async def find(self, **_: Any) -> Any:
        raise StoreError(self._words)


@pytest.mark.parametrize("headers", [{}, {"if-match": "*"}])
async def test_a_lost_race_without_a_version_is_409(headers: dict[str, str]) -> None:
    """Whoever loses every race, and named no version, is told by 409."""
    store = MemoryStore()
    executor = shop(store)
    other = shop(Through(store))
    executor._retries = 0

    async def overtake(ctx: Any, call_next: Any) -> Any:
        result = await call_next()
        (await other.execute("1", AddItem(article="salt"))).unwrap()
        return result

    (await executor.execute("1", Open())).unwrap()
    executor.use(overtake)
    async with opened(executor) as client:
        response = await client.post(ADD, json={"article": "tea"}, headers=headers)

    assert problem(response, 409, "ConcurrencyConflictError")["actual_version"] == 2


class Through:
    """The same workflows, as another process would reach them."""

    def __init__(self, store: Any) -> None:
        self.load, self.save = store.load, store.save


async def test_the_actor_is_kept_with_the_commit() -> None:
    """Who asks, by the application's own dependency, stands in the commit's metadata; nobody can claim it."""
    executor = shop()

    def who() -> dict[str, str]:
        return {"user": "ann"}

    async with opened(executor, actor=who) as client:
        await client.post(OPEN, headers={"x-metadata": json.dumps({"actor": "bob"})})

    [commit] = await executor.history("1")
    assert dict(commit.metadata) == {"actor": {"user": "ann"}}


async def test_a_dependency_that_forbids_comes_first() -> None:
    """A dependency of the application's own decides before anything is read or told."""
    from fastapi import Depends, HTTPException

    def nobody() -> None:
        raise HTTPException(403, "not you")

    executor = shop()
    async with opened(executor, dependencies=[Depends(nobody)]) as client:
        for response in (
            await client.post(OPEN, content=b"{"),
            await client.get("/order/1"),
            await client.get("/_/readers"),
        ):
            assert problem(response, 403, "Http403")["detail"] == "not you"
        assert (await client.get("/healthz")).status_code == 200

    assert await executor.get("1") is None


async def test_dependency_errors_are_what_they_seem() -> None:
    """The problem of a dependency names it by the attribute that the handler used."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    result = await executor.execute("1", {"type": "Break", "payload": {"how": "dependency"}})

    assert isinstance(getattr(result, "error", None), DependencyError)
