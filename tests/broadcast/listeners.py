"""Listeners for tests: a clock set by hand, a sink that can stall, and what a client would read from it."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from quart_odds.broadcast import BroadcastRegistry, LogBounds, Subscriber
from quart_odds.broadcast.framing import BLOCK, CHUNK, FRAME, FRAME_WITH_CURSOR, Framing

SMALL = LogBounds(least_entries=8, least_bytes=0, least_seconds=0.0, most_entries=8, most_bytes=1 << 20)
"""A log of eight entries, so that falling out of it is easy."""


class ManualClock:
    """A clock that only moves when a test advances it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class RecordingSink:
    """A sink that records writes. While stalled, writes stay pending, as for a peer that does not read."""

    def __init__(self) -> None:
        self.received = b""
        self.writes: list[bytes] = []
        self.is_open = True
        self.is_stalled = False
        self.is_aborted = False
        self._unread = b""

    @property
    def may_have_pending(self) -> bool:
        return bool(self._unread)

    def pending(self) -> int:
        return len(self._unread)

    @property
    def is_free(self) -> bool:
        return self.is_open and not self._unread

    def write(self, data: bytes) -> None:
        assert self.is_open, "written to after it was closed"
        assert not self._unread, "written to while it was full"
        self.writes.append(data)
        if self.is_stalled:
            self._unread = data
        else:
            self.received += data

    def abort(self) -> None:
        self.is_open = False
        self.is_aborted = True

    def stall(self) -> None:
        """Stop reading."""
        self.is_stalled = True

    def read_on(self, count: int | None = None) -> None:
        """Read `count` pending bytes, or, without `count`, everything pending and everything that follows."""
        taken = len(self._unread) if count is None else count
        self.received += self._unread[:taken]
        self._unread = self._unread[taken:]
        self.is_stalled = count is not None and self.is_stalled


class BrokenSink(RecordingSink):
    """A sink whose every operation fails."""

    def write(self, data: bytes) -> None:
        raise OSError("broken")

    def abort(self) -> None:
        raise OSError("broken as well")


@dataclass(frozen=True)
class Message:
    """One message as a client reads it: its cursor (from `id:` or the fourth key), its SSE event, and its JSON."""

    cursor: str
    event: str
    value: dict[str, object]


def read_messages(data: bytes, framing: Framing) -> list[Message]:
    """Return the messages in the bytes sent to a client; incomplete messages are ignored."""
    if framing in (BLOCK, CHUNK):
        return read_blocks(read_chunks(data) if framing is CHUNK else data)
    payloads = read_frames(data) if framing in (FRAME, FRAME_WITH_CURSOR) else data.split(b"\n")[:-1]
    return [_of_payload(payload) for payload in payloads]


def _of_payload(payload: bytes) -> Message:
    value = orjson.loads(payload)
    return Message(value.pop("id", ""), value["type"], value)


def read_frames(data: bytes) -> list[bytes]:
    """Return the payloads of unmasked text frames."""
    found = []
    while len(data) >= 2:
        assert data[0] == 0x81, data[:8]
        assert data[1] < 128, "masked"
        size, head = data[1], 2
        if size >= 126:
            head = 4 if size == 126 else 10
            size = int.from_bytes(data[2:head], "big")
        if len(data) < head + size:
            break
        found.append(data[head : head + size])
        data = data[head + size :]
    return found


def read_chunks(data: bytes) -> bytes:
    """Return the body of a chunked response, whether or not the last chunk is complete."""
    body = b""
    while b"\r\n" in data:
        size, _, rest = data.partition(b"\r\n")
        body += rest[: int(size, 16)]
        data = rest[int(size, 16) + 2 :]
    return body


def read_blocks(data: bytes) -> list[Message]:
    """Return the events of an event stream that a browser would dispatch: those with data."""
    found = []
    for block in data.split(b"\n\n")[:-1]:
        fields: dict[bytes, bytes] = {}
        for line in block.split(b"\n"):
            name, _, value = line.partition(b": ")
            fields[name] = fields[name] + b"\n" + value if name in fields else value
        if b"data" in fields:
            value = orjson.loads(fields[b"data"])
            found.append(Message(fields.get(b"id", b"").decode(), fields.get(b"event", b"").decode(), value))
    return found


def gap_notice(missed: int | None) -> tuple[str, bytes]:
    """Return the gap notice used in tests."""
    return "gap", orjson.dumps({"type": "gap", "missed": missed})


def make_registry(
    bounds: LogBounds | None = None, clock: ManualClock | None = None, **seconds: float
) -> BroadcastRegistry:
    """Return a registry with a clock that is set by hand."""
    return BroadcastRegistry(gap_notice=gap_notice, bounds=bounds, clock=clock or ManualClock(), **seconds)


def handshake(subscriber: Subscriber) -> Mapping[str, object]:
    """Return the first message sent to listeners in tests."""
    return {"type": "hello", "cursor": subscriber.log.cursor_at(subscriber.cursor)}


def message(number: int, kind: str = "odds_update") -> dict[str, object]:
    """Return a message with a number to identify it."""
    return {"type": kind, "n": number}


def numbers(messages: list[Message]) -> list[object]:
    """Return the number of each message, or its type if it has none."""
    return [each.value.get("n", each.value["type"]) for each in messages]
