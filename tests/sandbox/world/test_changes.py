"""The record of changed prices keeps the newest, and says what it no longer has."""

from datetime import timedelta

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.world.changes import ChangeLog
from tests.platforms import FIRST_THREE
from tests.sandbox.stand_ins import NOW, at_all, detail, sites


def log_of(number: int, size: int) -> ChangeLog:
    """Create a record of this many changes, one a second."""
    books, _ = sites()
    log, fixture = ChangeLog(size), books.fixtures[0]
    platform = next(iter(fixture.listings))
    start = int(NOW.timestamp() * 1000)
    for count in range(number):
        key = books.market_list(platform, fixture).keys[0]
        log.add(start + 1000 * count, platform, fixture, key, (200 + count, False), (201 + count, False))
    return log


def test_changes_are_numbered_from_one_and_read_from_a_number_or_a_time() -> None:
    """A reader continues after the last one that it has."""
    log = log_of(10, 100)
    assert [change.seq for change in log.since(0)] == list(range(1, 11))
    assert [change.seq for change in log.since(4, 3)] == [5, 6, 7]
    assert log.since(10) == ()
    assert (log.first_seq, log.last_seq) == (1, 10)
    assert log.seq_at(NOW + timedelta(seconds=3)) == 3
    assert log.seq_at(NOW + timedelta(seconds=3, microseconds=1)) == 4
    assert log.seq_at(NOW - timedelta(days=1)) == 0
    assert log.seq_at(NOW + timedelta(days=1)) == 10


def test_the_oldest_changes_are_dropped() -> None:
    """The first number that is kept tells a reader what it missed."""
    log = log_of(10, 4)
    assert [change.seq for change in log.since(0)] == [7, 8, 9, 10]
    assert (log.first_seq, log.last_seq) == (7, 10)
    empty = ChangeLog()
    assert (empty.first_seq, empty.last_seq, empty.since(0), empty.seq_at(NOW)) == (1, 0, (), 0)


def test_movement_between_requests_is_recorded_as_well() -> None:
    """Every way in which a price changes is."""
    books, found = sites(SandboxOptions(events=5, move=1.0, bookmakers=FIRST_THREE))
    fixture = at_all(books)
    detail(found[Platform.BETPAWA], fixture)
    assert books.changes.last_seq == 0
    detail(found[Platform.BETPAWA], fixture)
    changes = books.changes.since(0)
    assert {(c.platform, c.fixture.number, c.at) for c in changes} == {(Platform.BETPAWA, fixture.number, NOW)}
    assert {c.is_main for c in changes} == {True, False}
