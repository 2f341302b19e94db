"""Publishing to NATS JetStream, on a real server."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js.api import StreamConfig

from statewright import MemoryStore, Worker, WorkflowExecutor
from statewright.errors import DefinitionError
from statewright.publishers import NatsPublisher
from tests.engine.workshop import ZERO, Begin, Move, bell_router
from tests.publishers.nats_server import NatsServer, nats_server

PATIENCE = 30.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server with an empty disk."""
    with nats_server(tmp_path) as server:
        yield server


@pytest.fixture
async def jetstream(server: NatsServer) -> AsyncIterator[Any]:
    """A connection of the test's own, and a stream that listens to `town.>`."""
    client = await nats.connect(server.url)
    await client.jetstream().add_stream(StreamConfig("TOWN", subjects=["town.>"]))
    yield client.jetstream()
    await client.close()


async def _bells(store: MemoryStore, *ids: str) -> None:
    bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(), store)
    for id in ids:
        (await bells.execute(id, Begin())).unwrap()
        (await bells.execute(id, Move(), metadata={"actor": "ann"})).unwrap()


async def _messages(jetstream: Any) -> list[Any]:
    count = (await jetstream.stream_info("TOWN")).state.messages
    return [await jetstream.get_msg("TOWN", number) for number in range(1, count + 1)]


@pytest.mark.slow
async def test_commits_arrive(server: NatsServer, jetstream: Any) -> None:
    """Each commit is a message with CloudEvents attributes, in order for each workflow, under the commit's id."""
    store = MemoryStore()
    await _bells(store, "b-1", "o.dd * é")
    publisher = NatsPublisher(server.url, subject="town", source="/town/hall", stream="TOWN")

    await Worker(store, publishers=[publisher], start=0).run_until_idle()

    messages = await _messages(jetstream)
    commits = {commit.id: commit for commit in await store.commits()}
    assert sorted(message.subject for message in messages) == sorted(
        ["town.bell.b-1"] * 2 + ["town.bell.o%2Edd%20%2A%20%C3%A9"] * 2
    )
    for message in messages:
        commit = commits.pop(message.headers["Nats-Msg-Id"])
        assert json.loads(message.data) == commit.to_dict()
        assert message.headers["ce-id"] == commit.id
        assert message.headers["ce-specversion"] == "1.0"
        assert message.headers["ce-source"] == "/town/hall"
        assert message.headers["ce-type"] == "bell.committed"
        assert message.headers["ce-workflowversion"] == str(commit.version)
        assert datetime.fromisoformat(message.headers["ce-time"]) == commit.recorded_at
        assert message.headers["Content-Type"] == "application/json"
    assert commits == {}
    versions = [json.loads(message.data)["version"] for message in messages if message.subject.endswith("b-1")]
    assert versions == [1, 2]


@pytest.mark.slow
async def test_repetitions_are_dropped(server: NatsServer, jetstream: Any) -> None:
    """What is published again, by another worker, is dropped by the stream."""
    store = MemoryStore()
    await _bells(store, "b-1")
    for name in ("one", "two"):
        publisher = NatsPublisher(server.url, subject="town", name=name)
        await Worker(store, publishers=[publisher], start=0).run_until_idle()

    assert len(await _messages(jetstream)) == 2


@pytest.mark.slow
async def test_a_server_that_goes_and_comes(
    server: NatsServer, jetstream: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """While the server is away nothing is lost, and nothing arrives twice or out of order when it is back."""
    caplog.set_level(logging.CRITICAL)
    store = MemoryStore()
    publisher = NatsPublisher(server.url, subject="town", timeout=timedelta(milliseconds=500))
    worker = Worker(store, publishers=[publisher], start=0, backoff=timedelta(milliseconds=50))
    running = asyncio.create_task(worker.run())
    await _bells(store, "b-1")
    await _passed(store, 2)

    await asyncio.to_thread(server.stop)
    await _bells(store, "b-2")
    await asyncio.to_thread(server.start)
    await _passed(store, 4)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    client = await nats.connect(server.url)
    versions = [
        (message.subject, json.loads(message.data)["version"]) for message in await _messages(client.jetstream())
    ]
    await client.close()
    assert versions == [("town.bell.b-1", 1), ("town.bell.b-1", 2), ("town.bell.b-2", 1), ("town.bell.b-2", 2)]


async def _passed(store: MemoryStore, position: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await store.reader_position("publisher:nats") != position:  # noqa: ASYNC110 - the worker is the clock
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_no_stream_for_it(server: NatsServer, jetstream: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Without a stream that listens nothing counts as published, and nothing is skipped."""
    caplog.set_level(logging.CRITICAL)
    store = MemoryStore()
    await _bells(store, "b-1")
    publisher = NatsPublisher(server.url, subject="nowhere")

    await Worker(store, publishers=[publisher], start=0, backoff=timedelta(hours=1)).run_until_idle()

    assert [status.position for status in await store.readers()] == [0]


@pytest.mark.slow
async def test_a_connection_of_the_callers(server: NatsServer, jetstream: Any) -> None:
    """A connection that was handed over is used, and stays open."""
    store = MemoryStore()
    await _bells(store, "b-1")
    client = await nats.connect(server.url)

    await Worker(store, publishers=[NatsPublisher(client, subject="town")], start=0, backoff=ZERO).run_until_idle()

    assert len(await _messages(jetstream)) == 2
    assert client.is_connected
    await client.close()


@pytest.mark.slow
async def test_pressure_goes_back(server: NatsServer, jetstream: Any) -> None:
    """No more messages are under way than may be, however many workflows there are."""
    store = MemoryStore()
    await _bells(store, *(f"b-{number}" for number in range(40)))
    client = await nats.connect(server.url)
    publisher = NatsPublisher(client, subject="town", max_pending=3)
    under_way, most = 0, 0
    connected = await publisher._connected()
    publish = connected.publish

    async def counted(*words: Any, **options: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await publish(*words, **options)
        finally:
            under_way -= 1

    connected.publish = counted  # type: ignore[method-assign]
    await Worker(store, publishers=[publisher], start=0).run_until_idle()
    await client.close()

    assert most == 3
    assert len(await _messages(jetstream)) == 80


@pytest.mark.parametrize("subject", ["", ".", "a..b", "a.*", "a b", ">"])
def test_subjects_that_are_none(subject: str) -> None:
    """What is no subject is refused."""
    with pytest.raises(DefinitionError, match="subject"):
        NatsPublisher("nats://127.0.0.1:1", subject=subject)
