"""The flush: writes new entries to all ready clients, skips busy ones, and cuts those that take nothing for too long.

Publishing only schedules a flush. An idle flusher runs at once. Otherwise it runs a short pause after the last flush
ENDED, so under load each client gets many entries in one write. If the pause were counted from the start of the last
flush, a slow flush would never batch anything.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import structlog

from quart_odds.broadcast.audience import Audience
from quart_odds.broadcast.connections import Ending
from quart_odds.broadcast.event_log import EventLog
from quart_odds.broadcast.figures import HubFigures
from quart_odds.broadcast.framing import Entry, Framing
from quart_odds.broadcast.selection import Selection
from quart_odds.broadcast.subscriber import MAX_WRITE_BYTES, Joined, Subscriber
from quart_odds.broadcast.timers import OwnTimers
from quart_odds.broadcast.upkeep import (
    HEARTBEAT_SECONDS,
    PING_SECONDS,
    PONG_SECONDS,
    WRITE_TIMEOUT_SECONDS,
    Upkeep,
)

FLUSH_PAUSE_SECONDS = 0.002
MOST_PAUSE_SECONDS = 0.015
RETRY_SECONDS = 0.002
MOST_RETRY_SECONDS = 0.05
PRESSED_ENTRIES = 8
FLUSH_SLICE = 500
"""How many subscribers a flush visits before others get a turn: some milliseconds, most of them in the kernel.

