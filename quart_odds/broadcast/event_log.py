"""The event log that all listeners read through cursors: each entry is serialised once, and framed once per transport.

A listener is a position in the log. Replay, late joining and resuming are therefore the same operation, and memory use
does not depend on the number of listeners. `append` is a plain function and never waits for a listener.
"""

import re
import secrets
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence, Set
from dataclasses import dataclass

from quart_odds.broadcast.content import Content, Filter, Subject
from quart_odds.broadcast.framing import Entry, Framing
from quart_odds.broadcast.rendered import RenderedContents
from quart_odds.broadcast.retained import KEEP_ENDED, Retained
from quart_odds.broadcast.selection import EVERYTHING, Selection
from quart_odds.broadcast.topic import FEW_ENTRIES, LogTopic

NO_FRAMES: list[bytes | None] = []
"""The frames of entries with a content, which are kept in `RenderedContents`."""

_CURSOR = re.compile(r"([0-9a-z]+(?:-[0-9a-z]+)*)-([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class LogBounds:
    """How much a log keeps: an entry stays while any of the three minimums needs it, within the two maximums."""

    least_entries: int = 4096
    least_bytes: int = 4 * 1024 * 1024
    least_seconds: float = 60.0
    most_entries: int = 65_536
    most_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ResumePosition:
    """Where a listener starts. `seq` is the next entry it receives; `snapshot` is sent before that, oldest first.

    `recovered` is True if the listener missed nothing, on the topics it listens to, between its cursor and `seq`.
    `missed` is the number of entries it missed, or None if that is unknown (another epoch, or a very old cursor).
    `since` is the first entry it missed, None if that is unknown or if it missed nothing. `is_new` says that it has no
    cursor.
    """

    seq: int
    snapshot: tuple[Entry, ...] = ()
    recovered: bool = True
    missed: int | None = 0
    since: int | None = None
    is_new: bool = False


class EventLog:
    """An append-only ring of entries. Its epoch makes cursors from before a restart recognisable.

    Each cursor starts with `name` (empty for the shared log, the run's name for the log of a run), followed by the
    epoch. Retained entries are the newest entry of each key. They are kept outside the ring, and late joiners receive
    them first.
    """

    def __init__(
        self,
        name: str = "",
        *,
        bounds: LogBounds | None = None,
        epoch: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        keep_ended: int = KEEP_ENDED,
    ) -> None:
        self.bounds = bounds or LogBounds()
        self._name = name
        self.is_closed = False
        self._clock = clock
        self._keep_ended = keep_ended
        self.restart(epoch or secrets.token_hex(4), 1)

    def restart(self, epoch: str, next_seq: int) -> None:
        """Begin anew, as a log of an epoch that goes on with the entry `next_seq`. Nothing is known of those before.

        Whoever reads the log has to be told: `Subscriber.begin_anew`.
        """
        self.epoch = (f"{self._name}-" if self._name else "") + epoch
        self._prefix = f"{self.epoch}-".encode()
        self.rendered = RenderedContents()
        self._entries: dict[int, Entry] = {}
        self._topics: dict[str, LogTopic] = {}
        self._known_from = self._next_seq = next_seq
        self._bytes = 0
        self._retained: Retained[Entry] = Retained(self._keep_ended)

    def restore_retained(
        self, seq: int, payload: bytes, *, topic: str, name: str, retain: tuple[Hashable, Hashable], ends: bool
    ) -> None:
        """Put back the newest entry of a retained key, from before the log's first entry. Call it in ascending order.

        It is only part of what late joiners receive.
        """
        entry = Entry(seq, self._clock(), topic, name, payload, f"{self.epoch}-{seq}".encode())
        self._retained.put(retain, entry, ends=ends)

    @property
    def first_seq(self) -> int:
        """The sequence number of the oldest entry in the log; `next_seq` if the log is empty."""
        return self._next_seq - len(self._entries)

    @property
    def next_seq(self) -> int:
        """The sequence number of the next entry."""
        return self._next_seq

    @property
    def size_bytes(self) -> int:
        """Bytes of JSON and of contents in the log, without frames."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def append(
        self,
        payload: bytes,
        *,
        topic: str = "",
        name: str = "",
        value: object = None,
        retain: tuple[Hashable, Hashable] | None = None,
        ends: bool = False,
    ) -> Entry:
        """Add an entry and return it. There is no back-pressure: a slow listener lags, and may get a gap notice.

        `retain` is (group, member). Late joiners receive the newest entry of each member, until an entry with `ends`
        closes the group. After that, only listeners whose cursor lies before the entry receive it. Raises RuntimeError
        if the log is closed.
        """
        # A copy is as large as its text. The bytes that orjson returns occupy 4 KB, whatever their length.
        payload = bytes(memoryview(payload))
        seq = self._next_seq
        entry = self._add(Entry(seq, self._clock(), topic, name, payload, f"{self.epoch}-{seq}".encode(), value))
        self._topic(topic).all.add(seq)
        if retain is not None:
            self._retained.put(retain, entry, ends=ends)
        self._evict(entry.at)
        return entry

    def append_content(self, content: Content, topic: str) -> Entry:
        """Add an entry that is rendered when somebody first wants it. Raises RuntimeError if the log is closed."""
        seq = self._next_seq
        entry = self._add(Entry(seq, self._clock(), topic, content.name, b"", b"", None, content, NO_FRAMES))
        self._topic(topic).add_content(seq, content)
        self._evict(entry.at)
        return entry

    def skip(self, count: int) -> None:
        """Add entries that nobody receives."""
        for _ in range(count):
            self.append(b"")

    def break_off(self, topic: str) -> None:
        """Declare that the state behind a topic has changed without entries: whoever resumes gets it anew.

        The last entry has to be one that nobody received, so that cursors from before differ from those after.
        """
        self._topic(topic).broken_before = self._next_seq

    def _add(self, entry: Entry) -> Entry:
        if self.is_closed:
            raise RuntimeError("the log is closed")
        self._entries[entry.seq] = entry
        self._next_seq = entry.seq + 1
        self._bytes += entry.size_bytes
        return entry

    def _topic(self, name: str) -> LogTopic:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = LogTopic()
        return topic

    def close(self) -> None:
        """Mark the log as complete: readers at the end are done. Idempotent."""
        self.is_closed = True

    def cursor_at(self, seq: int) -> str:
        """Return the cursor of a listener whose next entry is `seq`: that of the entry before it."""
        return f"{self.epoch}-{seq - 1}"

    @property
    def unfinished_cursor(self) -> str:
        """The cursor of a listener that has nothing whole yet. Whoever comes with it begins anew."""
        return f"{self.epoch}-unfinished-{self._next_seq - 1}"

    def read(self, start: int, stop: int) -> Iterable[Entry]:
        """Return the entries from `start` up to, but not including, `stop` that are still in the log."""
        return map(self._entries.__getitem__, range(max(start, self.first_seq), min(stop, self._next_seq)))

    def count(self, start: int, selection: Selection, stop: int | None = None) -> int | None:
        """Count the entries that a selection wants from `start` up to, but not including, `stop` (None: the end).

        Evicted entries count too. Returns None if `start` is so old that the number is unknown, or if what is left of
        an evicted entry does not tell. Does not iterate over all entries.
        """
        if start < self._known_from:
            return None
        stop = self._next_seq if stop is None else stop
        names = self._topics.keys()
        plain = {name for name in names if selection.has_topic(name) and not self._topics[name].has_contents}
        found = self._count_plain(start, stop, plain)
        for name in names - plain:
            if found is not None and selection.filter is not None and selection.has_topic(name):
                more = self._count_filtered(start, stop, self._topics[name], selection.filter)
                found = None if more is None else found + more
        return found

    def _count_plain(self, start: int, stop: int, wanted: Set[str]) -> int | None:
        found = self._count_all(start, stop, wanted)
        if found is None:
            # Busy topics may have forgotten their oldest positions while those of all the other topics are still known.
            others = self._count_all(start, stop, self._topics.keys() - wanted)
            found = None if others is None else stop - start - others
        return found

    def _count_all(self, start: int, stop: int, names: Iterable[str]) -> int | None:
        counts = [self._topics[name].all.count(start, stop) for name in names]
        known = [each for each in counts if each is not None]
        return sum(known) if len(known) == len(counts) else None

    def _count_filtered(self, start: int, stop: int, topic: LogTopic, wanted: Filter) -> int | None:
        marks = topic.marks(start, stop, wanted.subjects)
        if marks is None:
            return None
        found = 0
        for seq, mark in marks.items():
            entry = self._entries.get(seq)
            content = entry.content if entry is not None else None
            passes = wanted.passes_mark(mark) if content is None else wanted.passes(content)
            if passes is None:
                return None
            found += passes
        return found

    def kept_from(self, seq: int, selection: Selection) -> str | None:
        """Return what keeps the entry `seq` from listeners with a selection; "" if nothing does.

        That is `topic`, `event` (it is about others), `filter` (for another reason), or `nobody` for an entry that
        nobody receives. None if that cannot be told any more.
        """
        entry = self._entries.get(seq)
        name = entry.topic if entry is not None else self._topic_of(seq)
        if entry is not None and entry.content is None and not entry.payload:
            return "nobody"
        if name is None:
            return None
        topic = self._topics[name]
        if not selection.has_topic(name) or (topic.has_contents and selection.filter is None):
            return "topic" if name else "nobody"
        if not topic.has_contents or selection.filter is None:
            return ""
        if entry is not None and entry.content is not None and selection.wants_content(entry.content):
            return ""
        marks = topic.marks(seq, seq + 1, selection.filter.subjects)
        if marks is None:
            return None
        if seq not in marks:
            return "event"
        passes = False if entry is not None else selection.filter.passes_mark(marks[seq])
        return None if passes is None else "" if passes else "filter"

    def _topic_of(self, seq: int) -> str | None:
        """Return the topic of an entry that may be gone; None if that is not known."""
        return next((name for name, topic in self._topics.items() if topic.all.between(seq, seq + 1)), None)

    def seconds_since(self, seq: int) -> float:
        """Return how long ago the entry `seq` was added, or the oldest one that is left; 0 if there is none yet."""
        entry = self._entries.get(max(seq, self.first_seq))
        return 0.0 if entry is None else self._clock() - entry.at

    def changed_subjects(self, topic: str, since: int) -> Collection[Subject] | None:
        """Return the subjects of a topic's entries from the sequence number `since` on; None if that is unknown."""
        return None if since < self._known_from else self._topic(topic).changed_subjects(since)

    def join(
        self, start: int, stop: int, selection: Selection, framing: Framing, limit_bytes: int
    ) -> tuple[bytes, int]:
        """Return the frames of the entries from `start` that a selection wants, joined, and the position reached.

        The frames are limited to about `limit_bytes`, but at least one entry is always included.
        """
        parts: list[bytes] = []
        size = 0
        for entry in self._candidates(start, stop, selection):
            if selection.wants(entry):
                frame = self.frame(entry, selection, framing)
                if parts and size + len(frame) > limit_bytes:
                    return b"".join(parts), entry.seq
                parts.append(frame)
                size += len(frame)
        return b"".join(parts), stop

    def frame(self, entry: Entry, selection: Selection, framing: Framing) -> bytes:
        """Return the bytes of an entry that the selection wants."""
        if entry.content is None:
            return entry.frames[framing.kind] or framing.frame(entry)
        assert selection.view is not None
        return self.rendered.frame(entry, selection.view, framing, self._prefix)

    def frames(self, entries: Sequence[Entry], selection: Selection, framing: Framing) -> bytes:
        """Return the bytes of entries that the selection wants, for a single write."""
        if len(entries) == 1:
            return framing.encode_chunk(self.frame(entries[0], selection, framing))
        return framing.encode_chunk(b"".join([self.frame(entry, selection, framing) for entry in entries]))

    def _candidates(self, start: int, stop: int, selection: Selection) -> Iterable[Entry]:
        """Return the entries that a selection may want, in order."""
        subjects = selection.filter.subjects if selection.filter is not None else None
        if subjects is None or stop - start <= FEW_ENTRIES:
            return self.read(start, stop)
        start = max(start, self.first_seq)
        seqs: set[int] = set()
        for name, topic in self._topics.items():
            if selection.has_topic(name):
                seqs.update(
                    topic.about(start, stop, subjects) if topic.has_contents else topic.all.between(start, stop)
                )
        return map(self._entries.__getitem__, sorted(seqs))

    def latest(self) -> tuple[Entry, ...]:
        """Return the newest retained entry of each member of all groups that have not ended, oldest first."""
        return self._newest(lambda group, _: not self._retained.has_ended(group))

    def place(self, cursor: str | None, selection: Selection = EVERYTHING) -> ResumePosition:
        """Return where a listener with this cursor starts. A new listener's cursor is None."""
        if not cursor:
            return ResumePosition(self._next_seq, self.latest(), is_new=True)
        found = _CURSOR.fullmatch(cursor)
        seq = int(found[2]) + 1 if found and found[1] == self.epoch else None
        if seq is None or seq > self._next_seq or seq < self.broken_before(selection):
            return ResumePosition(
                self._next_seq, self._newest(lambda _group, _entry: True), recovered=False, missed=None
            )
        if seq >= self.first_seq or self.count(seq, selection, self.first_seq) == 0:
            return ResumePosition(max(seq, self.first_seq))
        missed = self.count(seq, selection)
        return ResumePosition(self._next_seq, self.since(seq), recovered=False, missed=missed, since=seq)

    def broken_before(self, selection: Selection) -> int:
        """Return the sequence number before which no listener with this selection can resume."""
        if selection.filter is None:
            return 0
        return max((each.broken_before for name, each in self._topics.items() if selection.has_topic(name)), default=0)

    def since(self, seq: int) -> tuple[Entry, ...]:
        """Return the newest retained entries from `seq` on, ended groups included, to make up for a gap there."""
        return self._newest(lambda _, entry: entry.seq >= seq)

    def retained(self) -> list[tuple[tuple[Hashable, Hashable], Entry, bool]]:
        """Return each retained entry with its key and whether it ended its group, oldest first."""
        found = [(key, entry, self._retained.is_end(key)) for key, entry in self._retained]
        return sorted(found, key=lambda each: each[1].seq)

    def _newest(self, wanted: Callable[[Hashable, Entry], bool]) -> tuple[Entry, ...]:
        found = [entry for (group, _), entry in self._retained if wanted(group, entry)]
        return tuple(sorted(found, key=lambda entry: entry.seq))

    def _evict(self, now: float) -> None:
        bounds = self.bounds
        entries = self._entries
        while len(entries) > 1:
            oldest = entries[self.first_seq]
            rest = self._bytes - oldest.size_bytes
            is_over = len(entries) > bounds.most_entries or self._bytes > bounds.most_bytes
            is_spare = (
                len(entries) > bounds.least_entries
                and rest >= bounds.least_bytes
                and now - oldest.at > bounds.least_seconds
            )
            if not (is_over or is_spare):
                return
            del entries[oldest.seq]
            self._bytes = rest
            self._topics[oldest.topic].note_evicted()


def split_cursor(cursor: str) -> tuple[str, int] | None:
    """Return the epoch (with the log's name) and the sequence number of a cursor; None if it is not a cursor."""
    found = _CURSOR.fullmatch(cursor)
    return (found[1], int(found[2])) if found else None
