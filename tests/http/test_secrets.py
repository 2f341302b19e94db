"""What is server-only leaves in no byte: no body, stream, problem, document or log."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx2
import pytest

from statewright import MemoryStore
from statewright.http import create_app
from tests.http.shop import SECRET, opened, serving, shop

COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("Open", {}),
    ("AddItem", {"article": "tea", "cost": SECRET}),
    ("AddItem", {"article": "", "cost": SECRET}),
    ("AddItem", {"cost": [SECRET]}),
    ("Remind", {}),
    ("Break", {"how": "bug"}),
    ("Break", {"how": "dependency"}),
    ("Break", {"how": "strict"}),
    ("Break", {"how": "x", "hint": SECRET}),
    ("Place", {}),
    ("Place", {}),
]
PATHS = (
    *("/order", "/order/1", "/order/1/commands", "/order/1/history", "/order/1/at/2", "/order/1/timers"),
    *("/order/definition", "/order/counts", "/openapi.json", "/metrics", "/_/dead-letters", "/_/readers"),
)


async def test_nothing_hidden_leaves(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is sent and read, no answer and no line of the log holds what is server-only."""
    caplog.set_level(logging.DEBUG)
    store = MemoryStore()
    async with opened(shop(store)) as client:
        answers = [await client.post(f"/order/1/commands/{name}", json=payload) for name, payload in COMMANDS]
        answers += [await client.get(path) for path in PATHS]

    assert [answer.status_code for answer in answers[: len(COMMANDS)]] == [
        *(201, 200, 422, 422, 200, 500, 503, 409, 422, 200, 409),
    ]
    assert SECRET in store._rows["1"].current.snapshot.text
    for answer in answers:
        assert SECRET not in answer.text, answer.request.url
        assert SECRET not in str(answer.headers)
    assert "UnexpectedError answered with 500" in caplog.text
    assert SECRET not in "\n".join(told(record) for record in caplog.records if record.name.startswith("statewright"))
    assert SECRET not in caplog.text


def told(record: logging.LogRecord) -> str:
    """Return all that a log record holds."""
    return f"{record.getMessage()} {record.__dict__}"


@pytest.mark.slow
async def test_nothing_hidden_is_streamed() -> None:
    """No event of a stream holds what is server-only, over a real server."""
    executor = shop()
    async with (
        serving(create_app([executor], console=False)) as address,
        httpx2.AsyncClient(base_url=address) as client,
    ):
        await client.post("/order/1/commands/Open")
        async with (
            client.stream("GET", "/order/1/stream") as one,
            client.stream("GET", "/order/stream?after=0") as all_,
        ):
            for name, payload in COMMANDS[1:]:
                await client.post(f"/order/1/commands/{name}", json=payload)
            texts = [await read_until(response, "OrderPlaced") for response in (one, all_)]

    assert all("OrderPlaced" in text and SECRET not in text for text in texts)


async def read_until(response: httpx2.Response, word: str) -> str:
    text = ""
    async with asyncio.timeout(30):
        async for chunk in response.aiter_text():
            text += chunk
            if word in text:
                break
    return text
