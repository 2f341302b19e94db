"""The SQL of `queries.sql`, by name."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import resources
from typing import Final

from ...errors import DefinitionError

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^\s*--.*$", re.MULTILINE)
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
    file = resources.files(__package__) / "queries.sql"
    _, *parts = _NAME.split(file.read_text(encoding="utf-8"))
    return tuple((name, _COMMENT.sub("", text).strip()) for name, text in zip(parts[::2], parts[1::2], strict=True))
