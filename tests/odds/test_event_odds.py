"""A bookmaker's prices of one event: which ones changed, disappeared and came back."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain.odds import Prices
from quart_odds.odds import event_odds as event_odds_module
from quart_odds.odds.event_odds import GONE, EventOdds
from tests.odds.making import NOW, header

Fetch = dict[int, int]


def fresh() -> EventOdds:
    """Return event odds that have no fetch yet."""
    return EventOdds(1, header(), 1, first_seen_at=NOW, seen_at=NOW)


def later(seconds: float) -> datetime:
    """Return the moment this many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def epoch(seconds: float) -> int:
    """Return the epoch second this many seconds after NOW."""
    return int(later(seconds).timestamp())


def take(event_odds: EventOdds, fetch: Fetch, seconds: float) -> tuple[tuple[int, int | None, int | None], ...]:
    """Pass one fetch to `EventOdds.take`, as the cache does when it arrives, and return the changes."""
    event_odds.heed_clock(later(seconds))
    return event_odds.take(Prices.from_pairs(fetch.items()), later(seconds))


def test_only_what_moved_is_a_change() -> None:
    """A change has the values before and after; an identical fetch has no changes, and only updates `seen_at`."""
    event_odds = fresh()
    assert take(event_odds, {1: 10, 2: 20}, 0) == ((1, None, 10), (2, None, 20))
    assert take(event_odds, {1: 10, 2: 20}, 60) == ()
    assert event_odds.seen_at == later(60)
    assert take(event_odds, {1: 10, 2: 22}, 120) == ((2, 20, 22),)
    assert list(event_odds) == [(1, 10, epoch(0)), (2, 22, epoch(120))]


def test_a_price_that_left_is_gone_since_and_last_seen() -> None:
    """It keeps its odds, since when it is gone and when it was last there; if it comes back, that is a new price."""
    event_odds = fresh()
    take(event_odds, {1: 10, 2: 20}, 0)
    take(event_odds, {1: 10, 2: 20}, 50)
    assert take(event_odds, {1: 10}, 60) == ((2, 20, None),)
    assert list(event_odds) == [(1, 10, epoch(0)), (2, 20 | GONE, epoch(60))]
    assert event_odds.last_seen == {2: epoch(50)}
    assert event_odds.price_count == 1
    assert take(event_odds, {1: 10}, 70) == ()
    assert take(event_odds, {1: 11}, 80) == ((1, 10, 11),)
    assert event_odds.last_seen == {2: epoch(50)}
    assert take(event_odds, {1: 11, 2: 20}, 90) == ((2, None, 20),)
    assert event_odds.last_seen == {}
    assert event_odds.price_count == 2


def test_an_empty_fetch_takes_everything_away() -> None:
    """A healthy fetch is believed even if it has no prices."""
    event_odds = fresh()
    take(event_odds, {1: 10, 2: 20}, 0)
    assert take(event_odds, {}, 5) == ((1, 10, None), (2, 20, None))
    assert event_odds.price_count == 0


def test_two_changes_never_share_a_moment() -> None:
    """Changes within one second, or after the clock was set back, still get ascending moments."""
    event_odds = fresh()
    moments = []
    for value, seconds in ((1, 0.0), (2, 0.4), (3, 0.9), (4, -30.0), (5, 60.0)):
        take(event_odds, {7: value}, seconds)
        moments.append(event_odds.changed[0])
    assert moments == [epoch(0), epoch(0) + 1, epoch(0) + 2, epoch(0) + 3, epoch(60)]


def test_arrays_that_were_handed_out_stay_as_they_are() -> None:
    """A writer that holds the arrays keeps seeing the prices of that moment."""
    event_odds = fresh()
    take(event_odds, {1: 10, 2: 20}, 0)
    held = event_odds.keys, event_odds.values, event_odds.changed
    before = [list(column) for column in held]
    take(event_odds, {1: 11, 2: 20}, 1)
    take(event_odds, {1: 11}, 2)
    assert [list(column) for column in held] == before


fetches = st.lists(st.dictionaries(st.integers(1, 6), st.integers(2, 5), max_size=6), min_size=1, max_size=8)


@given(fetches)
def test_it_is_the_newest_fetch_and_the_memory_of_the_others(seen: list[Fetch]) -> None:
    """The prices are those of the newest fetch, all earlier ones are gone, and the changes add up to that."""
    event_odds = fresh()
    known: dict[int, int] = {}
    ever: set[int] = set()
    for number, fetch in enumerate(seen):
        for key, old, new in take(event_odds, fetch, number * 10):
            assert known.get(key) == old
            if new is None:
                del known[key]
            else:
                known[key] = new
        ever |= fetch.keys()
        assert known == fetch
        assert {key: value for key, value, _ in event_odds if not value & GONE} == fetch
        assert (
            {key for key, value, _ in event_odds if value & GONE} == ever - fetch.keys() == event_odds.last_seen.keys()
        )
        assert list(event_odds.keys) == sorted(ever)
        assert event_odds.price_count == len(fetch)


def test_of_prices_that_are_gone_only_the_latest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a bookmaker that offers other lines at each fetch would fill the memory."""
    monkeypatch.setattr(event_odds_module, "MAX_GONE", 10)
    event_odds = fresh()
    for number in range(6):
        changes = take(event_odds, {100 * number + place: 10 for place in range(4)}, 60 * number)
        assert len(changes) == (4 if number == 0 else 8)
    assert (len(event_odds.keys), len(event_odds.last_seen), event_odds.price_count) == (14, 10, 4)
    assert {400, 401, 402, 403, 500, 501, 502, 503} <= set(event_odds.keys)
    assert not {0, 1, 2, 3} & set(event_odds.keys)
