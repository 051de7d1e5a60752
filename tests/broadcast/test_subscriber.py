"""A subscriber: what it takes and in which order, and what it receives after it fell behind the log."""

import orjson
import pytest

from quart_odds.broadcast import ODDS_UPDATES, SCRAPE_PROGRESS, BroadcastRegistry, EventLog, ResumePosition, Subscriber
from quart_odds.broadcast import subscriber as subscriber_module
from quart_odds.broadcast.framing import FRAME, FRAME_WITH_CURSOR, TEXT, TEXT_WITH_CURSOR
from quart_odds.broadcast.selection import select
from quart_odds.broadcast.subscriber import MOST_JOINED, Joined
from tests.broadcast.listeners import (
    SMALL,
    Message,
    RecordingSink,
    gap_notice,
    make_registry,
    message,
    numbers,
    read_messages,
)


def _listen(registry: BroadcastRegistry, cursor: str | None = None, topics: frozenset[str] | None = None) -> Subscriber:
    """Return a listener that only the test moves."""
    place = registry.place(cursor)
    subscriber = Subscriber(
        registry.log,
        RecordingSink(),
        FRAME_WITH_CURSOR,
        selection=select(topics or frozenset({ODDS_UPDATES, SCRAPE_PROGRESS})),
        place=place,
        gap_notice=gap_notice,
    )
    subscriber.send_snapshot(place)
    return subscriber


def _take(subscriber: Subscriber) -> list[Message]:
    """Take everything that is waiting for a subscriber."""
    data = b""
    while subscriber.is_behind:
        data += subscriber.take({})
    return read_messages(data, subscriber.framing)


def _say(registry: BroadcastRegistry, *published: int, topic: str = ODDS_UPDATES) -> None:
    for number in published:
        registry.broadcast(message(number), topic)


def test_takes_what_comes_after_its_place_once() -> None:
    """A listener gets what is published from its position on, in order, and nothing twice."""
    registry = make_registry()
    _say(registry, 1, 2)
    subscriber = _listen(registry)
    assert not subscriber.is_behind
    _say(registry, 3, 4)
    assert numbers(_take(subscriber)) == [3, 4]
    assert subscriber.take({}) == b""
    _say(registry, 5)
    assert numbers(_take(subscriber)) == [5]
    assert subscriber.position == registry.log.cursor_at(registry.log.next_seq)


def test_resumes_after_its_cursor() -> None:
    """An earlier cursor replays entries."""
    registry = make_registry()
    _say(registry, *range(10))
    assert numbers(_take(_listen(registry, registry.log.cursor_at(8)))) == [7, 8, 9]


def test_private_messages_keep_their_place() -> None:
    """A private message comes after everything published before it, and ahead of everything published later."""
    registry = make_registry()
    subscriber = _listen(registry)
    _say(registry, 1)
    subscriber.send({"type": "pong"})
    _say(registry, 2)
    subscriber.send({"type": "error"})
    taken = _take(subscriber)
    assert numbers(taken) == [1, "pong", 2, "error"]
    epoch = registry.log.epoch
    assert [each.cursor for each in taken] == [f"{epoch}-1", f"{epoch}-1", f"{epoch}-2", f"{epoch}-2"]


def test_filter_changes_at_a_place() -> None:
    """A change of topics applies to what is published after it, not to what the client has yet to receive."""
    registry = make_registry()
    subscriber = _listen(registry, topics=frozenset({ODDS_UPDATES}))
    _say(registry, 1)
    _say(registry, 2, topic=SCRAPE_PROGRESS)
    subscriber.select(select(frozenset({SCRAPE_PROGRESS})))
    assert subscriber.wanted_topics == {SCRAPE_PROGRESS}
    _say(registry, 3)
    _say(registry, 4, topic=SCRAPE_PROGRESS)
    assert numbers(_take(subscriber)) == [1, 4]


def test_snapshot_precedes_what_follows_and_can_be_resumed_in_the_midst() -> None:
    """A late joiner cut between ack and snapshot returns with a cursor that lies before the snapshot."""
    registry = make_registry()
    registry.broadcast(message(1), SCRAPE_PROGRESS, retain=("run", "a"))
    _say(registry, 2)
    registry.broadcast(message(3), SCRAPE_PROGRESS, retain=("run", "b"))
    subscriber = _listen(registry)
    assert subscriber.position == registry.log.cursor_at(1)
    subscriber.send({"type": "pong"})
    _say(registry, 4)
    taken = _take(subscriber)
    assert numbers(taken) == [1, 3, "pong", 4]
    assert [each.cursor.rpartition("-")[2] for each in taken] == ["1", "3", "3", "4"]


