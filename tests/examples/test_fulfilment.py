from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from examples.fulfilment.__main__ import at_work, main, pay, place, ship, trade, until
from examples.fulfilment.company import Company, payment_of, reactors, shipment_of
from examples.fulfilment.order import AwaitingPayment, Cancelled, GiveUp, Place
from examples.fulfilment.payment import NothingToPay, PaymentSettled, Settle, Withdraw
from statewright import Failure, Send, Source

pytest_plugins = ["tests.fixtures.stores"]

DAYS = timedelta(days=3)


@pytest.mark.slow
async def test_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    """One order is paid for and shipped, the other one is given up, by two workers over one file."""
    await main()

    assert capsys.readouterr().out.splitlines() == [
        "order-1: AwaitingPayment -> Paid -> Shipped",
        "  payment-order-1: Settled",
        "order-2: AwaitingPayment -> Cancelled",
        "  payment-order-2: Void",
    ]


@pytest.mark.slow
@pytest.mark.postgres
async def test_on_postgresql(make_postgres_store: Any) -> None:
    """The same, by two workers over one database."""
    async with make_postgres_store() as one, make_postgres_store() as two:
        company = Company(one)
        async with at_work(company.worker(), Company(two).worker()):
            await trade(company)

        assert await _states(company, "order-1") == ["AwaitingPayment", "Paid", "Shipped"]
        assert await _states(company, "order-2") == ["AwaitingPayment", "Cancelled"]
        assert await one.dead_letters() == []


@pytest.mark.slow
async def test_many_orders(make_store: Any) -> None:
    """Of many orders at once, each comes to its own end, once."""
    async with make_store() as one, make_store() as two:
        await one.setup()
        company = Company(one)
        ids = [f"order-{number}" for number in range(20)]
        async with at_work(company.worker(), Company(two).worker()):
            for number, id in enumerate(ids):
                await place(company, id, DAYS if number % 2 else timedelta(milliseconds=50))
            for id in ids[1::2]:
                await pay(company, id)
                await ship(company, id)
            for number, id in enumerate(ids):
                await until(company, id, "Shipped" if number % 2 else "Cancelled")
                await until(company, payment_of(id), "Settled" if number % 2 else "Void")

        for number, id in enumerate(ids):
            end = ["AwaitingPayment", "Paid", "Shipped"] if number % 2 else ["AwaitingPayment", "Cancelled"]
            assert await _states(company, id) == end
        assert await one.dead_letters() == []


async def test_paid_while_it_was_given_up(store: Any) -> None:
    """An order that is given up while its payment is settled stays given up, and the money goes back."""
    company = Company(store)
    worker = company.worker()
    await place(company, "order-1", DAYS)
    await worker.run_until_idle()
    (await company.orders.execute("order-1", GiveUp())).unwrap()
    (await company.payments.execute(payment_of("order-1"), Settle())).unwrap()

    await worker.run_until_idle()

    order = await company.orders.get("order-1")
    payment = await company.payments.get(payment_of("order-1"))
    assert order is not None
    assert payment is not None
    assert (order.state, payment.state) == ("Cancelled", "Refunded")
    assert await company.shipments.get(shipment_of("order-1")) is None
    assert await store.dead_letters() == []


async def test_paid_too_late(store: Any) -> None:
    """Who pays for what was given up is told so."""
    company = Company(store)
    await place(company, "order-1", timedelta())
    await company.worker().run_until_idle()

    match await company.payments.execute(payment_of("order-1"), Settle()):
        case Failure(error=NothingToPay()):
            pass
        case other:
            pytest.fail(f"{other}")


async def test_the_deadline_is_over_when_it_is_paid(store: Any) -> None:
    """A paid order is not given up any more."""
    company = Company(store)
    worker = company.worker()
    await place(company, "order-1", DAYS)
    await worker.run_until_idle()
    assert await store.until_next_due(["order"]) is not None

    await pay(company, "order-1")
    await worker.run_until_idle()

    assert await store.until_next_due(["order"]) is None


def test_what_follows_from_events() -> None:
    """What follows is a pure mapping: it can be tested without a store."""
    source = Source(workflow_id="payment-7", definition="payment", version=2, position=9, metadata={})

    [send] = reactors.resolve(PaymentSettled(order="7"), source)

    assert (send.target, send.id, send.refused) == ("order", "7", "drop")
    assert send.command.payment == "payment-7"
    assert Send("payment", "payment-7", Withdraw()) == Send("payment", "payment-7", Withdraw())


async def test_an_order_keeps_what_was_agreed(store: Any) -> None:
    """Address and total are those of the order."""
    company = Company(store)
    placed = (await company.orders.execute("order-1", Place(address="here", total=Decimal("1.10")))).unwrap()

    assert placed.workflow.data == AwaitingPayment(address="here", total=Decimal("1.10"))
    given_up = (await company.orders.execute("order-1", GiveUp())).unwrap()
    assert given_up.workflow.data == Cancelled(reason="not paid in time")


async def _states(company: Company, id: str) -> list[str]:
    return [commit.state for commit in await company.orders.history(id)]
