"""What became of a message at a connection, for each thing that can have happened to it."""

from quart_odds.broadcast import ODDS, ODDS_UPDATES, SCRAPE_PROGRESS, BroadcastRegistry, Subscriber
from quart_odds.broadcast.connections import connection_of
from quart_odds.broadcast.explanation import Verdict, explain
from quart_odds.broadcast.figures import MOST_REMEMBERED, REMEMBERED_SECONDS
from quart_odds.broadcast.framing import FRAME, TEXT
from quart_odds.broadcast.trail import MOST_KEPT
from tests.broadcast.contents import Number, Wanted
from tests.broadcast.listeners import SMALL, ManualClock, RecordingSink, make_registry, message

EVENT_2 = (("event", 2),)


def fate(registry: BroadcastRegistry, subscriber: Subscriber, seq: int) -> Verdict:
    """Return what became of an entry at an open connection."""
    return explain(connection_of(subscriber, registry.figures.now()), registry.log, seq)


def results(registry: BroadcastRegistry, subscriber: Subscriber, stop: int) -> list[str]:
    """Return the results for the entries from 1 up to, but not including, `stop`."""
    return [fate(registry, subscriber, seq).result for seq in range(1, stop)]


def after_end(registry: BroadcastRegistry, subscriber: Subscriber, stop: int) -> list[str]:
    """Return the same for a connection that has ended."""
    connection = registry.figures.ended_connection(subscriber.number)
    assert connection is not None
    return [explain(connection, registry.log, seq).result for seq in range(1, stop)]


async def test_delivered_pending_and_not_published() -> None:
    """What was written is delivered, what waits is pending, and what has no number yet is not published."""
    registry, sink = make_registry(), RecordingSink()
    registry.broadcast(message(1), ODDS_UPDATES)
    subscriber = registry.connect(sink, FRAME)
    registry.broadcast(message(2), ODDS_UPDATES)
    registry.flusher.flush()
    sink.stall()
    registry.broadcast(message(3), ODDS_UPDATES)
    registry.flusher.flush()
    registry.broadcast(message(4), ODDS_UPDATES)
    registry.flusher.flush()
    assert results(registry, subscriber, 6) == [
        "before_connection", "delivered", "delivered", "pending", "not_published",
    ]  # fmt: skip
    connection = connection_of(subscriber, registry.figures.now())
    assert (connection.state, connection.transport, connection.lane) == ("behind", "websocket", "fast")
    assert f"not taken the last {connection.untaken_bytes} bytes" in fate(registry, subscriber, 3).reason
    sink.read_on()
    registry.flusher.flush()
    assert results(registry, subscriber, 6)[-2:] == ["delivered", "not_published"]
    assert connection_of(subscriber, 0).state == "waiting"
    registry.close()


async def test_filtered_out_says_by_what() -> None:
    """The topic, other events, or another part of the filter: also if the entry is no longer in the log."""
    registry = make_registry(SMALL)
    plain = registry.connect(RecordingSink(), FRAME, topics={ODDS_UPDATES})
    even = registry.connect(RecordingSink(), FRAME, topics={ODDS}, filtered=Wanted(view="even"))
    registry.broadcast(message(1), SCRAPE_PROGRESS)
    registry.publish(Number(2, EVENT_2), ODDS)
    registry.publish(Number(3), ODDS)
    registry.publish(Number(4), ODDS)
    registry.log.skip(1)
    registry.flusher.flush()

    def by(subscriber: Subscriber) -> list[str | None]:
        found = [fate(registry, subscriber, seq) for seq in range(1, 6)]
        assert [each.result for each in found if each.by is None] == ["delivered"] * sum(
            each.by is None for each in found
        )
        return [each.by for each in found]

    assert by(plain) == ["topic", "topic", "topic", "topic", "nobody"]
    assert by(even) == ["topic", "event", "filter", None, "nobody"]
    for number in range(20):
        registry.broadcast(message(number), SCRAPE_PROGRESS)
    registry.flusher.flush()
    assert registry.log.first_seq > 5
    assert by(plain) == ["topic", "topic", "topic", "topic", "nobody"]
    assert by(even) == ["topic", "event", "filter", None, "nobody"]
    registry.close()


async def test_what_is_left_of_an_entry_may_not_tell() -> None:
    """Then it is gone, and nothing is claimed."""
    registry = make_registry(SMALL)
    unsure = registry.connect(RecordingSink(), FRAME, topics={ODDS}, filtered=Wanted(view="unsure"))
    registry.publish(Number(1), ODDS)
    registry.flusher.flush()
    assert results(registry, unsure, 2) == ["delivered"]
    for number in range(20):
        registry.broadcast(message(number), SCRAPE_PROGRESS)
    registry.flusher.flush()
    assert results(registry, unsure, 2) == ["gone"]
    registry.close()


async def test_what_a_slow_listener_missed_is_in_a_gap() -> None:
    """It was told of the gap, and what came before and after is delivered."""
    registry, sink = make_registry(SMALL), RecordingSink()
    subscriber = registry.connect(sink, FRAME)
    registry.broadcast(message(1), ODDS_UPDATES)
    registry.flusher.flush()
    sink.stall()
    for number in range(2, 20):
        registry.broadcast(message(number), ODDS_UPDATES)
        registry.flusher.flush()
    sink.read_on()
    registry.flusher.flush()
    registry.broadcast(message(20), ODDS_UPDATES)
    registry.flusher.flush()
    found = results(registry, subscriber, 21)
    assert found == ["delivered"] * 2 + ["missed"] * 17 + ["delivered"]
    assert registry.figures.gaps == 1
    registry.close()


