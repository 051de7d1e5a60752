"""The event log: what it keeps, where a cursor leads, and what a late joiner receives."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.broadcast import Entry, EventLog, LogBounds
from quart_odds.broadcast import topic as topic_module
from quart_odds.broadcast.event_log import split_cursor
from quart_odds.broadcast.framing import FRAME, TEXT
from quart_odds.broadcast.selection import EVERYTHING, select
from tests.broadcast.listeners import ManualClock


def _filled(count: int, bounds: LogBounds | None = None, *, clock: ManualClock | None = None) -> EventLog:
    log = EventLog(bounds=bounds, epoch="e", clock=clock or ManualClock())
    for number in range(count):
        log.append(b'{"n":%d}' % number)
    return log


def _seqs(entries: Sequence[Entry]) -> list[int]:
    return [entry.seq for entry in entries]


def _kept(log: EventLog) -> list[int]:
    return [entry.seq for entry in log.read(0, log.next_seq)]


def test_entries_are_numbered_from_one() -> None:
    """The first entry is 1, so the cursor before it is 0 and any other cursor names an entry that was received."""
    log = _filled(3)
    assert _kept(log) == [1, 2, 3]
    assert (log.first_seq, log.next_seq, len(log)) == (1, 4, 3)
    assert log.cursor_at(log.next_seq) == "e-3"
    assert [entry.cursor for entry in log.read(1, 4)] == [b"e-1", b"e-2", b"e-3"]


def test_read_gives_only_what_is_asked_for_and_here() -> None:
    """Reading before the beginning or past the end returns only entries that exist."""
    log = _filled(20, LogBounds(5, 0, 0.0, 5, 1 << 20))
    assert _kept(log) == [16, 17, 18, 19, 20]
    assert [entry.seq for entry in log.read(18, 20)] == [18, 19]
    assert [entry.seq for entry in log.read(19, 99)] == [19, 20]
    assert list(log.read(21, 21)) == []
    assert list(log.read(30, 10)) == []


@pytest.mark.parametrize(
    ("bounds", "kept"),
    [
        (LogBounds(5, 0, 0.0, 100, 1 << 20), 5),
        (LogBounds(5, 9 * 7, 0.0, 100, 1 << 20), 9),
        (LogBounds(5, 0, 11.5, 100, 1 << 20), 12),
        (LogBounds(5, 1 << 19, 0.0, 8, 1 << 20), 8),
        (LogBounds(5, 1 << 19, 0.0, 100, 4 * 7 + 1), 4),
    ],
    ids=["entries", "bytes", "age", "most entries", "most bytes"],
)
def test_bounds(bounds: LogBounds, kept: int) -> None:
    """An entry stays while one of the minimums needs it, and goes when a maximum is exceeded."""
    clock = ManualClock()
    log = EventLog(bounds=bounds, clock=clock)
    for _ in range(50):
        log.append(b"1234567")
        clock.advance(1.0)
    assert len(log) == kept
    assert log.size_bytes == kept * 7


def test_an_entry_larger_than_the_log_is_kept_until_the_next() -> None:
    """The newest entry can always be read."""
    log = EventLog(bounds=LogBounds(1, 0, 0.0, 10, 10))
    log.append(b"x" * 100)
    assert len(log) == 1
    log.append(b"y")
    assert [entry.payload for entry in log.read(0, log.next_seq)] == [b"y"]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.floats(0, 5)), max_size=60),
    st.builds(
        LogBounds,
        least_entries=st.integers(1, 10),
        least_bytes=st.integers(0, 100),
        least_seconds=st.floats(0, 10),
        most_entries=st.integers(10, 20),
        most_bytes=st.integers(100, 300),
    ),
)
def test_bounds_hold_for_anything(said: list[tuple[int, float]], bounds: LogBounds) -> None:
    """The maximums are never exceeded, and nothing that a minimum protects is evicted unless a maximum was exceeded."""
    clock = ManualClock()
    log = EventLog(bounds=bounds, clock=clock)
    for size, pause in said:
        clock.advance(pause)
        first_before, bytes_before = log.first_seq, log.size_bytes
        before = {entry.seq: entry for entry in log.read(0, log.next_seq)}
        log.append(b"x" * size)
        kept = list(log.read(0, log.next_seq))
        assert _seqs(kept) == list(range(log.first_seq, log.next_seq))
        assert log.size_bytes == sum(len(entry.payload) for entry in kept)
        assert len(kept) <= bounds.most_entries
        assert log.size_bytes <= bounds.most_bytes or len(kept) == 1
        left = bytes_before + size
        for gone in range(first_before, log.first_seq):
            count = log.next_seq - gone
            was_over = count > bounds.most_entries or left > bounds.most_bytes
            left -= len(before[gone].payload)
            was_spare = (
                count - 1 >= bounds.least_entries
                and left >= bounds.least_bytes
                and clock.now - before[gone].at > bounds.least_seconds
            )
            assert was_over or was_spare


def test_newcomer_begins_at_the_end_with_the_newest_of_each() -> None:
    """A late joiner gets the newest entry of each member of each group that has not ended, oldest first."""
    log = EventLog(epoch="e")
    for number in range(4):
        log.append(b"%d" % number, retain=("run", number % 2))
    log.append(b"odds")
    place = log.place(None)
    assert (place.seq, place.recovered, place.missed) == (6, True, 0)
    assert _seqs(place.snapshot) == [3, 4]
    assert log.place("") == place


def test_ended_group_is_given_only_to_those_who_were_there() -> None:
    """A new listener hears nothing of a run that has ended; a listener whose cursor lies before the end does."""
    log = EventLog(epoch="e", bounds=LogBounds(1, 0, 0.0, 1, 1 << 20))
    log.append(b"0", retain=("run", "a"))
    log.append(b"1", retain=("run", None), ends=True)
    log.append(b"2")
    assert _seqs(log.place(None).snapshot) == []
    assert _seqs(log.place("e-0").snapshot) == [1, 2]
    assert _seqs(log.place("e-1").snapshot) == [2]


def test_only_the_last_ended_groups_are_remembered() -> None:
    """Ended runs do not accumulate."""
    log = EventLog(epoch="e", keep_ended=2, bounds=LogBounds(1, 0, 0.0, 1, 1 << 20))
    for number in range(5):
        log.append(b"x", retain=(number, None), ends=True)
    assert _seqs(log.since(0)) == [4, 5]


@pytest.mark.parametrize(
    ("cursor", "seq", "recovered", "missed"),
    [
        ("e-20", 21, True, 0),
        ("e-17", 18, True, 0),
        ("e-15", 16, True, 0),
        ("e-14", 21, False, 6),
        ("e-0", 21, False, 20),
        ("e-21", 21, False, None),
        ("f-20", 21, False, None),
        ("e-", 21, False, None),
        ("e--1", 21, False, None),
        ("e-1e3", 21, False, None),
        ("e-٣", 21, False, None),
        ("e-20\n", 21, False, None),
        ("\x00", 21, False, None),
        ("e-" + "9" * 400, 21, False, None),
    ],
)
def test_place_of_a_cursor(cursor: str, seq: int, recovered: bool, missed: int | None) -> None:
    """A cursor within the log continues where it stopped; any other is not recovered and starts at the end."""
    log = _filled(20, LogBounds(5, 0, 0.0, 5, 1 << 20))
    place = log.place(cursor)
    assert (place.seq, place.recovered, place.missed) == (seq, recovered, missed)


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_that_leads_somewhere(cursor: str) -> None:
    """No text sent as a cursor raises an error."""
    log = _filled(3)
    place = log.place(cursor)
    assert log.first_seq <= place.seq <= log.next_seq
    split_cursor(cursor)


def test_cursors_of_a_named_log_bear_its_name() -> None:
    """The cursor of a run's stream names the run, and is not valid in another log."""
    log = EventLog("r7", epoch="ab")
    log.append(b"x")
    assert log.cursor_at(2) == "r7-ab-1"
    assert split_cursor("r7-ab-1") == ("r7-ab", 1)
    assert EventLog(epoch="ab").place("r7-ab-1").recovered is False


