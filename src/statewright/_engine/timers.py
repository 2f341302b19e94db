"""Executing timers whose time has come."""

from __future__ import annotations

from datetime import timedelta

from .._model.result import Success
from ..errors import ConcurrencyConflictError, DomainError, LeaseLostError, NotFoundError, StoreError
from .attempt import TIMER_GONE
from .ports import DueTimer, Fence
from .role import PAGE, SOON, Toolbox, all_of, is_no_handler, shown


class TimerRole:
    """Executes the due timers of one definition."""

    def __init__(self, tools: Toolbox, definition: str) -> None:
        self.name = f"timers:{definition}"
        self._tools = tools
        self._definition = definition
        self._executor = tools.executors[definition]

    async def step(self, fence: Fence) -> bool:
        """Execute a page of due timers."""
        tools = self._tools
        due = await tools.store.due_timers([self._definition], limit=PAGE, now=tools.now())
        await all_of(self._fire(timer, fence) for timer in due)
        return bool(due)

    async def until_due(self) -> timedelta | None:
        """Return how long until the next timer is due."""
        tools = self._tools
        if tools.clock is not None:
            return None  # it is moved by somebody else, at a speed of his own
        until: timedelta | None = await tools.store.until_next_due([self._definition])
        return until

    async def _fire(self, timer: DueTimer, fence: Fence) -> None:
        metadata = {"timer": timer.key, "causation_id": timer.commit_id}
        result = await self._executor._deliver(timer.workflow_id, timer.command, fence, timer=timer, metadata=metadata)
        store, attempts = self._tools.store, timer.attempts + 1
        if isinstance(result, Success):
            self._tools.acted(self.name, 1)
        if result is TIMER_GONE or isinstance(result, Success):
            return
        error = result.error
        if isinstance(error, LeaseLostError):
            raise error
        if isinstance(error, DomainError | NotFoundError) or is_no_handler(error):
            await store.finish_timer(timer, fence)
        elif isinstance(error, StoreError | ConcurrencyConflictError):
            await store.postpone_timer(timer, SOON, timer.attempts, fence, now=self._tools.now())
        elif attempts > self._tools.retries:
            await store.bury_timer(timer, shown(error), attempts, fence)
        else:
            await store.postpone_timer(timer, self._tools.pause(attempts), attempts, fence, now=self._tools.now())
