"""A store while it is open: its parts, put together."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ..._engine.ports import RecordedAnswer, StoredWorkflow, tell_batch
from ...errors import DefinitionError, StoreError
from . import schema
from .bell import Bell
from .collector import Collector
from .connections import Connections
from .entry import Entry
from .herald import Herald
from .log import Log
from .outbox import Outbox
from .reader import Reader
from .rows import array, check_id, check_text
from .runner import Bounds, Runner
from .saver import Saver
from .sources import ConnectionSettings, LentConnections, OwnConnections, Source
from .statements import Statements
from .timers import age_text

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

T = TypeVar("T")

_LEAST_CONNECTIONS: Final = 2
_RESERVED: Final = 5
"""Connections that saves waiting for locks leave to everybody else: two for saves, two for loads, one that listens."""
_EXPIRE_AFTER: Final = 500
"""Saves with an idempotency key after which expired keys are deleted, at most twice as many."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a store was constructed with; times in seconds, but for the retention."""

    source: str | AsyncConnectionPool[Any]
    schema: str
    size: int
    call: float
    connect: float
    lock: float
    poll: float
    retention: timedelta
    batch_listeners: list[Callable[[int], object]] = field(default_factory=list, compare=False)
    """Told how many saves each committed batch held."""

    def __post_init__(self) -> None:
        if isinstance(self.source, str):
            try:
                conninfo_to_dict(self.source)
            except psycopg.ProgrammingError:
                # Not the driver's message, which quotes the string, and with it the password.
                raise DefinitionError(
                    "PostgresStore was given a connection string that libpq does not take; expected "
                    "'postgresql://user@host/database' or 'host=... dbname=...'"
                ) from None
        elif not (callable(getattr(self.source, "getconn", None)) and inspect.iscoroutinefunction(self.source.getconn)):
            raise DefinitionError(
                "PostgresStore takes a connection string or a psycopg_pool.AsyncConnectionPool, found "
                f"{type(self.source).__name__}"
            )
        if self.usable < _LEAST_CONNECTIONS:
            raise DefinitionError(
                f"PostgresStore needs {_LEAST_CONNECTIONS} connections at least, found {self.usable}: one that waits "
                "for a locked workflow must not hold up everything else"
            )

    @property
    def usable(self) -> int:
        """How many connections there may be: of a pool, never more than it has."""
        pool = self.pooled
        return self.size if pool is None else min(self.size, pool.max_size)

    @property
    def pooled(self) -> AsyncConnectionPool[Any] | None:
        """The user's own pool, if one was given."""
        return None if isinstance(self.source, str) else self.source


class Session:
    """An open store. Belongs to the running event loop.

    Args:
        settings: Of the store.
    """

    def __init__(self, settings: Settings) -> None:
        self.loop = asyncio.get_running_loop()
        self.settings = settings
        self.sql = Statements(settings.schema)
        self.bounds = Bounds(settings.call, settings.connect, settings.lock)
        self.bell = Bell()
        self.connections = Connections(_source(settings), settings.usable)
        self.runner = Runner(self.connections, self.bounds)
        self.reader = Reader(self.runner.fetch, self.sql, settings.retention)
        self.log = Log(self.runner, self.sql)
        self.loads: Collector[str, StoredWorkflow] = Collector(self.reader.load_many)
        self.recalls: Collector[tuple[str, str], RecordedAnswer] = Collector(self.reader.recall_many)
        self.standing: Collector[tuple[str, str, str], bool] = Collector(self._timers_standing)
        self.outbox = Outbox(max(1, settings.usable - _RESERVED), self._saved)
        self.outbox.saver = Saver(self.runner, self.sql, self.outbox.set_aside, self.outbox.acknowledge)
        self.herald = Herald(self.runner, self.sql, self.bell)
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys = 0
        self._is_listening = False
        self._ears = AsyncExitStack()

    async def prepare(self, *, upgrade: bool) -> None:
        """Create or upgrade the schema, or check that it is there.

        Raises:
            StoreError: It cannot be used.
        """
        step = schema.upgrade if upgrade else schema.check
        await self.runner.run(lambda link: step(link, self.settings.schema))

    def load(self, id: str) -> asyncio.Future[StoredWorkflow | None]:
        """Return what is stored under an id, as a future."""
        return self.loads.ask(check_id(id))

    def recall(self, id: str, key: str) -> asyncio.Future[RecordedAnswer | None]:
        """Return what was recorded under an idempotency key, as a future."""
        return self.recalls.ask((check_text("id", id), check_text("key", key)))

    async def _timers_standing(self, timers: list[tuple[str, str, str]]) -> dict[tuple[str, str, str], bool]:
        params = [array(column) for column in zip(*timers, strict=True)]
        found = await self.runner.fetch(self.sql["timers_standing"], params)
        return dict.fromkeys(((id, key, generation) for id, key, generation in found), True)

    async def forget(self, id: str) -> bool:
        """Delete everything that is kept of a workflow; return whether there was anything.

        Raises:
            StoreError: Nothing was deleted.
        """
        literal = sql.Literal(check_text("id", id)).as_string(None)
        script = f"SET LOCAL lock_timeout = {self.bounds.call * 1000:.0f};{self.sql.script('forget', id=literal)}"
        return await self.runner.run(lambda link: link.count(script, timeout=self.bounds.call)) > 0

    async def listen(self) -> None:
        """Listen for notifications until the store is closed."""
        if not self._is_listening:
            self._is_listening = True
            await self._ears.enter_async_context(self.herald.listening())

    async def close(self) -> None:
        """Let everything that was begun come to its end, and close what is ours."""
        await self.outbox.quiet()
        await self.loads.quiet()
        await self.recalls.quiet()
        await self.standing.quiet()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._ears.aclose()
        await self.herald.close()
        self.bell.ring()
        await self.connections.close()

    def _saved(self, entries: Sequence[Entry]) -> None:
        tell_batch(self.settings.batch_listeners, len(entries))
        self.bell.ring()
        self.herald.tell()
        self._keys += sum(row.idempotency_key is not None for entry in entries for row in entry.rows)
        if self._keys >= _EXPIRE_AFTER:
            self._keys = 0
            self._start(self._expire)

    async def _expire(self) -> None:
        params = (age_text(self.settings.retention), str(2 * _EXPIRE_AFTER))
        await self.runner.fetch(self.sql["expire_keys"], params)

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            try:
                await work()
            except StoreError:
                pass  # nobody waits for it, and it will be done with the next occasion

        task = self.loop.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _source(settings: Settings) -> Source:
    on_each = ConnectionSettings(round(settings.lock * 1000))
    if isinstance(settings.source, str):
        return OwnConnections(settings.source, on_each)
    return LentConnections(settings.source, on_each)
