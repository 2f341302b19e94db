"""An executor whose store is on the other side of a network."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from typing import Any, Final, Generic, Self, TypeVar, cast

import httpx2

from .._engine.request import _check_key, check_version
from .._model.address import segment
from .._model.commit import WorkflowCommit
from .._model.metadata import read_metadata
from .._model.parameters import WorkflowT
from .._model.result import Failure, Result, Success
from .._model.router import record_command
from .._model.workflow import Workflow, check_id
from ..errors import (
    DefinitionError,
    DomainError,
    ExecutionError,
    InvalidDataError,
    Issue,
    NotFoundError,
    OutcomeUnknownError,
    RestoreError,
    StoreError,
    StoreUnavailableError,
    UnexpectedError,
    settle,
)
from .answer import Reader, command_text, is_unsupported, plain
from .link import Link, Trip
from .watch import watch

C = TypeVar("C")
E = TypeVar("E")
R = TypeVar("R", bound=DomainError)

_PAGE: Final = 1000
_NO_VERSION: Final = 2**53
"""No workflow comes to this version, and no server reads so high a number."""


class RemoteExecutor(Generic[WorkflowT]):
    """Sends commands to a server and reads its workflows: the surface of a `WorkflowExecutor`, over HTTP.

    Each command has an idempotency key, so that one whose answer was lost is sent again and never acts twice.
    Server-only fields never come here: they are `None` in what this gives.

    Args:
        base: The address below which the server has its definitions, such as `https://shop.example/api`; or an
            `httpx2.AsyncClient` with a `base_url`, which stays open.
        workflow: The workflow class.
        token: Shown on every request, printable ASCII; for a client of your own, set its headers.
        retries: How often a request is sent again.
        backoff: The first pause before that, at most; each next one may be twice as long.

    Raises:
        DefinitionError: `workflow` is no workflow class, `token` no token, or `retries` no number from 0.
    """

    def __init__(
        self,
        base: str | httpx2.AsyncClient,
        workflow: type[WorkflowT],
        *,
        token: str | None = None,
        retries: int = 4,
        backoff: timedelta = timedelta(milliseconds=100),
    ) -> None:
        found: Any = workflow
        if not (isinstance(found, type) and issubclass(found, Workflow) and found is not Workflow):
            raise DefinitionError(f"a RemoteExecutor needs a workflow class, found {found!r}")
        if type(retries) is not int or retries < 0:
            raise DefinitionError(f"RemoteExecutor: retries is an integer from 0, found {retries!r}")
        self._definition = found._definition
        self._name: str = found.name
        self._reader = Reader(found)
        self._is_own = isinstance(base, str)
        headers = _credentials(token)
        client = httpx2.AsyncClient(base_url=base, headers=headers) if isinstance(base, str) else base
        self._link = Link(client, retries, backoff)
        self._takes_keys = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, if no client was given."""
        if self._is_own:
            await self._link.client.aclose()

    # --- commands ---------------------------------------------------------------------------------------------------

    async def execute(
        self: RemoteExecutor[Workflow[Any, C, E, R]],
        id: str,
        command: C | Mapping[str, Any],
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Success[WorkflowT, E] | Failure[R]:
        """Let the server decide a command on a workflow and save the outcome.

        Args:
            id: The workflow, 1 to 255 characters.
            command: An instance, or `{"type": stored name, "payload": stored form}`.
            expected_version: Refuse if the workflow is not at this version; 0: it must not exist.
            idempotency_key: The same key and command again is answered with the first result. Without one, the
                command gets a key of its own.
            metadata: Has to be empty: who asks is the server's to say.

        Returns:
            As `WorkflowExecutor.execute`. A server that cannot be reached is a `StoreUnavailableError`; where the
            command may have been carried out and no answer tells, an `OutcomeUnknownError`. It never raises an
            `Exception`.
        """
        remote = cast("RemoteExecutor[Any]", self)
        result: Result
        try:
            result = await remote._execute(id, command, expected_version, idempotency_key, metadata)
        except ExecutionError as error:
            settle(error)
            result = Failure(cast("Any", error))
        except Exception as raised:  # noqa: BLE001 - no call raises an Exception
            result = Failure(_failed(self._name, raised))
        return cast("Success[WorkflowT, E] | Failure[R]", result)

    async def _execute(
        self, id: Any, command: Any, expected_version: Any, key: Any, metadata: Any
    ) -> Success[Any, Any]:
        check_id(self._name, id)
        check_version(self._name, expected_version)
        if key is not None:
            _check_key(self._name, key)
        _refuse_metadata(self._name, metadata)
        schema, value, text = record_command(self._definition, command)
        path = f"{self._name}/{segment(id)}/commands/{segment(schema.name)}"
        request = {
            "content": command_text(schema, value, text).encode(),
            "headers": {"content-type": "application/json", **_condition(expected_version)},
        }
        trip = Trip()
        response = await self._send(path, request, key, trip)
        if not response.is_success:
            raise _judged(self._reader.error(response), trip)
        is_replayed = response.headers.get("idempotency-replayed") == "true"
        try:
            # A second try that meets the first one's record is still this call's own doing.
            return self._reader.success(response, is_replayed=is_replayed and (key is not None or trip.tries == 0))
        except (RestoreError, UnexpectedError) as error:
            raise OutcomeUnknownError("the command seems to be accepted, but the answer cannot be read") from error

    async def _send(self, path: str, request: dict[str, Any], key: str | None, trip: Trip) -> httpx2.Response:
        """Send a command under a key, without one only to a server whose store keeps none."""
        if key is not None or self._takes_keys:
            headers = {**request["headers"], "idempotency-key": _header(key or uuid.uuid4().hex)}
            with_key: dict[str, Any] = {**request, "headers": headers}
            response = await self._link.send("POST", path, trip=trip, **with_key)
            if not is_unsupported(response):
                return response
            trip.is_perhaps_done = False  # the tries before were refused, too, whatever became of their answers
            if key is not None:
                return response
        response = await self._link.send("POST", path, is_repeatable=False, trip=trip, **request)
        # Only what goes well without a key shows that it was the key, and no timer, that the store has no place for.
        self._takes_keys = self._takes_keys and not response.is_success
        return response

    # --- reading ----------------------------------------------------------------------------------------------------

    async def get(self, id: str) -> WorkflowT | None:
        """Return a workflow as it is stored now; `None` if it does not exist.

        Raises:
            InvalidDataError: The id is none.
            StoreError: The server or its store failed.
            RestoreError: What is stored does not load with the server's code, or with this one.
            UnexpectedError: What answered is no Statewright server, or does not let us in.
        """
        check_id(self._name, id)
        return await self._workflow(f"{self._name}/{segment(id)}")

    async def at(self, id: str, version: int) -> WorkflowT | None:
        """Return a workflow as it was at a version; `None` if there was no such version, or it was pruned.

        Raises:
            InvalidDataError: The id or version is none.
            ExecutionError: As `get`.
        """
        check_id(self._name, id)
        check_version(self._name, version, "version", is_optional=False)
        if not 0 < version < _NO_VERSION:
            return None
        return await self._workflow(f"{self._name}/{segment(id)}/at/{version}")

    async def _workflow(self, path: str) -> WorkflowT | None:
        response = await self._read(path)
        if response.is_success:
            return cast("WorkflowT", self._reader.workflow(plain(response, dict), response.headers))
        error = self._reader.error(response)
        if isinstance(error, NotFoundError):
            return None
        raise error

    async def history(
        self: RemoteExecutor[Workflow[Any, Any, E, Any]], id: str, *, after: int = 0, limit: int | None = None
    ) -> list[WorkflowCommit[E]]:
        """Return what happened to a workflow, oldest first. Metadata and idempotency keys stay on the server.

        Args:
            id: The workflow; one that does not exist has no history.
            after: Only commits with a version above this one.
            limit: At most so many.

        Raises:
            InvalidDataError: An argument is invalid.
            ExecutionError: As `get`.
        """
        check_id(self._name, id)
        check_version(self._name, after, "after", is_optional=False)
        check_version(self._name, limit, "limit")
        found: list[WorkflowCommit[E]] = []
        while after < _NO_VERSION and (limit is None or len(found) < limit):
            most = _PAGE if limit is None else min(_PAGE, limit - len(found))
            page = await self._page(id, after, most)
            found.extend(page)
            if len(page) < most:
                break
            after = page[-1].version
        return found

    async def _page(self, id: str, after: int, limit: int) -> list[WorkflowCommit[Any]]:
        response = await self._read(f"{self._name}/{segment(id)}/history", params={"after": after, "limit": limit})
        if not response.is_success:
            raise self._reader.error(response)
        return [self._reader.commit(body) for body in plain(response, list)]

    async def available_commands(self, id: str) -> dict[str, dict[str, Any]]:
        """Return the commands that have a handler now, with their JSON Schemas, by stored name.

        Raises:
            InvalidDataError: The id is none.
            ExecutionError: As `get`.
        """
        check_id(self._name, id)
        response = await self._read(f"{self._name}/{segment(id)}/commands")
        if not response.is_success:
            raise self._reader.error(response)
        commands: dict[str, dict[str, Any]] = plain(response, dict)
        return commands

    async def watch(self, id: str) -> AsyncGenerator[WorkflowT]:
        """Yield a workflow as it is, and then each new version, in order, none skipped and none twice.

        A connection that breaks is made again, and goes on where it was.

        Raises:
            InvalidDataError: The id is none.
            NotFoundError: It does not exist (any more).
            StoreError: It cannot be watched, or what came meanwhile has been pruned.
            ExecutionError: As `get`.
        """
        check_id(self._name, id)
        async for workflow in watch(self._link, self._reader, f"{self._name}/{segment(id)}/stream"):
            yield workflow

    async def _read(self, path: str, **request: Any) -> httpx2.Response:
        try:
            return await self._link.send("GET", path, **request)
        except OutcomeUnknownError as error:  # nothing was to be done, so nothing may have been done
            raise StoreUnavailableError("the server does not answer") from error.__cause__


def _credentials(token: Any) -> dict[str, str]:
    if token is None:
        return {}
    if not (isinstance(token, str) and token and token.isascii() and token.isprintable()):
        raise DefinitionError("RemoteExecutor: a token is printable ASCII, at least one character")
    return {"authorization": f"Bearer {token}"}


def _condition(expected_version: int | None) -> dict[str, str]:
    match expected_version:
        case None:
            return {}
        case 0:
            return {"if-none-match": "*"}
        case version:
            return {"if-match": f'"{version}"'}


def _header(key: str) -> bytes:
    if key.isprintable() and key == key.strip():
        return key.encode()
    issue = Issue(("idempotency_key",), "over HTTP a key is printable, and no space surrounds it", "invalid_header")
    raise InvalidDataError("argument", [issue])


def _refuse_metadata(workflow: str, metadata: Any) -> None:
    if read_metadata(workflow, metadata):
        issue = Issue(("metadata",), "over HTTP the server says who asks, see actor= there", "invalid_metadata")
        raise InvalidDataError("argument", [issue], subject=f"{workflow} argument 'metadata'")


def _judged(error: ExecutionError, trip: Trip) -> ExecutionError:
    """Return the error of the last try in the light of the tries before."""
    # Under one key, whatever was decided is a verdict on the first try, too. What failed on the way to it is none.
    if not trip.is_perhaps_done or not isinstance(error, StoreError | UnexpectedError):
        return error
    if isinstance(error, OutcomeUnknownError):
        return error
    unknown = OutcomeUnknownError(f"the command may have been carried out, and no answer tells: {error}")
    unknown.__cause__ = error
    return unknown


def _failed(workflow: str, raised: Exception) -> UnexpectedError:
    error = UnexpectedError(f"workflow {workflow!r}: the client itself failed")
    error.__cause__ = raised
    return error
