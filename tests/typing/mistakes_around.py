"""Mistakes in what surrounds an executor: each marked line must fail, and no other."""

from __future__ import annotations

from datetime import timedelta

from clean_around import migrations, orders, reactors, source, store
from clean_order import AddItem, Draft, Open, Order, OrderPlaced, Place, router

from statewright import (
    Commit,
    Migrations,
    RecordedMessage,
    Send,
    Source,
    Success,
    Worker,
    WorkflowSnapshot,
    migrate,
)
from statewright.testing import ManualClock, context, given

# --- reactors --------------------------------------------------------------------------------------------------------


@reactors.on  # E: mypy[type-var] pyright[reportArgumentType]
async def asynchronous(event: OrderPlaced, source: Source) -> Send:
    return Send("lamp", "l-1", Open())


@reactors.on  # E: mypy[type-var] pyright[reportArgumentType]
def without_a_source(event: OrderPlaced) -> Send:
    return Send("lamp", "l-1", Open())


@reactors.on  # E: mypy[type-var] pyright[reportArgumentType]
def returns_the_command(event: OrderPlaced, source: Source) -> Open:
    return Open()


@reactors.on(name=7)  # E: mypy[call-overload, untyped-decorator] pyright[reportArgumentType]
def named_by_a_number(event: OrderPlaced, source: Source) -> None:
    return None


def sends_without_an_id() -> Send:
    return Send("lamp", Open())  # E: mypy[arg-type, call-arg] pyright[reportCallIssue]


def sends_with_a_misspelt_wish() -> Send:
    return Send("lamp", "l-1", Open(), refused="ignore")  # E: mypy[arg-type] pyright[reportArgumentType]


def source_of_another_kind() -> None:
    print(source().workflow.id)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


# --- migrations ------------------------------------------------------------------------------------------------------


@migrations.to("2", "a version of text")  # E: mypy[arg-type] pyright[reportArgumentType]
def version_of_text(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
    return snapshot


@migrations.to(2)  # E: mypy[call-arg] pyright[reportCallIssue]
def without_a_description(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
    return snapshot


@migrations.to(2, "of the data alone")  # E: mypy[type-var] pyright[reportArgumentType]
def of_the_data_alone(data: dict[str, object]) -> dict[str, object]:
    return data


@migrations.event("OrderDone", to=2)  # E: mypy[type-var] pyright[reportArgumentType]
def of_the_decoded_event(event: OrderPlaced) -> OrderPlaced:
    return event


def migrations_of_a_name() -> None:
    Migrations("order")  # E: mypy[arg-type] pyright[reportArgumentType]


async def migrated_in_the_wrong_order() -> None:
    await migrate(migrations, store)  # E: mypy[arg-type] pyright[reportArgumentType]


# --- workers ---------------------------------------------------------------------------------------------------------


class Nameless:
    async def publish(self, commit: Commit) -> None:
        print(commit.position)


class Synchronous:
    name = "synchronous"

    def publish(self, commit: Commit) -> None:
        print(commit.position)


def publishers_of_the_wrong_shape() -> None:
    Worker(store, [orders], publishers=[Nameless()])  # E: mypy[list-item] pyright[reportArgumentType]
    Worker(store, [orders], publishers=[Synchronous()])  # E: mypy[list-item] pyright[reportArgumentType]


def worker_of_routers() -> None:
    Worker(store, [router])  # E: mypy[list-item] pyright[reportArgumentType]


def worker_from_a_text() -> None:
    Worker(store, [orders], start="then")  # E: mypy[arg-type] pyright[reportArgumentType]


def pause_in_seconds() -> None:
    Worker(store, [orders], backoff=5)  # E: mypy[arg-type] pyright[reportArgumentType]


async def waits_in_seconds(placed: Success[Order]) -> None:
    await orders.wait_for(placed, ["postbox"], timeout=1)  # E: mypy[arg-type] pyright[reportArgumentType]


def clock_in_seconds(clock: ManualClock) -> None:
    clock.advance(60)  # E: mypy[arg-type] pyright[reportArgumentType]
    clock.advance(timedelta(seconds=60))


# --- tests -----------------------------------------------------------------------------------------------------------


def scenario_with_a_foreign_command() -> None:
    given(router, Draft()).when(OrderPlaced)  # E: mypy[arg-type] pyright[reportArgumentType]


def scenario_to_a_command() -> None:
    given(router, Draft()).when(Place()).then(Place())  # E: mypy[arg-type] pyright[reportArgumentType]


def scenario_that_emits_a_command() -> None:
    given(router, Draft()).when(Place()).emits(AddItem(item="tea"))  # E: mypy[arg-type] pyright[reportArgumentType]


def scenario_that_fails_with_a_text() -> None:
    given(router, Draft()).when(Place()).fails("empty")  # E: mypy[arg-type] pyright[reportArgumentType]


def context_of_a_name() -> None:
    context("order", id="o-1")  # E: mypy[arg-type] pyright[reportArgumentType]


def recorded_without_data() -> None:
    RecordedMessage("OrderPlaced")  # E: mypy[call-arg] pyright[reportCallIssue]
