"""Pings on real sockets: a silent peer is asked whether it is there, and closed if it does not answer."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.server.conformance import frame
from tests.server.harness import CLOSE, PING, PONG, Peer, Served, event_stream, served, websocket

SECONDS = 0.4
"""After how much silence the servers ping, and how long one of them waits for the answer."""
LOOPS = ("--uvloop", "--asyncio")


@pytest.fixture(scope="module", params=LOOPS)
def patient(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that waits long for answers: a busy machine may give them late."""
    with served(tmp_path_factory.mktemp("server"), request.param, ping_seconds=SECONDS) as server:
        yield server
        assert "rror" not in server.log.read_text()


@pytest.fixture(scope="module", params=LOOPS)
def impatient(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that soon closes who does not answer."""
    folder = tmp_path_factory.mktemp("server")
    with served(folder, request.param, ping_seconds=SECONDS, pong_seconds=SECONDS) as server:
        yield server
        assert "rror" not in server.log.read_text()


async def _acknowledged(server: Served, path: str = "/api/ws") -> Peer:
    """Return a WebSocket that has read its first message."""
    peer = await websocket(server.port, path)
    assert (await peer.frame()).json["type"] == "connection_ack"
    return peer


def _unanswered(server: Served) -> float:
    """Return the number of unanswered pings in the metrics."""
    with urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=30) as answer:
        found = re.search(r"^quart_odds_unanswered_pings_total (\S+)$", answer.read().decode(), re.MULTILINE)
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([frame(b"", PONG)] * 4, id="pongs"),
        pytest.param([frame(b"", PING)] * 4, id="pings"),
        pytest.param([frame('{"type":"ping"}')] * 4, id="messages"),
        pytest.param([b"\x81", b"\x82", b"\0\0", b"\0\0{"], id="parts of a frame"),
    ],
)
async def test_a_peer_that_answers_is_asked_again_and_lives(patient: Served, answers: list[bytes]) -> None:
    """Whatever it sends: any bytes say that it is alive. Without them, no further ping would come."""
    peer = await _acknowledged(patient)
    for answer in answers:
        while (got := await peer.frame()).opcode != PING:
            assert got.opcode != CLOSE
        assert got.payload == b""
        peer.writer.write(answer)
    while (await peer.frame()).opcode != PING:
        pass
    assert patient.state()["unanswered_pings"] == _unanswered(patient) == 0
    await peer.close()
    await patient.until(listening=0, places=0)


@pytest.mark.parametrize("path", ["/api/ws", "/api/ws?cursor=1"])
async def test_a_peer_that_does_not_answer_is_closed_and_counted(impatient: Served, path: str) -> None:
    """With 1013 and a reason that says how to go on. The count is in the metrics."""
    before = impatient.state()["unanswered_pings"]
    assert _unanswered(impatient) == before
    peer = await _acknowledged(impatient, path)
    assert (await peer.frame()).opcode == PING
    closed = await peer.frame()
    assert (closed.opcode, closed.code) == (CLOSE, 1013)
    assert closed.payload[2:] == b"no answer to a ping; resume with your cursor"
    await impatient.until(listening=0, places=0, unanswered_pings=before + 1)
    assert _unanswered(impatient) == before + 1
    peer.say((1013).to_bytes(2, "big"), CLOSE)
    assert await peer.rest() == b""
    await peer.close()
    await impatient.until(connections=1)


async def test_a_peer_that_is_gone_without_a_word_is_cut(impatient: Served) -> None:
    """It does not answer the close frame either."""
    before = impatient.state()["unanswered_pings"]
    peer = await _acknowledged(impatient)
    await impatient.until(listening=0, connections=1, unanswered_pings=before + 1)
    assert (await peer.until_close()).code == 1013
    await peer.close()


async def test_an_event_stream_is_not_pinged(impatient: Served) -> None:
    """It cannot answer, and lives on."""
    before = impatient.state()["unanswered_pings"]
    stream = await event_stream(impatient.port)
    silent = await _acknowledged(impatient)
    await impatient.until(listening=1, unanswered_pings=before + 1)
    data = b""
    await asyncio.to_thread(impatient.post, "/probe/publish?messages=1")
    while b"scrape_progress" not in data:
        data += await stream.chunk()
    assert b"\x89\x00" not in data
    for peer in (stream, silent):
        await peer.close()
    await impatient.until(listening=0, places=0)


async def test_the_standard_lane_sends_no_pings(tmp_path: Path) -> None:
    """ASGI has none. Such a connection is not closed for its silence."""
    with served(tmp_path, "--standard-lane", ping_seconds=0.1, pong_seconds=0.1) as server:
        peer = await _acknowledged(server)
        await asyncio.sleep(1)
        await asyncio.to_thread(server.post, "/probe/publish?messages=1")
        assert (await peer.frame()).json["type"] == "scrape_progress"
        assert server.state()["unanswered_pings"] == 0
        await peer.close()
