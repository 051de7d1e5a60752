"""Databases for tests: a SQLite file, and a real PostgreSQL server that the tests start on a free port."""

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from functools import cache
from itertools import count
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from quart_odds.storage import Store, open_store

_names = count(1)


def _binaries() -> Path | None:
    """Return the folder of initdb and postgres, or None if they are not installed."""
    found = [Path(path).resolve().parent for path in (shutil.which("postgres"), shutil.which("initdb")) if path]
    if shutil.which("pg_config"):
        answer = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, timeout=10, check=False)
        found.append(Path(answer.stdout.strip()))
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((path for path in found if (path / "initdb").exists() and (path / "postgres").exists()), None)


def _as_nobody(folder: Path) -> list[str]:
    """Return the arguments that run a command as the user nobody, who becomes the owner of the folder.

    Only if the tests run as root, because PostgreSQL refuses to run as root; otherwise the list is empty.
    """
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "nobody")
    return ["setpriv", "--reuid=nobody", "--clear-groups", "--"]


@cache
def _new_cluster(binaries: Path) -> Path:
    """Return the data folder of a new server, for copies: initdb takes seconds, and some tests need a server alone."""
    folder = Path(tempfile.mkdtemp(prefix="quart-odds-pg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    options = ["-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync"]
    command: list[str | Path] = [*_as_nobody(folder), binaries / "initdb", "-D", folder / "data", *options]
    subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=folder)
    return folder / "data"


class PostgresServer:
    """A PostgreSQL server for the tests, on a free port, with the user `test`, who has no password.

    `network` is the one that may connect, besides this machine.
    """

    def __init__(self, binaries: Path, address: str = "127.0.0.1", network: str | None = None) -> None:
        self._address = address
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="quart-odds-pg-"))
        self._prefix = _as_nobody(self._folder)
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind((address, 0))
            self.port = probe.getsockname()[1]
        self.url = f"postgresql://test@{address}:{self.port}"
        subprocess.run(["cp", "--archive", _new_cluster(binaries), self._folder / "data"], check=True, timeout=60)
        if network is not None:
            with (self._folder / "data" / "pg_hba.conf").open("a") as access:
                access.write(f"host all all {network} trust\n")

    def require_passwords(self) -> None:
        """Let nobody in without a password, from the next start on. The user `test` has none that would do."""
        access = self._folder / "data" / "pg_hba.conf"
        access.write_text("host all all all scram-sha-256\n")

    def start(self) -> None:
        """Start the server, and return when it answers."""
        options = ["-p", str(self.port), "-h", self._address, "-k", str(self._folder), "-F", "-c", "max_connections=60"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, self._binaries / "postgres", "-D", self._folder / "data", *options],
                stdout=log, stderr=log, cwd=self._folder,
            )  # fmt: skip
        _until_it_answers(self._binaries, self._address, self.port)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop the server. SIGINT closes every connection immediately."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the server. After SIGSTOP it neither answers nor refuses connections."""
        assert self._process is not None
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._process.pid)], capture_output=True, text=True, check=False
        )
        for pid in (self._process.pid, *map(int, children.stdout.split())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """Kill all processes of the server at once, as the kernel does when memory runs out."""
        assert self._process is not None
        self.send(signal.SIGKILL)
        self._process.wait(20)
        self._process = None

    def close(self) -> None:
        """Stop the server and remove its files."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _server(address: str, network: str | None) -> PostgresServer:
    binaries = _binaries()
    if binaries is None:
        message = "PostgreSQL is not installed, or initdb and postgres are not in the PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return PostgresServer(binaries, address, network)


@contextlib.contextmanager
def running_postgres(address: str = "127.0.0.1", network: str | None = None) -> Iterator[PostgresServer]:
    """Run a PostgreSQL server during the block. Skips the test if PostgreSQL is not installed; in CI, it fails."""
    server = _server(address, network)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Return the URL of a running PostgreSQL server, without a database name."""
    with running_postgres() as server:
        yield server.url


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """Return a running PostgreSQL server that only this test uses, so it may stop it."""
    with running_postgres() as server:
        yield server


def _until_it_answers(binaries: Path, address: str, port: int) -> None:
    deadline = time.monotonic() + 30
    while subprocess.run([binaries / "pg_isready", "-q", "-h", address, "-p", str(port)], check=False).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError("PostgreSQL did not start within 30 s")
        time.sleep(0.05)


async def make_database(postgres: str) -> str:
    """Create an empty database on a server, and return its URL."""
    name = f"test_{os.getpid()}_{next(_names)}"
    connection = await asyncpg.connect(f"{postgres}/postgres")
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return f"{postgres}/{name}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database. Tests with this fixture run once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'odds.db'}"
    return await make_database(request.getfixturevalue("postgres"))


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """Return an open store with an empty database."""
    opened = await open_store(database_url)
    yield opened
    await opened.aclose()
