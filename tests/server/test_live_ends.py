"""The ends of WebSockets on the fast lane, whoever begins them. Nothing follows a close frame."""

import asyncio
from collections.abc import Callable
from itertools import permutations

import pytest

from quart_odds.server.connection import LINGER_SECONDS, REFUSED_SECONDS
from quart_odds.server.live_protocols import lingering, quiet
from quart_odds.server.metering import SLICE_FRAMES
from tests.server.conformance import close, frame
from tests.server.harness import CLOSE, PING, PONG
from tests.server.live_peers import TOO_LONG, OfWebSocket, end, turns
from tests.virtual_time import in_virtual_time

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@in_virtual_time
async def test_close_sends_one_close_frame_and_waits_for_that_of_the_peer() -> None:
    """Only the first call has an effect, and nothing is sent after it, also no pong."""
    of = OfWebSocket()
    of.live.close(1012, "retry_ms=1")
    of.live.close(1000, "")
    assert not of.live.is_open
    assert not of.live.is_free
    of.transport.peer_sends(frame(b"", PING) + frame("late"))
    assert of.frames() == [(CLOSE, (1012).to_bytes(2, "big") + b"retry_ms=1")]
    assert of.listener.messages == []
    assert not of.transport.has_eof
    of.transport.peer_sends(close(1012))
    assert of.transport.has_eof
    assert of.frames() == [(CLOSE, (1012).to_bytes(2, "big") + b"retry_ms=1")]
    of.transport.peer_sends_eof()
    await turns(3)
    assert of.listener.left_count == 1
    assert not of.transport.was_aborted


@in_virtual_time
async def test_a_peer_that_does_not_answer_a_close_is_cut() -> None:
    """It has LINGER_SECONDS."""
    of = OfWebSocket()
    of.live.close(1012, "")
    await asyncio.sleep(LINGER_SECONDS - 0.1)
    assert not of.transport.was_aborted
    await asyncio.sleep(0.2)
    assert of.transport.was_aborted
    assert of.listener.left_count == 1


@in_virtual_time
@pytest.mark.parametrize("after", [frame(b"", PING), frame("more") + frame(b"", PING), close(1000), TOO_LONG])
async def test_nothing_follows_a_close_because_of_a_message(after: bytes) -> None:
    """Also not what the rest of the same slice asks for."""
    of = OfWebSocket()
    of.listener.on_message = lambda _: of.live.close(1008, "enough")
    of.transport.peer_sends(frame(b"before", PING) + frame("bad") + after)
    await turns(3)
    opcodes = [opcode for opcode, _ in of.frames()]
    assert opcodes == [PONG, CLOSE]
    assert of.listener.messages == ["bad"]
    await end(of)


@in_virtual_time
@pytest.mark.parametrize("frames_before", [0, 1, 3 * SLICE_FRAMES])
async def test_a_peer_that_closes_is_answered_and_the_connection_ends(frames_before: int) -> None:
    """It ends as soon as the peer does its part, however much was sent with the close frame."""
    of = OfWebSocket()
    of.transport.peer_sends(frame("x") * frames_before + close(1000) + frame(b"", PING))
    await turns()
    assert of.close_codes() == [1000]
    assert of.transport.has_eof
    assert len(of.listener.messages) == frames_before
    of.transport.peer_sends_eof()
    await turns()
    assert of.transport.is_closing()
    assert not of.transport.was_aborted
    assert of.listener.left_count == 1


@in_virtual_time
@pytest.mark.parametrize("frames_before", [0, 1, 3 * SLICE_FRAMES])
async def test_a_refused_peer_is_discarded_then_half_closed_and_then_cut(frames_before: int) -> None:
    """It gets its close frame at once. All that it still sends is read, and thrown away."""
    of = OfWebSocket()
    of.transport.peer_sends(frame("x") * frames_before + TOO_LONG)
    await turns()
    assert of.close_codes() == [1009]
    assert of.listener.left_count == 1
    assert not of.transport.has_eof
    for _ in range(9):
        of.transport.peer_sends(b"x" * 10_000)
        await asyncio.sleep(REFUSED_SECONDS / 10)
        assert of.transport.unread == 0
    assert not of.transport.has_eof
    await asyncio.sleep(REFUSED_SECONDS / 5)
    assert of.transport.has_eof
    of.transport.peer_sends(frame("y") * 100)
    await asyncio.sleep(LINGER_SECONDS - REFUSED_SECONDS - 0.2)
    assert of.transport.unread == 0
    assert not of.transport.was_aborted
    await asyncio.sleep(0.2)
    assert of.transport.was_aborted
    assert of.close_codes() == [1009]
    assert len(of.listener.messages) == frames_before
    assert of.listener.left_count == 1


@in_virtual_time
async def test_a_refused_peer_that_leaves_is_forgotten_at_once() -> None:
    """Nothing is left for the timers to do."""
    of = OfWebSocket()
    of.transport.peer_sends(TOO_LONG)
    await asyncio.sleep(0.1)
    of.transport.peer_sends_eof()
    await asyncio.sleep(0.1)
    assert of.transport.is_closing()
    assert not of.transport.was_aborted
    assert len(lingering) == 0
    await asyncio.sleep(LINGER_SECONDS)
    assert not of.transport.was_aborted


ENDS: dict[str, Callable[[OfWebSocket], None]] = {
    "the peer's close": lambda of: of.transport.peer_sends(close(1000)),
    "a refusal": lambda of: of.transport.peer_sends(TOO_LONG),
    "our close": lambda of: of.live.close(1012, ""),
    "its eof": lambda of: of.transport.peer_sends_eof(),
    "its reset": lambda of: of.transport.peer_resets(),
    "our abort": lambda of: of.live.abort(),
}


@in_virtual_time
@pytest.mark.parametrize("names", list(permutations(ENDS, 3)), ids=", ".join)
@pytest.mark.parametrize("has_turns", [False, True], ids=["at once", "one by one"])
async def test_a_listener_leaves_once_whatever_ends_the_connection(names: tuple[str, ...], has_turns: bool) -> None:
    """Whatever comes first, and whatever follows."""
    of = OfWebSocket()
    of.transport.peer_sends(frame("hello"))
    for name in names:
        ENDS[name](of)
        assert of.listener.left_count <= 1
        assert not of.live.is_open
        assert not of.live.is_free
        if has_turns:
            await asyncio.sleep(0.1)
    await asyncio.sleep(2 * LINGER_SECONDS)
    assert of.transport.is_closing()
    assert of.listener.left_count == 1
    assert len(of.close_codes()) <= 1
    assert of.live not in quiet._due


@in_virtual_time
async def test_a_peer_that_half_closes_gets_what_was_written() -> None:
    """The connection closes once the peer has taken it. A peer that does not take it is cut."""
    for is_reading in (True, False):
        of = OfWebSocket()
        of.transport.stall()
        of.live.write(b"\x81\x02{}" * 10)
        of.transport.peer_sends_eof()
        assert of.listener.left_count == 1
        await asyncio.sleep(1)
        if is_reading:
            of.transport.read_on()
            assert of.frames() == [(1, b"{}")] * 10
        await asyncio.sleep(LINGER_SECONDS)
        assert of.transport.was_aborted is not is_reading
        assert of.transport.is_closing()
