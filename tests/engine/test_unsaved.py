"""What could not be saved is forgotten: no later answer rests on it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from statewright import OutcomeUnknownError, StoreError, StoreUnavailableError, Success, WorkflowExecutor
from tests.engine.counter import Add, Begin, Pause, counters
from tests.engine.held_store import HeldStore, settled


@pytest.mark.parametrize("error", [StoreUnavailableError("down"), OutcomeUnknownError("who knows")], ids=repr)
async def test_no_answer_rests_on_what_was_not_saved(error: StoreError) -> None:
    """After a save that failed, those who waited since before it are decided on what is stored, not on what was not."""
    store, gates = HeldStore(), {"one": asyncio.Event(), "two": asyncio.Event()}
    counting: WorkflowExecutor[Any] = WorkflowExecutor(counters().with_deps(gates), store)
    assert (await counting.execute("c", Begin())).ok
    store.holds = store.holds_loads = True
    # Each pause closes the fold before it: what is saved first is younger than all that wait, so that a refusal of one
    # of them needs no further look at the store.
    sent = (Add(n=0), Pause(gate="one"), Add(n=60), Pause(gate="two"), Add(n=60))
    calls = [asyncio.create_task(counting.execute("c", command)) for command in sent]
    await store.until_loading()
    store.let_load()
    await store.until_saving()
    store.let_save()
    await settled()

    gates["one"].set()
    await store.until_saving()
    store.fail_save(error)
    await settled()
    store.holds = store.holds_loads = False
    gates["two"].set()
    saved, *failed, last = await asyncio.gather(*calls)

    assert saved.ok
    assert [type(result.error) for result in failed] == [type(error)] * 3
    assert isinstance(last, Success), last
    assert last.workflow.data.total == 60
