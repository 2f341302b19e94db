"""Dependencies: they behave as themselves, and their failures are told apart from bugs of the handler."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import json
import operator
import os
import pathlib
import pickle
import types
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Container,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sized,
)
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

import pytest

from statewright import Context, DependencyError, UnexpectedError
from tests.model.orders import AddItem, Draft, EmptyOrder, TooMany, draft, failed, routed, succeeded


class Down(Exception):
    """The other side does not answer."""


class Undeclared(EmptyOrder):
    """Nobody declares this subclass."""


class Service:
    """Fails in every way that something can fail in."""

    def __init__(self) -> None:
        self.inner = Inner()
        self.label = "service"
        self.calls = 0
        self._name = "mine"
        self._target = "also mine"

    @property
    def broken(self) -> int:
        raise Down

    def call(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return args, kwargs

    def fail(self, error: Any = Down) -> Any:
        raise error

    async def fail_later(self, error: Any = Down) -> Any:
        await asyncio.sleep(0)
        raise error

    def promise(self) -> Awaitable[int]:
        return self.fail_later()

    def task(self) -> asyncio.Task[Any]:
        return asyncio.ensure_future(self.fail_later())

    def done(self) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_exception(Down())
        return future

    def custom(self) -> Any:
        return Custom()

    def numbers(self) -> Iterator[int]:
        yield 1
        raise Down

    async def later_numbers(self) -> AsyncIterator[int]:
        yield 1
        raise Down

    def mapped(self) -> Iterator[int]:
        return map(self.fail, [Down])

    def session(self) -> Session:
        return Session()

    async def connect(self) -> Session:
        return Session()

    @contextlib.contextmanager
    def opened(self) -> Iterator[Session]:
        yield Session()

    @contextlib.asynccontextmanager
    async def opened_later(self) -> AsyncIterator[Session]:
        yield Session()

    async def __aenter__(self) -> Session:
        return Session()

    async def __aexit__(self, *error: object) -> None: ...

    def __iter__(self) -> Iterator[int]:
        return self.numbers()

    def __getitem__(self, key: str) -> int:
        raise Down

    def __setitem__(self, key: str, value: int) -> None:
        raise Down

    def __contains__(self, key: str) -> bool:
        raise Down

    def __len__(self) -> int:
        raise Down

    def __bool__(self) -> bool:
        raise Down

    def __add__(self, other: int) -> int:
        raise Down

    def __lt__(self, other: int) -> bool:
        raise Down


class Inner:
    def __init__(self) -> None:
        self.deepest = Deepest()


class Deepest:
    def fail(self) -> None:
        raise Down


class Custom:
    def __await__(self) -> Any:
        yield from asyncio.sleep(0).__await__()
        raise Down


class Session:
    def query(self) -> list[int]:
        raise Down

    async def query_later(self) -> list[int]:
        raise Down

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None: ...


class BrokenDoor:
    def __init__(self, *, entering: bool) -> None:
        self.entering = entering

    async def __aenter__(self) -> Self:
        if self.entering:
            raise Down
        return self

    async def __aexit__(self, *error: object) -> None:
        raise Down

    def __enter__(self) -> Self:
        if self.entering:
            raise Down
        return self

    def __exit__(self, *error: object) -> None:
        raise Down


class Factory:
    def __init__(self) -> None:
        raise Down


@dataclass
class Deps:
    service: Service = field(default_factory=Service)
    other: Service = field(default_factory=Service)
    factory: type[Factory] = Factory
    module: types.ModuleType = field(default_factory=lambda: json)
    function: Callable[[], Any] = field(default_factory=lambda: Service().fail)
    entrance: BrokenDoor = field(default_factory=lambda: BrokenDoor(entering=True))
    exit: BrokenDoor = field(default_factory=lambda: BrokenDoor(entering=False))
    pool: Session = field(default_factory=Session)
    root: pathlib.Path = field(default_factory=lambda: pathlib.Path("/nowhere/at/all"))
    limit: int = 3
    rate: Decimal = Decimal("1.5")
    names: list[str] = field(default_factory=lambda: ["a"])
    nothing: None = None

    @property
    def lazy(self) -> Service:
        raise Down


Ctx = Context[Any, Any]


async def run(body: Callable[[Ctx], Any], **options: Any) -> Any:
    """Dispatch a command whose handler runs a function with the context, and waits for it where that is needed."""

    async def handler(order: Draft, command: AddItem, ctx: Ctx) -> Draft:
        outcome = body(ctx)
        if asyncio.iscoroutine(outcome):
            outcome = await outcome
        return Draft(items=[str(outcome)])

    options.setdefault("deps", Deps())
    return await routed(handler, **options).dispatch(draft(), AddItem(item="tea"))


# --- failures ------------------------------------------------------------------------------------------------------


async def use_session(ctx: Ctx) -> None:
    async with ctx.deps.service as session:
        await session.query_later()


async def use_opened(ctx: Ctx) -> None:
    with ctx.deps.service.opened() as session:
        session.query()


async def use_opened_later(ctx: Ctx) -> None:
    async with ctx.deps.service.opened_later() as session:
        await session.query_later()


async def use_connection(ctx: Ctx) -> None:
    connection = await ctx.deps.service.connect()
    async with connection as same:
        same.query()


async def enter(ctx: Ctx) -> None:
    async with ctx.deps.entrance:
        pass


async def leave(ctx: Ctx) -> None:
    async with ctx.deps.exit:
        pass


def leave_now(ctx: Ctx) -> None:
    with ctx.deps.exit:
        pass


def pool_as_context(ctx: Ctx) -> None:
    with ctx.deps.pool as session:
        session.query()


async def iterate_later(ctx: Ctx) -> list[int]:
    return [number async for number in ctx.deps.service.later_numbers()]


async def gather(ctx: Ctx) -> None:
    await asyncio.gather(ctx.deps.service.fail_later(), ctx.deps.service.fail_later())


async def gather_tasks(ctx: Ctx) -> None:
    await asyncio.gather(ctx.deps.service.task(), return_exceptions=False)


async def own_task(ctx: Ctx) -> None:
    await asyncio.create_task(ctx.deps.service.fail_later())


async def in_thread(ctx: Ctx) -> None:
    await asyncio.to_thread(ctx.deps.service.fail)


async def in_time(ctx: Ctx) -> None:
    async with asyncio.timeout(30):
        await ctx.deps.service.fail_later()


async def awaited(awaitable: Any) -> Any:
    return await awaitable


async def caught_and_raised_again(ctx: Ctx) -> None:
    try:
        ctx.deps.service.fail()
    except Down as error:
        error.add_note("seen")
        raise


FAILURES: list[tuple[str, Callable[[Ctx], Any]]] = [
    ("service", lambda ctx: ctx.deps.service.fail()),
    ("service", lambda ctx: ctx.deps.service.fail_later()),
    ("service", lambda ctx: ctx.deps.service.broken),
    ("service", lambda ctx: ctx.deps.service.inner.deepest.fail()),
    ("service", lambda ctx: awaited(ctx.deps.service.promise())),
    ("service", lambda ctx: awaited(ctx.deps.service.task())),
    ("service", lambda ctx: awaited(ctx.deps.service.done())),
    ("service", lambda ctx: awaited(ctx.deps.service.custom())),
    ("service", lambda ctx: list(ctx.deps.service.numbers())),
    ("service", lambda ctx: list(ctx.deps.service.mapped())),
    ("service", lambda ctx: list(ctx.deps.service)),
    ("service", lambda ctx: next(iter(ctx.deps.service.mapped()))),
    ("service", iterate_later),
    ("service", lambda ctx: ctx.deps.service["key"]),
    ("service", lambda ctx: operator.setitem(ctx.deps.service, "key", 1)),
    ("service", lambda ctx: "key" in ctx.deps.service),
    ("service", lambda ctx: len(ctx.deps.service)),
    ("service", lambda ctx: bool(ctx.deps.service)),
    ("service", lambda ctx: ctx.deps.service + 1),
    ("service", lambda ctx: ctx.deps.service < 1),
    ("service", use_session),
    ("service", use_opened),
    ("service", use_opened_later),
    ("service", use_connection),
    ("entrance", enter),
    ("exit", leave),
    ("exit", leave_now),
    ("pool", pool_as_context),
    ("service", gather),
    ("service", gather_tasks),
    ("service", own_task),
    ("service", in_thread),
    ("service", in_time),
    ("service", caught_and_raised_again),
    ("service", lambda ctx: list(map(ctx.deps.service.fail, [Down]))),
    ("service", lambda ctx: ctx.deps.service.fail(ExceptionGroup("several", [Down()]))),
    ("service", lambda ctx: ctx.deps.service.fail(Undeclared())),
    ("service", lambda ctx: ctx.deps.service.fail(UnexpectedError("nested"))),
    ("function", lambda ctx: ctx.deps.function()),
    ("factory", lambda ctx: ctx.deps.factory()),
    ("module", lambda ctx: ctx.deps.module.loads("{")),
    ("root", lambda ctx: ctx.deps.root.read_text()),
    ("lazy", lambda ctx: ctx.deps.lazy),
]


@pytest.mark.parametrize(("name", "body"), FAILURES, ids=map(str, range(len(FAILURES))))
async def test_what_leaves_a_dependency_is_its_failure(name: str, body: Callable[[Ctx], Any]) -> None:
    """However a dependency fails, the error names it and keeps the original as its cause."""
    error = failed(await run(body), DependencyError)

    assert error.name == name
    assert name in str(error)
    assert "'order'" in str(error)
    assert error.__cause__ is not None
    assert error.__cause__.__traceback__ is not None


@pytest.mark.parametrize("body", [body for _, body in FAILURES], ids=map(str, range(len(FAILURES))))
async def test_the_very_objects_are_given_on_request(body: Callable[[Ctx], Any]) -> None:
    """With `wrap_deps=False` the same failures are UnexpectedErrors."""
    assert failed(await run(body, wrap_deps=False), UnexpectedError).__cause__ is not None


async def test_wrapping_can_be_turned_off() -> None:
    """`wrap_deps=False` gives the very object, not a stand-in."""
    deps = Deps()

    result = await run(lambda ctx: (ctx.deps is deps, ctx.deps.service is deps.service), deps=deps, wrap_deps=False)

    assert succeeded(result).workflow.data.items == ["(True, True)"]


async def test_the_original_can_be_caught() -> None:
    """A handler catches what the dependency raised, by its own type, and goes on."""
    raised = Down("here")

    async def body(ctx: Ctx) -> Any:
        with pytest.raises(Down) as caught:
            ctx.deps.service.fail(raised)
        with pytest.raises(Down):
            await ctx.deps.service.fail_later()
        return caught.value is raised

    assert succeeded(await run(body)).workflow.data.items == ["True"]


@pytest.mark.parametrize(
    "body",
    [
        lambda ctx: 1 / 0,
        lambda ctx: ctx.deps.nowhere,
        lambda ctx: ctx.deps.service.nowhere,
        lambda ctx: ctx.deps.service.call() + 1,
        lambda ctx: ctx.deps.limit.nowhere,
        lambda ctx: ctx.deps.limit(),
        lambda ctx: ctx.deps.nothing.x,
        lambda ctx: ctx.deps.names[3],
        lambda ctx: next(ctx.deps.service),
        lambda ctx: ctx.deps.pool(),
    ],
    ids=map(str, range(10)),
)
async def test_a_bug_of_the_handler_stays_one(body: Callable[[Ctx], Any]) -> None:
    """What the handler does wrong itself, also with a dependency in its hands, is an UnexpectedError."""
    failed(await run(body), UnexpectedError)


@pytest.mark.parametrize("door", ["entrance", "exit"])
async def test_a_bug_inside_a_dependencys_context_is_the_handlers(door: str) -> None:
    """An exception of the body that passes through `async with` does not become the dependency's."""

    async def body(ctx: Ctx) -> None:
        async with ctx.deps.service:
            raise ValueError(door)

    assert isinstance(failed(await run(body), UnexpectedError).__cause__, ValueError)


