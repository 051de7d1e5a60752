"""Databases for the tests of storage: a SQLite file, and a real PostgreSQL that the tests start on a free port."""

import os
import shutil
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


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a running PostgreSQL server, without a database; it has one user, `test`, without a password."""
    binaries = _binaries()
    if binaries is None:
        message = "no PostgreSQL server here: install it, so that initdb and postgres are in the PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    folder = Path(tempfile.mkdtemp(prefix="quart-odds-pg-"))
    prefix = _as_nobody(folder)
    data = folder / "data"
    subprocess.run(
        [*prefix, binaries / "initdb", "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        capture_output=True,
        timeout=60,
        cwd=folder,
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*prefix, binaries / "postgres", "-D", data, *options], stdout=log, stderr=log, cwd=folder
        )
    try:
        _until_it_answers(binaries, port)
        yield f"postgresql://test@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


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
