"""A remote executor answers what the local one answers, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any, Never, TypeAlias, cast

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from statewright import (
    ConcurrencyConflictError,
    DefinitionError,
    DependencyError,
    DomainError,
    Failure,
    IdempotencyError,
    InvalidDataError,
    MemoryStore,
    NotFoundError,
    OutcomeUnknownError,
    RecordedMessage,
    RoutingError,
    ServerOnly,
    StoreUnavailableError,
    Success,
    UnexpectedError,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
)
from statewright.client import RemoteExecutor
from statewright.http import create_app
from tests.http.shop import (
    SECRET,
    AddItem,
    Break,
    EmptyOrder,
    Open,
    Order,
    OrderPlaced,
    Place,
    Strict,
    serving,
    shop,
    within,
)
from tests.http.test_command import Failing, Plain

AT_ONCE = timedelta()
Answer: TypeAlias = tuple[int, str, str] | Exception
"""Status, body and content type; or what is raised instead."""


class Lock(BaseModel):
    seen: str
    code: Annotated[str, ServerOnly]


class Locked(DomainError):
    why: str
    inner: Lock
    by: Annotated[str, ServerOnly]


class Knock(BaseModel):
    pass


class Vault(Workflow[Lock, Knock, Never, Locked], name="vault"):
    """What nobody opens."""


vault = WorkflowRouter(Vault)


@vault.on
def knock(_: None, command: Knock) -> Lock:
    """Stay shut."""
    raise Locked(why="shut", inner=Lock(seen="door", code=SECRET), by=SECRET)


def remote(executor: Any, wrap: Callable[[Any], Any] = lambda app: app, **options: Any) -> RemoteExecutor[Order]:
    """Return a remote executor without a socket between it and the local one."""
    app = wrap(create_app([executor], console=False))
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    client = httpx2.AsyncClient(transport=transport, base_url="http://localhost/")
    return RemoteExecutor[Order](client, Order, backoff=AT_ONCE, **options)


class Losing:
    """A network that loses some answers after the server has acted on them, or some requests before.

    Args:
        app: The server.
        answers: For each request in turn, what happens to it; what comes after them goes well.
    """

    def __init__(self, app: Any, *answers: str) -> None:
        self._app = app
        self._answers = list(answers)
        self.requests = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.requests += 1
        match self._answers.pop(0) if self._answers else "well":
            case "lost":
                await self._app(scope, receive, _nowhere)
                raise httpx2.ReadError("the answer was lost")
            case "unsent":
                raise httpx2.ConnectError("nobody there")
            case "gateway":
                await self._app(scope, receive, _nowhere)
                await send({"type": "http.response.start", "status": 502, "headers": []})
                await send({"type": "http.response.body", "body": b"<html>"})
            case _:
                await self._app(scope, receive, send)


async def _nowhere(_: Any) -> None:
    pass


def losing(executor: Any, *answers: str, **options: Any) -> tuple[RemoteExecutor[Order], Losing]:
    network = Losing(create_app([executor], console=False), *answers)
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(network), base_url="http://localhost")
    return RemoteExecutor[Order](client, Order, backoff=AT_ONCE, **options), network


def answering(*answers: Answer, retries: int = 2) -> tuple[RemoteExecutor[Order], list[httpx2.Request]]:
    """Return a remote executor that gets these answers, the last one again and again; and what it will have sent."""
    sent: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        found = answers[min(len(sent), len(answers)) - 1]
        if isinstance(found, Exception):
            raise found
        status, content, kind = found
        return httpx2.Response(status, content=content, headers={"content-type": kind})

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer), base_url="http://localhost")
    return RemoteExecutor[Order](client, Order, backoff=AT_ONCE, retries=retries), sent


def html(status: int) -> Answer:
    return status, "<html>", "text/html"


def told_as(status: int, kind: str, **facts: Any) -> Answer:
    body = {"type": f"urn:statewright:{kind}", "detail": "so it is", **facts}
    return status, json.dumps(body), "application/problem+json"


# --- the same answers ----------------------------------------------------------------------------------------------

IDS = st.sampled_from(["1", "a/b", "stream", "ü ..", "", "x" * 256, "nul\0"])
COMMANDS: st.SearchStrategy[Any] = st.one_of(
    st.builds(Open),
    st.builds(AddItem, article=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5)),
    st.builds(AddItem, article=st.just("tea"), priority=st.integers(-(2**70), 2**70)),
    st.builds(Place),
    st.builds(Break, how=st.sampled_from(["bug", "dependency", "strict", "not at all"])),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["Open", "AddItem", "Nope", "", "a/b"])},
        optional={
            "payload": st.sampled_from([None, {}, [], {"article": ""}, {"article": "x", "priority": 1.5}]),
            "x": st.just(1),
        },
    ),
    st.just(5),
)
CALLS = st.lists(
    st.tuples(
        IDS,
        COMMANDS,
        st.fixed_dictionaries(
            {},
            optional={
                "expected_version": st.sampled_from([0, 1, 2, 3, -1, "1"]),
                "idempotency_key": st.sampled_from(["k", "ö", "", "x" * 256]),
            },
        ),
    ),
    max_size=8,
)


def shown(result: Any) -> Any:
    """Return what two answers have to have in common: all that a client may know."""
    match result:
        case Success(workflow=order, events=events, replayed=replayed):
            return order.to_client(), [(type(each), getattr(each, "order_id", None)) for each in events], replayed
        case Failure(error=error):
            told = error.to_dict()
            hidden = {"message"} if told["category"] in {"unexpected", "dependency", "restore", "store"} else set()
            return type(error), {name: value for name, value in told.items() if name not in hidden}
        case _:
            raise AssertionError(result)


@pytest.mark.slow
@given(CALLS)
def test_it_answers_what_the_local_one_answers(calls: list[tuple[str, Any, dict[str, Any]]]) -> None:
    """Whatever is asked, the remote executor answers what the local one answers in process."""

    async def compare() -> None:
        local, behind = shop(), shop()
        far = remote(behind)
        for id, command, options in calls:
            here = await local.execute(id, command, **options)
            assert shown(await far.execute(id, command, **options)) == shown(here)
        for id in {call[0] for call in calls}:
            assert await reading(far, id) == await reading(local, id)

    asyncio.run(compare())


async def reading(executor: Any, id: str) -> list[Any]:
    """Return what can be read of a workflow, or how it is refused."""
    found: list[Any] = []
    for read in (
        lambda: executor.get(id),
        lambda: executor.at(id, 1),
        lambda: executor.at(id, 0),
        lambda: executor.history(id, after=1, limit=2),
        lambda: executor.history(id),
        lambda: executor.available_commands(id),
    ):
        try:
            found.append(told(await read()))
        except InvalidDataError as error:
            found.append(error.to_dict())
    return found


def told(value: Any) -> Any:
    if isinstance(value, Order):
        return value.to_client()
    if isinstance(value, list):
        return [(each.version, each.state, each.workflow_id, each.definition, each.command.type) for each in value]
    return value


async def test_it_knows_the_users_own_types() -> None:
    """What comes back is the user's own workflow, state, events and errors."""
    executor = shop()
    orders = remote(executor)
    opened = (await orders.execute("1", Open())).unwrap()
    refused = await orders.execute("1", Place())
    (await orders.execute("1", AddItem(article="tea"))).unwrap()
    placed = (await orders.execute("1", Place())).unwrap()
    local = await executor.get("1")

    assert type(opened.workflow) is Order
    assert isinstance(refused, Failure)
    assert isinstance(refused.error, EmptyOrder)
    assert refused.error.minimum == 1
    assert placed.events[0].order_id == "1"
    assert isinstance(placed.events[0], OrderPlaced)
    assert local is not None
    assert (placed.workflow.created_at, placed.workflow.updated_at) == (local.created_at, local.updated_at)
    assert placed.workflow.data.lines[0].article == "tea"


