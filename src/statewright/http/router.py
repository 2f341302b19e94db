"""The routes of one definition."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends as Dependency
from pydantic_core import to_jsonable_python
from starlette.requests import Request
from starlette.responses import Response

from .._engine.executor import WorkflowExecutor
from .._engine.ports import Catalog, TimerCatalog
from .._model.address import DOTS, segment
from .._model.plain import flaw
from .._model.result import Failure, Result, Success
from .._model.schema import Schema
from .._model.workflow import Workflow, check_id
from ..errors import (
    DefinitionError,
    ExecutionError,
    InvalidDataError,
    Issue,
    NotFoundError,
    StoreError,
    UnexpectedError,
    unsupported,
)
from . import openapi
from .body import read_payload
from .condition import is_unchanged, read_condition
from .description import describe
from .feed import Feed
from .path import IdRoute
from .problem import Problem, Refused, invalid, problem_of
from .stream import Streams, last_event_id
from .view import Json, commit_body, item_body, next_link, success_body, timer_body, workflow_headers

_log: Final = logging.getLogger("statewright.http")
_MOST: Final = 2**53 - 1
_PAGE: Final = 1000

Limit = Annotated[int, Query(ge=1, le=_PAGE, description="At most so many.")]
Id = Annotated[str, Path(description="The workflow's id, as one segment of the path: a slash in it is %2F.")]


@dataclass(frozen=True, slots=True)
class Options:
    """How the routes of a definition behave."""

    actor: Callable[..., Any] | None = None
    require_if_match: bool = False
    max_body: int = 1_048_576
    heartbeat: float = 15.0


def create_router(
    executor: WorkflowExecutor[Any],
    *,
    dependencies: Sequence[Dependency] = (),
    actor: Callable[..., Any] | None = None,
    require_if_match: bool = False,
    max_body: int = 1_048_576,
    heartbeat: float = 15.0,
) -> APIRouter:
    """Return the routes of one definition, under its name: include them in an application, under any prefix.

    Args:
        executor: Executes the commands and reads the workflows.
        dependencies: FastAPI dependencies of every route, such as one that checks who asks.
        actor: A FastAPI dependency that returns who asks, as plain data: each commit keeps it as `metadata["actor"]`.
        require_if_match: Refuse commands that do not say which version they expect.
        max_body: A command's body has so many bytes at most.
        heartbeat: Seconds between two signs of life on a stream.

    Raises:
        DefinitionError: It is no executor, or a limit is none.
    """
    if not isinstance(executor, WorkflowExecutor):
        raise DefinitionError(f"create_router takes a WorkflowExecutor, found {type(executor).__name__}")
    if max_body < 1 or heartbeat <= 0:
        raise DefinitionError("create_router: max_body and heartbeat are above 0")
    router = APIRouter(dependencies=list(dependencies), **place_of(executor))
    return add_routes(router, executor, Feed(executor.store), Options(actor, require_if_match, max_body, heartbeat))


def place_of(executor: WorkflowExecutor[Any]) -> dict[str, Any]:
    """Return how the router of a definition is made."""
    name = executor._definition.name
    return {"prefix": f"/{name}", "tags": [name], "route_class": ProblemRoute}


def add_routes(router: APIRouter, executor: WorkflowExecutor[Any], feed: Feed, options: Options) -> APIRouter:
    """Add the routes of one definition to a router; definitions of one store may share a feed."""
    faces = _Faces(executor, feed, options)
    faces.add_fixed(router)
    faces.add_commands(router)
    faces.add_reading(router)
    return router


class ProblemRoute(IdRoute):
    """A route whose errors are problems."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await answer(request)
            except Refused as refused:
                return refused.problem
            except RequestValidationError as exc:
                return problem_of(_misused(exc))
            except ExecutionError as error:
                return failed(error)

        return answered


