"""One listener: a cursor into a log, a filter, and a sink to write to."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from quart_odds.broadcast.content import Filter, Image
from quart_odds.broadcast.event_log import EventLog, ResumePosition
from quart_odds.broadcast.framing import Entry, Framing
from quart_odds.broadcast.selection import EVERYTHING, Selection
from quart_odds.broadcast.sink import Sink
from quart_odds.broadcast.trail import Trail

MAX_WRITE_BYTES = 64 * 1024
"""About the most that is written to a client at a time, and so the memory that a stalled client can hold."""


@dataclass(frozen=True, slots=True)
class _SelectionChange:
    selection: Selection


@dataclass(frozen=True, slots=True)
class _ResumeFrom:
    """From here on the client may resume at `seq`: a notice of all that it missed before that comes next."""

    seq: int | None


@dataclass(frozen=True, slots=True)
class _Opening:
    """The pages of an image are sent here. Once all are, the client may resume from `seq`."""

    image: Image
    seq: int


_Private = Entry | _SelectionChange | _ResumeFrom | _Opening | tuple[str, bytes]

Joined = dict[tuple[int, Selection, Framing], tuple[bytes, int]]
"""Bytes joined during one flush. Clients at the same position, with the same selection and framing, share them."""

MOST_JOINED = 64
"""The maximum size of that cache. Clients that all lag at different positions would not share anything anyway."""

GapNotice = Callable[[int | None], tuple[str, bytes]]
"""Makes the name and the JSON of a gap notice from the number of missed entries (None: unknown)."""

OpenImage = Callable[[Filter, int | None, Callable[[], None]], Image]
"""Makes the image of what a filter selects, as it is now; with a sequence number, of what has changed from there on.
The last argument is called whenever a page is ready that was asked for in vain."""


class _Visited:
    """What a flush looks at for each client: side by side, so that one or two lines of a cache have all of it."""

    __slots__ = ("cursor", "framing", "is_current", "last_write_at", "resume_seq", "sink", "stalled_since")


class Subscriber(_Visited):
    """A cursor, a filter and a sink. The registry or a stream creates it, and the flusher moves its cursor.

    Messages for this client only (ack, pong, errors) are queued with `send` and keep their place among the entries.
    """

    __slots__ = (
        "_gap_notice",
        "_is_waiting",
        "_open_image",
        "_outbox",
        "address",
        "began_at",
        "began_seq",
        "close_code",
        "close_reason",
        "is_ended",
        "log",
        "number",
        "on_end",
        "on_page",
        "pinged_at",
        "selection",
        "stalled_pending",
        "trail",
        "wanted",
    )

    def __init__(
        self,
        log: EventLog,
        sink: Sink,
        framing: Framing,
        *,
        selection: Selection = EVERYTHING,
        place: ResumePosition | None = None,
        gap_notice: GapNotice,
        open_image: OpenImage | None = None,
        address: str = "",
        number: int = 0,
    ) -> None:
        place = place or ResumePosition(log.next_seq)
        self.number = number
        """The number of the connection; 0 if it has none."""
        self.log = log
        self.sink = sink
        self.framing = framing
        self.selection = selection
        """What applies to the entries from `cursor` on."""
        self.wanted = selection
        """What the client asked for last, including changes that have not taken effect yet."""
        self.cursor = place.seq
        self.began_at = 0.0
        self.began_seq = place.seq
        self.trail: Trail | None = None
        """What has happened besides deliveries; None if nothing has."""
        if place.since is not None:
            self.began_seq = place.since
            self._kept_trail().note_gap(place.since, place.seq)
        self.address = address
        self.is_ended = False
        self.close_code: int | None = None
        self.close_reason = ""
        self.on_end: Callable[[], None] | None = None
        self.on_page: Callable[[Subscriber], object] = lambda _: None
        """Called when a page of an image is ready that this client waits for."""
        self.last_write_at = 0.0
        self.pinged_at: float | None = None
        """When the client was sent a ping that it has not answered yet."""
        self.stalled_since: float | None = None
        self.stalled_pending = 0
        self._gap_notice = gap_notice
        self._open_image = open_image
        self._is_waiting = False
        self.is_current = False
        """Whether the client has everything that concerns it, apart from entries of which the flusher knows."""
        self._outbox: deque[tuple[int, _Private]] | None = None
        snapshot = self._wanted(place.snapshot)
        self.resume_seq: int | None = snapshot[0].seq if snapshot else place.seq
        """The client may resume from before this entry; None: from nowhere."""

    @property
    def position(self) -> str:
        """The cursor from which this client may resume: that of the last entry it was sent.

        While the client has only a part of its first image, nobody can resume from it: it then gets another image.
        """
        return self.log.unfinished_cursor if self.resume_seq is None else self.log.cursor_at(self.resume_seq)

    @property
    def wanted_topics(self) -> frozenset[str]:
        """The topics that the client last asked for, including changes that have not yet taken effect."""
        return self.wanted.topics or frozenset()

    @property
    def backlog(self) -> int:
        """The number of private messages queued for this client. Grows if it sends requests and never reads."""
        return len(self._outbox or ())

    @property
    def is_opening(self) -> bool:
        """Whether the next thing to write is a page of an image that is not ready yet."""
        return self._is_waiting

    @property
    def later_selections(self) -> tuple[tuple[int, Selection], ...]:
        """The selections that have not taken effect yet, each with the first entry to which it applies."""
        return tuple((at, item.selection) for at, item in self._outbox or () if isinstance(item, _SelectionChange))

    @property
    def is_behind(self) -> bool:
        """Whether there may be anything to write now."""
        return not self._is_waiting and (bool(self._outbox) or self.cursor < self.log.next_seq)

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
        self._queue_snapshot(self.cursor, place.snapshot)

    def select(self, selection: Selection) -> None:
        """Change the selection for everything after the current end of the log."""
        self.wanted = selection
        self._queue((self.log.next_seq, _SelectionChange(selection)))

    def begin_at(self, since: int | None) -> None:
        """Let a new client resume only from before entry `since`, or from nowhere, until its image was sent."""
        self.resume_seq = since

    def hold_position(self) -> None:
        """From the end of the log on, let the client resume from nowhere until an image was sent."""
        self._queue((self.log.next_seq, _ResumeFrom(None)))

    def send_image(self, since: int | None = None) -> None:
        """Queue the image of what the client wants, as it is now, after everything that is already in the log.

        `since` limits it to what has changed from that entry on. Call `begin_at` or `hold_position` before.
        """
        if self._open_image is not None and self.wanted.filter is not None:
            end = self.log.next_seq
            self._queue((end, _Opening(self._open_image(self.wanted.filter, since, self._note_page), end)))

    def advance(self, seq: int) -> None:
        """Go on to an entry: all before it have been written, or do not concern this client."""
        self.cursor = self.resume_seq = seq

    def take(self, joined: Joined) -> bytes:
        """Return the next bytes for this client, at most about MAX_WRITE_BYTES; empty if it has everything."""
        if self.cursor < self.log.first_seq:
            self._pass_over_what_is_gone()
        if self._outbox:
            return self._take_with_private()
        key = (self.cursor, self.selection, self.framing)
        found = joined.get(key)
        if found is None:
            data, reached = self.log.join(self.cursor, self.log.next_seq, self.selection, self.framing, MAX_WRITE_BYTES)
            if len(joined) >= MOST_JOINED:
                joined.clear()
            found = joined[key] = (self.framing.encode_chunk(data), reached)
        data, self.cursor = found
        self.resume_seq = self.cursor
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
        self._is_waiting = False
        while outbox and size < MAX_WRITE_BYTES:
            at, item = outbox[0]
            if self.cursor < at:
                parts.append(self._take_entries(at, MAX_WRITE_BYTES - size))
                size += len(parts[-1])
                continue
            if isinstance(item, _Opening):
                page = item.image.take_page()
                if page is None:
                    self._is_waiting = True
                    break
                if item.image.is_done:
                    outbox.popleft()
                    self.resume_seq = item.seq
                parts.append(self._encode(*page))
            else:
                outbox.popleft()
                parts.append(self._private(item))
            size += len(parts[-1])
        if not outbox:
            self._outbox = None
            if self.resume_seq is not None:
                self.resume_seq = max(self.resume_seq, self.cursor)
            if size < MAX_WRITE_BYTES and self.cursor < self.log.next_seq:
                parts.append(self._take_entries(self.log.next_seq, MAX_WRITE_BYTES - size))
        return self.framing.encode_chunk(b"".join(parts))

    def _private(self, item: Entry | _SelectionChange | _ResumeFrom | tuple[str, bytes]) -> bytes:
        """Carry out what was queued, and return its bytes, if it has any."""
        if isinstance(item, _SelectionChange):
            self._change_selection(self.cursor, item.selection)
        elif isinstance(item, _ResumeFrom):
            self.resume_seq = item.seq
        elif isinstance(item, Entry):
            self.resume_seq = item.seq + 1
            return self.log.frame(item, self.selection, self.framing)
        else:
            return self._encode(*item)
        return b""

    def _encode(self, name: str, payload: bytes) -> bytes:
        return self.framing.encode(payload, self.position.encode() if self.framing.has_cursor else b"", name)

    def _note_page(self) -> None:
        self.on_page(self)

    def _take_entries(self, stop: int, limit_bytes: int) -> bytes:
        data, self.cursor = self.log.join(self.cursor, stop, self.selection, self.framing, limit_bytes)
        self.resume_seq = self.cursor
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
        since = self.resume_seq
        missed = self._count_missed(self.log.next_seq)
        self._kept_trail().note_gap(self.cursor, self.log.next_seq)
        self._catch_up_after_gap(missed, since)

    def begin_anew(self) -> None:
        """Report a gap of unknown size, and send the newest state, because the log was replaced by another one."""
        self.cursor, self.resume_seq = self.log.next_seq, None
        self.began_seq, self.trail = 0, None
        self._kept_trail().note_gap(0, self.cursor)
        self._catch_up_after_gap(None, None)

    def _catch_up_after_gap(self, missed: int | None, since: int | None) -> None:
        end = self.log.next_seq
        pending, self._outbox = self._outbox or (), None
        for at, item in pending:
            if isinstance(item, _SelectionChange):
                since = self._since_change(item.selection, since)
                self._change_selection(at, item.selection)
            elif isinstance(item, tuple):
                self._queue((end, item))
        if since is not None and since < self.log.broken_before(self.selection):
            since = None
        former = self.cursor if self.resume_seq is None else self.resume_seq
        # With nothing known of what is missing, the ends of runs may be among it, as when a cursor is of another epoch.
        snapshot = self._wanted(self.log.since(0 if missed is None and since is None else former))
        if self.selection.filter is None:
            since = snapshot[0].seq if snapshot else end
        self._queue((end, _ResumeFrom(since)))
        self._queue((end, self._gap_notice(missed)))
        self.cursor = end
        self._queue_snapshot(end, snapshot)
        self.send_image(since)

    def _change_selection(self, seq: int, selection: Selection) -> None:
        """Let another selection apply from an entry on."""
        self._kept_trail().note_selection(seq, self.selection)
        self.selection = selection

    def _kept_trail(self) -> Trail:
        if self.trail is None:
            self.trail = Trail()
        return self.trail

    def _queue_snapshot(self, at: int, snapshot: tuple[Entry, ...]) -> None:
        for entry in self._wanted(snapshot):
            # Where an image follows, nobody may resume from an entry of the snapshot: the image would be lost.
            self._queue((at, entry if self.selection.filter is None else (entry.name, entry.payload)))

    def _since_change(self, selection: Selection, since: int | None) -> int | None:
        """Return `since`, or None if the client has to get what it newly selects as a whole."""
        return since if selection.filter is self.selection.filter else None

    def _count_missed(self, stop: int) -> int | None:
        """Return how many entries before `stop` pass the filter, taking queued filter changes into account."""
        start, selection = self.cursor, self.selection
        counts = []
        for at, item in self._outbox or ():
            if isinstance(item, _SelectionChange) and at < stop:
                counts.append(self.log.count(start, selection, at))
                start, selection = at, item.selection
        counts.append(self.log.count(start, selection, stop))
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def _queue(self, item: tuple[int, _Private]) -> None:
        self.is_current = False
        if self._outbox is None:
            self._outbox = deque()
        self._outbox.append(item)

    def _wanted(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return tuple(entry for entry in entries if self.selection.wants(entry))
