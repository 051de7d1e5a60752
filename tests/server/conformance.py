"""RFC 6455 on frames, as a table: what a client sends, and what may happen to its connection."""

import struct
from dataclasses import dataclass

from tests.server.harness import BINARY, CLOSE, PING, PONG, TEXT, websocket

MASK = b"\x11\x22\x33\x44"
ASK = '{"type":"ping"}'
CONTINUATION = 0
GREETING = "κόσμε".encode()

LIVE = "live"
"""The connection still answers a message."""

Outcome = str | int


@dataclass(frozen=True)
class Case:
    """Bytes to send, one item per write, and the outcomes that are right: LIVE, or close codes."""

    name: str
    sent: tuple[bytes, ...]
    right: tuple[Outcome, ...]
    headers: tuple[str, ...] = ()


def frame(
    payload: bytes | str = b"",
    opcode: int = TEXT,
    *,
    final: bool = True,
    masked: bool = True,
    reserved: int = 0,
    size_bits: int = 0,
    declared: int | None = None,
    mask: bytes = MASK,
) -> bytes:
    """Return one frame, which may be invalid.

    `size_bits` is the form of its length (7, 16 or 64; 0 for the right one), and `declared` the length it claims to
    have.
    """
    data = payload.encode() if isinstance(payload, str) else payload
    size = len(data) if declared is None else declared
    form = size_bits or (7 if size < 126 else 16 if size < 65536 else 64)
    mask_bit = 0x80 if masked else 0
    short = {7: size, 16: 126, 64: 127}[form]
    head = bytes([(0x80 if final else 0) | reserved << 4 | opcode, mask_bit | short])
    head += {7: b"", 16: struct.pack("!H", size & 0xFFFF), 64: struct.pack("!Q", size)}[form]
    if not masked:
        return head + data
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    """Return a close frame."""
    return frame((b"" if code is None else struct.pack("!H", code)) + reason, CLOSE)


def fragments(data: bytes, opcode: int = TEXT, between: bytes = b"") -> bytes:
    """Return a message in one-byte fragments, with other frames in between and an empty fragment at the end."""
    parts = [frame(data[at : at + 1], CONTINUATION if at else opcode, final=False) + between for at in range(len(data))]
    return b"".join(parts) + frame(b"", CONTINUATION)


def _by_byte(data: bytes) -> tuple[bytes, ...]:
    return tuple(data[at : at + 1] for at in range(len(data)))


