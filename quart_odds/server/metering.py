"""Counts what a peer sends before it is parsed. No waiting and no sockets: bytes in, verdicts out.

The limits leave room for any client that follows docs/protocol.md. Such a client sends at most 40 messages of 4 KB in a
burst and 10 per second after that, which is 160 KB and 40 KB/s. A message may come in fragments, with pings in between.
Anything beyond that costs the loop more than the peer: a ping of 6 bytes takes about 30 µs to parse and answer.
"""

WEBSOCKET_BYTES_AT_ONCE = 256 * 1024
WEBSOCKET_BYTES_A_SECOND = 64 * 1024
FRAMES_AT_ONCE = 300
"""Frames of any kind, including control frames and empty fragments: 10 ms of loop time, in slices."""
FRAMES_A_SECOND = 100
SLICE_FRAMES = 8
"""Frames parsed before others get a turn: a quarter of a millisecond, because a response takes ten turns or so."""

HTTP_BYTES_AT_ONCE = 256 * 1024
HTTP_BYTES_A_SECOND = 256 * 1024
"""A connection above this rate is read more slowly, not refused: a proxy may send the requests of many on it."""
PIPELINED_AT_ONCE = 500
PIPELINED_A_SECOND = 50
"""Requests sent before the response to the previous one. No browser and no proxy does that."""
MOST_BODY_PARTS = 1024
"""Parts in which one request body may be parsed. These are its chunks: 64 bytes each, in a body of 64 KB."""
SLICE_BODY_PARTS = 8

_OPCODE_BITS = 0x0F
_MASK_BIT = 0x80
_LENGTH_BITS = 0x7F
_EXTENDED = {126: 2, 127: 8}
_DATA_OPCODES = (0, 1, 2)


class FrameScanner:
    """Finds the boundaries of frames in the bytes of one WebSocket peer, however the bytes are split into reads.

    It checks only the length. All other errors in a frame are left to the parser.
    """

    __slots__ = ("_header", "_most_bytes", "_payload_left", "is_too_long")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._header = bytearray()
        self._payload_left = 0
        self.is_too_long = False

    @property
    def is_between_frames(self) -> bool:
        """Whether no frame has begun that is not complete."""
        return not self._payload_left and not self._header

    def cut(self, data: bytes, start: int, most_frames: int) -> tuple[int, int]:
        """Continue from `start` until this many frames have begun. Returns where it stopped, and how many have begun.

        It stops permanently, with `is_too_long` set, after the header of a data frame that declares too many bytes.
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
        """Return the size of the header, as far as it is known."""
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
