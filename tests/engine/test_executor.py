"""The executor: what is checked in which order, what it answers, and that it never raises."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewright import (
    ConcurrencyConflictError,
    Context,
    ContextKey,
    DefinitionError,
    Execution,
    Failure,
    IdempotencyError,
    InvalidDataError,
    MemoryStore,
    NotFoundError,
    OutcomeUnknownError,
    RecordedAnswer,
    RecordedMessage,
    RestoreError,
    RoutingError,
    SaveOptions,
    StoredWorkflow,
    StoreError,
    StoreUnavailableError,
    Success,
    UnexpectedError,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
    WorkflowSnapshot,
)
from tests.engine.held_store import HeldStore
from tests.model.orders import (
    NOON,
    AddItem,
    Cancel,
    Cancelled,
    Draft,
    EmptyOrder,
    ItemAdded,
    Open,
    Order,
    Place,
    Placed,
    TooMany,
    failed,
    routed,
    succeeded,
)
from tests.model.test_dispatch import ENVELOPES, JSON, hostile
from tests.testing.stores import DictStore

Ctx = Context[Any, Any]


def open_order(_: None, command: Open) -> Draft:
    return Draft()


def add(order: Draft, command: AddItem, ctx: Ctx) -> Draft:
    ctx.emit(ItemAdded(item=command.item))
    return Draft(items=[*order.items, command.item])


def place(order: Draft, command: Place) -> Placed:
    if not order.items:
        raise EmptyOrder(minimum=1)
    return Placed(items=order.items)


def cancel(order: Draft | Placed, command: Cancel) -> Cancelled | None:
    return Cancelled(reason=command.reason) if command.reason else None


def orders(store: Any = None, **options: Any) -> Any:
    """Return an executor of the usual handlers; its clock stands at noon."""
    router = routed(open_order, add, place, cancel)
    return WorkflowExecutor(router, MemoryStore() if store is None else store, **options)


async def opened(store: Any = None, *items: str, **options: Any) -> Any:
    """Return an executor over a store that has the order "o-1"."""
    executor = orders(store, **options)
    succeeded(await executor.execute("o-1", Open()))
    for item in items:
        succeeded(await executor.execute("o-1", AddItem(item=item)))
    return executor


# --- the order of the checks -----------------------------------------------------------------------------------------


class Rigged:
    """A store of which each step can be made to fail."""

    def __init__(self, wrong: set[str]) -> None:
        self.wrong = wrong
        self.saved = 0

    async def load(self, id: str) -> StoredWorkflow | None:
        if "load" in self.wrong:
            raise StoreUnavailableError("load")
        if "existence" in self.wrong:
            return None
        state = "Unheard" if "restore" in self.wrong else "Draft"
        return StoredWorkflow(WorkflowSnapshot(id, "order", state, {"items": []}, 1, 3, NOON, NOON), 3)

    async def recall(self, id: str, key: str) -> RecordedAnswer | None:
        if "key" in self.wrong:
            raise StoreUnavailableError("recall")
        return None

    async def save(self, options: SaveOptions) -> None:
        self.saved += 1
        if "save" in self.wrong:
            raise StoreUnavailableError("save")


STEPS = (
    *("arguments", "name", "payload", "load", "key", "existence", "restore", "version", "middleware", "handler"),
    "save",
)
"""In the contract's order."""


async def run_with(wrong: set[str], way: str) -> tuple[str, Rigged]:
    """Send a command of which these steps are wrong; return the step that was complained about."""
    store = Rigged(wrong)

    def handler(order: Draft, command: AddItem) -> Draft:
        if "handler" in wrong:
            raise TooMany(maximum=1)
        return order

    async def middleware(ctx: Execution, call_next: Any) -> Any:
        return Failure(EmptyOrder(minimum=9)) if "middleware" in wrong else await call_next()

    executor: Any = WorkflowExecutor(routed(handler), store, retries=0).use(middleware)
    command = {
        "type": "Unheard" if "name" in wrong else "AddItem",
        "payload": {"item": 3 if "payload" in wrong else "tea"},
    }
    options: dict[str, Any] = {"expected_version": 2 if "version" in wrong else 3}
    if "arguments" in wrong:
        options["metadata"] = 7
    if way == "execute":
        options["idempotency_key"] = "k"
    return blamed(await getattr(executor, way)("o-1", command, **options)), store


BY_ERROR: dict[type[BaseException], str] = {
    NotFoundError: "existence",
    RestoreError: "restore",
    ConcurrencyConflictError: "version",
    EmptyOrder: "middleware",
    TooMany: "handler",
}