async def test_an_error_made_of_a_dependencys_is_the_handlers() -> None:
    """Raising something else on account of a failure is the handler's own doing."""

    def body(ctx: Ctx) -> None:
        try:
            ctx.deps.service.fail()
        except Down as exc:
            raise ValueError from exc

    assert isinstance(failed(await run(body), UnexpectedError).__cause__, ValueError)


async def test_a_declared_refusal_passes_through_a_dependency() -> None:
    """A declared error is a refusal wherever it was raised."""
    error = failed(await run(lambda ctx: ctx.deps.service.fail(TooMany(maximum=3))), TooMany)

    assert error.maximum == 3


async def test_an_error_that_a_dependency_makes_wrongly_is_its_failure() -> None:
    """A refusal whose fields do not fit is a bug of whoever makes it."""

    def body(ctx: Ctx) -> None:
        ctx.deps.function(lambda: TooMany(maximum="many"))

    failed(await run(body, deps=types.SimpleNamespace(function=lambda make: make())), DependencyError)


async def test_a_cancellation_that_nobody_asked_for_is_no_failure_of_the_dependency() -> None:
    """A CancelledError out of the blue is an UnexpectedError, wherever it came from."""
    failed(await run(lambda ctx: ctx.deps.service.fail(asyncio.CancelledError())), UnexpectedError)


