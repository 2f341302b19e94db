"""The promise of the two methods, with many callers at once."""

# ruff: noqa: S101 - a specification asserts

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable

from ..._engine.ports import SaveOptions, StoreAdapter, StoredWorkflow
from ..._model.commit import new_id
from ...errors import ConcurrencyConflictError
from ..linearizability import Operation, check_linearizable
from .samples import ID, check_conflict, check_stored, following, loaded, opening

PATIENCE = 60.0
"""Seconds after which a clause gives up on a store that does not answer."""


class RacingClauses:
    """Many callers load and save."""

    async def test_one_creator_wins(self, store: StoreAdapter) -> None:
        """Of many saves that create one workflow at once, exactly one wins, and the others learn who is there."""
        attempts = [opening(data={"by": number}) for number in range(32)]

        winner = await _only_winner(store, attempts, actual=1)

        check_stored(await loaded(store), winner.snapshot)

    async def test_one_writer_per_version_wins(self, store: StoreAdapter) -> None:
        """Of many writers that read the same version, exactly one wins, round after round."""
        await store.save(opening())
        for version in range(2, 7):
            read = await loaded(store)
            attempts = [following(read, data={"by": number}) for number in range(16)]

            winner = await _only_winner(store, attempts, actual=version)

            check_stored(await loaded(store), winner.snapshot)

    async def test_no_update_is_lost(self, store: StoreAdapter) -> None:
        """Writers that load, add one and try again when they lose end at exactly the number of their additions."""
        await store.save(opening(data={"sum": 0}))

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(_add(store, times=10) for _ in range(6)))

        stored = await loaded(store)
        assert stored.snapshot.data == {"sum": 60}
        assert stored.version == 61

    async def test_other_workflows_are_not_disturbed(self, store: StoreAdapter) -> None:
        """Among saves that are sent at once, those that lose do not take others with them."""
        taken = [opening(f"taken-{number}") for number in range(10)]
        for options in taken:
            await store.save(options)
        good = [opening(f"new-{number}") for number in range(20)]
        good += [following(options) for options in taken]
        bad = [opening(options.id) for options in taken]

        answers = await _save_all(store, [*bad, *good])

        refusals, accepted = answers[: len(bad)], answers[len(bad) :]
        assert accepted == [None] * len(good)
        assert all(isinstance(answer, ConcurrencyConflictError) for answer in refusals)
        for options in good:
            check_stored(await loaded(store, options.id), options.snapshot)

    async def test_what_callers_see_is_linearizable(self, store: StoreAdapter) -> None:
        """No caller sees an older version after a newer one was acknowledged to anybody."""
        seen: list[Operation] = []

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(_work(store, seen, rounds=15) for _ in range(8)))

        assert Counter(operation.kind for operation in seen)["write"] >= 15
        assert [str(violation) for violation in check_linearizable(seen)] == []

    async def test_a_cancelled_save_is_whole(self, store: StoreAdapter) -> None:
        """A save whose caller gives up has happened wholly or not at all, and the store goes on working."""
        options = opening(data={"count": 1})
        await store.save(options)
        for attempt in range(10):
            await _give_up(store, following(await loaded(store)), after=attempt)

            async with asyncio.timeout(PATIENCE):
                stored = await _advanced(store)
            assert stored.snapshot.data == {"count": stored.version}


async def _save_all(store: StoreAdapter, attempts: Iterable[SaveOptions]) -> list[BaseException | None]:
    async with asyncio.timeout(PATIENCE):
        return await asyncio.gather(*map(store.save, attempts), return_exceptions=True)


async def _only_winner(store: StoreAdapter, attempts: list[SaveOptions], *, actual: int) -> SaveOptions:
    winners: list[SaveOptions] = []
    for options, answer in zip(attempts, await _save_all(store, attempts), strict=True):
        match answer:
            case None:
                winners.append(options)
            case ConcurrencyConflictError():
                check_conflict(answer, options, actual=actual)
            case _:
                raise answer
    assert len(winners) == 1, f"{len(winners)} of {len(attempts)} saves from one version were accepted"
    return winners[0]


async def _add(store: StoreAdapter, *, times: int) -> None:
    while times:
        read = await loaded(store)
        try:
            await store.save(following(read, data={"sum": read.snapshot.data["sum"] + 1}))
        except ConcurrencyConflictError:
            continue
        times -= 1


async def _work(store: StoreAdapter, seen: list[Operation], *, rounds: int) -> None:
    """Load and save in turn, and record what was seen and when."""
    for _ in range(rounds):
        called = time.perf_counter()
        stored = await store.load(ID)
        tag = stored.snapshot.data["tag"] if stored else None
        version = stored.version if stored else 0
        seen.append(Operation("read", ID, called, time.perf_counter(), version, value=tag))

        tag = new_id()
        options = following(stored, data={"tag": tag}) if stored else opening(data={"tag": tag})
        called = time.perf_counter()
        try:
            await store.save(options)
        except ConcurrencyConflictError as error:
            seen.append(Operation("refused", ID, called, time.perf_counter(), error.actual_version))
        else:
            seen.append(Operation("write", ID, called, time.perf_counter(), options.snapshot.version, value=tag))


async def _give_up(store: StoreAdapter, options: SaveOptions, *, after: int) -> None:
    """Begin a save and cancel it after some turns of the event loop."""
    saving = asyncio.ensure_future(store.save(options))
    for _ in range(after):
        await asyncio.sleep(0)
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)


async def _advanced(store: StoreAdapter) -> StoredWorkflow:
    """Save once more, past a save that may still be under way, and return what is stored then."""
    while True:
        options = following(await loaded(store))
        try:
            await store.save(options)
        except ConcurrencyConflictError:
            continue
        return await loaded(store)
