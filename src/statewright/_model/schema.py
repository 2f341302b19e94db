"""One Pydantic schema for each declared class: how its values are stored, loaded and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, PydanticUndefinedAnnotation, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import CoreConfig, SchemaSerializer, SchemaValidator, to_json

from .._mark import View
from ..errors import DataSource, DefinitionError, InvalidDataError, Issue, issues_of, mark_fresh
from .plain import UnstorableError, check_plain, to_value
from .survival import (
    count_models,
    find_mortal_field,
    holds_floats,
    is_copied_whole,
    is_plain,
    with_frank_numbers,
    with_symmetric_bytes,
)
from .walk import alike, difference, doubled_key, keep_unset, lost_type, spoiled_key

Kind: TypeAlias = Literal["state", "command", "event", "error"]

_NUL = b"\\u0000"
_NAN, _INFINITY = b"NaN", b"Infinity"
_REPLACED = "\ufffd".encode()
"""What Pydantic writes, three times, for a lone surrogate in a key."""
_FRANK = CoreConfig(ser_json_inf_nan="constants")
_BYTES_HINT = 'bytes that are not UTF-8 need model_config = ConfigDict(ser_json_bytes="base64") on their model'


_set = object.__setattr__


class Schema:
    """A declared class of a workflow: its stored name, and how its values become text and come back.

    Args:
        workflow: Name of the definition, for messages.
        kind: What the class was declared as.
        type: The class.
        name: Its stored name.
        scope: The names that its annotations may use, besides those of its module.

    Raises:
        DefinitionError: Pydantic cannot describe the class, or its values could not survive being stored.
    """

    def __init__(
        self, workflow: str, kind: Kind, type: type[Any], name: str, scope: Mapping[str, Any] | None = None
    ) -> None:
        self.workflow = workflow
        self.kind: Kind = kind
        self.type = type
        self.name = name
        self.subject = f"{workflow} {kind} {name!r}"
        self._is_built = False
        self._scope: Mapping[str, Any] = scope or {}
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
        is_model = issubclass(self.type, BaseModel)
        self._is_plain = is_plain(core) and is_model
        self._is_flat = count_models(core) <= is_model
        self._revalidate = _revalidate(core) if self._is_plain and self._is_flat and is_copied_whole(core) else None
        self._is_exact = self._is_plain and self._is_flat and not holds_floats(core)
        self._fields = set(self.type.model_fields) if is_model else set()
        self._is_built = True
        self._scope = {}

    def _adapt(self) -> TypeAdapter[Any]:
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(self.type)
            if not adapter.pydantic_complete:
                adapter.rebuild(raise_errors=True, _types_namespace=dict(self._scope))
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
            loaded = self._reload(value, text)
            if _NUL in text or _REPLACED in text or not self._is_plain or loaded.__dict__ != value.__dict__:
                self._examine(value, text, loaded)
        except InvalidDataError:
            raise
        except ValidationError as exc:
            raise self.invalid(self._explain(value, self.issues_of(exc))) from None
        except Exception as exc:  # noqa: BLE001 - validators and serializers of the user's own may raise anything
            # What they say may quote what no log should hold.
            raise self.invalid(self._unwritable(value, exc)) from (None if self.view.has_hidden else exc)
        return text.decode(), loaded

    def _reload(self, value: Any, text: bytes) -> Any:
        """Return the value as it will be loaded, without reading its text where that can be spared."""
        if self._revalidate is None:
            return self._load(text)
        try:
            copied = self._revalidate(value, strict=True)
        except ValidationError:
            return self._load(text)  # it knows better what is wrong
        _set(copied, "__pydantic_fields_set__", set(self._fields))  # it is the given value's own otherwise
        return copied

    def receive(self, payload: Any) -> Any:
        """Return the value that a payload in stored form stands for.

        Raises:
            InvalidDataError: The payload is no JSON data, or does not fit the schema.
        """
        if not self._is_built:
            self.ready()
        try:
            text = to_json(payload, inf_nan_mode="constants")
            if _NUL in text or _REPLACED in text or _NAN in text or _INFINITY in text:
                check_plain(payload)
            return self._load(text)
        except ValidationError as exc:
            raise self.invalid(self.issues_of(exc)) from None
        except UnstorableError as exc:
            raise self.invalid([Issue(exc.path, f"{exc.found} cannot be stored", "unstorable")]) from None
        except Exception as exc:  # noqa: BLE001 - as above; and a payload may be any object at all
            issue = Issue((), f"it cannot be read as JSON data ({type(exc).__name__})", "not_json")
            raise self.invalid([issue]) from (None if self.view.has_hidden else exc)

    def vouch(self, value: Any) -> str | None:
        """Check that a validated value would load back; return its text if that had to be written for it.

        Raises:
            InvalidDataError: It would not load back.
        """
        # A number that was text may have become NaN or infinity, and nobody has looked at a default: only the careful
        # way finds that.
        is_sound = self._is_exact and value.__pydantic_fields_set__ == self._fields
        return None if is_sound else self.accept(value)[0]

    # --- what was set, and not only defaulted ------------------------------------------------------------------------

    def keep_unset(self, given: Any, loaded: Any) -> None:
        """Let a value that was loaded know what was set in the one that it was made of."""
        if not self._is_flat:
            keep_unset(given, loaded)
        elif isinstance(given, BaseModel):
            loaded.__pydantic_fields_set__.intersection_update(given.__pydantic_fields_set__)

    def what_is_set(self, value: Any) -> frozenset[str] | str | None:
        """Return what `load_as_set` needs to load the value as it is now."""
        if not self._is_flat:
            return self.dump(value, exclude_unset=True)
        return frozenset(value.__pydantic_fields_set__) if isinstance(value, BaseModel) else None

    def load_as_set(self, text: str, fields: frozenset[str] | str | None) -> Any:
        """Return the value that a text stands for, and let it know what was set in it."""
        value = self.load(text)
        if isinstance(fields, str):
            keep_unset(self.load(fields), value)
        elif fields is not None:
            value.__pydantic_fields_set__.intersection_update(fields)
        return value

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
        if one == other:
            return True
        try:
            return alike(*(self._plain_forms(self.load(text) for text in (one, other))))
        except ValidationError:
            return alike(to_value(one), to_value(other))

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
        if unstorable := self._unstorable(value):
            raise self.invalid(unstorable)
        if type(loaded) is not type(value):
            found = f"it loads back as {type(loaded).__name__}"
            raise self.invalid([Issue((), f"{found}, not as {type(value).__name__}", "changes_class")])
        if _REPLACED in text and (path := spoiled_key(value)):
            raise self.invalid([Issue(path, "a key with a lone surrogate cannot be stored", "unstorable")])
        if path := lost_type(value, loaded):
            raise self.invalid([Issue(path, "a subclass would lose its own fields here", "loses_fields")])
        again = self._dump(loaded, by_alias=True, round_trip=True, warnings=False)
        if again == text:
            return
        if path := doubled_key(text.decode()):
            raise self.invalid([Issue(path, "two keys are written alike, so that one would be lost", "loses_entries")])
        if to_value(again.decode()) == to_value(text.decode()):
            return
        if not self._equal(value, loaded):
            path = difference(to_value(text.decode()), to_value(again.decode()))
            raise self.invalid([Issue(path, "it does not load back as it was saved", "not_stable")])

    def _equal(self, one: Any, other: Any) -> bool:
        first, second = self._plain_forms((one, other), exclude_unset=False)
        return bool(first == second)

    def _plain_forms(self, values: Iterable[Any], *, exclude_unset: bool = True) -> list[Any]:
        """Return what values hold, in Python mode: sets stay sets, whose order does not count."""
        given = list(values)
        try:
            return [
                self._adapter.dump_python(
                    each, by_alias=True, round_trip=True, exclude_unset=exclude_unset, warnings=False
                )
                for each in given
            ]
        except TypeError:  # a set of models cannot become a set of dicts
            return given

    def _unstorable(self, value: Any) -> tuple[Issue, ...]:
        """Return what no store keeps of a value, if there is anything."""
        try:
            text = self._frank.to_json(value, by_alias=True, round_trip=True, warnings=False)
            check_plain(to_value(text.decode()))
            check_plain(self._adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings=False))
        except UnstorableError as exc:
            return (Issue(exc.path, f"{exc.found} cannot be stored", "unstorable"),)
        return ()

    @cached_property
    def _frank(self) -> SchemaSerializer:
        """Writes NaN and infinity as what they are, where Pydantic would write `null`."""
        return SchemaSerializer(with_frank_numbers(self._adapter.core_schema), _FRANK, _use_prebuilt=False)

    def _explain(self, value: Any, issues: tuple[Issue, ...]) -> tuple[Issue, ...]:
        try:
            return self._unstorable(value) or issues  # says more than what loading made of it
        except Exception:  # noqa: BLE001 - only a better message was sought
            return issues

    def _unwritable(self, value: Any, exc: Exception) -> tuple[Issue, ...]:
        if "utf-8" in str(exc) and "surrogates" not in str(exc):
            return (Issue((), _BYTES_HINT, "bytes_not_utf8"),)
        broken = Issue((), f"it cannot be written as JSON and read back ({type(exc).__name__})", "not_json")
        return self._explain(value, (broken,))


def _revalidate(core: Any) -> Callable[..., Any]:
    return SchemaValidator(core | {"revalidate_instances": "always"}, _use_prebuilt=False).validate_python


class _NotYet(Exception):  # noqa: N818 - nothing is wrong
    """A class is not fully defined yet."""
