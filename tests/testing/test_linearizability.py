"""The linearizability checker says what a search through all orders says."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, permutations

import pytest

from statewright.testing import Operation, check_linearizable

W = "w-1"


def op(kind: str, called: float, returned: float, version: int | None, **facts: object) -> Operation:
    """Record an operation on the one workflow of these tests."""
    return Operation(kind, W, called, returned, version, **facts)  # type: ignore[arg-type]


def lost(called: float, version: int | None = None, value: str | None = None) -> Operation:
    """Record a write whose answer was lost; without a version, it would have taken any."""
    return Operation("write", W, called, version=version, outcome="unknown", value=value)


# --- what it says about single cases -------------------------------------------------------------------------------


def test_a_sequential_history_has_no_violation() -> None:
    """Reads that see the last write, and refusals that name it, are explained."""
    history = [op("read", 0, 1, 0), op("write", 2, 3, 1), op("read", 4, 5, 1), op("refused", 6, 7, 1)]

    assert check_linearizable(history) == []


def test_an_overlapping_read_may_see_either_version() -> None:
    """A read that runs beside a write may see the version before or after it."""
    write = op("write", 0, 10, 1)

    assert check_linearizable([write, op("read", 1, 2, 0)]) == []
    assert check_linearizable([write, op("read", 1, 2, 1)]) == []


def test_a_stale_read_is_found_with_what_proves_it() -> None:
    """A read of an old version after a newer one was acknowledged is a violation that names both operations."""
    write, read = op("write", 0, 1, 1), op("read", 2, 3, 0)

    [violation] = check_linearizable([read, write])

    assert violation.workflow_id == W
    assert violation.operations == (write, read)
    assert "a read of version 0 began after the write of version 1 had ended" in str(violation)


def test_reads_that_go_back_are_found_while_the_write_still_runs() -> None:
    """Once somebody saw the new version, nobody who asks later may see the old one."""
    history = [op("write", 0, 10, 1), op("read", 1, 2, 1), op("read", 3, 4, 0)]

    assert len(check_linearizable(history)) == 1


def test_two_writes_of_one_version_are_a_lost_update() -> None:
    """Two acknowledged writes of one version are a violation."""
    [violation] = check_linearizable([op("write", 0, 5, 1), op("write", 1, 6, 1)])

    assert "an update is lost" in violation.reason


def test_a_refusal_that_found_an_old_version_is_a_stale_read() -> None:
    """A refusal counts as a read of the version that it names."""
    history = [op("write", 0, 1, 1), op("write", 2, 3, 2), op("refused", 4, 5, 1)]

    assert len(check_linearizable(history)) == 1


def test_a_value_that_was_not_written_is_found() -> None:
    """A read of the right version with another write's content is a violation."""
    history = [op("write", 0, 1, 1, value="mine"), op("read", 2, 3, 1, value="another")]

    [violation] = check_linearizable(history)

    assert "2 values" in violation.reason


def test_a_version_that_nobody_wrote_is_found() -> None:
    """A version without a write, or beyond all writes, is a violation; a wild one costs no wild time."""
    assert len(check_linearizable([op("write", 0, 1, 2)])) == 1
    assert check_linearizable([op("read", 0, 1, 10**12)])


def test_a_lost_answer_explains_a_version_from_its_call_on() -> None:
    """A write without an answer may have happened at any time after its call, but not before."""
    read = op("read", 5, 6, 1)

    assert check_linearizable([lost(0), read]) == []
    assert check_linearizable([lost(5.5), read]) == []
    assert check_linearizable([lost(7), read]) != []


def test_a_lost_answer_may_also_have_done_nothing() -> None:
    """A write without an answer is no violation if nobody saw it."""
    assert check_linearizable([lost(0, version=1), op("write", 1, 2, 1), op("read", 3, 4, 1)]) == []


def test_one_lost_answer_explains_one_version_only() -> None:
    """Two versions that nobody acknowledged need two writes whose answer was lost."""
    read = op("read", 5, 6, 2)

    assert len(check_linearizable([lost(0), read])) == 1
    assert check_linearizable([lost(0), lost(1), read]) == []
    assert len(check_linearizable([lost(0, version=2), lost(1, version=2), read])) == 1


def test_lost_answers_are_passed_on_to_whoever_needs_them() -> None:
    """The matching gives up a likely write where only another version can do without it."""
    history = [lost(0, value="a"), lost(1), op("read", 4, 5, 1, value="a"), op("read", 6, 7, 2, value="b")]

    assert check_linearizable(history) == []
    assert check_linearizable([*history, op("read", 8, 9, 3)]) != []


def test_workflows_are_judged_apart() -> None:
    """A violation names its own workflow; others with the same versions are not mixed in."""
    fine = [replace(op("write", 0, 1, 1), workflow_id="fine"), replace(op("read", 2, 3, 1), workflow_id="fine")]

    assert [v.workflow_id for v in check_linearizable([*fine, op("write", 0, 1, 1), op("read", 2, 3, 0)])] == [W]


