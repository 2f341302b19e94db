"""Publishing to the brokers of FastStream: Kafka, RabbitMQ, Redis and others."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import DefinitionError
from .cloud_event import CONTENT_TYPE, attributes, body

if TYPE_CHECKING:
    from .._engine.ports import Publisher
    from .._model.commit import Commit


class Broker(Protocol):
    """A FastStream broker."""

    async def connect(self) -> Any:
        """Connect, unless it is connected."""
        ...

    async def publish(self, message: Any, *args: Any, **options: Any) -> Any:
        """Publish a message."""
        ...


class FastStreamPublisher:
    """Publishes commits through a broker of FastStream's.

    ```python
    publisher = FastStreamPublisher(KafkaBroker("localhost:9092"), {"topic": "orders"})
    worker = Worker(store, executors, publishers=[publisher], start=0)
    ```

    Where the broker has keys (Kafka), the key is the workflow's id, so that its commits stay in one partition and in
    order. Where it has message ids (RabbitMQ), the id is the commit's; `ce-id` among the headers is so everywhere.

    Args:
        broker: The broker. It is connected when the first commit is published, and never closed here.
        to: What `broker.publish` takes beside the message: `{"topic": ...}`, `{"queue": ...}`, `{"stream": ...}`; or a
            function that says so for a commit.
        name: Under which the position is kept in the store.
        source: The CloudEvents `source`.

    Raises:
        DefinitionError: It is no broker.
    """

    def __init__(
        self,
        broker: Broker,
        to: Mapping[str, Any] | Callable[[Commit], Mapping[str, Any]],
        *,
        name: str = "faststream",
        source: str = "/statewright",
    ) -> None:
        if not callable(getattr(broker, "publish", None)) or not callable(getattr(broker, "connect", None)):
            raise DefinitionError(f"a FastStream broker is expected, found {type(broker).__name__}")
        self.name = name
        self._broker = broker
        self._to = to
        self._source = source
        self._options = frozenset(inspect.signature(type(broker).publish).parameters)
        self._connecting = asyncio.Lock()
        self._is_connected = False

    async def publish(self, commit: Commit) -> None:
        """Publish a commit."""
        await self._connect()
        chosen = self._to(commit) if callable(self._to) else self._to
        await self._broker.publish(body(commit), **self._usual(commit) | dict(chosen))

    def _usual(self, commit: Commit) -> dict[str, Any]:
        known = attributes(commit, source=self._source)
        del known["datacontenttype"]  # in binary mode it is the content type of the message
        headers = {f"ce-{key}": value for key, value in known.items()}
        usual = {
            "headers": headers | {"content-type": CONTENT_TYPE},
            "correlation_id": str(commit.metadata.get("correlation_id") or commit.id),
            "key": commit.workflow_id.encode(),
            "message_id": commit.id,
            "content_type": CONTENT_TYPE,
            "persist": True,
        }
        return {name: value for name, value in usual.items() if name in self._options}

    async def _connect(self) -> None:
        async with self._connecting:
            if not self._is_connected:
                await self._broker.connect()
                self._is_connected = True


if TYPE_CHECKING:
    _publisher: type[Publisher] = FastStreamPublisher
