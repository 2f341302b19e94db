"""A crowd in front of a server: many who send commands and many who watch, each over connections of its own."""

from __future__ import annotations

import asyncio
import math
import re
import ssl
import time
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Self

import httpx2

from statewright import Commit, Success
from statewright.client import RemoteExecutor
from tests.http.tally import Add, Counting

EVENT: Final = re.compile(rb'id: (\d+)\nevent: commit\ndata: \{.*?"mark":(\d+).*')
PATIENCE: Final = 60.0
_LOSES: Final = 7
"""Of so many answers a sender loses one, and sends its command again."""
_LEAVES: Final = 400
"""After so many events a restless reader breaks its connection, and comes back for the rest."""


class Losing(httpx2.AsyncHTTPTransport):
    """A network that loses some answers after the server has acted on the requests."""

    answers = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        self.answers += 1
        if self.answers % _LOSES == 0:
            await response.aclose()
            raise httpx2.ReadError("lost on purpose", request=request)
        return response


class Keyless(Losing):
    """The same network, with somebody in between who takes the keys off: what the crowd has to notice."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers.pop("idempotency-key", None)
        return await super().handle_async_request(request)


@dataclass
class Seen:
    """What one reader got: the id and the mark of each event, in the order in which they came."""

    name: str
    ids: array[int] = field(default_factory=lambda: array("q"))
    marks: array[int] = field(default_factory=lambda: array("q"))

    def note(self, id: int, mark: int) -> None:
        self.ids.append(id)
        self.marks.append(mark)

    def differences(self, ids: Sequence[int], marks: Sequence[int]) -> list[str]:
        """Return what it missed, saw twice, or saw out of order."""
        if list(self.ids) == list(ids) and list(self.marks) == list(marks):
            return []
        due, got = Counter(zip(ids, marks, strict=True)), Counter(zip(self.ids, self.marks, strict=True))
        missed, surplus = (due - got).total(), (got - due).total()
        return [f"{self.name} missed {missed}, saw {surplus} too many, of {len(ids)}, or saw them out of order"]


class Crowd:
    """Senders and watchers of tallies at one address.

    Args:
        address: Where the server is.
        tallies: So many workflows are shared by all.
        network: Makes what the senders' requests go through.
    """

    def __init__(self, address: str, tallies: int, network: Callable[..., httpx2.AsyncBaseTransport] = Losing) -> None:
        self.ids = [f"tally-{number}" for number in range(tallies)]
        self.acknowledged: Counter[int] = Counter()
        """How often each mark was."""
        self.added: Counter[str] = Counter()
        """How many marks each tally has."""
        self.of_definition: list[Seen] = []
        self.of_workflows: list[Seen] = []
        self.asleep: list[Seen] = []
        self._address = address
        self._network = network
        self._marks = iter(range(10**9))
        self._tls = ssl.create_default_context()  # one for all: to make it takes longer than to send a command
        self._open = AsyncExitStack()
        self._waking = asyncio.Event()
        self._watching: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        await self._open.aclose()

    async def client(self, transport: Any = None) -> httpx2.AsyncClient:
        """Return a client with a connection of its own."""
        transport = transport or httpx2.AsyncHTTPTransport(verify=self._tls)
        client = httpx2.AsyncClient(base_url=self._address, transport=transport, timeout=PATIENCE)
        return await self._open.enter_async_context(client)

    # --- sending ----------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Begin each tally."""
        orders = RemoteExecutor[Counting](await self.client(), Counting)
        await asyncio.gather(*(self._add(orders, id) for id in self.ids))

    async def senders(self, count: int) -> list[RemoteExecutor[Counting]]:
        """Return so many senders, each of which loses an answer now and then."""
        return [
            RemoteExecutor[Counting](
                await self.client(self._network(verify=self._tls)), Counting, backoff=timedelta(), retries=3
            )
            for _ in range(count)
        ]

    async def send(self, senders: Iterable[RemoteExecutor[Counting]], each: int) -> None:
        """Let each sender add so many marks, one after the other, all at the same time."""

        async def adding(number: int, sender: RemoteExecutor[Counting]) -> None:
            for turn in range(each):
                await self._add(sender, self.ids[(number + turn) % len(self.ids)])

        await asyncio.gather(*(adding(number, sender) for number, sender in enumerate(senders)))

    async def _add(self, sender: RemoteExecutor[Counting], id: str) -> None:
        mark = next(self._marks)
        answer = await sender.execute(id, Add(mark=mark))
        assert isinstance(answer, Success), answer
        assert answer.events[0].mark == mark
        self.acknowledged[mark] += 1
        self.added[id] += 1

    # --- watching ---------------------------------------------------------------------------------------------------

    async def watch(self, *, definition: int, workflows: int, typed: int, asleep: int) -> None:
        """Begin to watch; return when the server has answered all.

        Args:
            definition: So many read all commits of the definition; every other one breaks off and comes back.
            workflows: So many read one tally each, from its first version on.
            typed: So many watch one tally each by the client's own `watch`.
            asleep: So many ask for all commits, and read nothing until they are woken.
        """
        for number in range(definition):
            most = _LEAVES if number % 2 else None
            await self._begin(self.of_definition, f"reader {number}", "/tally/stream?after=0", most=most)
        for number in range(workflows):
            id = self.ids[number % len(self.ids)]
            await self._begin(self.of_workflows, id, f"/tally/{id}/stream", last=0)
        for number in range(typed):
            self.of_workflows.append(Seen(self.ids[number % len(self.ids)]))
            self._watching.append(asyncio.create_task(self._watch(self.of_workflows[-1])))
        for number in range(asleep):
            await self._begin(self.asleep, f"sleeper {number}", "/tally/stream?after=0", waits=self._waking)

    def wake(self) -> None:
        """Let those read who have slept."""
        self._waking.set()
        self.of_definition.extend(self.asleep)

    async def _begin(self, group: list[Seen], name: str, path: str, **options: Any) -> None:
        group.append(Seen(name))
        answered = asyncio.Event()
        reading = asyncio.create_task(self._read(group[-1], path, answered, **options))
        self._watching.append(reading)
        waiting = asyncio.create_task(answered.wait())
        await asyncio.wait((reading, waiting), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        assert answered.is_set(), f"{name} got no answer"

    async def _read(
        self,
        seen: Seen,
        path: str,
        answered: asyncio.Event,
        *,
        last: int | None = None,
        most: int | None = None,
        waits: asyncio.Event | None = None,
    ) -> None:
        client = await self.client()
        while True:
            last = seen.ids[-1] if seen.ids else last
            headers = {} if last is None else {"last-event-id": str(last)}
            leaves = math.inf if most is None else len(seen.ids) + most
            async with client.stream("GET", path, headers=headers) as response:
                assert response.status_code == 200, await response.aread()
                answered.set()
                if waits is not None:
                    await waits.wait()
                async for text in _events(response):
                    seen.note(*_told(text))
                    if len(seen.ids) >= leaves:
                        break

    async def _watch(self, seen: Seen) -> None:
        async for tally in RemoteExecutor[Counting](await self.client(), Counting).watch(seen.name):
            seen.note(tally.version, tally.data.last[-1])

    async def settled(self, silence: float) -> None:
        """Wait until every reader has got what was acknowledged, or so many seconds have passed in silence."""
        before, since = -1, time.monotonic()
        while self._missing():
            for task in self._watching:
                if task.done():
                    task.result()
            arrived = sum(len(seen.ids) for seen in (*self.of_definition, *self.of_workflows))
            if arrived != before:
                before, since = arrived, time.monotonic()
            if time.monotonic() - since > silence:
                return
            await asyncio.sleep(0.02)

    def _missing(self) -> bool:
        total = self.added.total()
        return any(len(seen.ids) < total for seen in self.of_definition) or any(
            not seen.ids or seen.ids[-1] < self.added[seen.name] for seen in self.of_workflows
        )

    # --- judging ----------------------------------------------------------------------------------------------------

    def complaints(self, log: Sequence[Commit]) -> list[str]:
        """Return what does not agree: what was acknowledged, what is stored, and what each reader saw."""
        marks = [_mark(commit) for commit in log]
        times = Counter(marks)
        found = [f"mark {mark} is lost" for mark in self.acknowledged if not times[mark]]
        found += [f"mark {mark} is stored {count} times" for mark, count in times.items() if count > 1]
        found += [f"mark {mark} was never acknowledged" for mark in times if not self.acknowledged[mark]]
        positions = [commit.position for commit in log]
        for seen in self.of_definition:
            found += seen.differences(positions, marks)
        for seen in self.of_workflows:
            own = [commit for commit in log if commit.workflow_id == seen.name]
            if seen.ids:  # the typed ones begin with what they found
                own = own[seen.ids[0] - 1 :]
            found += seen.differences([commit.version for commit in own], [_mark(commit) for commit in own])
        return found


def _mark(commit: Commit) -> int:
    assert commit.command is not None
    return int(commit.command.data["mark"])


def _told(text: bytes) -> tuple[int, int]:
    """Return the id and the mark of an event."""
    found = EVENT.fullmatch(text)
    assert found is not None, text
    return int(found[1]), int(found[2])


async def _events(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Yield the text of each event, without the blank line behind it."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *whole, rest = (rest + chunk).split(b"\n\n")
        for text in whole:
            if not text.startswith(b":"):
                yield text
