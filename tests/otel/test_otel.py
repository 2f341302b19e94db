from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pydantic import AfterValidator, BaseModel

from statewright import (
    Context,
    DefinitionError,
    DomainError,
    MemoryStore,
    Reactors,
    Send,
    ServerOnly,
    Source,
    StoreUnavailableError,
    Worker,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
    otel,
)
from statewright.otel import instrument
from statewright.stores.codec import CodecStore, CompressionCodec
from statewright.stores.sqlite import SQLiteStore
from statewright.testing import FaultyStore, ManualClock

SECRET = "078-05-1120"


def refuse(value: str) -> str:
    if value.endswith("!"):
        raise ValueError(f"{value} is not allowed")
    return value


class Draft(BaseModel):
    items: list[str] = []
    secret: Annotated[str, AfterValidator(refuse), ServerOnly] = SECRET


class Sent(BaseModel):
    items: list[str]


class Open(BaseModel):
    secret: Annotated[str, AfterValidator(refuse), ServerOnly] = SECRET


class Add(BaseModel):
    item: str


class Ship(BaseModel): ...


class Shipped(BaseModel):
    order_id: str
    secret: Annotated[str, ServerOnly] = SECRET


class Full(DomainError):
    most: int = 3
    secret: Annotated[str, ServerOnly] = SECRET


class Order(Workflow[Draft | Sent, Open | Add | Ship, Shipped, Full], name="order"):
    """An order."""


router: WorkflowRouter[Order, Any] = WorkflowRouter(Order)


@router.on
def open_order(_: None, command: Open) -> Draft:
    return Draft(secret=command.secret)


@router.on
async def add(order: Draft, command: Add) -> Draft:
    if command.item == "bug":
        raise LookupError(order.secret)
    if command.item == "full":
        raise Full
    if command.item.startswith("slow"):
        await asyncio.sleep(0)
    return order.model_copy(update={"items": [*order.items, command.item]})


@router.on
def ship(order: Draft, command: Ship, ctx: Context[Shipped, Any]) -> Sent:
    ctx.emit(Shipped(order_id=ctx.id))
    return Sent(items=order.items)


