"""The event log that all listeners read through cursors: each entry is serialised once, and framed once per transport.

A listener is a position in the log. Replay, late joining and resuming are therefore the same operation, and memory use
does not depend on the number of listeners. `append` is a plain function and never waits for a listener.
"""

import re
import secrets
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Set
from dataclasses import dataclass

from quart_odds.broadcast.framing import Entry, Framing

MOST_REMEMBERED = 131_072
"""Evicted entries per topic whose positions are remembered: 1 MB, enough for days of scrape progress."""

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
    """

    seq: int
    snapshot: tuple[Entry, ...] = ()
    recovered: bool = True
    missed: int | None = 0


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
        keep_ended: int = 32,
    ) -> None:
        self.bounds = bounds or LogBounds()
        self.epoch = (f"{name}-" if name else "") + (epoch or secrets.token_hex(4))
        self.appended: dict[str, int] = {}
        self.is_closed = False
        self._clock = clock
        self._entries: dict[int, Entry] = {}
        self._gone: dict[str, _Gone] = {}
        self._next_seq = 1
        self._bytes = 0
        self._retained: dict[Hashable, dict[Hashable, Entry]] = {}
        self._ended: dict[Hashable, None] = {}
        self._keep_ended = keep_ended

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
        """Bytes of JSON in the log, without frames."""
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
        if self.is_closed:
            raise RuntimeError("the log is closed")
        seq = self._next_seq
        nth = self.appended[topic] = self.appended.get(topic, 0) + 1
        # A copy is as large as its text. The bytes that orjson returns occupy 4 KB, whatever their length.
        payload = bytes(memoryview(payload))
        entry = Entry(seq, self._clock(), topic, name, payload, f"{self.epoch}-{seq}".encode(), nth, value)
        self._entries[seq] = entry
        self._next_seq = seq + 1
        self._bytes += len(payload)
        if retain is not None:
            self._retain(retain, entry, ends)
        self._evict(entry.at)
        return entry

    def close(self) -> None:
        """Mark the log as complete: readers at the end are done. Idempotent."""
        self.is_closed = True

    def cursor_at(self, seq: int) -> str:
        """Return the cursor of a listener whose next entry is `seq`: that of the entry before it."""
        return f"{self.epoch}-{seq - 1}"

    def read(self, start: int, stop: int) -> Iterable[Entry]:
        """Return the entries from `start` up to, but not including, `stop` that are still in the log."""
        return map(self._entries.__getitem__, range(max(start, self.first_seq), min(stop, self._next_seq)))

    def count(self, start: int, topics: frozenset[str] | None, stop: int | None = None) -> int | None:
        """Count the entries that match `topics` from `start` up to, but not including, `stop` (None: the end).

        Evicted entries count too. Returns None if `start` is so old that the number is unknown. Does not iterate over
        all entries.
        """
        stop = self._next_seq if stop is None else stop
        if topics is None or topics.issuperset(self.appended):
            return stop - start
        if stop < self._next_seq:
            ahead, beyond = self.count(start, topics), self.count(stop, topics)
            return None if ahead is None or beyond is None else ahead - beyond
        found = self._count_to_end(start, topics & self.appended.keys())
        if found is None:
            # Busy topics may have forgotten their oldest positions while those of all the other topics are still known.
            others = self._count_to_end(start, self.appended.keys() - topics)
            found = None if others is None else stop - start - others
        return found

    def _count_to_end(self, start: int, topics: Set[str]) -> int | None:
        found = 0
        sought = set(topics)
        if start < self.first_seq:
            for topic in topics & self._gone.keys():
                gone = self._gone[topic].count(start)
                if gone is None:
                    return None
                found += gone
            start = self.first_seq
        for entry in self.read(start, self._next_seq) if sought else ():
            if entry.topic in sought:
                found += self.appended[entry.topic] - entry.nth + 1
                sought.remove(entry.topic)
                if not sought:
                    break
        return found

    def join(
        self, start: int, stop: int, topics: frozenset[str] | None, framing: Framing, limit_bytes: int
    ) -> tuple[bytes, int]:
        """Return the frames of the entries from `start` that match `topics`, joined, and the position reached.

        The frames are limited to about `limit_bytes`, but at least one entry is always included.
        """
        parts: list[bytes] = []
        size = 0
        seq = start
        for entry in self.read(start, stop):
            if topics is None or entry.topic in topics:
                frame = entry.frames[framing.kind] or framing.frame(entry)
                if parts and size + len(frame) > limit_bytes:
                    return b"".join(parts), seq
                parts.append(frame)
                size += len(frame)
            seq = entry.seq + 1
        return b"".join(parts), stop

    def latest(self) -> tuple[Entry, ...]:
        """Return the newest retained entry of each member of all groups that have not ended, oldest first."""
        return self._newest(lambda group, _: group not in self._ended)

    def place(self, cursor: str | None, topics: frozenset[str] | None = None) -> ResumePosition:
        """Return where a listener to `topics` (None: all) with this cursor starts. A new listener's cursor is None."""
        if not cursor:
            return ResumePosition(self._next_seq, self.latest())
        found = _CURSOR.fullmatch(cursor)
        seq = int(found[2]) + 1 if found and found[1] == self.epoch else None
        if seq is None or seq > self._next_seq:
            return ResumePosition(
                self._next_seq, self._newest(lambda _group, _entry: True), recovered=False, missed=None
            )
        if seq >= self.first_seq or self.count(seq, topics, self.first_seq) == 0:
            return ResumePosition(max(seq, self.first_seq))
        return ResumePosition(self._next_seq, self.since(seq), recovered=False, missed=self.count(seq, topics))

    def since(self, seq: int) -> tuple[Entry, ...]:
        """Return the newest retained entries from `seq` on, ended groups included, to make up for a gap there."""
        return self._newest(lambda _, entry: entry.seq >= seq)

    def _newest(self, wanted: Callable[[Hashable, Entry], bool]) -> tuple[Entry, ...]:
        found = [
            entry for group, members in self._retained.items() for entry in members.values() if wanted(group, entry)
        ]
        return tuple(sorted(found, key=lambda entry: entry.seq))

    def _retain(self, retain: tuple[Hashable, Hashable], entry: Entry, ends: bool) -> None:
        group, member = retain
        self._retained.setdefault(group, {})[member] = entry
        if ends:
            self._ended[group] = None
            while len(self._ended) > self._keep_ended:
                oldest = next(iter(self._ended))
                del self._ended[oldest], self._retained[oldest]

    def _evict(self, now: float) -> None:
        bounds = self.bounds
        entries = self._entries
        while len(entries) > 1:
            oldest = entries[self.first_seq]
            rest = self._bytes - len(oldest.payload)
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
            self._gone.setdefault(oldest.topic, _Gone()).add(oldest.seq)


class _Gone:
    """The positions of the evicted entries of one topic; exact for the most recent ones."""

    __slots__ = ("_known_from", "_seqs")

    def __init__(self) -> None:
        self._seqs = array("Q")
        self._known_from = 0

    def add(self, seq: int) -> None:
        """Remember one more entry, newer than all before."""
        self._seqs.append(seq)
        if len(self._seqs) > MOST_REMEMBERED:
            # Drop half of them at once: removing them one by one from the front would move all the others each time.
            half = MOST_REMEMBERED // 2
            self._known_from = self._seqs[half - 1] + 1
            del self._seqs[:half]

    def count(self, start: int) -> int | None:
        """Return the number of evicted entries from `start` on; None if that is no longer known."""
        return None if start < self._known_from else len(self._seqs) - bisect_left(self._seqs, start)


def split_cursor(cursor: str) -> tuple[str, int] | None:
    """Return the epoch (with the log's name) and the sequence number of a cursor; None if it is not a cursor."""
    found = _CURSOR.fullmatch(cursor)
    return (found[1], int(found[2])) if found else None