def blamed(result: Any) -> str:
    """Return which step a result complains about."""
    match result:
        case Success():
            return "nothing"
        case Failure(error=InvalidDataError(source=source)):
            return {"argument": "arguments", "command": "payload"}[source]
        case Failure(error=RoutingError(code="UNKNOWN_COMMAND")):
            return "name"
        case Failure(error=StoreUnavailableError(reason=reason)):
            return {"load": "load", "recall": "key", "save": "save"}[reason]
        case Failure(error=error):
            return BY_ERROR[type(error)]
    return repr(result)


PAIRS = [pair for pair in itertools.combinations(STEPS, 2) if pair != ("existence", "restore")]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
async def test_of_two_things_that_are_wrong_the_first_is_told(first: str, second: str) -> None:
    """Arguments, name, payload, load, key, existence, restore, version, middleware, handler, save: in this order."""
    told, store = await run_with({first, second}, "execute")

    assert told == first
    assert store.saved == 0 or first == "save"


@pytest.mark.parametrize("wrong", STEPS)
async def test_one_thing_that_is_wrong_is_told(wrong: str) -> None:
    """Each step is really looked at."""
    told, store = await run_with({wrong}, "execute")

    assert told == wrong
    assert store.saved == (wrong == "save")


@pytest.mark.parametrize(("first", "second"), [p for p in PAIRS if not {"key", "save"} & set(p)])
async def test_a_preview_checks_in_the_same_order(first: str, second: str) -> None:
    """What a preview says is what `execute` would say."""
    told, store = await run_with({first, second}, "preview")

    assert told == first
    assert store.saved == 0


async def test_nothing_wrong_is_saved_once() -> None:
    """With nothing wrong there is one save, and none in a preview."""
    assert [(await run_with(set(), way))[1].saved for way in ("execute", "preview")] == [1, 0]


class Answering(Rigged):
    """Remembers a key for a workflow, whatever else is wrong with it."""

    def __init__(self, wrong: set[str], command: str = "AddItem") -> None:
        super().__init__(wrong)
        snapshot = WorkflowSnapshot("o-1", "order", "Draft", {"items": ["first"]}, 1, 2, NOON, NOON)
        self.answer = RecordedAnswer(
            command, '{"item":"tea"}', snapshot, (RecordedMessage("ItemAdded", {"item": "tea"}),)
        )

    async def recall(self, id: str, key: str) -> RecordedAnswer | None:
        return self.answer


@pytest.mark.parametrize("wrong", ["existence", "restore", "version"])
async def test_a_known_key_is_answered_before_existence_restore_and_version(wrong: str) -> None:
    """A repeated command gets its first answer, whatever has become of the workflow since."""
    executor = orders(Answering({wrong}))
    version = 9 if wrong == "version" else None

    result = succeeded(
        await executor.execute("o-1", AddItem(item="tea"), idempotency_key="k", expected_version=version)
    )

    assert (result.replayed, result.version, result.workflow.data.items) == (True, 2, ["first"])
    assert result.events == (ItemAdded(item="tea"),)


async def test_middleware_runs_around_a_replay() -> None:
    """Who may not act may not read, nor learn that a key exists: the answer stands in the place of the handler."""
    seen: list[Any] = []

    async def middleware(ctx: Execution, call_next: Any) -> Any:
        seen.append((ctx.replayed, ctx.command))
        return await call_next() if ctx.metadata.get("actor") == "ann" else Failure(EmptyOrder(minimum=1))

    executor = orders(Answering(set())).use(middleware)
    for command in (AddItem(item="tea"), AddItem(item="milk")):
        failed(await executor.execute("o-1", command, idempotency_key="k"), EmptyOrder)
    options = {"idempotency_key": "k", "metadata": {"actor": "ann"}}

    assert succeeded(await executor.execute("o-1", AddItem(item="tea"), **options)).replayed
    error = failed(await executor.execute("o-1", AddItem(item="milk"), **options), IdempotencyError)
    assert (error.workflow_id, error.key) == ("o-1", "k")
    assert all(replayed for replayed, _ in seen)


# --- executing -----------------------------------------------------------------------------------------------------


async def test_an_accepted_command_is_saved_with_everything_about_it() -> None:
    """State, command, events, metadata, version and time of a command are in its one commit."""
    executor = await opened(None, "tea")
    await executor.execute("o-1", AddItem(item="milk"), metadata={"actor": "ann", "tags": ["a"]})

    commit = (await executor.history("o-1", after=2))[0]
    order = await executor.get("o-1")

    assert (order.version, order.state, order.data.items) == (3, "Draft", ["tea", "milk"])
    assert (commit.version, commit.workflow_id, commit.definition, commit.state) == (3, "o-1", "order", "Draft")
    assert commit.command == RecordedMessage("AddItem", {"item": "milk", "count": 1})
    assert commit.events == (ItemAdded(item="milk"),)
    assert commit.metadata == {"actor": "ann", "tags": ["a"]}
    assert commit.recorded_at == NOON


