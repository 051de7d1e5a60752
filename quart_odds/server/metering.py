"""What a peer sends, counted before it is parsed. No waiting and no sockets here: bytes in, verdicts out.

The bounds leave room for any client that keeps to docs/protocol.md. The most it may send is 40 messages of 4 KB at once
and 10 a second, which is 160 KB and 40 KB/s; a message may come in fragments, with pings in between. What lies beyond
costs the loop more than the peer: a ping of 6 bytes takes about 30 µs to parse and to answer.
"""

WEBSOCKET_BYTES_AT_ONCE = 256 * 1024
WEBSOCKET_BYTES_A_SECOND = 64 * 1024
FRAMES_AT_ONCE = 300
"""Frames of every kind, control frames and empty fragments included: 10 ms of the loop's time, in slices."""
FRAMES_A_SECOND = 100
SLICE_FRAMES = 8
"""Frames parsed before others have their turn: a quarter of a millisecond, as an answer takes ten turns or so."""

HTTP_BYTES_AT_ONCE = 256 * 1024
HTTP_BYTES_A_SECOND = 256 * 1024
"""Beyond it a connection is read more slowly; it may be a proxy's, and carry the requests of many."""
PIPELINED_AT_ONCE = 500
PIPELINED_A_SECOND = 50
"""Requests sent before the answer to the one before: no browser and no proxy does that."""
MOST_BODY_PARTS = 1024
"""Parts in which one request's body may be parsed, which are its chunks: 64 bytes each, in a body of 64 KB."""
SLICE_BODY_PARTS = 8

_OPCODE_BITS = 0x0F
_MASK_BIT = 0x80
_LENGTH_BITS = 0x7F
_EXTENDED = {126: 2, 127: 8}
_DATA_OPCODES = (0, 1, 2)


class FrameScanner:
    """Finds where frames begin and end in the bytes of one WebSocket peer, however they are cut into reads.

    It judges nothing but length: everything else that may be wrong with a frame is the parser's to find.
    """

    __slots__ = ("_header", "_most_bytes", "_payload_left", "is_too_long")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._header = bytearray()
        self._payload_left = 0
        self.is_too_long = False

    def cut(self, data: bytes, start: int, most_frames: int) -> tuple[int, int]:
        """Go on from `start` until so many frames have begun; (where it stopped, how many have begun).

        It stops for good, with `is_too_long`, behind the header of a data frame that declares more than is allowed.
        """
        position, frames, size = start, 0, len(data)
        while position < size and not self.is_too_long:
            if self._payload_left:
                step = min(self._payload_left, size - position)
                self._payload_left -= step
                position += step
            elif frames == most_frames:
                break
            else:
                missing = self._header_size() - len(self._header)
                part = data[position : position + missing]
                self._header += part
                position += len(part)
                if len(self._header) == self._header_size():
                    frames += 1
                    self._begin()
        return position, frames

    def _header_size(self) -> int:
        """The size of the header as far as it is known."""
        if len(self._header) < 2:
            return 2
        second = self._header[1]
        return 2 + _EXTENDED.get(second & _LENGTH_BITS, 0) + (4 if second & _MASK_BIT else 0)

    def _begin(self) -> None:
        first, second = self._header[0], self._header[1]
        length = second & _LENGTH_BITS
        if extended := _EXTENDED.get(length):
            length = int.from_bytes(self._header[2 : 2 + extended], "big")
        self._header.clear()
        is_data = first & _OPCODE_BITS in _DATA_OPCODES and second & _MASK_BIT
        self.is_too_long = bool(is_data) and length > self._most_bytes
        self._payload_left = length