async def test_what_is_server_only_is_none() -> None:
    """Server-only fields do not come over the wire: they are `None`, in states, events and errors."""
    executor = shop()
    orders = remote(executor)
    order: Any = (await orders.execute("1", Open())).unwrap().workflow
    refused: Any = await orders.execute("1", Break(how="strict"))
    (await orders.execute("1", AddItem(article="tea"))).unwrap()
    placed: Any = await orders.execute("1", Place())

    assert order.data.score is None
    assert order.data.notes["a"].cost is None
    assert isinstance(refused.error, Strict)
    assert refused.error.reason is None
    assert placed.events[0].profit is None
    assert SECRET not in json.dumps([order.to_client(), order.to_snapshot().to_dict(), refused.error.to_dict()])
    [opening, *_] = await orders.history("1")
    assert opening.command == RecordedMessage("Open", {})


@pytest.mark.parametrize(
    ("how", "expected"), [("bug", UnexpectedError), ("dependency", DependencyError), ("strict", Strict)]
)
async def test_failures_keep_their_class(how: str, expected: type[Exception]) -> None:
    """A failure of the server's comes back as the class that it had there."""
    orders = remote(shop())
    (await orders.execute("1", Open())).unwrap()
    result = await orders.execute("1", Break(how=how))

    assert isinstance(result, Failure)
    assert type(result.error) is expected


