"""The door of the test kit."""

from __future__ import annotations

import subprocess
import sys

import pytest

from statewright import testing


def test_all_names_are_there_and_sorted() -> None:
    """Every public name can be imported, and the list is sorted."""
    assert testing.__all__ == sorted(testing.__all__)
    assert dir(testing) == testing.__all__
    for name in testing.__all__:
        assert getattr(testing, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that is not there is reported as any module would."""
    with pytest.raises(AttributeError, match="no attribute 'StoreContrakt'"):
        _ = testing.StoreContrakt


@pytest.mark.slow
def test_the_kit_needs_pytest_only_where_it_is_used() -> None:
    """Without pytest and Hypothesis the kit can be imported; what needs them names the extra to install."""
    program = """
import sys
sys.modules["pytest"] = sys.modules["hypothesis"] = None
from statewright import testing
for name in testing._LATE:
    try:
        getattr(testing, name)
    except ImportError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    answers = done.stdout.splitlines()
    assert len(answers) == len(testing._LATE)
    assert all('pip install "statewright[testing]"' in answer for answer in answers)
    assert any(answer.startswith("statewright.testing.StoreContract needs pytest:") for answer in answers)
