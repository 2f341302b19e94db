from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from statewright import (
    Context,
    ContextKey,
    DefinitionError,
    Execution,
    Failure,
    MemoryStore,
    MigrationError,
    MigrationReport,
    Migrations,
    OutcomeUnknownError,
    RecordedMessage,
    RestoreError,
    SaveOptions,
    StoreError,
    Success,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
    WorkflowSnapshot,
    migrate,
)
from statewright._engine.migration import PAGE
from statewright.stores.sqlite import SQLiteStore
from statewright.testing import FaultyStore

# --- the code of yesterday -----------------------------------------------------------------------------------------


class OldDraft(BaseModel):
    items: list[str] = []


class Sent(BaseModel):
    items: list[str]


class Open(BaseModel): ...


class Add(BaseModel):
    item: str


class Send(BaseModel): ...


class OrderSent(BaseModel):
    no: int


class OldOrder(Workflow[OldDraft | Sent, Open | Add | Send, OrderSent], name="order", stored_names={OldDraft: "Draft"}):
    """An order as it was."""


old_router = WorkflowRouter(OldOrder)


@old_router.on
def old_open(_: None, command: Open) -> OldDraft:
    return OldDraft()


@old_router.on
def old_add(order: OldDraft, command: Add) -> OldDraft:
    return OldDraft(items=[*order.items, command.item])


@old_router.on
def old_remind(order: Sent, command: Add, ctx: Context[OrderSent, None]) -> Sent:
    ctx.schedule(Add(item="late"), delay=timedelta(days=1))
    return order


@old_router.on
def old_send(order: OldDraft, command: Send, ctx: Context[OrderSent, None]) -> Sent:
    ctx.emit(OrderSent(no=len(order.items)))
    return Sent(items=order.items)


# --- the code of today ---------------------------------------------------------------------------------------------


class Draft(BaseModel):
    items: list[str] = []
    currency: str


class Shipped(BaseModel):
    items: list[str]
    currency: str


class OrderShipped(BaseModel):
    number: str


class Order(Workflow[Draft | Shipped, Open | Add | Send, OrderShipped], name="order", model_version=2):
    """An order as it is."""


router = WorkflowRouter(Order)


@router.on
def open_order(_: None, command: Open) -> Draft:
    return Draft(currency="EUR")


@router.on
def add(order: Draft, command: Add) -> Draft:
    return Draft(items=[*order.items, command.item], currency=order.currency)


@router.on
def add_late(order: Shipped, command: Add) -> None:
    return None


@router.on
def send(order: Draft, command: Send, ctx: Context[OrderShipped, None]) -> Shipped:
    ctx.emit(OrderShipped(number=str(len(order.items))))
    return Shipped(items=order.items, currency=order.currency)


migrations = Migrations(Order)


@migrations.to(2, "orders carry a currency; Sent is Shipped")
def add_currency(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
    if "cursed" in snapshot.data["items"]:
        raise LookupError("cursed")
    state = "Shipped" if snapshot.state == "Sent" else snapshot.state
    return snapshot.replace(state=state, data={**snapshot.data, "currency": "EUR"})


@migrations.event("OrderSent", to=2)
def rename_sent(message: RecordedMessage) -> RecordedMessage:
    return RecordedMessage("OrderShipped", {"number": str(message.data["no"])})


def executors(store: Any) -> tuple[WorkflowExecutor[OldOrder], WorkflowExecutor[Order]]:
    return WorkflowExecutor(old_router, store), WorkflowExecutor(router, store, migrations=migrations)


async def error_of(answer: Any) -> Any:
    match await answer:
        case Failure(error=error):
            return error
        case success:
            raise AssertionError(success)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    async with MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "orders.db") as opened:
        yield opened


# --- on load -------------------------------------------------------------------------------------------------------


async def test_old_workflow_is_read_as_new() -> None:
    """`get` gives an old workflow in today's form, and writes nothing."""
    store = MemoryStore()
    old, new = executors(store)
    await old.execute("o-1", Open())

    order = await new.get("o-1")

    assert order is not None
    assert order.data == Draft(currency="EUR")
    assert (await store.load("o-1")).snapshot.model_version == 1


