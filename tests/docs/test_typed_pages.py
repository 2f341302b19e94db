"""Pages whose code is what a reader copies into a typed program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.run_document import EXECUTED, blocks

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
PAGES = [
    ROOT / "README.md",
    *(HOW_TO / f"{name}.md" for name in ("erasure", "history", "idempotency", "plugins", "timers-and-reactors")),
]


@pytest.mark.slow
def test_pages_are_clean_under_mypy_strict(tmp_path: Path) -> None:
    """What may be `None` is looked at before it is used, and whatever else mypy's strict mode asks for is done."""
    files = [tmp_path / f"{page.stem.replace('-', '_')}.py" for page in PAGES]
    for page, file in zip(PAGES, files, strict=True):
        code = [block.code for block in blocks(page) if block.info == EXECUTED and not block.is_excused]
        file.write_text("\n".join(code), encoding="utf-8")
    options = ["--strict", "--config-file=", "--python-version=3.11", "--cache-dir", str(tmp_path / "cache")]

    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *map(str, files)],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout
