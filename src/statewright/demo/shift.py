"""Living through a day: many callers at once, and each answer compared with the one there must be."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .._engine.executor import WorkflowExecutor
from .._engine.ports import StoreAdapter
from .._model.result import Failure, Success
from .._model.router import WorkflowRouter
from ..errors import ExecutionError
from .order import Order, router
from .plan import Answer, Moment, Send, Story, answer_of

_clock_on_the_wall: ContextVar[datetime] = ContextVar("_clock_on_the_wall")


def shop(store: StoreAdapter) -> WorkflowExecutor[Order]:
    """Return an executor whose handlers see the time of the day that is being lived through."""
    routed = WorkflowRouter(Order, clock=lambda: _clock_on_the_wall.get(datetime.now(UTC)))
    return WorkflowExecutor(routed.include(router), store)


@dataclass(slots=True)
class Report:
    """What came of a day."""

    orders: int
    callers: int
    answers: Counter[Answer] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    """How often each refusal was given, by its code."""
    latencies: list[float] = field(default_factory=list)
    """How long each command took, in seconds, by the caller's watch."""
    surprises: list[str] = field(default_factory=list)
    """Moments whose answers were not the ones there must be, and orders that ended elsewhere."""
    seconds: float = 0.0

    @property
    def commands(self) -> int:
        """How many commands were sent."""
        return self.answers.total()

    @property
    def rate(self) -> float:
        """Commands a second."""
        return self.commands / self.seconds if self.seconds else 0.0

    def latency(self, share: float) -> float:
        """Return within how many seconds this share of the commands was answered."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


class Shift:
    """Lives through a day.

    Args:
        executor: Made by `shop`.
        stories: The day.
        callers: How many callers there are at the same time.
        on_progress: Told after each moment how many commands it had.
        before_moment: Awaited before each moment; what sets the pace. Without it a day goes by as fast as it can.
    """

    def __init__(
        self,
        executor: WorkflowExecutor[Order],
        stories: Sequence[Story],
        *,
        callers: int = 64,
        on_progress: Callable[[int], None] = lambda _: None,
        before_moment: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._executor = executor
        self._before_moment = before_moment
        self._stories = stories
        self._on_progress = on_progress
        self._ahead = [(story.moments[0].at, number, 0) for number, story in enumerate(stories)]
        self._seen = [0] * len(stories)  # the version of each order, as far as its callers know
        self.report = Report(len(stories), callers)

    async def run(self) -> Report:
        """Live through the day, and return what came of it."""
        heapq.heapify(self._ahead)
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as callers:
            for _ in range(self.report.callers):
                callers.create_task(self._call())
        self.report.seconds = time.perf_counter() - begun
        self.report.surprises += await self.look_back()
        return self.report

    async def _call(self) -> None:
        while self._ahead:
            at, number, step = heapq.heappop(self._ahead)
            _clock_on_the_wall.set(at)
            story = self._stories[number]
            moment = story.moments[step]
            if self._before_moment is not None:
                await self._before_moment()
            await self._live(story, moment, number)
            self._on_progress(len(moment.sends))
            if step + 1 < len(story.moments):
                heapq.heappush(self._ahead, (story.moments[step + 1].at, number, step + 1))

    async def _live(self, story: Story, moment: Moment, number: int) -> None:
        seen = self._seen[number]
        if len(moment.sends) == 1:
            answers = [await self._send(story.id, moment.sends[0], number, seen)]
        else:
            answers = await asyncio.gather(*(self._send(story.id, send, number, seen) for send in moment.sends))
        if Counter(answers) != moment.answers:
            expected = ", ".join(Counter(moment.answers).elements())
            self.report.surprises.append(f"{story.id}: expected {expected}; found {', '.join(answers)}")

    async def _send(self, id: str, send: Send, number: int, seen: int) -> Answer:
        begun = time.perf_counter()
        result = await self._executor.execute(
            id,
            send.command,
            expected_version=None if send.behind is None else seen - send.behind,
            idempotency_key=send.key,
            metadata={"channel": send.channel},
        )
        self.report.latencies.append(time.perf_counter() - begun)
        answer: Answer
        match result:
            case Success(version=version, replayed=replayed):
                self._seen[number] = max(self._seen[number], version)
                answer = "replayed" if replayed else "accepted"
            case Failure(error=error):
                answer = answer_of(error)
                if answer in ("refused", "failed"):
                    self.report.refusals[_code(error)] += 1
        self.report.answers[answer] += 1
        return answer

    async def look_back(self) -> list[str]:
        """Return which orders are not stored as they must be: in their state, and at their version."""
        surprises: list[str] = []
        for story in self._stories:
            order = await self._executor.get(story.id)
            found = "nothing" if order is None else f"{order.state} at version {order.version}"
            expected = f"{story.state} at version {story.version}"
            if found != expected:
                surprises.append(f"{story.id}: expected {expected}; found {found}")
        return surprises


def _code(error: ExecutionError) -> str:
    return str(getattr(error, "code", type(error).__name__))