def test_epochs_differ() -> None:
    """Two logs, such as those before and after a restart, do not accept each other's cursors."""
    first, second = EventLog(), EventLog()
    first.append(b"x")
    second.append(b"x")
    assert not second.place(first.cursor_at(2)).recovered


def test_closed_log_takes_nothing() -> None:
    """A closed log stays closed, and can be closed again without an error."""
    log = _filled(1)
    log.close()
    log.close()
    with pytest.raises(RuntimeError, match="closed"):
        log.append(b"x")


def test_join_shares_frames_and_keeps_to_the_limit() -> None:
    """Each entry is framed only once. A join respects the byte limit, but includes at least one entry."""
    log = _filled(3)
    assert log.join(1, 4, EVERYTHING, TEXT, 1000) == (b'{"n":0}\n{"n":1}\n{"n":2}\n', 4)
    assert log.join(1, 4, EVERYTHING, TEXT, 16) == (b'{"n":0}\n{"n":1}\n', 3)
    assert log.join(1, 4, EVERYTHING, TEXT, 1) == (b'{"n":0}\n', 2)
    entry = next(iter(log.read(1, 2)))
    made = FRAME.frame(entry)
    assert log.join(1, 2, EVERYTHING, FRAME, 1000)[0] == made
    assert entry.frames[FRAME.kind] is made


