"""Run the Python blocks of one Markdown document, as a reader would who pastes one after the other.

Usage: `python run_document.py DOCUMENT`, in the directory that the blocks may write to. All blocks share one namespace,
and tracebacks show the document's own lines. A block may `await` at its top level.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import linecache
import re
import sys
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^`\n]*)$")
EXECUTED = "python"
NOT_EXECUTED = re.compile(r"^ *<!-- not executed: .{8,} -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    info: str
    """What follows the opening fence: the language."""
    line: int
    """Where the block's first line of code stands, from 1."""
    code: str
    is_excused: bool
    """Whether the line above says why the block is not executed."""


def blocks(document: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a document, in order."""
    lines = document.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        opening = FENCE.match(lines[number])
        if opening is None:
            number += 1
            continue
        first = number + 1
        end = next((at for at in range(first, len(lines)) if lines[at].strip() == opening["fence"]), len(lines))
        is_excused = number > 0 and NOT_EXECUTED.match(lines[number - 1]) is not None
        code = textwrap.dedent("\n".join(lines[first:end]))
        yield Block(opening["info"].strip(), first + 1, code, is_excused)
        number = end + 1


def run(document: Path) -> None:
    """Run the Python blocks of a document in one namespace."""
    main = types.ModuleType("__main__")
    main.__file__ = str(document)
    sys.modules["__main__"] = main
    linecache.checkcache()
    with asyncio.Runner() as loop:
        for block in blocks(document):
            if block.info != EXECUTED or block.is_excused:
                continue
            source = "\n" * (block.line - 1) + block.code
            code = compile(source, str(document), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            outcome = eval(code, main.__dict__)
            if inspect.iscoroutine(outcome):
                loop.run(outcome)


if __name__ == "__main__":
    run(Path(sys.argv[1]).resolve())
