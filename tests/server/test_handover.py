"""A connection leaves the server, and comes back: whatever its peer sends meanwhile, and whenever, nothing is lost."""

import asyncio
import re
from collections.abc import Iterator

import pytest

from tests.broadcast.listeners import read_blocks
from tests.server.conformance import frame
from tests.server.harness import (
    CLOSE,
    PING,
    PONG,
    Peer,
    Served,
    connect,
    connected,
    served,
    stream_head,
    websocket_head,
)

TIMES = 40


@pytest.fixture(scope="module", params=["--uvloop", "--asyncio"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The application under the launcher, on each loop."""
    with served(tmp_path_factory.mktemp("server"), request.param) as server:
        yield server
        assert "rror" not in server.log.read_text()


@pytest.fixture(scope="module")
def run_stream(server: Served) -> str:
    """The path of the stream of a run that has ended, and that is still in memory: it ends at once."""
    server.post("/api/scrape")
    while (run := server.get("/api/scrape/runs")[0])["status"] == "running":
        pass
    return f"/api/scrape/runs/{run['id']}/progress"


# WebSocket


def _frames(count: int) -> list[bytes]:
    """Return pings and messages by turns, numbered."""
    return [frame(b"%d" % number, PING) if number % 2 else frame(f'{{"type":"{number}"}}') for number in range(count)]


async def _assert_answered(peer: Peer, count: int) -> None:
    """Assert that all of these frames are answered, each kind in order, after the first message of the connection."""
    pongs: list[int] = []
    errors: list[int] = []
    assert (await peer.frame()).json["type"] == "connection_ack"
    while len(pongs) + len(errors) < count:
        got = await peer.frame()
        if got.opcode == PONG:
            pongs.append(int(got.payload))
        else:
            found = re.search("'([0-9]+)'", got.json["data"]["detail"])
            assert found is not None, got
            errors.append(int(found[1]))
    assert pongs == list(range(1, count, 2))
    assert errors == list(range(0, count, 2))


async def test_frames_sent_when_the_handshake_is_answered_are_all_answered(server: Served) -> None:
    """In order, from the first one on, in one packet, in several, and in pieces of frames."""
    for number in range(TIMES):
        sent = b"".join(_frames(40))
        size = (len(sent), 300, 97, 7)[number % 4]
        async with connected(server.port) as peer:
            await peer.request(websocket_head(server.port))
            assert peer.status == 101
            for start in range(0, len(sent), size):
                peer.writer.write(sent[start : start + size])
                if number % 8 >= 4:
                    await asyncio.sleep(0)
            await _assert_answered(peer, 40)
    await server.until(listening=0, places=0)


async def test_many_that_begin_at_once_are_all_answered(server: Served) -> None:
    """The loop is then late, so that frames arrive in every state of a connection."""

    async def begin() -> None:
        async with connected(server.port) as peer:
            await peer.request(websocket_head(server.port))
            assert peer.status == 101
            for each in _frames(20):
                peer.writer.write(each)
                await asyncio.sleep(0)
            await _assert_answered(peer, 20)

    await asyncio.gather(*(begin() for _ in range(TIMES)))
    await server.until(listening=0, places=0)


async def test_frames_sent_before_the_handshake_is_answered_are_answered_or_refuse_it(server: Served) -> None:
    """A client may not send them (RFC 6455, 4.1), so they either get 400, or count as sent after the handshake."""
    for number in range(TIMES):
        sent = _frames(10)
        async with connected(server.port) as peer:
            head = websocket_head(server.port).encode()
            if number % 2:
                peer.writer.write(head + b"".join(sent))
            else:
                peer.writer.write(head)
                for each in sent:
                    await asyncio.sleep(number / 20_000)
                    peer.writer.write(each)
            async with asyncio.timeout(20):
                peer.head = await peer.reader.readuntil(b"\r\n\r\n")
            if peer.status == 101:
                await _assert_answered(peer, 10)
            else:
                assert peer.status == 400
                assert await peer.rest() == b""
    await server.until(listening=0, places=0)


async def test_a_handshake_byte_by_byte_and_a_close_at_once(server: Served) -> None:
    """The close is answered, and the connection ends."""
    async with connected(server.port) as peer:
        for byte in websocket_head(server.port).encode():
            peer.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        await peer.request("")
        assert peer.status == 101
        peer.say((1000).to_bytes(2, "big"), CLOSE)
        assert (await peer.until_close()).code == 1000
        assert await peer.rest() == b""
    await server.until(listening=0, places=0)


@pytest.mark.parametrize("is_websocket", [True, False])
async def test_a_peer_that_goes_at_any_moment_of_its_start_leaves_nothing_behind(
    server: Served, is_websocket: bool
) -> None:
    """By a reset or a half-close, before and after its response."""
    head = websocket_head(server.port) if is_websocket else stream_head(server.port)
    for number in range(TIMES):
        peer = await connect(server.port)
        peer.writer.write(head.encode())
        await asyncio.sleep(number / 10_000)
        if number % 2:
            peer.reset()
        else:
            peer.writer.write_eof()
            await peer.rest()
        await peer.close()
    await server.until(listening=0, places=0, connections=1)


# Event streams


async def _whole_stream(peer: Peer) -> None:
    """Read a stream of a run that has ended, to its final chunk."""
    assert peer.status == 200
    data = b""
    while chunk := await peer.chunk():
        data += chunk
    assert read_blocks(data)[-1].value["phase"] == "failed"


async def _response(peer: Peer) -> bytes:
    """Return the body of a response that has a length."""
    async with asyncio.timeout(20):
        peer.head = await peer.reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", peer.head.lower())
        assert found is not None, peer.head
        return await peer.reader.readexactly(int(found[1]))


def _get(server: Served, path: str, *more: str) -> str:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", *more, "", ""])


async def test_an_idle_connection_after_a_stream_serves_the_next_request(server: Served, run_stream: str) -> None:
    """Again and again, streams and others."""
    async with connected(server.port) as peer:
        for _ in range(3):
            await peer.request(stream_head(server.port, run_stream))
            await _whole_stream(peer)
            await server.until(connections=2)
            for _ in range(2):
                peer.writer.write(_get(server, "/healthz").encode())
                assert b"status" in await _response(peer)
                assert peer.status == 200
    await server.until(connections=1, places=0)


@pytest.mark.parametrize("is_split", [False, True])
async def test_requests_in_the_packet_of_a_stream_s_own_are_served_after_it(
    server: Served, run_stream: str, is_split: bool
) -> None:
    """The server had read them with the stream's, wholly or in part."""
    ask = _get(server, "/healthz")
    for _ in range(TIMES // 4):
        async with connected(server.port) as peer:
            sent = (stream_head(server.port, run_stream) + ask + ask).encode()
            if is_split:
                peer.writer.write(sent[:-20])
                await asyncio.sleep(0.01)
                sent = sent[-20:]
            peer.writer.write(sent)
            await peer.request("")
            await _whole_stream(peer)
            for _ in range(2):
                assert b"status" in await _response(peer)
                assert peer.status == 200
    await server.until(connections=1, places=0)


async def test_streams_in_one_packet_follow_each_other(server: Served, run_stream: str) -> None:
    """Each leaves the server, and gives the connection back with those that wait."""
    async with connected(server.port) as peer:
        peer.writer.write((stream_head(server.port, run_stream) * 5 + _get(server, "/healthz")).encode())
        for _ in range(5):
            await peer.request("")
            await _whole_stream(peer)
        assert b"status" in await _response(peer)
    await server.until(connections=1, places=0)


async def test_a_request_sent_during_a_stream_is_served_after_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The stream's end is the end of its run, which here waits for a bookmaker that does not answer."""
    accepted: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: accepted.append(writer), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    with served(tmp_path_factory.mktemp("server"), betpawa_url=url) as server:
        await asyncio.to_thread(server.post, "/api/scrape")
        run_id = (await asyncio.to_thread(server.get, "/api/scrape/runs"))[0]["id"]
        async with connected(server.port) as peer:
            await peer.request(stream_head(server.port, f"/api/scrape/runs/{run_id}/progress"))
            assert peer.status == 200
            assert await peer.chunk()
            await server.until(places=1)
            ask = _get(server, "/healthz").encode()
            for part in (ask[:10], ask[10:], ask):
                peer.writer.write(part)
                await asyncio.sleep(0.02)
            # While the stream goes on, it does not answer them.
            assert (await asyncio.to_thread(server.state))["places"] == 1
            await asyncio.to_thread(server.post, f"/api/scrape/{run_id}/cancel")
            while await peer.chunk():
                pass
            for _ in range(2):
                assert b"status" in await _response(peer)
                assert peer.status == 200
        await server.until(connections=1, places=0)
    silent.close()
    for writer in accepted:
        writer.transport.abort()


async def test_a_stream_asked_for_as_the_last_response_ends_its_connection(server: Served, run_stream: str) -> None:
    """The response says so, too."""
    async with connected(server.port) as peer:
        await peer.request(stream_head(server.port, run_stream, "Connection: close"))
        assert b"connection: close" in peer.head.lower()
        await _whole_stream(peer)
        assert await peer.rest() == b""
    await server.until(connections=1, places=0)


@pytest.mark.parametrize("length", ["Content-Length: 11", "Transfer-Encoding: chunked"])
async def test_a_body_of_a_stream_s_request_is_never_a_next_request(
    server: Served, run_stream: str, length: str
) -> None:
    """The stream begins once its request is complete."""
    body = b"hello there" if "11" in length else b"b\r\nhello there\r\n0\r\n\r\n"
    async with connected(server.port) as peer:
        peer.writer.write(stream_head(server.port, run_stream, length).encode() + body[:5])
        await asyncio.sleep(0.05)
        peer.writer.write(body[5:] + _get(server, "/healthz").encode())
        await peer.request("")
        await _whole_stream(peer)
        assert b"status" in await _response(peer)
        assert peer.status == 200
    await server.until(connections=1, places=0)