async def test_conflicts_keep_their_versions() -> None:
    """A stale version is a conflict with both versions; a used key, a missing workflow, no handler: as in process."""
    orders = remote(shop())
    (await orders.execute("1", Open(), idempotency_key="k")).unwrap()
    conflict: Any = await orders.execute("1", AddItem(article="tea"), expected_version=7)
    used: Any = await orders.execute("1", AddItem(article="tea"), idempotency_key="k")
    missing: Any = await orders.execute("2", AddItem(article="tea"))
    wrong: Any = await orders.execute("1", Open())

    assert isinstance(conflict.error, ConcurrencyConflictError)
    assert (conflict.error.expected_version, conflict.error.actual_version) == (7, 1)
    assert isinstance(used.error, IdempotencyError)
    assert isinstance(missing.error, NotFoundError)
    assert isinstance(wrong.error, RoutingError)
    assert wrong.error.code == "NO_HANDLER"


async def test_arguments_are_checked_as_in_process() -> None:
    """What is no version is refused under its argument's name, and one that is never reached is not there."""
    local = shop()
    far = remote(local)
    (await local.execute("1", Open())).unwrap()
    for wrong in (-1, None, "1", True):
        assert await refused(far.at("1", cast("Any", wrong))) == await refused(local.at("1", cast("Any", wrong)))
        assert await refused(far.history("1", after=cast("Any", wrong))) == await refused(
            local.history("1", after=cast("Any", wrong))
        )
    assert await refused(far.history("1", limit=-1)) == await refused(local.history("1", limit=-1))
    for high in (2**53 - 1, 2**53, 2**70):
        assert await far.at("1", high) is None
        assert await far.history("1", after=high) == []
        assert len(await far.history("1", limit=high)) == 1


async def refused(reading: Awaitable[Any]) -> dict[str, Any]:
    with pytest.raises(InvalidDataError) as found:
        await reading
    return found.value.to_dict()


async def test_refusals_tell_what_a_client_may_know() -> None:
    """A refusal tells here what it told there, whatever is hidden in or beside its fields, also after pickling."""
    local = WorkflowExecutor(vault, MemoryStore())
    here: Any = await local.execute("1", Knock())
    client = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(create_app([local], console=False)), base_url="http://localhost"
    )
    there: Any = await RemoteExecutor[Vault](client, Vault, backoff=AT_ONCE).execute("1", Knock())

    assert type(there.error) is Locked
    assert (there.error.why, there.error.inner.seen) == ("shut", "door")
    assert there.error.inner.code is None
    assert there.error.to_dict() == here.error.to_dict()
    assert pickle.loads(pickle.dumps(there.error)).to_dict() == here.error.to_dict()