@pytest.mark.parametrize("command", [AddItem(item="tea"), {"type": "AddItem", "payload": {"item": "tea"}}])
async def test_instance_and_wire_form_are_one(command: Any) -> None:
    """An instance does what its stored form does."""
    executor = await opened()

    assert succeeded(await executor.execute("o-1", command)).workflow.data.items == ["tea"]


async def test_a_handler_that_keeps_the_state_still_makes_a_commit() -> None:
    """`None` is a decision, too."""
    executor = await opened(None, "tea")

    result = succeeded(await executor.execute("o-1", Cancel()))

    assert (result.version, result.workflow.data.items) == (3, ["tea"])
    assert [commit.version for commit in await executor.history("o-1")] == [1, 2, 3]


@pytest.mark.parametrize("command", [Place(), AddItem.model_construct(), {"type": "Nope"}, AddItem(item="\0")])
async def test_a_failed_command_saves_nothing(command: Any) -> None:
    """A refusal or an error leaves version, state and history as they were."""
    executor = await opened()

    failed(await executor.execute("o-1", command))

    assert (await executor.get("o-1")).version == 1
    assert len(await executor.history("o-1")) == 1


async def test_on_a_missing_workflow_only_creating_commands_are_looked_at() -> None:
    """A command that creates nothing is NotFoundError, with and without an expected version."""
    executor = orders()
    for version in (None, 0, 3):
        error = failed(await executor.execute("o-9", AddItem(item="x"), expected_version=version), NotFoundError)
        assert error.workflow_id == "o-9"
        assert "'o-9'" in str(error)

    succeeded(await executor.execute("o-9", Open(), expected_version=0))


async def test_a_creating_command_on_an_existing_workflow_has_no_handler() -> None:
    """A command that only creates is refused by the state that it meets."""
    executor = await opened()

    assert failed(await executor.execute("o-1", Open()), RoutingError).code == "NO_HANDLER"


@pytest.mark.parametrize("version", [0, 1, 3, 99])
async def test_another_version_than_expected_is_a_conflict(version: int) -> None:
    """The conflict says what was expected and what was found; 0 means that it must not exist."""
    executor = await opened(None, "tea")

    error = failed(await executor.execute("o-1", AddItem(item="x"), expected_version=version), ConcurrencyConflictError)

    assert (error.workflow_id, error.expected_version, error.actual_version) == ("o-1", version, 2)
    assert all(word in str(error) for word in ("'o-1'", "version 2"))
    succeeded(await executor.execute("o-1", AddItem(item="x"), expected_version=2))


class Invoice(Workflow[Draft, Open | AddItem], name="invoice"): ...


async def test_an_executor_sees_only_workflows_of_its_own_definition() -> None:
    """Another definition's workflow is a RestoreError that names both, in every way in."""
    store = MemoryStore()
    await opened(store)
    router = WorkflowRouter(Invoice)

    @router.on
    def open_or_add(draft: Draft | None, command: Open | AddItem) -> Draft:
        return Draft()

    invoices = WorkflowExecutor(router, store)
    for error in (
        failed(await invoices.execute("o-1", Open()), RestoreError),
        failed(await invoices.preview("o-1", Open()), RestoreError),
        *[
            await raised(call)
            for call in (
                lambda: invoices.get("o-1"),
                lambda: invoices.at("o-1", 1),
                lambda: invoices.history("o-1"),
                lambda: invoices.available_commands("o-1"),
                lambda: invoices.forget("o-1"),
            )
        ],
    ):
        assert type(error) is RestoreError
        assert error.workflow_id == "o-1"
        assert "'order'" in str(error)
        assert "'invoice'" in str(error)
    failed(await invoices.create("o-1", Draft()), ConcurrencyConflictError)


