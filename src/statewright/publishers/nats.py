"""Publishing to NATS JetStream."""

from __future__ import annotations

import asyncio
import importlib
import logging
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

from ..errors import DefinitionError
from .cloud_event import CONTENT_TYPE, attributes, body

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

    from .._engine.ports import Publisher
    from .._model.commit import Commit

_log: Final = logging.getLogger("statewright.nats")


class NatsPublisher:
    """Publishes commits to a JetStream stream.

    ```python
    publisher = NatsPublisher("nats://localhost:4222", subject="shop")
    worker = Worker(store, executors, publishers=[publisher], start=0)
    ```

    A commit of workflow `o-1` of definition `order` goes to `shop.order.o-1`; of the id, whatever is special in
    subjects is percent-encoded. The message id is the commit's, so that the stream drops repetitions within its window.
    Each message is awaited until the stream has acknowledged it. The stream itself is yours: it must listen to the
    subjects. Streams acknowledge before their disk does, unless the server has `sync_interval: always`.

    Args:
        connection: URLs of servers, or a connection of yours, which is never closed here.
        subject: What subjects begin with.
        name: Under which the position is kept in the store.
        source: The CloudEvents `source`; `/` and the subject if not given.
        stream: Refuse to publish to another stream than this one.
        timeout: How long to wait for an acknowledgement, before it is tried again.
        max_pending: How many messages may be without an acknowledgement at once.

    Raises:
        DefinitionError: An argument is wrong.
        ImportError: nats-py is not installed.
    """

    def __init__(
        self,
        connection: str | list[str] | Client,
        *,
        subject: str = "statewright",
        name: str = "nats",
        source: str | None = None,
        stream: str | None = None,
        timeout: timedelta = timedelta(seconds=5),
        max_pending: int = 64,
    ) -> None:
        try:
            importlib.import_module("nats")
        except ImportError as exc:
            raise ImportError('NatsPublisher needs nats-py: pip install "statewright[nats]"') from exc
        if not subject or any(part == "" or set(part) & set("*> \t") for part in subject.split(".")):
            raise DefinitionError(f"subject is one or more words with dots in between, found {subject!r}")
        if max_pending < 1 or timeout <= timedelta():
            raise DefinitionError("max_pending is at least 1, and timeout above zero")
        self.name = name
        self._given = connection
        self._subject = subject
        self._source = source or f"/{subject}"
        self._stream = stream
        self._timeout = timeout.total_seconds()
        self._pending = asyncio.Semaphore(max_pending)
        self._connecting = asyncio.Lock()
        self._own: Client | None = None
        self._jetstream: JetStreamContext | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection, if it is not yours; the next commit opens it again."""
        own, self._own, self._jetstream = self._own, None, None
        if own is not None:
            await own.close()

    async def publish(self, commit: Commit) -> None:
        """Publish a commit, and wait until the stream has it."""
        jetstream = await self._connected()
        headers = {f"ce-{key}": quote(value, safe=_SAFE) for key, value in self._attributes(commit).items()}
        headers |= {"Nats-Msg-Id": commit.id, "Content-Type": CONTENT_TYPE}
        async with self._pending:
            await jetstream.publish(
                self.subject_of(commit), body(commit), timeout=self._timeout, stream=self._stream, headers=headers
            )

    def subject_of(self, commit: Commit) -> str:
        """Return the subject that a commit is published to."""
        return f"{self._subject}.{_token(commit.definition)}.{_token(commit.workflow_id)}"

    def _attributes(self, commit: Commit) -> dict[str, str]:
        found = attributes(commit, source=self._source)
        del found["datacontenttype"]  # in binary mode it is the content type of the message
        return found

    async def _connected(self) -> JetStreamContext:
        async with self._connecting:
            if self._jetstream is None:
                client = self._given if not isinstance(self._given, str | list) else await self._connect(self._given)
                self._jetstream = client.jetstream()
            return self._jetstream

    async def _connect(self, servers: str | list[str]) -> Client:
        import nats  # noqa: PLC0415 - an optional dependency

        self._own = await nats.connect(
            servers, name="statewright", max_reconnect_attempts=-1, allow_reconnect=True, error_cb=_told
        )
        return self._own


_SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
"""What CloudEvents leaves as it is in a header."""


def _token(text: str) -> str:
    """Return a text as one word of a subject."""
    return quote(text, safe="").replace(".", "%2E")


async def _told(error: Exception) -> Any:
    _log.warning("NATS: %s", error or type(error).__name__)


if TYPE_CHECKING:
    _publisher: type[Publisher] = NatsPublisher
