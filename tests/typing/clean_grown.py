"""What a grown workflow is written with: clean under both checkers."""

from typing import Annotated, Any, assert_type

from pydantic import BaseModel

from statewright import (
    Commit,
    Execution,
    Failure,
    MemoryStore,
    MigrationReport,
    Migrations,
    Observer,
    RecordedMessage,
    Result,
    ServerOnly,
    Success,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
    WorkflowSnapshot,
    migrate,
)
from statewright.errors import ConcurrencyConflictError, ExecutionError
from statewright.otel import instrument
from statewright.stores.codec import AESGCMCodec, Codec, CodecStore, CompressionCodec


class Draft(BaseModel):
    items: list[str] = []
    ssn: Annotated[str, ServerOnly] = ""


class Open(BaseModel): ...


class Opened(BaseModel): ...


class Order(Workflow[Draft, Open, Opened], name="order", model_version=2):
    def count(self) -> int:
        return len(self.data.items)


router = WorkflowRouter(Order)


@router.on
def open_order(_: None, command: Open) -> Draft:
    return Draft()


migrations = Migrations(Order)


@migrations.to(2, "orders have items")
def with_items(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
    return snapshot.replace(data={"items": []})


@migrations.event("Begun", to=2)
def rename(event: RecordedMessage) -> RecordedMessage:
    return RecordedMessage("Opened", event.data)


assert_type(with_items(WorkflowSnapshot.from_dict({})), WorkflowSnapshot)


class Reversed:
    """A codec of the user's own."""

    def encode(self, text: str, place: str) -> str:
        return text[::-1]

    def decode(self, text: str, place: str) -> str:
        return text[::-1]


class Ledger(Observer):
    def committed(self, commit: Commit) -> None:
        print(commit.version)

    def failed(self, error: ExecutionError, workflow: Any, command: Any) -> None:
        print(error.category)

    def conflicted(self, error: ConcurrencyConflictError) -> None:
        print(error.actual_version)

    def dispatch_ended(self, workflow: Any, command: Any, result: Result) -> None:
        print(result.ok)


def audited(router: WorkflowRouter[Order, None]) -> None:
    """A plugin."""
    router.observe(Ledger())


def told(report: MigrationReport) -> None:
    print(report.migrated, [failure.id for failure in report.failures])


async def main() -> None:
    own: Codec = Reversed()
    store = CodecStore(MemoryStore(), CompressionCodec(level=9), AESGCMCodec({"k": bytes(32)}, current="k"), own)
    audited(router)
    orders = instrument(WorkflowExecutor(router, store, migrations=migrations))
    assert_type(orders, WorkflowExecutor[Order])
    match await orders.execute("o-1", Open()):
        case Success(workflow=order):
            assert_type(order.count(), int)
            assert_type(order.to_client(), dict[str, Any])
        case Failure(error=error):
            raise error
    report = await migrate(store, migrations, dry_run=False, after="o-1", progress=told)
    assert_type(report.migrated, int)
    async with store:
        print(await store.load("o-1"))


async def middleware(ctx: Execution, call_next: Any) -> Any:
    return await call_next()
