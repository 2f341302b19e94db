"""Events are made once for all who watch, and kept up to a size."""

from __future__ import annotations

import asyncio

import pytest

from statewright.http import rendering
from statewright.http.rendering import Rendering, chunks, event


def test_an_event_is_three_lines_whatever_its_data_hold() -> None:
    """Line breaks in data stay within their line."""
    text = event("commit", 7, {"note": "a\nb\r\nc\u2028d"}).decode()

    assert text == 'id: 7\nevent: commit\ndata: {"note":"a\\nb\\r\\nc\u2028d"}\n\n'


def test_events_go_together_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are joined in order; no chunk of several is larger than the limit, and a large event goes alone."""
    monkeypatch.setattr(rendering, "_CHUNK", 10)
    events = [b"aaaa", b"bbbb", b"cccc", b"d" * 30, b"e", b"f"]

    assert list(chunks(events)) == [b"aaaabbbb", b"cccc", b"d" * 30, b"ef"]
    assert list(chunks([])) == []


def test_what_is_kept_has_a_limit() -> None:
    """The oldest events are let go, and made again for who asks."""
    kept, made = Rendering(most=10), list[str]()

    def ask(key: str) -> bytes:
        def make() -> bytes:
            made.append(key)
            return b"1234"

        return kept.get(key, make)

    for key in ("a", "b", "b", "a", "c", "b", "a"):
        ask(key)

    assert made == ["a", "b", "c", "a"]
    assert sum(map(len, kept._kept.values())) == kept._size == 8


async def test_all_who_ask_share_one_look() -> None:
    """Who asks while somebody looks waits for the same look, also if the first one goes away."""
    kept, looks, found = Rendering(), list[str](), asyncio.Event()

    async def look() -> bytes:
        looks.append("look")
        await found.wait()
        return b"event"

    first = asyncio.create_task(kept.read("a", look))
    others = [asyncio.create_task(kept.read("a", look)) for _ in range(5)]
    while not looks:  # noqa: ASYNC110 - a turn of the loop, no waiting
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    found.set()

    assert first.cancelled()
    assert await asyncio.gather(*others) == [b"event"] * 5
    assert await kept.read("a", look) == b"event"
    assert looks == ["look"]


async def test_what_is_not_there_or_fails_is_asked_for_again() -> None:
    """Nothing is kept of a look that found nothing or failed, and everybody who waited is told."""
    kept, answers = Rendering(), iter([None, OSError("gone"), b"event"])

    async def look() -> bytes | None:
        await asyncio.sleep(0)
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    assert await asyncio.gather(kept.read("a", look), kept.read("a", look)) == [None, None]
    failed = await asyncio.gather(kept.read("a", look), kept.read("a", look), return_exceptions=True)
    assert [type(each) for each in failed] == [OSError, OSError]
    assert await kept.read("a", look) == b"event"