class Telemetry:
    """An SDK of the test's own."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)

    def instrument(self, target: Any) -> Any:
        return instrument(target, tracer_provider=self.tracers, meter_provider=self.meters)

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        return [span for span in self._spans.get_finished_spans() if name in (None, span.name)]

    def children(self, span: ReadableSpan) -> list[str]:
        found = [each for each in self.spans() if each.parent and each.parent.span_id == span.context.span_id]
        return [each.name for each in sorted(found, key=lambda each: each.start_time or 0)]

    def points(self, name: str) -> list[Any]:
        data = self._reader.get_metrics_data()
        found = [
            metric
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        return [point for metric in found for point in metric.data.data_points]

    def counts(self, name: str) -> dict[tuple[Any, ...], Any]:
        return {tuple(sorted((p.attributes or {}).items())): p.value for p in self.points(name)}

    def text(self) -> str:
        metrics = self._reader.get_metrics_data()
        return " ".join(span.to_json() for span in self.spans()) + (metrics.to_json() if metrics else "")


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    found = Telemetry()
    yield found
    found.tracers.shutdown()
    found.meters.shutdown()


@pytest.fixture
def alone() -> WorkflowRouter[Order, Any]:
    """A router that no other test has instrumented."""
    return WorkflowRouter(Order).include(router)


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    """A store whose saves take their time, so that commands gather behind them."""
    async with SQLiteStore(tmp_path / "orders.db") as store:
        yield store


def orders_over(telemetry: Telemetry, alone: Any, store: Any = None) -> Any:
    return telemetry.instrument(WorkflowExecutor(alone, store or MemoryStore()))


# --- spans ---------------------------------------------------------------------------------------------------------


async def test_spans_of_one_command(telemetry: Telemetry, alone: Any) -> None:
    """A command is a span with a load, a dispatch and a save below it, each with what is known of it."""
    orders = orders_over(telemetry, alone, _Forgetful())
    await orders.execute("o-1", Open(), expected_version=0)
    await orders.execute("o-1", Ship())

    first, second = telemetry.spans(otel.SPAN_EXECUTE)
    assert telemetry.children(first) == [otel.SPAN_LOAD, otel.SPAN_DISPATCH, otel.SPAN_SAVE]
    assert dict(first.attributes) == {
        otel.ATTR_DEFINITION: "order",
        otel.ATTR_WORKFLOW_ID: "o-1",
        otel.ATTR_COMMAND: "Open",
        otel.ATTR_EXPECTED_VERSION: 0,
        otel.ATTR_CATEGORY: "accepted",
        otel.ATTR_VERSION: 1,
        otel.ATTR_STATE: "Draft",
        otel.ATTR_EVENTS: 0,
    }
    load, dispatch, save = (telemetry.spans(name)[-1] for name in (otel.SPAN_LOAD, otel.SPAN_DISPATCH, otel.SPAN_SAVE))
    assert dict(load.attributes) == {
        otel.ATTR_WORKFLOW_ID: "o-1",
        otel.ATTR_FOUND: True,
        otel.ATTR_DEFINITION: "order",
        otel.ATTR_VERSION: 1,
    }
    assert dict(dispatch.attributes) == {
        otel.ATTR_DEFINITION: "order",
        otel.ATTR_WORKFLOW_ID: "o-1",
        otel.ATTR_COMMAND: "Ship",
        otel.ATTR_SOURCE_STATE: "Draft",
        otel.ATTR_CATEGORY: "accepted",
        otel.ATTR_VERSION: 2,
        otel.ATTR_STATE: "Sent",
        otel.ATTR_EVENTS: 1,
    }
    assert dict(save.attributes) == {
        otel.ATTR_DEFINITION: "order",
        otel.ATTR_WORKFLOW_ID: "o-1",
        otel.ATTR_VERSION: 2,
        otel.ATTR_EXPECTED_VERSION: 1,
        otel.ATTR_COMMITS: 1,
    }
    assert second.parent is None


class _Forgetful(MemoryStore):
    """A memory store of which nothing is remembered, so that each command loads."""

    is_cacheable = False


async def test_call_is_a_child_of_what_is_current(telemetry: Telemetry, alone: Any) -> None:
    """A command belongs to the trace of whoever sent it."""
    orders = orders_over(telemetry, alone)

    with telemetry.tracers.get_tracer("test").start_as_current_span("request") as request:
        await orders.execute("o-1", Open())

    [call] = telemetry.spans(otel.SPAN_EXECUTE)
    assert call.parent.span_id == request.get_span_context().span_id
    assert call.context.trace_id == request.get_span_context().trace_id


async def test_interleaved_commands_keep_their_spans_apart(telemetry: Telemetry, alone: Any) -> None:
    """Commands that wait for one workflow at the same time each have a dispatch of their own below their own call."""
    orders = orders_over(telemetry, alone)
    await orders.execute("o-1", Open())
    tracer = telemetry.tracers.get_tracer("test")

    async def send(number: int) -> None:
        with tracer.start_as_current_span(f"request {number}"):
            await orders.execute("o-1", Add(item=f"slow {number}" if number % 2 else str(number)))

    await asyncio.gather(*(send(number) for number in range(6)))

    requests = {span.context.span_id: span for span in telemetry.spans() if span.name.startswith("request")}
    calls = [span for span in telemetry.spans(otel.SPAN_EXECUTE) if span.parent]
    assert sorted(requests) == sorted(span.parent.span_id for span in calls)
    for call in calls:
        assert telemetry.children(call).count(otel.SPAN_DISPATCH) == 1
        assert call.context.trace_id == requests[call.parent.span_id].context.trace_id
    versions = [span.attributes[otel.ATTR_VERSION] for span in calls]
    dispatched = {
        span.parent.span_id: span.attributes[otel.ATTR_VERSION] for span in telemetry.spans(otel.SPAN_DISPATCH)
    }
    assert sorted(versions) == [2, 3, 4, 5, 6, 7]
    assert all(dispatched[call.context.span_id] == call.attributes[otel.ATTR_VERSION] for call in calls)


async def test_save_of_a_fold(telemetry: Telemetry, alone: Any, file: SQLiteStore) -> None:
    """The save of several commands is a child of the first one's call, and linked to those of the others."""
    orders = orders_over(telemetry, alone, file)
    await orders.execute("o-1", Open())

    await asyncio.gather(*(orders.execute("o-1", Add(item=str(number))) for number in range(4)))

    saves = telemetry.spans(otel.SPAN_SAVE)[1:]
    calls = {span.attributes[otel.ATTR_VERSION]: span.context for span in telemetry.spans(otel.SPAN_EXECUTE)}
    assert sum(span.attributes[otel.ATTR_COMMITS] for span in saves) == 4
    assert max(span.attributes[otel.ATTR_COMMITS] for span in saves) > 1
    for save in saves:
        last, commits = save.attributes[otel.ATTR_VERSION], save.attributes[otel.ATTR_COMMITS]
        assert save.parent.span_id == calls[last - commits + 1].span_id
        linked = {link.context.span_id for link in save.links}
        assert linked == {calls[version].span_id for version in range(last - commits + 2, last + 1)}


