"""The broadcast registry: one log for all topics, and everyone who listens to it, on whatever transport."""

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
    """Who listens, to what, and what is told to them.

    `broadcast` appends to the log and schedules a flush: it never waits, and there is no back-pressure. Whoever is
    slow lags behind in the log, and is told of the gap when it has fallen out of it.
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
        """How many listen."""
        return len(self.flusher.subscribers)

    @property
    def topic_counts(self) -> dict[str, int]:
        """How many listen to each topic."""
        counts = Counter(topic for each in self.flusher.subscribers for topic in each.wanted_topics)
        return {topic: counts[topic] for topic in sorted(TOPICS)}

    def place(self, cursor: str | None, topics: Iterable[str] = TOPICS) -> ResumePosition:
        """Where a listener to these topics that comes with this cursor begins."""
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
        """Add a listener at a place (the end of the log when None). `handshake` makes its first message.

        It gets the hello, then the newest state where the place holds it, then everything from the place on.
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
        """Forget a listener. Doing it twice is the same as once."""
        self.flusher.remove(subscriber)

    def subscribe(self, subscriber: Subscriber, topics: Iterable[str]) -> frozenset[str]:
        """Add topics to a listener's filter; what it listens to from here on."""
        return self._refilter(subscriber, subscriber.wanted_topics | frozenset(topics))

    def unsubscribe(self, subscriber: Subscriber, topics: Iterable[str]) -> frozenset[str]:
        """Take topics from a listener's filter; what it listens to from here on."""
        return self._refilter(subscriber, subscriber.wanted_topics - frozenset(topics))

    def broadcast(
        self,
        message: Mapping[str, object],
        topic: str,
        *,
        retain: tuple[Hashable, Hashable] | None = None,
        ends: bool = False,
    ) -> Entry:
        """Tell an envelope to everyone who listens to the topic, once it can take it. Never waits.

        `retain` and `ends` say what a late joiner is to be given: see `EventLog.append`.
        Raises ValueError for a topic that there is not.
        """
        if topic not in TOPICS:
            raise ValueError(f"there is no topic {topic!r}; there are {', '.join(sorted(TOPICS))}")
        entry = self.log.append(
            orjson.dumps(message), topic=topic, name=str(message.get("type", "")), retain=retain, ends=ends
        )
        self.flusher.schedule()
        return entry

    def broadcast_all(self, message: Mapping[str, object]) -> None:
        """Tell an envelope to everyone, whatever they listen to. It is not in the log: no cursor leads back to it."""
        for subscriber in self.flusher.subscribers:
            subscriber.send(message)
        self.flusher.schedule()

    def send(self, subscriber: Subscriber, message: Mapping[str, object]) -> None:
        """Tell an envelope to one listener, behind what is in the log already."""
        subscriber.send(message)
        self.flusher.catch_up(subscriber)

    def close(self) -> None:
        """Forget everyone and stop all timers."""
        self.flusher.close()

    def _refilter(self, subscriber: Subscriber, topics: frozenset[str]) -> frozenset[str]:
        if topics != subscriber.wanted_topics:
            subscriber.filter_by(topics)
        return topics
