"""The OpenAPI document tells the truth: Schemathesis asks whatever it allows, and more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

schemathesis = pytest.importorskip("schemathesis", reason="asking at random needs schemathesis")

from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402 - after what may be missing

from statewright import MemoryStore  # noqa: E402 - after what may be missing
from statewright._model.address import WORDS  # noqa: E402
from statewright.http import create_app  # noqa: E402
from tests.http.served import serving, store_at  # noqa: E402
from tests.http.shop import shop  # noqa: E402

pytest_plugins = ["tests.fixtures.postgres", "tests.fixtures.places"]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def within_reach(document: Any) -> Any:
    """Return a document without what has no end: a tool that waits for the end of each answer would wait for it."""
    found = document.exclude(path_regex="/stream$")

    @found.hook("filter_path_parameters")  # type: ignore[untyped-decorator]
    def is_no_word(_: Any, path_parameters: Any) -> bool:
        # As an id such a word is sent with a percent-encoded letter; as it is, it leads to the stream.
        return (path_parameters or {}).get("id") not in WORDS

    return found


store = MemoryStore()
schema = within_reach(schemathesis.openapi.from_asgi("/openapi.json", create_app([shop(store)], console=False)))


@schema.parametrize()
@settings(
    max_examples=30, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
def test_every_answer_is_documented(case: Any) -> None:
    """Whatever is asked, the answer is one that the document names, of its type and schema, and no 5xx but 501."""
    case.call_and_validate(excluded_checks=[positive_data_acceptance])


def walk(document: Any, open_store: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
    """Walk from answer to request, by what was answered; begin each walk where there is nothing."""

    async def forget_all() -> None:
        async with open_store() as store:
            for stored in await store.find(limit=1000):
                await store.forget(stored.snapshot.id)

    class Walk(document.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            asyncio.run(forget_all())
            super().setup()

        def validate_response(self, response: Any, case: Any, **options: Any) -> None:
            # That two headers exclude each other, or that no text holds a NUL, no schema of a parameter can say.
            case.validate_response(response, excluded_checks=[positive_data_acceptance])

    Walk.run(
        settings=settings(
            max_examples=25, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
        )
    )


def test_walks_through_the_routes_meet_only_documented_answers() -> None:
    """Walks from answer to request, by the ids that were given out, meet documented answers only."""
    walk(schema, lambda: nullcontext(store))


async def test_walks_through_a_server_meet_only_documented_answers(place: str, tmp_path: Path) -> None:
    """The same over sockets, with what the stores of `serve` keep: timers, dead letters, how far readers are."""
    async with store_at(place):
        pass  # makes what is not there yet
    with serving(place, "from tests.http.shop import router\n", tmp_path) as server:
        document = within_reach(schemathesis.openapi.from_url(f"{server.address}/openapi.json"))
        await asyncio.to_thread(walk, document, lambda: store_at(place))
        server.stop()

    assert "Traceback" not in server.said


def test_an_undocumented_answer_is_found_out() -> None:
    """An application that answers one kind of request as nobody has documented does not pass."""
    store = MemoryStore()
    broken = create_app([shop(store)], console=False)
    broken.add_middleware(Teapot)
    document = within_reach(schemathesis.openapi.from_asgi("/openapi.json", broken))

    with pytest.raises(BaseException, match="418"):
        walk(document, lambda: nullcontext(store))


class Teapot:
    """Answers 418 where the application finds nothing."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message.get("status") == 404:
                message = {**message, "status": 418}
            await send(message)

        await self.app(scope, receive, sending)