async def test_metadata_is_the_servers() -> None:
    """A client cannot say who it is: metadata is refused before anything is sent."""
    result = await remote(shop()).execute("1", Open(), metadata={"actor": "root"})

    assert isinstance(result, Failure)
    assert isinstance(result.error, InvalidDataError)


# --- what happens on the way ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", ["lost", "gateway", "unsent"])
async def test_a_retry_doubles_nothing(fate: str) -> None:
    """A command whose answer is lost is sent again under its key, and has acted once."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    orders, network = losing(executor, fate, fate, fate)
    result = (await orders.execute("1", AddItem(article="tea"))).unwrap()

    assert network.requests == 4
    assert (result.version, result.replayed) == (2, False)
    assert [commit.version for commit in await executor.history("1")] == [1, 2]


async def test_an_answer_that_is_lost_for_good_is_unknown() -> None:
    """When every answer is lost, the outcome is unknown, and so it is when the store is gone after a lost answer."""
    store = Failing()
    executor = shop(store)
    orders, network = losing(executor, *["lost"] * 3, retries=2)
    lost = await orders.execute("1", Open())
    store.error = StoreUnavailableError()
    later, _ = losing(executor, "lost", retries=1)
    gone = await later.execute("1", Open())

    assert network.requests == 3
    for result in (lost, gone):
        assert isinstance(result, Failure)
        assert isinstance(result.error, OutcomeUnknownError)


LOST = httpx2.ReadError("reset")
UNAVAILABLE = told_as(503, "StoreUnavailableError")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([html(502)], OutcomeUnknownError),
        ([html(504)], OutcomeUnknownError),
        ([html(503)], StoreUnavailableError),
        ([html(502), html(503)], OutcomeUnknownError),
        ([(502, '{"type": "about:blank", "detail": "no"}', "application/problem+json")], OutcomeUnknownError),
        ([LOST, html(504)], OutcomeUnknownError),
        ([LOST, html(500)], OutcomeUnknownError),
        ([LOST, told_as(401, "Unauthorized")], OutcomeUnknownError),
        ([LOST, told_as(500, "StoreError")], OutcomeUnknownError),
        ([LOST, told_as(500, "UnexpectedError")], OutcomeUnknownError),
        ([LOST, UNAVAILABLE], OutcomeUnknownError),
        ([httpx2.DecodingError("gzip")], OutcomeUnknownError),
        ([(200, '{"id": "1", "sta', "application/json")], OutcomeUnknownError),
        ([(201, "[]", "application/json")], OutcomeUnknownError),
        ([LOST, told_as(404, "NotFoundError", workflow_id="1")], NotFoundError),
        ([LOST, told_as(503, "DependencyError", name="tax")], DependencyError),
        ([html(500)], OutcomeUnknownError),
        ([html(520)], OutcomeUnknownError),
        ([html(404)], UnexpectedError),
        ([told_as(500, "UnexpectedError")], UnexpectedError),
        ([told_as(401, "Unauthorized")], UnexpectedError),
        ([UNAVAILABLE], StoreUnavailableError),
        ([httpx2.ConnectError("nobody"), html(503)], StoreUnavailableError),
        ([httpx2.InvalidURL("no port")], StoreUnavailableError),
    ],
)
async def test_what_may_have_been_done_is_unknown(answers: list[Answer], expected: type[Exception]) -> None:
    """A command that may have been carried out is of unknown outcome, unless an answer of Statewright's tells."""
    orders, _ = answering(*answers)
    result = await orders.execute("1", Open())

    assert isinstance(result, Failure)
    assert type(result.error) is expected


