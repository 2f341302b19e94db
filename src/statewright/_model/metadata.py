"""Metadata: facts beside a command, read-only at any depth."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import InvalidDataError, Issue
from .plain import UnstorableError, to_text, to_value


class Metadata(Mapping[str, Any]):
    """A mapping of plain data that nobody can change: lists and dicts inside are copied whenever they are read.

    Args:
        facts: What it holds; nothing is shared with it.
    """

    __slots__ = ("_facts",)

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = {key: _own(value) for key, value in facts.items()}

    def __getitem__(self, key: str) -> Any:
        return _own(self._facts[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}

    def __reduce__(self) -> tuple[Any, ...]:
        return Metadata, (self._facts,)

    def __copy__(self) -> Metadata:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Metadata:
        return self

    def __repr__(self) -> str:
        return repr(self._facts)


def _own(value: Any) -> Any:
    return copy.deepcopy(value) if isinstance(value, list | dict) else value


NO_METADATA: Final = Metadata({})


def read_metadata(workflow: str, metadata: Any) -> Metadata:
    """Return a caller's metadata, checked.

    Raises:
        InvalidDataError: (`source="argument"`) They are no mapping of plain data that every store keeps.
    """
    if metadata is None:
        return NO_METADATA
    if isinstance(metadata, Metadata):
        return metadata
    if not isinstance(metadata, Mapping):
        raise _refused(workflow, f"metadata is a mapping, found {type(metadata).__name__}")
    try:
        return Metadata(to_value(to_text(metadata)))
    except UnstorableError as exc:
        raise _refused(workflow, f"it holds {exc.found}, which cannot be stored", exc.path) from None


def _refused(workflow: str, message: str, path: tuple[str | int, ...] = ()) -> InvalidDataError:
    issue = Issue(("metadata", *path), message, "invalid_metadata")
    return InvalidDataError("argument", [issue], subject=f"{workflow} argument 'metadata'")