def _cases() -> list[Case]:
    found: list[Case] = []

    def add(name: str, sent: bytes | tuple[bytes, ...], *right: Outcome, headers: tuple[str, ...] = ()) -> None:
        found.append(Case(name, sent if isinstance(sent, tuple) else (sent,), right, headers))

    start = frame('{"type":', final=False)
    end = frame('"ping"}', CONTINUATION)

    # 5.4: fragments
    add("two fragments", start + end, LIVE)
    add("fragments of one byte", fragments(ASK.encode()), LIVE)
    add("byte by byte", _by_byte(start + end), LIVE)
    add("empty first fragment", frame(b"", final=False) + frame(ASK, CONTINUATION), LIVE)
    add("nothing but empty fragments", frame(b"", final=False) + frame(b"", CONTINUATION), LIVE)
    add("100 fragments with pings between", fragments(b" " * 100, between=frame(b"p", PING)), LIVE)
    add("continuation of nothing", frame(b"x", CONTINUATION), 1002)
    add("continuation of nothing, not final", frame(b"x", CONTINUATION, final=False), 1002)
    add("text within a message", frame("a", final=False) + frame("b"), 1002)
    add("binary within a message", frame("a", final=False) + frame(b"b", BINARY), 1002)
    add("continuation of a whole message", frame(ASK) + frame(b"x", CONTINUATION), 1002, LIVE)

    # 5.5: control frames
    for name, opcode in (("ping", PING), ("pong", PONG)):
        add(f"{name} between fragments", start + frame(b"hi", opcode) + end, LIVE)
        add(f"empty {name}", frame(b"", opcode), LIVE)
        add(f"{name} of 125", frame(bytes(range(125)), opcode), LIVE)
        add(f"{name} of 126", frame(b"x" * 126, opcode), 1002)
        add(f"{name} of 65536", frame(b"x" * 65536, opcode), 1002)
        add(f"{name} in fragments", frame(b"a", opcode, final=False), 1002)
    add("ten pings", b"".join(frame(b"%d" % number, PING) for number in range(10)), LIVE)
    add("close of 126", close(1000, b"x" * 124), 1002)
    add("close in fragments", frame(struct.pack("!H", 1000), CLOSE, final=False), 1002)

    # 5.2: opcodes, reserved bits, lengths
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        add(f"opcode {opcode}", frame(b"", opcode), 1002)
    for bits in (1, 2, 4, 7):
        add(f"reserved bits {bits}", frame("{}", reserved=bits), 1002)
    add("reserved bit of a ping", frame(b"", PING, reserved=4), 1002)
    add("reserved bit of a continuation", start + frame("}", CONTINUATION, reserved=4), 1002)
    add("reserved bit of a close", frame(struct.pack("!H", 1000), CLOSE, reserved=1), 1002)
    add("longer form of a length, 16 bits", frame('{"a":1}', size_bits=16), 1002, LIVE)
    add("longer form of a length, 64 bits", frame('{"a":1}', size_bits=64), 1002, LIVE)
    add("longer form of a ping's length", frame(b"x", PING, size_bits=16), 1002, LIVE)
    add("text of 4096", frame("x" * 4096), LIVE)
    add("text of 65535", frame("x" * 65535), LIVE)
    add("text of 65536", frame("x" * 65536), LIVE, 1009)
    add("text of 65537", frame("x" * 65537), 1009)
    add("fragments of 65537 in all", frame("x" * 65530, final=False) + frame("x" * 7, CONTINUATION), 1009)
    for power in (17, 31, 32, 62):
        add(f"declared length 2^{power}", frame(b"\xff" * 90_000, declared=1 << power, size_bits=64), 1009)
    add("declared length 2^63", frame(b"abcd", declared=1 << 63, size_bits=64), 1002, 1009)
    add("empty text", frame(""), LIVE)
    add("empty binary", frame(b"", BINARY), LIVE)

    # 5.1: masks
    add("text without a mask", frame("{}", masked=False), 1002)
    add("ping without a mask", frame(b"", PING, masked=False), 1002)
    add("close without a mask", frame(struct.pack("!H", 1000), CLOSE, masked=False), 1002)
    add("mask of zeros", frame(ASK, mask=b"\0\0\0\0"), LIVE)

    # 8.1: UTF-8
    good = {"greeting": GREETING, "last code point": b"\xef\xbf\xbf", "zero": b"\0", "four bytes": "😀".encode()}
    for name, data in good.items():
        add(f"utf-8: {name}", frame(data), LIVE)
        add(f"utf-8 in fragments: {name}", fragments(data), LIVE)
    bad = {
        "ff": b"\xff",
        "lone continuation": b"\x80",
        "cut": b"\xce",
        "surrogate": b"\xed\xa0\x80",
        "overlong": b"\xc0\xaf",
        "overlong zero": b"\xe0\x80\x80",
        "beyond the last": b"\xf4\x90\x80\x80",
        "five bytes": b"\xf8\x88\x80\x80\x80",
        "good, then bad": GREETING + b"\xed\xa0\x80",
    }
    for name, data in bad.items():
        add(f"no utf-8: {name}", frame(data), 1007)
    add("no utf-8: told at once", frame(GREETING, final=False) + frame(b"\xff", CONTINUATION, final=False), 1007)
    add("no utf-8: cut by the end", frame(b"\xce", final=False) + frame(b"", CONTINUATION), 1007)

    # 5.5.1 and 7.4: closing
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
        add(f"close {code}", close(code), code, 1000)
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        add(f"close {code}, which is none", close(code), 1002)
    for code in (1000, 1014):
        add(f"close {code} with a reason", close(code, b"x" * 123), code)
        add(f"close {code} with a reason that is no utf-8", close(code, b"\xff"), 1007, 1002)
        add(f"close {code} with a reason that is cut", close(code, b"\xce"), 1007, 1002)
    add("close without a code", close(), 1005, 1000)
    add("close of one byte", frame(b"\x03", CLOSE), 1002)
    add("close byte by byte", _by_byte(close(1000, b"bye")), 1000)
    add("close, then text", close(1000) + frame("{}"), 1000)
    add("close, then a ping", close(1000) + frame(b"", PING), 1000)
    add("close, then a frame that is too long", close(1000) + frame(b"x", declared=1 << 62), 1000)
    add("close twice", close(1000) + close(1000), 1000)
    add("close within a message", frame("{", final=False) + close(1000), 1000)
    add("a request", b"GET / HTTP/1.1\r\n\r\n", 1002)

    # 9: extensions
    offer = ("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",)
    add("compression offered", frame(ASK), LIVE, headers=offer)
    add("compression used", frame(b"\xaa\x56\x2a\xa9\x2c\x48", reserved=4), 1002, headers=offer)
    add("extension that nobody knows", frame(ASK), LIVE, headers=('Sec-WebSocket-Extensions: x-none; a="b"',))
    add("extensions that are none", frame(ASK), LIVE, headers=('Sec-WebSocket-Extensions: ,,;;=="',))
    return found


CASES = _cases()


async def outcome(port: int, case: Case) -> Outcome:
    """Return what becomes of a connection: LIVE, or its close code, after which the connection has to end."""
    peer = await websocket(port, "/api/ws", *case.headers)
    try:
        await peer.frame()
        for part in case.sent:
            peer.writer.write(part)
            await peer.writer.drain()
        peer.writer.write(frame(ASK))
        while (got := await peer.frame()).opcode != CLOSE:
            if got.opcode == TEXT and got.json["type"] == "pong":
                return LIVE
        assert await peer.rest() == b"", "something follows the close frame"
        return got.code if got.payload else 1005
    finally:
        await peer.close()
