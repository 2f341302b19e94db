"""README and docs: every block of Python runs, and every link leads somewhere."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.docs.run_document import EXECUTED, Block, blocks
from tests.postgres_server import PostgresServer

pytest_plugins = ["tests.fixtures.postgres"]

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXECUTABLE = [document for document in DOCUMENTS if any(block.info == EXECUTED for block in blocks(document))]
RUNNER = Path(__file__).with_name("run_document.py")

DATABASE = "DATABASE_URL"
"""A page that reads this from its environment gets a database of its own on the tests' PostgreSQL."""
LINK = re.compile(r"\]\((?P<target>[^)#\s]+)(?:#[^)\s]*)?\)")
FENCED = re.compile(r"^ *(`{3,}|~{3,}).*?^ *\1 *$", re.MULTILINE | re.DOTALL)


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def executed(document: Path) -> list[Block]:
    return [block for block in blocks(document) if block.info == EXECUTED and not block.is_excused]


def awaits(document: Path) -> bool:
    """Return whether a page has `await` outside functions, which a file may not have."""
    try:
        compile("\n".join(block.code for block in executed(document)), str(document), "exec")
    except SyntaxError:
        return True
    return False


def environment_of(document: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8"}
    if DATABASE in document.read_text(encoding="utf-8"):
        environment[DATABASE] = request.getfixturevalue("database")
    return environment


def python(directory: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an empty database, which is dropped afterwards."""
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"documents_{secrets.token_hex(6)}"
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield make_conninfo(server.dsn, dbname=name)
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.slow
@pytest.mark.parametrize("document", EXECUTABLE, ids=name_of)
def test_document_runs_twice_in_a_row(document: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A reader may paste the blocks of a document, and do it again in the same directory on another day."""
    environment = environment_of(document, request)
    for day in ("first", "second"):
        done = python(tmp_path, environment, str(RUNNER), str(document))

        assert done.returncode == 0, f"{day} run\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("document", [each for each in EXECUTABLE if awaits(each)], ids=name_of)
def test_document_runs_as_a_file(document: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Where a page awaits outside functions, all its blocks can be the body of one `async def` in a file."""
    body = textwrap.indent("\n".join(each.code for each in executed(document)), "    ")
    file = tmp_path / "page.py"
    file.write_text(f"import asyncio\n\nasync def main():\n{body}\n\nasyncio.run(main())\n", encoding="utf-8")

    done = python(tmp_path, environment_of(document, request), str(file))

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_python_is_executed_or_excused(document: Path) -> None:
    """A block of Python is marked `python`, which is executed, or says on the line above why it is not."""
    astray = [
        f"line {block.line}: {block.info}"
        for block in blocks(document)
        if re.match(r"py|\{.*python", block.info) and block.info != EXECUTED and not block.is_excused
    ]

    assert astray == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    """A relative link names a file that is there."""
    prose = FENCED.sub("", document.read_text(encoding="utf-8"))
    targets = [link["target"] for link in LINK.finditer(prose) if "://" not in link["target"]]

    assert [target for target in targets if not (document.parent / target).exists()] == []
