"""The lane of one workflow: commands that wait, decided in turn, saved together.

Every command is decided by its own caller's task, in that caller's context, while it holds the lane. What was decided
waits in an open fold; the fold is saved, in one compare-and-swap, when nobody else can be decided at once: the queue is
empty, a cap is reached, or a handler suspends. While a fold is being saved newcomers wait, and share the next one; it
stays open for one turn of the event loop more, so that callers that were answered together are saved together again.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from .._model.commit import NewCommit
from .._model.snapshot import born
from .._model.timer import TimerWrite
from ..errors import ConcurrencyConflictError, ExecutionError, InvalidDataError, LeaseLostError, StoreError, settle
from .fold import Call, Entry, Fold, Lapsed, Standing
from .nesting import ActiveCall, closes_circle, executing, waiting_for
from .ports import Fence, Outcome, SaveOptions, error_of_save
from .reading import check_stored, read
from .refusal import circle, lost_race, save_failure, twin

if TYPE_CHECKING:
    from .._model.workflow import Workflow
    from .lanes import Lanes

MAX_CHARACTERS: Final = 1_000_000
MAX_SECONDS: Final = 0.01
"""A fold is closed at whichever comes first: so much data, so long on the event loop, or `Lanes.max_commands`."""

_FIRST_BACKOFF: Final = 0.0005
_LAST_BACKOFF: Final = 0.004

_AGAIN: Final = ExecutionError()
_UNREAD: Final = object()


class Lane:
    """The commands of one workflow, in order of arrival."""

    # A lane is born for most commands, so that what most of them do not need costs nothing.
    _running: Call | None = None
    _fold: Fold | None = None
    _saving: Fold | None = None
    _standing: Standing | None = None
    _paused: asyncio.TimerHandle | None = None
    _changed: asyncio.Future[None] | None = None
    """Done when somebody was let in, answered or gave up; made for those who wait for that."""
    _tick: int = 0
    _has_fences: bool = False
    """Whether a worker ever sent a command here."""
    _lingers: bool = False
    """The answers to a fold are on their way: what their callers send next is saved together, too."""
    _strain: int = 0
    """How many races in a row were lost: the more, the smaller the folds, since who decides fast wins."""

    def __init__(self, lanes: Lanes, loop: asyncio.AbstractEventLoop, id: str) -> None:
        self.id = id
        self._lanes = lanes
        self._loop = loop
        self._queue: deque[Call] = deque()

    # --- what an executor calls ------------------------------------------------------------------------------------

    def join(self, retries: int, expected_version: int | None, fence: Fence | None = None) -> Call:
        """Queue up."""
        self._tick += 1
        call = Call(self._tick, retries, expected_version)
        if fence is not None:
            call.fence = fence
            self._has_fences = True
        self._queue.append(call)
        return call

    async def turn(self, call: Call) -> Standing:
        """Wait until a call may be decided, and return what it is to be decided on.

        Raises:
            StoreError: The workflow could not be loaded.
            UnexpectedError: The turn would never come: calls would wait for each other in a circle.
        """
        while not self._admit(call):
            if call.verdict is not None:
                raise call.verdict
            await self._wait(call)
        if self._standing is None:
            return await self._load()
        if self._fold is not None:
            self._loop.call_soon(self._check_suspended, call)
        return self._standing

    async def _wait(self, call: Call) -> None:
        call.wake = self._loop.create_future()
        try:
            if executing.get() is None:
                await call.wake
            else:
                with waiting_for(self):  # first, so that of two threads that close a circle at once one sees it
                    if closes_circle(self):
                        raise circle(self.id)
                    await call.wake
        except BaseException:
            self._withdraw(call)
            raise

    @property
    def holder(self) -> ActiveCall | None:
        """The call that is being decided, once its middleware or handler has begun."""
        return self._running.active if self._running is not None else None

    def begin(self, active: ActiveCall) -> None:
        """Let it be known which call is being decided."""
        if self._running is not None:
            self._running.active = active

    def leave(self, call: Call) -> None:
        """Give the lane up without a decision."""
        if self._running is call:
            self._running = None
            self._continue()
        else:
            self._withdraw(call)

    def accept(self, call: Call, commit: NewCommit, answer: Any, after: Workflow[Any, Any, Any, Any]) -> Any:
        """Hand over a commit; return the answer if it is durable already, else `None`: go on with `rest`.

        Raises:
            Lapsed: Decide again.
        """
        before = self._standing
        if call.doom is not None or before is None:
            return self._lapse(call, call.doom or _AGAIN)
        fold = self._fold
        if fold is None:
            fold = self._fold = Fold(before)
        fold.add(Entry(call, answer, commit))
        if self._queue or self._lingers:  # else it is saved at once
            fold.characters += commit.size
        self._standing = fold.after(commit)
        self._standing.workflow = after
        return self._release(call)

    def answer(self, call: Call, answer: Any) -> Any:
        """Hand over an answer that saves nothing; return it if what it rests on is durable, else `None`, as `accept`.

        Raises:
            Lapsed: Decide again.
        """
        if call.doom is not None or self._standing is None:
            return self._lapse(call, call.doom or _AGAIN)
        rests_on = self._fold or self._saving
        if rests_on is not None:
            if self._fold is None:
                self._fold = Fold(self._standing)
            self._fold.add(Entry(call, answer, None))
            return self._release(call)
        if self._standing.read_at < call.arrived:
            # What is remembered may be older than the call: nothing but a fresh read may refuse it.
            call.unconfirmed = (self._standing.commit_id, answer)
            self._standing = None
            return self._lapse(call, _AGAIN)
        self._running = None
        self._continue()
        return answer

    @staticmethod
    def confirmed(call: Call, standing: Standing) -> Any:
        """Return what was decided for a call before, if that rests on what it finds now; else `None`: decide."""
        if call.unconfirmed is None:
            return None
        (rests_on, answer), call.unconfirmed = call.unconfirmed, None
        return answer if rests_on is not None and rests_on == standing.commit_id else None

    async def rest(self, call: Call) -> Any:
        """Wait for the save that a decision rests on, and return the answer.

        Raises:
            Lapsed: Decide again.
        """
        call.outcome = self._loop.create_future()
        try:
            await call.outcome
        except BaseException:
            self._withdraw(call)  # it may be back in the queue already
            self._bequeath(call)
            raise
        call.outcome = None
        return self._verdict(call)

    def unsaved(self, key: str) -> NewCommit | None:
        """Return the commit under an idempotency key that has been decided and not yet saved."""
        folds = [fold for fold in (self._fold, self._saving) if fold is not None]
        found = (commit for fold in folds for commit in fold.commits if commit.idempotency_key == key)
        return next(found, None)

    def unsaved_timers(self) -> list[TimerWrite]:
        """Return what has been decided about timers and not yet saved, in order."""
        folds = [fold for fold in (self._saving, self._fold) if fold is not None]
        return [write for fold in folds for commit in fold.commits for write in commit.timers]

    def forget_standing(self, call: Call) -> None:
        """Let the next call read the store, if it is the turn of this one and nothing unsaved rests on it."""
        if self._running is call and self._fold is None and self._saving is None:
            self._standing = None

    async def quiet(self) -> None:
        """Wait until everybody who is in the lane now has an answer, and has been handed it."""
        if closes_circle(self):
            return  # somebody here waits for a call that we belong to: that one's end is theirs
        present = self._pending()
        with waiting_for(self):
            while present & self._pending():
                await self._until_changed()
        await asyncio.sleep(0)

    async def clear(self) -> None:
        """Have what was decided before the running call saved, without letting anybody else in."""
        while self._fold is not None or self._saving is not None:
            self._close_fold()
            if self._saving is not None:
                await self._until_changed()

    def _pending(self) -> set[Call]:
        folds = [fold for fold in (self._saving, self._fold) if fold is not None]
        running = () if self._running is None else (self._running,)
        return {*self._queue, *running, *(entry.call for fold in folds for entry in fold.entries)}

    async def _until_changed(self) -> None:
        if self._changed is None:
            self._changed = self._loop.create_future()
        await asyncio.shield(self._changed)

    # --- taking turns ----------------------------------------------------------------------------------------------

    def _admit(self, call: Call) -> bool:
        if self._running is not None:
            self._close_fold()  # whoever runs has suspended: others are awake
            return False
        if self._saving is not None or self._paused is not None or not self._queue or self._queue[0] is not call:
            return False
        self._queue.popleft()
        self._running = call
        call.wake = call.active = None
        if not self._lanes.keeps_standing:
            self._standing = None
        return True

    def _withdraw(self, call: Call) -> None:
        call.is_gone = True
        try:
            self._queue.remove(call)
        except ValueError:
            return
        self._continue()

    def _check_suspended(self, call: Call) -> None:
        if self._running is call:
            self._close_fold()

    def _close_fold(self) -> None:
        if self._fold is not None and self._saving is None:
            self._save(self._fold)

    def _continue(self) -> None:
        """Let the next one in, or save what has gathered."""
        if self._changed is not None:
            self._changed.set_result(None)
            self._changed = None
        if self._running is not None or self._saving is not None:
            return
        fold = self._fold
        if fold is None:
            if self._queue:
                if self._paused is None:
                    self._wake(0)
            elif not self._lingers:
                self._lanes.drop(self)
        elif not (self._queue or self._lingers) or self._paused is not None or self._is_full(fold):
            self._save(fold)
        elif self._queue:
            self._wake(len(fold.entries))

    def _linger(self) -> None:
        """Keep the next fold open while those who were answered together send what they send next.

        Else the first of them would be saved alone, and all others would wait for that.
        """
        if not self._lingers:
            self._lingers = True
            self._loop.call_soon(self._linger_no_more)

    def _linger_no_more(self) -> None:
        self._lingers = False
        self._continue()

    def _is_full(self, fold: Fold) -> bool:
        now = self._loop.time()
        if fold.opened is None:
            fold.opened = now
        return (
            len(fold.entries) >= self._limit() or fold.characters >= MAX_CHARACTERS or now - fold.opened >= MAX_SECONDS
        )

    def _limit(self) -> int:
        return max(1, self._lanes.max_commands >> 3 * self._strain) if self._strain else self._lanes.max_commands

    def _wake(self, folded: int) -> None:
        head = self._queue[0].wake
        if head is None or head.done():
            return  # it is on its way already, and those behind it were woken with it
        for call in islice(self._queue, max(1, self._limit() - folded)):
            if call.wake is not None and not call.wake.done():
                call.wake.set_result(None)

    # --- loading ---------------------------------------------------------------------------------------------------

    async def _load(self) -> Standing:
        self._tick += 1
        began = self._tick
        try:
            stored = check_stored(await read(self._lanes.load, self.id), self.id)
        except StoreError as error:
            self._running = None
            self._fail_waiting(error)
            self._continue()
            raise
        self._standing = standing = Standing.of(stored, began)
        return standing

    def _fail_waiting(self, error: StoreError) -> None:
        # All of them wanted the same row of the same store: asking once more for each would only make them wait.
        for call in self._queue:
            if call.wake is not None:
                call.verdict = twin(error)
                if not call.wake.done():
                    call.wake.set_result(None)
        self._queue = deque(call for call in self._queue if call.verdict is None)

    # --- saving ----------------------------------------------------------------------------------------------------

    def _release(self, call: Call) -> Any:
        self._running = call.active = None
        self._continue()
        return self._verdict(call)

    def _verdict(self, call: Call) -> Any:
        if call.again:
            call.again = False
            raise Lapsed
        return call.verdict

    def _lapse(self, call: Call, doom: ExecutionError) -> Any:
        self._running = None
        call.doom = None
        if doom is not _AGAIN:
            self._continue()
            return twin(doom)
        self._put_back(call)
        self._continue()
        raise Lapsed

    def _put_back(self, call: Call) -> None:
        behind = next((i for i, other in enumerate(self._queue) if other.arrived > call.arrived), len(self._queue))
        self._queue.insert(behind, call)

    def _save(self, fold: Fold) -> None:
        self._fold = None
        self._saving = fold
        self._tick += 1
        fold.ticked = self._tick
        options = born(
            SaveOptions,
            {
                "id": self.id,
                "snapshot": fold.commits[-1].snapshot,
                "expected_version": fold.standing.version,
                "commits": tuple(fold.commits),
                "expected_commit_id": fold.standing.commit_id,
                "has_timers": fold.has_timers,
                "fences": fold.fences() if self._has_fences else (),
            },
        )
        raised: BaseException | None
        try:
            saving = self._lanes.submit(options)
            if not saving.done():
                if isinstance(saving, Outcome):
                    saving.listener = partial(self._saved, fold)
                else:
                    saving.add_done_callback(lambda done: self._saved(fold, error_of_save(done)))
                return
            raised = error_of_save(saving)
        except Exception as error:  # noqa: BLE001 - a user's store may raise anything, and give no future
            raised = error
        self._saved(fold, raised)

    def _saved(self, fold: Fold, raised: BaseException | None) -> None:
        self._saving = None
        match raised:
            case None:
                self._acknowledge(fold)
            case ConcurrencyConflictError():
                self._lose(fold, raised)
            case InvalidDataError():
                self._split(fold, raised)
            case LeaseLostError():
                self._part(fold, raised)
            case _:
                self._break(fold, save_failure(self.id, raised))
        self._continue()

    def _acknowledge(self, fold: Fold) -> None:
        self._strain = 0
        if fold.standing.is_remembered and self._lanes.memory is not None:
            self._lanes.memory.proved_right()
        if self._standing is not None and fold.commits:
            self._standing.read_at = fold.ticked
        for entry in fold.entries:
            self._finish(entry.call, entry.answer)
        if len(fold.entries) > 1:
            self._linger()
        later = self._fold
        while later is not None and later.entries and later.entries[0].commit is None:
            first = later.entries.pop(0)  # it rested on nothing but what has just become durable
            self._finish(first.call, first.answer)
        if later is not None and not later.entries:
            self._fold = None

    def _lose(self, fold: Fold, conflict: ConcurrencyConflictError) -> None:
        casualties = self._casualties(fold)
        self._doom_running(_AGAIN)
        self._standing = self._found(conflict, fold)
        if fold.standing.is_remembered:
            if self._lanes.memory is not None:
                self._lanes.memory.proved_wrong()
            self._requeue([entry.call for entry in casualties])  # no race was lost: the memory was out of date
            return
        again: list[Call] = []
        worst = 0
        for index, entry in enumerate(casualties):
            call = entry.call
            if entry.commit is None:  # it took part in no race
                again.append(call)
                continue
            call.attempts += 1
            call.conflict = conflict
            is_named = index == 0 and call.expected_version is not None
            if is_named or call.attempts > call.retries or not self._lanes.may_retry(conflict):
                self._finish(call, lost_race(conflict, call.expected_version))
            else:
                worst = max(worst, call.attempts)
                again.append(call)
        self._requeue(again)
        self._strain = worst
        if worst > 1:
            self._pause(worst - 1)

    def _found(self, conflict: ConcurrencyConflictError, fold: Fold) -> Standing | None:
        """Return what a lost race met, if the store has said so in words that we understand."""
        try:
            found = getattr(conflict, "current", _UNREAD)
            return None if found is _UNREAD else Standing.of(check_stored(found, self.id), fold.ticked)
        except Exception:  # noqa: BLE001 - a user's store may say anything; then it is loaded
            return None

    def _split(self, fold: Fold, refused: InvalidDataError) -> None:
        """Narrow down which of the commits the store refuses for its data."""
        self._standing = None
        self._doom_running(_AGAIN)
        commits = len(fold.commits)
        casualties = self._casualties(fold)
        if commits == 1:
            offender = next(index for index, entry in enumerate(casualties) if entry.commit is not None)
            for entry in casualties[:offender]:
                self._finish(entry.call, entry.answer)
            settle(refused)
            self._finish(casualties[offender].call, twin(refused))
            self._requeue([entry.call for entry in casualties[offender + 1 :]])
            return
        prefix = Fold(fold.standing)
        for entry in casualties:
            if entry.commit is not None and len(prefix.commits) == commits // 2:
                break
            prefix.add(entry)
        self._requeue([entry.call for entry in casualties[len(prefix.entries) :]])
        self._standing = prefix.after(prefix.commits[-1])
        self._save(prefix)

    def _part(self, fold: Fold, lost: LeaseLostError) -> None:
        """Part with the commands of a worker that has lost its lease, and decide the others again."""
        self._standing = None
        self._doom_running(_AGAIN)
        others: list[Call] = []
        for entry in self._casualties(fold):
            fence = entry.call.fence
            if fence is not None and (fence.name, fence.epoch) == (lost.name, lost.epoch):
                self._finish(entry.call, twin(lost))
            else:
                others.append(entry.call)
        self._requeue(others)

    def _break(self, fold: Fold, error: StoreError) -> None:
        self._standing = None
        self._doom_running(error)
        for entry in self._casualties(fold):
            self._finish(entry.call, twin(error))

    def _casualties(self, fold: Fold) -> list[Entry]:
        """Return everything that rested on a save, in order, and forget it."""
        later = self._fold.entries if self._fold is not None else []
        self._fold = None
        return [*fold.entries, *later]

    def _doom_running(self, doom: ExecutionError) -> None:
        if self._running is not None:
            self._running.doom = doom

    def _requeue(self, calls: Sequence[Call]) -> None:
        for call in reversed(calls):
            if call.is_gone:
                continue
            self._queue.appendleft(call)
            call.wake = None
            call.again = True
            if call.outcome is not None and not call.outcome.done():
                call.outcome.set_result(None)

    @staticmethod
    def _bequeath(call: Call) -> None:
        """Tell what became of a command whose caller does not hear of it any more."""
        if call.is_gone and call.verdict is not None and call.heir is not None:
            heir, call.heir = call.heir, None
            heir(call.verdict)

    def _finish(self, call: Call, verdict: Any) -> None:
        call.verdict = verdict
        self._bequeath(call)
        if call.outcome is not None and not call.outcome.done():
            call.outcome.set_result(None)

    def _pause(self, attempt: int) -> None:
        ceiling = min(_LAST_BACKOFF, _FIRST_BACKOFF * 2 ** min(attempt, 10))
        delay = random.uniform(0, ceiling)  # noqa: S311 - jitter, not a secret
        self._paused = self._loop.call_later(delay, self._resume)

    def _resume(self) -> None:
        self._paused = None
        self._continue()
