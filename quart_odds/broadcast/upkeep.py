"""The upkeep of subscribers between flushes: heartbeats, pings, and an end for those that take or answer nothing."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Protocol

import structlog

from quart_odds.broadcast.connections import Ending
from quart_odds.broadcast.event_log import EventLog
from quart_odds.broadcast.figures import HubFigures
from quart_odds.broadcast.framing import BLOCK, CHUNK, FRAME, FRAME_WITH_CURSOR
from quart_odds.broadcast.subscriber import Subscriber
from quart_odds.broadcast.timers import OwnTimers

TICK_SECONDS = 1.0
TICK_SLICE = 256
"""How many subscribers a tick looks after before others get a turn."""
CROWD = 100
SPREAD_SHARE = 0.25
"""In a crowd of more than that, heartbeats and pings are sent up to this share of their time earlier, each at its own.

Thousands that were all written to by the same flush would otherwise all be due in the same moment, and all answer in
the same moment.
"""
HEARTBEAT_SECONDS = 15.0
WRITE_TIMEOUT_SECONDS = 10.0
PING_SECONDS = 25.0
PONG_SECONDS = 20.0
PING = b"\x89\x00"
"""A ping frame without a payload (RFC 6455, 5.5.2)."""

TRY_AGAIN_LATER = 1013

log = structlog.get_logger(__name__)


class Mover(Protocol):
    """What moves the subscribers of a log: the flusher."""

    log: EventLog
    figures: HubFigures

    @property
    def subscribers(self) -> Mapping[Subscriber, None]:
        """All subscribers."""

    @property
    def is_at_rest(self) -> bool:
        """Whether everyone was visited since the last message, and no flush is on its way."""

    def remove(self, subscriber: Subscriber, ending: Ending) -> None:
        """Stop moving a subscriber."""

    def drop(self, subscriber: Subscriber) -> None:
        """End a subscriber whose sink is closed."""

    def cut(self, subscriber: Subscriber, code: int, reason: str, ending: Ending) -> None:
        """End a subscriber and cut its connection."""

    def fail(self, subscriber: Subscriber) -> None:
        """Cut a subscriber that raised. Call this while handling the exception."""


class Upkeep:
    """Looks after all subscribers of a flusher once a second, by one timer, from the first one to the last.

    An event stream gets a heartbeat before it was silent for `heartbeat_seconds`. A WebSocket on the fast lane gets a
    ping before it was silent for `ping_seconds`, because proxies cut silent connections, and has `pong_seconds` to
    answer it by whatever it sends. One that takes nothing of what it was sent for `write_timeout_seconds` is cut.
    """

    def __init__(
        self,
        mover: Mover,
        clock: Callable[[], float],
        *,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        write_timeout_seconds: float = WRITE_TIMEOUT_SECONDS,
        ping_seconds: float = PING_SECONDS,
        pong_seconds: float = PONG_SECONDS,
    ) -> None:
        self.cut_count = 0
        """The number of subscribers that were cut because they took nothing."""
        self.unanswered_pings = 0
        """The number of WebSockets that were closed because they did not answer a ping."""
        self._mover = mover
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds
        self._write_timeout_seconds = write_timeout_seconds
        self._ping_seconds = ping_seconds
        self._pong_seconds = pong_seconds
        shortest = min(heartbeat_seconds, write_timeout_seconds, ping_seconds, pong_seconds)
        self._tick_seconds = min(TICK_SECONDS, shortest / 4)
        self._least_due = (min(heartbeat_seconds, ping_seconds) - self._tick_seconds) * (1 - SPREAD_SHARE)
        self._tick: asyncio.Handle | None = None
        self._round: Iterator[Subscriber] = iter(())
        self._timers = OwnTimers()

    def begin(self) -> None:
        """Begin, unless it has begun."""
        if self._tick is None:
            self._tick = self._timers.later(self._tick_seconds, self.tick)

    def end(self) -> None:
        """Stop the timer."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def tick(self) -> None:
        """Begin a round: look after everyone once, in slices."""
        self._round = iter(list(self._mover.subscribers))
        self._go_round()

    def _go_round(self) -> None:
        mover = self._mover
        now = self._clock()
        end = mover.log.next_seq if mover.is_at_rest else 0
        least_due = now - self._least_due
        looked_after = 0
        for subscriber in islice(self._round, TICK_SLICE):
            looked_after += 1
            if subscriber.is_current:
                if subscriber.cursor < end:
                    # It has everything that concerns it. It must not fall out of the log because of what does not.
                    subscriber.advance(end)
                if subscriber.last_write_at > least_due and subscriber.pinged_at is None and subscriber.sink.is_free:
                    continue
            elif subscriber not in mover.subscribers:
                continue
            try:
                self._look_after(subscriber, now)
            except Exception:
                mover.fail(subscriber)
        if not mover.subscribers:
            self._tick = None
        elif looked_after == TICK_SLICE:
            self._tick = self._timers.soon(self._go_round)
        else:
            self._tick = self._timers.later(self._tick_seconds, self.tick)

    def _look_after(self, subscriber: Subscriber, now: float) -> None:
        mover = self._mover
        silent = now - subscriber.last_write_at
        if not subscriber.sink.is_free:
            if subscriber.sink.is_open:
                self._cut_if_stalled(subscriber, now)
            else:
                mover.drop(subscriber)
        elif subscriber.pinged_at is not None:
            self._end_if_silent(subscriber, now - subscriber.pinged_at)
        elif silent >= self._least_due and silent >= self._due_after(subscriber):
            self._beat(subscriber, now)

    def _due_after(self, subscriber: Subscriber) -> float:
        """Return after how many silent seconds a subscriber gets a heartbeat or a ping.

        If the next tick were waited for, it would be too late.
        """
        is_websocket = subscriber.framing in (FRAME, FRAME_WITH_CURSOR)
        seconds = (self._ping_seconds if is_websocket else self._heartbeat_seconds) - self._tick_seconds
        if len(self._mover.subscribers) <= CROWD:
            return seconds
        return seconds * (1 - SPREAD_SHARE * (hash(subscriber) % 64 / 64))

    def _beat(self, subscriber: Subscriber, now: float) -> None:
        """Send an SSE heartbeat or a ping.

        A heartbeat is a block with only the cursor. It fires no event, but advances Last-Event-ID.
        """
        subscriber.last_write_at = now
        if subscriber.framing in (FRAME, FRAME_WITH_CURSOR):
            subscriber.pinged_at = now
            subscriber.sink.write(PING)
        elif subscriber.framing in (BLOCK, CHUNK) and not subscriber.is_behind:
            subscriber.sink.write(subscriber.framing.encode_chunk(b"id: %b\n\n" % subscriber.position.encode()))
            subscriber.stalled_since = None

    def _cut_if_stalled(self, subscriber: Subscriber, now: float) -> None:
        pending = subscriber.sink.pending()
        if subscriber.stalled_since is None or pending != subscriber.stalled_pending:
            subscriber.stalled_since = now
            subscriber.stalled_pending = pending
        elif now - subscriber.stalled_since >= self._write_timeout_seconds:
            behind = self._mover.log.next_seq - subscriber.cursor
            log.info("subscriber.cut", **self._named(subscriber), behind=behind)
            self.cut_count += 1
            self._mover.cut(subscriber, TRY_AGAIN_LATER, "too slow; resume with your cursor", "stalled")

    def _end_if_silent(self, subscriber: Subscriber, waited: float) -> None:
        """End a WebSocket whose peer does not answer its ping."""
        if waited >= self._pong_seconds:
            log.info("subscriber.silent", **self._named(subscriber))
            self.unanswered_pings += 1
            self._mover.remove(subscriber, "ping")
            subscriber.end(TRY_AGAIN_LATER, "no answer to a ping; resume with your cursor")

    def _named(self, subscriber: Subscriber) -> dict[str, str]:
        """Return what a log line says of a subscriber."""
        return {"address": subscriber.address, "connection_id": self._mover.figures.id_of(subscriber.number)}