async def test_create_and_reads(telemetry: Telemetry, alone: Any) -> None:
    """`create` is a call without a command; `get` is a load by itself."""
    orders = orders_over(telemetry, alone)
    await orders.create("o-1", Draft())
    await orders.get("o-1")

    [call] = telemetry.spans(otel.SPAN_EXECUTE)
    assert otel.ATTR_COMMAND not in call.attributes
    assert (call.attributes[otel.ATTR_CATEGORY], call.attributes[otel.ATTR_VERSION]) == ("accepted", 1)
    assert telemetry.spans(otel.SPAN_LOAD)[-1].parent is None


async def test_router_alone(telemetry: Telemetry, alone: Any) -> None:
    """A router that is used without an executor has spans of its dispatches."""
    telemetry.instrument(alone)

    order = (await alone.dispatch(None, Open(), id="o-1")).unwrap().workflow
    await alone.dispatch(order, Add(item="tea"))

    assert [span.name for span in telemetry.spans()] == [otel.SPAN_DISPATCH] * 2
    assert otel.ATTR_SOURCE_STATE not in telemetry.spans()[0].attributes


async def test_dispatch_is_around_the_routers_middleware(telemetry: Telemetry, alone: Any) -> None:
    """What the router's middleware does belongs to the dispatch, whenever the middleware was added."""
    tracer = telemetry.tracers.get_tracer("test")

    def named(name: str) -> Any:
        async def middleware(ctx: Any, call_next: Any) -> Any:
            with tracer.start_as_current_span(name):
                return await call_next()

        return middleware

    alone.use(named("before"))
    telemetry.instrument(alone)
    alone.use(named("after"))
    await alone.dispatch(None, Open(), id="o-1")

    [dispatch] = telemetry.spans(otel.SPAN_DISPATCH)
    assert telemetry.children(dispatch) == ["before"]


# --- what went wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "category", "kind", "status"),
    [
        (Add(item="full"), "domain", "Full", StatusCode.UNSET),
        (Add(item="bug"), "unexpected", "UnexpectedError", StatusCode.ERROR),
        (Open(), "router", "RoutingError", StatusCode.UNSET),
        ({"type": "Add", "payload": {}}, "validation", "InvalidDataError", StatusCode.UNSET),
    ],
    ids=["refusal", "bug", "no handler", "invalid"],
)
async def test_failures_are_told_by_category(
    telemetry: Telemetry, alone: Any, command: Any, category: str, kind: str, status: StatusCode
) -> None:
    """A failure is told by category and class; only what is broken is an error, a refusal is an answer."""
    orders = orders_over(telemetry, alone)
    await orders.execute("o-1", Open())

    await orders.execute("o-1", command)

    call = telemetry.spans(otel.SPAN_EXECUTE)[-1]
    assert call.attributes[otel.ATTR_CATEGORY] == category
    assert call.attributes[otel.ATTR_ERROR_TYPE] == kind
    assert call.status.status_code is status
    assert call.events == ()


