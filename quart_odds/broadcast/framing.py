"""The bytes on the wire: an entry as a WebSocket frame, as an SSE block, and as a line of text.

Frames from a server to a client are unmasked (RFC 6455, 5.1), so a frame has the same bytes for every client. It is
encoded once and written to all of them.
"""

import re
from dataclasses import dataclass, field

from quart_odds.broadcast.content import Content

KINDS = 5
"""The number of framing kinds. An entry keeps its bytes for each."""

_NEWLINES = re.compile(rb"\r\n|\r|\n")


@dataclass(eq=False, slots=True)
class Entry:
    """One published message. `payload` is its JSON; `value` is what it was made from, for readers in this process.

    An entry with a `content` has no payload and no cursor of its own: it is rendered for each view that wants it.
    """

    seq: int
    at: float
    topic: str
    name: str
    payload: bytes
    cursor: bytes
    value: object = None
    content: Content | None = None
    frames: list[bytes | None] = field(default_factory=lambda: [None] * KINDS)

    @property
    def size_bytes(self) -> int:
        """What the entry counts for in the bounds of its log."""
        return len(self.payload) if self.content is None else self.content.size_bytes


class Framing:
    """How entries become bytes for one kind of client. Instances are module constants and are compared by identity."""

    transport = ""
    """websocket or sse."""
    lane = "standard"
    """standard or fast."""

    def __init__(self, kind: int, *, has_cursor: bool) -> None:
        self.kind = kind
        self.has_cursor = has_cursor

    def frame(self, entry: Entry) -> bytes:
        """Return the entry's bytes. They are encoded on the first call and kept on the entry."""
        made = entry.frames[self.kind] = self.encode(entry.payload, entry.cursor, entry.name)
        return made

    def encode(self, payload: bytes, cursor: bytes, name: str) -> bytes:
        """Return the bytes of one message, given its JSON, its cursor and the name of its type."""
        raise NotImplementedError

    def encode_chunk(self, joined: bytes) -> bytes:
        """Wrap joined frames for a single write."""
        return joined


class _TextFraming(Framing):
    """One message per line, for the standard lane, which sends them one by one. JSON from orjson has no newlines."""

    transport = "websocket"

    def encode(self, payload: bytes, cursor: bytes, name: str) -> bytes:
        return (with_cursor(payload, cursor) if self.has_cursor else payload) + b"\n"


class _FrameFraming(Framing):
    """One WebSocket text frame per message."""

    transport = "websocket"
    lane = "fast"

    def encode(self, payload: bytes, cursor: bytes, name: str) -> bytes:
        return text_frame(with_cursor(payload, cursor) if self.has_cursor else payload)


class _BlockFraming(Framing):
    """One SSE block per message. Messages without a name get no `event:` line, so `onmessage` receives them."""

    transport = "sse"

    def encode(self, payload: bytes, cursor: bytes, name: str) -> bytes:
        return sse_block(payload, event=name, cursor=cursor)


class _ChunkFraming(_BlockFraming):
    """SSE blocks written to an HTTP/1.1 response past the server: each write is one chunk (RFC 9112, 7.1)."""

    lane = "fast"

    def encode_chunk(self, joined: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(joined), joined) if joined else b""


def with_cursor(payload: bytes, cursor: bytes) -> bytes:
    """Return a JSON object with the cursor added under the key `id`."""
    return b'%b,"id":"%b"}' % (payload[:-1], cursor)


def text_frame(payload: bytes) -> bytes:
    """Return a single unmasked, final text frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 65536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), payload)


def sse_block(payload: bytes, *, event: str = "", cursor: bytes = b"") -> bytes:
    """Return one SSE block, with a `data:` field for each line of the payload.

    All kinds of newlines are split: a client would read the rest of an unsplit line as another field.
    """
    head = (b"id: %b\n" % cursor if cursor else b"") + (b"event: %b\n" % event.encode() if event else b"")
    if b"\n" in payload or b"\r" in payload:
        lines = b"".join(b"data: %b\n" % line for line in _NEWLINES.split(payload))
        return b"%b%b\n" % (head, lines)
    return b"%bdata: %b\n\n" % (head, payload)


def sse_retry(milliseconds: int, comment: str = "") -> bytes:
    """Return the block that tells an EventSource how many milliseconds to wait before it reconnects.

    Clients ignore the comment; it is for people who read the stream.
    """
    return b"retry: %d\n%b\n" % (milliseconds, f": {comment}\n".encode() if comment else b"")


TEXT = _TextFraming(0, has_cursor=False)
TEXT_WITH_CURSOR = _TextFraming(1, has_cursor=True)
FRAME = _FrameFraming(2, has_cursor=False)
FRAME_WITH_CURSOR = _FrameFraming(3, has_cursor=True)
BLOCK = _BlockFraming(4, has_cursor=True)
CHUNK = _ChunkFraming(4, has_cursor=True)
