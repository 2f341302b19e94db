"""The SQL of `queries.sql` and `agenda.sql`, by name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

from ...errors import DefinitionError

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^\s*--.*$", re.MULTILINE)
_PARTS: Final = ("leases", "leased", "timers")
"""Parts of `save_many` for a batch with leases or timers."""
_SHORT_PARTS: Final = ("save_one", "created_one", "updated_one", "answered_one", "set_one")
"""Parts of the short path, out of which `short_forms` are made."""
_PARAMETER: Final = re.compile(r"\$([a-z_]+)")
_LONGEST_NAME: Final = 63
"""In bytes; PostgreSQL cuts longer names off, silently."""


def check_name(schema: str) -> str:
    """Return the name of a schema.

    Raises:
        DefinitionError: PostgreSQL would not take it as it is.
    """
    if not schema or "\0" in schema or len(schema.encode(errors="surrogatepass")) > _LONGEST_NAME:
        raise DefinitionError(f"schema={schema!r}: the name of a schema has 1 to {_LONGEST_NAME} bytes and no NUL")
    if schema.startswith("pg_"):
        raise DefinitionError(f"schema={schema!r}: PostgreSQL keeps names that begin with 'pg_' for itself")
    return schema


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


class Statements:
    """Every statement on the tables of one schema.

    Args:
        schema: Its name.
    """

    def __init__(self, schema: str) -> None:
        self.schema = schema
        self.channel = f"statewright:{schema}"[:_LONGEST_NAME]
        """The notification channel."""
        self._texts = {name: text.replace("{schema}", quoted(schema)) for name, text in _texts()}
        save_many = self._texts["save_many"]
        self._texts["save_many"] = _with_parts(save_many, dict.fromkeys(_PARTS, ""))
        self._texts["save_agenda"] = _with_parts(save_many, self._texts)
        for part in _SHORT_PARTS:
            del self._texts[part]
        self._texts |= {name: text.replace("{schema}", quoted(schema)) for name, (text, _) in short_forms().items()}
        self._bytes = {name: text.encode() for name, text in self._texts.items()}

    def __getitem__(self, name: str) -> bytes:
        return self._bytes[name]

    def script(self, name: str, **parts: str) -> str:
        """Return a statement's text with its own placeholders filled by SQL."""
        text = self._texts[name]
        for part, sql in parts.items():
            text = text.replace("{" + part + "}", sql)
        return text

    def lock(self, purpose: str) -> int:
        """Return the key of an advisory lock. They are shared by the whole database, so the key is a hash."""
        digest = hashlib.sha256(f"statewright {self.schema} {purpose}".encode()).digest()
        return int.from_bytes(digest[:8], signed=True)


@cache
def _texts() -> tuple[tuple[str, str], ...]:
    files = (resources.files("statewright.stores.postgres") / name for name in ("queries.sql", "agenda.sql"))
    found: list[tuple[str, str]] = []
    for file in files:
        _, *parts = _NAME.split(file.read_text(encoding="utf-8"))
        found += ((name, _COMMENT.sub("", text).strip()) for name, text in zip(parts[::2], parts[1::2], strict=True))
    return tuple(found)


def short_forms() -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """Return the statements of the short path, by name: text, and names of the parameters in order.

    The names are `created_one` and `updated_one`, with `_keyed`, `_timed` or both behind them.
    """
    texts = dict(_texts())
    forms: dict[str, tuple[str, tuple[str, ...]]] = {}
    for saved in ("created_one", "updated_one"):
        for keyed in ("", "_keyed"):
            for timed in ("", "_timed"):
                text = texts["save_one"].replace("{saved}", texts[saved])
                text = text.replace("{answered}", texts["answered_one"] if keyed else "")
                text = text.replace("{set}", texts["set_one"] if timed else "")
                forms[f"{saved}{keyed}{timed}"] = _numbered(text)
    return forms


def _numbered(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a statement with numbers for the names of its parameters, and the names in the order of the numbers."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    numbers = {name: str(number) for number, name in enumerate(names, start=1)}
    return _PARAMETER.sub(lambda found: "$" + numbers[found[1]], text), names


def _with_parts(text: str, parts: Mapping[str, str]) -> str:
    for name in _PARTS:
        text = text.replace("{" + name + "}", parts[name])
    return text