def _misused(exc: RequestValidationError) -> InvalidDataError:
    issues = [Issue(tuple(found["loc"]), found["msg"], found["type"]) for found in exc.errors()]
    return InvalidDataError("argument", issues, subject="request")


def failed(error: ExecutionError, *, is_conditional: bool = False, has_key: bool = False) -> Problem:
    """Return the answer for an error, and note in the log what the client is not told."""
    problem = problem_of(error, is_conditional=is_conditional, has_key=has_key)
    if problem.status_code >= 500:
        cause = error.__cause__
        _log.log(
            logging.ERROR if isinstance(error, UnexpectedError) else logging.WARNING,
            "%s answered with %d%s%s",
            type(error).__name__,
            problem.status_code,
            f", caused by {_named(cause)}" if cause is not None else "",
            # Of other errors classes and places only: their messages may quote what is server-only.
            f": {error}" if problem.status_code == 500 and isinstance(error, StoreError) else "",
        )
    return problem


def _named(cause: BaseException) -> str:
    trace = cause.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(cause).__name__}{place}"


class _Faces:
    """What answers the requests for one definition."""

    def __init__(self, executor: WorkflowExecutor[Any], feed: Feed, options: Options) -> None:
        self._executor = executor
        self._definition = executor._definition
        self._name = executor._definition.name
        self._options = options
        self._streams = Streams(executor, feed, options.heartbeat)
        self._schemas = openapi.Schemas(self._definition)

    # --- commands ---------------------------------------------------------------------------------------------------

    def add_commands(self, router: APIRouter) -> None:
        """Add a route for each command, and one for all that are none."""
        depends = [] if self._options.actor is None else [Depends(_remembering(self._options.actor))]
        conditions = [
            openapi.header("If-Match", "The version that is expected, in double quotes.", openapi.VERSION),
            openapi.header("If-None-Match", "`*`: the workflow must not exist.", r"^\*$"),
            openapi.header("Idempotency-Key", "The same key and command again gets the first answer.", openapi.KEY),
        ]
        replayed = {"Idempotency-Replayed": {"description": "The first answer, again.", "schema": {"type": "string"}}}
        headers = {**openapi.ETAG, **replayed}
        answers = {
            200: openapi.answer("Accepted and saved.", self._schemas.success, headers),
            201: openapi.answer("Accepted; the workflow was created.", self._schemas.success, headers),
            **openapi.problems(400, 404, 409, 412, 413, 415, 422, 428, 500, 501, 503, 504),
        }
        for schema in self._definition.commands:
            if not schema.name.replace("-", "_").isidentifier():
                continue  # the path of a route has its own language; the last route serves it
            router.add_api_route(
                f"/{{id}}/commands/{schema.name}",
                self._command(schema.name),
                methods=["POST"],
                operation_id=f"{self._name}_{schema.name}",
                summary=f"{schema.name} ({self._name})",
                description=_summary(schema),
                responses=answers,
                dependencies=depends,
                openapi_extra={"parameters": conditions, "requestBody": openapi.payload(schema.json_schema)},
            )
        router.add_api_route(
            "/{id}/commands/{command}",
            self._any_command,
            methods=["POST"],
            dependencies=depends,
            include_in_schema=False,
        )

    def _command(self, name: str) -> Callable[..., Awaitable[Response]]:
        async def send(request: Request, id: Id) -> Response:
            return await self._execute(request, id, name)

        return send

    async def _any_command(self, request: Request, id: Id, command: str) -> Response:
        return await self._execute(request, id, command)

    async def _execute(self, request: Request, id: str, command: str) -> Response:
        condition = read_condition(request, is_required=self._options.require_if_match)
        key = _key(request)
        message = {"type": command, "payload": await read_payload(request, self._options.max_body)}
        metadata = getattr(request.state, "statewright_metadata", None)

        async def execute(expected: int | None) -> Result:
            return await self._executor.execute(
                id, message, expected_version=expected, idempotency_key=key, metadata=metadata
            )

        match await condition.execute(execute):
            case Success() as accepted:
                return self._accepted(accepted)
            case Failure(error=error):
                return failed(error, is_conditional=condition.is_unmet(error), has_key=key is not None)

    def _accepted(self, accepted: Success[Any, Any]) -> Response:
        headers = workflow_headers(accepted.snapshot)
        if accepted.replayed:
            headers["idempotency-replayed"] = "true"
        is_new, id = accepted.version == 1, accepted.snapshot.id
        if is_new and id not in DOTS:
            headers["location"] = f"../../{segment(id)}"
        return Json(success_body(self._definition, accepted), 201 if is_new else 200, headers)

    # --- one workflow -----------------------------------------------------------------------------------------------

    def add_reading(self, router: APIRouter) -> None:
        """Add the routes that read one workflow."""
        seen = openapi.answer("The workflow.", self._schemas.workflow, openapi.ETAG)
        conditional = {
            "parameters": [openapi.header("If-None-Match", "What the reader has already, as an ETag.", openapi.VERSION)]
        }
        unchanged = {304: {"description": "The reader has this version already."}}
        problems = openapi.problems(400, 404, 422, 500, 501, 503)
        add = _adding(router, self._name)
        add("/{id}", self._get, {200: seen, **unchanged, **problems}, conditional)
        add("/{id}/at/{version}", self._at, {200: seen, **unchanged, **problems}, conditional)
        schemas: openapi.Plain = {"type": "object", "additionalProperties": {"type": "object"}}
        add("/{id}/commands", self._commands, {200: openapi.answer("Commands and their schemas.", schemas), **problems})
        commits = openapi.answer("Commits, oldest first.", openapi.array(openapi.COMMIT))
        add("/{id}/history", self._history, {200: commits, **problems})
        timers = openapi.answer("Timers, the next one first.", openapi.array(openapi.TIMER))
        add("/{id}/timers", self._timers, {200: timers, **problems})
        resumed = {
            "parameters": [openapi.header("Last-Event-ID", "The last event that the reader has.", openapi.EVENT_ID)]
        }
        events = openapi.stream("The state as it is, and each commit from then on.")
        add("/{id}/stream", self._stream, {200: events, **problems, **openapi.problems(410)}, resumed)

    async def _get(self, request: Request, id: Id) -> Response:
        workflow = await self._executor.get(id)
        if workflow is None:
            raise NotFoundError(id)
        return self._shown(request, workflow)

    async def _at(self, request: Request, id: Id, version: Annotated[int, Path(ge=1, le=_MOST)]) -> Response:
        workflow = await self._executor.at(id, version)
        if workflow is None:
            detail, facts = f"workflow {id!r} has no version {version}", {"workflow_id": id}
            return Problem(404, "NotFoundError", "Not found", detail, category="not_found", facts=facts)
        return self._shown(request, workflow)

    def _shown(self, request: Request, workflow: Workflow[Any, Any, Any, Any]) -> Response:
        headers = workflow_headers(workflow.to_snapshot())
        if is_unchanged(request, workflow.version):
            return Response(status_code=304, headers={"cache-control": "private, no-cache", **headers})
        return Json(workflow.to_client(), headers=headers)

    async def _commands(self, id: Id) -> Response:
        return Json(await self._executor.available_commands(id))

    async def _history(self, id: Id, after: Annotated[int, Query(ge=0, le=_MOST)] = 0, limit: Limit = 100) -> Response:
        commits = await self._executor.history(id, after=after, limit=limit)
        link = next_link(commits, limit, after=commits[-1].version if commits else after)
        return Json([commit_body(self._definition, commit) for commit in commits], headers=link)

    async def _timers(self, id: Id) -> Response:
        store = self._executor.store
        if not isinstance(store, TimerCatalog):
            raise lacks(store, "list timers", "timers", "TimerCatalog")
        if await self._executor.get(id) is None:
            raise NotFoundError(id)
        return Json([timer_body(self._definition, timer) for timer in await store.timers(id)])

    async def _stream(self, request: Request, id: Id) -> Response:
        return await self._streams.of_workflow(id, last_event_id(request))

    # --- all workflows of the definition ----------------------------------------------------------------------------

    def add_fixed(self, router: APIRouter) -> None:
        """Add the routes in whose paths there is no id; they come first, because an id may be any word."""
        problems = openapi.problems(422, 500, 501, 503)
        add = _adding(router, self._name)
        items = openapi.answer("Workflows, by id.", openapi.array(self._schemas.item))
        add("", self._list, {200: items, **problems})
        described = openapi.answer("The definition.", {"type": "object"})
        add("/definition", self._describe, {200: described})
        counts = openapi.answer("How many are in each state.", {"type": "object"})
        add("/counts", self._count, {200: counts, **problems})
        resumed = {
            "parameters": [openapi.header("Last-Event-ID", "The last event that the reader has.", openapi.EVENT_ID)]
        }
        events = openapi.stream("Each commit of the definition from now on, or above a position.")
        add("/stream", self._stream_all, {200: events, **problems, **openapi.problems(400, 410)}, resumed)

    async def _list(self, state: str | None = None, after: str = "", limit: Limit = 100) -> Response:
        if after:
            check_id(self._name, after)
        if state is not None and flaw(state):
            raise InvalidDataError("argument", [Issue(("state",), "no state has this name", "invalid_state")])
        stored = await self._catalog().find(definition=self._name, state=state, after=after, limit=limit)
        link = next_link(stored, limit, state=state, after=stored[-1].id if stored else after)
        return Json([item_body(self._executor._restorer, each) for each in stored], headers=link)

    async def _describe(self) -> Response:
        return Json(describe(self._executor.router))

    async def _count(self) -> Response:
        counts = await self._catalog().count_by_state(self._name)
        return Json({**dict.fromkeys(self._definition.states.classes, 0), **counts})

    async def _stream_all(
        self, request: Request, after: Annotated[int | None, Query(ge=0, le=_MOST)] = None
    ) -> Response:
        last = last_event_id(request)
        return await self._streams.of_definition(after if last is None else last)

    def _catalog(self) -> Catalog:
        store = self._executor.store
        if not isinstance(store, Catalog):
            raise lacks(store, "list workflows", "find, count and count_by_state", "Catalog")
        return store