async def test_next_save_writes_it_back() -> None:
    """A command is decided on today's form, and its save stores that form."""
    store = MemoryStore()
    old, new = executors(store)
    await old.execute("o-1", Open())

    result = (await new.execute("o-1", Add(item="tea"))).unwrap()

    stored = (await store.load("o-1")).snapshot
    assert result.workflow.data == Draft(items=["tea"], currency="EUR")
    assert (stored.model_version, stored.version, stored.data["currency"]) == (2, 2, "EUR")


async def test_handler_that_keeps_the_state_writes_it_back_too() -> None:
    """A commit that changes nothing else still stores today's state name and form."""
    store = MemoryStore()
    old, new = executors(store)
    for command in (Open(), Add(item="tea"), Send()):
        await old.execute("o-1", command)

    (await new.execute("o-1", Add(item="late"))).unwrap()

    stored = (await store.load("o-1")).snapshot
    assert (stored.state, stored.model_version) == ("Shipped", 2)
    assert stored.data == {"items": ["tea"], "currency": "EUR"}


async def test_refusal_writes_nothing_back() -> None:
    """A command that is not accepted leaves the old form where it is."""
    store = MemoryStore()
    old, new = executors(store)
    for command in (Open(), Send()):
        await old.execute("o-1", command)
    before = await store.load("o-1")

    assert (await error_of(new.execute("o-1", Send()))).code == "NO_HANDLER"
    assert await store.load("o-1") is before


async def test_commands_in_one_fold_share_the_upgrade() -> None:
    """Commands that wait together for an old workflow are all decided on today's form."""
    store = MemoryStore()
    old, new = executors(store)
    await old.execute("o-1", Open())

    results = await asyncio.gather(*(new.execute("o-1", Add(item=str(number))) for number in range(20)))

    assert [result.unwrap().version for result in results] == list(range(2, 22))
    assert results[-1].unwrap().workflow.data.items == [str(number) for number in range(20)]


async def test_middleware_sees_todays_form() -> None:
    """`ctx.stored` speaks of today's states, so that a rule on states holds for old workflows, too."""
    store = MemoryStore()
    old, new = executors(store)
    for command in (Open(), Send()):
        await old.execute("o-1", command)
    seen: list[Any] = []

    async def look(ctx: Execution, call_next: Any) -> Any:
        seen.append(ctx.stored)
        return await call_next()

    await new.use(look).execute("o-1", Add(item="tea"))

    assert [(each.state, each.snapshot.model_version, each.version) for each in seen] == [("Shipped", 2, 2)]


async def test_replay_is_brought_up_to_date() -> None:
    """The first answer under an idempotency key is given again in today's form, events included."""
    store = MemoryStore()
    old, new = executors(store)
    await old.execute("o-1", Open())
    await old.execute("o-1", Send(), idempotency_key="k")

    replay = (await new.execute("o-1", Send(), idempotency_key="k")).unwrap()

    assert replay.replayed
    assert replay.workflow.data == Shipped(items=[], currency="EUR")
    assert replay.events == (OrderShipped(number="0"),)


async def test_replay_that_does_not_upgrade_is_no_second_execution() -> None:
    """Where a step fails on the recorded answer, the answer is a `RestoreError`, with middleware and without."""
    key: ContextKey[Any] = ContextKey("seen")
    store = MemoryStore()
    old, new = executors(store)
    await old.execute("o-1", Open())
    await old.execute("o-1", Add(item="cursed"), idempotency_key="k")

    async def look(ctx: Execution, call_next: Any) -> Any:
        ctx[key] = ctx.stored.state
        return await call_next()

    plain = await error_of(new.execute("o-1", Add(item="cursed"), idempotency_key="k"))
    watched = await error_of(new.use(look).execute("o-1", Add(item="cursed"), idempotency_key="k"))

    assert [type(error) for error in (plain, watched)] == [RestoreError, RestoreError]
    assert (await store.load("o-1")).version == 2