async def raised(call: Callable[[], Any]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the test looks at it
        await call()
    return caught.value


async def test_a_command_is_the_same_for_every_attempt() -> None:
    """What a handler does to its command, and what was set in it, does not reach the next attempt or the commit."""
    seen: list[Any] = []

    def handler(order: Draft, command: AddItem) -> Draft:
        seen.append((command.item, command.count, set(command.model_fields_set)))
        command.item = command.item + "!"
        command.count = 7
        return order

    store = HeldStore()
    router = routed(open_order, handler)
    executor, elsewhere = WorkflowExecutor(router, store), WorkflowExecutor(routed(add), store.inner)
    succeeded(await executor.execute("o-1", Open()))
    store.holds = True
    task = asyncio.create_task(executor.execute("o-1", AddItem(item="tea")))
    await store.until_saving()
    succeeded(await elsewhere.execute("o-1", AddItem(item="first")))
    store.holds = False
    store.let_save()
    succeeded(await task)

    assert seen == [("tea", 1, {"item"})] * 2
    assert store.saves[-1].commits[-1].command.data == {"item": "tea", "count": 1}


# --- lost races ----------------------------------------------------------------------------------------------------


class Stormy(DictStore):
    """Loses the first races."""

    def __init__(self, losses: int) -> None:
        super().__init__()
        self.losses = losses
        self.loads = self.saves = 0

    async def load(self, id: str) -> StoredWorkflow | None:
        self.loads += 1
        return await super().load(id)

    async def save(self, options: SaveOptions) -> None:
        self.saves += 1
        if self.losses and options.expected_version:
            self.losses -= 1
            raise ConcurrencyConflictError(options.id, options.expected_version, options.expected_version + 1)
        await super().save(options)


@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_a_lost_race_is_decided_again_so_often(retries: int) -> None:
    """After `retries` further attempts, each from a fresh load, the conflict is the answer."""
    for losses in range(retries + 2):
        store = Stormy(losses)
        executor = await opened(store, retries=retries)
        store.loads = store.saves = 0

        result = await executor.execute("o-1", AddItem(item="tea"))

        attempts = min(losses, retries) + 1
        assert (store.loads, store.saves) == (attempts, attempts)
        if losses <= retries:
            succeeded(result)
        else:
            assert failed(result, ConcurrencyConflictError).actual_version == 2


async def test_with_an_expected_version_never() -> None:
    """The caller decides what a lost race means."""
    store = Stormy(1)
    executor = await opened(store)
    store.saves = 0

    error = failed(await executor.execute("o-1", AddItem(item="x"), expected_version=1), ConcurrencyConflictError)

    assert (error.expected_version, error.actual_version, store.saves) == (1, 2, 1)


async def test_a_storm_of_conflicts_ends() -> None:
    """Callers whose every save loses are told so, each, and nothing hangs."""
    executor = await opened(Stormy(10**6), retries=2)

    results = await asyncio.gather(*(executor.execute("o-1", AddItem(item=str(n))) for n in range(20)))

    assert {type(result.error) for result in results} == {ConcurrencyConflictError}


@pytest.mark.parametrize("retries", [-1, True, 1.5, None, "3"])
def test_retries_are_a_number(retries: Any) -> None:
    """Anything but an integer from 0 is refused where it is wired."""
    with pytest.raises(DefinitionError, match="retries"):
        orders(retries=retries)


# --- saves that fail -------------------------------------------------------------------------------------------------


class Breaking(DictStore):
    """Raises from `save`, doing it or not."""

    def __init__(self, error: BaseException, *, does_it: bool = False) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self.next = error
        self.does_it = does_it
        self.saves = 0

    async def save(self, options: SaveOptions) -> None:
        self.saves += 1
        if self.error is not None:
            if self.does_it:
                await super().save(options)
            raise self.error
        await super().save(options)
        self.error = self.next


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("driver"),
        KeyError(),
        TimeoutError(),
        ConnectionResetError(),
        asyncio.CancelledError(),
        StopAsyncIteration(),
        NotFoundError("o-1"),
        UnexpectedError(),
        ExceptionGroup("g", [ValueError()]),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("does_it", [True, False])
async def test_any_other_exception_of_a_save_is_an_unknown_outcome(error: BaseException, does_it: bool) -> None:  # noqa: FBT001
    """It may have been saved: it is never tried again, and the cause is kept."""
    store = Breaking(error, does_it=does_it)
    executor = await opened(store)

    found = failed(await executor.execute("o-1", AddItem(item="x")), OutcomeUnknownError)

    assert found.__cause__ is not None
    assert store.saves == 2
    store.error = None
    assert (await executor.get("o-1")).version == (2 if does_it else 1)
    succeeded(await executor.execute("o-1", AddItem(item="y")))


@pytest.mark.parametrize("error", [StoreUnavailableError("down"), OutcomeUnknownError("?"), InvalidDataError("state")])
async def test_what_a_save_may_raise_is_the_answer(error: Any) -> None:
    """A store that knows what happened says it itself; nothing is tried again."""
    store = Breaking(error)
    executor = await opened(store)

    found = failed(await executor.execute("o-1", AddItem(item="x")), type(error))

    assert str(found) == str(error)
    assert store.saves == 2


# --- middleware ----------------------------------------------------------------------------------------------------

USER = ContextKey[str]("user")


async def test_middleware_is_told_everything_about_an_attempt() -> None:
    """Id, command, what is stored, metadata, expected version, and whether it is a replay."""
    seen: list[Any] = []

    async def middleware(ctx: Execution, call_next: Any) -> Any:
        stored = None if ctx.stored is None else (ctx.stored.id, ctx.stored.state, ctx.stored.version)
        seen.append((ctx.id, ctx.command, stored, dict(ctx.metadata), ctx.expected_version, ctx.replayed))
        return await call_next()

    executor = orders().use(middleware)
    await executor.execute("o-1", Open())
    await executor.execute("o-1", AddItem(item="x"), expected_version=1, metadata={"a": 1}, idempotency_key="k")
    await executor.execute("o-1", AddItem(item="x"), metadata={"a": 2}, idempotency_key="k")

    assert seen == [
        ("o-1", Open(), None, {}, None, False),
        ("o-1", AddItem(item="x"), ("o-1", "Draft", 1), {"a": 1}, 1, False),
        ("o-1", AddItem(item="x"), ("o-1", "Draft", 2), {"a": 2}, None, True),
    ]


async def test_middleware_is_an_onion_around_the_routers() -> None:
    """First added is outermost; the executor's surrounds the router's."""
    steps: list[str] = []

    def named(name: str) -> Any:
        async def middleware(ctx: Any, call_next: Any) -> Any:
            steps.append(f"{name}>")
            result = await call_next()
            steps.append(f"<{name}")
            return result

        return middleware

    executor = await opened()
    executor.router.use(named("router"))
    assert executor.use(named("a")) is executor
    executor.use(named("b"))
    await executor.execute("o-1", AddItem(item="x"))

    assert steps == ["a>", "b>", "router>", "<router", "<b", "<a"]


async def test_the_bag_goes_from_middleware_to_handler_and_is_fresh_for_each_attempt() -> None:
    """What executor middleware puts there, router middleware and handler find; the next attempt does not."""
    seen: list[Any] = []

    async def outer(ctx: Execution, call_next: Any) -> Any:
        seen.append(ctx.get(USER))
        ctx[USER] = "ann"
        return await call_next()

    async def inner(ctx: Ctx, call_next: Any) -> Any:
        seen.append(ctx[USER])
        ctx[USER] = "bob"
        return await call_next()

    def handler(order: Draft, command: AddItem, ctx: Ctx) -> Draft:
        seen.append(ctx[USER])
        return order

    store = Stormy(1)
    executor = WorkflowExecutor(routed(open_order, handler).use(inner, state=Draft), store).use(outer)
    await executor.execute("o-1", Open())
    seen.clear()
    succeeded(await executor.execute("o-1", AddItem(item="x")))

    assert seen == [None, "ann", "bob"] * 2


async def test_what_middleware_does_to_its_context_changes_nothing() -> None:
    """The command that is decided and recorded is the one that was sent."""

    async def middleware(ctx: Any, call_next: Any) -> Any:
        for name, value in {"command": AddItem(item="poison"), "id": "o-9", "expected_version": 7}.items():
            vars(ctx)[name] = value
        return await call_next()

    executor = (await opened()).use(middleware)
    result = succeeded(await executor.execute("o-1", AddItem(item="tea")))

    assert (result.workflow.id, result.workflow.data.items) == ("o-1", ["tea"])


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", ["raises", "refuses", "returns garbage", "twice", "foreign", "cancels"])
async def test_middleware_that_does_not_pass_on_a_success_saves_nothing(when: str, how: str) -> None:
    """Also after `call_next()`: nothing has been saved yet, and nothing is."""

    async def middleware(ctx: Execution, call_next: Any) -> Any:
        result = await call_next() if when == "after" else None
        match how:
            case "raises":
                raise KeyError
            case "refuses":
                return Failure(EmptyOrder(minimum=1))
            case "returns garbage":
                return 7
            case "twice":
                await call_next()
                return await call_next()
            case "cancels":
                raise asyncio.CancelledError
            case _:
                return Success(Order.create("o-2", Draft())) if result is None else Success(result.workflow)

    executor = (await opened()).use(middleware)

    failed(await executor.execute("o-1", AddItem(item="x")), EmptyOrder if how == "refuses" else UnexpectedError)

    assert (await executor.get("o-1")).version == 1


# --- create --------------------------------------------------------------------------------------------------------


async def test_create_stores_an_initial_state() -> None:
    """Without handler or middleware; its commit has no command; it exists only once."""

    async def forbidden(ctx: Any, call_next: Any) -> Any:
        return Failure(EmptyOrder(minimum=1))

    executor = orders().use(forbidden)
    result = succeeded(await executor.create("o-1", Placed(items=["tea"]), metadata={"source": "import"}))

    assert (result.version, result.workflow.state, result.workflow.data) == (1, "Placed", Placed(items=["tea"]))
    assert (result.workflow.created_at, result.workflow.updated_at) == (NOON, NOON)
    assert result.workflow.created_at.tzinfo is UTC
    (commit,) = await executor.history("o-1")
    assert (commit.command, commit.events, commit.metadata) == (None, (), {"source": "import"})
    error = failed(await executor.create("o-1", Draft()), ConcurrencyConflictError)
    assert (error.expected_version, error.actual_version) == (0, 1)


@pytest.mark.parametrize(
    ("id", "data", "metadata", "source"),
    [
        ("", Draft(), None, "argument"),
        (7, Draft(), None, "argument"),
        ("o-1", AddItem(item="x"), None, "state"),
        ("o-1", Draft(items=["\0"]), None, "state"),
        ("o-1", Draft.model_construct(items=3), None, "state"),
        ("o-1", None, None, "state"),
        ("o-1", Draft(), 7, "argument"),
    ],
)
async def test_create_checks_what_it_is_given(id: Any, data: Any, metadata: Any, source: str) -> None:
    """Arguments and state are checked as everywhere, and nothing is raised."""
    error = failed(await orders().create(id, data, metadata=metadata), InvalidDataError)

    assert error.source == source


@pytest.mark.parametrize("clock", [lambda: NOON.replace(tzinfo=None), lambda: None], ids=range(2))
async def test_a_clock_that_does_not_tell_the_time_creates_nothing(clock: Any) -> None:
    """A naive time is a failure in `create` as in a dispatch."""
    executor = WorkflowExecutor(routed(open_order, clock=clock), MemoryStore())

    failed(await executor.create("o-1", Draft()), UnexpectedError)
    failed(await executor.execute("o-1", Open()), UnexpectedError)
    assert await executor.get("o-1") is None


async def test_two_who_create_at_once_are_one_who_wins() -> None:
    """Of many creations one is accepted, the others are conflicts."""
    executor = orders()

    results = await asyncio.gather(*(executor.create("o-1", Draft(items=[str(n)])) for n in range(5)))

    assert [result.ok for result in results].count(True) == 1
    assert {type(result.error) for result in results if not result.ok} == {ConcurrencyConflictError}


# --- reading -------------------------------------------------------------------------------------------------------


async def test_get_gives_what_is_stored_now() -> None:
    """A workflow, or `None`; and what was got cannot change what is stored."""
    executor = await opened(None, "tea")
    order = await executor.get("o-1")
    order.data.items.append("poison")

    assert (await executor.get("o-1")).data.items == ["tea"]
    assert type(order) is Order
    assert await executor.get("o-2") is None


async def test_at_goes_back_in_time() -> None:
    """Every version is as it was; there is nothing at others."""
    executor = await opened(None, "tea", "milk")

    versions = [await executor.at("o-1", version) for version in range(5)]

    assert [None if order is None else order.data.items for order in versions] == [
        None,
        [],
        ["tea"],
        ["tea", "milk"],
        None,
    ]
    assert [order.version for order in versions if order] == [1, 2, 3]
    assert await executor.at("o-2", 1) is None


async def test_history_comes_in_pages() -> None:
    """Oldest first, after a version, at most so many; nothing for a workflow that is missing."""
    executor = await opened(None, "a", "b", "c")

    assert [c.version for c in await executor.history("o-1")] == [1, 2, 3, 4]
    assert [c.version for c in await executor.history("o-1", after=2)] == [3, 4]
    assert [c.version for c in await executor.history("o-1", after=1, limit=2)] == [2, 3]
    assert await executor.history("o-1", limit=0) == []
    assert await executor.history("o-1", after=99) == []
    assert await executor.history("o-2") == []


async def test_an_event_that_no_longer_decodes_stays_as_it_was_recorded() -> None:
    """Neither an event that is not declared any more, nor one whose fields changed, hides the history."""
    executor = await opened(None, "tea")
    row = executor.store._rows["o-1"]
    position, commit = row.commits[-1]
    odd = (RecordedMessage("Unheard", {"a": 1}), RecordedMessage("ItemAdded", {"item": 3}), *commit.events)
    object.__setattr__(commit, "events", odd)
    row.commits[-1] = (position, commit)

    events = (await executor.history("o-1"))[-1].events

    assert events == (*odd[:2], ItemAdded(item="tea"))


@pytest.mark.parametrize(
    "call",
    [
        lambda executor: executor.get(""),
        lambda executor: executor.get(None),
        lambda executor: executor.at("o-1", -1),
        lambda executor: executor.at("o-1", None),
        lambda executor: executor.at("o-1", "1"),
        lambda executor: executor.at("", 1),
        lambda executor: executor.history("o-1", after=-1),
        lambda executor: executor.history("o-1", after=None),
        lambda executor: executor.history("o-1", limit=-1),
        lambda executor: executor.history("o-1", limit=True),
        lambda executor: executor.available_commands("\0"),
        lambda executor: executor.forget("x" * 256),
    ],
    ids=range(12),
)
async def test_reading_checks_its_arguments(call: Any) -> None:
    """A wrong argument is InvalidDataError of source `argument` that names it."""
    error: Any = await raised(lambda: call(orders()))

    assert type(error) is InvalidDataError
    assert error.source == "argument"


async def test_available_commands_are_those_of_the_state() -> None:
    """By state, with schemas; before creation those that create."""
    executor = await opened()

    assert list(await executor.available_commands("o-1")) == ["AddItem", "Place", "Cancel"]
    assert list(await executor.available_commands("o-2")) == ["Open"]


async def test_a_store_of_two_methods_serves_all_that_needs_no_more() -> None:
    """A dict with a version check executes, creates, reads and previews; what it lacks is said by name."""
    executor = await opened(DictStore(), "tea")

    succeeded(await executor.create("o-2", Draft()))
    succeeded(await executor.preview("o-1", Place()))
    assert (await executor.get("o-1")).version == 2
    assert list(await executor.available_commands("o-1")) == ["AddItem", "Place", "Cancel"]
    for call, name in [
        (lambda: executor.history("o-1"), "HistoryStore"),
        (lambda: executor.at("o-1", 1), "HistoryStore"),
        (lambda: executor.forget("o-1"), "ErasingStore"),
    ]:
        error = await raised(call)
        assert type(error) is StoreError
        assert "DictStore" in str(error)
        assert name in str(error)
    error = failed(await executor.execute("o-1", AddItem(item="x"), idempotency_key="k"), StoreError)
    assert "IdempotentStore" in str(error)


class RowStore(DictStore):
    """Keeps a version of its own, as `SET version = version + 1` does, and a snapshot that does not know it."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: dict[str, int] = {}

    async def load(self, id: str) -> StoredWorkflow | None:
        snapshot = self.rows.get(id)
        return None if snapshot is None else StoredWorkflow(snapshot.replace(version=0), self.versions[id])

    async def save(self, options: SaveOptions) -> None:
        actual = self.versions.get(options.id, 0)
        if actual != options.expected_version:
            raise ConcurrencyConflictError(options.id, options.expected_version, actual)
        self.versions[options.id] = actual + 1
        self.rows[options.id] = options.snapshot


async def test_the_version_of_the_row_is_the_version() -> None:
    """Whatever the kept snapshot says, the store's own version counts."""
    executor = await opened(RowStore(), "tea")

    assert (await executor.get("o-1")).version == 2
    succeeded(await executor.execute("o-1", AddItem(item="x"), expected_version=2))
    assert succeeded(await executor.execute("o-1", AddItem(item="y"))).version == 4


# --- preview -------------------------------------------------------------------------------------------------------


async def test_a_preview_decides_and_saves_nothing() -> None:
    """Middleware and handler run; state, history, keys and observers know nothing of it."""
    ran: list[str] = []

    async def middleware(ctx: Execution, call_next: Any) -> Any:
        ran.append("middleware")
        return await call_next()

    executor = (await opened(None, "tea")).use(middleware)
    result = succeeded(await executor.preview("o-1", AddItem(item="milk"), metadata={"a": 1}))

    assert (result.version, result.workflow.data.items) == (3, ["tea", "milk"])
    assert result.events == (ItemAdded(item="milk"),)
    assert ran == ["middleware"]
    assert (await executor.get("o-1")).version == 2
    failed(await executor.preview("o-2", AddItem(item="x")), NotFoundError)
    assert succeeded(await executor.preview("o-2", Open())).version == 1
    failed(await executor.preview("o-1", AddItem(item="x"), expected_version=9), ConcurrencyConflictError)


async def test_a_preview_waits_for_nobody() -> None:
    """A preview of a workflow whose save is on its way tells what it would decide on what is stored."""
    store = HeldStore()
    executor = await opened(store)
    store.holds = True
    task = asyncio.create_task(executor.execute("o-1", AddItem(item="x")))
    await store.until_saving()

    assert succeeded(await executor.preview("o-1", AddItem(item="y"))).workflow.data.items == ["y"]
    store.let_save()
    await task


# --- idempotency keys ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "again",
    [
        AddItem(item="tea"),
        {"type": "AddItem", "payload": {"item": "tea"}},
        {"payload": {"item": "tea"}, "type": "AddItem"},
    ],
    ids=["instance", "wire", "reordered"],
)
async def test_the_same_command_under_a_key_is_answered_with_the_first_result(again: Any) -> None:
    """However it is written, the first answer comes back, marked as a replay, and nothing is done again."""
    executor = await opened()
    first = succeeded(await executor.execute("o-1", AddItem(item="tea"), idempotency_key="k"))
    succeeded(await executor.execute("o-1", AddItem(item="milk")))

    result = succeeded(await executor.execute("o-1", again, idempotency_key="k"))

    assert (result.replayed, first.replayed) == (True, False)
    assert (result.workflow, result.events, result.version) == (first.workflow, first.events, 2)
    assert len(await executor.history("o-1")) == 3


