"""One listener: a cursor into a log, a filter, and a sink to write to."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson

from quart_odds.broadcast.event_log import EventLog, ResumePosition
from quart_odds.broadcast.framing import Entry, Framing

MAX_WRITE_BYTES = 64 * 1024
"""About the most that is written to a client at a time, and so the memory that a stalled client can hold."""


@dataclass(frozen=True, slots=True)
class _FilterChange:
    topics: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class _ResumeFrom:
    """From here on the client may resume at `seq`: a notice of all that it missed before that comes next."""

    seq: int


_Private = Entry | _FilterChange | _ResumeFrom | tuple[str, bytes]

Joined = dict[tuple[int, frozenset[str] | None, Framing], tuple[bytes, int]]
"""Bytes joined during one flush. Clients at the same position, with the same filter and framing, share them."""

MOST_JOINED = 64
"""The maximum size of that cache. Clients that all lag at different positions would not share anything anyway."""

GapNotice = Callable[[int | None], tuple[str, bytes]]
"""Makes the name and the JSON of a gap notice from the number of missed entries (None: unknown)."""


class Sink(Protocol):
    """Where a subscriber's bytes are written. No method waits."""

    @property
    def is_open(self) -> bool:
        """Whether the sink still accepts bytes."""

    @property
    def pending(self) -> int:
        """The amount written but not yet taken; 0 if the sink is free. It changes whenever some of it is taken."""

    def write(self, data: bytes) -> None:
        """Write bytes. Allowed only while `is_open` is true and nothing is pending."""

    def abort(self) -> None:
        """Cut the connection; pending bytes are lost."""


