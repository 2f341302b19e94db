"""One Pydantic schema for each declared class: how its values are stored, loaded and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, PydanticUndefinedAnnotation, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, SchemaValidator, to_json

from .._mark import View
from ..errors import DataSource, DefinitionError, InvalidDataError, Issue, issues_of, mark_fresh
from .plain import UnstorableError, check_plain, to_value
from .survival import find_mortal_field, is_plain, with_symmetric_bytes

Kind: TypeAlias = Literal["state", "command", "event", "error"]

_NUL = b"\\u0000"
_NOT_FINITE = (b"NaN", b"Infinity")
_BYTES_HINT = 'bytes that are not UTF-8 need model_config = ConfigDict(ser_json_bytes="base64") on their model'


class Schema:
    """A declared class of a workflow: its stored name, and how its values become text and come back.

    Args:
        workflow: Name of the definition, for messages.
        kind: What the class was declared as.
        type: The class.
        name: Its stored name.

    Raises:
        DefinitionError: Pydantic cannot describe the class, or its values could not survive being stored.
    """

    def __init__(self, workflow: str, kind: Kind, type: type[Any], name: str) -> None:
        self.workflow = workflow
        self.kind: Kind = kind
        self.type = type
        self.name = name
        self.subject = f"{workflow} {kind} {name!r}"
        self._is_built = False
        try:
            self._build()
        except (PydanticUndefinedAnnotation, _NotYet):
            pass  # a forward reference: built at the first use, when the name exists

    def _build(self) -> None:
        self._adapter = self._adapt()
        core = self._adapter.core_schema
        if mortal := find_mortal_field(core, self.type.__name__):
            field, reason = mortal
            raise DefinitionError(f"{self.subject}: {field} could not survive being stored: {reason}")
        mended = with_symmetric_bytes(core)
        validator = SchemaValidator(mended, _use_prebuilt=False) if mended else self._adapter.validator
        self._load = validator.validate_json
        self._dump = self._adapter.serializer.to_json
        self._is_plain = is_plain(core) and issubclass(self.type, BaseModel)
        self._is_built = True

    def _adapt(self) -> TypeAdapter[Any]:
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(self.type)
            if not adapter.pydantic_complete:
                adapter.rebuild(raise_errors=True)
        except PydanticUndefinedAnnotation:
            raise
        except PydanticUserError as exc:
            if exc.code == "class-not-fully-defined":
                raise _NotYet from exc
            raise DefinitionError(f"{self.subject}: Pydantic cannot describe {self.type.__qualname__}: {exc}") from exc
        except Exception as exc:
            raise DefinitionError(f"{self.subject}: Pydantic cannot describe {self.type.__qualname__}: {exc}") from exc
        return adapter

    def ready(self) -> Schema:
        """Return the schema, built.

        Raises:
            DefinitionError: A forward reference still names nothing.
        """
        if not self._is_built:
            try:
                self._build()
            except (PydanticUndefinedAnnotation, _NotYet) as exc:
                raise DefinitionError(f"{self.subject}: an annotation names something that does not exist") from exc
        return self

    # --- text and back ---------------------------------------------------------------------------------------------

    def load(self, text: str | bytes) -> Any:
        """Return the value that a text stands for.

        Raises:
            ValidationError: The text does not fit the schema.
        """
        if not self._is_built:
            self.ready()
        return self._load(text)

    def dump(self, value: Any, *, exclude_unset: bool = False) -> str:
        """Return a value's stored form as text, unchecked.

        Raises:
            PydanticSerializationError: The value cannot be written.
        """
        if not self._is_built:
            self.ready()
        text = self._dump(value, by_alias=True, round_trip=True, warnings=False, exclude_unset=exclude_unset)
        return text.decode()

    def accept(self, value: Any) -> tuple[str, Any]:
        """Check that a value survives being stored; return its text, and the value as it will be loaded.

        What is loaded shares nothing with what was given.

        Raises:
            InvalidDataError: Dumping, loading and dumping again does not give the same data.
        """
        if not self._is_built:
            self.ready()
        try:
            text = self._dump(value, by_alias=True, round_trip=True, warnings=False)
            loaded = self._load(text)
        except ValidationError as exc:
            raise self.invalid(self._explain(value, self.issues_of(exc))) from None
        except (PydanticSerializationError, ValueError, TypeError, RecursionError) as exc:
            # What a serializer of the user's own says may quote what no log should hold.
            raise self.invalid(self._unwritable(value, exc)) from (None if self.view.has_hidden else exc)
        if _NUL in text or not self._is_plain or loaded.__dict__ != value.__dict__:
            self._examine(value, text, loaded)
        return text.decode(), loaded

    def receive(self, payload: Any) -> Any:
        """Return the value that a payload in stored form stands for.

        Raises:
            InvalidDataError: The payload is no JSON data, or does not fit the schema.
        """
        if not self._is_built:
            self.ready()
        try:
            text = to_json(payload, inf_nan_mode="constants")
            if _NUL in text or any(word in text for word in _NOT_FINITE):
                check_plain(payload)
            return self._load(text)
        except ValidationError as exc:
            raise self.invalid(self.issues_of(exc)) from None
        except UnstorableError as exc:
            raise self.invalid([_unstorable(exc)]) from None
        except (PydanticSerializationError, ValueError, TypeError, RecursionError) as exc:
            issue = Issue((), f"the payload is not JSON data ({type(exc).__name__})", "not_json")
            raise self.invalid([issue]) from (None if self.view.has_hidden else exc)

    def record(self, value: Any) -> str:
        """Return the text under which a validated value is recorded.

        Raises:
            InvalidDataError: It would not load back.
        """
        return self.dump(value) if self._is_plain else self.accept(value)[0]

    def invalid(self, issues: tuple[Issue, ...] | list[Issue]) -> InvalidDataError:
        """Return the error that says what is wrong with a value of this class."""
        source: DataSource = self.kind
        if self.view.has_hidden:
            issues = [dataclasses.replace(issue, path=self.view.cut(issue.path)) for issue in issues]
        return mark_fresh(InvalidDataError(source, issues, subject=self.subject))

    def issues_of(self, error: ValidationError) -> tuple[Issue, ...]:
        """Return what Pydantic found wrong, without what no client may see."""
        return issues_of(error, self.view)

    def same(self, one: str, other: str) -> bool:
        """Return whether two texts stand for the same value, however they are written (sets compare as sets)."""
        if one == other or to_value(one) == to_value(other):
            return True
        try:
            return bool(self._compared(self.load(one)) == self._compared(self.load(other)))
        except ValidationError:
            return False

    @cached_property
    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of what is accepted on the wire."""
        return self.view.input_schema

    @cached_property
    def view(self) -> View:
        """The schema as clients see it."""
        return View(self.ready()._adapter.core_schema)

    # --- the careful way -------------------------------------------------------------------------------------------

    def _examine(self, value: Any, text: bytes, loaded: Any) -> None:
        try:
            check_plain(self._adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings=False))
        except UnstorableError as exc:
            raise self.invalid([_unstorable(exc)]) from None
        if type(loaded) is not type(value):
            found = f"it loads back as {type(loaded).__name__}"
            raise self.invalid([Issue((), f"{found}, not as {type(value).__name__}", "changes_class")])
        if path := lost_type(value, loaded):
            raise self.invalid([Issue(path, "a subclass would lose its own fields here", "loses_fields")])
        again = self._dump(loaded, by_alias=True, round_trip=True, warnings=False)
        if again == text or to_value(again.decode()) == to_value(text.decode()):
            return
        if self._compared(value) != self._compared(loaded):
            path = difference(to_value(text.decode()), to_value(again.decode()))
            raise self.invalid([Issue(path, f"it does not load back as it was saved; {_BYTES_HINT}", "not_stable")])

    def _compared(self, value: Any) -> Any:
        # In Python mode sets stay sets, so that their order, which is none, does not count.
        return self._adapter.dump_python(value, by_alias=True, round_trip=True, warnings=False)

    def _explain(self, value: Any, issues: tuple[Issue, ...]) -> tuple[Issue, ...]:
        try:
            check_plain(self._adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings=False))
        except UnstorableError as exc:
            return (_unstorable(exc),)  # says more than what loading made of it
        except Exception:  # noqa: BLE001, S110 - only a better message was sought
            pass
        return issues

    def _unwritable(self, value: Any, exc: Exception) -> tuple[Issue, ...]:
        if "utf-8" in str(exc) and "surrogates" not in str(exc):
            return (Issue((), _BYTES_HINT, "bytes_not_utf8"),)
        explained = self._explain(value, ())
        return explained or (Issue((), f"it cannot be written as JSON ({type(exc).__name__})", "not_json"),)


