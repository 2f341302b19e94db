"""The keyword fields of an error class, described and validated by Pydantic."""

from __future__ import annotations

import copy
import types
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic.fields import FieldInfo
from typing_extensions import Format, get_annotations

from ._mark import View

_CONFIG = ConfigDict(extra="forbid", protected_namespaces=(), arbitrary_types_allowed=False)


def own_fields(cls: type[Any]) -> Iterator[str]:
    """Yield the names that the class itself annotates, without class variables."""
    for name, annotation in get_annotations(cls, format=Format.FORWARDREF).items():
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__forward_arg__", "")
        is_class_variable = get_origin(annotation) is ClassVar or annotation is ClassVar or "ClassVar" in text
        if not is_class_variable:
            yield name


class FieldSchema:
    """What the keyword fields of one class may hold.

    A dataclass of the same fields does the work, because a dataclass has no attributes of its own that a field's name
    could meet.

    Args:
        owner: The class whose annotations are read, those of its bases included.
        root: The base at which reading stops.
        scope: Local names that the annotations may use.

    Raises:
        NameError: An annotation names something that does not exist yet.
    """

    def __init__(self, owner: type[Any], root: type[Any], scope: Mapping[str, Any]) -> None:
        hints = get_type_hints(owner, localns=dict(scope), include_extras=True)
        bases = [base for base in reversed(owner.__mro__) if issubclass(base, root) and base is not root]
        self.names: tuple[str, ...] = tuple(dict.fromkeys(name for base in bases for name in own_fields(base)))
        self._hints = {name: hints[name] for name in self.names}
        namespace: dict[str, Any] = {"__annotations__": self._hints}
        for name in self.names:
            if hasattr(owner, name):
                namespace[name] = _fresh(getattr(owner, name))
        plain = types.new_class(owner.__name__, (), exec_body=lambda ns: ns.update(namespace))
        plain.__module__ = owner.__module__
        self._adapter: TypeAdapter[Any] = TypeAdapter(pydantic_dataclass(kw_only=True, config=_CONFIG)(plain))

    def validate(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields validated, with defaults filled in.

        Raises:
            ValidationError: A field is missing, unknown or of the wrong type.
        """
        return dict(self._adapter.validate_python(dict(fields)).__dict__)

    def load(self, data: str | bytes) -> dict[str, Any]:
        """Return the fields that were dumped as JSON.

        Raises:
            ValidationError: The data does not fit.
        """
        return dict(self._adapter.validate_json(data).__dict__)

    def dump(self, fields: Mapping[str, Any]) -> Any:
        """Return the fields as JSON-compatible data, in their stored form."""
        value = self._adapter.validate_python(dict(fields))
        return self._adapter.dump_python(value, mode="json", by_alias=True, round_trip=True)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the fields as clients see them."""
        return self.view.json_schema

    # --- as clients see them ---------------------------------------------------------------------------------------

    @cached_property
    def view(self) -> View:
        """The fields as clients see them."""
        return View(self._adapter.core_schema)

    def client_view(self, fields: Mapping[str, Any]) -> Any:
        """Return the fields as JSON-compatible data, without those that are server-only."""
        return self.view.dump(self._adapter.validate_python(dict(fields)))

    @property
    def open_names(self) -> tuple[str, ...]:
        """The fields in which nothing is hidden."""
        return tuple(name for name in self.names if name not in self._guarded)

    def reprs(self, fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield names and values, in words, of the fields that may be shown."""
        for name, value in fields.items():
            guarded = self._guarded.get(name)
            if guarded is None:
                yield name, repr(value)
            elif not guarded[1].is_hidden:
                yield name, _shown(*guarded, value)

    @cached_property
    def _guarded(self) -> Mapping[str, tuple[TypeAdapter[Any], View]]:
        """The fields in which there is anything to hide, each by itself."""
        if not self.view.has_hidden:
            return {}
        adapters = {name: TypeAdapter[Any](hint) for name, hint in self._hints.items()}
        guarded = {name: (adapter, View(adapter.core_schema)) for name, adapter in adapters.items()}
        return {name: (adapter, view) for name, (adapter, view) in guarded.items() if view.has_hidden}


def _shown(adapter: TypeAdapter[Any], view: View, value: Any) -> str:
    try:
        return repr(view.dump(adapter.validate_python(value)))
    except Exception:  # noqa: BLE001 - a field changed after construction may no longer fit its own schema
        return "..."


def _fresh(default: Any) -> Any:
    """Return a default that no two instances share."""
    if isinstance(default, FieldInfo) or type(default).__hash__ is not None:
        return default
    return Field(default_factory=lambda: copy.deepcopy(default))
