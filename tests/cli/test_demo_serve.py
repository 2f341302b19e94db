"""`demo --serve`: a day that goes on behind the console."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

PROGRAM = [sys.executable, "-W", "error", "-c", "from statewright.cli import main; main()", "demo", "--serve"]
PATIENCE = 60.0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command as a user types it; yield the process and the address that it prints."""
    options = ["--port", "0", "--orders", "200", "--rate", "100"]
    with subprocess.Popen(
        [*PROGRAM, *options], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert "http://127.0.0.1:" in said
            yield process, said.split("live: ")[1].split("  ")[0]
        finally:
            process.kill()


@pytest.mark.slow
def test_counts_move_and_interrupting_ends_it(served: tuple[subprocess.Popen[str], str]) -> None:
    """One command, and within seconds there are orders in several states, and more happens; Ctrl-C ends it cleanly."""
    process, address = served
    with httpx2.Client(base_url=address, follow_redirects=True) as browser:
        assert "<svg" in browser.get("/").text
        first = last = browser.get("/demo-order/counts").json()
        deadline = time.monotonic() + PATIENCE
        while last == first or sum(map(bool, last.values())) < 3:
            assert time.monotonic() < deadline
            with browser.stream("GET", "/demo-order/stream") as stream:
                next(each for each in stream.iter_lines() if each.startswith("data:"))
            last = browser.get("/demo-order/counts").json()
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=PATIENCE)

    assert (process.returncode, complaint) == (0, "")


@pytest.mark.slow
def test_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """Where somebody listens already, one line says what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*PROGRAM, "--port", port], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )

    assert done.returncode == 1
    assert f"127.0.0.1:{port}: Address already in use; name another one with --port" in done.stderr
    assert done.stderr.count("\n") == 1
