"""Bytes on the wire: how an entry looks as a WebSocket frame, as an SSE block, and as a line of text.

Frames from a server to a client are unmasked (RFC 6455, 5.1), so one frame is the same bytes for every client: it is
made once and written to all.
"""

import re
from dataclasses import dataclass, field

KINDS = 5
"""Kinds of framing: an entry keeps the bytes of each."""

_NEWLINES = re.compile(rb"\r\n|\r|\n")


@dataclass(eq=False, slots=True)
class Entry:
    """One thing that was said. `payload` is its JSON; `value` what it was made from, for readers in this process.

    `nth` is its number among the entries of its topic.
    """

    seq: int
    at: float
    topic: str
    name: str
    payload: bytes
    cursor: bytes
    nth: int
    value: object = None
    frames: list[bytes | None] = field(default_factory=lambda: [None] * KINDS)


class Framing:
    """How entries become bytes for one kind of client. Instances are module constants, compared by identity."""

    def __init__(self, kind: int, *, has_cursor: bool) -> None:
        self.kind = kind
        self.has_cursor = has_cursor

    def frame(self, entry: Entry) -> bytes:
        """The entry's bytes, made once and kept on it."""
        made = entry.frames[self.kind] = self.encode(entry.payload, entry.cursor, entry.name)
        return made

    def encode(self, payload: bytes, cursor: bytes, name: str) -> bytes:
        """Bytes of one message: its JSON, its cursor, and the name of its type."""
        raise NotImplementedError

    def encode_chunk(self, joined: bytes) -> bytes:
        """What goes around a joined run of frames when it is written."""
        return joined


class _TextFraming(Framing):
    """A message a line, for the standard lane, which sends them one by one: JSON from orjson holds no newline."""

    def encode(self, payload: bytes, cursor: bytes, name: str) -> bytes:
        return (with_cursor(payload, cursor) if self.has_cursor else payload) + b"\n"


class _FrameFraming(Framing):
    """A WebSocket text frame a message."""

    def encode(self, payload: bytes, cursor: bytes, name: str) -> bytes:
        return text_frame(with_cursor(payload, cursor) if self.has_cursor else payload)


class _BlockFraming(Framing):
    """An SSE block a message; `event:` only where the message has a name, so that `onmessage` gets those without."""

    def encode(self, payload: bytes, cursor: bytes, name: str) -> bytes:
        return sse_block(payload, event=name, cursor=cursor)


class _ChunkFraming(_BlockFraming):
    """SSE blocks written past the server into an HTTP/1.1 response: each write is one chunk (RFC 9112, 7.1)."""

    def encode_chunk(self, joined: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(joined), joined) if joined else b""


def with_cursor(payload: bytes, cursor: bytes) -> bytes:
    """A JSON object with one more key, `id`."""
    return b'%b,"id":"%b"}' % (payload[:-1], cursor)


def text_frame(payload: bytes) -> bytes:
    """One unmasked, final text frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 65536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), payload)


def sse_block(payload: bytes, *, event: str = "", cursor: bytes = b"") -> bytes:
    """One SSE block: `data:` once per line of the payload, a newline of any kind, or a listener would read a field."""
    head = (b"id: %b\n" % cursor if cursor else b"") + (b"event: %b\n" % event.encode() if event else b"")
    if b"\n" in payload or b"\r" in payload:
        lines = b"".join(b"data: %b\n" % line for line in _NEWLINES.split(payload))
        return b"%b%b\n" % (head, lines)
    return b"%bdata: %b\n\n" % (head, payload)


def sse_retry(milliseconds: int) -> bytes:
    """The block that tells an EventSource how long to wait before it comes back."""
    return b"retry: %d\n\n" % milliseconds


TEXT = _TextFraming(0, has_cursor=False)
TEXT_WITH_CURSOR = _TextFraming(1, has_cursor=True)
FRAME = _FrameFraming(2, has_cursor=False)
FRAME_WITH_CURSOR = _FrameFraming(3, has_cursor=True)
BLOCK = _BlockFraming(4, has_cursor=True)
CHUNK = _ChunkFraming(4, has_cursor=True)
