"""The systems of others that an onboarding asks. Each call may be made again, and gives the same answer then."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, Protocol, TypeAlias

Verdict: TypeAlias = Literal["pending", "genuine", "doubtful"]


class IdentityProvider(Protocol):
    """Checks documents, which takes a while."""

    async def open_case(self, key: str, documents: Sequence[str]) -> str:
        """Return the case that was opened under this key, now or before."""
        ...

    async def verdict(self, case: str) -> Verdict:
        """Return what is known of a case by now."""
        ...


class SanctionsList(Protocol):
    """Knows with whom nobody may do business."""

    async def hits(self, name: str, born: date) -> list[str]:
        """Return the entries that could mean this person."""
        ...


class CoreBanking(Protocol):
    """Keeps accounts."""

    async def open_account(self, key: str) -> str:
        """Return the number of the account that was opened under this key, now or before."""
        ...


@dataclass(frozen=True, slots=True)
class Deps:
    """What handlers find as `ctx.deps`."""

    identity: IdentityProvider
    sanctions: SanctionsList
    core: CoreBanking