async def test_failing_step_is_a_restore_error() -> None:
    """A step that fails is a `RestoreError` with the `MigrationError` as its cause, from commands and reads alike."""
    store = MemoryStore()
    old, new = executors(store)
    await old.execute("o-1", Open())
    await old.execute("o-1", Add(item="cursed"))

    error = await error_of(new.execute("o-1", Add(item="tea")))
    with pytest.raises(RestoreError) as read:
        await new.get("o-1")

    for found in (error, read.value):
        assert isinstance(found, RestoreError)
        assert isinstance(found.__cause__, MigrationError)
        assert isinstance(found.__cause__.__cause__, LookupError)
        assert "add_currency" in str(found)
        assert "raised LookupError" in str(found)


async def test_old_workflow_without_migrations_is_refused() -> None:
    """Without migrations an old snapshot is a `RestoreError` that says what is missing."""
    store = MemoryStore()
    old, _ = executors(store)
    await old.execute("o-1", Open())

    error = await error_of(WorkflowExecutor(router, store).execute("o-1", Add(item="tea")))

    assert isinstance(error, RestoreError)
    assert [issue.type for issue in error.issues] == ["older_model"]
    assert "needs migrations" in str(error)


async def test_result_that_does_not_fit_is_a_restore_error() -> None:
    """A step whose result today's schema refuses is found when it is restored, not when it is saved."""
    wrong = Migrations(Order)
    wrong.to(2, "forgets the currency")(lambda snapshot: snapshot)
    store = MemoryStore()
    await WorkflowExecutor(old_router, store).execute("o-1", Open())

    error = await error_of(WorkflowExecutor(router, store, migrations=wrong).execute("o-1", Add(item="tea")))

    assert isinstance(error, RestoreError)
    assert [issue.path for issue in error.issues] == [("currency",)]


def test_chain_is_checked_when_the_executor_is_built() -> None:
    """A broken chain, another workflow's or something else altogether stops before the first command."""
    with pytest.raises(MigrationError, match="no step leads to version 2"):
        WorkflowExecutor(router, MemoryStore(), migrations=Migrations(Order))
    with pytest.raises(MigrationError, match="were made for"):
        WorkflowExecutor(old_router, MemoryStore(), migrations=migrations)
    with pytest.raises(DefinitionError, match="takes Migrations, found list"):
        WorkflowExecutor(router, MemoryStore(), migrations=[add_currency])


# --- history -------------------------------------------------------------------------------------------------------


async def test_old_events_are_read_as_new() -> None:
    """`history` and `at` give old commits in today's form; what is recorded stays as it was."""
    store = MemoryStore()
    old, new = executors(store)
    for command in (Open(), Add(item="tea"), Send()):
        await old.execute("o-1", command)

    commits = await new.history("o-1")

    assert commits[-1].events == (OrderShipped(number="1"),)
    assert commits[-1].model_version == 1
    assert commits[-1].command == RecordedMessage("Send", {})
    assert (await new.at("o-1", 2)).data == Draft(items=["tea"], currency="EUR")
    assert (await store.history("o-1"))[-1].events == (RecordedMessage("OrderSent", {"no": 1}),)


async def test_event_that_no_longer_decodes_stays_raw() -> None:
    """Without a step for it, or with one that fails, an old event is given as it was recorded."""
    store = MemoryStore()
    old, _ = executors(store)
    for command in (Open(), Send()):
        await old.execute("o-1", command)
    failing = Migrations(Order)
    failing.to(2, "orders carry a currency")(add_currency)
    failing.event("OrderSent", to=2)(lambda message: message.data["missing"])

    for executor in (WorkflowExecutor(router, store), WorkflowExecutor(router, store, migrations=failing)):
        commits = await executor.history("o-1")
        assert commits[-1].events == (RecordedMessage("OrderSent", {"no": 0}),)


# --- a rolling deploy ----------------------------------------------------------------------------------------------


