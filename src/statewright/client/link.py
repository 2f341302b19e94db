"""One request, tried again for as long as that is safe and may help."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import httpx2

from ..errors import OutcomeUnknownError, StoreError, StoreUnavailableError

FAILURES: Final = (httpx2.HTTPError, httpx2.InvalidURL)
"""What is raised instead of an answer."""
PASSING: Final = frozenset({502, 503, 504})
"""Statuses after which a later try may have another answer."""
_UNSENT: Final = (
    *(httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout),
    *(httpx2.UnsupportedProtocol, httpx2.InvalidURL),
)
"""The request never left, so that the server cannot have acted on it."""
_LONGEST: Final = 10.0
"""Seconds that a pause lasts at most."""


@dataclass(slots=True)
class Trip:
    """A request on its way, perhaps for the second time."""

    tries: int = 0
    is_perhaps_done: bool = False
    """An earlier try may have been acted on: its answer was lost, or told so."""


@dataclass(frozen=True, slots=True)
class Link:
    """The way to a server.

    Args:
        client: Sends the requests.
        retries: How often a request is sent again.
        backoff: The first pause between two tries, at most; each next one may be twice as long.
    """

    client: httpx2.AsyncClient
    retries: int
    backoff: timedelta
    _random: random.Random = field(default_factory=random.Random)

    async def send(
        self, method: str, path: str, *, is_repeatable: bool = True, trip: Trip | None = None, **request: Any
    ) -> httpx2.Response:
        """Send a request and return its answer, whatever its status.

        Args:
            method: The HTTP method.
            path: Relative to the client's base address.
            is_repeatable: Whether a repetition does nothing twice.
            trip: Learns what happened on the way.
            request: As for `httpx2.AsyncClient.request`.

        Raises:
            StoreUnavailableError: The server could not be reached; it has not seen the request.
            OutcomeUnknownError: The answer was lost.
        """
        trip = trip or Trip()
        while True:
            try:
                response = await self.client.request(method, path, **request)
            except FAILURES as exc:
                trip.is_perhaps_done |= not isinstance(exc, _UNSENT)
                if trip.tries >= self.retries or (trip.is_perhaps_done and not is_repeatable):
                    raise _lost(trip) from exc
                await self.pause(trip.tries)
            else:
                trip.is_perhaps_done |= _leaves_open(response)
                if not _may_pass(response) or trip.tries >= self.retries or not is_repeatable:
                    return response
                await self.pause(trip.tries, response.headers)
            trip.tries += 1

    async def pause(self, tries: int, headers: Mapping[str, str] | None = None) -> None:
        """Wait before the next try: longer each time, at random, and no shorter than the server asks."""
        longest = min(self.backoff.total_seconds() * 2 ** min(tries, 30), _LONGEST)
        asked = (headers or {}).get("retry-after", "")
        least = min(float(asked), _LONGEST) if asked.isdecimal() and longest > 0 else 0.0
        await asyncio.sleep(max(least, self._random.uniform(0, longest)))


def _may_pass(response: httpx2.Response) -> bool:
    """Return whether a later try may have another answer."""
    if response.status_code not in PASSING:
        return False
    if _is_problem(response):
        # A dependency that failed has had its say, and newer code does not come in seconds.
        return response.status_code != 503 or "retry-after" in response.headers
    return True  # a proxy


def _leaves_open(response: httpx2.Response) -> bool:
    """Return whether an answer does not tell what became of the request."""
    status = response.status_code
    # What fails around Statewright, in a middleware or a proxy, may fail after the command was carried out.
    return status in {502, 504} or (status >= 500 and status != 503 and not _is_problem(response))


def _is_problem(response: httpx2.Response) -> bool:
    return bool(response.headers.get("content-type", "").startswith("application/problem+json"))


def _lost(trip: Trip) -> StoreError:
    if trip.is_perhaps_done:
        return OutcomeUnknownError("the server's answer was lost; only reading back can tell what it was")
    return StoreUnavailableError("the server cannot be reached; nothing was saved")
