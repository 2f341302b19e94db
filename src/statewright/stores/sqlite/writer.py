"""The one thread that writes: what waits when it gets free is its next batch."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from ..._engine.bell import Bell
from ..._engine.ports import tell_batch
from ...errors import ExecutionError, InvalidDataError, OutcomeUnknownError, StoreUnavailableError
from .batch import answer_rows, purge, rows_of_ids, save_all
from .checkpoint import Checkpoints
from .connection import Database, Settings
from .fault import FAULTS, result_code, translate
from .request import Answers, Inbox, Load, Recall, Save, Work, closed, milestone
from .row import source_of_fault, time_text

_LARGEST_BATCH: Final = 512


class Writer:
    """Answers loads, recalls and saves, and does all other work that writes.

    A batch is whatever has come in by the time the thread gets free, so that many callers share one fsync and a single
    caller waits for nobody. Loads are answered before the batch is written: their callers decide during the fsync.

    Args:
        settings: Of the store.
        bell: Rung after every batch that was committed.
    """

    def __init__(self, settings: Settings, bell: Bell) -> None:
        self.inbox = Inbox()
        self.opened: Future[None] = milestone()
        self.ended: Future[None] = milestone()
        self.database = Database(settings)
        self._settings = settings
        self._bell = bell
        self._answers = Answers()
        self._checkpoints = Checkpoints(self.database)
        self._reads: list[Load | Recall] = []
        self._saves: deque[Save] = deque()
        self._works: list[Work] = []
        self._is_ending = False
        self._kept_since = ""  # the oldest idempotency key, or an older moment
        self.has_one_caller = False
        """Whether the thread had a single request in its last turn: then nobody gains by waiting for others."""

    def start(self) -> None:
        """Start the thread; `opened` tells whether the file could be opened."""
        # A daemon, because a program that forgot to close its store must be able to end; what was acknowledged is safe.
        threading.Thread(target=self._run, name="statewright-sqlite-writer", daemon=True).start()

    # --- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self.database.open()
        except Exception as exc:  # noqa: BLE001 - nobody may wait for ever, whatever it is
            error = self._error(exc)
            self.inbox.refuse(str(error))
            self.opened.set_exception(error)
            self.ended.set_result(None)
            return
        self.database.lock.meanwhile = self._read_on  # another process's long write holds up no load of ours
        self.opened.set_result(None)
        try:
            while not (self._is_ending and not self._saves):
                self._collect(is_waiting=not self._saves)
                self._turn()
        finally:
            self._give_up()
            self.inbox.refuse(closed(self._settings.path))
            with suppress(*FAULTS):
                self.database.close()
            self._bell.ring()
            self.ended.set_result(None)

    def _give_up(self) -> None:
        """Answer whatever is still here: if the thread ends by a fault, nobody may wait for ever."""
        for request in (*self._saves, *self._reads, *self._works):
            self._answers.refuse(request, OutcomeUnknownError(f"{self._settings.path!r}: the writing thread has ended"))
        self._answers.post()

    def _collect(self, *, is_waiting: bool = True) -> None:
        for request in self.inbox.take() if is_waiting else self.inbox.take_waiting():
            match request:
                case Save():
                    self._saves.append(request)
                case Load() | Recall():
                    self._reads.append(request)
                case Work():
                    self._works.append(request)
                case _:
                    self._is_ending = True

    def _turn(self) -> None:
        self.has_one_caller = len(self._reads) + len(self._saves) + len(self._works) == 1
        self._read()
        if self._saves:
            self._save(self._next_batch())
            self._answers.post()
        for work in self._works:
            self._perform(work)
        self._works.clear()
        self._answers.post()
        self._checkpoints.run_if_due()

    def _read_on(self) -> None:
        self._collect(is_waiting=False)
        self._read()

    def _read(self) -> None:
        if not self._reads:
            return
        reads, self._reads = self._reads, []
        self._load([read for read in reads if isinstance(read, Load)])
        # After the loads: a key that was recorded between the two is found, and the save of a second execution, decided
        # on the older version, loses.
        self._recall([read for read in reads if isinstance(read, Recall)])
        self._answers.post()

    def _next_batch(self) -> list[Save]:
        """Take one save per workflow, in order of id; a second one for a workflow waits for the next batch."""
        chosen: dict[str, Save] = {}
        later: deque[Save] = deque()
        while self._saves and len(chosen) < _LARGEST_BATCH:
            save = self._saves.popleft()
            if save.options.id in chosen:
                later.append(save)
            else:
                chosen[save.options.id] = save
        later.extend(self._saves)
        self._saves = later
        return [chosen[id] for id in sorted(chosen)]

    # --- requests --------------------------------------------------------------------------------------------------

    def _load(self, loads: list[Load]) -> None:
        if not loads:
            return
        try:
            rows = {row[0]: row for row in rows_of_ids(self.database.connection, list({load.id for load in loads}))}
        except Exception as exc:  # noqa: BLE001 - nobody may wait for ever, whatever it is
            if len(loads) == 1:
                self._answers.refuse(loads[0], self._error(exc))
                return
            for load in loads:
                self._load([load])
            return
        for load in loads:
            self._answers.give(load, rows.get(load.id))

    def _recall(self, recalls: list[Recall]) -> None:
        if not recalls:
            return
        try:
            _, expired = self._times()
            asked = list({(recall.id, recall.key) for recall in recalls})
            rows = answer_rows(self.database.connection, asked, expired=expired)
        except Exception as exc:  # noqa: BLE001 - nobody may wait for ever, whatever it is
            if len(recalls) == 1:
                self._answers.refuse(recalls[0], self._error(exc))
                return
            for recall in recalls:
                self._recall([recall])
            return
        for recall in recalls:
            self._answers.give(recall, rows.get((recall.id, recall.key)))

    def _save(self, saves: list[Save]) -> None:
        try:
            with self.database.transaction() as connection:
                needs_time = any(save.rows.answers or save.rows.has_timer_writes for save in saves)
                now, expired = self._times() if needs_time else ("", "")
                lost = save_all(connection, saves, now=now)
                if len(lost) == len(saves):
                    connection.execute("ROLLBACK")
                elif needs_time:
                    self._purge(connection, sum(len(save.rows.answers) for save in saves), expired)
        except Exception as exc:  # noqa: BLE001 - nobody may wait for ever, whatever it is
            self._save_apart(saves, exc)
            return
        won = saves
        if lost:
            for save, conflict in lost:
                self._answers.refuse(save, conflict)
            losers = {save for save, _ in lost}
            won = [save for save in saves if save not in losers]
        if won:
            for save in won:
                self._answers.give(save, None)
            self._checkpoints.count(len(won), sum(save.rows.size for save in won))
            self._bell.ring()
            tell_batch(self._settings.batch_listeners, len(won))

    def _purge(self, connection: sqlite3.Connection, answers: int, expired: str) -> None:
        # To look for expired keys costs as much as to record several, so that it is done when there may be some.
        if answers and expired >= self._kept_since:
            self._kept_since = purge(connection, answers, expired=expired)

    def _save_apart(self, saves: list[Save], exc: Exception) -> None:
        """Answer saves that failed together; what one of them may be to blame for, the others do not suffer."""
        self._kept_since = ""  # what was deleted with them is back
        error = self._error(exc)
        if len(saves) > 1 and not _concerns_all(error):
            middle = len(saves) // 2
            self._save(saves[:middle])
            self._save(saves[middle:])
            return
        for save in saves:
            self._answers.refuse(save, _for_save(self._error(exc), save))

    def _perform(self, work: Work) -> None:
        try:
            self._answers.give(work, work.function(self.database))
        except Exception as exc:  # noqa: BLE001 - nobody may wait for ever, whatever it is
            self._answers.refuse(work, self._error(exc))

    def _times(self) -> tuple[str, str]:
        now = self._settings.clock()
        return time_text(now), time_text(now - self._settings.retention)

    def _error(self, exc: Exception) -> ExecutionError:
        """Return what a request is answered with: an error of its own, since each gets its own traceback."""
        if isinstance(exc, ExecutionError):
            return exc.__copy__()  # type: ignore[return-value]
        if isinstance(exc, FAULTS):
            return translate(exc, self._settings.path)
        error = OutcomeUnknownError(f"{self._settings.path!r}: an unexpected {type(exc).__name__} ended the operation")
        error.__cause__ = exc
        return error


def _concerns_all(error: ExecutionError) -> bool:
    """Return whether a failed batch would fail for each of its saves alone, too."""
    match error:
        case OutcomeUnknownError():
            return True
        case StoreUnavailableError(__cause__=BaseException() as cause):
            return result_code(cause) != sqlite3.SQLITE_FULL  # there may be room for the others
        case StoreUnavailableError():
            return True
        case _:
            return False


def _for_save(error: ExecutionError, save: Save) -> ExecutionError:
    if not isinstance(error, InvalidDataError):
        return error
    named = InvalidDataError(
        source_of_fault(save.options), error.issues, subject=f"save of workflow {save.options.id!r}"
    )
    named.__cause__ = error.__cause__
    return named
