"""What went wrong and waits for somebody: dead letters, and readers that lag behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from .._engine.executor import WorkflowExecutor
from .._engine.ports import DeadLetterStore, ReaderStore
from .._model.plain import flaw
from ..errors import InvalidDataError, Issue
from . import openapi
from .problem import Problem
from .router import Limit, ProblemRoute, lacks
from .view import Json, letter_body, next_link, reader_body

LetterId = Annotated[str, Path(min_length=1, max_length=255, description="The dead letter's id.")]


PLACE: Final[dict[str, Any]] = {"prefix": "/_", "tags": ["desk"], "route_class": ProblemRoute}
"""How the router is made that the desk is added to."""


class Desk:
    """The routes below `/_`.

    Args:
        store: The store of all executors.
        executors: Know how much of a command a client may see.
    """

    def __init__(self, store: Any, executors: Sequence[WorkflowExecutor[Any]]) -> None:
        self._store = store
        self._definitions = {each._definition.name: each._definition for each in executors}

    def add_routes(self, router: APIRouter) -> APIRouter:
        """Add the routes to a router that is made as `PLACE` says."""
        problems = openapi.problems(422, 500, 501, 503)
        letters = openapi.answer("Dead letters, by id.", openapi.array(openapi.LETTER))
        readers = openapi.answer("How far reactors and publishers have read.", openapi.array(openapi.READER))
        done: openapi.Plain = {"description": "Done."}
        router.add_api_route("/dead-letters", self._letters, responses={200: letters, **problems})
        for path, endpoint in (("retry", self._retry), ("drop", self._drop)):
            router.add_api_route(
                f"/dead-letters/{{id}}/{path}",
                endpoint,
                methods=["POST"],
                status_code=204,
                responses={204: done, **problems, **openapi.problems(404)},
            )
        router.add_api_route("/readers", self._readers, responses={200: readers, **problems})
        return router

    async def _letters(self, after: Annotated[str, Query(max_length=255)] = "", limit: Limit = 100) -> Response:
        """Return what was given up, until somebody retries or drops it."""
        found = await self._letter_store().dead_letters(after=_storable("after", after), limit=limit)
        link = next_link(found, limit, after=found[-1].id if found else after)
        return Json([letter_body(self._definitions, letter) for letter in found], headers=link)

    async def _retry(self, id: LetterId) -> Response:
        """Let a dead letter be tried again."""
        return _done(await self._letter_store().retry_dead_letter(_storable("id", id)))

    async def _drop(self, id: LetterId) -> Response:
        """Remove a dead letter; what waited behind it goes on."""
        return _done(await self._letter_store().drop_dead_letter(_storable("id", id)))

    async def _readers(self) -> Response:
        """Return how far each reactor and publisher has read."""
        if not isinstance(self._store, ReaderStore):
            raise lacks(self._store, "tell how far readers are", "readers", "ReaderStore")
        return Json([reader_body(each) for each in await self._store.readers()])

    def _letter_store(self) -> DeadLetterStore:
        if not isinstance(self._store, DeadLetterStore):
            raise lacks(self._store, "keep dead letters", "dead_letters", "DeadLetterStore")
        return self._store


def _storable(name: str, text: str) -> str:
    if found := flaw(text):
        raise InvalidDataError("argument", [Issue((name,), f"{found} is in no id", "invalid_id")])
    return text


def _done(was_there: bool) -> Response:  # noqa: FBT001 - what the store said
    if was_there:
        return Response(status_code=204)
    return Problem(404, "NotFoundError", "Not found", "there is no dead letter with this id", category="not_found")
