"""The pytest plugin."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

SHOP = """
    from pydantic import BaseModel
    from statewright import Workflow, WorkflowRouter

    class Draft(BaseModel): ...
    class Sent(BaseModel): ...
    class Open(BaseModel): ...
    class Send(BaseModel): ...

    class Order(Workflow[Draft | Sent, Open | Send], name="order"): ...

    router = WorkflowRouter(Order)
    twin = router.with_deps(None)

    @router.on
    def open_order(_: None, command: Open) -> Draft:
        return Draft()

    @router.on
    def send(order: Draft, command: Send) -> Sent:
        return Sent()
"""

TESTS = """
    from shop import Draft, Open, Send, Sent, router
    from statewright.testing import given

    def test_open():
        given(router, None).when(Open()).then(Draft)
"""

ALL_TESTS = (
    TESTS
    + """
    def test_send():
        given(router, Draft()).when(Send()).then(Sent)
"""
)

OPTIONS = ("-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")


@pytest.fixture
def shop(pytester: pytest.Pytester) -> pytest.Pytester:
    """A user's project: a module with a router, and a test that exercises half of it."""
    pytester.makepyfile(shop=SHOP, test_shop=TESTS)
    pytester.syspathinsert()
    return pytester


@pytest.mark.slow
def test_the_report_names_what_was_never_exercised(shop: pytest.Pytester) -> None:
    """With the option a run ends with the pairs that no test exercised, by the router's own name, once."""
    result = shop.runpytest_subprocess("--statewright-coverage", *OPTIONS)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*= statewright: transitions that no test exercised =*",
            "[[]shop.router[]] order: 1 of 2 transitions were never exercised",
            "  Draft + Send -> Sent   (send, shop.py:*)",
        ]
    )
    assert result.stdout.str().count("order: ") == 1


@pytest.mark.slow
def test_the_report_says_when_nothing_is_missing(shop: pytest.Pytester) -> None:
    """With everything exercised the report says so."""
    shop.makepyfile(test_shop=ALL_TESTS)

    result = shop.runpytest_subprocess("--statewright-coverage=shop", *OPTIONS)

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["[[]shop.router[]] order: all 2 transitions were exercised"])


@pytest.mark.slow
def test_the_report_keeps_to_a_package(shop: pytest.Pytester) -> None:
    """A package can be named; one without a router is told as such."""
    result = shop.runpytest_subprocess("--statewright-coverage=sho", *OPTIONS)

    result.stdout.fnmatch_lines(["no router was found under a name in a module of 'sho'"])


@pytest.mark.slow
def test_without_the_option_there_is_no_report(shop: pytest.Pytester) -> None:
    """Nothing is reported unless it was asked for."""
    result = shop.runpytest_subprocess(*OPTIONS)

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*transitions*")


@pytest.mark.slow
def test_the_plugin_does_not_import_the_library() -> None:
    """A pytest that does not use Statewright does not pay for it."""
    program = "import sys, _statewright_pytest; print('statewright' in sys.modules, 'pydantic' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "False"]