async def test_what_is_no_exception_passes() -> None:
    """A KeyboardInterrupt in a dependency ends the dispatch."""
    with pytest.raises(KeyboardInterrupt):
        await run(lambda ctx: ctx.deps.service.fail(KeyboardInterrupt()))


async def test_middleware_of_a_router_is_told_the_same() -> None:
    """A dependency that fails in a router's middleware is a DependencyError, too."""

    def handler(order: Draft, command: AddItem) -> Draft: ...

    async def middleware(ctx: Ctx, call_next: Any) -> Any:
        ctx.deps.service.fail()

    router = routed(handler, deps=Deps()).use(middleware)

    assert failed(await router.dispatch(draft(), AddItem(item="x")), DependencyError).name == "service"


# --- behaviour -----------------------------------------------------------------------------------------------------


class Both(Mapping[str, int]):
    """A mapping that is no dict."""

    def __getitem__(self, key: str) -> int:
        return {"a": 1}[key]

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


class Slotted:
    __slots__ = ("x",)

    def __init__(self) -> None:
        self.x = 1


BEHAVIOUR: list[tuple[str, Callable[[Any], Any], Any]] = [
    ("isinstance", lambda d: isinstance(d.service, Service), True),
    ("not another", lambda d: isinstance(d.service, Session), False),
    ("class", lambda d: d.service.__class__ is Service, True),
    ("match", lambda d: _matched(d.service), "service"),
    ("equality", lambda d: (d.service == d.service, d.service == d.other, d.service != d.other), (True, False, True)),
    ("hash", lambda d: len({d.service, d.service, d.other}), 2),
    ("callable", lambda d: (callable(d.service), callable(d.service.call), callable(d.factory)), (False, True, True)),
    (
        "abcs",
        lambda d: [isinstance(d.pool, kind) for kind in (Iterable, Sized, Container, Callable, Awaitable)],
        [False] * 5,
    ),
    ("hashable", lambda d: isinstance(d.pool, Hashable), True),
    ("truth", lambda d: bool(d.pool), True),
    ("attribute", lambda d: d.service.label, "service"),
    ("own private names", lambda d: (d.service._name, d.service._target), ("mine", "also mine")),
    ("set attribute", lambda d: _set(d.service, "label", "new"), "new"),
    ("arguments", lambda d: d.service.call(1, a=2), ((1,), {"a": 2})),
    ("hasattr", lambda d: (hasattr(d.service, "call"), hasattr(d.service, "nowhere")), (True, False)),
    ("getattr", lambda d: getattr(d.service, "nowhere", 7), 7),
    ("vars", lambda d: "label" in vars(d.service), True),
    ("dir", lambda d: "call" in dir(d.service), True),
    ("plain values", lambda d: (d.limit + 1, d.rate * 2, d.names, d.nothing), (4, Decimal(3), ["a"], None)),
    ("plain types", lambda d: (type(d.limit), type(d.names), d.nothing is None), (int, list, True)),
    ("path", lambda d: (str(d.root / "x"), os.fspath(d.root)), ("/nowhere/at/all/x", "/nowhere/at/all")),
    ("path order", lambda d: min([d.root, pathlib.Path("/a")]) == pathlib.Path("/a"), True),
    ("module", lambda d: d.module.dumps([1]), "[1]"),
    ("isinstance of class", lambda d: isinstance(3, d.kind), True),
    ("issubclass of class", lambda d: issubclass(bool, d.kind), True),
    ("class call", lambda d: (d.kind("3"), d.kind()), (3, 0)),
    ("except", lambda d: [_excepted(d)], ["caught"]),
    (
        "mapping",
        lambda d: (dict(d.both), {**d.both}, d.both["a"], "a" in d.both, list(d.both)),
        ({"a": 1}, {"a": 1}, 1, True, ["a"]),
    ),
    ("slotted", lambda d: d.slotted.x, 1),
    ("format", lambda d: (f"{d.text}", f"{d.text:>5}", str(d.text), repr(d.text)), ("txt", "  txt", "txt", "<Text>")),
    (
        "number",
        lambda d: (int(d.number), d.number + 1, 1 + d.number, -d.number, round(d.number), d.number <= 3),
        (3, 4, 4, -3, 3, True),
    ),
    ("index", lambda d: "abcd"[d.number], "d"),
    ("two dependencies", lambda d: d.number + d.number, 6),
    ("dataclass", lambda d: (dataclasses.asdict(d.record), dataclasses.replace(d.record, x=6).x), ({"x": 5}, 6)),
    ("pickle", lambda d: pickle.loads(pickle.dumps(d.record)).x, 5),
    ("unhashable", lambda d: _hashed(d.record), "TypeError"),
]


