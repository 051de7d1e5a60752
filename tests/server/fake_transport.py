"""A transport without a socket: it records what is written, and its peer reads and sends as a test says."""

import asyncio
from typing import Any, cast


class FakeTransport(asyncio.Transport):
    """A TCP connection, as its protocol sees it, and its peer.

    While the peer is stalled, what is written stays in the buffer. More than `most_buffered` bytes pause the protocol.
    """

    def __init__(self, most_buffered: int = 1000) -> None:
        super().__init__()
        self.received = b""
        """What the peer has read."""
        self.has_eof = False
        """Whether nothing more can be written."""
        self.was_aborted = False
        self.most_ever_buffered = 0
        self.is_stalled = False
        self._most_buffered = most_buffered
        self._protocol: asyncio.Protocol
        self._buffer = b""
        self._unread = b""
        self._has_sent_eof = False
        self._is_told_eof = False
        self._is_reading = True
        self._is_full = False
        self._is_closing = False
        self._is_lost = False

    # What the protocol does

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        assert not self._is_closing, "written to while closing"
        assert not self.has_eof, "written to after its end"
        self._buffer += data
        if not self.is_stalled:
            self._pass_on(len(self._buffer))
        self.most_ever_buffered = max(self.most_ever_buffered, len(self._buffer))
        if len(self._buffer) > self._most_buffered and not self._is_full:
            self._is_full = True
            self._protocol.pause_writing()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return 0, self._most_buffered

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def write_eof(self) -> None:
        self.has_eof = True

    def is_reading(self) -> bool:
        return self._is_reading

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        if not self._is_reading:
            self._is_reading = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True
        if not self._buffer:
            self._lose()

    def abort(self) -> None:
        self.was_aborted = True
        self._buffer = b""
        self.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    # What the peer does

    @property
    def unread(self) -> int:
        """How many bytes the peer has sent that the protocol has not read."""
        return len(self._unread)

    def peer_sends(self, data: bytes) -> None:
        """Let the peer send bytes. They are read at once, or once the protocol reads on."""
        self._unread += data
        self._deliver()

    def peer_sends_eof(self) -> None:
        """Let the peer half-close the connection, after what it has sent."""
        self._has_sent_eof = True
        self._deliver()

    def peer_resets(self) -> None:
        """Let the peer reset the connection."""
        self._is_closing = True
        self._lose(ConnectionResetError())

    def stall(self) -> None:
        """Let the peer read nothing from now on."""
        self.is_stalled = True

    def read_on(self, count: int | None = None) -> None:
        """Let the peer read some bytes, or all there are and will be."""
        if count is None:
            self.is_stalled = False
        self._pass_on(len(self._buffer) if count is None else count)

    def _pass_on(self, count: int) -> None:
        self.received += self._buffer[:count]
        self._buffer = self._buffer[count:]
        if self._is_full and len(self._buffer) <= self._most_buffered // 4:
            self._is_full = False
            self._protocol.resume_writing()
        if self._is_closing and not self._buffer:
            self._lose()

    def _deliver(self) -> None:
        if not self._is_reading or self._is_closing:
            return
        if self._unread:
            data, self._unread = self._unread, b""
            self._protocol.data_received(data)
        if self._has_sent_eof and not self._is_told_eof and self._is_reading and not self._is_closing:
            self._is_told_eof = True
            if not self._protocol.eof_received():
                self.close()

    def _lose(self, error: Exception | None = None) -> None:
        if not self._is_lost:
            self._is_lost = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, error)