class Subscriber:
    """A cursor, a filter and a sink. The registry or a stream creates it, and the flusher moves its cursor.

    Messages for this client only (ack, pong, errors) are queued with `send` and keep their place among the entries.
    """

    __slots__ = (
        "_gap_notice",
        "_outbox",
        "_position",
        "_wanted_topics",
        "address",
        "close_code",
        "close_reason",
        "cursor",
        "framing",
        "is_ended",
        "last_write_at",
        "log",
        "on_end",
        "sink",
        "stalled_pending",
        "stalled_since",
        "topics",
    )

    def __init__(
        self,
        log: EventLog,
        sink: Sink,
        framing: Framing,
        *,
        topics: frozenset[str] | None = None,
        place: ResumePosition | None = None,
        gap_notice: GapNotice,
        address: str = "",
    ) -> None:
        place = place or ResumePosition(log.next_seq)
        self.log = log
        self.sink = sink
        self.framing = framing
        self.topics = topics
        self._wanted_topics = topics or frozenset()
        self.cursor = place.seq
        self.address = address
        self.is_ended = False
        self.close_code: int | None = None
        self.close_reason = ""
        self.on_end: Callable[[], None] | None = None
        self.last_write_at = 0.0
        self.stalled_since: float | None = None
        self.stalled_pending = 0
        self._gap_notice = gap_notice
        self._outbox: deque[tuple[int, _Private]] | None = None
        snapshot = self._wanted(place.snapshot)
        self._position = snapshot[0].seq if snapshot else place.seq

    @property
    def position(self) -> str:
        """The cursor from which this client may resume: that of the last entry it was sent."""
        return self.log.cursor_at(self._position)

    @property
    def wanted_topics(self) -> frozenset[str]:
        """The filter that the client last asked for, including changes that have not yet taken effect."""
        return self._wanted_topics

    @property
    def backlog(self) -> int:
        """The number of private messages queued for this client. Grows if it sends requests and never reads."""
        return len(self._outbox or ())

    @property
    def is_behind(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._outbox) or self.cursor < self.log.next_seq

    def send(self, message: Mapping[str, object]) -> None:
        """Queue an envelope for this client only, after everything that is already in the log."""
        self.send_raw(str(message.get("type", "")), orjson.dumps(message))

    def send_raw(self, name: str, payload: bytes) -> None:
        """Queue a message that is already JSON, as `send` does. `name` is its SSE event; empty for none."""
        self._queue((self.log.next_seq, (name, payload)))

    def send_first(self, message: Mapping[str, object]) -> None:
        """Queue an envelope ahead of all entries from this client's position on."""
        self._queue((self.cursor, (str(message.get("type", "")), orjson.dumps(message))))

    def send_snapshot(self, place: ResumePosition) -> None:
        """Queue a new listener's snapshot ahead of all entries from its position on, but after its ack."""
        for entry in self._wanted(place.snapshot):
            self._queue((self.cursor, entry))

    def filter_by(self, topics: frozenset[str]) -> None:
        """Change the filter for everything after the current end of the log."""
        self._wanted_topics = topics
        self._queue((self.log.next_seq, _FilterChange(topics)))

    def take(self, joined: Joined) -> bytes:
        """Return the next bytes for this client, at most about MAX_WRITE_BYTES; empty if it has everything."""
        if self.cursor < self.log.first_seq:
            self._pass_over_what_is_gone()
        if self._outbox:
            return self._take_with_private()
        key = (self.cursor, self.topics, self.framing)
        found = joined.get(key)
        if found is None:
            data, reached = self.log.join(self.cursor, self.log.next_seq, self.topics, self.framing, MAX_WRITE_BYTES)
            if len(joined) >= MOST_JOINED:
                joined.clear()
            found = joined[key] = (self.framing.encode_chunk(data), reached)
        data, self.cursor = found
        self._position = self.cursor
        return data

    def end(self, code: int | None = None, reason: str = "") -> None:
        """Stop writing to this client. `code` is the close code for a WebSocket. Only the first call has an effect."""
        if not self.is_ended:
            self.is_ended = True
            self.close_code = code
            self.close_reason = reason
            if self.on_end is not None:
                self.on_end()

    def _take_with_private(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        outbox = self._outbox
        while outbox and size < MAX_WRITE_BYTES:
            at, item = outbox[0]
            if self.cursor < at:
                parts.append(self._take_entries(at, MAX_WRITE_BYTES - size))
                size += len(parts[-1])
                continue
            outbox.popleft()
            if isinstance(item, _FilterChange):
                self.topics = item.topics
                continue
            if isinstance(item, _ResumeFrom):
                self._position = item.seq
                continue
            if isinstance(item, Entry):
                parts.append(item.frames[self.framing.kind] or self.framing.frame(item))
                self._position = item.seq + 1
            else:
                name, payload = item
                cursor = self.position.encode() if self.framing.has_cursor else b""
                parts.append(self.framing.encode(payload, cursor, name))
            size += len(parts[-1])
        if not outbox:
            self._outbox = None
            self._position = max(self._position, self.cursor)
            if size < MAX_WRITE_BYTES and self.cursor < self.log.next_seq:
                parts.append(self._take_entries(self.log.next_seq, MAX_WRITE_BYTES - size))
        return self.framing.encode_chunk(b"".join(parts))

    def _take_entries(self, stop: int, limit_bytes: int) -> bytes:
        data, self.cursor = self.log.join(self.cursor, stop, self.topics, self.framing, limit_bytes)
        self._position = self.cursor
        return data

    def _pass_over_what_is_gone(self) -> None:
        """Skip entries that were evicted before this client read them.

        If its filter excludes them all, it continues with the oldest entry that is left. Otherwise there is a gap.
        """
        if self._count_missed(self.log.first_seq) == 0:
            self.cursor = self.log.first_seq
        else:
            self._tell_gap()

    def _tell_gap(self) -> None:
        """Report the gap, send the newest state, and continue from the end of the log.

        Until the notice has been sent, the client can resume only from before the gap. A later cursor would hide the
        loss.
        """
        end = self.log.next_seq
        missed = self._count_missed(end)
        pending, self._outbox = self._outbox or (), None
        for _, item in pending:
            if isinstance(item, _FilterChange):
                self.topics = item.topics
            elif isinstance(item, tuple):
                self._queue((end, item))
        snapshot = self._wanted(self.log.since(self._position))
        self._queue((end, _ResumeFrom(snapshot[0].seq if snapshot else end)))
        self._queue((end, self._gap_notice(missed)))
        for entry in snapshot:
            self._queue((end, entry))
        self.cursor = end

    def _count_missed(self, stop: int) -> int | None:
        """Return how many entries before `stop` pass the filter, taking queued filter changes into account."""
        start, topics = self.cursor, self.topics
        counts = []
        for at, item in self._outbox or ():
            if isinstance(item, _FilterChange) and at < stop:
                counts.append(self.log.count(start, topics, at))
                start, topics = at, item.topics
        counts.append(self.log.count(start, topics, stop))
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def _queue(self, item: tuple[int, _Private]) -> None:
        if self._outbox is None:
            self._outbox = deque()
        self._outbox.append(item)

    def _wanted(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return tuple(entry for entry in entries if self._lets_through(entry))

    def _lets_through(self, entry: Entry) -> bool:
        return self.topics is None or entry.topic in self.topics