async def test_a_resumption_that_comes_too_late_has_a_gap() -> None:
    """From its cursor to the place where it goes on; one that comes in time has none."""
    registry = make_registry(SMALL)
    for number in range(1, 20):
        registry.broadcast(message(number), ODDS_UPDATES)
    late = registry.connect(RecordingSink(), FRAME, place=registry.place(f"{registry.log.epoch}-3"))
    early = registry.connect(RecordingSink(), FRAME, place=registry.place(f"{registry.log.epoch}-15"))
    lost = registry.connect(RecordingSink(), FRAME, place=registry.place("0000-1"))
    registry.flusher.flush()
    assert results(registry, late, 20) == ["before_connection"] * 3 + ["missed"] * 16
    assert results(registry, early, 20) == ["before_connection"] * 15 + ["delivered"] * 4
    assert results(registry, lost, 20) == ["before_connection"] * 19
    assert (registry.figures.recovered, registry.figures.not_recovered) == (1, 2)
    registry.close()


async def test_each_entry_is_judged_by_the_selection_of_its_time() -> None:
    """Before and after a change; after too many changes, those of long ago are not known."""
    registry = make_registry()
    subscriber = registry.connect(RecordingSink(), FRAME, topics={ODDS_UPDATES})
    registry.broadcast(message(1), ODDS_UPDATES)
    registry.reselect(subscriber, {SCRAPE_PROGRESS})
    registry.broadcast(message(2), ODDS_UPDATES)
    registry.broadcast(message(3), SCRAPE_PROGRESS)
    registry.flusher.flush()
    assert results(registry, subscriber, 4) == ["delivered", "filtered_out", "delivered"]
    for number in range(MOST_KEPT):
        registry.reselect(subscriber, {ODDS_UPDATES} if number % 2 else {SCRAPE_PROGRESS, ODDS_UPDATES})
        registry.broadcast(message(number), ODDS_UPDATES)
    registry.flusher.flush()
    assert results(registry, subscriber, 5) == ["unknown", "filtered_out", "delivered", "delivered"]
    registry.close()


async def test_a_selection_that_waits_applies_to_what_comes_after_it() -> None:
    """A stalled listener that subscribes gets what comes then, not what was published before."""
    registry, sink = make_registry(), RecordingSink()
    subscriber = registry.connect(sink, FRAME, topics={ODDS_UPDATES})
    sink.stall()
    registry.broadcast(message(1), ODDS_UPDATES)
    registry.flusher.flush()
    registry.broadcast(message(2), SCRAPE_PROGRESS)
    registry.reselect(subscriber, {SCRAPE_PROGRESS})
    registry.broadcast(message(3), SCRAPE_PROGRESS)
    registry.flusher.flush()
    assert results(registry, subscriber, 4) == ["delivered", "filtered_out", "pending"]
    assert connection_of(subscriber, 0).wanted.topics == frozenset({SCRAPE_PROGRESS})
    registry.close()


async def test_another_log_is_a_gap_from_its_beginning() -> None:
    """A listener that was open when the log was replaced has missed what is before its place there."""
    registry = make_registry()
    subscriber = registry.connect(RecordingSink(), FRAME)
    ended = registry.connect(RecordingSink(), FRAME)
    registry.broadcast(message(1), ODDS_UPDATES)
    registry.flusher.flush()
    registry.disconnect(ended)
    registry.begin_anew("feed", 5)
    registry.broadcast(message(5), ODDS_UPDATES)
    registry.flusher.flush()
    assert results(registry, subscriber, 6)[-2:] == ["gone", "delivered"]
    assert after_end(registry, ended, 3) == ["unknown", "unknown"]
    registry.close()


async def test_a_connection_is_remembered_for_a_while_after_its_end() -> None:
    """With why it ended, and what it had not got: for 15 minutes, and not more than a thousand of them."""
    clock = ManualClock()
    registry, sink = make_registry(clock=clock, write_timeout_seconds=5), RecordingSink()
    subscriber = registry.connect(sink, TEXT)
    other = registry.connect(RecordingSink(), FRAME)
    registry.broadcast(message(1), ODDS_UPDATES)
    registry.flusher.flush()
    sink.stall()
    for number in (2, 3):
        registry.broadcast(message(number), ODDS_UPDATES)
        registry.flusher.flush()
    for _ in range(3):
        registry.flusher.upkeep.tick()
        clock.advance(4)
    registry.broadcast(message(4), ODDS_UPDATES)
    registry.flusher.flush()
    assert sink.is_aborted
    registry.disconnect(other)
    assert after_end(registry, subscriber, 5) == ["delivered", "delivered", "undelivered", "after_connection"]
    connection = registry.figures.ended_connection(subscriber.number)
    assert connection is not None
    assert (connection.state, connection.ending, connection.lane) == ("ended", "stalled", "standard")
    assert registry.figures.ended == {"stalled": 1, "closed": 1}
    clock.advance(REMEMBERED_SECONDS)
    assert registry.figures.ended_connection(subscriber.number) is None
    for _ in range(MOST_REMEMBERED + 1):
        registry.disconnect(registry.connect(RecordingSink(), FRAME))
    first = other.number + 1
    assert registry.figures.ended_connection(first) is None
    assert registry.figures.ended_connection(first + 1) is not None
    registry.close()
