from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from examples.onboarding.__main__ import main
from examples.onboarding.customer import (
    PATIENCE,
    Abandoned,
    Active,
    AddDocument,
    AnotherContract,
    Apply,
    Approved,
    AskProvider,
    AwaitingSignature,
    CheckingIdentity,
    CollectingDocuments,
    ConfirmAddress,
    ContractWanted,
    Decide,
    DocumentsMissing,
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
    State,
    Submit,
    TooYoung,
    UnderReview,
    Withdraw,
)
from examples.onboarding.fakes import Fakes
from examples.onboarding.routes import ASK_AGAIN, router
from statewright import DefinitionError, DependencyError, Failure, MemoryStore, Worker, WorkflowExecutor, WorkflowRouter
from statewright.diagram import analyse
from statewright.testing import ManualClock, TransitionCoverage, check_path, explore, given

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ANN = Person(name="Ann", email="ann@example.org", born=date(1990, 5, 1), tax_id="12-345-678")
APPLY = Apply(name="Ann", email="ann@example.org", born=date(1990, 5, 1), tax_id="12-345-678")


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


def executor(fakes: Fakes, clock: ManualClock, store: MemoryStore) -> WorkflowExecutor[Onboarding]:
    """Return an executor for which it is the time of a clock."""
    timed = WorkflowRouter(Onboarding, fakes.deps(), clock=clock).include(router)
    return WorkflowExecutor(timed, store)


async def in_state(data: State, fakes: Fakes) -> WorkflowExecutor[Onboarding]:
    """Return an executor over a store in which the workflow `ann` is in a state."""
    onboardings = WorkflowExecutor(router.with_deps(fakes.deps()), MemoryStore())
    (await onboardings.create("ann", data)).unwrap()
    return onboardings


def test_there_are_eleven_states() -> None:
    """Every state can be reached, every command is handled, and three states are ends."""
    found = analyse(router)

    assert len(Onboarding.states) == 11
    assert found.is_sound
    assert set(found.ends) == {"Active", "Rejected", "Abandoned"}


def test_application_without_a_finding(fakes: Fakes) -> None:
    """Who is genuine and on no list becomes a customer without anybody looking."""
    check_path(
        router.with_deps(fakes.deps()),
        [
            (APPLY, Started),
            (ConfirmAddress(), CollectingDocuments),
            (AddDocument(reference="passport"), CollectingDocuments),
            (Submit(), CheckingIdentity),
            (AskProvider(), Screening),
            (Screen(), Approved),
            (OfferContract(contract="c-1"), AwaitingSignature),
            (Sign(contract="c-1"), OpeningAccount),
            (OpenAccount(), Active),
        ],
    )
    assert fakes.core.accounts == {"given": "account-1"}


@pytest.mark.parametrize(("born", "is_of_age"), [(date(2008, 3, 2), True), (date(2008, 3, 3), False)])
def test_applicants_are_of_age(*, born: date, is_of_age: bool, fakes: Fakes) -> None:
    """The eighteenth birthday is the first day on which one may apply."""
    applying = given(router.with_deps(fakes.deps()), None, now=NOON).when(APPLY.model_copy(update={"born": born}))

    if is_of_age:
        applying.then(Started)
    else:
        applying.fails(TooYoung, minimum_age=18).then(None)


def test_something_must_be_there_to_check(fakes: Fakes) -> None:
    """Without a document nothing is submitted."""
    given(router.with_deps(fakes.deps()), CollectingDocuments(person=ANN)).when(Submit()).fails(DocumentsMissing)


def test_provider_that_is_down_changes_nothing(fakes: Fakes) -> None:
    """A dependency that fails is named, and the application stays where it was, to be tried again."""
    fakes.identity.is_down = True
    collecting = CollectingDocuments(person=ANN, documents=["passport"])
    submitting = given(router.with_deps(fakes.deps()), collecting).when(Submit())

    submitting.fails(DependencyError, name="identity").then(collecting)
    fakes.identity.is_down = False
    submitting.when(Submit()).then(CheckingIdentity)


def test_doubtful_documents_are_looked_at(fakes: Fakes) -> None:
    """What the provider doubts goes to a person."""
    fakes.identity.answer = "doubtful"
    checking = CheckingIdentity(person=ANN, documents=["passport"], case="case-1")

    given(router.with_deps(fakes.deps()), checking).when(AskProvider()).then(UnderReview).emits(ReviewNeeded())


def test_reviewer_decides(fakes: Fakes) -> None:
    """A finding is accepted or not, by a person."""
    fakes.sanctions.names.add("Ann")
    screened = given(router.with_deps(fakes.deps()), Screening(person=ANN, verified_at=NOON), now=NOON).when(Screen())
    screened.then(UnderReview(person=ANN, findings=["Ann"]))
    reviewed = given(router.with_deps(fakes.deps()), UnderReview(person=ANN, findings=["Ann"]), now=NOON)

    reviewed.when(Decide(reviewer="Eve", accept=False, reason="it is her"))

    reviewed.then(Rejected(reason="it is her", rejected_at=NOON)).emits(OnboardingEnded(step="UnderReview"))
    screened.when(Decide(reviewer="Eve", accept=True)).then(Approved(person=ANN, approved_by="Eve"))
    screened.emits(ContractWanted())


def test_only_the_offered_contract_is_signed(fakes: Fakes) -> None:
    """A signature under another contract is refused."""
    awaiting = AwaitingSignature(person=ANN, contract="c-1", offered_at=NOON)

    given(router.with_deps(fakes.deps()), awaiting).when(Sign(contract="c-2")).fails(AnotherContract, offered="c-1")


