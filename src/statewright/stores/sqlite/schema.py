"""The schema: numbered SQL files, applied in order, each in a transaction of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources

from ...errors import StoreError
from .connection import Database, translated

_RECORD = """\
CREATE TABLE IF NOT EXISTS statewright_schema (
  version INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  applied_at TEXT NOT NULL
)"""
_NOW = "strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now')"


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema."""

    version: int
    name: str
    sql: str

    def statements(self) -> Iterator[str]:
        """Yield its statements: `executescript` would commit in between."""
        statement = ""
        for line in self.sql.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                yield statement
                statement = ""

    def script(self) -> str:
        """Return it as text that can be run by itself, once the record is there."""
        record = f"INSERT INTO statewright_schema VALUES ({self.version}, '{self.name}', {_NOW});"
        return f"-- {self.version:04d} {self.name}\n{self.sql.strip()}\n{record}\n"


@cache
def migrations() -> tuple[Migration, ...]:
    """Return all steps in order."""
    files = (
        file
        for file in (resources.files("statewright.stores.sqlite") / "migrations").iterdir()
        if file.name.endswith(".sql")
    )
    steps: list[Migration] = []
    for file in sorted(files, key=lambda file: file.name):
        number, _, name = file.name.removesuffix(".sql").partition("_")
        steps.append(Migration(int(number), name, file.read_text(encoding="utf-8")))
    return tuple(steps)


def schema_sql() -> str:
    """Return the SQL of the whole schema; a file that it made is one that `setup` made."""
    return "\n".join([f"{_RECORD};\n", *(step.script() for step in migrations())])


def upgrade(database: Database) -> None:
    """Bring the schema up to date; safe when several processes do so at once.

    Raises:
        StoreError: It is newer than this code, or a step failed; the steps before it stay applied.
    """
    for step in migrations():
        if stored_version(database) < step.version:
            _apply(database, step)


def check(database: Database) -> None:
    """Check that the schema is the one that this code was written for.

    Raises:
        StoreError: It is not.
    """
    newest = migrations()[-1].version
    if (found := stored_version(database)) < newest:
        raise StoreError(
            f"{database.settings.path!r} has schema version {found}, and this code needs {newest}: "
            "call `await store.setup()`"
        )


def stored_version(database: Database) -> int:
    """Return the number of the last step that was applied; 0 for a new file.

    Raises:
        StoreError: It is above what this code knows.
    """
    path = database.settings.path
    with translated(path):
        version = _read_version(database.connection)
    if version > (newest := migrations()[-1].version):
        raise StoreError(
            f"{path!r} has schema version {version}, and this code knows {newest} at most: upgrade statewright here, "
            "or open another file; nothing was changed"
        )
    return version


def _read_version(connection: sqlite3.Connection) -> int:
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'statewright_schema'"
    if not connection.execute(query).fetchone()[0]:
        return 0
    version = connection.execute("SELECT max(version) FROM statewright_schema").fetchone()[0]
    return 0 if version is None else int(version)


def _apply(database: Database, step: Migration) -> None:
    path = database.settings.path
    with translated(path), database.transaction() as connection:
        connection.execute(_RECORD)
        if _read_version(connection) >= step.version:  # another process was faster
            connection.execute("ROLLBACK")
            return
        try:
            for statement in step.statements():
                connection.execute(statement)
        except sqlite3.OperationalError as exc:
            if "already exists" not in str(exc):
                raise
            raise StoreError(
                f"{path!r} was not made by statewright and has tables of the same name ({exc}): give the store a file "
                "of its own"
            ) from exc
        connection.execute(
            "INSERT INTO statewright_schema (version, name, applied_at) VALUES (?, ?, ?)",
            (step.version, step.name, datetime.now(UTC).isoformat(timespec="seconds")),
        )
