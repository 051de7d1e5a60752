"""Databases for the tests of storage: a SQLite file, and a real PostgreSQL that the tests start on a free port."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from quart_odds.storage import Store, open_store

_names = count(1)


def _binaries() -> Path | None:
    """Where initdb and postgres are."""
    found = [Path(path).resolve().parent for path in (shutil.which("postgres"), shutil.which("initdb")) if path]
    if shutil.which("pg_config"):
        answer = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, timeout=10, check=False)
        found.append(Path(answer.stdout.strip()))
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((path for path in found if (path / "initdb").exists() and (path / "postgres").exists()), None)


def _as_nobody(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root: gives the folder to nobody, and the words that start a command as them."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "nobody")
    return ["setpriv", "--reuid=nobody", "--clear-groups", "--"]


class PostgresServer:
    """A PostgreSQL server of our own on a free port, with one user, `test`, without a password."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="quart-odds-pg-"))
        self._prefix = _as_nobody(self._folder)
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"postgresql://test@127.0.0.1:{self.port}"
        words: list[str | Path] = [
            binaries / "initdb",
            "-D",
            self._folder / "data",
            "-U",
            "test",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        subprocess.run(
            [*self._prefix, *words, "--no-sync"], check=True, capture_output=True, timeout=60, cwd=self._folder
        )

    def start(self) -> None:
        """Begin, and return when it answers."""
        options = ["-p", str(self.port), "-h", "127.0.0.1", "-k", str(self._folder), "-F", "-c", "max_connections=60"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, self._binaries / "postgres", "-D", self._folder / "data", *options],
                stdout=log, stderr=log, cwd=self._folder,
            )  # fmt: skip
        _until_it_answers(self._binaries, self.port)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End; by SIGINT every connection is cut at once."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def send(self, number: signal.Signals) -> None:
        """A signal to all its processes, such as SIGSTOP: then nothing is answered, and nothing is refused."""
        assert self._process is not None
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._process.pid)], capture_output=True, text=True, check=False
        )
        for pid in (self._process.pid, *map(int, children.stdout.split())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        """End, and remove everything."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _server() -> PostgresServer:
    binaries = _binaries()
    if binaries is None:
        message = "no PostgreSQL server here: install it, so that initdb and postgres are in the PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return PostgresServer(binaries)


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL server that ends with the block; where there is none, the test is skipped."""
    server = _server()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a running PostgreSQL server, without a database."""
    with running_postgres() as server:
        yield server.url


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL server for one test alone, which may stop it."""
    with running_postgres() as server:
        yield server


def _until_it_answers(binaries: Path, port: int) -> None:
    deadline = time.monotonic() + 30
    while subprocess.run([binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError("PostgreSQL did not start within 30 s")
        time.sleep(0.05)


async def make_database(postgres: str) -> str:
    """A new empty database on a server, by its URL."""
    name = f"test_{os.getpid()}_{next(_names)}"
    connection = await asyncpg.connect(f"{postgres}/postgres")
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return f"{postgres}/{name}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: each test that asks for it runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'odds.db'}"
    return await make_database(request.getfixturevalue("postgres"))


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """An open store on an empty database."""
    opened = await open_store(database_url)
    yield opened
    await opened.aclose()
