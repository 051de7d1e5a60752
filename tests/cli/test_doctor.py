"""`quart-odds doctor`: what it prints, its exit code, and that it leaves everything as it is."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from quart_odds import __version__
from quart_odds.domain.platforms import Platform
from tests.apps import Sandbox, running_sandbox
from tests.cli.test_cli import settings_at
from tests.doctor.certificates import expired
from tests.platforms import FIRST_THREE
from tests.redis_servers import running_redis
from tests.server.serving import environment, served

COMMAND = (sys.executable, "-m", "quart_odds", "doctor")
SECONDS = 60


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Stand-in bookmakers."""
    with running_sandbox("--events", "6", "--markets", "12") as running:
        yield running


def settings(sandbox: Sandbox, folder: Path, **more: object) -> dict[str, object]:
    """Return settings with three bookmakers in the sandbox, and a database in a folder."""
    return settings_at(sandbox.url, folder) | {"bookmakers": ",".join(FIRST_THREE)} | more


def doctor(
    given: Mapping[str, object], folder: Path, *words: str, code: int = 0, environ: Mapping[str, str] | None = None
) -> str:
    """Run the command to its end, check its exit code, and return what it printed."""
    env = environment(given) | dict(environ or {})
    done = subprocess.run([*COMMAND, *words], env=env, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (code, ""), done
    return done.stdout


def findings(text: str) -> dict[str, dict[str, Any]]:
    """Return the findings of a JSON object by their names."""
    return {each["check"]: each for each in json.loads(text)["findings"]}


def test_all_is_well_with_sandbox_and_redis(sandbox: Sandbox, tmp_path: Path) -> None:
    """Each line has status, name and detail; nothing is made or written, in the folder or in Redis."""
    before = sum(int(sandbox.state()["bookmakers"][each]["requests"]) for each in FIRST_THREE)
    with running_redis() as redis:
        given = settings(sandbox, tmp_path, engine_url=redis.url, max_connections=100)
        text = doctor(given, tmp_path, "--bind", "127.0.0.1:0")
        with redis.client() as client:
            assert client.dbsize() == 0
    lines = [line.split() for line in text.splitlines()]
    assert {line[0] for line in lines} == {"ok"}, text
    names = [line[1] for line in lines]
    assert {"database", "engine", "bookmaker.bet9ja", "clock", "files", "port", "extras"} <= set(names)
    assert len(names) == len(set(names))
    assert list(tmp_path.iterdir()) == []
    after = sum(int(sandbox.state()["bookmakers"][each]["requests"]) for each in FIRST_THREE)
    assert after - before == len(FIRST_THREE)


def test_what_has_failed_is_told_with_what_to_do(sandbox: Sandbox, tmp_path: Path) -> None:
    """The exit code is 1. JSON has the same with figures."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{taken.getsockname()[1]}"
        given = settings(sandbox, tmp_path, bet9ja_url=f"http://{dead}", engine_url=f"redis://:s3cret@{dead}")
        text = doctor(given, tmp_path, "--bind", "127.0.0.1:0", code=1)
        told = json.loads(doctor(given, tmp_path, "--bind", "127.0.0.1:0", "--json", code=1))
    assert "s3cret" not in text
    rows = [line.split() for line in text.splitlines()]
    failures = [row[1] for row in rows if row[0] == "failed"]
    assert failures == ["engine", "bookmaker.bet9ja"]
    advice = [" ".join(row) for row in rows if row[0] == "->"]
    assert any("QUART_ODDS_BET9JA_URL" in each for each in advice)
    assert (told["status"], told["counts"]["failed"]) == ("failed", 2)
    found = {each["check"]: each for each in told["findings"]}
    assert found["bookmaker.bet9ja"]["facts"]["stage"] == found["engine"]["facts"]["stage"] == "tcp"
    assert found["bookmaker.betpawa"]["status"] == "ok"


async def test_a_server_that_runs_already_is_no_fault(sandbox: Sandbox, tmp_path: Path) -> None:
    """It has the address and the database, which say whose they are."""
    given = settings(sandbox, tmp_path)
    async with served(tmp_path, given) as server:
        bind = server.url.removeprefix("http://")
        found = findings(await asyncio.to_thread(doctor, given, tmp_path, "--bind", bind, "--json"))
    assert found["port"]["facts"] == {"is_free": False, "version": __version__}
    assert found["database.revision"]["facts"]["writer"]


@contextlib.asynccontextmanager
async def tls_server(folder: Path) -> AsyncIterator[tuple[int, Path]]:
    """A server whose certificate has expired: its port, and the certificate."""
    certificate = await asyncio.to_thread(expired, folder)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=certificate.server())
    async with server:
        yield server.sockets[0].getsockname()[1], certificate.path


async def test_a_certificate_that_has_expired_is_told(sandbox: Sandbox, tmp_path: Path) -> None:
    """Also if whoever signed it is trusted."""
    async with tls_server(tmp_path) as (port, path):
        given = settings(sandbox, tmp_path, betpawa_url=f"https://127.0.0.1:{port}")
        trusting = {"SSL_CERT_FILE": str(path)}
        words = ("--bind", "127.0.0.1:0", "--json")
        text = await asyncio.to_thread(doctor, given, tmp_path, *words, code=1, environ=trusting)
    found = findings(text)["bookmaker.betpawa"]
    assert (found["status"], found["facts"]["stage"]) == ("failed", "tls"), found
    assert "certificate has expired" in found["detail"]


@pytest.mark.parametrize(
    ("given", "words", "said"),
    [
        ({"bet9ja_url": "bet9ja.com"}, (), "QUART_ODDS_BET9JA_URL: give scheme and host only"),
        ({}, ("--bind", "nonsense"), "give HOST:PORT"),
        ({}, ("--timeout", "0"), "0.0 is not in the range"),
    ],
)
def test_wrong_settings_and_options_are_a_sentence(
    given: Mapping[str, object], words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    """The exit code is 2, and nothing is examined."""
    done = subprocess.run(
        [*COMMAND, *words], env=environment(given), cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS
    )
    assert (done.returncode, done.stdout, said in " ".join(done.stderr.split())) == (2, "", True), done
    assert os.listdir(tmp_path) == []


def test_each_bookmaker_that_is_scraped_is_asked(sandbox: Sandbox, tmp_path: Path) -> None:
    """And no other one."""
    given = settings(sandbox, tmp_path, bookmakers="sportybet")
    found = findings(doctor(given, tmp_path, "--bind", "127.0.0.1:0", "--json"))
    assert [name for name in found if name.startswith("bookmaker.")] == [f"bookmaker.{Platform('sportybet')}"]
