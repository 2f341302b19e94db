"""Server-sent events: one for each commit, resumed where the reader was."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any, Final

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request

from .._engine.executor import WorkflowExecutor
from .._model.commit import Commit, WorkflowCommit
from .._model.workflow import Workflow
from ..errors import ExecutionError, NotFoundError
from .feed import Feed, pages
from .problem import Problem, Refused, invalid
from .rendering import Rendering, chunks, event
from .view import commit_body, moment_body

_log: Final = logging.getLogger("statewright.http")
_MOST: Final = 2**53 - 1
_PAGE: Final = 100


def last_event_id(request: Request) -> int | None:
    """Return where a reader who comes back was.

    Raises:
        Refused: 400, it is no id of ours.
    """
    text = request.headers.get("last-event-id", "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 16 and int(text) <= _MOST):
        raise invalid(400, "Last-Event-ID is the id of an event of this stream", "invalid_header", source="argument")
    return int(text)


class Streams:
    """The streams of one definition.

    Args:
        executor: Its executor.
        feed: The end of the store's log.
        heartbeat: Seconds between two comments that keep a connection alive.
    """

    def __init__(self, executor: WorkflowExecutor[Any], feed: Feed, heartbeat: float) -> None:
        self._executor = executor
        self._definition = executor._definition
        self._feed = feed
        self._heartbeat = heartbeat
        self._rendering = Rendering()

    async def of_workflow(self, id: str, last: int | None) -> EventSourceResponse:
        """Answer with a workflow's commits from now on, after its present state; or with all above a version.

        Raises:
            ExecutionError: The workflow does not exist or cannot be read, or the store cannot be watched.
            Refused: 410, what is asked for is gone.
        """
        self._feed.log()
        start = await self._feed.end()
        workflow = await self._executor.get(id)
        if workflow is None:
            raise NotFoundError(id)
        following = await self._executor.history(id, after=workflow.version if last is None else last, limit=1)
        if last is not None and not _continues(workflow, last, following):
            raise _gone(f"version {last} of workflow {id!r} is not followed by what was stored then")
        return self._answer(self._moments(id, workflow, last, start))

    async def _moments(
        self, id: str, workflow: Workflow[Any, Any, Any, Any], last: int | None, start: int
    ) -> AsyncIterator[bytes]:
        if last is None:
            last = workflow.version
            yield event("state", last, moment_body(self._definition, workflow, None))
        mark: str | None = None
        with self._feed.watch("id", id, start) as watcher:
            while True:
                # The commit that the reader has is read once more: a workflow that was forgotten and begun anew has
                # another one there.
                commits = await self._executor.history(id, after=max(last - 1, 0), limit=_PAGE)
                is_all = len(commits) < _PAGE
                if commits and commits[0].version == last and mark in {None, commits[0].id}:
                    mark = commits.pop(0).id
                elif mark is not None or not commits:
                    return  # pruned or forgotten meanwhile: who comes back is told
                for commit in commits:
                    moment = await self._rendering.read(f"id {commit.id}", partial(self._moment, commit))
                    if moment is None or commit.version != last + 1:
                        return
                    last, mark = commit.version, commit.id
                    yield moment
                if is_all:
                    await watcher.wait()

    async def _moment(self, commit: WorkflowCommit[Any]) -> bytes | None:
        found = await self._executor.at(commit.workflow_id, commit.version)
        if found is None:
            return None
        return event("commit", commit.version, moment_body(self._definition, found, commit))

    async def of_definition(self, after: int | None) -> EventSourceResponse:
        """Answer with the commits of all workflows of the definition, from now on or above a position.

        Raises:
            ExecutionError: The store failed, cannot be watched, or has pruned what is asked for.
            Refused: 410, the position is none of this log.
        """
        self._feed.log()
        end = await self._feed.end()
        if after is not None:
            await self._feed.log().commits(after=after, limit=1)
            if after > end:
                raise _gone(f"the log ends at position {end}, before {after}: it is another log")
        return self._answer(self._commits(end if after is None else after, end))

    async def _commits(self, after: int, end: int) -> AsyncIterator[bytes]:
        name = self._definition.name
        with self._feed.watch("definition", name, end) as watcher:
            async for page in pages(self._feed, watcher, after):
                for chunk in chunks(self._commit(commit) for commit in page if commit.definition == name):
                    yield chunk
                # A quick reader who is far behind would keep the loop to itself.
                await asyncio.sleep(0)

    def _commit(self, commit: Commit) -> bytes:
        def render() -> bytes:
            body = commit_body(self._definition, self._executor._restorer.commit(commit))
            return event("commit", commit.position, body)

        return self._rendering.get(f"definition {commit.id}", render)

    def _answer(self, events: AsyncIterator[bytes]) -> EventSourceResponse:
        return EventSourceResponse(
            _until_it_fails(events),
            headers={"Cache-Control": "no-store"},
            ping=self._heartbeat,
            ping_message_factory=lambda: ServerSentEvent(comment="heartbeat", sep="\n"),
            sep="\n",
        )


async def _until_it_fails(events: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Yield events; end where the store fails: the reader comes back, and goes on where it was."""
    try:
        async for each in events:
            yield each
    except ExecutionError as error:
        _log.warning("a stream ended", extra={"category": error.category, "error": type(error).__name__})


def _continues(workflow: Workflow[Any, Any, Any, Any], last: int, following: list[Any]) -> bool:
    if following:
        return bool(following[0].version == last + 1)
    return last == workflow.version


def _gone(detail: str) -> Refused:
    return Refused(Problem(410, "PositionPrunedError", "Pruned", detail, category="store"))
