"""`python -m tests.faults`: inject faults of every kind, print what became of the commands, and write it as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from tests.postgres_server import postgres_server

from .kinds import KINDS
from .storm import storm
from .tally import Tally, to_table

OUTPUT = Path(__file__).parents[2] / "test-output" / "faults.json"


def main(arguments: Sequence[str]) -> int:
    """Inject what was asked for; 0 if nothing was lost, doubled, or left without an answer."""
    asked = _parser().parse_args(arguments)
    kinds = [kind for kind in KINDS if not asked.only or kind.name in asked.only]
    tallies: list[Tally] = []
    with postgres_server(durable=True) as server:
        for kind in kinds:
            if kind.needs_our_server and not server.is_ours:
                _tell(f"left out, for the server is not ours to stop: {kind.name}")
                continue
            tallies.append(asyncio.run(storm(server, kind, asked.rounds)))
            _tell(f"{kind.name}: {'sound' if tallies[-1].is_sound else 'NOT SOUND'}")
    sys.stdout.write(to_table(tallies) + "\n")
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    facts = {"machine": machine.describe(), "rounds": asked.rounds, "kinds": [tally.to_dict() for tally in tallies]}
    asked.output.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 0 if all(tally.is_sound for tally in tallies) else 1


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each fault is injected (default 3)")
    parser.add_argument("--only", action="append", choices=[kind.name for kind in KINDS], help="only this kind")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="file for the JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