def _matched(service: Any) -> str:
    match service:
        case Service(label=label):
            return str(label)
    return "no match"


def _set(service: Any, name: str, value: Any) -> Any:
    setattr(service, name, value)
    return getattr(service, name)


def _excepted(deps: Any) -> str:
    try:
        deps.service.fail()
    except deps.error:
        return "caught"
    return "not raised"


def _hashed(record: Any) -> str:
    try:
        hash(record)
    except TypeError as error:
        return type(error).__name__
    return "hashed"


class Text:
    def __str__(self) -> str:
        return "txt"

    def __repr__(self) -> str:
        return "<Text>"

    def __format__(self, spec: str) -> str:
        return format("txt", spec)


class Number:
    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value

    def __add__(self, other: Any) -> int:
        return self.value + (other.value if type(other) is Number else other)

    __radd__ = __add__

    def __neg__(self) -> int:
        return -self.value

    def __round__(self, digits: int = 0) -> int:
        return self.value

    def __le__(self, other: int) -> bool:
        return self.value <= other


@dataclass
class Record:
    x: int = 5


@dataclass
class MoreDeps(Deps):
    both: Both = field(default_factory=Both)
    slotted: Slotted = field(default_factory=Slotted)
    text: Text = field(default_factory=Text)
    number: Number = field(default_factory=lambda: Number(3))
    record: Record = field(default_factory=Record)
    kind: type[int] = int
    error: type[Down] = Down


