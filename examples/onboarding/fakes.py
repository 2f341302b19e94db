"""Stand-ins for the systems of others, for tests and for trying things out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from examples.onboarding.deps import Deps, Verdict


@dataclass
class FakeIdentity:
    """Comes to the verdict that it is told."""

    answer: Verdict = "genuine"
    is_down: bool = False
    cases: dict[str, list[str]] = field(default_factory=dict)

    async def open_case(self, key: str, documents: Sequence[str]) -> str:
        """Open a case for a key, once."""
        if self.is_down:
            raise ConnectionError("the identity provider cannot be reached")
        self.cases.setdefault(key, list(documents))
        return f"case-{list(self.cases).index(key) + 1}"

    async def verdict(self, case: str) -> Verdict:  # noqa: ARG002 - one verdict for all
        """Return the verdict."""
        if self.is_down:
            raise ConnectionError("the identity provider cannot be reached")
        return self.answer


@dataclass
class FakeSanctions:
    """Lists some names."""

    names: set[str] = field(default_factory=set)

    async def hits(self, name: str, born: date) -> list[str]:  # noqa: ARG002 - it knows names only
        """Return the name, if it is listed."""
        return [name] if name in self.names else []


@dataclass
class FakeCore:
    """Opens an account for each key, once."""

    accounts: dict[str, str] = field(default_factory=dict)

    async def open_account(self, key: str) -> str:
        """Return the account of a key."""
        return self.accounts.setdefault(key, f"account-{len(self.accounts) + 1}")


@dataclass
class Fakes:
    """All of them, to be changed by tests."""

    identity: FakeIdentity = field(default_factory=FakeIdentity)
    sanctions: FakeSanctions = field(default_factory=FakeSanctions)
    core: FakeCore = field(default_factory=FakeCore)

    def deps(self) -> Deps:
        """Return them as handlers want them."""
        return Deps(self.identity, self.sanctions, self.core)
