"""Streams over a real server: each commit once, in order, resumed where the reader was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx2
import pytest

from statewright import MemoryStore, PositionPrunedError, WorkflowExecutor
from statewright.http import create_app
from statewright.http import feed as feeds
from statewright.http.feed import Feed, _search_end
from statewright.stores.sqlite import SQLiteStore
from tests.http.shop import SECRET, AddItem, Open, Order, Place, asked, serving, shop, until, within
from tests.http.test_command import problem

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = pytest.mark.slow


@asynccontextmanager
async def served(executor: WorkflowExecutor[Any], **options: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield a client of a server that runs."""
    async with (
        serving(create_app([executor], console=False, **options)) as address,
        httpx2.AsyncClient(base_url=address, timeout=60) as client,
    ):
        yield client


async def events(client: httpx2.AsyncClient, path: str, **headers: str) -> Any:
    """Yield the events of one connection as (kind, id, data)."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.stream("GET", path, headers=sent) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        async for event in httpx2.EventSource(response):
            yield event.event, int(event.id), json.loads(event.data)


async def take(stream: Any, count: int) -> list[Any]:
    return [await within(anext(stream)) for _ in range(count)]


async def add(executor: WorkflowExecutor[Order], id: str, count: int = 1) -> None:
    for _ in range(count):
        (await executor.execute(id, AddItem(article="tea"))).unwrap()


async def test_a_workflows_stream_begins_with_its_state() -> None:
    """The stream of one workflow gives its state as it is, and then one event for each commit, with its version."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    async with served(executor) as client, aclosing(events(client, "/order/1/stream")) as stream:
        [first] = await take(stream, 1)
        await add(executor, "1", 2)
        await add_elsewhere(executor)
        (await executor.execute("1", Place())).unwrap()
        rest = await take(stream, 3)

    assert (first[0], first[1], first[2]["version"], first[2]["commit"]) == ("state", 1, 1, None)
    assert [(kind, id, body["version"]) for kind, id, body in rest] == [("commit", n, n) for n in (2, 3, 4)]
    assert [len(body["data"]["lines"]) for _, _, body in rest] == [1, 2, 2]
    assert rest[-1][2]["commit"]["events"] == [{"type": "OrderPlaced", "data": {"order_id": "1"}}]
    assert SECRET not in json.dumps([first, *rest])


async def add_elsewhere(executor: WorkflowExecutor[Order]) -> None:
    (await executor.execute("other", Open())).unwrap()
    await add(executor, "other")


async def test_a_workflows_stream_goes_on_where_it_was() -> None:
    """`Last-Event-ID` is the last version that the reader has: what follows comes, each once."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    await add(executor, "1", 4)
    async with served(executor) as client, aclosing(events(client, "/order/1/stream", last_event_id="2")) as stream:
        found = await take(stream, 3)
        await add(executor, "1")
        found += await take(stream, 1)

    assert [(kind, id) for kind, id, _ in found] == [("commit", 3), ("commit", 4), ("commit", 5), ("commit", 6)]


async def test_a_definitions_stream_begins_now() -> None:
    """The stream of a definition gives what comes from now on, with the position of each commit."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    async with served(executor) as client, client.stream("GET", "/order/stream") as response:
        source = aiter(httpx2.EventSource(response))
        await add(executor, "1")
        event = await within(anext(source))

    assert (event.event, event.id, json.loads(event.data)["version"]) == ("commit", "2", 2)


