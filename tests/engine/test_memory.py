"""What is remembered of idle workflows, and how far it is trusted."""

from __future__ import annotations

from datetime import UTC, datetime

from statewright import StoredWorkflow, WorkflowSnapshot
from statewright._engine import memory
from statewright._engine.fold import Standing
from statewright._engine.memory import Memory

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def standing(id: str = "w-1", text: str = "", commit_id: str | None = "c-1") -> Standing:
    snapshot = WorkflowSnapshot(id, "order", "Draft", {"text": text}, 1, 1, NOON, NOON)
    return Standing.of(StoredWorkflow(snapshot, 1, commit_id), 7)


def recalled(remembering: Memory, times: int) -> int:
    """Count how often a workflow that is remembered each time is recalled."""
    found = 0
    for _ in range(times):
        remembering.keep("w-1", standing())
        found += remembering.recall("w-1") is not None
    return found


def test_what_is_remembered_is_recalled_once() -> None:
    """Recalling takes a standing out of memory, marked as one that may be out of date."""
    remembering = Memory()
    remembering.keep("w-1", standing())

    found = remembering.recall("w-1")

    assert found is not None
    assert found.is_remembered
    assert remembering.recall("w-1") is None


def test_only_what_a_save_can_be_checked_against_is_remembered() -> None:
    """Nothing is remembered that does not exist, that has no commit id, or that is large."""
    remembering = Memory()
    for each in (Standing(None, 0, None, 7), standing(commit_id=None), standing(text="x" * 30_000)):
        remembering.keep("w-1", each)

    assert len(remembering) == 0


def test_memory_is_bounded() -> None:
    """The workflow that was remembered first is forgotten first."""
    remembering = Memory()
    for number in range(memory.MAX_REMEMBERED + 1):
        remembering.keep(f"w-{number}", standing(f"w-{number}"))

    assert len(remembering) == memory.MAX_REMEMBERED
    assert remembering.recall("w-0") is None


def test_memory_that_is_often_wrong_is_seldom_asked() -> None:
    """Where others write the same workflows, loading is cheaper than losing; one command in eight tries still."""
    remembering = Memory()
    for _ in range(20):
        remembering.proved_wrong()

    assert recalled(remembering, 80) == 10


def test_memory_that_is_right_again_is_trusted_again() -> None:
    """Trust comes back once the tries are right."""
    remembering = Memory()
    for _ in range(20):
        remembering.proved_wrong()
    for _ in range(24):
        remembering.proved_right()

    assert recalled(remembering, 80) == 80


def test_memory_that_is_seldom_wrong_is_trusted() -> None:
    """One lost save in five costs less than a load for each command."""
    remembering = Memory()
    for _ in range(100):
        remembering.proved_wrong()
        for _ in range(4):
            remembering.proved_right()

    assert recalled(remembering, 80) == 80