async def test_store_that_fails(telemetry: Telemetry, alone: Any) -> None:
    """A failing load and a failing save are errors of their own spans and of the call."""
    store = FaultyStore(_Forgetful()).fail(1, on="load").fail(1, on="save", how="after")
    orders = orders_over(telemetry, alone, store)

    await orders.execute("o-1", Open())
    await orders.execute("o-1", Open())

    failed = [span for span in telemetry.spans() if span.status.status_code is StatusCode.ERROR]
    assert [(span.name, span.attributes[otel.ATTR_ERROR_TYPE]) for span in failed] == [
        (otel.SPAN_LOAD, "StoreUnavailableError"),
        (otel.SPAN_EXECUTE, "StoreUnavailableError"),
        (otel.SPAN_SAVE, "OutcomeUnknownError"),
        (otel.SPAN_EXECUTE, "OutcomeUnknownError"),
    ]


async def test_store_that_raises_at_once(telemetry: Telemetry, alone: Any) -> None:
    """A save that fails before it has begun still ends its span."""

    class Broken(MemoryStore):
        def submit(self, options: Any) -> Any:
            raise StoreUnavailableError

    orders = orders_over(telemetry, alone, Broken())

    assert not (await orders.execute("o-1", Open())).ok
    [save] = telemetry.spans(otel.SPAN_SAVE)
    assert save.attributes[otel.ATTR_CATEGORY] == "store"


async def test_cancelled_call_ends_its_span(telemetry: Telemetry, alone: Any) -> None:
    """A call that is given up ends its span, and counts as cancelled."""
    store = FaultyStore(MemoryStore()).fail(1, how="hang")
    orders = orders_over(telemetry, alone, store)

    call = asyncio.create_task(orders.execute("o-1", Open()))
    await store.until_hanging()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    store.release()

    assert len(telemetry.spans(otel.SPAN_EXECUTE)) == 1
    assert [dict(point.attributes)[otel.ATTR_CATEGORY] for point in telemetry.points(otel.METRIC_COMMANDS)] == [
        "cancelled"
    ]


async def test_lost_race_is_told(telemetry: Telemetry, alone: Any) -> None:
    """A command that lost a race is dispatched twice in one call, which notes the retry; both are counted."""
    store = _Forgetful()
    entered, held = asyncio.Event(), asyncio.Event()

    async def hold(ctx: Any, call_next: Any) -> Any:
        entered.set()
        await held.wait()
        return await call_next()

    other = WorkflowExecutor(router, store)
    await other.execute("o-1", Open())
    orders = telemetry.instrument(WorkflowExecutor(alone, _Apart(store)).use(hold))
    call = asyncio.create_task(orders.execute("o-1", Add(item="tea")))
    await entered.wait()
    await other.execute("o-1", Add(item="mug"))
    held.set()
    assert (await call).ok

    [span] = telemetry.spans(otel.SPAN_EXECUTE)
    assert telemetry.children(span).count(otel.SPAN_DISPATCH) == 2
    assert [(event.name, dict(event.attributes)) for event in span.events] == [
        (otel.EVENT_RETRIED, {otel.ATTR_RETRY: 1})
    ]
    order = ((otel.ATTR_DEFINITION, "order"),)
    assert telemetry.counts(otel.METRIC_CONFLICTS) == {order: 1}
    assert telemetry.counts(otel.METRIC_RETRIES) == {order: 1}


