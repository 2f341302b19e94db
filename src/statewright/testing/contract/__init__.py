"""The specification of a store, as tests that any store can be put through."""

from __future__ import annotations

from typing import Any

import pytest

from .catalog import CatalogClauses
from .delivering import DeadLetterClauses, ReaderClauses
from .fencing import FencingClauses
from .folding import FoldingClauses
from .keeping import KeepingClauses
from .leasing import LeaseClauses
from .log import LogClauses
from .pruning import PruningClauses
from .racing import RacingClauses
from .recording import HistoryClauses
from .remembering import ErasingClauses, IdempotencyClauses
from .reopening import ReopeningClauses
from .saving import SavingClauses
from .timing import TimerClauses

__all__ = ["StoreContract"]


class StoreContract(
    SavingClauses,
    KeepingClauses,
    RacingClauses,
    ReopeningClauses,
    FencingClauses,
    FoldingClauses,
    HistoryClauses,
    LogClauses,
    CatalogClauses,
    IdempotencyClauses,
    ErasingClauses,
    PruningClauses,
    TimerClauses,
    LeaseClauses,
    ReaderClauses,
    DeadLetterClauses,
):
    """What every store promises: subclass it and provide the fixture `store`, an empty store for each test.

    ```python
    class TestMyStore(StoreContract):
        @pytest_asyncio.fixture
        async def store(self, tmp_path):
            async with MyStore(tmp_path / "my.db") as store:
                yield store

        def reopen(self, store):
            return MyStore(store.path)
    ```

    The two methods of `StoreAdapter` are tested on every store. What needs more (folds, histories, a common order of
    commits, lists, idempotency keys, forgetting, timers and whatever else a worker needs) is tested where the store has
    the protocol for it, and is skipped, with the protocol's name, where it has not. Override `reopen` for a store whose
    contents outlive it.

    The tests are coroutines for pytest-asyncio, in either of its modes.
    """

    pytestmark: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        marks = [mark for part in cls.__mro__ for mark in _marks(part)]
        if not any(mark.name == "asyncio" for mark in marks):
            cls.pytestmark = [*_marks(cls), pytest.mark.asyncio]


def _marks(part: type[object]) -> list[pytest.MarkDecorator]:
    marks = part.__dict__.get("pytestmark", [])
    return marks if isinstance(marks, list) else [marks]