async def test_rolling_deploy_in_two_steps() -> None:
    """First the new code beside the old, which refuses what the new has written; then the rest of the store."""
    store = MemoryStore()
    old, new = executors(store)
    for number in range(4):
        await old.execute(f"o-{number}", Open())

    # Step one: both run. Each workflow stays the old code's until the new code saves it.
    (await old.execute("o-0", Add(item="by old"))).unwrap()
    (await new.execute("o-0", Add(item="by new"))).unwrap()
    (await old.execute("o-1", Add(item="by old"))).unwrap()
    refused = await error_of(old.execute("o-0", Add(item="too late")))
    assert isinstance(refused, RestoreError)
    assert [issue.type for issue in refused.issues] == ["newer_model"]
    assert (await error_of(old.preview("o-0", Send()))).category == "restore"
    with pytest.raises(RestoreError, match="newer than this code's 1"):
        await old.get("o-0")
    assert (await store.load("o-0")).snapshot.data["items"] == ["by old", "by new"]

    # Step two: no old process is left, and what nobody touched is brought up to date.
    report = await migrate(store, migrations, dry_run=False)
    assert (report.migrated, report.current, report.failed) == (3, 1, 0)
    assert {found.snapshot.model_version for found in await store.find()} == {2}
    assert (await new.get("o-1")).data.items == ["by old"]


async def test_old_and_new_code_race_for_one_workflow() -> None:
    """Old code that decided on a workflow which new code then saved loses, decides again, and refuses."""
    store = MemoryStore()
    old, new = executors(store)
    await old.execute("o-1", Open())
    entered, held = asyncio.Event(), asyncio.Event()

    async def hold(ctx: Execution, call_next: Any) -> Any:
        entered.set()
        await held.wait()
        return await call_next()

    slow = WorkflowExecutor(old_router, _Shared(store)).use(hold)
    waiting = asyncio.create_task(slow.execute("o-1", Add(item="old")))
    await entered.wait()
    await new.execute("o-1", Add(item="new"))
    held.set()

    assert isinstance(await error_of(waiting), RestoreError)
    assert (await store.load("o-1")).snapshot.data["items"] == ["new"]


class _Shared:
    """Another process's view of a store: its lanes are its own."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def load(self, id: str) -> Any:
        return await self._store.load(id)

    async def save(self, options: Any) -> None:
        await self._store.save(options)


# --- a whole store -------------------------------------------------------------------------------------------------


async def filled(count: int) -> MemoryStore:
    store = MemoryStore()
    old, _ = executors(store)
    for number in range(count):
        await old.execute(f"o-{number:04}", Open())
    return store


async def test_dry_run_writes_nothing() -> None:
    """A dry run, which is the default, says what would be migrated and saves nothing."""
    store = await filled(3)
    before = await store.find()

    report = await migrate(store, migrations)

    assert (report.dry_run, report.seen, report.migrated, report.failures) == (True, 3, 3, ())
    assert await store.find() == before


async def test_whole_store_is_migrated() -> None:
    """Every old workflow is stored in today's form, at its version, with its times and its history."""
    store = await filled(3)
    before = await store.find()

    report = await migrate(store, migrations, dry_run=False)

    assert (report.dry_run, report.seen, report.migrated, report.current) == (False, 3, 3, 0)
    for old, new in zip(before, await store.find(), strict=True):
        assert new.snapshot == old.snapshot.replace(data={"items": [], "currency": "EUR"}, model_version=2)
        assert new.commit_id != old.commit_id
    assert len(await store.history("o-0001")) == 1
    assert len(await store.commits()) == 3


async def test_second_walk_finds_nothing_to_do() -> None:
    """What is up to date is left alone, so that a walk can be begun again."""
    store = await filled(3)
    await migrate(store, migrations, dry_run=False)
    before = await store.find()

    report = await migrate(store, migrations, dry_run=False)

    assert (report.seen, report.migrated, report.current) == (3, 0, 3)
    assert await store.find() == before


async def test_failures_are_listed_and_stop_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """A workflow that cannot be migrated is named with the reason, stays as it was, and the others go on."""
    store = await filled(2)
    old, _ = executors(store)
    await old.execute("bad", Open())
    await old.execute("bad", Add(item="cursed"))

    with caplog.at_level(logging.WARNING, logger="statewright.migration"):
        report = await migrate(store, migrations, dry_run=False)

    assert (report.migrated, report.failed) == (2, 1)
    [failure] = report.failures
    assert (failure.id, failure.model_version) == ("bad", 1)
    assert "raised LookupError" in failure.reason
    assert (await store.load("bad")).snapshot.model_version == 1
    assert [getattr(record, "workflow_id", None) for record in caplog.records] == ["bad"]


