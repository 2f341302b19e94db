"""Take two people on, one of whom has to be looked at: `python -m examples.onboarding`."""

import asyncio
from datetime import date

from examples.onboarding.customer import (
    AddDocument,
    Apply,
    AskProvider,
    Command,
    ConfirmAddress,
    Decide,
    OfferContract,
    Onboarding,
    Sign,
    Submit,
    UnderReview,
)
from examples.onboarding.fakes import Fakes, FakeSanctions
from examples.onboarding.routes import router
from statewright import DependencyError, Failure, MemoryStore, Success, Worker, WorkflowExecutor


async def tell(onboardings: WorkflowExecutor[Onboarding], id: str, command: Command) -> None:
    """Send a command, and say what came of it."""
    told = type(command).__name__
    match await onboardings.execute(id, command):
        case Success(workflow=onboarding):
            print(f"{id}: {told} -> {onboarding.state}")
        case Failure(error=DependencyError(name=name)):
            print(f"{id}: {told} did not work out: {name!r} is down; nothing has changed")
        case Failure(error=error):
            print(f"{id}: {told} was refused: {error}")


async def main() -> None:
    """Lead two applications to their ends."""
    fakes = Fakes(sanctions=FakeSanctions({"Max Muster"}))
    store = MemoryStore()
    onboardings = WorkflowExecutor(router.with_deps(fakes.deps()), store)
    worker = Worker(store, [onboardings])
    for id, name in (("ann", "Ann Doe"), ("max", "Max Muster")):
        await tell(onboardings, id, Apply(name=name, email=f"{id}@example.org", born=date(1990, 5, 1), tax_id="12-345"))
        await tell(onboardings, id, ConfirmAddress())
        await tell(onboardings, id, Submit())
        await tell(onboardings, id, AddDocument(reference="passport"))
        fakes.identity.is_down = True
        await tell(onboardings, id, Submit())
        fakes.identity.is_down = False
        await tell(onboardings, id, Submit())
        await tell(onboardings, id, AskProvider())
        await worker.run_until_idle()  # the screening
        found = await onboardings.get(id)
        if found is not None and isinstance(found.data, UnderReview):
            print(f"{id}: clients see {found.to_client()['data']}")
            await tell(onboardings, id, Decide(reviewer="Eve", accept=True))
        await tell(onboardings, id, OfferContract(contract=f"contract-{id}"))
        await tell(onboardings, id, Sign(contract=f"contract-{id}"))
        await worker.run_until_idle()  # the account
        opened = await onboardings.get(id)
        print(f"{id}: {opened.state if opened is not None else 'nothing'}, accounts {list(fakes.core.accounts)}")


if __name__ == "__main__":
    asyncio.run(main())
