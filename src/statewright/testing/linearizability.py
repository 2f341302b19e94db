"""Was what many callers saw of a store possible for one that does a single thing at a time?

A workflow is a register with a version that every write raises by one, so the versions give the order of the writes,
and no search is needed. In that order come: the write of 1, the reads that saw 1, the write of 2, and so on. It
explains what was seen if, and only if, it never puts an operation that had ended behind one that had not begun. One
sweep over the operations by time finds that out in O(n log n); only writes whose answer was lost have to be matched
with the versions that nobody else wrote. The general problem, without versions, is NP-complete (Gibbons and Korach,
"Testing Shared Memories", 1997).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Literal, TypeAlias

OperationKind: TypeAlias = Literal["read", "write", "refused"]
Outcome: TypeAlias = Literal["known", "unknown"]


@dataclass(frozen=True, slots=True)
class Operation:
    """What one caller did to one workflow, and when.

    A caller that got no answer, or an `OutcomeUnknownError`, records a write with `outcome="unknown"`: it may have
    happened at any moment since the call, also after the caller had given up. A call that surely did nothing
    (`StoreUnavailableError`) is not recorded.
    """

    kind: OperationKind
    """A `read`; a `write`, one accepted command; or one that was `refused`, which saw a version as a read does."""
    workflow_id: str
    called: float
    """When the call began, on a clock that all callers share and that never goes back (`time.perf_counter()`)."""
    returned: float = math.inf
    """When its answer was there; not looked at where the outcome is unknown."""
    version: int | None = None
    """The version written or seen; 0 for a workflow that was missing; `None` where it is not known."""
    outcome: Outcome = "known"
    value: Hashable = None
    """What was written or seen, such as a commit id: tells two writes of one version apart. `None` claims nothing."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Operations that no order can explain."""

    workflow_id: str
    reason: str
    operations: tuple[Operation, ...] = ()

    def __str__(self) -> str:
        return "\n  ".join([f"workflow {self.workflow_id!r}: {self.reason}", *map(str, self.operations)])


def check_linearizable(operations: Iterable[Operation], *, initial: Mapping[str, int] | None = None) -> list[Violation]:
    """Return what contradicts linearizability; nothing if the operations can be explained.

    Each workflow is judged on its own. A workflow that is forgotten and created again counts as another one: record it
    under another id.

    Args:
        operations: What happened, in any order.
        initial: The versions that workflows had before; 0 for those that are not named.
    """
    by_workflow: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_workflow[operation.workflow_id].append(operation)
    initial = initial or {}
    return [
        violation
        for workflow_id, of_one in by_workflow.items()
        for violation in _Timeline(workflow_id, of_one, initial.get(workflow_id, 0)).violations()
    ]