def test_a_history_may_begin_at_a_later_version() -> None:
    """Versions that were there before need no write, and older ones must not be seen."""
    history = [op("read", 0, 1, 4), op("write", 2, 3, 5)]

    assert check_linearizable(history, initial={W: 4}) == []
    assert check_linearizable(history) != []
    assert check_linearizable([op("read", 0, 1, 3)], initial={W: 4}) != []
    assert check_linearizable([op("write", 0, 1, 4)], initial={W: 4}) != []


def test_an_acknowledged_write_has_a_version() -> None:
    """A known write without a version is a mistake in the recording, not in the store."""
    with pytest.raises(ValueError, match="has a version"):
        check_linearizable([op("write", 0, 1, None)])


def test_what_claims_nothing_contradicts_nothing() -> None:
    """A read without an answer, or a refusal that found no version, is left out."""
    history = [op("write", 0, 1, 1), replace(op("read", 2, 3, 0), outcome="unknown"), op("refused", 2, 3, None)]

    assert check_linearizable(history) == []


# --- against a search through all orders ---------------------------------------------------------------------------


def explained(history: Sequence[Operation], initial: int = 0) -> bool:
    """Search all subsets of lost writes and all orders that agree with time for one that explains the history."""
    claims = [one for one in history if one.outcome == "known" and one.version is not None]
    lost_writes = [one for one in history if one.kind == "write" and one.outcome == "unknown"]
    return any(
        _is_run(order, initial)
        for size in range(len(lost_writes) + 1)
        for happened in combinations(lost_writes, size)
        for order in permutations([*claims, *happened])
        if _agrees_with_time(order)
    )


def _agrees_with_time(order: Sequence[Operation]) -> bool:
    returned = [math.inf if one.outcome == "unknown" else one.returned for one in order]
    return not any(returned[j] < order[i].called for i in range(len(order)) for j in range(i + 1, len(order)))


def _is_run(order: Sequence[Operation], initial: int) -> bool:
    version, value = initial, None
    for one in order:
        if one.kind == "write":
            version += 1
            if one.version not in {version, None}:
                return False
            value = one.value
        elif one.version != version or (one.value is not None and value is not None and one.value != value):
            return False
        else:
            value = one.value if value is None else value
    return True


def runs(chance: random.Random, steps: int) -> Iterator[Operation]:
    """Make a run that did happen, with overlapping calls and lost answers."""
    version, now, tag = 0, 0.0, None
    for number in range(steps):
        now += chance.choice([1, 2])
        called, returned = now - chance.choice([0, 1, 3]), now + chance.choice([0, 1, 3])
        if chance.random() < 0.5:
            version, tag = version + 1, chance.choice([None, f"t{number}"])
            asked = version if chance.random() < 0.7 else None
            unknown = chance.random() < 0.4
            yield lost(called, asked, tag) if unknown else op("write", called, returned, version, value=tag)
        else:
            kind = chance.choice(["read", "refused"])
            yield op(kind, called, returned, version, value=chance.choice([None, tag]))


def spoiled(chance: random.Random, history: list[Operation]) -> list[Operation]:
    """Change one fact of a history, which may or may not make it impossible."""
    index = chance.randrange(len(history))
    one = history[index]
    match chance.randrange(4):
        case 0 if one.version is not None:
            one = replace(one, version=max(0, one.version + chance.choice([-1, 1])))
        case 1:
            moved = chance.choice([-4, -2, 2, 4])
            one = replace(one, called=one.called + moved, returned=one.returned + moved)
        case 2:
            one = replace(one, value=chance.choice([None, "t0", "t1", "t2"]))
        case _:
            return history[:index] + history[index + 1 :]
    return [*history[:index], one, *history[index + 1 :]]


@pytest.mark.slow
def test_it_agrees_with_the_search_on_thousands_of_small_histories() -> None:
    """On random histories, possible and impossible ones, checker and search give the same verdict."""
    chance = random.Random(20260301)
    verdicts = {True: 0, False: 0}
    for _ in range(6000):
        history = list(runs(chance, chance.randint(2, 5)))
        for _ in range(chance.randint(0, 2)):
            history = spoiled(chance, history) if history else history
        chance.shuffle(history)
        initial = chance.choice([0, 0, 0, 1])

        verdict = check_linearizable(history, initial={W: initial}) == []

        assert verdict == explained(history, initial), history
        verdicts[verdict] += 1

    assert min(verdicts.values()) > 1000  # both verdicts must have been tried in earnest


def test_runs_that_did_happen_are_always_explained() -> None:
    """Long recorded runs of a correct register have no violation."""
    chance = random.Random(7)

    assert all(check_linearizable(list(runs(chance, 200))) == [] for _ in range(50))


@pytest.mark.slow
def test_the_cost_grows_little_faster_than_the_history() -> None:
    """A hundred thousand operations are judged in seconds: no step looks at every pair."""
    history = [
        one
        for version in range(1, 50_001)
        for one in (op("write", version, version + 0.9, version), op("read", version + 0.1, version + 3, version))
    ]
    begun = time.perf_counter()

    assert check_linearizable(history) == []
    assert time.perf_counter() - begun < 30
