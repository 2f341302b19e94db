"""Timers in memory: those that are not due yet cost nothing, however many there are."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from ..._engine.ports import DueTimer
from ..._model.timer import ConsumeTimer, DropTimer, LeftState, RenamedState, SetTimer, TimerWrite


@dataclass(slots=True, eq=False)
class Timer:
    """A timer that is set."""

    due: DueTimer
    ticket: int = 0
    """Its place in the queue counts only with this number; 0: it waits for nothing."""
    error: Mapping[str, Any] | None = None
    """Why it is parked."""


_Entry: TypeAlias = tuple[datetime, int, Timer]


class _Queue:
    """Timers of one definition by their time: a heap, whose top is looked at and never what lies below it.

    What is taken out stays in its place until half of all is such, and is then cleared away at once.
    """

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._tickets = itertools.count(1)
        self._length = 0

    def put(self, timer: Timer) -> None:
        timer.ticket = next(self._tickets)
        heapq.heappush(self._heap, (timer.due.due_at, timer.ticket, timer))
        self._length += 1

    def take_out(self, timer: Timer) -> None:
        if not timer.ticket:
            return
        timer.ticket = 0
        self._length -= 1
        if len(self._heap) > 2 * self._length:
            self._heap = [entry for entry in self._heap if _counts(entry)]
            heapq.heapify(self._heap)

    def first(self) -> datetime | None:
        """Return when the next timer is due."""
        while self._heap and not _counts(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, present: datetime, limit: int) -> list[DueTimer]:
        """Return so many due timers, the oldest first."""
        found: list[DueTimer] = []
        reached = [(self._heap[0], 0)] if self._heap else []
        while reached and len(found) < limit:
            entry, place = heapq.heappop(reached)
            if entry[0] > present:
                break
            if _counts(entry):
                found.append(entry[2].due)
            for below in (2 * place + 1, 2 * place + 2):  # where a heap keeps what comes after
                if below < len(self._heap):
                    heapq.heappush(reached, (self._heap[below], below))
        return found


class Timers:
    """All timers of a store. Whoever uses it holds the store's lock."""

    def __init__(self) -> None:
        self._by_workflow: defaultdict[str, dict[str, Timer]] = defaultdict(dict)
        self._queues: defaultdict[str, _Queue] = defaultdict(_Queue)
        self.parked: dict[str, Timer] = {}
        """Dead letters, by generation."""

    # --- with a save -----------------------------------------------------------------------------------------------

    def write(self, id: str, definition: str, write: TimerWrite, now: datetime) -> None:
        """Do what a save says about a timer."""
        match write:
            case SetTimer():
                self._set(id, definition, write, now)
            case DropTimer(key=key) | ConsumeTimer(key=key):
                self.remove(id, key)
            case LeftState(state=state):
                for timer in self._of(id):
                    if not timer.due.keep and timer.due.state != state:
                        self.remove(id, timer.due.key)
            case RenamedState(old=old, new=new):
                for timer in self._of(id):
                    if timer.due.state == old:
                        timer.due = replace(timer.due, state=new)

    def _set(self, id: str, definition: str, write: SetTimer, now: datetime) -> None:
        self.remove(id, write.key)
        due_at = write.at if write.at is not None else now + (write.delay or timedelta())
        due = DueTimer(id, definition, write.key, write.generation, write.command, write.state, write.keep, due_at)
        timer = self._by_workflow[id][write.key] = Timer(due)
        self._queues[definition].put(timer)

    def remove(self, id: str, key: str) -> None:
        """Remove a timer, if there is one."""
        own = self._by_workflow.get(id)
        timer = own.pop(key, None) if own is not None else None
        if timer is not None:
            self._queues[timer.due.definition].take_out(timer)
            self.parked.pop(timer.due.generation, None)
        if not own:
            self._by_workflow.pop(id, None)

    def forget(self, id: str) -> None:
        """Remove a workflow's timers."""
        for timer in self._of(id):
            self.remove(id, timer.due.key)

    # --- looking ---------------------------------------------------------------------------------------------------

    def _of(self, id: str) -> list[Timer]:
        return list(self._by_workflow.get(id, {}).values())

    def standing(self, id: str, key: str, generation: str) -> Timer | None:
        """Return a timer that is still set, in this generation."""
        timer = self._by_workflow.get(id, {}).get(key)
        return timer if timer is not None and timer.due.generation == generation else None

    def waiting(self, id: str) -> list[DueTimer]:
        """Return a workflow's timers that wait for their time, the next one first."""
        return sorted((timer.due for timer in self._of(id) if timer.error is None), key=lambda due: due.due_at)

    def due(self, definitions: Collection[str], present: datetime, limit: int) -> list[DueTimer]:
        """Return due timers of some definitions, the oldest first."""
        queues = [self._queues[definition] for definition in set(definitions) & self._queues.keys()]
        found = [due for queue in queues for due in queue.due(present, limit)]
        return sorted(found, key=lambda due: due.due_at)[:limit]

    def first(self, definitions: Collection[str]) -> datetime | None:
        """Return when the next timer of some definitions is due."""
        times = [self._queues[definition].first() for definition in set(definitions) & self._queues.keys()]
        return min((each for each in times if each is not None), default=None)

    # --- what became of one ----------------------------------------------------------------------------------------

    def put_back(self, timer: Timer, due_at: datetime, attempts: int) -> None:
        """Let a timer be due at another time, parked or not."""
        self._queues[timer.due.definition].take_out(timer)
        self.parked.pop(timer.due.generation, None)
        timer.due, timer.error = replace(timer.due, due_at=due_at, attempts=attempts), None
        self._queues[timer.due.definition].put(timer)

    def park(self, timer: Timer, error: Mapping[str, Any], attempts: int) -> None:
        """Make a timer a dead letter. It still belongs to its state, and goes with it."""
        self._queues[timer.due.definition].take_out(timer)
        timer.due, timer.error = replace(timer.due, attempts=attempts), error
        self.parked[timer.due.generation] = timer


def _counts(entry: _Entry) -> bool:
    _, ticket, timer = entry
    return timer.ticket == ticket
