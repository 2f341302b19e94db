"""`statewright serve`: definitions over HTTP, with the console."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import os
import re
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..._engine.executor import WorkflowExecutor
from ..option import StoreOption
from ..output import console
from ..place import opened, required
from ..program import MISUSED, Complaint
from ..target import find, needed_router

if TYPE_CHECKING:
    import uvicorn

TOKEN = "STATEWRIGHT_TOKEN"  # noqa: S105 - the name of a variable
"""The environment variable that may hold the token."""
_PREFIX = re.compile(r"(/[\w.~@+:-]+)*", re.ASCII)
_PATIENCE = 10
"""Seconds that requests have to end when the server is told to stop."""


def serve(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODULE:EXECUTOR...",
            show_default=False,
            help="WorkflowExecutors over one store, or WorkflowRouters for --store. Default: the demo's own.",
        ),
    ] = None,
    *,
    store: StoreOption = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen on; all but loopback need a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            show_default=False,
            help=f"Holds the token that every request has to show. Or set {TOKEN}.",
        ),
    ] = None,
    with_console: Annotated[bool, typer.Option("--console/--no-console", help="Serve the console, too.")] = True,
    require_if_match: Annotated[
        bool, typer.Option("--require-if-match", help="Refuse commands that name no expected version.")
    ] = False,
    max_body: Annotated[int, typer.Option("--max-body", min=1, help="A body has so many bytes at most.")] = 1_048_576,
    root_path: Annotated[
        str, typer.Option("--root-path", help="The prefix that a proxy takes off.", show_default=False)
    ] = "",
    access_log: Annotated[bool, typer.Option("--access-log/--no-access-log", help="Log each request.")] = True,
) -> None:
    """Serve definitions over HTTP, with the console at /console.

    On loopback nobody is asked who they are. Any other address needs a token, and every request has to show it:
    `Authorization: Bearer ...`; a browser is asked for it once.
    """
    _check_prefix(root_path)
    token = _token(token_file)
    is_local = _is_loopback(host)
    if token is None and not is_local:
        raise Complaint(f"{host} can be reached by others: give --token-file FILE, or set {TOKEN}", MISUSED)
    options: dict[str, Any] = {
        "console": with_console,
        "token": token,
        "require_if_match": require_if_match,
        "max_body": max_body,
        "loopback_only": token is None,
    }
    with _listening(host, port) as listening:
        serving = _serve(targets or [], store, listening, options, root_path, access_log=access_log)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serving)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the quicker loop, where it is installed; it does not exist for Windows."""
    try:
        import uvloop  # noqa: PLC0415 - an optional dependency
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(
    targets: Sequence[str],
    place: str | None,
    listening: socket.socket,
    options: dict[str, Any],
    root_path: str,
    *,
    access_log: bool,
) -> None:
    create_app, config = _http()
    async with _executors(targets, place) as executors:
        app = create_app(executors, **options)
        settings = config(
            app,
            access_log=access_log,
            server_header=False,
            root_path=root_path,
            timeout_graceful_shutdown=_PATIENCE,
        )
        _tell(executors, listening, root_path, with_console=options["console"])
        await _server(settings).serve(sockets=[listening])


@asynccontextmanager
async def _executors(targets: Sequence[str], place: str | None) -> AsyncGenerator[list[WorkflowExecutor[Any]]]:
    """Yield executors; the store that was named is open."""
    found = [find(target) for target in targets]
    own = [each for each in found if isinstance(each, WorkflowExecutor)]
    async with AsyncExitStack() as stack:
        if len(own) == len(found) and own:
            if place is not None:
                raise Complaint("an executor has its store already: leave --store out", MISUSED)
            yield own
            return
        if own:
            raise Complaint("give executors, or routers and --store, but not both", MISUSED)
        # The demo's file stands in for no store of a router that was named.
        store = await stack.enter_async_context(opened(required(place, targets[0]) if found else place))
        routers = found or [await needed_router(store, "MODULE:ROUTER")]
        yield [WorkflowExecutor(each, store) for each in routers if not isinstance(each, WorkflowExecutor)]


def _http() -> Any:
    try:
        import uvicorn  # noqa: PLC0415 - an optional dependency, and slow to import

        from ...http import create_app  # noqa: PLC0415 - as above
    except ImportError as exc:
        raise Complaint(f'serving needs the extra "http": pip install "statewright[http]" ({exc})') from exc
    return create_app, uvicorn.Config


def _server(settings: uvicorn.Config) -> uvicorn.Server:
    import uvicorn  # noqa: PLC0415 - an optional dependency, and slow to import

    class Server(uvicorn.Server):
        """Stops when it is told to, and leaves the end of the process to the process."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            # What has been made until now stays until the end. Looking for garbage among it, again and again, took a
            # fifth of the time of a server under load.
            gc.collect()
            gc.freeze()

        @contextmanager
        def capture_signals(self) -> Generator[None]:
            loop = asyncio.get_running_loop()
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(each, self.handle_exit, each, None)
            try:
                yield
            finally:
                for each in (signal.SIGINT, signal.SIGTERM):
                    loop.remove_signal_handler(each)

    return Server(settings)


def _token(file: Path | None) -> str | None:
    if file is None:
        token = os.environ.get(TOKEN)
        where = TOKEN
    else:
        token, where = file.read_text(encoding="utf-8", errors="replace"), str(file)
    if token is None:
        return None
    token = token.strip()
    if not token:
        raise Complaint(f"{where} holds no token: it is empty", MISUSED)
    if not (token.isascii() and token.isprintable()):
        raise Complaint(f"{where} holds no token: a token is one line of printable ASCII", MISUSED)
    return token


def _check_prefix(root_path: str) -> None:
    if _PREFIX.fullmatch(root_path) is None:
        raise Complaint(
            f"--root-path {root_path!r} is no prefix such as /shop: it begins with a slash, does not end with one, and "
            "has only ASCII letters, digits and -._~@+: between slashes",
            MISUSED,
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _listening(host: str, port: int) -> Generator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as exc:
        raise Complaint(f"cannot listen on {host}, port {port}: {exc.strerror or exc}") from exc
    with listening:
        yield listening


def _tell(
    executors: Sequence[WorkflowExecutor[Any]], listening: socket.socket, root_path: str, *, with_console: bool
) -> None:
    host, port = listening.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}{root_path}"
    names = ", ".join(each.router._definition.name for each in executors)
    where = f"{address}/console/" if with_console else address
    console().print(f"Serving {names} at {where} (stop: Ctrl+C)", soft_wrap=True)
