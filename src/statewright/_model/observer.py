"""Observers: told what happens, never asked."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from ..errors import ConcurrencyConflictError, ExecutionError
from .commit import Commit
from .result import Result

_log = logging.getLogger("statewright.observer")


class Observer:
    """Override what you want to hear of; the methods are synchronous and do nothing by default.

    An observer that raises is logged and changes nothing. `workflow` is the instance before the command, or `None`
    before creation, unless a method says otherwise.
    """

    def dispatch_started(self, workflow: Any, command: Any) -> None:
        """Hear that a handler is about to run."""

    def dispatch_ended(self, workflow: Any, command: Any, result: Result) -> None:
        """Hear how a dispatch ended; always, if it started."""

    def transitioned(self, source: str, target: str, workflow: Any) -> None:
        """Hear that a workflow changed its state; `workflow` is the one after. Not for self-loops or creations."""

    def emitted(self, event: Any, workflow: Any) -> None:
        """Hear of an emitted event; `workflow` is the one after."""

    def failed(self, error: ExecutionError, workflow: Any, command: Any) -> None:
        """Hear that a command was not accepted, routing errors included."""

    def committed(self, commit: Commit) -> None:
        """Hear that a commit is durable (executor only). Its position is 0: it is given later."""

    def conflicted(self, error: ConcurrencyConflictError) -> None:
        """Hear that a save lost a race (executor only)."""

    def retried(self, id: str, attempt: int) -> None:
        """Hear that a command is decided again after a lost race; `attempt` counts from 1 (executor only)."""


def tell(observers: Iterable[Observer], method: str, *facts: Any) -> None:
    """Call a method of each observer; one that raises is logged and harms nobody."""
    for observer in observers:
        try:
            getattr(observer, method)(*facts)
        except Exception:  # noqa: BLE001 - it is logged, and an observer changes nothing
            _log.exception("observer failed", extra={"observer": type(observer).__qualname__, "method": method})
