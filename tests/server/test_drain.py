"""The drain: every client is told, and the process ends, whatever peers are still connected.

`QUART_ODDS_PYTHONS` may name more interpreters that have the project installed, separated by colons. `make endurance`
drains under each of them.
"""

import asyncio
import contextlib
import os
import re
import socket
import sqlite3
import sys
import time
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from quart_odds.server.serve import CONFIRM_SECONDS, GIVE_UP_SECONDS, STOP_SECONDS
from quart_odds.server.stop import FAREWELL_SECONDS
from quart_odds.settings import load_settings
from tests.server.harness import CLOSE, Peer, Served, connect, event_stream, served, stream_head, websocket
from tests.server.hasty_clients import HastyClients

pytestmark = pytest.mark.alone

GONE_SECONDS = 4.0
"""The maximum time from the signal to the end. A quiet machine needs at most 2 s."""

PYTHONS = [each for each in os.environ.get("QUART_ODDS_PYTHONS", "").split(":") if each]


async def _drain(server: Served) -> None:
    """Drain with clients of each kind connected, well-behaved and not."""
    sockets = [await websocket(server.port) for _ in range(10)]
    stream = await event_stream(server.port)
    stalled = [await each(server.port, receive_buffer=4096) for each in (websocket, event_stream)]
    for peer in stalled:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    half = await connect(server.port)
    half.writer.write(b"POST /api/scrape HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
    less = await connect(server.port)
    less.writer.write(b"GET /api/wh")
    idle, kept = [await connect(server.port) for _ in range(2)]
    for peer in (idle, kept):
        await peer.request(_get("/healthz", server))
        await peer.reader.readexactly(_length(peer.head))
    silent = await connect(server.port)
    await server.until(listening=13)
    await asyncio.to_thread(server.post, "/probe/publish?messages=200&size=20000")
    await server.until(next_seq=201)

    server.terminate()
    gone = asyncio.create_task(asyncio.to_thread(server.wait, GONE_SECONDS))
    await _sees_it_coming(idle, kept, server)
    waits = set()
    for peer in sockets:
        frame = await peer.until_close()
        assert (frame.opcode, frame.code) == (CLOSE, 1012)
        found = re.fullmatch(rb"retry_ms=(\d+)", frame.payload[2:])
        assert found is not None
        waits.add(int(found[1]))
    assert len(waits) > 5, "all at once would be a storm"
    data = await stream.rest()
    assert re.search(rb"\r\nretry: \d+\n\n\r\n0\r\n\r\n$", data), data[-100:]
    await gone
    for peer in (*sockets, stream, *stalled, half, less, idle, kept, silent):
        await peer.close()


def _get(path: str, server: Served) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n"


async def _sees_it_coming(idle: Peer, kept: Peer, server: Served) -> None:
    """Check that a load balancer's connections learn of the drain, and that new clients are told to wait."""
    async with asyncio.timeout(30):
        while True:
            await idle.request(_get("/readyz", server))
            body = await idle.reader.readexactly(_length(idle.head))
            if idle.status == 503:
                break
    assert b"draining" in body
    await kept.request(stream_head(server.port))
    assert kept.status == 200
    assert re.fullmatch(rb"retry: \d+\n\n", await kept.reader.readexactly(_length(kept.head)))


def _length(head: bytes) -> int:
    found = re.search(rb"content-length: (\d+)", head.lower())
    assert found is not None, head
    return int(found[1])


@pytest.mark.parametrize("loop", ["--uvloop", "--asyncio"])
async def test_everyone_is_notified_and_the_process_ends(tmp_path: Path, loop: str) -> None:
    """Clients get 1012 or `retry:`, with delays that are spread in time.

    Stalled, half-sent, idle and silent connections delay nothing.
    """
    with served(tmp_path, loop) as server:
        await _drain(server)


async def test_standard_lane_ends_as_well(tmp_path: Path) -> None:
    """Without the fast lane, connections cannot be cut one by one. The server gives up on them after some seconds."""
    with served(tmp_path, "--standard-lane") as server:
        live = await websocket(server.port)
        stalled = await event_stream(server.port, receive_buffer=4096)
        stalled.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await server.until(listening=2)
        await asyncio.to_thread(server.post, "/probe/publish?messages=200&size=20000")
        await server.until(next_seq=201)
        server.terminate()
        assert (await live.until_close()).code == 1012
        await asyncio.to_thread(server.wait, 12)
        for peer in (live, stalled):
            await peer.close()


async def test_nobody_is_there(tmp_path: Path) -> None:
    """Without clients, the process ends at once."""
    with served(tmp_path) as server:
        server.terminate()
        assert await asyncio.to_thread(server.wait, 3) < 2


@pytest.mark.parametrize("loop", ["--uvloop", "--asyncio"])
async def test_a_request_that_is_never_answered_is_no_error(tmp_path: Path, loop: str) -> None:
    """It is cut when its time is up, which logs no traceback."""
    with served(tmp_path, loop, drain_seconds=1) as server:
        peer = await connect(server.port)
        peer.writer.write(_get("/probe/wait", server).encode())
        await server.until(in_progress=1)
        server.terminate()
        await asyncio.to_thread(server.wait, GONE_SECONDS)
        await peer.close()
        assert "Traceback" not in server.log.read_text()


async def test_requests_in_progress_are_answered(tmp_path: Path) -> None:
    """A stop waits for them, as long as for a run, and no longer than that."""
    with served(tmp_path, drain_seconds=3) as server:
        slow, slower, half = [await connect(server.port) for _ in range(3)]
        for peer, seconds in ((slow, 1), (slower, 60)):
            peer.writer.write(_get(f"/probe/slow?seconds={seconds}", server).encode())
        half.writer.write(b"POST /api/scrape HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
        await server.until(in_progress=2)
        server.terminate()
        gone = asyncio.create_task(asyncio.to_thread(server.wait, 3 + GONE_SECONDS))
        async with asyncio.timeout(GONE_SECONDS):
            assert (await slow.reader.readuntil(b"late")).startswith(b"HTTP/1.1 200 ")
        assert not gone.done()
        await gone
        for peer in (slow, slower, half):
            await peer.close()


@pytest.mark.parametrize("loop", ["--uvloop", "--asyncio"])
async def test_no_request_is_lost_by_a_stop(tmp_path: Path, loop: str) -> None:
    """Each connection that is accepted gets its response, and then others are refused. A proxy tries another server."""
    with served(tmp_path, loop) as server:
        clients = HastyClients(server.port)
        sending = asyncio.create_task(clients.run())
        await clients.until_answered(100)
        server.terminate()
        gone = asyncio.create_task(asyncio.to_thread(server.wait, GONE_SECONDS))
        await sending
        assert clients.lost == []
        await gone


async def test_second_signal_does_not_wait(tmp_path: Path) -> None:
    """A second signal ends the process at once, even if a run that would be waited for is active."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        served(tmp_path, drain_seconds=60, betpawa_url=f"http://127.0.0.1:{silent.getsockname()[1]}") as server,
    ):
        await asyncio.to_thread(server.post, "/api/scrape")
        server.terminate()
        with pytest.raises(TimeoutExpired):
            await asyncio.to_thread(server.process.wait, 1)
        server.terminate()
        assert await asyncio.to_thread(server.process.wait, 5) == 143


@pytest.mark.parametrize("holds_loop", [0, 1])
async def test_a_stop_ends_whatever_holds_it(tmp_path: Path, holds_loop: int) -> None:
    """A run whose end cannot be stored is left to the next start. If the loop is blocked, the process is ended."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        served(tmp_path, drain_seconds=0.5, betpawa_url=f"http://127.0.0.1:{silent.getsockname()[1]}") as server,
    ):
        await asyncio.to_thread(server.post, "/api/scrape")
        await asyncio.to_thread(server.post, f"/probe/hang?loop={holds_loop}")
        began = time.monotonic()
        server.terminate()
        assert await asyncio.to_thread(server.process.wait, 10) == holds_loop
        assert time.monotonic() - began < 0.5 + STOP_SECONDS + 1
        assert ("server.given_up" in server.log.read_text()) is bool(holds_loop)


async def test_a_run_is_cut_short_and_its_row_ended_before_the_time_is_up(tmp_path: Path) -> None:
    """With a listener connected, the whole stop takes little longer than the wait for the run."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        served(tmp_path, drain_seconds=1, betpawa_url=f"http://127.0.0.1:{silent.getsockname()[1]}") as server,
    ):
        await asyncio.to_thread(server.post, "/api/scrape")
        stream = await event_stream(server.port)
        server.terminate()
        assert await asyncio.to_thread(server.wait, 10) < 1 + STOP_SECONDS
        await stream.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "odds.db")) as connection:
        assert connection.execute("select status from runs").fetchall() == [("interrupted",)]


def test_a_container_s_ten_seconds_are_enough() -> None:
    """The default wait for a run and everything after it fit into a container's ten seconds."""
    assert load_settings({}).drain_seconds + STOP_SECONDS < 10
    assert CONFIRM_SECONDS + FAREWELL_SECONDS + GIVE_UP_SECONDS < STOP_SECONDS


@pytest.mark.endurance
@pytest.mark.parametrize("loop", ["--uvloop", "--asyncio"])
@pytest.mark.parametrize("python", PYTHONS or [sys.executable])
async def test_drain_under_other_pythons(tmp_path: Path, python: str, loop: str) -> None:
    """The drain works the same under every named interpreter."""
    with served(tmp_path, loop, python=python) as server:
        await _drain(server)


@pytest.mark.endurance
@pytest.mark.parametrize("path", ["/api/ws", "/api/sse"])
async def test_a_thousand_streams_are_notified(tmp_path: Path, path: str) -> None:
    """A thousand streams are told to reconnect, and the process ends in time."""
    with served(tmp_path) as server:
        peers = [await (websocket if path == "/api/ws" else event_stream)(server.port) for _ in range(1000)]
        await server.until(listening=1000)
        server.terminate()
        gone = asyncio.create_task(asyncio.to_thread(server.wait, GONE_SECONDS))
        for data in await asyncio.gather(*(peer.rest() for peer in peers)):
            assert b"retry_ms=" in data if path == "/api/ws" else data.count(b"retry: ") == 2
        assert await gone <= GONE_SECONDS
        for peer in peers:
            await peer.close()