class _Apart:
    """Another process's view of a store: its lanes are its own."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def load(self, id: str) -> Any:
        return await self._store.load(id)

    async def save(self, options: Any) -> None:
        await self._store.save(options)


# --- metrics -------------------------------------------------------------------------------------------------------


async def test_commands_are_counted_by_category(telemetry: Telemetry, alone: Any) -> None:
    """Each call counts once, by definition, command and what became of it; made-up names are `_OTHER`."""
    orders = orders_over(telemetry, alone)
    await orders.execute("o-1", Open(), idempotency_key="k")
    await orders.execute("o-1", Open(), idempotency_key="k")
    await orders.execute("o-1", Add(item="full"))
    await orders.execute("o-1", {"type": SECRET})
    await orders.execute("o-1", SECRET)
    await orders.execute("o-2", Ship())

    found = {
        (dict(point.attributes)[otel.ATTR_COMMAND], dict(point.attributes)[otel.ATTR_CATEGORY]): point.value
        for point in telemetry.points(otel.METRIC_COMMANDS)
    }
    assert found == {
        ("Open", "accepted"): 1,
        ("Open", "replayed"): 1,
        ("Add", "domain"): 1,
        ("_OTHER", "router"): 2,
        ("Ship", "not_found"): 1,
    }
    assert sum(point.count for point in telemetry.points(otel.METRIC_DURATION)) == 6
    assert SECRET not in telemetry.text()


async def test_fold_sizes_are_measured(telemetry: Telemetry, alone: Any, file: SQLiteStore) -> None:
    """The number of commits in each save is measured."""
    orders = orders_over(telemetry, alone, file)
    await orders.execute("o-1", Open())
    await asyncio.gather(*(orders.execute("o-1", Add(item=str(number))) for number in range(10)))

    [point] = telemetry.points(otel.METRIC_FOLD_COMMITS)
    assert point.sum == 11
    assert point.count == len(telemetry.spans(otel.SPAN_SAVE)) < 11


async def test_batch_sizes_are_measured(telemetry: Telemetry, alone: Any, file: SQLiteStore) -> None:
    """The number of saves in each transaction is measured, where the store gathers them."""
    orders = orders_over(telemetry, alone, CodecStore(file, CompressionCodec()))
    await asyncio.gather(*(orders.execute(f"o-{number}", Open()) for number in range(20)))

    [point] = telemetry.points(otel.METRIC_BATCH_SAVES)
    assert point.sum == 20
    assert point.count < 20


# --- workers -------------------------------------------------------------------------------------------------------


def by_role(telemetry: Telemetry, name: str) -> dict[str, Any]:
    return {dict(point.attributes)[otel.ATTR_ROLE]: point.value for point in telemetry.points(name)}


def shipping() -> Reactors:
    reactors = Reactors()

    @reactors.on
    def copy(event: Shipped, source: Source) -> Send:
        return Send("order", f"copy-{source.workflow_id}", Add(item="one"))

    return reactors


class Press:
    """A publisher that does not work."""

    name = "press"

    async def publish(self, commit: Any) -> None:
        raise OSError("out of paper")


async def test_workers_tell_what_they_do_and_how_far_they_are(telemetry: Telemetry, alone: Any) -> None:
    """Throughput and lag of each role are measured, of all workers of the process together, while they hold it."""
    store = MemoryStore()
    orders = WorkflowExecutor(alone, store)
    (await orders.execute("copy-o-1", Open())).unwrap()
    for id in ("o-1", "o-2"):
        (await orders.execute(id, Open())).unwrap()
        (await orders.execute(id, Ship())).unwrap()
    workers = [
        Worker(store, [orders], reactors=shipping(), start=0),
        Worker(store, publishers=[Press()], start=0),
    ]
    for worker in workers:
        telemetry.instrument(telemetry.instrument(worker))
        worker._watches[0]._every = 0.01
    working = [asyncio.create_task(worker.run()) for worker in workers]
    expected = [
        {"timers:order": 0, "reactor:copy": 0, "publisher:press": 6},
        {"timers:order": 0, "reactor:copy": 1, "publisher:press": 0},
        {"timers:order": 0, "reactor:copy": 1, "publisher:press": 0},
    ]
    names = (otel.METRIC_WORKER_LAG, otel.METRIC_WORKER_UNDELIVERED, otel.METRIC_WORKER_ACTED)

    async with asyncio.timeout(30):
        while [by_role(telemetry, name) for name in names] != expected:  # noqa: ASYNC110 - the workers are the clock
            await asyncio.sleep(0.01)
    late = by_role(telemetry, otel.METRIC_WORKER_LATE)
    assert late.pop("publisher:press") > 0
    assert set(late.values()) == {0}

    for each in working:
        each.cancel()
    await asyncio.wait(working)
    assert by_role(telemetry, otel.METRIC_WORKER_LAG) == {}
    assert by_role(telemetry, otel.METRIC_WORKER_ACTED) == expected[-1]


# --- context that travels ------------------------------------------------------------------------------------------


async def test_commit_carries_the_context(telemetry: Telemetry, alone: Any) -> None:
    """A commit keeps the span of its call as `traceparent`, beside what the caller sent."""
    orders = orders_over(telemetry, alone)
    await orders.execute("o-1", Open(), metadata={"user": "ann"})

    [commit] = await orders.history("o-1")
    [call] = telemetry.spans(otel.SPAN_EXECUTE)
    assert commit.metadata["user"] == "ann"
    assert commit.metadata["traceparent"].startswith(f"00-{call.context.trace_id:032x}-{call.context.span_id:016x}-")
    assert commit.metadata.keys() == {"user", "traceparent"}


async def test_context_of_the_caller_is_linked(telemetry: Telemetry, alone: Any) -> None:
    """A `traceparent` that comes in with the metadata is linked to, and gives way to the call's own."""
    orders = orders_over(telemetry, alone)
    sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    await orders.execute("o-1", Open(), metadata={"traceparent": sent})

    [call] = telemetry.spans(otel.SPAN_EXECUTE)
    assert [f"{link.context.span_id:016x}" for link in call.links] == ["b7ad6b7169203331"]
    [commit] = await orders.history("o-1")
    assert commit.metadata["traceparent"].split("-")[2] == f"{call.context.span_id:016x}"


