"""Walking over every workflow of a store: what stays in the process meanwhile."""

from __future__ import annotations

import asyncio
from typing import Never

from psycopg import AsyncConnection, sql

from statewright import Migrations, Workflow, WorkflowSnapshot, migrate
from statewright.stores.postgres import PostgresStore

from ..setting import Rows, Setting
from ..timing import Measurement
from ..work import AddItem, Draft, Place, Placed, full_order
from .footprint import resident_kilobytes

PAGE = 1_000

FILL = """
INSERT INTO statewright.workflow
  (id, definition, state, data, model_version, version, commit_id, created_at, updated_at, entered_at)
SELECT 'order-' || lpad(number::text, 8, '0'), 'order', 'Draft', {data}::json, 1, 1, md5(number::text), now(), now(),
  now()
FROM generate_series(1, {count}) AS number
"""


class LaterOrder(Workflow[Draft | Placed, AddItem | Place, Never], name="order", model_version=2):
    """The orders as newer code has them."""


migrations = Migrations(LaterOrder)


@migrations.to(2, "a drink more")
def with_a_drink(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
    """Put a drink in the place of the last item."""
    return snapshot.replace(data={"items": [*snapshot.data["items"][:-1], "a glass of water"]})


def postgres(setting: Setting) -> Rows:
    """List a million workflows of `PostgresStore` page by page, then migrate them; look after each fifth."""
    return asyncio.run(_walk(setting.dsn, setting.scaled(1_000_000, least=5 * PAGE)))


async def _walk(dsn: str, count: int) -> Rows:
    async with PostgresStore(dsn) as store:
        async with await AsyncConnection.connect(dsn, autocommit=True) as session:
            filling = sql.SQL(FILL).format(data=full_order().model_dump_json(), count=count)
            await session.execute(filling)
            await session.execute("ANALYZE statewright.workflow")
        listed = Gauge(count)
        after = ""
        while page := await store.find(definition="order", after=after, limit=PAGE):
            after = page[-1].id
            listed.look(listed.seen + len(page))
        migrated = Gauge(count)
        report = await migrate(store, migrations, dry_run=False, progress=lambda so_far: migrated.look(so_far.seen))
    if (listed.seen, report.migrated) != (count, count):
        raise RuntimeError(f"of {count} workflows {listed.seen} were listed and {report.migrated} migrated")
    return {**listed.rows("listing"), **migrated.rows("migrating")}


class Gauge:
    """Notes the resident size each time that another fifth is done.

    Args:
        count: How many workflows there are.
    """

    def __init__(self, count: int) -> None:
        self.seen = 0
        self._count = count
        self._sizes: list[float] = []

    def look(self, seen: int) -> None:
        """Say how many have been seen."""
        self.seen = seen
        if seen * 5 >= self._count * (len(self._sizes) + 1):
            self._sizes.append(resident_kilobytes() / 1024)

    def rows(self, what: str) -> Rows:
        """Return the resident size after a fifth and at the end, in MB."""
        facts: dict[str, float] = {"workflows": self._count}
        return {
            f"{what}, after a fifth": Measurement(self._sizes[0], facts),
            f"{what}, at the end": Measurement(self._sizes[-1], facts),
        }
