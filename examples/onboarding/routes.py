"""What happens in an onboarding: one plain function for each step.

A handler may run again after a lost race, so it calls others only where asking again is harmless: to look something up,
or to have something done under a key that makes it happen once.
"""

from datetime import date, timedelta
from typing import Final, TypeAlias

from examples.onboarding.customer import (
    PATIENCE,
    Abandoned,
    Active,
    AddDocument,
    AnotherContract,
    ApplicationStarted,
    Apply,
    Approved,
    AskProvider,
    AwaitingSignature,
    CheckingIdentity,
    CollectingDocuments,
    ConfirmAddress,
    ContractWanted,
    CustomerWelcomed,
    Decide,
    DocumentsMissing,
    Event,
    GiveUp,
    OfferContract,
    Onboarding,
    OnboardingEnded,
    OpenAccount,
    OpeningAccount,
    Person,
    Rejected,
    ReviewNeeded,
    Screen,
    Screening,
    Sign,
    Started,
    Submit,
    TooYoung,
    UnderReview,
    Unfinished,
    Withdraw,
)
from examples.onboarding.deps import Deps
from statewright import Context, WorkflowRouter

Ctx: TypeAlias = Context[Event, Deps]

OF_AGE: Final = 18
ASK_AGAIN: Final = timedelta(hours=1)

router = WorkflowRouter(Onboarding, deps_type=Deps)


@router.on
def apply(_: None, command: Apply, ctx: Ctx) -> Started:
    """Take the form, if they are of age."""
    if _age(command.born, ctx.now.date()) < OF_AGE:
        raise TooYoung(minimum_age=OF_AGE)
    ctx.emit(ApplicationStarted(email=command.email))
    ctx.schedule(GiveUp(), delay=PATIENCE)
    return Started(
        person=Person(name=command.name, email=command.email, born=command.born, tax_id=command.tax_id),
    )


@router.on
def confirm_address(application: Started, _: ConfirmAddress, ctx: Ctx) -> CollectingDocuments:
    """Ask for documents. The timer of the state before is gone with it."""
    ctx.schedule(GiveUp(), delay=PATIENCE)
    return CollectingDocuments(person=application.person)


@router.on
def add_document(application: CollectingDocuments, command: AddDocument, ctx: Ctx) -> CollectingDocuments:
    """Keep the reference, once; whoever is still at it gets more time."""
    if command.reference not in application.documents:
        application.documents.append(command.reference)
    ctx.schedule(GiveUp(), delay=PATIENCE)
    return application


@router.on
async def submit(application: CollectingDocuments, _: Submit, ctx: Ctx) -> CheckingIdentity:
    """Have the documents checked."""
    if not application.documents:
        raise DocumentsMissing(minimum=1)
    case = await ctx.deps.identity.open_case(ctx.id, application.documents)
    ctx.schedule(AskProvider(), delay=ASK_AGAIN)
    return CheckingIdentity(person=application.person, documents=application.documents, case=case)


@router.on
async def ask_provider(
    application: CheckingIdentity, _: AskProvider, ctx: Ctx
) -> CheckingIdentity | Screening | UnderReview:
    """Go on when there is a verdict; until then ask again later."""
    verdict = await ctx.deps.identity.verdict(application.case)
    if verdict == "pending":
        ctx.schedule(AskProvider(), delay=ASK_AGAIN)
        return application
    if verdict == "doubtful":
        ctx.emit(ReviewNeeded())
        return UnderReview(person=application.person, findings=[f"documents of case {application.case}"])
    ctx.schedule(Screen(), delay=timedelta())
    return Screening(person=application.person, verified_at=ctx.now)


@router.on
async def screen(application: Screening, _: Screen, ctx: Ctx) -> Approved | UnderReview:
    """Let through who is on no list; let a person look at the others."""
    hits = await ctx.deps.sanctions.hits(application.person.name, application.person.born)
    if hits:
        ctx.emit(ReviewNeeded())
        return UnderReview(person=application.person, findings=hits)
    ctx.emit(ContractWanted())
    return Approved(person=application.person, approved_by="screening")


@router.on
def decide(application: UnderReview, command: Decide, ctx: Ctx) -> Approved | Rejected:
    """Do what the reviewer says."""
    if not command.accept:
        ctx.emit(OnboardingEnded(step="UnderReview"))
        return Rejected(reason=command.reason, rejected_at=ctx.now)
    ctx.emit(ContractWanted())
    return Approved(person=application.person, approved_by=command.reviewer)


@router.on
def offer_contract(application: Approved, command: OfferContract, ctx: Ctx) -> AwaitingSignature:
    """Wait for the signature, but not for ever."""
    ctx.schedule(GiveUp(), delay=PATIENCE)
    return AwaitingSignature(person=application.person, contract=command.contract, offered_at=ctx.now)


@router.on
def sign(application: AwaitingSignature, command: Sign, ctx: Ctx) -> OpeningAccount:
    """Take the signature, and have the account opened at once."""
    if command.contract != application.contract:
        raise AnotherContract(offered=application.contract)
    ctx.schedule(OpenAccount(), delay=timedelta())
    return OpeningAccount(person=application.person, contract=application.contract, signed_at=ctx.now)


@router.on
async def open_account(application: OpeningAccount, _: OpenAccount, ctx: Ctx) -> Active:
    """Open the account, under a key: however often this runs, there is one."""
    account = await ctx.deps.core.open_account(ctx.id)
    ctx.emit(CustomerWelcomed(account=account))
    return Active(person=application.person, account=account, since=ctx.now)


@router.on
def withdraw(_: Started | CollectingDocuments | AwaitingSignature, __: Withdraw, ctx: Ctx) -> Abandoned:
    """Let them go; what is under way with others cannot be withdrawn."""
    return _abandoned(ctx)


@router.on
def give_up(_: Unfinished, __: GiveUp, ctx: Ctx) -> Abandoned:
    """Close what nobody goes on with."""
    return _abandoned(ctx)


def _abandoned(ctx: Ctx) -> Abandoned:
    step = ctx.state or ""
    ctx.emit(OnboardingEnded(step=step))
    return Abandoned(last_step=step, abandoned_at=ctx.now)


def _age(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))