@pytest.mark.parametrize(
    "answer", [html(502), html(503), html(504), LOST, httpx2.DecodingError("gzip"), httpx2.InvalidURL("no port")]
)
async def test_reading_from_who_does_not_answer_is_unavailable(answer: Answer) -> None:
    """Whatever stands between reader and server, the error is the store's, and names no outcome."""
    orders, _ = answering(answer)
    for read in (orders.get("1"), orders.at("1", 1), orders.history("1"), orders.available_commands("1")):
        with pytest.raises(StoreUnavailableError):
            await read
    with pytest.raises(StoreUnavailableError):
        await anext(orders.watch("1"))


@pytest.mark.parametrize("answer", [html(501), told_as(501, "StoreError")])
async def test_keys_are_kept_whatever_fails(answer: Answer) -> None:
    """Only a server that says that its store keeps no keys is sent a command without one."""
    orders, sent = answering(answer)
    await orders.execute("1", Open())
    await orders.execute("1", Open())

    assert len(sent) == 2
    assert all("idempotency-key" in request.headers for request in sent)


async def test_keys_are_kept_if_without_one_it_fails_as_well() -> None:
    """Where a command is not supported without a key either, it is not the key, and the next one has one again."""
    orders, sent = answering(told_as(501, "StoreError", reason="unsupported"))
    await orders.execute("1", Open())
    await orders.execute("1", Open())

    assert ["idempotency-key" in request.headers for request in sent] == [True, False, True, False]


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    """A server that was never reached has saved nothing."""
    orders, network = losing(shop(), *["unsent"] * 9, retries=3)
    result = await orders.execute("1", Open())

    assert network.requests == 4
    assert isinstance(result, Failure)
    assert isinstance(result.error, StoreUnavailableError)
    with pytest.raises(StoreUnavailableError):
        await orders.get("1")


async def test_a_store_that_comes_back_is_waited_for() -> None:
    """A store that is unavailable for a moment is asked again."""
    store = Failing()
    store.error = StoreUnavailableError()
    executor = shop(store)
    seen = 0

    def mending(app: Any) -> Any:
        async def mend(scope: Any, receive: Any, send: Any) -> None:
            nonlocal seen
            seen += 1
            if seen == 3:
                store.error = None
            await app(scope, receive, send)

        return mend

    result = await remote(executor, mending).execute("1", Open())

    assert result.ok
    assert seen == 3


async def test_refusals_are_not_asked_again() -> None:
    """What was decided is decided: refusals and bugs are sent once."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    orders, network = losing(executor)
    await orders.execute("1", Place())
    await orders.execute("1", Break(how="bug"))
    await orders.execute("1", Break(how="dependency"))

    assert network.requests == 3


async def test_a_store_without_keys_is_served_once() -> None:
    """To a store that keeps no keys a command goes without one, and is not repeated when its answer is lost."""
    executor = shop(Plain())
    orders, network = losing(executor, "well", "well", "lost")
    assert (await orders.execute("1", Open())).ok
    lost = await orders.execute("1", AddItem(article="tea"))

    assert isinstance(lost, Failure)
    assert isinstance(lost.error, OutcomeUnknownError)
    assert network.requests == 3
    order = await executor.get("1")
    assert order is not None
    assert order.version == 2


async def test_another_server_is_told_apart() -> None:
    """What is no Statewright server is no answer: not even its 404 means that a workflow does not exist."""
    status = 0

    async def website(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<html>"})

    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(website), base_url="http://localhost")
    orders = RemoteExecutor[Order](client, Order, backoff=AT_ONCE)
    for status in (200, 404, 401, 500):
        with pytest.raises(UnexpectedError):
            await orders.get("1")
        result = await orders.execute("1", Open())
        assert isinstance(result, Failure)
        # Whatever it is, it may have passed the command on, unless it says that it has not.
        assert isinstance(result.error, OutcomeUnknownError if status in {200, 500} else UnexpectedError)


def test_it_is_wired_rightly() -> None:
    """What is no workflow class is refused where the executor is made."""
    with pytest.raises(DefinitionError):
        RemoteExecutor("http://localhost", int)
    with pytest.raises(DefinitionError):
        RemoteExecutor("http://localhost", Order, retries=-1)
    for token in ("", "schlüssel", "two\nlines"):
        with pytest.raises(DefinitionError, match="printable ASCII"):
            RemoteExecutor("http://localhost", Order, token=token)


# --- watching ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def served(executor: Any, wrap: Callable[[Any], Any] = lambda app: app) -> Any:
    """Yield a remote executor over a real server."""
    async with (
        serving(wrap(create_app([executor], console=False))) as address,
        RemoteExecutor[Order](address, Order, backoff=timedelta(milliseconds=5)) as orders,
    ):
        yield orders


@pytest.mark.slow
async def test_watching_gives_each_version_once() -> None:
    """Watching gives the workflow as it is, and each new version, once and in order."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    async with served(executor) as orders, aclosing(orders.watch("1")) as watching:
        found = [(await within(anext(watching))).version]
        for _ in range(20):
            (await executor.execute("1", AddItem(article="tea"))).unwrap()
        found += [(await within(anext(watching))).version for _ in range(20)]

    assert found == list(range(1, 22))


