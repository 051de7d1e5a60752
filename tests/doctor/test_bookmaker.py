"""What the doctor says about bookmakers: one request each, and where it failed."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from quart_odds.doctor import Finding, Status
from quart_odds.doctor.bookmaker import bookmaker
from quart_odds.doctor.clock import ClockReading
from quart_odds.domain.platforms import Platform
from quart_odds.settings import Settings, load_settings
from tests.apps import Sandbox, running_sandbox
from tests.doctor.certificates import Certificate, self_signed
from tests.platforms import FIRST_THREE

BETPAWA, SPORTYBET, BET9JA, *_ = Platform
SECRET = "s3cret"
SECONDS = 5.0


@pytest.fixture(scope="module")
def process() -> Iterator[Sandbox]:
    """Stand-in bookmakers."""
    with running_sandbox("--events", "6", "--markets", "12") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: Sandbox) -> Iterator[Sandbox]:
    """The same bookmakers, without faults before and after the test."""
    process.heal()
    yield process
    process.heal()


def settings_at(url: str, **more: object) -> Settings:
    """Settings with all bookmakers at one address."""
    return load_settings({}, **{f"{each}_url": url for each in Platform}, **more)


async def examined(
    settings: Settings, platform: Platform = BETPAWA, seconds: float = SECONDS
) -> tuple[Finding, list[ClockReading]]:
    """Return the finding, and what was told about the clock."""
    readings: list[ClockReading] = []
    found = await bookmaker(settings, platform, seconds, readings.append)
    assert SECRET not in repr(found)
    return found, readings


def requests(sandbox: Sandbox, platform: Platform) -> int:
    """Return how many requests a bookmaker got."""
    return int(sandbox.state()["bookmakers"][platform]["requests"])


@contextlib.asynccontextmanager
async def answering(text: bytes, certificate: Certificate | None = None) -> AsyncIterator[int]:
    """Answer each request with these bytes, and close the connection. Nothing is answered without any."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            if not text:
                await reader.read()
            writer.write(text)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(
        answer, "127.0.0.1", 0, ssl=None if certificate is None else certificate.server()
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize("platform", FIRST_THREE)
async def test_a_bookmaker_that_answers_gets_one_request(platform: Platform, sandbox: Sandbox) -> None:
    """The time that it took is told, and what its Date says."""
    before = requests(sandbox, platform)
    found, [told] = await examined(settings_at(sandbox.url), platform)
    assert (found.status, found.check) == (Status.OK, f"bookmaker.{platform}"), found
    assert "answers as expected in" in found.detail
    assert requests(sandbox, platform) - before == 1
    assert abs(told.ahead_seconds) < 2


@pytest.mark.parametrize(
    ("fault", "status", "error_type", "advice"),
    [
        ("403", 403, "blocked", "QUART_ODDS_BETPAWA_PROXY"),
        ("429", 429, "rate_limited", "send less"),
        ("500", 500, "server_fault", "nothing is wrong here"),
        ("block-page", 200, "blocked", "QUART_ODDS_BETPAWA_PROXY"),
    ],
)
async def test_an_answer_that_is_not_as_expected_is_not_asked_for_again(
    fault: str, status: int, error_type: str, advice: str, sandbox: Sandbox
) -> None:
    """A refusal is told apart from a fault. The clock can be read off the answer all the same."""
    sandbox.strike(fault, BETPAWA)
    before = requests(sandbox, BETPAWA)
    found, readings = await examined(settings_at(sandbox.url))
    assert found.status is Status.FAILED
    told = {name: found.facts[name] for name in ("stage", "http_status", "error_type")}
    assert told == {"stage": "answer", "http_status": status, "error_type": error_type}, found
    assert advice in str(found.advice)
    assert requests(sandbox, BETPAWA) - before == 1
    assert len(readings) == 1


async def test_an_answer_of_another_site_is_not_as_expected() -> None:
    """Valid JSON of another shape fails, too."""
    body = b'{"hello": "world"}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with answering(head + body) as port:
        found, _ = await examined(settings_at(f"http://127.0.0.1:{port}"))
    assert (found.status, found.facts["stage"]) == (Status.FAILED, "answer"), found
    assert "check QUART_ODDS_BETPAWA_URL" in str(found.advice)


async def test_a_redirect_is_not_followed() -> None:
    """It would be a second request."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        found, _ = await examined(settings_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    assert (found.status, asked) == (Status.FAILED, 1), found


@pytest.mark.parametrize(("host", "stage"), [("nowhere.invalid", "dns"), ("127.0.0.1", "tcp")])
async def test_a_bookmaker_that_is_not_there_is_told(host: str, stage: str) -> None:
    """The stage says where to look."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found, readings = await examined(settings_at(f"http://{host}:{taken.getsockname()[1]}"))
    assert (found.status, found.facts["stage"]) == (Status.FAILED, stage), found
    assert "QUART_ODDS_BETPAWA_URL" in str(found.advice)
    assert readings == []


async def test_a_bookmaker_that_never_answers_is_told_in_time() -> None:
    """The connection was there, so it is the answer that is missing."""
    async with answering(b"") as port:
        found, _ = await examined(settings_at(f"http://127.0.0.1:{port}"), seconds=0.3)
    assert (found.status, found.facts["stage"]) == (Status.FAILED, "answer"), found
    assert "no answer within" in found.detail


async def test_a_certificate_that_is_not_trusted_is_told(tmp_path: Path) -> None:
    """The stage is that of TLS, with what is wrong with the certificate."""
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n", self_signed(tmp_path)) as port:
        found, _ = await examined(settings_at(f"https://127.0.0.1:{port}"))
    assert (found.status, found.facts["stage"]) == (Status.FAILED, "tls"), found
    assert "self-signed certificate" in found.detail


async def test_the_proxy_is_used_and_told_apart(sandbox: Sandbox) -> None:
    """One that is not there, and one that refuses the password, are faults of the proxy and not of the bookmaker."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        proxy = f"http://user:{SECRET}@127.0.0.1:{taken.getsockname()[1]}"
        found, _ = await examined(settings_at(sandbox.url, betpawa_proxy=proxy))
        assert (found.status, found.facts["stage"]) == (Status.FAILED, "proxy"), found
        assert "QUART_ODDS_BETPAWA_PROXY" in str(found.advice)
        assert "through its proxy" in found.detail
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with answering(refusal) as port:
        for url in (sandbox.url, "https://www.example.com"):
            proxy = f"http://user:{SECRET}@127.0.0.1:{port}"
            found, _ = await examined(settings_at(url, betpawa_proxy=proxy))
            assert (found.status, found.facts["stage"]) == (Status.FAILED, "proxy"), (url, found)


async def test_a_bookmaker_behind_a_proxy_that_works_is_ok(sandbox: Sandbox) -> None:
    """The sandbox answers absolute addresses, so it can be its own proxy."""
    found, _ = await examined(settings_at("http://sandbox.invalid", betpawa_proxy=sandbox.url))
    assert (found.status, "through its proxy" in found.detail) == (Status.OK, True), found
