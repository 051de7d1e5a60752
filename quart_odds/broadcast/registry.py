"""The broadcast registry: one log for all topics, and its listeners on every transport."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping

import orjson

from quart_odds.broadcast.content import Content, Filter
from quart_odds.broadcast.engines.records import MESSAGE, Record, RetainedRecord
from quart_odds.broadcast.event_log import EventLog, LogBounds, ResumePosition
from quart_odds.broadcast.figures import HubFigures
from quart_odds.broadcast.flush import Flusher
from quart_odds.broadcast.framing import Entry, Framing
from quart_odds.broadcast.selection import select
from quart_odds.broadcast.sink import Sink
from quart_odds.broadcast.subscriber import GapNotice, OpenImage, Subscriber
from quart_odds.broadcast.upkeep import HEARTBEAT_SECONDS, PING_SECONDS, PONG_SECONDS, WRITE_TIMEOUT_SECONDS

SCRAPE_PROGRESS = "scrape_progress"
ODDS_UPDATES = "odds_updates"
ODDS = "odds"
ALERTS = "alerts"
OPPORTUNITIES = "opportunities"
DEFAULT_TOPICS = frozenset({SCRAPE_PROGRESS, ODDS_UPDATES})
"""The topics of a listener who names none. Others go only to those who name them."""
WHOLE_TOPICS = DEFAULT_TOPICS | {ALERTS, OPPORTUNITIES}
"""The topics whose messages go to all who listen to them. What goes to whom of `odds` depends on filters."""
TOPICS = WHOLE_TOPICS | {ODDS}


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
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        write_timeout_seconds: float = WRITE_TIMEOUT_SECONDS,
        ping_seconds: float = PING_SECONDS,
        pong_seconds: float = PONG_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log = EventLog(bounds=bounds, clock=clock)
        self.figures = HubFigures(clock)
        self.flusher = Flusher(
            self.log,
            heartbeat_seconds=heartbeat_seconds,
            write_timeout_seconds=write_timeout_seconds,
            ping_seconds=ping_seconds,
            pong_seconds=pong_seconds,
            clock=clock,
            figures=self.figures,
        )
        self._make_gap_notice = gap_notice
        # One bound method for all subscribers, and not one for each.
        self._gap_notice: GapNotice = self._counted_gap_notice
        self.append_elsewhere: Callable[[Record], object] | None = None
        """Appends to a log that several processes share. What comes back from it is delivered with `deliver`."""
        self.open_image: OpenImage | None = None
        """Makes the images that listeners with a filter begin with; None while there is no state behind the topic."""

    @property
    def active_count(self) -> int:
        """The number of listeners."""
        return len(self.flusher.subscribers)

    @property
    def topic_counts(self) -> dict[str, int]:
        """The number of listeners per topic."""
        counts = Counter(topic for each in self.flusher.subscribers for topic in each.wanted_topics)
        return {topic: counts[topic] for topic in sorted(TOPICS)}

    def place(
        self, cursor: str | None, topics: Iterable[str] = DEFAULT_TOPICS, filtered: Filter | None = None
    ) -> ResumePosition:
        """Return where a listener to these topics, with this filter, starts with this cursor."""
        return self.log.place(cursor, select(frozenset(topics), filtered))

    def connect(
        self,
        sink: Sink,
        framing: Framing,
        *,
        topics: Iterable[str] = DEFAULT_TOPICS,
        filtered: Filter | None = None,
        place: ResumePosition | None = None,
        handshake: Callable[[Subscriber], Mapping[str, object]] | None = None,
        address: str = "",
        number: int | None = None,
    ) -> Subscriber:
        """Add a listener at a position (None: the end of the log). `handshake` makes its first message.

        `number` is that of its connection; by default it gets a new one.

        The listener receives the handshake, then the newest state if `place` includes it, then the image of what its
        filter selects unless it resumes where it was, then everything from its position on.
        """
        place = place or self.log.place(None)
        subscriber = Subscriber(
            self.log,
            sink,
            framing,
            selection=select(frozenset(topics), filtered),
            place=place,
            gap_notice=self._gap_notice,
            open_image=self.open_image,
            address=address,
            number=self.figures.new_number() if number is None else number,
        )
        if place.recovered:
            self.figures.recovered += not place.is_new
        else:
            self.figures.not_recovered += 1
        is_image_due = filtered is not None and self._is_image_due(filtered, place)
        if is_image_due:
            subscriber.begin_at(place.since)
        if handshake is not None:
            subscriber.send_first(handshake(subscriber))
        subscriber.send_snapshot(place)
        if is_image_due:
            subscriber.send_image(place.since)
        self.flusher.add(subscriber)
        return subscriber

    def _counted_gap_notice(self, missed: int | None) -> tuple[str, bytes]:
        """Return the notice of a gap, and count it."""
        self.figures.gaps += 1
        return self._make_gap_notice(missed)

    def disconnect(self, subscriber: Subscriber) -> None:
        """Remove a listener. Idempotent."""
        self.flusher.remove(subscriber)

    def reselect(
        self,
        subscriber: Subscriber,
        topics: Iterable[str],
        filtered: Filter | None = None,
        answer: Mapping[str, object] | None = None,
    ) -> None:
        """Change a listener's topics and filter for everything after the end of the log, and send it an answer.

        With a new filter, the image of what it selects follows.
        """
        former, selection = subscriber.wanted, select(frozenset(topics), filtered)
        is_image_due = filtered is not None and filtered.has_image and filtered is not former.filter
        if selection is not former:
            subscriber.select(selection)
            self.flusher.audience.add(subscriber)
        if is_image_due:
            subscriber.hold_position()
        if answer is not None:
            subscriber.send(answer)
        if is_image_due:
            subscriber.send_image()
        self.flusher.catch_up(subscriber)

    def _is_image_due(self, filtered: Filter, place: ResumePosition) -> bool:
        """Whether a listener lacks the state that its filter selects. Without an image it still gets what it missed."""
        return place.since is not None or (filtered.has_image and (place.is_new or not place.recovered))

    def reload_images(self, topic: str, *, has_entry: bool = False) -> None:
        """Send everyone who has a filter a new image, because the state behind a topic was replaced as a whole.

        `has_entry` says that an entry which nobody receives was added for that.
        """
        if not has_entry:
            self.log.skip(1)
        self.log.break_off(topic)
        for subscriber in self.flusher.subscribers:
            if subscriber.wanted.filter is not None and subscriber.wanted.has_topic(topic):
                subscriber.hold_position()
                subscriber.send_image()
        self.flusher.schedule()

    def broadcast(
        self,
        message: Mapping[str, object],
        topic: str,
        *,
        retain: tuple[Hashable, Hashable] | None = None,
        ends: bool = False,
    ) -> None:
        """Publish an envelope to everyone who listens to the topic, as soon as they can take it. Never waits.

        `retain` and `ends` control what late joiners receive: see `EventLog.append`. Raises ValueError if the topic is
        not one of WHOLE_TOPICS.
        """
        if topic not in WHOLE_TOPICS:
            raise ValueError(
                f"no message goes to the topic {topic!r} whole; those are {', '.join(sorted(WHOLE_TOPICS))}"
            )
        payload, name = orjson.dumps(message), str(message.get("type", ""))
        if self.append_elsewhere is None:
            self.deliver(payload, topic, name=name, retain=retain, ends=ends)
        else:
            key = None if retain is None else (str(retain[0]), str(retain[1] or ""))
            self.append_elsewhere(Record(MESSAGE, 1, payload, topic, name, key, ends))

    def deliver(
        self,
        payload: bytes,
        topic: str,
        *,
        name: str = "",
        retain: tuple[Hashable, Hashable] | None = None,
        ends: bool = False,
    ) -> None:
        """Put an envelope, as JSON, on the log of this process, for everyone who listens to the topic."""
        entry = self.log.append(payload, topic=topic, name=name, retain=retain, ends=ends)
        self.flusher.schedule_entry(entry, self.flusher.audience.of_topic(topic))

    def begin_anew(
        self,
        epoch: str,
        next_seq: int,
        retained: Iterable[RetainedRecord] = (),
        earlier: Collection[Record] = (),
    ) -> None:
        """Replace the log by that of an epoch, from the entry `next_seq` on, and tell every listener of the gap.

        `earlier` are the records from there on that led to the present state. Their messages are there for those who
        resume. What else they were is not known any more: who wants the state gets it anew.
        """
        self.log.restart(epoch, next_seq)
        for each in sorted(retained, key=lambda each: each.seq):
            self.log.restore_retained(
                each.seq, each.payload, topic=each.topic, name=each.name, retain=each.retain, ends=each.ends
            )
        for record in earlier:
            if record.kind == MESSAGE:
                self.log.append(
                    record.payload, topic=record.topic, name=record.name, retain=record.retain, ends=record.ends
                )
            else:
                self.log.skip(record.count)
        if earlier:
            self.log.break_off(ODDS)
        self.flusher.begin_anew()

    def publish(self, content: Content, topic: str) -> Entry:
        """Publish a content to those whose filters let it through. Never waits. Nothing is rendered for nobody."""
        entry = self.log.append_content(content, topic)
        self.flusher.schedule_entry(entry, self.flusher.audience.of_content(content, topic))
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