@pytest.mark.parametrize("way", ["after", "header"])
async def test_a_definitions_stream_begins_where_it_is_told(way: str) -> None:
    """`?after=` or `Last-Event-ID` is a position: everything above it comes; the header wins."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    await add(executor, "1", 3)
    path, headers = (
        ("/order/stream?after=1", {}) if way == "after" else ("/order/stream?after=3", {"last_event_id": "1"})
    )
    async with served(executor) as client, aclosing(events(client, path, **headers)) as stream:
        found = await take(stream, 3)
        await add(executor, "1")
        found += await take(stream, 1)

    assert [id for _, id, _ in found] == [2, 3, 4, 5]


async def test_readers_that_come_back_miss_nothing_under_load(tmp_path: Any) -> None:
    """Readers that break off and come back while many write get every commit once and in order."""
    async with SQLiteStore(tmp_path / "orders.db") as store:
        await come_and_go(store)


@pytest.mark.postgres
async def test_readers_miss_nothing_on_postgres(postgres_store: Any) -> None:
    """The same holds on PostgreSQL, where positions are given after the commit."""
    await come_and_go(postgres_store)


async def come_and_go(store: Any) -> None:
    executor = shop(store)
    ids = [f"order-{number}" for number in range(5)]
    for id in ids:
        (await executor.execute(id, Open())).unwrap()
    async with served(executor) as client:
        readers = [asyncio.create_task(read_on(client, "/order/stream?after=0", 105, step)) for step in (3, 7)]
        readers += [asyncio.create_task(read_on(client, f"/order/{id}/stream", 21, 4)) for id in ids]
        await asyncio.gather(*(add(executor, id, 20) for id in ids))
        found = await within(asyncio.gather(*readers), 60)

    logged = [commit.position for commit in await store.commits()]
    assert found[:2] == [logged, logged]
    assert all(each == sorted(set(each)) and each[-1] == 21 for each in found[2:])
    assert all(each == list(range(each[0], 22)) for each in found[2:])


async def read_on(client: httpx2.AsyncClient, path: str, last: int, step: int) -> list[int]:
    """Read events up to an id, coming back after every few."""
    found: list[int] = []
    while not found or found[-1] < last:
        headers = {"last_event_id": str(found[-1])} if found else {}
        async with aclosing(events(client, path, **headers)) as stream:
            for _ in range(step):
                found.append((await within(anext(stream)))[1])
                if found[-1] >= last:
                    break
    return found


async def test_a_slow_reader_holds_up_nobody() -> None:
    """A reader who takes nothing costs no memory and delays no other reader."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    async with served(executor) as client, client.stream("GET", "/order/stream") as slow:
        assert slow.status_code == 200  # and nothing more is read from it
        async with aclosing(events(client, "/order/stream?after=0")) as quick:
            await take(quick, 1)
            big = "x" * 10_000
            for _ in range(300):
                (await executor.execute("1", AddItem(article=big))).unwrap()
            found = await take(quick, 300)

    assert [id for _, id, _ in found] == list(range(2, 302))


async def test_a_stream_gives_signs_of_life() -> None:
    """Where nothing happens, comments keep the connection alive."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    async with served(executor, heartbeat=0.02) as client, client.stream("GET", "/order/1/stream") as response:
        text = ""
        async with asyncio.timeout(30):
            async for chunk in response.aiter_text():
                text += chunk
                if text.count(": heartbeat") >= 2:
                    break

    assert text.startswith("id: 1\nevent: state\n")


async def test_streams_that_cannot_go_on_are_410() -> None:
    """What was pruned, forgotten or never there is 410, and never skipped in silence."""
    store = Pruned()
    executor = shop(store)
    (await executor.execute("1", Open())).unwrap()
    await add(executor, "1", 5)
    store.horizon = 3
    async with asked(create_app([executor], console=False)) as client:
        pruned = problem(await client.get("/order/stream?after=1"), 410, "PositionPrunedError")
        problem(await client.get("/order/stream?after=7"), 410, "PositionPrunedError")
        problem(await client.get("/order/1/stream", headers={"last-event-id": "9"}), 410, "PositionPrunedError")
        problem(await client.get("/order/1/stream", headers={"last-event-id": "1"}), 410, "PositionPrunedError")
        problem(await client.get("/order/1/stream", headers={"last-event-id": "x"}), 400, "InvalidDataError")

    assert (pruned["after"], pruned["horizon"]) == (1, 3)


class Pruned(MemoryStore):
    """Has let go of its first commits."""

    horizon = 0

    async def commits(self, *, after: int = 0, limit: int = 1000) -> Any:
        if after < self.horizon:
            raise PositionPrunedError(after, self.horizon)
        return await super().commits(after=after, limit=limit)

    async def history(self, id: str, *, after: int = 0, limit: int | None = None) -> Any:
        return await super().history(id, after=max(after, self.horizon), limit=limit)


async def test_a_stream_ends_when_its_workflow_begins_anew() -> None:
    """A workflow that is forgotten and begun anew is another one: the stream ends, and who comes back is told."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    await add(executor, "1", 3)
    async with served(executor) as client:
        async with aclosing(events(client, "/order/1/stream")) as stream:
            await take(stream, 1)
            await executor.forget("1")
            (await executor.execute("1", Open())).unwrap()
            with pytest.raises(StopAsyncIteration):
                await within(anext(stream))
        problem(await client.get("/order/1/stream", headers={"last-event-id": "4"}), 410, "PositionPrunedError")


