"""The broadcast registry: one log for all topics, and its listeners on every transport."""

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping

import orjson

from quart_odds.broadcast.event_log import EventLog, LogBounds, ResumePosition
from quart_odds.broadcast.flush import Flusher
from quart_odds.broadcast.framing import Entry, Framing
from quart_odds.broadcast.subscriber import GapNotice, Sink, Subscriber

SCRAPE_PROGRESS = "scrape_progress"
ODDS_UPDATES = "odds_updates"
TOPICS = frozenset({SCRAPE_PROGRESS, ODDS_UPDATES})


class BroadcastRegistry:
    """The listeners, their topics, and the messages published to them.

    `broadcast` appends to the log and schedules a flush. It never waits, and there is no back-pressure. A slow listener
    lags, and gets a gap notice once the log no longer reaches back to its position.
    """

    def __init__(
        self,
        *,
        gap_notice: GapNotice,
        bounds: LogBounds | None = None,
        heartbeat_seconds: float = 15.0,
        write_timeout_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log = EventLog(bounds=bounds, clock=clock)
        self.flusher = Flusher(
            self.log,
            heartbeat_seconds=heartbeat_seconds,
            write_timeout_seconds=write_timeout_seconds,
            clock=clock,
        )
        self._gap_notice = gap_notice

    @property
    def active_count(self) -> int:
        """The number of listeners."""
        return len(self.flusher.subscribers)

    @property
    def topic_counts(self) -> dict[str, int]:
        """The number of listeners per topic."""
        counts = Counter(topic for each in self.flusher.subscribers for topic in each.wanted_topics)
        return {topic: counts[topic] for topic in sorted(TOPICS)}

    def place(self, cursor: str | None, topics: Iterable[str] = TOPICS) -> ResumePosition:
        """Return where a listener to these topics with this cursor starts."""
        return self.log.place(cursor, frozenset(topics))

    def connect(
        self,
        sink: Sink,
        framing: Framing,
        *,
        topics: Iterable[str] = TOPICS,
        place: ResumePosition | None = None,
        handshake: Callable[[Subscriber], Mapping[str, object]] | None = None,
        address: str = "",
    ) -> Subscriber:
        """Add a listener at a position (None: the end of the log). `handshake` makes its first message.

        The listener receives the handshake, then the newest state if `place` includes it, then everything from its
        position on.
        """
        place = place or self.log.place(None)
        subscriber = Subscriber(
            self.log,
            sink,
            framing,
            topics=frozenset(topics),
            place=place,
            gap_notice=self._gap_notice,
            address=address,
        )
        if handshake is not None:
            subscriber.send_first(handshake(subscriber))
        subscriber.send_snapshot(place)
        self.flusher.add(subscriber)
        return subscriber

    def disconnect(self, subscriber: Subscriber) -> None:
        """Remove a listener. Idempotent."""
        self.flusher.remove(subscriber)

    def subscribe(self, subscriber: Subscriber, topics: Iterable[str]) -> frozenset[str]:
        """Add topics to a listener's filter, and return the topics it now listens to."""
        return self._refilter(subscriber, subscriber.wanted_topics | frozenset(topics))

    def unsubscribe(self, subscriber: Subscriber, topics: Iterable[str]) -> frozenset[str]:
        """Remove topics from a listener's filter, and return the topics it now listens to."""
        return self._refilter(subscriber, subscriber.wanted_topics - frozenset(topics))

    def broadcast(
        self,
        message: Mapping[str, object],
        topic: str,
        *,
        retain: tuple[Hashable, Hashable] | None = None,
        ends: bool = False,
    ) -> Entry:
        """Publish an envelope to everyone who listens to the topic, as soon as they can take it. Never waits.

        `retain` and `ends` control what late joiners receive: see `EventLog.append`. Raises ValueError if there is no
        such topic.
        """
        if topic not in TOPICS:
            raise ValueError(f"there is no topic {topic!r}; there are {', '.join(sorted(TOPICS))}")
        entry = self.log.append(
            orjson.dumps(message), topic=topic, name=str(message.get("type", "")), retain=retain, ends=ends
        )
        self.flusher.schedule()
        return entry

    def broadcast_all(self, message: Mapping[str, object]) -> None:
        """Send an envelope to every listener, whatever its topics. It is not logged: no cursor can resume from it."""
        for subscriber in self.flusher.subscribers:
            subscriber.send(message)
        self.flusher.schedule()

    def send(self, subscriber: Subscriber, message: Mapping[str, object]) -> None:
        """Send an envelope to one listener, after everything that is already in the log."""
        subscriber.send(message)
        self.flusher.catch_up(subscriber)

    def close(self) -> None:
        """Remove all listeners and stop all timers."""
        self.flusher.close()

    def _refilter(self, subscriber: Subscriber, topics: frozenset[str]) -> frozenset[str]:
        if topics != subscriber.wanted_topics:
            subscriber.filter_by(topics)
        return topics