async def test_newer_workflows_are_left_alone() -> None:
    """What newer code has stored is counted, and neither migrated nor a failure."""
    store = await filled(1)
    stored = await store.load("o-0000")
    newer = stored.snapshot.replace(id="z", model_version=3, version=1)
    await store.save(_creation(newer))

    report = await migrate(store, migrations, dry_run=False)

    assert (report.seen, report.migrated, report.newer, report.failed) == (2, 1, 1, 0)
    assert (await store.load("z")).snapshot.model_version == 3


async def test_other_definitions_are_untouched() -> None:
    """Only workflows of the migrations' own definition are looked at."""
    store = await filled(1)
    other = (await store.load("o-0000")).snapshot.replace(id="p", definition="parcel")
    await store.save(_creation(other))

    report = await migrate(store, migrations, dry_run=False)

    assert report.seen == 1
    assert (await store.load("p")).snapshot == other


def _creation(snapshot: WorkflowSnapshot) -> Any:
    return SaveOptions(snapshot.id, snapshot, 0)


@pytest.mark.slow
async def test_progress_and_pages() -> None:
    """A store of several pages is walked page by page, and progress is told after each."""
    count = 2 * PAGE + 7
    store = await filled(count)
    told: list[MigrationReport] = []

    report = await migrate(store, migrations, dry_run=False, progress=told.append)

    assert [each.seen for each in told] == [PAGE, 2 * PAGE, count]
    assert told[-1] == report
    assert report.migrated == count


@pytest.mark.slow
async def test_walk_goes_on_where_it_stopped() -> None:
    """`after` takes up the walk behind the last workflow that was looked at."""
    store = await filled(PAGE + 5)
    told: list[MigrationReport] = []

    def stop(report: MigrationReport) -> None:
        told.append(report)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await migrate(store, migrations, dry_run=False, progress=stop)
    rest = await migrate(store, migrations, dry_run=False, after=told[0].last_id)

    assert (told[0].migrated, rest.seen, rest.migrated) == (PAGE, 5, 5)
    assert {found.snapshot.model_version for found in await store.find(limit=1000)} == {2}


class _Busy(MemoryStore):
    """A store in which somebody saves between the look at a workflow and the migration's own save."""

    def __init__(self) -> None:
        super().__init__()
        self.busy: list[Any] = []

    async def save(self, options: Any) -> None:
        if not options.commits and self.busy:
            await self.busy.pop(0)()
        await super().save(options)


async def test_update_in_the_meantime_is_not_lost() -> None:
    """A workflow that old code saves during the walk is looked at again, and migrated with that update."""
    store = _Busy()
    old, _ = executors(store)
    await old.execute("o-1", Open())
    store.busy.append(lambda: old.execute("o-1", Add(item="tea")))

    report = await migrate(store, migrations, dry_run=False)

    stored = (await store.load("o-1")).snapshot
    assert (report.migrated, report.failed) == (1, 0)
    assert (stored.version, stored.model_version) == (2, 2)
    assert stored.data == {"items": ["tea"], "currency": "EUR"}


async def test_workflow_that_new_code_saved_in_the_meantime() -> None:
    """A workflow that became up to date during the walk counts as such."""
    store = _Busy()
    old, new = executors(store)
    await old.execute("o-1", Open())
    store.busy.append(lambda: new.execute("o-1", Add(item="tea")))

    report = await migrate(store, migrations, dry_run=False)

    assert (report.seen, report.migrated, report.current) == (1, 0, 1)
    assert (await store.load("o-1")).version == 2


async def test_workflow_that_was_forgotten_in_the_meantime() -> None:
    """A workflow that is gone when its turn comes is not brought back."""
    store = _Busy()
    old, _ = executors(store)
    await old.execute("o-1", Open())
    store.busy.append(lambda: store.forget("o-1"))

    report = await migrate(store, migrations, dry_run=False)

    assert (report.seen, report.migrated, report.failed) == (1, 0, 0)
    assert await store.load("o-1") is None


