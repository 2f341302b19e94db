"""What users write is judged by mypy and pyright: the clean modules pass, and each planted mistake is caught."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHECKERS = ("mypy", "pyright")
CLEAN = sorted(HERE.glob("clean_*.py"))
MISTAKES = sorted(HERE.glob("mistakes_*.py"))

# What pyright says again of a value that it gave up on, on the line of the mistake itself.
ECHOES = re.compile(r"reportUnknown\w+|reportUntypedFunctionDecorator")
MARK = re.compile(r"# E: (?P<expected>.+)$")
EXPECTED = re.compile(r"(?P<checker>mypy|pyright)\[(?P<rules>[^\]]+)\]")


@dataclass(frozen=True, order=True)
class Finding:
    """One rule of one checker, broken on one line."""

    file: str
    line: int
    checker: str
    rule: str


Findings: TypeAlias = frozenset[Finding]


def planted(file: Path) -> Iterator[Finding]:
    """Yield what the marks of a file announce: `# E: mypy[arg-type] pyright[reportArgumentType]`."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if mark := MARK.search(line):
            for expected in EXPECTED.finditer(mark["expected"]):
                for rule in expected["rules"].split(", "):
                    yield Finding(file.name, number, expected["checker"], rule)


def found_by_mypy(output: str) -> Iterator[Finding]:
    for line in output.splitlines():
        message: dict[str, Any] = json.loads(line)
        if message["severity"] == "error":
            yield Finding(Path(message["file"]).name, message["line"], "mypy", message["code"])


def found_by_pyright(output: str) -> Iterator[Finding]:
    found: set[Finding] = set()
    for message in json.loads(output)["generalDiagnostics"]:
        if message["severity"] in {"error", "warning"}:
            line = message["range"]["start"]["line"] + 1
            found.add(Finding(Path(message["file"]).name, line, "pyright", message.get("rule", "syntax")))
    spoken = {(one.file, one.line) for one in found if not ECHOES.fullmatch(one.rule)}
    return (one for one in found if not ECHOES.fullmatch(one.rule) or (one.file, one.line) not in spoken)


def answers(mypy_cache: Path) -> tuple[str, str]:
    """Run both checkers at once, each on all files in one go, with the settings of the project."""
    files = [str(file.relative_to(ROOT)) for file in [*CLEAN, *MISTAKES]]
    mypy = [sys.executable, "-m", "mypy", "--output", "json", "--cache-dir", str(mypy_cache), *files]
    pyright = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, *files]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for command in (mypy, pyright)]
    outputs = [checker.communicate()[0].decode() for checker in running]
    # 1 says "mistakes found"; anything else is a checker that did not do its work.
    assert [checker.returncode for checker in running] == [1, 1], outputs
    return outputs[0], outputs[1]


@pytest.fixture(scope="session")
def found(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """What the two checkers report about every file beside this one."""
    kept = pytestconfig.cache
    mypy, pyright = answers(kept.mkdir("mypy") if kept else tmp_path_factory.mktemp("mypy"))
    return frozenset([*found_by_mypy(mypy), *found_by_pyright(pyright)])


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("file", CLEAN, ids=lambda file: file.stem)
def test_clean_module_passes(file: Path, checker: str, found: Findings) -> None:
    """A module that uses the library as documented is clean under both checkers at their strictest."""
    assert sorted(one for one in found if one.file == file.name and one.checker == checker) == []


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("file", MISTAKES, ids=lambda file: file.stem)
def test_mistakes_are_caught(file: Path, checker: str, found: Findings) -> None:
    """Exactly the marked lines fail, with exactly the marked rules, and no other line does."""
    expected = {one for one in planted(file) if one.checker == checker}
    actual = {one for one in found if one.file == file.name and one.checker == checker}

    assert sorted(expected - actual) == [], "planted, but not caught"
    assert sorted(actual - expected) == [], "caught, but not planted"


@pytest.mark.parametrize("file", MISTAKES, ids=lambda file: file.stem)
def test_marks_are_readable(file: Path) -> None:
    """Every mark names at least one rule, so that a misspelt mark cannot pass for no mark."""
    marked = {number for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1) if "# E:" in line}

    assert marked == {one.line for one in planted(file)}
    assert marked
