"""Stores whose commits can be read in one order, across all workflows."""

# ruff: noqa: S101 - a specification asserts

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from ..._engine.ports import CommitLog, HistoryStore, StoreAdapter
from ..._model.commit import Commit
from .racing import PATIENCE
from .recording import check_commits
from .samples import following, loaded, opening, refused

LARGEST_POSITION = 2**53 - 1


class LogClauses:
    """No commit is skipped, and one workflow's arrive in the order of their versions."""

    @pytest.fixture
    def commit_log(self, store: StoreAdapter) -> CommitLog:
        """The store, if its commits can be read in one order."""
        if not isinstance(store, CommitLog):
            pytest.skip(f"{type(store).__name__} has no common order of commits (CommitLog)")
        return store

    async def test_an_empty_log(self, commit_log: CommitLog) -> None:
        """A store that saved nothing has no commits."""
        assert await commit_log.commits() == []
        assert await commit_log.commits(after=7) == []

    async def test_the_log_is_dense(self, store: StoreAdapter, commit_log: CommitLog) -> None:
        """Positions are 1, 2, 3, ... in the order of the saves; refused saves take none."""
        saves = [opening("a"), opening("b")]
        saves += [following(saves[0]), following(saves[1])]
        for options in saves:
            await store.save(options)
            await refused(store, opening(options.id), actual=options.snapshot.version)

        log = await commit_log.commits()

        assert [commit.position for commit in log] == [1, 2, 3, 4]
        check_commits(log, [commit for options in saves for commit in options.commits])

    async def test_the_log_in_pages(self, store: StoreAdapter, commit_log: CommitLog) -> None:
        """Pages put together are the log; each goes on after the last position of the one before."""
        for number in range(7):
            await store.save(opening(f"w-{number}"))
        pages: list[Commit] = []
        while page := await commit_log.commits(after=pages[-1].position if pages else 0, limit=3):
            assert len(page) <= 3
            pages += page

        assert pages == await commit_log.commits()
        assert [commit.position for commit in pages] == list(range(1, 8))

    async def test_the_log_agrees_with_histories(self, store: StoreAdapter, commit_log: CommitLog) -> None:
        """A commit has the same position in the log and in its workflow's history, whichever was read first."""
        if not isinstance(store, HistoryStore):
            pytest.skip(f"{type(store).__name__} keeps no histories (HistoryStore)")
        await _grow(store, "a", 2)
        early = await store.history("a")
        await _grow(store, "b", 2)
        await store.save(following(await loaded(store, "a")))

        log = await commit_log.commits()

        assert early == log[:2]
        for id in ("a", "b"):
            assert await store.history(id) == [commit for commit in log if commit.workflow_id == id]

    async def test_a_reader_beside_writers_skips_nothing(self, store: StoreAdapter, commit_log: CommitLog) -> None:
        """A reader that goes on from the last position it saw gets every commit once, versions in order."""
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            writing = [tasks.create_task(_grow(store, id, 8)) for id in "abcde"]
            reading = tasks.create_task(_read(commit_log, writing))

        log = reading.result()
        assert [commit.position for commit in log] == sorted({commit.position for commit in log})
        assert log[-1].position <= LARGEST_POSITION
        for id in "abcde":
            assert [commit.version for commit in log if commit.workflow_id == id] == list(range(1, 9))
        assert log == await commit_log.commits()

    async def test_a_subscriber_waits_for_more(self, store: StoreAdapter, commit_log: CommitLog) -> None:
        """A subscriber gets what is there, waits, and gets what is saved later."""
        await _grow(store, "a", 2)
        stream = commit_log.subscribe()
        async with asyncio.timeout(PATIENCE):
            early = [await anext(stream), await anext(stream)]
            waiting = asyncio.ensure_future(_next(stream))
            for _ in range(5):
                await asyncio.sleep(0)
            assert not waiting.done()

            await store.save(following(await loaded(store, "a")))
            late = await waiting
        await _close(stream)

        assert [commit.version for commit in [*early, late]] == [1, 2, 3]
        assert [*early, late] == await commit_log.commits()

    async def test_a_subscriber_goes_on_where_it_was(self, store: StoreAdapter, commit_log: CommitLog) -> None:
        """A subscriber that names a position gets what comes after it; several do not disturb each other."""
        await _grow(store, "a", 4)
        log = await commit_log.commits()
        begun = [commit_log.subscribe(after=after) for after in (0, 2, 2)]

        async with asyncio.timeout(PATIENCE):
            firsts = [await anext(stream) for stream in begun]
        for stream in begun:
            await _close(stream)

        assert firsts == [log[0], log[2], log[2]]


async def _grow(store: StoreAdapter, id: str, versions: int) -> None:
    options = opening(id)
    await store.save(options)
    for _ in range(versions - 1):
        options = following(options)
        await store.save(options)


async def _read(log: CommitLog, writing: list[asyncio.Task[None]]) -> list[Commit]:
    """Read in small pages until there is nothing more, and nobody who writes."""
    seen: list[Commit] = []
    while True:
        is_over = all(task.done() for task in writing)
        page = await log.commits(after=seen[-1].position if seen else 0, limit=3)
        seen += page
        if is_over and not page:
            return seen
        await asyncio.sleep(0)


async def _next(stream: AsyncIterator[Commit]) -> Commit:
    return await anext(stream)


async def _close(stream: AsyncIterator[Commit]) -> None:
    if isinstance(stream, AsyncGenerator):
        await stream.aclose()
