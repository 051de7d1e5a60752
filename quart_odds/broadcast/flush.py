"""The flush: writes new entries to all ready clients, skips busy ones, and cuts those that take nothing for too long.

Publishing only schedules a flush. An idle flusher runs at once. Otherwise it runs a short pause after the last flush
ENDED, so under load each client gets many entries in one write. If the pause were counted from the start of the last
flush, a slow flush would never batch anything.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from quart_odds.broadcast.audience import Audience
from quart_odds.broadcast.event_log import EventLog
from quart_odds.broadcast.framing import BLOCK, CHUNK, Entry, Framing
from quart_odds.broadcast.selection import Selection
from quart_odds.broadcast.subscriber import MAX_WRITE_BYTES, Joined, Subscriber

FLUSH_PAUSE_SECONDS = 0.002
MOST_PAUSE_SECONDS = 0.015
RETRY_SECONDS = 0.002
MOST_RETRY_SECONDS = 0.05
PRESSED_ENTRIES = 8
TICK_SECONDS = 1.0

INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013

log = structlog.get_logger(__name__)


class Flusher:
    """Moves the subscribers of one log. Starts by itself when there is something to do, and is idle otherwise."""

    def __init__(
        self,
        event_log: EventLog,
        *,
        heartbeat_seconds: float = 15.0,
        write_timeout_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log = event_log
        self.heartbeat_seconds = heartbeat_seconds
        self.write_timeout_seconds = write_timeout_seconds
        self.pause_share = 0.0
        """The pause after a flush is at least this share of its duration, up to MOST_PAUSE_SECONDS.

        Without that bound, a longer pause would let more come, the next flush would take longer, and so on.
        """
        self.pressed_share = 0.0
        """The same after a flush of PRESSED_ENTRIES entries or more: in a burst."""
        self.audience = Audience()
        self.cut_count = 0
        self._clock = clock
        self._handle: asyncio.Handle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._retry_seconds = RETRY_SECONDS
        self._tick: asyncio.TimerHandle | None = None
        self._ended_at = 0.0
        self._took = 0.0
        self._carried = 0
        self._flushed_seq = event_log.next_seq
        self._now = 0.0
        self._turn = 0
        self._lagging: dict[Subscriber, None] = {}
        self._due: dict[Selection, list[Entry]] = {}
        self._is_everyone_due = False

    @property
    def subscribers(self) -> Mapping[Subscriber, None]:
        """All subscribers."""
        return self.audience.everyone

    def add(self, subscriber: Subscriber) -> None:
        """Start to move a subscriber. Its queued messages are written by the next flush."""
        subscriber.last_write_at = self._clock()
        subscriber.on_page = self.catch_up
        subscriber.is_current = False
        self.audience.add(subscriber)
        if self._tick is None:
            self._tick = asyncio.get_running_loop().call_later(self._tick_seconds, self._on_tick)
        self._lagging[subscriber] = None
        self._schedule()

    def remove(self, subscriber: Subscriber) -> None:
        """Stop moving a subscriber."""
        self.audience.remove(subscriber)
        self._lagging.pop(subscriber, None)
        if not self.subscribers and self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def schedule(self) -> None:
        """Schedule a flush to everyone, unless nobody listens. O(1); never waits."""
        self._is_everyone_due = True
        self._schedule()

    def schedule_entry(self, entry: Entry, selections: Iterable[Selection]) -> None:
        """Schedule a flush of a new entry to the subscribers with these selections. Never waits.

        The others are not even looked at: the entry does not concern them.
        """
        is_wanted = False
        for selection in selections:
            is_wanted = True
            due = self._due.get(selection)
            if due is None:
                self._due[selection] = [entry]
            else:
                due.append(entry)
        if is_wanted:
            self._schedule()

    def _schedule(self) -> None:
        if self._handle is not None or not self.subscribers:
            return
        loop = asyncio.get_running_loop()
        share = self.pressed_share if self._carried >= PRESSED_ENTRIES else self.pause_share
        pause = max(FLUSH_PAUSE_SECONDS, min(share * self._took, MOST_PAUSE_SECONDS))
        wait = self._ended_at + pause - self._clock()
        self._handle = loop.call_soon(self._flush) if wait <= 0 else loop.call_later(wait, self._flush)

    def flush(self) -> None:
        """Write to every client that can take something now, without waiting for the scheduled flush."""
        if self._handle is not None:
            self._handle.cancel()
        self._is_everyone_due = True
        self._flush()

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
        for handle in (self._handle, self._retry, self._tick):
            if handle is not None:
                handle.cancel()
        self._handle = self._retry = self._tick = None
        for subscriber in list(self.subscribers):
            self._drop(subscriber)

    def _flush(self) -> None:
        self._handle = None
        self._now = self._clock()
        joined: Joined = {}
        self._turn += 1
        due, self._due = self._due, {}
        for selection, entries in due.items():
            self._write_entries(selection, entries, joined)
        # The others have news of their own, or everyone has.
        rest = self.subscribers if self._is_everyone_due else self._lagging
        self._is_everyone_due = False
        for subscriber in self._in_turn(rest):
            self._move(subscriber, joined)
        self._ended_at = self._clock()
        self._took = self._ended_at - self._now
        self._carried, self._flushed_seq = self.log.next_seq - self._flushed_seq, self.log.next_seq
        self._watch_lagging()

    def _in_turn(self, subscribers: Iterable[Subscriber]) -> list[Subscriber]:
        """Return subscribers in order, from a different one in each flush, so that no client is always last."""
        everyone = list(subscribers)
        if len(everyone) < 2:
            return everyone
        turn = self._turn % len(everyone)
        return everyone[turn:] + everyone[:turn]

    def _write_entries(self, selection: Selection, entries: list[Entry], joined: Joined) -> None:
        """Write new entries to a group. All who have everything before them get the same bytes."""
        group = self.audience.group(selection)
        start, end = entries[0].seq, self.log.next_seq
        data_of: dict[Framing, bytes] = {}
        for subscriber in self._in_turn(group):
            sink = subscriber.sink
            if not (subscriber.is_current and subscriber.cursor <= start and sink.is_open) or sink.pending:
                self._move(subscriber, joined)
                continue
            framing = subscriber.framing
            try:
                data = data_of.get(framing)
                if data is None:
                    data = data_of[framing] = self.log.frames(entries, selection, framing)
                if len(data) > MAX_WRITE_BYTES:
                    self._move(subscriber, joined)
                    continue
                # Before the write, as everywhere: nothing that it sets off may send the same entries again.
                subscriber.advance(end)
                sink.write(data)
            except Exception:
                self._fail(subscriber)
                continue
            subscriber.last_write_at = self._now
            subscriber.stalled_since = None

    def _move(self, subscriber: Subscriber, joined: Joined) -> None:
        try:
            sink = subscriber.sink
            if not sink.is_open:
                self._drop(subscriber)
                return
            subscriber.is_current = False
            if sink.pending:
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
            self._fail(subscriber)

    def _watch_lagging(self) -> None:
        """Retry clients that could not take everything: soon at first, then less often while they take nothing."""
        if self._lagging and self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(self._retry_seconds, self._on_retry)

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

    @property
    def _tick_seconds(self) -> float:
        return min(TICK_SECONDS, self.heartbeat_seconds / 4, self.write_timeout_seconds / 4)

    def _on_tick(self) -> None:
        self._tick = asyncio.get_running_loop().call_later(self._tick_seconds, self._on_tick)
        now = self._clock()
        for subscriber in list(self.subscribers):
            try:
                self._look_after(subscriber, now)
            except Exception:
                self._fail(subscriber)

    def _look_after(self, subscriber: Subscriber, now: float) -> None:
        if self._handle is None and subscriber.is_current:
            # It has everything that concerns it. It must not fall out of the log because of what does not.
            subscriber.advance(self.log.next_seq)
        if not subscriber.sink.is_open:
            self._drop(subscriber)
        elif subscriber.sink.pending:
            self._cut_if_stalled(subscriber, now)
        elif now - subscriber.last_write_at >= self.heartbeat_seconds - self._tick_seconds:
            self._beat(subscriber, now)

    def _cut_if_stalled(self, subscriber: Subscriber, now: float) -> None:
        pending = subscriber.sink.pending
        if subscriber.stalled_since is None or pending != subscriber.stalled_pending:
            subscriber.stalled_since = now
            subscriber.stalled_pending = pending
        elif now - subscriber.stalled_since >= self.write_timeout_seconds:
            log.info("subscriber.cut", address=subscriber.address, behind=self.log.next_seq - subscriber.cursor)
            self.cut_count += 1
            self._cut(subscriber, TRY_AGAIN_LATER, "too slow; resume with your cursor")

    def _beat(self, subscriber: Subscriber, now: float) -> None:
        """Send an SSE heartbeat: a block with only the cursor. It fires no event, but advances Last-Event-ID."""
        if subscriber.framing in (BLOCK, CHUNK) and not subscriber.is_behind and not subscriber.sink.pending:
            subscriber.sink.write(subscriber.framing.encode_chunk(b"id: %b\n\n" % subscriber.position.encode()))
            subscriber.stalled_since = None
        subscriber.last_write_at = now

    def _finish(self, subscriber: Subscriber) -> None:
        self.remove(subscriber)
        subscriber.end(1000)

    def _drop(self, subscriber: Subscriber) -> None:
        self.remove(subscriber)
        subscriber.end(None)

    def _fail(self, subscriber: Subscriber) -> None:
        """Cut a client that raised, without affecting the others. Call this while handling the exception."""
        log.warning("subscriber.failed", address=subscriber.address, exc_info=True)
        try:
            self._cut(subscriber, INTERNAL_ERROR, "internal error")
        except Exception:
            log.warning("subscriber.not_cut", address=subscriber.address, exc_info=True)

    def _cut(self, subscriber: Subscriber, code: int, reason: str) -> None:
        self.remove(subscriber)
        subscriber.end(code, reason)
        subscriber.sink.abort()
