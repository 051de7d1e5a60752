"""Live connections after their start: what their peers send, and streams to their end."""

import asyncio

import pytest

from quart_odds.server import live_protocols
from quart_odds.server.connection import LINGER_SECONDS, open_connections
from quart_odds.server.frames import FrameReader
from quart_odds.server.live_protocols import QUIET_SECONDS, LiveStream, lingering, quiet
from quart_odds.server.metering import SLICE_FRAMES
from tests.server.conformance import CONTINUATION, frame
from tests.server.fake_transport import FakeTransport
from tests.server.harness import PING, PONG
from tests.server.live_peers import FINAL, MOST_BUFFERED, OfStream, OfWebSocket, Recording, end, turns
from tests.virtual_time import in_virtual_time

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@in_virtual_time
async def test_messages_reach_the_listener_and_pings_are_answered() -> None:
    """In the order in which they were sent, and the listener is told each time that the peer is alive."""
    of = OfWebSocket()
    of.transport.peer_sends(frame("one") + frame(b"?", PING))
    of.transport.peer_sends(frame(b"two", 2))
    assert of.listener.messages == ["one", b"two"]
    assert of.frames() == [(PONG, b"?")]
    of.transport.peer_sends(frame(b"", PONG))
    assert of.listener.heard_count == 3
    await end(of)


@in_virtual_time
async def test_others_have_their_turn_between_slices() -> None:
    """Meanwhile the peer is not read, and afterwards it is."""
    of = OfWebSocket()
    seen: list[int] = []
    of.transport.peer_sends(b"".join(frame(f"{number}") for number in range(4 * SLICE_FRAMES)))
    while len(of.listener.messages) < 4 * SLICE_FRAMES:
        assert not of.transport.is_reading()
        seen.append(len(of.listener.messages))
        await asyncio.sleep(0)
    await turns(3)
    assert seen == [SLICE_FRAMES, 2 * SLICE_FRAMES, 3 * SLICE_FRAMES]
    assert of.listener.messages == [f"{number}" for number in range(4 * SLICE_FRAMES)]
    assert of.transport.is_reading()
    await end(of)


@in_virtual_time
@pytest.mark.parametrize("seconds", [0.0, 3 * QUIET_SECONDS], ids=["at once", "later"])
async def test_replies_are_bounded_while_the_peer_does_not_read(seconds: float) -> None:
    """What it sends is then left unread, and goes on where it was once it reads. Nothing is lost or reordered."""
    of = OfWebSocket()
    of.transport.stall()
    pings = [b"%0100d" % number for number in range(200)]
    for start in range(0, 200, 20):
        of.transport.peer_sends(b"".join(frame(ping, PING) for ping in pings[start : start + 20]))
        await turns(20)
    of.transport.peer_sends(frame("last"))
    await turns()
    assert not of.transport.is_reading()
    assert of.transport.unread > 0
    assert of.transport.most_ever_buffered <= MOST_BUFFERED + SLICE_FRAMES * 102
    await asyncio.sleep(seconds)
    while of.transport.get_write_buffer_size():
        of.transport.read_on(300)
        await asyncio.sleep(seconds / 10)
    of.transport.read_on()
    await turns()
    assert of.frames() == [(PONG, ping) for ping in pings]
    assert of.listener.messages == ["last"]
    assert of.transport.is_reading()
    await end(of)


@in_virtual_time
async def test_a_message_that_came_while_the_peer_did_not_read_is_kept_however_long_that_takes() -> None:
    """It is not forgotten with the reader, and the connection is not deaf afterwards."""
    of = OfWebSocket()
    of.transport.stall()
    of.live.write(b"\x81\x02{}" * 300)
    of.transport.peer_sends(frame("kept"))
    await asyncio.sleep(3 * QUIET_SECONDS)
    assert of.listener.messages == []
    of.transport.read_on()
    await turns()
    of.transport.peer_sends(frame("next"))
    assert of.listener.messages == ["kept", "next"]
    await end(of)


