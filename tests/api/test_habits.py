"""The habits of the house that no tool looks after."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
LONGEST_DECISION = 40


def sentences_in(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_each_test_says_what_it_states(file: Path) -> None:
    """A test's docstring is the sentence that it proves."""
    assert [node.name for node in sentences_in(file) if not ast.get_docstring(node)] == []


def test_decisions_are_numbered_without_gaps() -> None:
    """Records of decisions count from 0001, each with a title in its name."""
    assert [file.name[:5] for file in DECISIONS] == [f"{number:04}-" for number in range(1, len(DECISIONS) + 1)]


@pytest.mark.parametrize("file", DECISIONS, ids=lambda file: file.stem)
def test_decision_is_short_and_whole(file: Path) -> None:
    """A record fits a screen, and says what was given up, not only what was chosen."""
    text = file.read_text(encoding="utf-8")

    assert len(text.splitlines()) <= LONGEST_DECISION
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Choice", "What we gave up"]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a clone has tracked files")
def test_no_lock_file_is_tracked() -> None:
    """Lock files record addresses of registries, which are nobody's business."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()

    assert not {Path(file).name for file in tracked} & {"uv.lock", "package-lock.json", ".python-version"}
