"""What an old JSON Schema lets through that a new one does not; for the part of JSON Schema that Pydantic writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

Node: TypeAlias = Mapping[str, Any]
DifferenceKind: TypeAlias = Literal["removed", "required", "narrowed", "added", "default"]

_LOWER: Final = (("minimum", "exclusiveMinimum"), ("minLength",), ("minItems",), ("minProperties",))
_UPPER: Final = (("maximum", "exclusiveMaximum"), ("maxLength",), ("maxItems",), ("maxProperties",))
_EXACT: Final = (
    *("pattern", "multipleOf", "uniqueItems", "propertyNames"),
    *("format", "contentEncoding", "contentMediaType"),
)
_ANYTHING: Final[Node] = {}


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two schemas do not agree."""

    kind: DifferenceKind
    path: tuple[str, ...]
    """Where: property names, `*` for items and for values of a dict."""
    what: str
    is_refused: bool
    """Whether the new schema refuses what the old one let through; else it takes or ignores it."""


def differences(old: Node, new: Node) -> list[Difference]:
    """Return where a new schema does not take what an old one describes, and what else has changed between them.

    Args:
        old: A JSON Schema with its `$defs`, of what was written.
        new: A JSON Schema with its `$defs`, of what is accepted.
    """
    return _Comparison(old.get("$defs", {}), new.get("$defs", {})).compare(old, new, ())


class _Comparison:
    """Compares two schemas from the root down."""

    def __init__(self, old_definitions: Node, new_definitions: Node) -> None:
        self.old_definitions = old_definitions
        self.new_definitions = new_definitions
        self.open: set[tuple[str, str]] = set()

    def compare(self, old: Node, new: Node, path: tuple[str, ...]) -> list[Difference]:
        """Return the differences of two schemas that stand in the same place."""
        refs = (old.get("$ref", ""), new.get("$ref", ""))
        if refs in self.open:
            return []  # a class that contains itself: compared further up
        if all(refs):
            self.open.add(refs)
        try:
            choices = _alternatives(_resolved(new, self.new_definitions))
            olds = _alternatives(_resolved(old, self.old_definitions))
            return [found for each in olds for found in self._best(each, choices, path)]
        finally:
            self.open.discard(refs)

    def _best(self, old: Node, choices: list[Node], path: tuple[str, ...]) -> list[Difference]:
        """Return the differences to that choice which refuses least."""
        found = [self._pair(old, choice, path) for choice in choices]
        best = min(found, key=lambda each: sum(difference.is_refused for difference in each))
        if len(choices) > 1 and any(difference.is_refused and difference.path == path for difference in best):
            return [_narrowed(path, f"{_spelled(old)} is no longer accepted")]
        return best

    def _pair(self, old: Node, new: Node, path: tuple[str, ...]) -> list[Difference]:
        if "$ref" in old or "$ref" in new:
            return self.compare(old, new, path)
        return list(self._facts(old, new, path))

    def _facts(self, old: Node, new: Node, path: tuple[str, ...]) -> Iterator[Difference]:
        was, now = old.get("type"), new.get("type")
        if now is not None and was != now and (was, now) != ("integer", "number"):
            yield _narrowed(path, f"was {_spelled(old)}, is {_spelled(new)}")
            return
        yield from _values(old, new, path)
        yield from _bounds(old, new, path)
        if "contentSchema" in old and "contentSchema" in new:
            yield from self.compare(old["contentSchema"], new["contentSchema"], path)
        if now == "array":
            yield from self._items(old, new, path)
        if now == "object":
            yield from self._properties(old, new, path)

    # --- arrays ----------------------------------------------------------------------------------------------------

    def _items(self, old: Node, new: Node, path: tuple[str, ...]) -> Iterator[Difference]:
        before, after = old.get("prefixItems"), new.get("prefixItems")
        if after is not None and before is None:
            yield _narrowed(path, "was a list, is a tuple")
        elif after is not None and before is not None:
            for index, (mine, theirs) in enumerate(zip(before, after, strict=False)):
                yield from self.compare(mine, theirs, (*path, str(index)))
        elif before is not None:
            for index, mine in enumerate(before):
                yield from self.compare(mine, new.get("items", _ANYTHING), (*path, str(index)))
        else:
            yield from self.compare(old.get("items", _ANYTHING), new.get("items", _ANYTHING), (*path, "*"))

    # --- objects ---------------------------------------------------------------------------------------------------

    def _properties(self, old: Node, new: Node, path: tuple[str, ...]) -> Iterator[Difference]:
        before, after = old.get("properties", {}), new.get("properties", {})
        added = [name for name in after if name not in before]
        for name, mine in before.items():
            if name not in after:
                yield from self._gone(mine, new, (*path, name), added)
                continue
            yield from self.compare(mine, after[name], (*path, name))
            yield from _presence(name, old, new, path)
        for name in added:
            yield _new_property(name, new, path)
        yield from self._further(old, new, path)

    def _gone(self, old: Node, new: Node, path: tuple[str, ...], added: list[str]) -> Iterator[Difference]:
        further = new.get("additionalProperties", None)
        if isinstance(further, Mapping) or further is True:
            yield from self.compare(old, further if isinstance(further, Mapping) else _ANYTHING, path)
            return
        hint = f"; if {' or '.join(map(repr, added))} is its new name, keep the old one as an alias" if added else ""
        yield Difference("removed", path, f"is gone{hint}", is_refused=further is False)

    def _further(self, old: Node, new: Node, path: tuple[str, ...]) -> Iterator[Difference]:
        """Compare what is said of keys that have no name."""
        before, after = old.get("additionalProperties", False), new.get("additionalProperties", None)
        if before is False or after is True:
            return
        if not isinstance(after, Mapping):
            what = "keys without a field of their own are no longer kept"
            yield Difference("removed", (*path, "*"), what, is_refused=after is False)
            return
        yield from self.compare(before if isinstance(before, Mapping) else _ANYTHING, after, (*path, "*"))