@in_virtual_time
async def test_the_reader_is_dropped_once_its_peer_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that sends nothing has none at all. It is kept while a frame or a message has begun."""
    made: list[FrameReader] = []

    def counted(most_bytes: int) -> FrameReader:
        made.append(FrameReader(most_bytes))
        return made[-1]

    monkeypatch.setattr(live_protocols, "FrameReader", counted)
    of = OfWebSocket()
    await asyncio.sleep(QUIET_SECONDS)
    assert len(made) == 0
    for count in (1, 2):
        of.transport.peer_sends(frame("whole"))
        await asyncio.sleep(QUIET_SECONDS - 1)
        of.transport.peer_sends(frame(b"", PONG))
        await asyncio.sleep(QUIET_SECONDS - 1)
        of.transport.peer_sends(frame(b"", PONG))
        assert len(made) == count
        await asyncio.sleep(QUIET_SECONDS + 1)
        assert of.live not in quiet._due
    sent = frame("in ", final=False) + frame("parts", CONTINUATION)
    for place in range(len(sent)):
        of.transport.peer_sends(sent[place : place + 1])
        await asyncio.sleep(2 * QUIET_SECONDS)
    assert of.listener.messages == ["whole", "whole", "in parts"]
    assert len(made) == 3
    await asyncio.sleep(2 * QUIET_SECONDS)
    assert of.live not in quiet._due
    await end(of)


@in_virtual_time
async def test_what_came_before_the_start_is_read_first_and_once_the_listener_is_ready() -> None:
    """What the peer sends meanwhile has to wait for that, also in the middle of a frame."""
    of = OfWebSocket()
    sent = b"".join(frame(f"{number}") for number in range(3 * SLICE_FRAMES))
    of.live.begin(sent[:20])
    assert of.listener.messages == []
    of.transport.peer_sends(sent[20:])
    assert of.listener.messages == []
    await turns()
    assert of.listener.messages == [f"{number}" for number in range(3 * SLICE_FRAMES)]
    assert of.transport.is_reading()
    await end(of)


@in_virtual_time
async def test_a_connection_that_was_not_read_is_read_from_the_start_on() -> None:
    """The server pauses a connection that has sent more than it has read."""
    for of in (OfWebSocket(), OfStream()):
        of.transport.pause_reading()
        of.live.begin(b"")
        assert of.transport.is_reading()
        await end(of)


@in_virtual_time
async def test_a_request_that_came_before_the_start_of_a_stream_is_given_back_however_soon_it_ends() -> None:
    """Also if it ends at once."""
    of = OfStream()
    of.live.begin(b"GET /next")
    of.transport.peer_sends(b" HTTP/1.1")
    of.live.finish(b"")
    await turns()
    assert of.given_back == [b"GET /next"]
    assert of.transport.unread == len(b" HTTP/1.1")


# Event streams


@in_virtual_time
@pytest.mark.parametrize("last", [b"", b"retry: 1000\n\n"])
async def test_a_stream_that_ends_gives_the_connection_back(last: bytes) -> None:
    """After the final chunk, once, with what its peer has sent meanwhile. Nothing more is written to it."""
    of = OfStream()
    of.live.write(b"2\r\nhi\r\n")
    of.transport.peer_sends(b"GET /next")
    assert not of.transport.is_reading()
    of.transport.peer_sends(b" HTTP/1.1")
    of.live.finish(last)
    of.live.finish(last)
    chunk = b"%x\r\n%b\r\n" % (len(last), last) if last else b""
    assert of.transport.received == b"2\r\nhi\r\n" + chunk + FINAL
    assert of.given_back == [b"GET /next"]
    assert of.transport.unread == len(b" HTTP/1.1")
    assert not of.live.is_free
    assert of.listener.left_count == 1
    assert of.listener.heard_count == 0


@in_virtual_time
@pytest.mark.parametrize("why", ["not resumable", "full", "handed over"])
async def test_a_stream_whose_connection_is_not_kept_ends_it(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its peer has sent is discarded, so that nothing resets the connection before the final chunk is read."""
    of = OfStream(is_resumable=why != "not resumable")
    monkeypatch.setattr(open_connections, "is_handed_over", why == "handed over")
    if why == "full":
        of.transport.stall()
        of.live.write(b"x" * (MOST_BUFFERED + 1))
    of.transport.peer_sends(b"GET /next HTTP/1.1\r\n\r\n")
    of.transport.peer_sends(b"x" * 5000)
    of.live.finish(b"")
    assert of.transport.has_eof
    await asyncio.sleep(0.5)
    assert of.transport.unread == 0
    assert of.given_back == []
    of.transport.read_on()
    assert of.transport.received.endswith(FINAL)
    await asyncio.sleep(LINGER_SECONDS)
    assert of.transport.was_aborted
    assert of.listener.left_count == 1


@in_virtual_time
async def test_a_stream_on_a_connection_that_was_full_before_ends_it() -> None:
    """The protocol before was told that its peer is slow. The next one of the server would not know that."""
    transport, listener = FakeTransport(MOST_BUFFERED), Recording()
    transport.set_protocol(asyncio.Protocol())
    transport.stall()
    transport.write(b"x" * (MOST_BUFFERED + 1))
    live = LiveStream(transport, listener, lambda *_: pytest.fail("given back"))
    transport.set_protocol(live)
    live.finish(b"")
    transport.read_on()
    assert (transport.has_eof, listener.left_count) == (True, 1)
    await asyncio.sleep(LINGER_SECONDS)
    assert transport.was_aborted


@in_virtual_time
async def test_a_stream_whose_peer_leaves_is_over() -> None:
    """By a half-close, or a reset. Its end then sends nothing."""
    for leave in (FakeTransport.peer_sends_eof, FakeTransport.peer_resets):
        of = OfStream()
        leave(of.transport)
        assert of.transport.is_closing()
        of.live.finish(b"retry: 1\n\n")
        await asyncio.sleep(1)
        assert of.listener.left_count == 1
        assert of.given_back == []
        assert of.transport.received == b""
        assert of.live not in lingering._due


@in_virtual_time
async def test_an_aborted_stream_is_over() -> None:
    """Its listener leaves once, and the transport is cut."""
    of = OfStream()
    of.live.abort()
    of.live.abort()
    await asyncio.sleep(1)
    assert (of.listener.left_count, of.transport.was_aborted) == (1, True)
    of.live.finish(b"")
    assert of.transport.received == b""