class _NotYet(Exception):  # noqa: N818 - nothing is wrong
    """A class is not fully defined yet."""


def _unstorable(error: UnstorableError) -> Issue:
    return Issue(error.path, f"{error.found} cannot be stored", "unstorable")


def lost_type(value: Any, loaded: Any, path: tuple[str | int, ...] = ()) -> tuple[str | int, ...] | None:
    """Return where a model or dataclass was loaded back as another class, which loses the fields of a subclass."""
    if isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        if type(value) is not type(loaded):
            return path or ("",)
        ours, theirs = _attributes(value), _attributes(loaded)
        pairs: Any = ((name, item, theirs.get(name, item)) for name, item in ours.items())
    elif isinstance(value, Mapping) and isinstance(loaded, Mapping):
        pairs = ((str(key), item, loaded.get(key, item)) for key, item in value.items())
    elif isinstance(value, list | tuple) and isinstance(loaded, list | tuple):
        pairs = ((index, *pair) for index, pair in enumerate(zip(value, loaded, strict=False)))
    else:
        return None
    found = (lost_type(item, other, (*path, key)) for key, item, other in pairs)
    return next((place for place in found if place is not None), None)


def _attributes(value: Any) -> dict[str, Any]:
    if isinstance(value, BaseModel):
        return dict(value.__dict__)
    return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}


def difference(one: Any, other: Any, path: tuple[str | int, ...] = ()) -> tuple[str | int, ...]:
    """Return where two pieces of plain data differ first."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            if key not in one or key not in other:
                return (*path, key)
            if one[key] != other[key]:
                return difference(one[key], other[key], (*path, key))
    if isinstance(one, list) and isinstance(other, list):
        for index, (mine, theirs) in enumerate(zip(one, other, strict=False)):
            if mine != theirs:
                return difference(mine, theirs, (*path, index))
    return path