class _Timeline:
    """The operations on one workflow: acknowledged writes, writes whose answer was lost, and sightings of versions."""

    def __init__(self, workflow_id: str, operations: Iterable[Operation], initial: int) -> None:
        self._workflow_id = workflow_id
        self._initial = initial
        self._writes: defaultdict[int, list[Operation]] = defaultdict(list)
        self._lost: list[Operation] = []
        self._sightings: defaultdict[int, list[Operation]] = defaultdict(list)
        for operation in operations:
            self._sort_in(operation)
        self._deadlines = _Deadlines(self._placed())

    def _sort_in(self, operation: Operation) -> None:
        match operation:
            case Operation(kind="write", outcome="unknown"):
                self._lost.append(operation)
            case Operation(kind="write", version=None):
                raise ValueError(f"an acknowledged write has a version: {operation}")
            case Operation(kind="write", version=int(version)):
                self._writes[version].append(operation)
            case Operation(outcome="known", version=int(version)):
                self._sightings[version].append(operation)
            case _:
                pass  # a read without an answer, or a refusal that does not say what it found, claims nothing

    def _placed(self) -> list[_Placed]:
        writes = [((version, 0), write) for version, of_one in self._writes.items() for write in of_one]
        return writes + [((version, 1), seen) for version, of_one in self._sightings.items() for seen in of_one]

    def violations(self) -> Iterator[Violation]:
        yield from self._impossible_versions()
        yield from self._contradicting_values()
        yield from self._orders_against_time()
        yield from self._versions_from_nowhere()

    def _impossible_versions(self) -> Iterator[Violation]:
        for version, writes in self._writes.items():
            if len(writes) > 1:
                yield self._violation(f"version {version} was written {len(writes)} times: an update is lost", writes)
            if version <= self._initial:
                yield self._violation(f"version {version} was written over version {self._initial}", writes)
        for version, sightings in self._sightings.items():
            if version < self._initial:
                yield self._violation(f"version {version} was seen, where {self._initial} was the first", sightings)

    def _contradicting_values(self) -> Iterator[Violation]:
        for version, sightings in self._sightings.items():
            of_version = [*self._writes.get(version, ()), *sightings]
            values = {operation.value: operation for operation in of_version if operation.value is not None}
            if len(values) > 1:
                yield self._violation(f"version {version} had {len(values)} values", values.values())

    def _orders_against_time(self) -> Iterator[Violation]:
        """Sweep by call time, and look at the furthest of the operations that had returned by then."""
        placed = self._placed()
        ended = iter(sorted(placed, key=lambda entry: entry[1].returned))
        following = next(ended, None)
        furthest: _Placed | None = None
        for place, operation in sorted(placed, key=lambda entry: entry[1].called):
            while following is not None and following[1].returned < operation.called:
                if furthest is None or following[0] > furthest[0]:
                    furthest = following
                following = next(ended, None)
            if furthest is not None and furthest[0] > place:
                reason = f"{_deed(operation)} began after {_deed(furthest[1])} had ended"
                yield self._violation(reason, (furthest[1], operation))

    def _versions_from_nowhere(self) -> Iterator[Violation]:
        """Give every version that no acknowledged write explains to a write whose answer was lost."""
        missing = self._missing()
        for version in _unmatched([self._candidates(version) for version in missing], missing):
            reason = f"version {version} was reached, but no write that could have written it had begun by then"
            yield self._violation(reason, self._sightings.get(version, ()))

    def _missing(self) -> list[int]:
        last = max([*self._writes, *self._sightings, self._initial])
        absent = (version for version in range(self._initial + 1, last + 1) if version not in self._writes)
        # One more than there are writes to explain them is proof enough: a wild version must not cost wild time.
        return list(islice(absent, len(self._lost) + 1))

    def _candidates(self, version: int) -> list[int]:
        """Return which lost writes could have written a version; the likeliest first, to make matching quick."""
        deadline = self._deadlines.of(version)
        value = next((seen.value for seen in self._sightings.get(version, ()) if seen.value is not None), None)
        fitting = [
            number
            for number, write in enumerate(self._lost)
            if write.called <= deadline
            and write.version in {version, None}
            and (value is None or write.value is None or write.value == value)
        ]
        lost = self._lost
        return sorted(fitting, key=lambda n: (lost[n].version is None, lost[n].value is None, -lost[n].called))

    def _violation(self, reason: str, operations: Iterable[Operation]) -> Violation:
        return Violation(self._workflow_id, reason, tuple(operations))


_Placed: TypeAlias = tuple[tuple[int, int], Operation]
"""An operation behind its place in the order: version, and reads (1) after the write (0)."""


class _Deadlines:
    """When each version must have been there: at the first answer that needs it or a higher one."""

    def __init__(self, placed: Iterable[_Placed]) -> None:
        first: dict[int, float] = {}
        for (version, _), operation in placed:
            first[version] = min(operation.returned, first.get(version, math.inf))
        self._versions = sorted(first)
        self._moments = list(accumulate((first[version] for version in reversed(self._versions)), min))[::-1]

    def of(self, version: int) -> float:
        index = bisect_left(self._versions, version)
        return self._moments[index] if index < len(self._moments) else math.inf


def _unmatched(candidates: Sequence[Sequence[int]], versions: Sequence[int]) -> Iterator[int]:
    """Match versions with writes, one each, and yield the versions that are left over."""
    taken: dict[int, int] = {}
    for seeker, version in enumerate(versions):
        path = _augmenting_path(seeker, candidates, taken)
        if not path:
            yield version
        taken |= {write: holder for holder, write in path}


def _augmenting_path(
    start: int, candidates: Sequence[Sequence[int]], taken: Mapping[int, int]
) -> list[tuple[int, int]]:
    """Return who takes which write so that everybody so far and `start` has one; nothing if that cannot be."""
    came_from: dict[int, tuple[int, int | None]] = {}
    waiting: deque[tuple[int, int | None]] = deque([(start, None)])
    while waiting:
        seeker, given_up = waiting.popleft()
        for write in candidates[seeker]:
            if write in came_from:
                continue
            came_from[write] = seeker, given_up
            if write not in taken:
                return _walk_back(write, came_from)
            waiting.append((taken[write], write))
    return []


def _walk_back(write: int | None, came_from: Mapping[int, tuple[int, int | None]]) -> list[tuple[int, int]]:
    path: list[tuple[int, int]] = []
    while write is not None:
        seeker, given_up = came_from[write]
        path.append((seeker, write))
        write = given_up
    return path


def _deed(operation: Operation) -> str:
    match operation.kind:
        case "write":
            return f"the write of version {operation.version}"
        case "read":
            return f"a read of version {operation.version}"
        case "refused":
            return f"a refusal that found version {operation.version}"