@pytest.mark.parametrize("traceparent", ["nonsense", "", 7, ["00"], None])
async def test_metadata_that_only_looks_like_a_context(telemetry: Telemetry, alone: Any, traceparent: Any) -> None:
    """Whatever stands under `traceparent`, the command is executed."""
    orders = orders_over(telemetry, alone)

    assert (await orders.execute("o-1", Open(), metadata={"traceparent": traceparent, "tracestate": 1})).ok
    assert telemetry.spans(otel.SPAN_EXECUTE)[0].links == ()


async def test_invalid_metadata_is_refused_as_ever(telemetry: Telemetry, alone: Any) -> None:
    """Metadata that is no mapping is found by the executor, not by telemetry."""
    orders = orders_over(telemetry, alone)

    error = (await orders.execute("o-1", Open(), metadata=["a"])).error

    assert (error.category, error.source) == ("validation", "argument")


async def test_reactors_command_is_linked_to_its_cause(telemetry: Telemetry, alone: Any) -> None:
    """What a worker delivers because of a commit is a trace of its own, linked to the call that made the commit."""
    store = MemoryStore()
    orders = orders_over(telemetry, alone, store)
    reactors = Reactors()

    @reactors.on
    def follow(event: Shipped, source: Source) -> Send:
        return Send("order", f"copy-of-{event.order_id}", Open())

    await orders.execute("o-1", Open())
    await orders.execute("o-1", Ship())
    await Worker(store, executors=[orders], reactors=reactors, start=0).run_until_idle()

    cause, effect = telemetry.spans(otel.SPAN_EXECUTE)[-2:]
    assert effect.attributes[otel.ATTR_WORKFLOW_ID] == "copy-of-o-1"
    assert effect.attributes[otel.ATTR_COMMAND] == "Open"
    assert effect.parent is None
    assert [link.context.span_id for link in effect.links] == [cause.context.span_id]
    [commit] = await orders.history("copy-of-o-1")
    assert commit.metadata["traceparent"].split("-")[2] == f"{effect.context.span_id:016x}"


