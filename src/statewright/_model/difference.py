"""What is different between two versions of a workflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from .workflow import Workflow

if TYPE_CHECKING:
    from .snapshot import WorkflowSnapshot

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, between JSON data and JSON data.

    `str(change)` says it in a line: `~ data.lines[0].quantity = 1 -> 2`.
    """

    kind: Literal["added", "removed", "changed"]
    path: Path
    """Keys and indexes, in the newer version; of what was removed, in the older."""
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        sides = {"added": [self.after], "removed": [self.before], "changed": [self.before, self.after]}[self.kind]
        values = " -> ".join(json.dumps(value, ensure_ascii=False) for value in sides)
        return f"{_SIGNS[self.kind]} {_place(self.path)} = {values}"

    def to_dict(self) -> dict[str, Any]:
        """Return the change as JSON-safe data, without the side that there is none of."""
        facts: dict[str, Any] = {"kind": self.kind, "path": list(self.path)}
        if self.kind != "added":
            facts["before"] = self.before
        if self.kind != "removed":
            facts["after"] = self.after
        return facts


_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~"}


def _place(path: Path) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def differences(
    before: Workflow[Any, Any, Any, Any] | WorkflowSnapshot | None,
    after: Workflow[Any, Any, Any, Any] | WorkflowSnapshot | None,
) -> list[Change]:
    """Return what is different between two versions of a workflow, in the order of the newer one.

    ```python
    differences(await orders.at(id, 2), await orders.at(id, 5))
    ```

    State and data are compared, in their stored form, server-only fields included; a path begins with `state` or
    `data`. Objects are compared key by key. Lists are aligned first, so that one item more at the front is one change.

    Args:
        before: The older version; `None` for the time before there was one.
        after: The newer version.
    """
    return data_differences(_form(before), _form(after))


def _form(version: Workflow[Any, Any, Any, Any] | WorkflowSnapshot | None) -> dict[str, Any]:
    if version is None:
        return {"data": {}}
    snapshot = version.to_snapshot() if isinstance(version, Workflow) else version
    return {"state": snapshot.state, "data": snapshot.data}


def data_differences(before: Any, after: Any) -> list[Change]:
    """Return what is different between two pieces of JSON data; nothing for equal data."""
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
