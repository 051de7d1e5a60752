"""Live connections on a transport without a socket, their peers, and their listeners."""

import asyncio
from collections.abc import Callable, Iterator

from quart_odds.server.live_protocols import INBOUND_BYTES, LiveStream, LiveWebSocket, lingering, quiet
from tests.server.conformance import frame
from tests.server.fake_transport import FakeTransport
from tests.server.harness import CLOSE

FINAL = b"0\r\n\r\n"
TOO_LONG = frame("", declared=INBOUND_BYTES + 1)
MOST_BUFFERED = 1000


class Recording:
    """A listener that notes what it is told, and may act on a message."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.heard_count = 0
        self.left_count = 0
        self.on_message: Callable[[str | bytes], None] = lambda _: None

    def take(self, message: str | bytes) -> None:
        self.messages.append(message)
        self.on_message(message)

    @property
    def connection_id(self) -> str:
        """See Listener."""
        return "test-1"

    def heard(self) -> None:
        self.heard_count += 1

    def left(self) -> None:
        self.left_count += 1


class OfWebSocket:
    """A WebSocket, its peer, and its listener."""

    def __init__(self) -> None:
        self.transport = FakeTransport(MOST_BUFFERED)
        self.listener = Recording()
        self.live = LiveWebSocket(self.transport, self.listener)
        self.transport.set_protocol(self.live)

    def frames(self) -> list[tuple[int, bytes]]:
        """Return the opcode and the payload of each frame that the peer has received, which are whole."""
        return list(_frames(self.transport.received))

    def close_codes(self) -> list[int]:
        """Return the codes of the close frames that the peer has received."""
        return [int.from_bytes(payload[:2], "big") for opcode, payload in self.frames() if opcode == CLOSE]


class OfStream:
    """An event stream, its peer, its listener, and what was given back to the server."""

    def __init__(self, *, is_resumable: bool = True) -> None:
        self.transport = FakeTransport(MOST_BUFFERED)
        self.listener = Recording()
        self.given_back: list[bytes] = []
        self.live = LiveStream(self.transport, self.listener, self._resume if is_resumable else None)
        self.transport.set_protocol(self.live)

    def _resume(self, transport: asyncio.Transport, early: bytes) -> None:
        assert transport is self.transport
        self.given_back.append(early)


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        assert data[at] & 0x80
        assert data[at + 1] < 126, "these tests need no longer frame"
        end = at + 2 + data[at + 1]
        assert end <= len(data), "a frame is cut"
        yield data[at] & 15, data[at + 2 : end]
        at = end


async def turns(count: int = 200) -> None:
    """Let the loop run, without any time passing."""
    for _ in range(count):
        await asyncio.sleep(0)


async def end(of: OfWebSocket | OfStream) -> None:
    """End a connection, and check that it is forgotten."""
    of.transport.peer_resets()
    await turns(3)
    assert of.listener.left_count == 1
    assert of.live not in lingering._due
    assert of.live not in quiet._due
