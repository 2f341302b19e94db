"""The OpenAPI document tells the truth: Schemathesis asks whatever it allows, and more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

schemathesis = pytest.importorskip("schemathesis", reason="asking at random needs schemathesis")

from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402 - after what may be missing

from statewright import MemoryStore  # noqa: E402 - after what may be missing
from statewright.http import create_app  # noqa: E402
from tests.http.shop import shop  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


app = create_app([shop(MemoryStore())], console=False)
# A stream has no end, and a tool that waits for the end of each answer would wait for it.
schema = schemathesis.openapi.from_asgi("/openapi.json", app).exclude(path_regex="/stream$")


class Walk(schema.as_state_machine()):  # type: ignore[misc]
    """Walks from answer to request, by what was answered."""

    def validate_response(self, response: Any, case: Any, **options: Any) -> None:
        # That two headers exclude each other, or that no text holds a NUL, no schema of a parameter can say.
        case.validate_response(response, excluded_checks=[positive_data_acceptance])


@schema.parametrize()
@settings(
    max_examples=30, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
def test_every_answer_is_documented(case: Any) -> None:
    """Whatever is asked, the answer is one that the document names, of its type and schema, and no 5xx but 501."""
    case.call_and_validate(excluded_checks=[positive_data_acceptance])


def test_walks_through_the_routes_meet_only_documented_answers() -> None:
    """Walks from answer to request, by the ids that were given out, meet documented answers only."""
    Walk.run(
        settings=settings(
            max_examples=25, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
        )
    )
