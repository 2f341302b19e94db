"""`python -m benchmarks`: measure, print the table, write it as JSON and draw it."""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from . import machine, picture, publish, report
from .catalogue import SCENARIOS
from .contest import Effort, NewDatabase, Outcome, hold
from .scenario import Scenario
from .server import databases

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; 0 also when a target is missed, because a busy machine is nobody's mistake."""
    asked = _parser().parse_args(arguments)
    if asked.publish and (asked.quick or asked.only):
        _parser().error("--publish takes all scenarios, measured properly: not with --quick or --only")
    scenarios = [scenario for scenario in SCENARIOS if _is_wanted(scenario, asked.only)]
    if asked.list:
        print("\n".join(f"{scenario.name:20} {scenario.title}" for scenario in scenarios))
        return 0
    effort = _effort(asked)
    outcomes = []
    with contextlib.ExitStack() as stack:
        needs_server = any(scenario.needs_server for scenario in scenarios)
        new_database: NewDatabase | None = stack.enter_context(databases(asked.dsn)) if needs_server else None
        for scenario in scenarios:
            outcomes.append(hold(scenario, effort, new_database, _tell))
            _tell("")
            print(report.to_table(outcomes[-1:]), flush=True)
    _write(outcomes, effort, asked, _command(arguments))
    return 1 if any(outcome.failures for outcome in outcomes) else 0


def _write(outcomes: Sequence[Outcome], effort: Effort, asked: argparse.Namespace, command: str) -> None:
    described = machine.describe()
    data = report.to_data(outcomes, effort, described, command)
    asked.output.mkdir(parents=True, exist_ok=True)
    name = "published" if asked.publish else asked.name
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    (asked.output / f"{name}.json").write_text(text, encoding="utf-8")
    try:
        picture.draw(picture.worth_drawing(outcomes), asked.output / f"{name}.svg")
    except picture.NoDrawingError as missing:
        print(missing, file=sys.stderr)
    if asked.publish:
        publish.write(outcomes, effort, described, command)


def _command(arguments: Sequence[str]) -> str:
    # Where a server is, and where files go, is the business of the machine, and a DSN may hold a password.
    private = {"--dsn", "--output"}
    shown: list[str] = []
    skip = False
    for word in arguments:
        name, has_value, _ = word.partition("=")
        if not skip and name not in private:
            shown.append(word)
        skip = not skip and name in private and not has_value
    return shlex.join(["python", "-m", "benchmarks", *shown])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure Statewright beside its floors and its peers."
    )
    parser.add_argument("--rounds", type=int, help="how often each contender runs (default 5; 1 with --quick)")
    parser.add_argument("--seconds", type=float, help="how long each run measures (default 2; 0.5 with --quick)")
    parser.add_argument("--only", action="append", metavar="NAME", help="a scenario, or a pattern such as 'sqlite-*'")
    parser.add_argument("--quick", action="store_true", help="a first impression: short runs, one round")
    parser.add_argument("--whole", action="store_true", help="long scenarios at full size, not a tenth of it")
    parser.add_argument("--dsn", help="a running PostgreSQL, as a URL, for the postgres scenarios; none starts one")
    parser.add_argument("--list", action="store_true", help="name the scenarios and stop")
    parser.add_argument("--publish", action="store_true", help="write the published files, and docs/benchmarks.md")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for JSON and picture")
    parser.add_argument("--name", default="local", help="name of the written files (default: local, ignored by git)")
    return parser


def _effort(asked: argparse.Namespace) -> Effort:
    rounds, seconds, scale = (1, 0.5, 0.01) if asked.quick else (5, 2.0, 0.1)
    return Effort(asked.rounds or rounds, asked.seconds or seconds, 1.0 if asked.whole else scale)


def _is_wanted(scenario: Scenario, patterns: Sequence[str] | None) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(scenario.name, pattern) for pattern in patterns)


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
