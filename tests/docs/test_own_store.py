"""The store of the page *Write a store of your own*, put through the contract as the page says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.run_document import blocks

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "own-store.md"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_store_of_the_page_keeps_the_contract(tmp_path: Path, mode: str) -> None:
    """The page's store and its test class pass in a project that has nothing else, in both modes of pytest-asyncio."""
    code = [block.code for block in blocks(PAGE)]
    [store] = [each for each in code if "class TableStore:" in each]
    [contract] = [each for each in code if "class TestTableStore(StoreContract):" in each]
    (tmp_path / "test_table_store.py").write_text(f"{store}\n\n{contract}", encoding="utf-8")
    settings = ["[pytest]", f"asyncio_mode = {mode}", "asyncio_default_fixture_loop_scope = function"]
    (tmp_path / "pytest.ini").write_text("\n".join([*settings, "filterwarnings = error"]), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    counts = done.stdout.splitlines()[-1]
    assert " passed" in counts
    assert "error" not in counts