async def test_workflow_that_never_rests() -> None:
    """A workflow that somebody else saves each time is given up at last, and named."""
    store = _Busy()
    old, _ = executors(store)
    await old.execute("o-1", Open())
    store.busy += [lambda: old.execute("o-1", Add(item="tea"))] * 50

    report = await migrate(store, migrations, dry_run=False)

    assert report.failed == 1
    assert "migrate again" in report.failures[0].reason


async def test_executor_goes_on_after_the_walk() -> None:
    """Old and new code that knew a workflow before the walk find out that it was rewritten under its version."""
    store = await filled(1)
    old, new = executors(store)
    await new.get("o-0000")
    await migrate(store, migrations, dry_run=False)

    assert isinstance(await error_of(old.execute("o-0000", Add(item="tea"))), RestoreError)
    assert isinstance(await new.execute("o-0000", Add(item="tea"), expected_version=1), Success)


async def test_store_that_fails_ends_the_walk() -> None:
    """A failing store is no failing workflow: the walk ends with its error, and can be begun again."""
    store = await filled(2)

    with pytest.raises(OutcomeUnknownError):
        await migrate(FaultyStore(store).fail(1, how="after"), migrations, dry_run=False)
    report = await migrate(store, migrations, dry_run=False)

    assert report.migrated + report.current == 2


async def test_store_that_cannot_list() -> None:
    """A store of two methods is refused with the protocol that it lacks."""
    with pytest.raises(StoreError, match="_Shared cannot list what it holds: implement `find`"):
        await migrate(_Shared(MemoryStore()), migrations)


async def test_broken_chain_is_refused_before_anything_is_read() -> None:
    """`migrate` checks the chain as an executor does."""
    with pytest.raises(MigrationError, match="no step leads to version 2"):
        await migrate(MemoryStore(), Migrations(Order))


# --- timers --------------------------------------------------------------------------------------------------------


async def reminded(store: Any) -> tuple[WorkflowExecutor[OldOrder], WorkflowExecutor[Order]]:
    old, new = executors(store)
    for command in (Open(), Send(), Add(item="remind")):
        (await old.execute("o-1", command)).unwrap()
    return old, new


async def timers(store: Any) -> list[tuple[str, str]]:
    due = await store.due_timers(["order"], now=datetime.now(UTC) + timedelta(days=2))
    return [(timer.key, timer.state) for timer in due]


async def test_timers_go_along_with_a_renamed_state(store: Any) -> None:
    """A timer that belongs to a state stays with it when a walk gives the state its new name."""
    await reminded(store)
    assert await timers(store) == [("Add", "Sent")]

    assert (await migrate(store, migrations, dry_run=False)).migrated == 1

    assert await timers(store) == [("Add", "Shipped")]
    assert (await store.load("o-1")).version == 3


async def test_timers_go_along_with_the_next_save(store: Any) -> None:
    """A command that keeps the renamed state keeps the timers that belong to it."""
    _, new = await reminded(store)

    (await new.execute("o-1", Add(item="late"))).unwrap()

    assert await timers(store) == [("Add", "Shipped")]


async def test_walk_over_each_store(store: Any) -> None:
    """A walk rewrites what is stored, and nothing of what has happened."""
    old, new = executors(store)
    for number in range(3):
        for command in (Open(), Add(item="tea"), Send()):
            (await old.execute(f"o-{number}", command)).unwrap()
    before = await store.commits()

    report = await migrate(store, migrations, dry_run=False)

    assert (report.seen, report.migrated, report.failed) == (3, 3, 0)
    for stored in await store.find():
        assert (stored.state, stored.version, stored.snapshot.model_version) == ("Shipped", 3, 2)
        assert stored.snapshot.data == {"items": ["tea"], "currency": "EUR"}
    assert await store.commits() == before
    assert (await new.at("o-1", 3)).data == Shipped(items=["tea"], currency="EUR")
    assert (await new.execute("o-1", Add(item="late"), expected_version=3)).ok