def test_snapshot_holds_only_what_the_filter_lets_through() -> None:
    """A listener to odds gets no progress in its snapshot."""
    registry = make_registry()
    registry.broadcast(message(1), SCRAPE_PROGRESS, retain=("run", "a"))
    assert _take(_listen(registry, topics=frozenset({ODDS_UPDATES}))) == []


def test_gap_is_reported_with_its_count_then_the_newest_state() -> None:
    """A listener that falls behind the log learns how much it missed, gets the newest of each key, and continues."""
    registry = make_registry(SMALL)
    subscriber = _listen(registry)
    for number in range(20):
        registry.broadcast(message(number), SCRAPE_PROGRESS, retain=("run", number % 3))
    gap, *newest = _take(subscriber)
    assert gap.value == {"type": "gap", "missed": 20}
    assert numbers(newest) == [17, 18, 19]
    _say(registry, 20)
    assert numbers(_take(subscriber)) == [20]


def test_gap_counts_only_what_the_filter_would_have_let_through() -> None:
    """Entries that a client did not ask for do not count as missed. If nothing was missed, there is no gap notice."""
    registry = make_registry(SMALL)
    some = _listen(registry, topics=frozenset({ODDS_UPDATES}))
    none = _listen(registry, topics=frozenset({ODDS_UPDATES}))
    _say(registry, *range(30), topic=SCRAPE_PROGRESS)
    assert _take(none) == []
    _say(registry, 30, 31)
    _say(registry, *range(32, 50), topic=SCRAPE_PROGRESS)
    assert _take(some)[0].value == {"type": "gap", "missed": 2}


def test_gap_with_a_change_of_filter_in_it_counts_by_each_filter_in_its_turn() -> None:
    """Entries before the change count by the first filter, and entries after it by the second."""
    registry = make_registry(SMALL)
    subscriber = _listen(registry, topics=frozenset({ODDS_UPDATES}))
    _say(registry, 1, 2, 3)
    _say(registry, 4, topic=SCRAPE_PROGRESS)
    subscriber.select(select(frozenset({SCRAPE_PROGRESS})))
    _say(registry, *range(5, 25), topic=SCRAPE_PROGRESS)
    _say(registry, 25)
    assert _take(subscriber)[0].value == {"type": "gap", "missed": 23}
    _say(registry, 26, topic=SCRAPE_PROGRESS)
    assert numbers(_take(subscriber)) == [26]


def test_one_who_lost_nothing_gets_what_is_left_of_the_log() -> None:
    """If the evicted entries were on another topic, there is no gap notice, and what is left comes in order."""
    registry = make_registry(SMALL)
    subscriber = _listen(registry, topics=frozenset({ODDS_UPDATES}))
    subscriber.send({"type": "ack"})
    _say(registry, *range(20), topic=SCRAPE_PROGRESS)
    _say(registry, 20, 21)
    assert numbers(_take(subscriber)) == ["ack", 20, 21]


def test_private_messages_outlive_a_gap_in_their_order() -> None:
    """Answers that were queued when the client fell behind the log still arrive, in order."""
    registry = make_registry(SMALL)
    subscriber = _listen(registry)
    subscriber.send({"type": "ack"})
    _say(registry, 1)
    subscriber.send({"type": "pong"})
    _say(registry, *range(2, 30))
    assert numbers(_take(subscriber)) == ["ack", "pong", "gap"]


def test_no_cursor_leads_past_a_gap_before_the_gap_is_reported() -> None:
    """A client cut between an answer and the gap notice returns with a cursor before the gap, and is notified then."""
    registry = make_registry(SMALL)
    _say(registry, 0)
    subscriber = _listen(registry)
    subscriber.send({"type": "pong"})
    for number in range(1, 21):
        registry.broadcast(message(number), SCRAPE_PROGRESS, retain=("run", number % 2))
    pong, gap, *_ = _take(subscriber)
    assert (pong.event, gap.event) == ("pong", "gap")
    assert registry.place(pong.cursor).recovered is False
    assert registry.place(gap.cursor).recovered is True


