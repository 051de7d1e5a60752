"""What the doctor says about open files and the address to listen on."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from quart_odds import __version__
from quart_odds.doctor import Status, machine
from quart_odds.errors import SettingsError


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A socket that listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_fewer_files_than_connections_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number that is needed is told."""
    monkeypatch.setattr(machine, "file_limit", lambda: 10_512)
    assert machine.open_files(10_000).status is Status.OK
    found = machine.open_files(10_001)
    assert (found.status, "to 10513" in str(found.advice)) == (Status.WARNING, True)
    assert machine.open_files(0).status is Status.OK


async def test_a_free_port_is_free_afterwards() -> None:
    """It is tried, and let go."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        bind = f"127.0.0.1:{probe.getsockname()[1]}"
    for _ in range(2):
        assert (await machine.port(bind, 10.0)).status is Status.OK
    with socket.create_server(("127.0.0.1", int(bind.rpartition(":")[2]))):
        pass


async def test_a_port_that_another_program_has_fails(taken: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if that program says nothing."""
    monkeypatch.setattr(machine, "ANSWER_SECONDS", 0.2)
    found = await machine.port(f"127.0.0.1:{taken.getsockname()[1]}", 10.0)
    assert (found.status, "--bind" in str(found.advice)) == (Status.FAILED, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"status": "ok", "version": "%s"}' % __version__.encode(), Status.OK),
        (b'{"status": "up"}', Status.FAILED),
        (b"[]", Status.FAILED),
        (b"<html>", Status.FAILED),
    ],
)
async def test_quart_odds_itself_may_have_the_port(body: bytes, status: Status) -> None:
    """It is told by its answer to /healthz."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        assert request.startswith(b"GET /healthz ")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        found = await machine.port(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", 10.0)
    assert found.status is status
    assert (found.facts.get("version") == __version__) == (status is Status.OK)


async def test_an_address_that_is_none_is_a_wrong_command_line() -> None:
    """Nothing is found out about it."""
    with pytest.raises(SettingsError, match="give HOST:PORT"):
        await machine.port("nonsense", 10.0)