@pytest.mark.parametrize(("use", "expected"), [case[1:] for case in BEHAVIOUR], ids=[case[0] for case in BEHAVIOUR])
async def test_a_dependency_behaves_as_itself(use: Callable[[Any], Any], expected: Any) -> None:
    """Whatever is done with a dependency does what it would do with the object itself."""
    seen: list[Any] = []

    def body(ctx: Ctx) -> None:
        seen.append(use(ctx.deps))

    succeeded(await run(body, deps=MoreDeps()))

    assert seen == [expected]
    assert use(MoreDeps()) == expected


async def test_working_contexts_and_iterations_keep_working() -> None:
    """`with`, `async with`, `for`, `async for`, `await` and generators give what they would give."""

    class Source:
        async def __aenter__(self) -> str:
            return "entered"

        async def __aexit__(self, *error: object) -> bool:
            return True

        def __enter__(self) -> str:
            return "entered now"

        def __exit__(self, *error: object) -> None: ...

        def __iter__(self) -> Iterator[int]:
            return iter([1, 2])

        async def __aiter__(self) -> AsyncIterator[int]:
            yield 3

        def talk(self) -> Any:
            heard = yield "hello"
            yield heard

        async def answer(self) -> int:
            return 42

    async def body(ctx: Ctx) -> Any:
        source = ctx.deps.source
        async with source as entered:
            pass
        async with source:
            raise ValueError("swallowed by the dependency")
        with source as now:
            pass
        talk = source.talk()
        said = (next(talk), talk.send("back"))
        both = await asyncio.gather(source.answer(), source.answer())
        return entered, now, list(source), [n async for n in source], said, both

    result = succeeded(await run(body, deps=types.SimpleNamespace(source=Source())))

    assert result.workflow.data.items == ["('entered', 'entered now', [1, 2], [3], ('hello', 'back'), [42, 42])"]


