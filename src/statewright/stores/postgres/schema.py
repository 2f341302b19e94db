"""The schema: numbered SQL files, applied in order, all that are missing in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from ...errors import StoreError
from .statements import Statements, check_name, quoted

if TYPE_CHECKING:
    from .link import Link

_RECORD: Final = """\
CREATE TABLE IF NOT EXISTS statewright_schema (
  version bigint PRIMARY KEY,
  name text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);"""

# Not `to_regclass`: in a transaction that waited for a lock it may still answer from a cache of before.
_FIND_SCHEMA: Final = b"SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1"
_FIND_RECORD: Final = b"""\
SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = 'statewright_schema'"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema."""

    version: int
    name: str
    sql: str

    @property
    def script(self) -> str:
        """Its SQL, and the row that records it."""
        record = f"INSERT INTO statewright_schema (version, name) VALUES ({self.version}, '{self.name}');"
        return f"-- {self.version:04d} {self.name}\n{self.sql.strip()}\n\n{record}\n"


@cache
def migrations() -> tuple[Migration, ...]:
    """Return all steps in order."""
    files = (
        file
        for file in (resources.files("statewright.stores.postgres") / "migrations").iterdir()
        if file.name.endswith(".sql")
    )
    steps: list[Migration] = []
    for file in sorted(files, key=lambda file: file.name):
        number, _, name = file.name.removesuffix(".sql").partition("_")
        steps.append(Migration(int(number), name, file.read_text(encoding="utf-8")))
    return tuple(steps)


def schema_sql(schema: str, *, after: int = 0) -> str:
    """Return the SQL that takes a schema from one version to the newest, for a database administrator.

    Args:
        schema: Its name.
        after: The version that it has.
    """
    name = quoted(check_name(schema))
    opening = f"""\
BEGIN;
SET LOCAL lock_timeout = 0;
SELECT pg_advisory_xact_lock({Statements(schema).lock("schema")});
CREATE SCHEMA IF NOT EXISTS {name};
SET LOCAL search_path = {name};
{_RECORD}
"""
    steps = [step.script for step in migrations() if step.version > after]
    return "\n".join([opening, *steps, "COMMIT;\n"])


async def stored_version(link: Link, schema: str) -> int:
    """Return the number of the last step that was applied; 0 where there is nothing yet.

    Raises:
        StoreError: It is above what this code knows.
        psycopg.Error: And the others of `FAULTS`.
    """
    if not await link.fetch(_FIND_RECORD, (schema,)):
        return 0
    table = f"{quoted(schema)}.statewright_schema"
    [(version,)] = await link.fetch(f"SELECT COALESCE(max(version), 0) FROM {table}".encode())
    if version > (newest := migrations()[-1].version):
        raise StoreError(
            f"the schema {schema!r} has version {version}, and this code knows {newest} at most: upgrade statewright "
            "here, or give the store another schema; nothing was changed"
        )
    return int(version)


async def upgrade(link: Link, schema: str) -> None:
    """Bring the schema up to date; safe when several processes do so at once.

    Where there is nothing to do it only reads, so that an application needs no right to create anything.

    Raises:
        StoreError: It is newer than this code.
        psycopg.Error: And the others of `FAULTS`.
    """
    if await stored_version(link, schema) == migrations()[-1].version:
        return
    async with link.connection.transaction():
        lock = Statements(schema).lock("schema")
        await link.run(f"SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({lock})")
        # Looked at again under the lock: another process may have been faster.
        version = await stored_version(link, schema)
        name = quoted(schema)
        # IF NOT EXISTS would ask for the right to create schemas even where there is one.
        if not await link.fetch(_FIND_SCHEMA, (schema,)):
            await link.run(f"CREATE SCHEMA {name}")
        steps = [step.script for step in migrations() if step.version > version]
        await link.run("\n".join([f"SET LOCAL search_path = {name};", _RECORD, *steps]))


async def check(link: Link, schema: str) -> None:
    """Check that the schema is the one that this code was written for.

    Raises:
        StoreError: It is not.
        psycopg.Error: And the others of `FAULTS`.
    """
    newest = migrations()[-1].version
    if (found := await stored_version(link, schema)) < newest:
        raise StoreError(
            f"the schema {schema!r} has version {found}, and this code needs {newest}: call `await store.setup()`, or "
            "let the database's administrator run what `PostgresStore.schema_sql()` prints"
        )
