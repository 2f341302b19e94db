"""Faults of every kind, each in the middle of a load: nothing is lost or doubled, and everybody goes on."""

from __future__ import annotations

import pytest

from tests.postgres_server import PostgresServer

from .callers import BOUND
from .kinds import KINDS, Kind
from .storm import storm

pytest_plugins = ["tests.fixtures.postgres"]
pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_nothing_is_lost_or_doubled(kind: Kind, postgres: PostgresServer) -> None:
    """Every call ends in time, in a result or a typed failure; sent again under its key, a command is there once."""
    if kind.needs_our_server and not postgres.is_ours:
        pytest.skip("the server was given from outside: it is not ours to stop")

    tally = await storm(postgres, kind, rounds=1)

    assert tally.escaped == {}
    assert (tally.lost, tally.doubled, tally.stale, tally.skipped) == (0, 0, 0, 0)
    assert tally.acked == tally.sent >= 400
    assert tally.subscribed >= tally.acked
    assert tally.injected >= 1
    assert tally.longest < BOUND
    if kind.noticed == "never":
        assert tally.failures == {}
    if kind.noticed == "always":
        assert tally.failures["StoreUnavailableError"] >= 1
