"""A WebSocket on which nothing happens lives behind a proxy that cuts silent connections."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from quart_odds.settings import load_settings
from tests.deploy.proxies import HOST, Certificate, running_proxy
from tests.server.harness import PING, PONG, Frame, Peer, served

BEHIND_PROXY = {"allowed_hosts": HOST, "trusted_proxies": "127.0.0.1"}
READ, SEND = "proxy_read_timeout 120s;", "proxy_send_timeout 60s;"
"""What the configuration in docs/deploy says."""
SHORT = {READ: "proxy_read_timeout 2s;", SEND: "proxy_send_timeout 2s;"}
DEFAULT = {READ: "", SEND: ""}
"""Without these lines, nginx waits for 60 seconds."""


async def _frame(peer: Peer) -> Frame:
    """Return the next frame, however long it takes."""
    while True:
        try:
            return await peer.frame()
        except TimeoutError:
            continue


async def _open(peer: Peer) -> None:
    """Read the handshake and the first message."""
    assert peer.status == 101, peer.head
    assert (await peer.frame()).json["type"] == "connection_ack"


async def _answer_pings(peer: Peer, seconds: float) -> int:
    """Be silent but for pongs, as a browser is whose page sends nothing. Returns the number of pings."""
    pings = 0
    until = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until:
        frame = await _frame(peer)
        assert frame.opcode == PING, frame
        peer.say(frame.payload, PONG)
        pings += 1
    return pings


async def _assert_it_lives(
    folder: Path, certificate: Certificate, changes: Mapping[str, str], *, ping_seconds: float, seconds: float
) -> int:
    with (
        served(folder, **BEHIND_PROXY, ping_seconds=ping_seconds) as server,
        running_proxy("nginx", folder, certificate, [server.port], changes=changes) as proxy,
    ):
        peer = await proxy.websocket()
        await _open(peer)
        pings = await _answer_pings(peer, seconds)
        await asyncio.to_thread(server.post, "/probe/publish")
        while (frame := await _frame(peer)).opcode == PING:
            peer.say(frame.payload, PONG)
        assert frame.json["type"] == "scrape_progress"
        assert (await server.until(listening=1))["unanswered_pings"] == 0
        await peer.close()
        await server.until(listening=0)
        return pings


@pytest.mark.alone
async def test_a_silent_websocket_outlives_the_proxy_s_timeouts(tmp_path: Path, certificate: Certificate) -> None:
    """The server's pings and the browser's pongs keep it, for three times the timeout."""
    assert await _assert_it_lives(tmp_path, certificate, SHORT, ping_seconds=0.7, seconds=6.0) >= 3


async def test_without_pings_in_time_the_proxy_cuts_it(tmp_path: Path, certificate: Certificate) -> None:
    """This is what the setting is for: it has to be shorter than the timeouts of the proxy."""
    with (
        served(tmp_path, **BEHIND_PROXY, ping_seconds=55) as server,
        running_proxy("nginx", tmp_path, certificate, [server.port], changes=SHORT) as proxy,
    ):
        peer = await proxy.websocket()
        await _open(peer)
        assert await peer.rest() == b""
        await server.until(listening=0)
        await peer.close()


@pytest.mark.endurance
@pytest.mark.timeout(300)
async def test_the_defaults_fit_each_other(tmp_path: Path, certificate: Certificate) -> None:
    """Those of nginx, without our configuration of its timeouts, and those of the server."""
    ping_seconds = load_settings({}).ping_seconds
    assert await _assert_it_lives(tmp_path, certificate, DEFAULT, ping_seconds=ping_seconds, seconds=150.0) >= 5
