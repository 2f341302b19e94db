"""Reactors: what follows from an event is delivered, in order, once in effect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from statewright import MemoryStore, Reactors, Send, Source, Worker, WorkflowExecutor
from statewright.errors import DefinitionError, LeaseLostError
from statewright.testing import FaultyStore
from tests.engine.workshop import (
    ZERO,
    Audit,
    Book,
    Booked,
    Sell,
    Sold,
    Store,
    Weather,
    booked,
    booking,
    ledger_router,
    shop_router,
)

pytest_plugins = ["tests.fixtures.stores"]

DAY = timedelta(days=1)


class Market:
    """Shops and ledgers over a store, with a reactor in between."""

    def __init__(self, store: Store, reactors: Reactors | None = None, **facts: Any) -> None:
        self.store = store
        self.weather = Weather()
        self.shops: WorkflowExecutor[Any] = WorkflowExecutor(shop_router(), store)
        self.ledgers: WorkflowExecutor[Any] = WorkflowExecutor(ledger_router(self.weather), store)
        self.facts: dict[str, Any] = {"backoff": ZERO, "start": 0} | facts
        self.worker = self.worker_with(reactors or booking())

    def worker_with(self, reactors: Reactors) -> Worker:
        """Return a worker with this code."""
        return Worker(self.store, [self.shops, self.ledgers], reactors=reactors, **self.facts)

    async def sell(self, *amounts: int, at: str = "s-1", to: str = "l-1") -> None:
        """Sell so much, with one command."""
        (await self.shops.execute(at, Sell(amounts=list(amounts), to=to))).unwrap()

    async def work(self) -> list[int]:
        """Let the worker work, and return what is booked."""
        await self.worker.run_until_idle()
        return await booked(self.ledgers)


# --- delivery --------------------------------------------------------------------------------------------------------


async def test_delivered_in_order(store: Store) -> None:
    """What follows from one workflow's events is delivered in the order of versions, then of events."""
    market = Market(store)
    await market.sell(1, 2)
    await market.sell(3)
    await market.sell(4, 5)

    assert await market.work() == [1, 2, 3, 4, 5]
    assert await market.work() == [1, 2, 3, 4, 5]