@pytest.mark.parametrize(
    "again", [AddItem(item="milk"), AddItem(item="tea", count=2), Place(), AddItem(item="tea", count=1)]
)
async def test_another_command_under_a_key_is_refused(again: Any) -> None:
    """Another name, another field, or a field that was set where it was not before."""
    executor = await opened()
    succeeded(await executor.execute("o-1", AddItem(item="tea"), idempotency_key="k"))

    error = failed(await executor.execute("o-1", again, idempotency_key="k"), IdempotencyError)

    assert (error.workflow_id, error.key) == ("o-1", "k")
    assert (await executor.get("o-1")).version == 2


async def test_a_key_belongs_to_one_workflow() -> None:
    """The same key on another id is another key."""
    executor = orders()
    for id in ("o-1", "o-2"):
        assert not succeeded(await executor.execute(id, Open(), idempotency_key="k")).replayed


async def test_a_refused_command_leaves_no_record() -> None:
    """After a refusal the key is free."""
    executor = await opened()
    failed(await executor.execute("o-1", Place(), idempotency_key="k"), EmptyOrder)

    assert not succeeded(await executor.execute("o-1", AddItem(item="tea"), idempotency_key="k")).replayed


async def test_creation_can_be_repeated() -> None:
    """A creating command under a key is replayed although the workflow now exists."""
    executor = orders()
    first = succeeded(await executor.execute("o-1", Open(), idempotency_key="k", expected_version=0))

    assert (
        succeeded(await executor.execute("o-1", Open(), idempotency_key="k", expected_version=0)).workflow
        == first.workflow
    )