async def test_dependencies_are_handed_to_each_other_as_they_are() -> None:
    """A dependency that is given to another one arrives as the very object."""
    deps = Deps()
    seen: list[Any] = []
    holder = types.SimpleNamespace(
        service=deps.service, take=lambda *args, **kwargs: seen.extend([*args, *kwargs.values()])
    )

    succeeded(await run(lambda ctx: ctx.deps.take(ctx.deps.service, again=ctx.deps.service), deps=holder))

    assert [each is deps.service for each in seen] == [True, True]


async def test_dependencies_may_be_kept_in_anything() -> None:
    """A mapping, a tuple, a single function or object serve as dependencies as well."""
    service = Service()
    Named = collections.namedtuple("Named", "service")  # noqa: PYI024

    for deps, body, name in [
        ({"service": service}, lambda ctx: ctx.deps["service"].fail(), "service"),
        (Named(service), lambda ctx: ctx.deps.service.fail(), "service"),
        ((service,), lambda ctx: ctx.deps[0].fail(), "0"),
        ((service,), lambda ctx: next(iter(ctx.deps)).fail(), "0"),
        (service, lambda ctx: ctx.deps.fail(), "fail"),
        (service.fail, lambda ctx: ctx.deps(), "fail"),
        (Session(), pool_itself, "Session"),
    ]:
        assert failed(await run(body, deps=deps), DependencyError).name == name


def pool_itself(ctx: Ctx) -> None:
    with ctx.deps as session:
        session.query()


async def test_no_dependencies_are_none() -> None:
    """A router without dependencies gives `None`."""
    assert succeeded(await run(lambda ctx: ctx.deps, deps=None)).workflow.data.items == ["None"]


async def test_a_failure_of_one_dispatch_is_not_remembered_in_another() -> None:
    """The same exception object, raised by a handler later, is the handler's."""
    shared = Down()
    failed(await run(lambda ctx: ctx.deps.service.fail(shared)), DependencyError)

    def body(ctx: Ctx) -> None:
        raise shared

    failed(await run(body), UnexpectedError)


async def test_a_pool_of_threads_may_call_dependencies() -> None:
    """Failures are noted in any thread."""

    def body(ctx: Ctx) -> None:
        with ThreadPoolExecutor(1) as threads:
            threads.submit(ctx.deps.service.fail).result()

    assert failed(await run(body), DependencyError).name == "service"