def test_what_is_withdrawn_holds_nothing_personal(fakes: Fakes) -> None:
    """Who withdraws leaves nothing but the step."""
    withdrawn = given(router.with_deps(fakes.deps()), Started(person=ANN), now=NOON).when(Withdraw())

    withdrawn.then(Abandoned(last_step="Started", abandoned_at=NOON)).emits(OnboardingEnded(step="Started"))


async def test_patience_ends(fakes: Fakes, clock: ManualClock) -> None:
    """An application that nobody goes on with is given up, counted from the applicant's last step."""
    store = MemoryStore()
    timed = executor(fakes, clock, store)
    worker = Worker(store, [timed], clock=clock)
    (await timed.execute("ann", APPLY)).unwrap()
    clock.advance(PATIENCE - timedelta(days=1))
    (await timed.execute("ann", ConfirmAddress())).unwrap()
    clock.advance(PATIENCE - timedelta(days=1))
    await worker.run_until_idle()
    waiting = await timed.get("ann")
    assert waiting is not None
    assert waiting.state == "CollectingDocuments"

    clock.advance(timedelta(days=1))
    await worker.run_until_idle()

    given_up = await timed.get("ann")
    assert given_up is not None
    assert given_up.data == Abandoned(last_step="CollectingDocuments", abandoned_at=clock.now())


async def test_worker_asks_and_goes_on_by_itself(fakes: Fakes, clock: ManualClock) -> None:
    """While the provider is pending the worker asks each hour; then screening follows at once."""
    fakes.identity.answer = "pending"
    store = MemoryStore()
    timed = executor(fakes, clock, store)
    worker = Worker(store, [timed], clock=clock)
    for command in (APPLY, ConfirmAddress(), AddDocument(reference="passport"), Submit()):
        (await timed.execute("ann", command)).unwrap()
    for _ in range(3):
        clock.advance(ASK_AGAIN)
        await worker.run_until_idle()
    asked = [commit for commit in await timed.history("ann") if commit.metadata.get("timer") == "AskProvider"]
    assert [commit.state for commit in asked] == ["CheckingIdentity"] * 3

    fakes.identity.answer = "genuine"
    clock.advance(ASK_AGAIN)
    await worker.run_until_idle()

    approved = await timed.get("ann")
    assert approved is not None
    assert approved.state == "Approved"


async def test_account_is_opened_once(fakes: Fakes) -> None:
    """Deciding twice, as after a lost race, opens one account: the key is the workflow's id."""
    onboardings = await in_state(OpeningAccount(person=ANN, contract="c-1", signed_at=NOON), fakes)

    previewed = await onboardings.preview("ann", OpenAccount())
    executed = await onboardings.execute("ann", OpenAccount())

    assert previewed.unwrap().workflow.data.account == executed.unwrap().workflow.data.account == "account-1"
    assert fakes.core.accounts == {"ann": "account-1"}


async def test_no_client_sees_what_is_server_only(fakes: Fakes) -> None:
    """Neither tax id nor findings leave for a client, in results or in refusals."""
    onboardings = await in_state(UnderReview(person=ANN, findings=["a secret list"]), fakes)
    found = await onboardings.get("ann")
    assert found is not None

    seen = json.dumps(found.to_client())
    bad = await onboardings.execute("new", {"type": "Apply", "payload": {"name": "Bob", "tax_id": "s3c"}})

    assert "ann@example.org" in seen
    assert "12-345-678" not in seen
    assert "secret list" not in seen
    assert isinstance(bad, Failure)
    assert "s3c" not in json.dumps(bad.error.to_dict())


def test_dependencies_are_needed() -> None:
    """An executor over a router that was never given its dependencies is refused at once."""
    with pytest.raises(DefinitionError, match="with_deps"):
        WorkflowExecutor(router, MemoryStore())


@pytest.mark.slow
def test_onboarding_keeps_to_its_definition(fakes: Fakes) -> None:
    """No sequence of commands leads to an unexpected error, wherever it begins, and each transition is tried."""
    fed = router.with_deps(fakes.deps())
    coverage = TransitionCoverage(fed)
    unfinished = (
        Started(person=ANN),
        CollectingDocuments(person=ANN, documents=["passport"]),
        CheckingIdentity(person=ANN, documents=["passport"], case="case-1"),
        Screening(person=ANN, verified_at=NOON),
        UnderReview(person=ANN, findings=["Ann"]),
        Approved(person=ANN, approved_by="Eve"),
        AwaitingSignature(person=ANN, contract="c-1", offered_at=NOON),
        OpeningAccount(person=ANN, contract="c-1", signed_at=NOON),
    )

    for state in (None, *unfinished):
        explore(fed, start=state, deps=lambda: Fakes().deps(), sequences=20, length=5)

    assert not coverage.missing, str(coverage)


async def test_program_takes_two_people_on(capsys: pytest.CaptureFixture[str]) -> None:
    """The program leads both applications to an account, one of them past a reviewer."""
    await main()

    printed = capsys.readouterr().out
    assert "ann: Submit did not work out: 'identity' is down; nothing has changed" in printed
    assert "ann: Active, accounts ['ann']" in printed
    assert "max: Decide -> Approved" in printed
    assert "Max Muster" in printed
    assert "12-345" not in printed
    assert printed.endswith("max: Active, accounts ['ann', 'max']\n")
