"""The thread that reads pages, so that long lists hold up no save."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import Future
from contextlib import suppress

from ...errors import ExecutionError, StoreError
from .connection import Settings, connect
from .fault import FAULTS, translate
from .request import Answers, Inbox, Work, closed, milestone


class Reader:
    """Works on a connection of its own, one page after the other.

    Args:
        settings: Of the store.
    """

    def __init__(self, settings: Settings) -> None:
        self.inbox = Inbox()
        self.ended: Future[None] = milestone()
        self._settings = settings
        self.connection: sqlite3.Connection | None = None
        self._gate = threading.Lock()
        self._is_started = False

    def start(self) -> None:
        """Start the thread, unless it was started; the file must be open for writing already."""
        with self._gate:
            if self._is_started:
                return
            self._is_started = True
        threading.Thread(target=self._run, name="statewright-sqlite-reader", daemon=True).start()

    def end(self) -> None:
        """Ask the thread to end after what was given to it; `ended` tells when it has."""
        self.start()  # so that there is one to end, and to answer
        self.inbox.end()

    def _run(self) -> None:
        answers = Answers()
        is_ending = False
        while not is_ending:
            for request in self.inbox.take():
                if isinstance(request, Work):
                    self._perform(request, answers)
                    answers.post()
                else:
                    is_ending = True
        self.inbox.refuse(closed(self._settings.path))
        self._disconnect()
        self.ended.set_result(None)

    def _perform(self, work: Work, answers: Answers) -> None:
        try:
            if self.connection is None:
                self.connection = connect(self._settings)
                self.connection.execute("PRAGMA query_only = ON")
            answers.give(work, work.function(self.connection))
        except ExecutionError as error:
            answers.refuse(work, error)
        except FAULTS as exc:
            self._disconnect()  # the next page gets a fresh one, should this one have gone bad
            answers.refuse(work, translate(exc, self._settings.path))
        except Exception as exc:  # noqa: BLE001 - nobody may wait for ever, whatever it is
            bug = StoreError(f"{self._settings.path!r}: an unexpected {type(exc).__name__} ended the reading")
            bug.__cause__ = exc
            answers.refuse(work, bug)

    def _disconnect(self) -> None:
        if self.connection is not None:
            with suppress(*FAULTS):
                self.connection.close()
            self.connection = None
