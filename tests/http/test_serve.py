"""`statewright serve`: a process of its own, asked over loopback, and told to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from statewright import WorkflowExecutor
from statewright.cli.app import app
from statewright.demo import router
from statewright.demo.order import Open
from statewright.stores.sqlite import SQLiteStore

PROGRAM = [sys.executable, "-c", "from statewright.cli import main; main()", "serve"]
PLAIN = [sys.executable, "-c", f"import sys; sys.modules.update(uvloop=None, httptools=None); {PROGRAM[2]}", "serve"]
"""The same where neither of the two is installed."""
OWN = """
from statewright import MemoryStore, WorkflowExecutor
from statewright.demo import router
orders = WorkflowExecutor(router, MemoryStore())
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to an empty directory with a file of the demo, and a module with an executor."""
    monkeypatch.chdir(tmp_path)
    for name in ("STATEWRIGHT_STORE", "STATEWRIGHT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "own.py").write_text(OWN)
    with WorkflowExecutor(router, SQLiteStore(tmp_path / "statewright-demo.db")).sync() as orders:
        orders.execute("order-1", Open(customer="Ada")).unwrap()
    return tmp_path


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address
        self.output = ""

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Tell it to stop, and return the status with which it ends."""
        self.process.send_signal(number)
        self.output, _ = self.process.communicate(timeout=60)
        return self.process.returncode


@contextmanager
def running(*arguments: str, program: Sequence[str] = PROGRAM, **environment: str) -> Iterator[Server]:
    """Start a server on a free port, and see that it ends."""
    process = subprocess.Popen(
        [*program, *arguments, "--port", "0", "--no-console"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("Serving demo-order at http://127.0.0.1:"), said + process.stdout.read()
        yield Server(process, said.split()[3])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("program", [PROGRAM, PLAIN], ids=["quick", "plain"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_it_serves_and_stops(number: int, program: list[str]) -> None:
    """It serves the demo's file, logs each request, and ends with status 0, open streams included."""
    with running(program=program) as server, httpx2.Client(base_url=server.address, timeout=60) as client:
        order = client.get("/demo-order/order-1")
        created = client.post("/demo-order/order-2/commands/Open", json={"customer": "Bela"})
        with client.stream("GET", "/demo-order/order-1/stream") as stream:
            assert next(stream.iter_text())
            status = server.stop(number)

    assert order.json()["data"] == {"customer": "Ada", "lines": []}
    assert created.status_code == 201
    assert status == 0
    assert '"POST /demo-order/order-2/commands/Open HTTP/1.1" 201' in server.output
    assert "Traceback" not in server.output


@pytest.mark.slow
def test_it_serves_an_executor_under_a_token(here: Path) -> None:
    """With a token every request has to show it, and the token is in no line of the log."""
    (here / "token").write_text("let-me-in\n")
    with running("own:orders", "--token-file", "token") as server:
        with httpx2.Client(base_url=server.address) as client:
            statuses = [
                client.get("/demo-order", headers=headers).status_code
                for headers in ({}, {"authorization": "Bearer let-me-out"}, {"authorization": "Bearer let-me-in"})
            ]
        assert server.stop() == 0

    assert statuses == [401, 401, 200]
    assert "let-me-in" not in server.output


@pytest.mark.slow
def test_the_token_may_be_in_the_environment_and_the_prefix_in_front() -> None:
    """A token comes from the environment, too; behind a proxy, paths begin with the proxy's prefix."""
    with running("own:orders", "--root-path", "/shop", "--no-access-log", STATEWRIGHT_TOKEN="abc") as server:
        origin = server.address.removesuffix("/shop")
        with httpx2.Client(base_url=origin, headers={"authorization": "Bearer abc"}) as client:
            assert client.get("/demo-order").json() == []
        with httpx2.Client(base_url=origin) as client:
            sent = client.get("/", headers={"accept": "text/html"})
        assert server.stop() == 0

    assert sent.headers["location"] == "/shop/_/session"
    assert "GET /" not in server.output


@pytest.mark.slow
def test_rebound_names_are_refused() -> None:
    """Without a token, a name of somebody else's that points here gets no answer."""
    with running("own:orders") as server:
        assert httpx2.get(f"{server.address}/demo-order", headers={"host": "evil.example"}).status_code == 403
        assert httpx2.get(f"{server.address}/demo-order").status_code == 200


def refused(*arguments: str) -> Any:
    outcome = CliRunner().invoke(app, ["serve", *arguments])
    assert outcome.exit_code != 0
    return outcome


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_other_addresses_need_a_token(host: str) -> None:
    """Where others could come in, a token is required before anything listens."""
    assert "--token-file" in refused("--host", host).stderr


def test_what_is_wrong_is_said(here: Path) -> None:
    """An empty token, a store too many, a mixture of targets, a module that is none: each is said in one line."""
    (here / "empty").write_text("\n")
    (here / "mixed.py").write_text(OWN + "router = router\n")

    assert "empty" in refused("--token-file", "empty").stderr
    for name, content in {"latin": b"schl\xfcssel", "utf-8": "schlüssel".encode(), "lines": b"two\nlines"}.items():
        (here / name).write_bytes(content)
        assert f"{name} holds no token: a token is one line of printable ASCII" in refused("--token-file", name).stderr
    assert "nowhere" in refused("--token-file", "nowhere").stderr
    assert "--store" in refused("own:orders", "--store", "statewright-demo.db").stderr
    assert "not both" in refused("mixed:orders", "mixed:router", "--store", "statewright-demo.db").stderr
    assert "no module" in refused("nothing:here").stderr


@pytest.mark.parametrize("prefix", ["shop", "/shop/", "/", "//shop", "/a//b", "/bücher", "/a b", "/a;b", "/a\n"])
def test_a_prefix_is_a_path(prefix: str) -> None:
    """A prefix that no proxy could take off is refused before anything listens."""
    outcome = refused("--root-path", prefix)

    assert outcome.exit_code == 2
    assert "--root-path" in outcome.stderr
