"""Two orders, worked off by two workers over one SQLite file: `python -m examples.fulfilment`."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from examples.fulfilment.company import Company, payment_of, shipment_of
from examples.fulfilment.order import Place
from examples.fulfilment.payment import Settle
from examples.fulfilment.shipment import HandOver
from statewright import Worker
from statewright.stores.sqlite import SQLiteStore

WAIT = timedelta(seconds=30)


@asynccontextmanager
async def at_work(*workers: Worker) -> AsyncGenerator[None, None]:
    """Let workers run for the length of a block, and stop them cleanly."""
    running = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        for task in running:
            with suppress(asyncio.CancelledError):
                await task


async def until(company: Company, id: str, state: str) -> None:
    """Wait until a workflow comes to a state, whoever leads it there."""
    async with asyncio.timeout(WAIT.total_seconds()):
        async for commit in company.store.subscribe():
            if commit.workflow_id == id and commit.state == state:
                return


async def place(company: Company, id: str, pay_within: timedelta) -> None:
    """Place an order."""
    command = Place(address="7 Garden Lane", total=Decimal("17.90"), pay_within=pay_within)
    (await company.orders.execute(id, command)).unwrap()


async def pay(company: Company, id: str) -> None:
    """Pay for an order, as soon as the customer has been asked to."""
    await until(company, payment_of(id), "Requested")
    (await company.payments.execute(payment_of(id), Settle())).unwrap()


async def ship(company: Company, id: str) -> None:
    """Hand an order over, as soon as the warehouse has been told of it."""
    await until(company, shipment_of(id), "ToPack")
    (await company.shipments.execute(shipment_of(id), HandOver(parcel=f"parcel-{id}"))).unwrap()


async def tell(company: Company, id: str) -> None:
    """Say what has become of an order, and how it came to it."""
    history = await company.orders.history(id)
    print(f"{id}: {' -> '.join(commit.state for commit in history)}")
    payment = await company.payments.get(payment_of(id))
    print(f"  {payment_of(id)}: {payment.state if payment else 'not asked for'}")


async def trade(company: Company) -> None:
    """Take two orders, of which nobody pays for the second."""
    await place(company, "order-1", timedelta(days=3))
    await place(company, "order-2", timedelta(milliseconds=300))
    await pay(company, "order-1")
    await ship(company, "order-1")
    await until(company, "order-1", "Shipped")
    await until(company, payment_of("order-2"), "Void")
    for id in ("order-1", "order-2"):
        await tell(company, id)


async def main() -> None:
    """Trade, while two workers, each with the file opened for itself, see to what follows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fulfilment.db"
        async with SQLiteStore(path) as one, SQLiteStore(path) as two:
            company = Company(one)
            async with at_work(company.worker(), Company(two).worker()):
                await trade(company)


if __name__ == "__main__":
    asyncio.run(main())
