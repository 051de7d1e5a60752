"""Both lanes on real sockets send the same bytes, on any server and version of HTTP."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from quart_odds.server.metering import PIPELINED_AT_ONCE
from tests.broadcast.listeners import read_blocks
from tests.server.harness import (
    CLOSE,
    PING,
    PONG,
    Peer,
    Served,
    connected,
    event_stream,
    plain_hypercorn,
    served,
    stream_head,
    websocket,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The application under the launcher."""
    with served(tmp_path_factory.mktemp("server")) as server:
        yield server


async def _read_frames(peer: Peer, count: int) -> bytes:
    return b"\n".join([(await peer.frame()).payload for _ in range(count)])


async def _read_stream(peer: Peer, count: int) -> bytes:
    data = b""
    while len(read_blocks(data)) < count:
        data += await peer.chunk()
    return data


def _same(data: bytes) -> bytes:
    """Replace what differs between processes: the epoch, and times."""
    data = re.sub(rb"[0-9a-f]{8}(-\d+)?", b"EPOCH\\1", data)
    return re.sub(rb'"timestamp":"[^"]+"|retry: \d+', b"", data)


async def _published(server: Served) -> list[bytes]:
    """Return what clients of each kind are sent, byte by byte, for the same messages, small and large."""
    port = server.port
    plain, with_cursor = await websocket(port), await websocket(port, "/api/ws?cursor=1")
    stream = await event_stream(port)
    for size in (0, 100, 200, 70_000):
        await asyncio.to_thread(server.post, f"/probe/publish?messages=5&size={size}&stamp=0")
    published = [await _read_frames(plain, 21), await _read_frames(with_cursor, 21), await _read_stream(stream, 21)]
    for peer in (plain, with_cursor):
        peer.say('{"type":"dance"}')
        published.append(await _read_frames(peer, 1))
    for peer in (plain, with_cursor, stream):
        await peer.close()
    return published


async def test_both_lanes_send_the_same_bytes(server: Served, tmp_path: Path) -> None:
    """This holds on WebSocket, with and without cursors, and on SSE. Each server uses the lane that it should."""
    with served(tmp_path, "--standard-lane") as standard:
        fast_reported, standard_reported = await _published(server), await _published(standard)
        peers = [await each(one.port) for one in (server, standard) for each in (websocket, event_stream)]
        assert (await server.until(listening=2))["fast"] == 2
        assert (await standard.until(listening=2))["fast"] == 0
        for peer in peers:
            await peer.close()
    for fast, plain in zip(fast_reported, standard_reported, strict=True):
        assert _same(fast) == _same(plain)
    assert b'"n":4' in fast_reported[0]


async def test_plain_hypercorn_serves_by_the_standard_lane(tmp_path: Path) -> None:
    """Acks, answers and streams work with `hypercorn 'quart_odds:create_app()'`."""
    with plain_hypercorn(tmp_path) as server:
        live = await websocket(server.port, "/api/ws?cursor=1")
        assert (await live.frame()).json["type"] == "connection_ack"
        live.say('{"type":"ping"}')
        assert (await live.frame()).json["type"] == "pong"
        stream = await event_stream(server.port)
        assert b"event: connection_ack" in await _read_stream(stream, 1)
        for peer in (live, stream):
            await peer.close()


async def test_compression_is_declined(server: Served) -> None:
    """Its state would cost 92 KB per client, and frames would differ between clients."""
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    peer = await websocket(server.port, "/api/ws", offer)
    assert b"extensions" not in peer.head.lower()
    assert (await peer.frame()).json["type"] == "connection_ack"
    await peer.close()


async def test_control_frames_between_messages(server: Served) -> None:
    """The server itself answers a client's ping between messages, and its close, and everything is released."""
    peer = await websocket(server.port)
    await peer.frame()
    peer.say(b"are you there", PING)
    frame = await peer.frame()
    assert (frame.opcode, frame.payload) == (PONG, b"are you there")
    peer.say((1000).to_bytes(2, "big"), CLOSE)
    frame = await peer.frame()
    assert (frame.opcode, frame.code) == (CLOSE, 1000)
    assert await peer.rest() == b""
    await peer.close()
    await server.until(listening=0, places=0)