class Cut(Exception):
    """A connection has had enough."""


@pytest.mark.slow
async def test_watching_survives_broken_connections() -> None:
    """Over connections that break after every few bytes no version is skipped, and none comes twice."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    connections = 0

    def breaking(app: Any) -> Any:
        async def cut(scope: Any, receive: Any, send: Any) -> None:
            nonlocal connections
            connections += 1
            left = 6000

            async def sending(message: Any) -> None:
                nonlocal left
                body = message.get("body", b"")
                left -= len(body)
                if left < 0:
                    await send({**message, "body": body[: len(body) // 2], "more_body": False})
                    raise Cut
                await send(message)

            try:
                await app(scope, receive, sending if scope["type"] == "http" else send)
            except Cut:
                pass

        return cut

    async with served(executor, breaking) as orders, aclosing(orders.watch("1")) as watching:
        found = [(await within(anext(watching))).version]
        for _ in range(30):
            (await executor.execute("1", AddItem(article="tea"))).unwrap()
            if len(found) < 25:
                found.append((await within(anext(watching))).version)
        while found[-1] < 31:
            found.append((await within(anext(watching))).version)

    assert found == list(range(1, 32))
    assert connections > 5


async def test_watching_what_is_not_there_raises() -> None:
    """What does not exist cannot be watched, and neither can what is no id, or a server that is not there."""
    orders = remote(shop())
    with pytest.raises(NotFoundError):
        await anext(orders.watch("1"))
    with pytest.raises(InvalidDataError):
        await anext(orders.watch(""))
    far, network = losing(shop(), *["unsent"] * 9, retries=2)
    with pytest.raises(StoreUnavailableError):
        await anext(far.watch("1"))
    assert network.requests == 3


async def test_watching_drops_what_comes_twice() -> None:
    """A server that begins again before where it was asked to go on is no reason to see a version twice."""
    connections = 0

    async def forgetful(scope: Any, receive: Any, send: Any) -> None:
        nonlocal connections
        connections += 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        text = "".join(f"id: {version}\ndata: {event(version)}\n\n" for version in range(1, connections + 2))
        await send({"type": "http.response.body", "body": text.encode()})

    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(forgetful), base_url="http://localhost")
    async with aclosing(RemoteExecutor[Order](client, Order, backoff=AT_ONCE).watch("1")) as watching:
        found = [(await within(anext(watching))).version for _ in range(4)]

    assert found == [1, 2, 3, 4]


def event(version: int) -> str:
    times = dict.fromkeys(("created_at", "updated_at"), "2026-03-01T12:00:00+00:00")
    return json.dumps({"id": "1", "state": "Draft", "data": {}, "version": version, "model_version": 1, **times})


def test_memory_store_is_what_the_shop_stands_on() -> None:
    """Without a store of its own each shop has one to itself."""
    assert isinstance(shop().store, MemoryStore)