A flush to ten thousand takes a tenth of a second, and a request would wait for all of it.
"""

INTERNAL_ERROR = 1011

log = structlog.get_logger(__name__)


class Flusher:
    """Moves the subscribers of one log. Starts by itself when there is something to do, and is idle otherwise."""

    def __init__(
        self,
        event_log: EventLog,
        *,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        write_timeout_seconds: float = WRITE_TIMEOUT_SECONDS,
        ping_seconds: float = PING_SECONDS,
        pong_seconds: float = PONG_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        figures: HubFigures | None = None,
    ) -> None:
        self.log = event_log
        self.figures = HubFigures(clock) if figures is None else figures
        """Counts what happens here. Several flushers may share it."""
        self.on_due: Callable[[], object] | None = None
        """Called when an entry is due that somebody wants and nothing else was, in the context of its publisher."""
        self.on_flushed: Callable[[float, float, int], object] | None = None
        """Called after a flush with the time when its oldest entry was published, the time when the flush began, and
        the number of entries since the last one."""
        self.upkeep = Upkeep(
            self,
            clock,
            heartbeat_seconds=heartbeat_seconds,
            write_timeout_seconds=write_timeout_seconds,
            ping_seconds=ping_seconds,
            pong_seconds=pong_seconds,
        )
        self.pause_share = 0.0
        """The pause after a flush is at least this share of its duration, up to MOST_PAUSE_SECONDS.

        Without that bound, a longer pause would let more come, the next flush would take longer, and so on.
        """
        self.pressed_share = 0.0
        """The same after a flush of PRESSED_ENTRIES entries or more: in a burst."""
        self.audience = Audience()
        self._clock = clock
        self._handle: asyncio.Handle | None = None
        self._work: Iterator[bool] = iter(())
        self._began_at = 0.0
        self._retry: asyncio.TimerHandle | None = None
        self._retry_seconds = RETRY_SECONDS
        self._ended_at = 0.0
        self._took = 0.0
        self._carried = 0
        self._flushed_seq = event_log.next_seq
        self._oldest_at: float | None = None
        self._now = 0.0
        self._timers = OwnTimers()
        # One bound method for all subscribers, and not one for each.
        self._on_page = self.catch_up
        self._turn = 0
        self._lagging: dict[Subscriber, None] = {}
        self._due: dict[Selection, list[Entry]] = {}
        self._is_everyone_due = False

    @property
    def subscribers(self) -> Mapping[Subscriber, None]:
        """All subscribers."""
        return self.audience.everyone

    @property
    def lagging(self) -> Collection[Subscriber]:
        """The subscribers that could not take everything. The others have all but what the next flush brings."""
        return self._lagging.keys()

    @property
    def is_at_rest(self) -> bool:
        """Whether everyone was visited since the last message, and no flush is on its way."""
        return self._handle is None

    def add(self, subscriber: Subscriber) -> None:
        """Start to move a subscriber. Its queued messages are written by the next flush."""
        subscriber.last_write_at = self._clock()
        self.figures.note_begun(subscriber)
        subscriber.on_page = self._on_page
        subscriber.is_current = False
        self.audience.add(subscriber)
        self.upkeep.begin()
        self._lagging[subscriber] = None
        self._schedule()

    def remove(self, subscriber: Subscriber, ending: Ending = "closed") -> None:
        """Stop moving a subscriber, because its connection ends. Idempotent: the first reason counts."""
        subscriber.is_current = False
        if subscriber not in self.subscribers:
            return
        self.audience.remove(subscriber)
        self._lagging.pop(subscriber, None)
        self.figures.note_ended(subscriber, ending)
        if not self.subscribers:
            self.upkeep.end()

    def schedule(self) -> None:
        """Schedule a flush to everyone, unless nobody listens. O(1); never waits."""
        self._is_everyone_due = True
        self._schedule()

    def schedule_entry(self, entry: Entry, selections: Iterable[Selection]) -> None:
        """Schedule a flush of a new entry to the subscribers with these selections. Never waits.

        The others are not even looked at: the entry does not concern them.
        """
        is_first, is_wanted = not self._due, False
        for selection in selections:
            is_wanted = True
            due = self._due.get(selection)
            if due is None:
                self._due[selection] = [entry]
            else:
                due.append(entry)
        if is_wanted:
            if is_first and self.on_due is not None:
                self.on_due()
            self._schedule()

    def _schedule(self) -> None:
        if self._handle is not None or not self.subscribers:
            return
        share = self.pressed_share if self._carried >= PRESSED_ENTRIES else self.pause_share
        pause = max(FLUSH_PAUSE_SECONDS, min(share * self._took, MOST_PAUSE_SECONDS))
        wait = self._ended_at + pause - self._clock()
        self._handle = self._timers.soon(self._flush) if wait <= 0 else self._timers.later(wait, self._flush)

    def flush(self) -> None:
        """Write to every client that can take something now, without waiting for the scheduled flush."""
        if self._handle is not None:
            self._handle.cancel()
        for _ in self._work:
            pass
        self._is_everyone_due = True
        self._begin_flush()
        for _ in self._work:
            pass
        self._end_flush()

    def catch_up(self, subscriber: Subscriber) -> None:
        """Write to one subscriber now, if it can take something. Its sink calls this when it becomes free."""
        if subscriber in self.subscribers:
            self._now = self._clock()
            self._move(subscriber, {})
            self._watch_lagging()

    def begin_anew(self) -> None:
        """Tell everyone that the log was replaced by another one."""
        self._due.clear()
        for subscriber in self.subscribers:
            subscriber.begin_anew()
            self._lagging[subscriber] = None
        self.schedule()

    def close(self) -> None:
        """Stop all timers and end the remaining subscribers. Nothing is written after this."""
        for handle in (self._handle, self._retry):
            if handle is not None:
                handle.cancel()
        self._handle = self._retry = None
        self.upkeep.end()
        self._work = iter(())
        for subscriber in list(self.subscribers):
            self.remove(subscriber, "drained")
            subscriber.end(None)

    def _flush(self) -> None:
        self._begin_flush()
        self._go_on()

    def _begin_flush(self) -> None:
        self._began_at = self._clock()
        self._turn += 1
        self._work = self._write_all(self.log.next_seq)

    def _go_on(self) -> None:
        """Visit one slice of subscribers. Until all have been visited, `_handle` says that a flush is on its way."""
        self._handle = None
        self._now = self._clock()
        if next(self._work, False):
            self._handle = self._timers.soon(self._go_on)
        else:
            self._end_flush()

    def _end_flush(self) -> None:
        self._handle = None
        self._ended_at = self._clock()
        self._took = self._ended_at - self._began_at
        if self._oldest_at is not None:
            oldest_at, self._oldest_at = self._oldest_at, None
            self.figures.latency.add(self._ended_at - oldest_at)
            if self.on_flushed is not None:
                self.on_flushed(oldest_at, self._began_at, self._carried)
        self._watch_lagging()
        if self._due or self._is_everyone_due:
            # Published meanwhile.
            self._schedule()

    def _write_all(self, end: int) -> Iterator[bool]:
        """Write the entries before `end` to all whom they concern, and yield whenever others should get a turn."""
        self._now = self._clock()
        self._carried, self._flushed_seq = end - self._flushed_seq, end
        joined: Joined = {}
        visited = 0
        due, self._due = self._due, {}
        if due and self._oldest_at is None:
            self._oldest_at = next(iter(due.values()))[0].at
        for selection, entries in due.items():
            data_of: dict[Framing, bytes] = {}
            for part in self._parts(self.audience.group(selection)):
                self._write_entries(part, selection, entries, end, data_of, joined)
                visited += len(part)
                if visited >= FLUSH_SLICE:
                    yield True
                    visited = 0
                    joined.clear()
        # The others have news of their own, or everyone has.
        rest = self.subscribers if self._is_everyone_due else self._lagging
        self._is_everyone_due = False
        for part in self._parts(rest):
            for subscriber in part:
                self._move_unless_removed(subscriber, joined)
            visited += len(part)
            if visited >= FLUSH_SLICE:
                yield True
                visited = 0
                joined.clear()

    def _parts(self, subscribers: Iterable[Subscriber]) -> Iterator[list[Subscriber]]:
        """Yield subscribers in slices. Those in later slices may have been removed since the first one."""
        everyone = self._in_turn(subscribers)
        for start in range(0, len(everyone), FLUSH_SLICE):
            yield everyone[start : start + FLUSH_SLICE]

    def _in_turn(self, subscribers: Iterable[Subscriber]) -> list[Subscriber]:
        """Return subscribers in order, from a different one in each flush, so that no client is always last."""
        everyone = list(subscribers)
        if len(everyone) < 2:
            return everyone
        turn = self._turn % len(everyone)
        return everyone[turn:] + everyone[:turn]

    def _write_entries(
        self,
        part: list[Subscriber],
        selection: Selection,
        entries: list[Entry],
        end: int,
        data_of: dict[Framing, bytes],
        joined: Joined,
    ) -> None:
        """Write new entries to a part of a group. All who have everything before them get the same bytes.

        `end` is the end of the log when the flush began. What came later, another flush will write. The loop calls no
        function of ours but the write, and looks at nothing but the subscriber and its sink: with thousands of them,
        nothing is in the processor's caches any more, and each further object costs a tenth of a microsecond.
        """
        start = entries[0].seq
        framing: Framing | None = None
        data = b""
        now = self._now
        for subscriber in part:
            sink = subscriber.sink
            if not subscriber.is_current or subscriber.cursor > start or sink.may_have_pending:
                self._move_unless_removed(subscriber, joined)
                continue
            try:
                if subscriber.framing is not framing:
                    wanted = subscriber.framing
                    if wanted not in data_of:
                        data_of[wanted] = self.log.frames(entries, selection, wanted)
                    if len(data_of[wanted]) > MAX_WRITE_BYTES:
                        self._move(subscriber, joined)
                        continue
                    framing, data = wanted, data_of[wanted]
                # Before the write, as everywhere: nothing that it sets off may send the same entries again.
                subscriber.cursor = subscriber.resume_seq = end
                sink.write(data)
            except Exception:
                self.fail(subscriber)
                continue
            subscriber.last_write_at = now
            subscriber.stalled_since = None

    def _move_unless_removed(self, subscriber: Subscriber, joined: Joined) -> None:
        if subscriber in self.audience.everyone:
            self._move(subscriber, joined)

    def _move(self, subscriber: Subscriber, joined: Joined) -> None:
        try:
            sink = subscriber.sink
            if not sink.is_open:
                self.drop(subscriber)
                return
            subscriber.is_current = False
            if sink.pending():
                self._lagging[subscriber] = None
                return
            if data := subscriber.take(joined):
                sink.write(data)
                subscriber.last_write_at = self._now
                subscriber.stalled_since = None
            if subscriber.is_behind:
                self._lagging[subscriber] = None
                return
            self._lagging.pop(subscriber, None)
            subscriber.is_current = not subscriber.backlog
            if self.log.is_closed:
                self._finish(subscriber)
        except Exception:
            self.fail(subscriber)

    def _watch_lagging(self) -> None:
        """Retry clients that could not take everything: soon at first, then less often while they take nothing."""
        if self._lagging and self._retry is None:
            self._retry = self._timers.later(self._retry_seconds, self._on_retry)

    def _on_retry(self) -> None:
        self._retry = None
        self._now = self._clock()
        joined: Joined = {}
        moved = False
        for subscriber in list(self._lagging):
            was = subscriber.cursor
            self._move(subscriber, joined)
            moved = moved or subscriber.cursor != was or subscriber not in self._lagging
        self._retry_seconds = RETRY_SECONDS if moved else min(self._retry_seconds * 2, MOST_RETRY_SECONDS)
        self._watch_lagging()

    def _finish(self, subscriber: Subscriber) -> None:
        self.remove(subscriber, "completed")
        subscriber.end(1000)

    def drop(self, subscriber: Subscriber) -> None:
        """End a subscriber whose sink is closed."""
        self.remove(subscriber)
        subscriber.end(None)

    def fail(self, subscriber: Subscriber) -> None:
        """Cut a client that raised, without affecting the others. Call this while handling the exception."""
        named = {"address": subscriber.address, "connection_id": self.figures.id_of(subscriber.number)}
        log.warning("subscriber.failed", **named, exc_info=True)
        try:
            self.cut(subscriber, INTERNAL_ERROR, "internal error", "failed")
        except Exception:
            log.warning("subscriber.not_cut", **named, exc_info=True)

    def cut(self, subscriber: Subscriber, code: int, reason: str, ending: Ending = "closed") -> None:
        """End a subscriber and cut its connection."""
        self.remove(subscriber, ending)
        try:
            # First, because a stream that is ended in order looks complete.
            subscriber.sink.abort()
        finally:
            subscriber.end(code, reason)