async def test_timers_command_is_a_call(telemetry: Telemetry) -> None:
    """A due timer's command is a call of its own."""
    clock = ManualClock()
    own: WorkflowRouter[Order, Any] = WorkflowRouter(Order, clock=clock)

    @own.on
    def open_with_timer(_: None, command: Open, ctx: Context[Shipped, Any]) -> Draft:
        ctx.schedule(Ship(), delay=timedelta(hours=1))
        return Draft()

    own.on(ship)
    store = MemoryStore()
    orders = telemetry.instrument(WorkflowExecutor(own, store))
    await orders.execute("o-1", Open())
    clock.advance(timedelta(hours=2))
    await Worker(store, executors=[orders], clock=clock).run_until_idle()

    assert [span.attributes[otel.ATTR_COMMAND] for span in telemetry.spans(otel.SPAN_EXECUTE)] == ["Open", "Ship"]
    assert telemetry.spans(otel.SPAN_EXECUTE)[-1].attributes[otel.ATTR_CATEGORY] == "accepted"


# --- the rest ------------------------------------------------------------------------------------------------------


async def test_no_data_leaves(telemetry: Telemetry, alone: Any) -> None:
    """No span and no metric quotes what a workflow, command, event or error holds, nor any exception's words."""
    orders = orders_over(telemetry, alone)
    await orders.execute("o-1", Open())
    await orders.execute("o-1", Add(item="private words"))
    await orders.execute("o-1", Add(item="bug"))
    await orders.execute("o-1", Add(item="full"))
    await orders.execute("o-1", {"type": "Open", "payload": {"secret": SECRET + "!"}})
    await orders.execute("o-1", Ship())

    found = telemetry.text()

    assert json.dumps("o-1") in found
    assert SECRET not in found
    assert "private words" not in found
    assert "Traceback" not in found


async def test_instrumenting_twice_changes_nothing(telemetry: Telemetry, alone: Any) -> None:
    """Whatever is instrumented again, in whatever company, has one span for each thing it does."""
    store = MemoryStore()
    orders = orders_over(telemetry, alone, store)
    telemetry.instrument(orders)
    telemetry.instrument(alone)
    telemetry.instrument(WorkflowExecutor(alone.with_deps(None), store))

    await orders.execute("o-1", Open())

    names = [span.name for span in telemetry.spans()]
    assert sorted(names) == sorted([otel.SPAN_EXECUTE, otel.SPAN_LOAD, otel.SPAN_DISPATCH, otel.SPAN_SAVE])


def test_synchronous_surface_is_instrumented(telemetry: Telemetry, alone: Any) -> None:
    """Calls through `sync()` are calls like all others."""
    with orders_over(telemetry, alone).sync() as orders:
        orders.execute("o-1", Open()).unwrap()

    assert len(telemetry.spans(otel.SPAN_EXECUTE)) == 1


async def test_without_an_sdk_nothing_changes(alone: Any) -> None:
    """With the API alone commands are executed as ever, and commits carry no context."""
    orders = instrument(WorkflowExecutor(alone, MemoryStore()))

    assert (await orders.execute("o-1", Open(), metadata={"user": "ann"})).ok
    assert [commit.metadata for commit in await orders.history("o-1")] == [{"user": "ann"}]
    assert trace.get_current_span(context.Context()).get_span_context().is_valid is False


@pytest.mark.parametrize("target", [Order, MemoryStore(), None], ids=["class", "store", "nothing"])
def test_something_else_is_refused(target: Any) -> None:
    """Only executors, routers and workers can be instrumented."""
    with pytest.raises(DefinitionError, match="takes a WorkflowExecutor, a WorkflowRouter or a Worker"):
        instrument(target)


def test_table_of_names() -> None:
    """Every name in the table is ours, or one of OpenTelemetry's own conventions, and none is used twice."""
    names = {name: getattr(otel, name) for name in otel.__all__ if name.isupper()}

    assert len(set(names.values())) == len(names)
    assert {value for value in names.values() if not value.startswith("statewright.")} == {"error.type"}
