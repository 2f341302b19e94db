"""Tasks that work while there is something to do, and what comes in as they end."""

from __future__ import annotations

import asyncio

import pytest

from statewright.stores.postgres.lanes import Lanes


class Work:
    """Takes what waits, and lingers over it until it is let go."""

    def __init__(self, limit: int) -> None:
        self.waiting: list[str] = []
        self.taken: list[str] = []
        self.gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lanes = Lanes(limit, self.work)

    def bring(self, thing: str) -> None:
        """Let something come in."""
        self.waiting.append(thing)
        self.lanes.call()

    async def work(self) -> None:
        """Take one thing after the other."""
        while self.waiting:
            self.taken.append(self.waiting.pop(0))
            await self.gate


async def _turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_what_comes_in_as_the_last_lane_ends(limit: int) -> None:
    """What comes in on the very turn of the loop on which all lanes come to their end is taken, not forgotten."""
    work = Work(limit)
    for number in range(limit):
        work.bring(f"early {number}")
        await _turns()
    assert work.lanes.busy == limit

    work.gate.set_result(None)  # all lanes end on the next turn
    asyncio.get_running_loop().call_soon(work.bring, "late")  # right behind them
    await _turns()

    assert work.taken[-1] == "late"
    assert work.lanes.busy == 0


async def test_what_comes_in_together_is_taken_together() -> None:
    """One lane is begun for all that comes in on one turn, and no more lanes than there may be."""
    work = Work(2)
    for number in range(3):
        work.bring(f"{number}")
    assert work.lanes.busy == 1
    await _turns()
    work.bring("3")
    work.bring("4")
    await _turns()
    assert work.lanes.busy == 2

    work.gate.set_result(None)
    await work.lanes.quiet()

    assert sorted(work.taken) == ["0", "1", "2", "3", "4"]