def test_snapshot_that_a_gap_swallowed_is_given_again() -> None:
    """A snapshot that was still queued when the client fell behind the log is in the state after the gap."""
    registry = make_registry(SMALL)
    registry.broadcast(message(1), SCRAPE_PROGRESS, retain=("run", "a"))
    subscriber = _listen(registry)
    _say(registry, *range(2, 30))
    assert numbers(_take(subscriber)) == ["gap", 1]


def test_end_of_a_run_is_in_the_state_after_a_gap() -> None:
    """A terminal progress always arrives, as long as the run is among the last few that are remembered."""
    registry = make_registry(SMALL)
    subscriber = _listen(registry)
    registry.broadcast(message(1), SCRAPE_PROGRESS, retain=(7, None), ends=True)
    _say(registry, *range(2, 40))
    assert numbers(_take(subscriber)) == ["gap", 1]


def test_count_of_a_gap_on_a_log_that_has_lost_its_beginning() -> None:
    """A stream that starts before the oldest entry is told how many entries are gone."""
    log = EventLog("r1", epoch="e", bounds=SMALL)
    for number in range(20):
        log.append(b'{"type":"x","n":%d}' % number)
    subscriber = Subscriber(log, RecordingSink(), TEXT, place=ResumePosition(1), gap_notice=gap_notice)
    assert _take(subscriber)[0].value == {"type": "gap", "missed": 20}


def test_takes_about_as_much_as_may_wait_for_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """However far a client lags, it holds little memory at a time, and still gets everything."""
    monkeypatch.setattr(subscriber_module, "MAX_WRITE_BYTES", 100)
    registry = make_registry()
    subscriber = _listen(registry)
    _say(registry, *range(50))
    subscriber.send({"type": "pong"})
    _say(registry, *range(50, 100))
    data, largest = b"", 0
    while subscriber.is_behind:
        taken = subscriber.take({})
        largest = max(largest, len(taken))
        data += taken
    assert largest < 200
    assert numbers(read_messages(data, FRAME_WITH_CURSOR)) == [*range(50), "pong", *range(50, 100)]


def test_clients_that_lag_alike_share_the_same_bytes() -> None:
    """Bytes are joined once for all clients at the same position with the same filter, and separately for others."""
    registry = make_registry()
    first, second = _listen(registry), _listen(registry)
    other = _listen(registry, topics=frozenset({ODDS_UPDATES}))
    _say(registry, 1, 2, 3)
    joined: Joined = {}
    data = first.take(joined)
    assert second.take(joined) is data
    assert other.take(joined) == data
    assert len(joined) == 2


def test_what_is_shared_is_bounded() -> None:
    """Without a limit, a thousand clients at a thousand positions would hold a thousand joins until the flush ends."""
    registry = make_registry()
    _say(registry, *range(300))
    joined: Joined = {}
    for seq in range(1, 300):
        subscriber = Subscriber(registry.log, RecordingSink(), FRAME, place=ResumePosition(seq), gap_notice=gap_notice)
        assert subscriber.take(joined)
        assert len(joined) <= MOST_JOINED


def test_end_is_reported_once() -> None:
    """Only the first end is reported, with its code."""
    registry = make_registry()
    subscriber = _listen(registry)
    ends: list[int | None] = []
    subscriber.on_end = lambda: ends.append(subscriber.close_code)
    subscriber.end(1012, "retry_ms=500")
    subscriber.end(1011, "no")
    assert ends == [1012]
    assert (subscriber.close_code, subscriber.close_reason) == (1012, "retry_ms=500")


def test_both_lanes_get_the_same_messages() -> None:
    """The lines of the standard lane are the payloads of the fast lane's frames."""
    registry = make_registry()
    place = registry.place(None)
    fast, plain = (
        Subscriber(registry.log, RecordingSink(), framing, place=place, gap_notice=gap_notice)
        for framing in (FRAME_WITH_CURSOR, TEXT_WITH_CURSOR)
    )
    for subscriber in (fast, plain):
        subscriber.send({"type": "ack", "text": "é\n\u2028"})
    _say(registry, *range(5))
    frames, lines = fast.take({}), plain.take({})
    payloads = [orjson.dumps(each.value) for each in read_messages(frames, FRAME_WITH_CURSOR)]
    assert payloads == [orjson.dumps(each.value) for each in read_messages(lines, TEXT_WITH_CURSOR)]
    assert len(payloads) == 6