async def test_connection_serves_on_after_a_stream_that_has_ended(server: Served) -> None:
    """The fast lane returns the connection: the next response follows the final chunk."""
    run_id = (await asyncio.to_thread(_failed_run, server))["id"]
    async with connected(server.port) as peer:
        for _ in range(2):
            await peer.request(stream_head(server.port, f"/api/scrape/runs/{run_id}/progress"))
            assert peer.status == 200
            data = b""
            while chunk := await peer.chunk():
                data += chunk
            assert read_blocks(data)[-1].value["phase"] == "failed"
        await peer.request(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n")
        assert peer.status == 200


async def test_requests_for_streams_that_are_sent_at_once_are_limited_as_any_others(server: Served) -> None:
    """Each stream that ends gives the connection back, with what has come early. The limit goes with it."""
    run_id = (await asyncio.to_thread(_failed_run, server))["id"]
    async with connected(server.port) as peer:
        peer.writer.write(stream_head(server.port, f"/api/scrape/runs/{run_id}/progress").encode() * 700)
        heads = re.findall(rb"HTTP/1.1 ([0-9]+)", await peer.rest())
    assert heads[-1] == b"429"
    assert PIPELINED_AT_ONCE <= heads.count(b"200") < 700


def _failed_run(server: Served) -> dict[str, int]:
    """Return a run that has ended: its bookmakers cannot be reached."""
    server.post("/api/scrape")
    while (run := server.get("/api/scrape/runs")[0])["status"] == "running":
        pass
    return {"id": run["id"]}


async def test_event_source_left_open_comes_to_rest(server: Served) -> None:
    """Like a browser, it reconnects after each clean end with its last id, until it gets 204."""
    run_id = (await asyncio.to_thread(_failed_run, server))["id"]
    cursor, phases, statuses = "", [], []
    for _ in range(5):
        async with connected(server.port) as peer:
            more = (f"Last-Event-ID: {cursor}",) if cursor else ()
            await peer.request(stream_head(server.port, f"/api/scrape/runs/{run_id}/progress", *more))
            statuses.append(peer.status)
            if peer.status != 200:
                break
            data = b""
            while chunk := await peer.chunk():
                data += chunk
        blocks = read_blocks(data)
        phases += [each.value["phase"] for each in blocks if each.value["platform"] is None]
        cursor = blocks[-1].cursor if blocks else cursor
    assert statuses == [200, 204]
    assert phases.count("failed") == 1


async def test_nothing_is_kept_of_a_client_that_leaves_with_a_next_request_unread(tmp_path: Path) -> None:
    """On the standard lane it is read only after the stream, which nobody takes any more."""
    with served(tmp_path, "--standard-lane") as standard:
        before = await standard.until(listening=0)
        async with connected(standard.port) as peer:
            await peer.request(stream_head(standard.port) * 2)
            await standard.until(listening=1)
            peer.reset()
        await asyncio.to_thread(standard.post, "/probe/publish?messages=1")
        await standard.until(listening=0)
        async with asyncio.timeout(20):
            while (await asyncio.to_thread(standard.state))["tasks"] > before["tasks"]:
                await asyncio.sleep(0.02)


async def test_http_1_0_gets_its_stream_without_chunks(server: Served) -> None:
    """HTTP/1.0 has no chunks, so such a client uses the standard lane and reads until the connection ends."""
    async with connected(server.port) as peer:
        await peer.request(stream_head(server.port, version="1.0"))
        assert peer.status == 200
        assert b"chunked" not in peer.head.lower()
        assert (await server.until(listening=1))["fast"] == 0
        async with asyncio.timeout(10):
            assert (await peer.reader.readline()).startswith(b"retry: ")
            assert (await peer.reader.readline()).startswith(b": connection_id ")
            assert await peer.reader.readline() == b"\n"
            assert (await peer.reader.readline()).startswith(b"id: ")
    await server.until(listening=0)