def test_join_filters_by_topic_and_passes_over_the_rest() -> None:
    """Entries that do not match the filter are neither sent nor waited for."""
    log = EventLog(epoch="e")
    for number in range(6):
        log.append(b"%d" % number, topic="even" if number % 2 == 0 else "odd")
    assert log.join(1, 7, select(frozenset({"odd"})), TEXT, 1000) == (b"1\n3\n5\n", 7)
    assert log.join(1, 7, select(frozenset()), TEXT, 1000) == (b"", 7)


TOPICS = st.none() | st.frozensets(st.sampled_from("abcd"))


def _wanted(published: str, start: int, stop: int, topics: frozenset[str] | None) -> int:
    """Return how many of the entries from `start` to `stop` a listener would get, by iterating over all entries."""
    return sum(topics is None or topic in topics for topic in published[start - 1 : stop - 1])


@given(st.text("abc", max_size=40), TOPICS, st.integers(1, 9), st.data())
def test_count_is_what_a_walk_would_find(
    published: str, topics: frozenset[str] | None, kept: int, data: st.DataObject
) -> None:
    """The number of entries between two positions is known without iterating, even if they have been evicted."""
    log = EventLog(bounds=LogBounds(kept, 0, 0.0, kept, 1 << 20))
    for topic in published:
        log.append(b"x", topic=topic)
    start = data.draw(st.integers(1, log.next_seq))
    stop = data.draw(st.integers(start, log.next_seq))
    assert log.count(start, select(topics), stop) == _wanted(published, start, stop, topics)
    assert log.count(start, select(topics)) == _wanted(published, start, log.next_seq, topics)


@given(st.text("abc", max_size=40), TOPICS, st.integers(1, 9), st.integers(0, 45), st.sampled_from([2, 4, 1000]))
def test_what_is_missing_is_counted_by_what_the_listener_hears(
    published: str, topics: frozenset[str] | None, kept: int, had: int, remembered: int
) -> None:
    """If entries on the listener's topics were evicted, it learns how many it will not get; otherwise it recovers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topic_module, "MOST_REMEMBERED", remembered)
        log = EventLog(epoch="e", bounds=LogBounds(kept, 0, 0.0, kept, 1 << 20))
        for topic in published:
            log.append(b"x", topic=topic)
    place = log.place(f"e-{had}", select(topics))
    if had > len(published):
        assert (place.seq, place.recovered, place.missed) == (log.next_seq, False, None)
        return
    lost = _wanted(published, had + 1, max(had + 1, log.first_seq), topics)
    assert place.recovered == (lost == 0)
    assert place.seq == (max(had + 1, log.first_seq) if place.recovered else log.next_seq)
    missed = _wanted(published, had + 1, place.seq, topics)
    assert place.missed == missed or (place.missed is None and missed > remembered // 2)
    assert place.missed is not None or remembered < 1000


def test_where_a_rare_topic_was_is_known_however_much_is_published_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A count needs the positions of either one topic or all the others. If neither is known, there is no count."""
    monkeypatch.setattr(topic_module, "MOST_REMEMBERED", 4)
    log = EventLog(epoch="e", bounds=LogBounds(1, 0, 0.0, 1, 1 << 20))
    for topic in ("rare", *["often"] * 50, "rare", *["often"] * 50):
        log.append(b"x", topic=topic)
    rare, often = select(frozenset({"rare"})), select(frozenset({"often"}))
    assert (log.count(1, rare), log.count(2, rare), log.count(1, often), log.count(52, often)) == (2, 1, 100, 50)
    log.append(b"x", topic="third")
    assert log.count(1, often) == 100
    for _ in range(9):
        log.append(b"x", topic="rare")
    assert log.count(1, often) is None
    assert log.count(1, select(frozenset({"rare", "often"}))) == 111