async def test_many_calls_with_one_key_make_one_commit() -> None:
    """Fifty at once are one command and forty-nine replays."""
    executor = await opened()

    results = await asyncio.gather(
        *(executor.execute("o-1", AddItem(item="x"), idempotency_key="k") for _ in range(50))
    )

    assert sorted(result.replayed for result in results) == [False, *[True] * 49]
    assert (await executor.get("o-1")).version == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "\0", "\ud800", 7, b"k"])
async def test_a_key_is_checked(key: Any) -> None:
    """Keys are 1 to 255 characters that every store keeps."""
    error = failed(await orders().execute("o-1", Open(), idempotency_key=key), InvalidDataError)

    assert error.source == "argument"
    assert error.issues[0].path == ("idempotency_key",)


# --- wiring --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [None, object(), MemoryStore, {"load": 1}, 7])
def test_a_store_has_load_and_save(store: Any) -> None:
    """Anything else, also the class instead of an instance, is refused where it is wired."""
    with pytest.raises(DefinitionError, match=r"store|load|class"):
        WorkflowExecutor(routed(), store)


@pytest.mark.parametrize("router", [None, Order, object()])
def test_an_executor_has_a_router(router: Any) -> None:
    """Anything else is refused."""
    with pytest.raises(DefinitionError, match="WorkflowRouter"):
        WorkflowExecutor(router, MemoryStore())


