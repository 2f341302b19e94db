"""What is different between two versions of a workflow's data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal, TypeAlias

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference."""

    kind: Literal["added", "removed", "changed"]
    path: Path
    """In the newer data; of what was removed, in the older."""
    before: Any = None
    after: Any = None

    def to_dict(self) -> dict[str, Any]:
        """Return the change as JSON-safe data, without the side that there is none of."""
        facts: dict[str, Any] = {"kind": self.kind, "path": list(self.path)}
        if self.kind != "added":
            facts["before"] = self.before
        if self.kind != "removed":
            facts["after"] = self.after
        return facts


def differences(before: Any, after: Any) -> list[Change]:
    """Return what is different, in the order of the newer data; nothing for equal data.

    Objects are compared key by key. Lists are aligned first, so that one item more at the front is one change.
    """
    return list(_compare(before, after, ()))


def _compare(before: Any, after: Any, path: Path) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _compare_objects(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _compare_lists(before, after, path)
    elif _canonical(before) != _canonical(after):
        yield Change("changed", path, before, after)


def _compare_objects(before: dict[str, Any], after: dict[str, Any], path: Path) -> Iterator[Change]:
    for key, value in after.items():
        if key in before:
            yield from _compare(before[key], value, (*path, key))
        else:
            yield Change("added", (*path, key), after=value)
    for key, value in before.items():
        if key not in after:
            yield Change("removed", (*path, key), before=value)


def _compare_lists(before: list[Any], after: list[Any], path: Path) -> Iterator[Change]:
    texts = [_canonical(each) for each in before], [_canonical(each) for each in after]
    for _, first, last, begin, end in SequenceMatcher(None, *texts, autojunk=False).get_opcodes():
        if texts[0][first:last] == texts[1][begin:end]:
            continue
        shared = min(last - first, end - begin)
        for offset in range(shared):
            yield from _compare(before[first + offset], after[begin + offset], (*path, begin + offset))
        for index in range(begin + shared, end):
            yield Change("added", (*path, index), after=after[index])
        for index in range(first + shared, last):
            yield Change("removed", (*path, index), before=before[index])


def _canonical(value: Any) -> str:
    # As text, because 1 and True are equal in Python, and different in JSON.
    return json.dumps(value, sort_keys=True)
