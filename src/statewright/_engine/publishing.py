"""Publishing commits, in order for each workflow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import timedelta
from itertools import groupby

from .._model.cancellation import was_asked_for
from .._model.commit import Commit
from ..errors import DefinitionError
from .ports import Fence, Publisher
from .role import PAGE, Toolbox, all_of

_log = logging.getLogger("statewright.worker")


class PublisherRole:
    """Publishes commits, in order for each workflow."""

    def __init__(self, tools: Toolbox, publisher: Publisher) -> None:
        if not isinstance(getattr(publisher, "name", None), str) or not callable(getattr(publisher, "publish", None)):
            raise DefinitionError(f"a publisher has a name and a method publish, found {type(publisher).__name__}")
        self.name = f"publisher:{publisher.name}"
        self._tools = tools
        self._publisher = publisher
        self._published: set[str] = set()  # of a page that could not be finished
        self._failures = 0
        self._not_before = 0.0

    async def step(self, fence: Fence) -> bool:
        """Publish a page of commits; what fails is tried again for ever."""
        store = self._tools.store
        if self._remaining():
            return False
        after = await store.reader_position(self.name)
        page: list[Commit] = await store.commits(after=after or 0, limit=PAGE)
        if not page:
            return False
        by_workflow = sorted(page, key=lambda commit: commit.workflow_id)
        groups = [list(group) for _, group in groupby(by_workflow, key=lambda commit: commit.workflow_id)]
        failed = await all_of(self._publish(group) for group in groups)
        if any(failed):
            self._failures += 1
            pausing = self._tools.pause(self._failures).total_seconds()
            self._not_before = asyncio.get_running_loop().time() + pausing
            return False
        await store.advance_reader(self.name, page[-1].position, [], fence)
        self._published.clear()
        self._failures = 0
        return True

    async def until_due(self) -> timedelta | None:
        """Return when to try again, if the last page could not be finished."""
        return self._remaining() or None

    def _remaining(self) -> timedelta:
        if not self._failures:
            return timedelta()
        return timedelta(seconds=max(0.0, self._not_before - asyncio.get_running_loop().time()))

    async def _publish(self, commits: Iterable[Commit]) -> bool:
        """Publish a workflow's commits, in order, up to the first that fails; return whether one did."""
        for commit in commits:
            if commit.id in self._published:
                continue
            try:
                await self._publisher.publish(commit)
            except (Exception, asyncio.CancelledError) as raised:
                if was_asked_for(raised):
                    raise
                _log.exception("publisher failed", extra={"publisher": self.name, "position": commit.position})
                return True  # it is tried again
            self._published.add(commit.id)
            self._tools.acted(self.name, 1)
        return False
