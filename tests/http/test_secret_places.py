"""A server-only value in every position that a schema has, and every byte that a server lets out."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel, create_model

from statewright import Context, DomainError, MemoryStore, Workflow, WorkflowExecutor, WorkflowRouter
from statewright.http import create_app
from tests.http.shop import serving
from tests.http.test_secrets import read_until
from tests.model.test_visibility import CASES, SECRET

pytestmark = pytest.mark.slow

FIELDS: dict[str, Any] = {f"at_{number}": (type, ...) for number, (type, _, _) in enumerate(CASES.values())}
PLANTED = {f"at_{number}": stored for number, (_, stored, _) in enumerate(CASES.values())}
SEEN = {f"at_{number}": seen for number, (_, _, seen) in enumerate(CASES.values()) if seen != "<hidden>"}

Kept: Any = create_model("Kept", **FIELDS)
Keep: Any = create_model("Keep", **FIELDS)
Happened: Any = create_model("Happened", **FIELDS)
# An error validates its own values once more, and what has been read from JSON in JSON is none any more.
IN_ERRORS = {f"at_{number}" for number, case in enumerate(CASES) if case != "JSON in JSON"}
ANNOTATIONS = {name: type for name, (type, _) in FIELDS.items() if name in IN_ERRORS}
Refused: Any = type("Refused", (DomainError,), {"__annotations__": ANNOTATIONS, "__module__": __name__})


class Refuse(BaseModel):
    pass


class Later(BaseModel):
    pass


class Vault(Workflow[Kept, Keep | Refuse | Later, Happened, Refused], name="vault"):
    """Keeps what nobody may see."""


router: Any = WorkflowRouter(Vault)


def keep(_: Any, command: Any, ctx: Context[Any]) -> Any:
    ctx.emit(Happened.model_validate_json(json.dumps(PLANTED)))
    return Kept.model_validate_json(json.dumps(PLANTED))


def refuse(_: Any, command: Any) -> Any:
    raise Refused(**{name: PLANTED[name] for name in IN_ERRORS})


def later(_: Any, command: Any, ctx: Context[Any]) -> None:
    ctx.schedule(Keep.model_validate_json(json.dumps(PLANTED)), delay=timedelta(days=1))


for state, command, handler in ((None, Keep, keep), (Kept, Keep, keep), (Kept, Refuse, refuse), (Kept, Later, later)):
    handler.__annotations__ |= {"_": state, "command": command, "return": None if handler is later else Kept}
    router.on(handler)

READ = (
    *("/vault", "/vault/1", "/vault/1/at/1", "/vault/1/history", "/vault/1/timers", "/vault/1/commands"),
    *("/vault/definition", "/vault/counts", "/openapi.json", "/metrics", "/_/dead-letters", "/_/readers"),
    *("/console/workflows/vault", "/console/workflows/vault/1", "/console/dead-letters"),
    *("/console/data/vault", "/console/data/vault/recent", "/console/data/vault/timeline/1"),
)


async def test_no_position_of_a_schema_tells_what_it_hides(caplog: pytest.LogCaptureFixture) -> None:
    """Bodies, streams, problems, pages and logs show what is open at each position, and nothing of what is hidden."""
    executor: Any = WorkflowExecutor(router, MemoryStore())
    async with (
        serving(create_app([executor])) as address,
        httpx2.AsyncClient(base_url=address, timeout=60) as client,
    ):
        first = await client.post("/vault/1/commands/Keep", json=PLANTED)
        async with (
            client.stream("GET", "/vault/1/stream") as one,
            client.stream("GET", "/vault/stream?after=0") as all_,
        ):
            answers = [first, *[await client.post(f"/vault/1/commands/{name}", json=sent) for name, sent in SENT]]
            streamed = [await read_until(response, '"Later"') for response in (one, all_)]
        answers += [await client.get(path) for path in READ]

    assert [answer.status_code for answer in answers[: 1 + len(SENT)]] == [201, 200, 409, 422, 200]
    assert {answer.status_code for answer in answers[1 + len(SENT) :]} == {200}
    assert first.json()["data"] == SEEN
    assert first.json()["events"] == [{"type": "Happened", "data": SEEN}]
    assert answers[2].json()["data"] == {name: SEEN[name] for name in IN_ERRORS & SEEN.keys()}
    assert [each["command"]["data"] for each in answered(answers, "/timers")] == [SEEN]
    for text in [*(answer.text + str(answer.headers) for answer in answers), *streamed, caplog.text]:
        assert SECRET not in text


SENT: list[tuple[str, Any]] = [
    ("Keep", PLANTED),
    ("Refuse", {}),
    ("Keep", {name: [{"nothing": SECRET}, SECRET] for name in PLANTED}),
    ("Later", {}),
]


def answered(answers: list[httpx2.Response], end: str) -> Any:
    [found] = [answer for answer in answers if str(answer.url).endswith(end)]
    return found.json()
