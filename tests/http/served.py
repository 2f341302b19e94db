"""`statewright serve` as a process of its own, in front of a store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from statewright.stores.postgres import PostgresStore
from statewright.stores.sqlite import SQLiteStore

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-W", "error", "-c", "from statewright.cli import main; main()", "serve"]


def store_at(place: str) -> Any:
    return PostgresStore(place) if place.startswith("postgresql:") else SQLiteStore(place)


class Server:
    """A running `statewright serve`."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.address = address
        self.said = ""
        self._process = process

    def size(self) -> int:
        """Return the bytes of memory that are its own."""
        told = Path(f"/proc/{self._process.pid}/statm")
        if told.exists():
            return int(told.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        ask = ["ps", "-o", "rss=", "-p", str(self._process.pid)]
        return int(subprocess.run(ask, capture_output=True, text=True, check=True).stdout) * 1024

    def stop(self) -> None:
        self._process.terminate()
        self.said, _ = self._process.communicate(timeout=30)
        assert self._process.returncode == 0, self.said


@contextmanager
def serving(place: str, code: str, folder: Path) -> Iterator[Server]:
    """Serve what a module of such code calls its router."""
    (folder / "served.py").write_text(code)
    options = ["served:router", "--store", place, "--port", "0", "--no-console", "--no-access-log"]
    with subprocess.Popen(
        [*PROGRAM, *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "src")))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert " at http://127.0.0.1:" in said, said + process.stdout.read()
            yield Server(process, said.split()[3])
        finally:
            process.kill()
