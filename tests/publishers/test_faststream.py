"""Publishing through FastStream, to brokers that it plays in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from faststream.kafka import KafkaBroker, KafkaMessage, TestKafkaBroker
from faststream.rabbit import RabbitBroker, RabbitMessage, TestRabbitBroker
from faststream.redis import RedisBroker, RedisStreamMessage, TestRedisBroker

from statewright import Commit, MemoryStore, Worker, WorkflowExecutor
from statewright.errors import DefinitionError
from statewright.publishers import FastStreamPublisher
from tests.engine.workshop import Begin, Move, bell_router


async def _bells(store: MemoryStore, *ids: str) -> list[Commit]:
    bells: WorkflowExecutor[Any] = WorkflowExecutor(bell_router(), store)
    for id in ids:
        (await bells.execute(id, Begin())).unwrap()
        (await bells.execute(id, Move(), metadata={"correlation_id": "visit-7"})).unwrap()
    return await store.commits()


async def test_kafka() -> None:
    """On Kafka the key is the workflow's id, and the headers are a CloudEvent's."""
    store, broker = MemoryStore(), KafkaBroker()
    heard: list[Any] = []

    @broker.subscriber("bells")
    async def hear(body: dict[str, Any], message: KafkaMessage) -> None:
        heard.append((body, message.headers, message.raw_message.key, message.correlation_id))

    commits = await _bells(store, "b-1")
    async with TestKafkaBroker(broker):
        publisher = FastStreamPublisher(broker, {"topic": "bells"}, source="/town")
        await Worker(store, publishers=[publisher], start=0).run_until_idle()

    assert [body for body, *_ in heard] == [json.loads(json.dumps(commit.to_dict())) for commit in commits]
    assert [key for _, _, key, _ in heard] == [b"b-1", b"b-1"]
    assert [correlation for *_, correlation in heard] == [commits[0].id, "visit-7"]
    headers = heard[1][1]
    found = {name: headers[name] for name in headers if name.startswith("ce-")}
    assert found == {
        "ce-specversion": "1.0",
        "ce-id": commits[1].id,
        "ce-source": "/town",
        "ce-type": "bell.committed",
        "ce-subject": "b-1",
        "ce-time": commits[1].recorded_at.isoformat(),
        "ce-definition": "bell",
        "ce-workflowversion": "2",
        "ce-position": "2",
    }
    assert headers["content-type"] == "application/json"


async def test_rabbit() -> None:
    """On RabbitMQ the message id is the commit's, and a function may choose where each commit goes."""
    store, broker = MemoryStore(), RabbitBroker()
    heard: list[Any] = []

    @broker.subscriber("bell-b-1")
    async def hear(body: dict[str, Any], message: RabbitMessage) -> None:
        heard.append((body["version"], message.message_id, message.content_type))

    commits = await _bells(store, "b-1")
    async with TestRabbitBroker(broker):
        publisher = FastStreamPublisher(broker, lambda commit: {"queue": f"{commit.definition}-{commit.workflow_id}"})
        await Worker(store, publishers=[publisher], start=0).run_until_idle()

    assert heard == [(1, commits[0].id, "application/json"), (2, commits[1].id, "application/json")]


async def test_redis() -> None:
    """On Redis, which has neither keys nor message ids, one stream keeps the order and `ce-id` names the commit."""
    store, broker = MemoryStore(), RedisBroker()
    heard: list[Any] = []

    @broker.subscriber(stream="bells")
    async def hear(body: dict[str, Any], message: RedisStreamMessage) -> None:
        heard.append((body["workflow_id"], body["version"], message.headers["ce-id"], message.correlation_id))

    commits = await _bells(store, "b-1", "b-2")
    async with TestRedisBroker(broker):
        publisher = FastStreamPublisher(broker, {"stream": "bells"})
        await Worker(store, publishers=[publisher], start=0).run_until_idle()

    expected = [
        (each.workflow_id, each.version, each.id, each.metadata.get("correlation_id", each.id)) for each in commits
    ]
    for id in ("b-1", "b-2"):
        assert [each for each in heard if each[0] == id] == [each for each in expected if each[0] == id]


async def test_a_consumer_that_is_not_there() -> None:
    """A broker that refuses is tried again later; the position stays."""
    store, broker = MemoryStore(), KafkaBroker()
    await _bells(store, "b-1")

    async def refuse(*words: Any, **options: Any) -> None:
        raise OSError("no broker")

    async with TestKafkaBroker(broker):
        broker.publish = refuse  # type: ignore[method-assign, assignment]
        worker = Worker(store, publishers=[FastStreamPublisher(broker, {"topic": "bells"})], start=0)
        await worker.run_until_idle()

    assert [status.position for status in await store.readers()] == [0]


def test_what_is_no_broker() -> None:
    """What cannot publish is refused."""
    with pytest.raises(DefinitionError, match="broker is expected"):
        FastStreamPublisher(object(), {})  # type: ignore[arg-type]