def _key(request: Request) -> str | None:
    sent = set(request.headers.getlist("idempotency-key"))
    if len(sent) > 1:
        raise invalid(400, "Idempotency-Key was sent more than once", "invalid_header", source="argument")
    # Headers are read as Latin-1, whatever they hold.
    return sent.pop().encode("latin-1").decode("utf-8", "surrogateescape") if sent else None


def _adding(router: APIRouter, name: str) -> Callable[..., None]:
    def add(path: str, endpoint: Any, answers: Any, extra: openapi.Plain | None = None) -> None:
        doing = endpoint.__name__.strip("_")
        router.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            operation_id=f"{name}_{doing}",
            summary=f"{doing} ({name})".replace("_", " "),
            responses=answers,
            openapi_extra=extra,
        )

    return add


def _summary(schema: Schema) -> str:
    return (schema.type.__doc__ or "").strip().partition("\n\n")[0]


def lacks(store: object, what: str, methods: str, port: str) -> StoreError:
    """Return the error that says what a store would have to implement."""
    return unsupported(f"store {type(store).__name__} cannot {what}: implement {methods} ({port})")


def _remembering(actor: Callable[..., Any]) -> Callable[..., Awaitable[None]]:
    """Return a dependency that keeps who asks, for the commit's metadata."""

    async def remember(request: Request, principal: Any = Depends(actor)) -> None:  # noqa: B008 - so FastAPI asks
        if principal is not None:
            request.state.statewright_metadata = {"actor": to_jsonable_python(principal)}

    return remember