def _presence(name: str, old: Node, new: Node, path: tuple[str, ...]) -> Iterator[Difference]:
    """Compare whether a property may be left out, and what it is then."""
    before, after = old["properties"][name], new["properties"][name]
    if name in new.get("required", ()):
        if name not in old.get("required", ()):
            yield Difference("required", (*path, name), "has no default any more", is_refused=True)
    elif name not in old.get("required", ()) and before.get("default") != after.get("default"):
        yield Difference("default", (*path, name), "has another default", is_refused=False)


def _new_property(name: str, new: Node, path: tuple[str, ...]) -> Difference:
    if name in new.get("required", ()):
        return Difference("required", (*path, name), "is new and has no default", is_refused=True)
    return Difference("added", (*path, name), "is new, with a default", is_refused=False)


def _values(old: Node, new: Node, path: tuple[str, ...]) -> Iterator[Difference]:
    before, after = _listed(old), _listed(new)
    if after is None:
        return
    if before is None:
        yield _narrowed(path, f"was {_spelled(old)}, is {_spelled(new)}")
    elif gone := [value for value in before if value not in after]:
        yield _narrowed(path, f"{', '.join(map(repr, gone))} is no longer accepted")


def _listed(node: Node) -> list[Any] | None:
    found: list[Any] | None = [node["const"]] if "const" in node else node.get("enum")
    return found


def _bounds(old: Node, new: Node, path: tuple[str, ...]) -> Iterator[Difference]:
    lower = [key for group in _LOWER for key in group if key in new and not _is_implied(old, new, key, group, 1)]
    upper = [key for group in _UPPER for key in group if key in new and not _is_implied(old, new, key, group, -1)]
    exact = [key for key in _EXACT if key in new and new[key] != old.get(key)]
    for key in (*lower, *upper, *exact):
        yield _narrowed(path, f"{key} was {old.get(key, 'free')}, is {new[key]}")


def _is_implied(old: Node, new: Node, key: str, group: tuple[str, ...], sign: int) -> bool:
    """Return whether what the old schema says of a bound keeps what the new one says."""
    known = [(sign * old[each], each.startswith("exclusive")) for each in group if each in old]
    return bool(known) and max(known) >= (sign * new[key], key.startswith("exclusive"))


def _narrowed(path: tuple[str, ...], what: str) -> Difference:
    return Difference("narrowed", path, what, is_refused=True)


def _resolved(node: Node, definitions: Node) -> Node:
    while "$ref" in node:
        node = definitions[str(node["$ref"]).rpartition("/")[2]]
    return node


def _alternatives(node: Node) -> list[Node]:
    """Return the members of a union, those of unions within it included."""
    for key in ("anyOf", "oneOf"):
        if key in node:
            return [found for each in node[key] for found in _alternatives(each)]
    return [node]


def _spelled(node: Node) -> str:
    """Return a schema in a word or two."""
    if "$ref" in node:
        return str(node["$ref"]).rpartition("/")[2]
    if (values := _listed(node)) is not None:
        return " or ".join(map(repr, values))
    kind = node.get("type", "anything")
    if kind == "object" and "title" in node:
        return str(node["title"])
    return f"{kind} ({node['format']})" if "format" in node else str(kind)
