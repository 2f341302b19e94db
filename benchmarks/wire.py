"""Callers over HTTP, as light as they can be: what is measured is the server, which shares the machine with them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from .setting import Setting
from .timing import Measurement, crowd

_ROOT = Path(__file__).parent.parent
_REQUEST = (
    "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
)


class Caller:
    """One connection that is kept."""

    def __init__(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer

    async def post(self, path: str, body: str) -> None:
        """Send a request, and wait for the whole of its answer.

        Raises:
            RuntimeError: The answer is no success.
        """
        request = _REQUEST.format(path=path, host=self._host, length=len(body), body=body)
        self._writer.write(request.encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 2"):
            raise RuntimeError(head.decode())
        _, _, length = head.partition(b"\r\ncontent-length:")
        await self._reader.readexactly(int(length.partition(b"\r\n")[0]))

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        await self._writer.wait_closed()


async def call(address: str, paths: list[str], bodies: list[str], callers: int, setting: Setting) -> Measurement:
    """Let so many callers send requests to all paths in turn, each over a connection of its own."""
    host = urlsplit(address).netloc
    name, _, port = host.rpartition(":")
    async with AsyncExitStack() as stack:
        crew: list[Caller] = []
        for _ in range(callers):
            crew.append(Caller(host, *await asyncio.open_connection(name, int(port))))
            stack.push_async_callback(crew[-1].close)

        async def step(caller: int, turn: int) -> None:
            place = caller + turn * callers
            await crew[caller].post(paths[place % len(paths)], bodies[turn % len(bodies)])

        return await crowd(step, callers, setting.seconds)


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """Run a program that prints an address on its first line; yield the address, and end the program.

    Raises:
        RuntimeError: It did not begin to serve.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (_ROOT, _ROOT / "src")))}
    command = [sys.executable, *arguments]
    with subprocess.Popen(
        command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            assert server.stdout is not None
            said = server.stdout.readline()
            _, is_serving, rest = said.partition("http://")
            if not is_serving:
                raise RuntimeError(f"the server said: {said}{server.stdout.read()}")
            yield f"http://{rest.split()[0]}"
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)
        finally:
            server.kill()
