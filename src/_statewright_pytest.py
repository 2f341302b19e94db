"""The pytest plugin of Statewright.

It stands outside the package, and imports it only when it is used, so that pytest starts no slower for having it
installed and coverage tools see every line of the package being imported.
"""

from __future__ import annotations

import pytest

# The clauses of StoreContract assert; a failing one should show what was compared.
pytest.register_assert_rewrite("statewright.testing.contract")
