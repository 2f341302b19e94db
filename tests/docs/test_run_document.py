"""The runner of documents: what it takes for code, and how it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.docs.run_document import blocks, run

RUNNER = Path(__file__).with_name("run_document.py")


@pytest.fixture
def document(tmp_path: Path) -> Path:
    return tmp_path / "page.md"


@pytest.fixture(autouse=True)
def own_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give `__main__` back after a document took its place."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


def test_blocks_share_a_namespace(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What one block defines, the next one may use; other languages are left alone."""
    document.write_text("```python\nx = 20\n```\ntext\n```console\n$ false\n```\n```python\nprint(x + 1)\n```\n")

    run(document)

    assert capsys.readouterr().out == "21\n"


def test_block_may_await_at_its_top_level(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Blocks with and without `await` take turns on one event loop, `asyncio.run` between them included."""
    document.write_text(
        dedent("""
        ```python
        import asyncio
        first = asyncio.Event()
        async def main():
            print("own loop")
        ```
        ```python
        first.set()
        print(await first.wait())
        ```
        ```python
        asyncio.run(main())
        ```
        """)
    )

    run(document)

    assert capsys.readouterr().out == "True\nown loop\n"


def test_excused_block_is_not_run(document: Path) -> None:
    """A block is left out only with the reason on the line above."""
    document.write_text("<!-- not executed: needs a running server -->\n```python\nraise SystemExit(1)\n```\n")

    run(document)

    assert [block.is_excused for block in blocks(document)] == [True]


def test_indented_block_is_dedented(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A block inside a list is code like any other."""
    document.write_text("- item\n\n    ```python\n    if True:\n        print('in')\n    ```\n")

    run(document)

    assert capsys.readouterr().out == "in\n"


@pytest.mark.slow
def test_failure_names_the_line_of_the_document(document: Path, tmp_path: Path) -> None:
    """A block that fails ends the run, and the traceback shows the document's own line."""
    document.write_text("# Page\n\n```python\nx = 1\n\n1 / 0\n```\n")

    done = subprocess.run(
        [sys.executable, str(RUNNER), str(document)], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert 'page.md", line 6' in done.stderr
    assert "ZeroDivisionError" in done.stderr
