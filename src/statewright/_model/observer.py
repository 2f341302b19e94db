"""Observers: told what happens, never asked."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable
from typing import Any

from ..errors import ConcurrencyConflictError, DefinitionError, ExecutionError
from .commit import Commit
from .result import Result

_log = logging.getLogger("statewright.observer")


class Observer:
    """Override what you want to hear of; the methods are synchronous and do nothing by default.

    An observer that raises is logged and changes nothing. `workflow` is the instance before the command, or `None`
    before creation, unless a method says otherwise. What is handed over is not the observer's to change.

    What happens in a dispatch is told when it is decided. At an executor that is before the save, which may fail or be
    decided again: what has happened for good is told by `committed` alone.
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
        """Hear that a commit is durable (executor only). Its position is 0: it is given later.

        Commits that were saved together are told in no certain order; versions have one. Not for a replay, which
        commits nothing, nor inside a caller's own transaction, which has yet to commit.
        """

    def conflicted(self, error: ConcurrencyConflictError) -> None:
        """Hear that a save lost a race (executor only)."""

    def retried(self, id: str, attempt: int) -> None:
        """Hear that a command is decided again after a lost race; `attempt` counts from 1 (executor only)."""


def check_observer(observer: object, owner: str) -> None:
    """Check that something can be an observer.

    Raises:
        DefinitionError: It is no `Observer`, or one of its methods is asynchronous, which nobody would await.
    """
    if not isinstance(observer, Observer):
        found = observer.__qualname__ if isinstance(observer, type) else type(observer).__name__
        what = f"the class {found} itself" if isinstance(observer, type) else found
        raise DefinitionError(f"{owner}: an observer is an instance of a subclass of Observer, found {what}")
    for name in vars(Observer):
        if not name.startswith("_") and inspect.iscoroutinefunction(getattr(observer, name)):
            method = f"{type(observer).__qualname__}.{name}"
            raise DefinitionError(f"{owner}: {method} is asynchronous, but observers are told synchronously")


def tell(observers: Iterable[Observer], method: str, *facts: Any) -> None:
    """Call a method of each observer; one that raises is logged and harms nobody."""
    for observer in observers:
        try:
            getattr(observer, method)(*facts)
        except Exception:  # noqa: BLE001 - it is logged, and an observer changes nothing
            _log.exception("observer failed", extra={"observer": type(observer).__qualname__, "method": method})