def test_it_tells_what_it_is_made_of() -> None:
    """Router and store can be asked for."""
    router, store = routed(), MemoryStore()
    executor = WorkflowExecutor(router, store)

    assert executor.router is router
    assert executor.store is store


@pytest.mark.parametrize("thing", [None, 7, "x"])
def test_only_what_can_be_called_is_middleware(thing: Any) -> None:
    """Anything else is refused where it is added."""
    with pytest.raises(DefinitionError):
        orders().use(thing)


# --- nothing is ever raised ------------------------------------------------------------------------------------------


@pytest.mark.slow
@given(
    st.sampled_from(["o-1", "o-2"]) | st.text(max_size=3) | JSON,
    ENVELOPES | JSON,
    st.fixed_dictionaries(
        {},
        optional={
            "expected_version": st.integers(0, 3) | JSON,
            "idempotency_key": st.sampled_from(["k", "l"]) | JSON,
            "metadata": st.dictionaries(st.text(max_size=2), JSON, max_size=2) | JSON,
        },
    ),
)
def test_any_call_gives_a_result(id: Any, command: Any, options: Any) -> None:
    """Whatever is sent, the answer is a Success that is stored or a Failure of ours, after which nothing is."""

    async def send() -> None:
        executor = await opened(None, "tea")
        before = await executor.history("o-1")
        result = await executor.execute(id, command, **options)
        if result.ok:
            assert (await executor.get(id)) == result.workflow
        else:
            json.dumps(result.error.to_dict())
            assert type(result.error) is not UnexpectedError
            assert await executor.history("o-1") == before

    asyncio.run(send())


@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize(
    "role", ["id", "command", "payload", "expected_version", "idempotency_key", "metadata", "data"]
)
async def test_hostile_objects_give_a_failure(number: int, role: str) -> None:
    """Objects that break when they are touched come back as a Failure, wherever they are handed in."""
    thing = hostile()[number]
    executor = await opened()
    match role:
        case "id":
            result = await executor.execute(thing, Place())
        case "command":
            result = await executor.execute("o-1", thing)
        case "payload":
            result = await executor.execute("o-1", {"type": "AddItem", "payload": {"item": thing}})
        case "data":
            result = await executor.create("o-2", thing)
        case _:
            result = await executor.execute("o-1", AddItem(item="x"), **{role: thing})

    failed(result)
    assert (await executor.get("o-1")).version == 1
