"""Becoming a customer of a bank: eleven states, three systems of others, and deadlines."""

from datetime import date, datetime, timedelta
from typing import Annotated, Final, TypeAlias

from pydantic import BaseModel, Field

from statewright import DomainError, ServerOnly, Workflow

PATIENCE: Final = timedelta(days=14)
"""How long we wait for something that the applicant has to do."""

# --- states ---------------------------------------------------------------------------------------------------------


class Person(BaseModel):
    """Who applies. What identifies a person never leaves the server."""

    name: str
    email: str
    born: date
    tax_id: Annotated[str, ServerOnly]


class Started(BaseModel):
    """An application that nobody has confirmed: the address may be another person's."""

    person: Person


class CollectingDocuments(BaseModel):
    """The address is theirs; documents are wanted."""

    person: Person
    documents: list[str] = []


class CheckingIdentity(BaseModel):
    """The identity provider looks at the documents."""

    person: Person
    documents: list[str]
    case: str


class Screening(BaseModel):
    """They are who they say; now the lists of sanctions."""

    person: Person
    verified_at: datetime


class UnderReview(BaseModel):
    """A person has to look at what the systems found."""

    person: Person
    findings: Annotated[list[str], ServerOnly]


class Approved(BaseModel):
    """Nothing speaks against it; a contract has to be offered."""

    person: Person
    approved_by: str


class AwaitingSignature(BaseModel):
    """The contract lies with the applicant."""

    person: Person
    contract: str
    offered_at: datetime


class OpeningAccount(BaseModel):
    """Signed; the core system has to open an account."""

    person: Person
    contract: str
    signed_at: datetime


class Active(BaseModel):
    """A customer."""

    person: Person
    account: str
    since: datetime


class Rejected(BaseModel):
    """We cannot take them; the reason is ours."""

    reason: Annotated[str, ServerOnly]
    rejected_at: datetime


class Abandoned(BaseModel):
    """They went away, or let a deadline pass; nothing personal is kept."""

    last_step: str
    abandoned_at: datetime


# --- commands -------------------------------------------------------------------------------------------------------


class Apply(BaseModel):
    """Somebody fills in the first form."""

    name: str = Field(min_length=1)
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    born: date
    tax_id: Annotated[str, Field(min_length=6), ServerOnly]


class ConfirmAddress(BaseModel):
    """They followed the link in our message."""


class AddDocument(BaseModel):
    """They uploaded a document; here comes its reference in the archive."""

    reference: str = Field(min_length=1)


class Submit(BaseModel):
    """These are all documents: have them checked."""


class AskProvider(BaseModel):
    """Ask whether the identity provider has come to a result; sent by hand, by a web hook or by a timer."""


class Screen(BaseModel):
    """Look the person up in the lists of sanctions."""


class Decide(BaseModel):
    """A reviewer decides."""

    reviewer: str = Field(min_length=1)
    accept: bool
    reason: Annotated[str, ServerOnly] = ""


class OfferContract(BaseModel):
    """The contract has been written and sent."""

    contract: str


class Sign(BaseModel):
    """The applicant signs."""

    contract: str


class OpenAccount(BaseModel):
    """Have the core system open the account."""


class Withdraw(BaseModel):
    """The applicant does not want to go on."""


class GiveUp(BaseModel):
    """Sent by a timer: we have waited long enough."""


# --- events and refusals --------------------------------------------------------------------------------------------


class ApplicationStarted(BaseModel):
    """Somebody has to send the message with the link."""

    email: Annotated[str, ServerOnly]


class ReviewNeeded(BaseModel):
    """A reviewer has something to do."""


class ContractWanted(BaseModel):
    """Somebody has to write a contract."""


class CustomerWelcomed(BaseModel):
    """There is a new customer."""

    account: str


class OnboardingEnded(BaseModel):
    """An application came to nothing."""

    step: str


class TooYoung(DomainError):
    """Applicants must be of age."""

    minimum_age: int


class DocumentsMissing(DomainError):
    """There is nothing to check yet."""

    minimum: int


class AnotherContract(DomainError):
    """What was signed is not what was offered."""

    offered: str


# --- the workflow ---------------------------------------------------------------------------------------------------

Unfinished: TypeAlias = (
    Started
    | CollectingDocuments
    | CheckingIdentity
    | Screening
    | UnderReview
    | Approved
    | AwaitingSignature
    | OpeningAccount
)
State: TypeAlias = Unfinished | Active | Rejected | Abandoned
Command: TypeAlias = (
    Apply
    | ConfirmAddress
    | AddDocument
    | Submit
    | AskProvider
    | Screen
    | Decide
    | OfferContract
    | Sign
    | OpenAccount
    | Withdraw
    | GiveUp
)
Event: TypeAlias = ApplicationStarted | ReviewNeeded | ContractWanted | CustomerWelcomed | OnboardingEnded
Refusal: TypeAlias = TooYoung | DocumentsMissing | AnotherContract


class Onboarding(Workflow[State, Command, Event, Refusal], name="onboarding"):
    """An application, from the first form to the account."""