class _Slow(MemoryStore):
    """Lets nobody read history for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def history(self, id: str, *, after: int = 0, limit: int | None = None) -> Any:
        await self.is_open.wait()
        return await super().history(id, after=after, limit=limit)


@pytest.mark.parametrize("items", [2, 3, 5])
async def test_a_new_life_is_never_taken_for_the_old_one(items: int) -> None:
    """However far a workflow that was begun anew has come when its reader looks, nobody takes it for the old one."""
    store = _Slow()
    executor = shop(store)
    (await executor.execute("1", Open())).unwrap()
    await add(executor, "1", 2)
    async with served(executor) as client, aclosing(events(client, "/order/1/stream")) as stream:
        await take(stream, 1)
        await add(executor, "1")
        await take(stream, 1)
        store.is_open.clear()
        await executor.forget("1")
        (await executor.execute("1", Open())).unwrap()
        await add(executor, "1", items)
        store.is_open.set()
        with pytest.raises(StopAsyncIteration):
            await within(anext(stream))


async def test_nobody_follows_when_nobody_watches() -> None:
    """The log is followed while somebody watches, and not before or after."""
    executor = shop()
    (await executor.execute("1", Open())).unwrap()
    async with served(executor) as client:
        async with aclosing(events(client, "/order/1/stream")) as stream:
            await take(stream, 1)
            await until(lambda: followers() == 1)
        await until(lambda: followers() == 0)


def followers() -> int:
    return sum(task.get_name() == "statewright-feed" for task in asyncio.all_tasks())


@pytest.mark.parametrize("count", [0, 1, 2, 3, 8, 13])
async def test_the_end_of_a_log_is_found(count: int) -> None:
    """Where a store does not tell its last position, it is found by halving."""
    store = MemoryStore()
    for number in range(count):
        (await shop(store).execute(str(number), Open())).unwrap()

    assert await _search_end(store) == count == await Feed(store).end()


async def test_a_feed_outlives_a_store_that_fails() -> None:
    """A store that fails while it is watched is asked again, and nothing is missed."""
    store = Faltering()
    executor = shop(store)
    (await executor.execute("1", Open())).unwrap()
    async with served(executor) as client, aclosing(events(client, "/order/stream?after=0")) as stream:
        await take(stream, 1)
        await add(executor, "1")
        [found] = await take(stream, 1)

    assert found[1] == 2
    assert store.failures == 1


class Faltering(MemoryStore):
    """Fails the first who follows its log."""

    failures = 0

    async def subscribe(self, *, after: int = 0) -> Any:
        if not self.failures:
            self.failures += 1
            raise RuntimeError("gone")
        async for commit in super().subscribe(after=after):
            yield commit


async def test_who_is_far_behind_reads_from_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the latest commits only some are at hand; who is behind them misses nothing all the same."""
    monkeypatch.setattr(feeds, "_KEPT", 3)
    store = MemoryStore()
    executor = shop(store)
    (await executor.execute("1", Open())).unwrap()
    feed = Feed(store)
    with feed.watch("definition", "order", 1) as watcher:
        await add(executor, "1", 9)
        await until(lambda: len(feed._recent) == 3 and feed._recent[-1].position == 10)

        behind = [commit.position for commit in await feed.read(1)]
        near = [commit.position for commit in await feed.read(8)]
        await within(watcher.wait())

    assert (behind, near) == (list(range(2, 11)), [9, 10])