async def test_several_sources(store: Store) -> None:
    """Each source's are in order, whatever the others do."""
    market = Market(store)
    for amount in range(5):
        for number in range(10):
            await market.sell(number * 10 + amount, at=f"s-{number}")

    found = await market.work()

    assert len(found) == 50
    for number in range(10):
        assert [amount for amount in found if amount // 10 == number] == [number * 10 + amount for amount in range(5)]


@pytest.mark.slow
async def test_more_than_a_page(store: Store) -> None:
    """A backlog of several pages is worked off to its end."""
    market = Market(store)
    for first in range(0, 300, 100):
        await market.sell(*range(first, first + 100))

    assert await market.work() == list(range(300))


async def test_what_the_target_is_told(store: Store) -> None:
    """A delivered command's commit says what caused it, and keeps the correlation of where it all began."""
    market = Market(store)
    (
        await market.shops.execute("s-1", Sell(amounts=[1]), metadata={"correlation_id": "visit-7", "actor": "ann"})
    ).unwrap()
    await market.sell(2)
    await market.work()

    [first, second] = await market.shops.history("s-1")
    [one, two] = await market.ledgers.history("l-1")

    assert one.metadata == {"correlation_id": "visit-7", "causation_id": first.id, "hops": 1}
    assert two.metadata == {"correlation_id": second.id, "causation_id": second.id, "hops": 1}
    assert one.idempotency_key == f"reactor:book:{first.id}:0"


async def test_the_source(store: Store) -> None:
    """A reactor is told where its event came from."""
    seen: list[Source] = []
    reactors = Reactors()

    @reactors.on
    def note(event: Sold, source: Source) -> None:
        seen.append(source)

    market = Market(store, reactors)
    await market.sell(1)
    await market.sell(2)
    await market.work()

    facts = [(source.workflow_id, source.definition, source.version, source.position) for source in seen]
    assert facts == [("s-1", "shop", 1, 1), ("s-1", "shop", 2, 2)]


async def test_two_reactors_do_not_wait_for_each_other(store: Store) -> None:
    """Each reactor has a position of its own, and one that is held up holds up nobody else."""
    reactors = Reactors()

    @reactors.on
    def stuck(event: Sold, source: Source) -> Send:
        raise ZeroDivisionError

    @reactors.on(name="fine")
    def _(event: Sold, source: Source) -> list[Send]:
        return [Send("ledger", event.to, Book(amount=event.amount)), Send("ledger", "copy", Book(amount=event.amount))]

    market = Market(store, reactors)
    await market.sell(1)
    await market.sell(2)

    assert await market.work() == [1, 2]
    assert await booked(market.ledgers, "copy") == [1, 2]
    assert {status.name: status.position for status in await store.readers()} == {"reactor:stuck": 6, "reactor:fine": 6}


@pytest.mark.slow
async def test_a_loop_ends(store: Store) -> None:
    """Commands that go on causing each other end as a dead letter after a hundred hops."""
    reactors = Reactors()

    @reactors.on
    def again(event: Booked, source: Source) -> Send:
        return Send("ledger", source.workflow_id, Book(amount=event.amount + 1))

    market = Market(store, reactors)
    (await market.ledgers.execute("l-1", Book(amount=0))).unwrap()

    assert await market.work() == list(range(101))
    [letter] = await store.dead_letters()
    assert "100 reactors" in letter.error["message"]


# --- once in effect --------------------------------------------------------------------------------------------------


async def test_redelivered_without_effect(store: Store) -> None:
    """A delivery whose row was not removed is delivered again, and changes nothing."""
    market = Market(store)
    await market.sell(1)
    [fence] = await store.acquire_leases(["reactor:book"], "dying", DAY)
    role = market.worker._roles[-1]
    await store.start_reader("reactor:book", 0)
    await role._expand(fence)
    [delivery] = await store.due_deliveries("reactor:book")
    assert await role._send(delivery, delivery.command, fence) is None
    await store.release_leases([fence])
    assert await booked(market.ledgers) == [1]

    assert await market.work() == [1]
    assert await store.due_deliveries("reactor:book") == []


async def test_an_overtaken_worker_delivers_nothing(store: Store) -> None:
    """A delivery under a lease that has passed on changes nothing at its target."""
    market = Market(store)
    await market.sell(1)
    [late] = await store.acquire_leases(["reactor:book"], "paused", DAY)
    role = market.worker._roles[-1]
    await store.start_reader("reactor:book", 0)
    await role._expand(late)
    await store.release_leases([late])
    await store.acquire_leases(["reactor:book"], "another", DAY)

    with pytest.raises(LeaseLostError):
        await role.step(late)

    assert await booked(market.ledgers) == []


@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("call", range(1, 8))
async def test_any_save_may_fail(store: Store, call: int, how: Any) -> None:
    """Whichever save fails, before it is done or with its answer lost, all is delivered once, in order."""
    faulty = FaultyStore(store)
    market = Market(faulty)
    for amount in range(5):
        await market.sell(amount)
    faulty.fail(faulty.calls["save"] + call, on="save", how=how)

    async def until_all_is_delivered() -> None:
        while await market.work() != list(range(5)):
            await store.wait_for_change(timedelta(milliseconds=20))

    await until_all_is_delivered()
    assert await store.dead_letters() == []


@pytest.mark.slow
async def test_failures_of_the_store_do_not_count(store: Store) -> None:
    """A store that fails again and again makes no dead letter."""
    faulty = FaultyStore(store)
    market = Market(faulty, retries=0)
    await market.sell(1)
    for call in range(1, 4):
        faulty.fail(faulty.calls["save"] + call)

    while await market.work() != [1]:
        assert await store.dead_letters() == []
        await store.wait_for_change(timedelta(milliseconds=20))


# --- when code changes -----------------------------------------------------------------------------------------------


async def test_the_stored_list_is_delivered(store: Store) -> None:
    """Between two attempts the code may change order and payload: what was decided first is what is delivered."""
    market = Market(store, _pair(Book(amount=1), Book(amount=2)), retries=9)
    await market.sell(0)
    market.weather.raises[2] = OSError("down")
    market.facts["backoff"] = timedelta(hours=1)
    market.worker = market.worker_with(_pair(Book(amount=1), Book(amount=2)))
    assert await market.work() == [1]
    [waiting] = await _outbox(store, "reactor:pair")
    assert waiting.command.data == {"amount": 2}

    market.weather.raises.clear()
    fence = (await store.acquire_leases(["reactor:pair"], "test", DAY))[0]
    await store.postpone_delivery(waiting.id, ZERO, 0, fence)
    await store.release_leases([fence])
    market.worker = market.worker_with(_pair(Book(amount=7), Book(amount=8), Book(amount=9)))

    assert await market.work() == [1, 2]


async def test_a_dead_letter_keeps_the_stored_list(store: Store) -> None:
    """A dead letter that is retried is what was decided then, whatever the code decides now."""
    market = Market(store, _pair(Book(amount=1), Book(amount=2)), retries=0)
    market.weather.raises[1] = OSError("down")
    await market.sell(0)
    assert await market.work() == []
    [letter] = await store.dead_letters()

    market.weather.raises.clear()
    await store.retry_dead_letter(letter.id)
    market.worker = market.worker_with(_pair(Book(amount=8), Book(amount=9)))

    assert await market.work() == [1, 2]


async def test_another_name_is_another_reactor(store: Store) -> None:
    """A function that is renamed goes on under its stored name; under a new stored name it begins anew."""
    market = Market(store)
    await market.sell(1)
    assert await market.work() == [1]
    renamed = Reactors()

    @renamed.on(name="book")
    def entirely_different(event: Sold, source: Source) -> Send:
        return Send("ledger", event.to, Book(amount=event.amount + 100))

    market.worker = market.worker_with(renamed)
    await market.sell(2)

    assert await market.work() == [1, 102]


async def test_an_old_worker_loses_nothing_for_a_new_one(store: Store) -> None:
    """A worker without a reactor does not move that reactor's position."""
    market = Market(store)
    old = market.worker_with(Reactors())
    await market.work()
    await market.sell(1)

    await old.run_until_idle()

    assert await market.work() == [1]


def _pair(*books: Book) -> Reactors:
    reactors = Reactors()

    @reactors.on
    def pair(event: Sold, source: Source) -> list[Send]:
        return [Send("ledger", "l-1", book) for book in books]

    return reactors


async def _outbox(store: Store, name: str) -> list[Any]:
    deliveries: list[Any] = await store.due_deliveries(name, now=datetime(9000, 1, 1, tzinfo=UTC))
    return deliveries


# --- what cannot be delivered ----------------------------------------------------------------------------------------


async def test_a_refusal_is_a_dead_letter(store: Store) -> None:
    """A command that its target refuses is a dead letter at once; it holds back its source, and nobody else."""
    market = Market(store)
    await market.sell(1, 1000, 2)
    await market.sell(3)
    await market.sell(4, at="s-2")

    assert sorted(await market.work()) == [1, 4]

    [letter] = await store.dead_letters()
    assert letter.error["code"] == "TooMuch"
    told = (letter.kind, letter.reader, letter.workflow_id, letter.target, letter.target_id, letter.position)
    assert told == ("delivery", "reactor:book", "s-1", "ledger", "l-1", 1)
    assert letter.command is not None
    assert letter.command.data == {"amount": 1000}
    assert market.weather.tried.count(1000) <= 2


async def test_a_dropped_letter_lets_its_followers_go(store: Store) -> None:
    """After a dead letter was dropped, what waited behind it is delivered in order."""
    market = Market(store)
    await market.sell(1, 1000, 2)
    await market.sell(3)
    await market.work()
    [letter] = await store.dead_letters()

    assert await store.drop_dead_letter(letter.id)

    assert await market.work() == [1, 2, 3]


async def test_a_retried_letter_comes_first(store: Store) -> None:
    """A dead letter that is retried with success comes before what waited behind it."""
    market = Market(store, retries=0)
    market.weather.raises[1] = OSError("down")
    await market.sell(1, 2)
    await market.sell(3)
    assert await market.work() == []
    [letter] = await store.dead_letters()

    market.weather.raises.clear()
    await store.retry_dead_letter(letter.id)

    assert await market.work() == [1, 2, 3]
    assert await store.dead_letters() == []


async def test_a_letter_may_die_again(store: Store) -> None:
    """A dead letter that is retried in vain is a dead letter again, and goes on holding back its followers."""
    market = Market(store, retries=1)
    market.weather.raises[1] = OSError("down")
    await market.sell(1)
    await market.sell(2)
    await market.work()
    [letter] = await store.dead_letters()
    await store.retry_dead_letter(letter.id)

    assert await market.work() == []

    assert [each.attempts for each in await store.dead_letters()] == [2]


async def test_a_refusal_may_be_dropped(store: Store) -> None:
    """A refusal of what was sent with `refused="drop"` is no dead letter, and holds back nobody."""
    reactors = Reactors()

    @reactors.on
    def book(event: Sold, source: Source) -> list[Send]:
        audit = Send("ledger", "missing", Audit(), refused="drop")
        return [
            Send("ledger", event.to, Book(amount=event.amount), refused="drop"),
            *([audit] if event.amount == 9 else []),
        ]

    market = Market(store, reactors, retries=0)
    await market.sell(1, 1000, 2)

    assert await market.work() == [1, 2]
    assert await store.dead_letters() == []


async def test_a_dependency_that_is_down(store: Store) -> None:
    """What fails without being refused is tried so many times, then a dead letter."""
    market = Market(store, retries=2)
    market.weather.raises[1] = OSError("down")
    await market.sell(1)

    assert await market.work() == []

    [letter] = await store.dead_letters()
    assert letter.attempts == 3
    assert letter.error["cause"] == "OSError"


async def test_backoff_holds_back_the_source(store: Store) -> None:
    """While a delivery waits to be tried again, what follows from its source waits, and other sources do not."""
    market = Market(store, backoff=DAY)
    market.weather.raises[1] = OSError("down")
    await market.sell(1)
    await market.sell(2)
    await market.sell(3, at="s-2")

    assert await market.work() == [3]
    assert await market.work() == [3]
    assert await store.dead_letters() == []


# --- a reactor that raises -------------------------------------------------------------------------------------------


async def test_a_reactor_that_raises(store: Store) -> None:
    """A reactor that raises makes a dead letter in the place of what it would have decided; retried, it decides."""
    is_broken = True
    reactors = Reactors()

    @reactors.on
    def book(event: Sold, source: Source) -> Send:
        if is_broken and event.amount == 2:
            raise ZeroDivisionError("a secret 4711")
        return Send("ledger", event.to, Book(amount=event.amount))

    market = Market(store, reactors)
    await market.sell(1)
    await market.sell(2)
    await market.sell(3)
    await market.sell(4, at="s-2")

    assert sorted(await market.work()) == [1, 4]
    [letter] = await store.dead_letters()
    assert (letter.kind, letter.workflow_id, letter.position, letter.command) == ("reactor", "s-1", 2, None)
    assert letter.error["cause"] == "ZeroDivisionError"
    assert "4711" not in str(letter.error)

    is_broken = False
    await store.retry_dead_letter(letter.id)

    assert sorted(await market.work()) == [1, 2, 3, 4]
    assert [amount for amount in await booked(market.ledgers) if amount < 4] == [1, 2, 3]


@pytest.mark.parametrize("amount", ["many", None])
async def test_a_send_that_is_none(store: Store, amount: Any) -> None:
    """A command that does not fit, or a target that no executor serves, is a dead letter of the reactor."""
    reactors = Reactors()

    @reactors.on
    def book(event: Sold, source: Source) -> Send:
        if amount is None:
            return Send("nowhere", event.to, Book(amount=1))
        return Send("ledger", event.to, {"type": "Book", "payload": {"amount": amount}})

    market = Market(store, reactors)
    await market.sell(1)

    assert await market.work() == []
    assert [letter.kind for letter in await store.dead_letters()] == ["reactor"]


async def test_a_forgotten_source(store: Store) -> None:
    """What a forgotten workflow would still have sent is not sent, and its dead letters are gone."""
    market = Market(store)
    await market.sell(1000)
    await market.sell(1)
    await market.work()
    assert len(await store.dead_letters()) == 1

    await market.shops.forget("s-1")

    assert await store.dead_letters() == []
    assert await market.work() == []


# --- keeping what is needed ------------------------------------------------------------------------------------------


async def test_pruning_passes_no_reader(make_store: Any) -> None:
    """Commits that a reactor has not read, or that a dead letter stands for, are not pruned."""
    async with make_store() as store:
        market = Market(store)
        await market.work()
        for amount in (1000, 1, 2):
            await market.sell(amount)

        assert await store.prune(before_position=100) == 0
        await market.work()
        assert await store.prune(before_position=100) == 0
        [letter] = await store.dead_letters()
        await store.drop_dead_letter(letter.id)
        assert await market.work() == [1, 2]
        assert await store.prune(before_position=100) > 0


# --- definitions -----------------------------------------------------------------------------------------------------


@dataclass
class Start:
    start: Any
    books: list[int]


@pytest.mark.parametrize("case", [Start(0, [1, 2]), Start("now", [2]), Start(1, [2])], ids=["all", "now", "after one"])
async def test_a_first_start(store: Store, case: Start) -> None:
    """The first start on a store that has commits begins where it says, and later starts where it was."""
    market = Market(store, start=case.start)
    await market.sell(1)
    await market.worker.run_until_idle()
    await market.sell(2)

    assert await market.work() == case.books
    assert await Market(store, start=None).work() == case.books


async def test_a_first_start_that_does_not_say(store: Store) -> None:
    """The first start on a store that has commits is refused unless it says where to begin; on an empty one not."""
    await Market(store, start=None).work()
    await Market(store).sell(1)
    assert await Market(store, start=None).work() == [1]

    other = Reactors()

    @other.on
    def another(event: Sold, source: Source) -> None: ...

    with pytest.raises(DefinitionError, match="start=0"):
        await Market(store, other, start=None).work()
    with pytest.raises(DefinitionError, match="start=0"):
        await Market(store, other, start=None).worker.run()


def test_definitions_that_do_not_fit() -> None:
    """A worker refuses executors of another store, two of a name, and reactors to events that nobody declares."""
    store = MemoryStore()
    shops: WorkflowExecutor[Any] = WorkflowExecutor(shop_router(), store)
    ledgers: WorkflowExecutor[Any] = WorkflowExecutor(ledger_router(), store)
    elsewhere: WorkflowExecutor[Any] = WorkflowExecutor(ledger_router(), MemoryStore())

    with pytest.raises(DefinitionError, match="another store"):
        Worker(store, [shops, elsewhere])
    with pytest.raises(DefinitionError, match="two executors"):
        Worker(store, [shops, ledgers, ledgers])
    with pytest.raises(DefinitionError, match="Sold, which no executor"):
        Worker(store, [ledgers], reactors=booking())
    with pytest.raises(DefinitionError, match="takes a list of executors, found WorkflowExecutor"):
        Worker(store, WorkflowExecutor(shop_router(), store))  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="takes executors"):
        Worker(store, [shop_router()])  # type: ignore[list-item]
