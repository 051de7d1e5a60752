"""One listener: a cursor into a log, a filter, and somewhere to write."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson

from quart_odds.broadcast.event_log import EventLog, ResumePosition
from quart_odds.broadcast.framing import Entry, Framing

MAX_WRITE_BYTES = 64 * 1024
"""The most that is handed to one client at a time: what a stalled client may hold of our memory."""


@dataclass(frozen=True, slots=True)
class _FilterChange:
    topics: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class _ResumeFrom:
    """From here on this client may resume at `seq`: it is about to be told of all that it missed before that."""

    seq: int


_Private = Entry | _FilterChange | _ResumeFrom | tuple[str, bytes]

Joined = dict[tuple[int, frozenset[str] | None, Framing], tuple[bytes, int]]
"""What has been joined in one flush, so that clients that lag alike share the same bytes."""

MOST_JOINED = 64
"""How much of that is kept at a time: clients that all lag at places of their own share nothing anyway."""

GapNotice = Callable[[int | None], tuple[str, bytes]]
"""Makes the name and JSON of the message that tells how many entries were missed, None for an unknown number."""


class Sink(Protocol):
    """Where a subscriber's bytes go. Neither method waits."""

    @property
    def is_open(self) -> bool:
        """Whether anything may still be written."""

    @property
    def pending(self) -> int:
        """What was written and not yet taken; 0 when the next bytes can be taken. It changes whenever some are."""

    def write(self, data: bytes) -> None:
        """Hand over bytes; only while `is_open` and nothing is pending."""

    def abort(self) -> None:
        """Cut the connection; what is pending is lost."""


class Subscriber:
    """A cursor, a filter and a sink. The registry or a stream makes it, the flusher moves it.

    What belongs to this client only (ack, pong, errors) goes through `send`, and keeps its place among the entries.
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
        """The cursor of the last entry this client was given: where it may resume."""
        return self.log.cursor_at(self._position)

    @property
    def wanted_topics(self) -> frozenset[str]:
        """The filter as the client last asked for it, changes that are still to be reached included."""
        return self._wanted_topics

    @property
    def backlog(self) -> int:
        """How many messages of its own wait for this client: one that asks and never reads makes it grow."""
        return len(self._outbox or ())

    @property
    def is_behind(self) -> bool:
        """Whether there is something to write."""
        return bool(self._outbox) or self.cursor < self.log.next_seq

    @property
    def is_done(self) -> bool:
        """Whether nothing will ever follow: the log is closed and this client has it all."""
        return self.log.is_closed and not self.is_behind

    def send(self, message: Mapping[str, object]) -> None:
        """Queue an envelope for this client only, behind what is already in the log."""
        self.send_raw(str(message.get("type", "")), orjson.dumps(message))

    def send_raw(self, name: str, payload: bytes) -> None:
        """The same for a message that is JSON already; `name` is its SSE event, empty for none."""
        self._queue((self.log.next_seq, (name, payload)))

    def send_first(self, message: Mapping[str, object]) -> None:
        """Queue an envelope ahead of everything from this client's place on."""
        self._queue((self.cursor, (str(message.get("type", "")), orjson.dumps(message))))

    def send_snapshot(self, place: ResumePosition) -> None:
        """Queue what a newcomer gets first, ahead of everything from its place on; after its ack."""
        for entry in self._wanted(place.snapshot):
            self._queue((self.cursor, entry))

    def filter_by(self, topics: frozenset[str]) -> None:
        """Change the filter for all that comes after what is in the log now."""
        self._wanted_topics = topics
        self._queue((self.log.next_seq, _FilterChange(topics)))

    def take(self, joined: Joined) -> bytes:
        """The next bytes for this client, at most about MAX_WRITE_BYTES; empty when it has everything."""
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
        """Nothing more is written; `code` is the close code where the client is on WebSocket. Once only."""
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
        """This client fell out of the ring. Where it did not listen to what is gone, it goes on with what is left."""
        if self._count_missed(self.log.first_seq) == 0:
            self.cursor = self.log.first_seq
        else:
            self._tell_gap()

    def _tell_gap(self) -> None:
        """Say that there is a gap, give the newest state, and go on from the end.

        Until the notice is out, it may resume only from before the gap: a cursor past it would hide what was missed.
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
        """How many entries before `stop` the filter, as it changes on the way, would let through."""
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
