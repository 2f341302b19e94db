"""Keeping the write-ahead log short."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from ...errors import StoreUnavailableError
from .connection import Database
from .fault import FAULTS

_logger = logging.getLogger("statewright.sqlite")

_PAGE: Final = 4096
_PAGES_PER_BATCH: Final = 2
_PAGES_PER_SAVE: Final = 2
"""Pages that are written beside the data: the places of a workflow and of its commit in their index are its own."""
_FEW_BATCHES: Final = 50
_STRETCH: Final = 4
"""Large batches fill the log quickly: it may grow so many times longer before a checkpoint takes its time."""
_MUCH_LARGER: Final = 16
_PATIENCE: Final = 0.1
"""Seconds to wait for readers before the log is emptied; they hold writers up for as long."""


class Checkpoints:
    """Moves the log into the database whenever enough was written.

    SQLite's own automatic checkpoints are off, because they would run without the side lock. What was written is
    counted by this store alone: with n processes the log holds n times as much at most.

    Args:
        database: The connection that writes.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threshold = database.settings.checkpoint_pages
        self._written = 0.0
        self._batches = 0
        self._has_warned = False

    def count(self, saves: int, characters: int) -> None:
        """Count a batch that was saved, with the length of its data."""
        self._batches += 1
        self._written += _PAGES_PER_BATCH + saves * _PAGES_PER_SAVE + characters / _PAGE

    def run_if_due(self) -> None:
        """Make a checkpoint if enough was written since the last one. What fails is logged, and tried again later."""
        database = self._database
        if not self._is_due() or database.settings.in_memory or database.is_doubtful:
            return
        self._written, self._batches = 0, 0
        try:
            with database.lock:
                database.lock.look_around()
                self._run()
        except (*FAULTS, StoreUnavailableError) as exc:
            _logger.warning("%r: no checkpoint, to be tried again: %s", database.settings.path, exc)

    def _is_due(self) -> bool:
        enough = self._threshold if self._batches >= _FEW_BATCHES else self._threshold * _STRETCH
        return self._written >= enough

    def _run(self) -> None:
        connection = self._database.connection
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if self._log_size() <= _MUCH_LARGER * self._threshold * _PAGE:
            return
        # A passive checkpoint lets the log begin anew only when nobody reads it at that moment.
        connection.execute(f"PRAGMA busy_timeout = {int(_PATIENCE * 1000)}")
        try:
            is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(self._database.settings.timeout * 1000)}")
        if is_busy and not self._has_warned:
            self._has_warned = True
            _logger.warning(
                "%r: its write-ahead log grows while somebody keeps a read transaction open; it shrinks after that",
                self._database.settings.path,
            )

    def _log_size(self) -> int:
        try:
            return Path(f"{self._database.settings.file}-wal").stat().st_size
        except OSError:
            return 0
