"""A bookmaker's prices of one event: what changed, what left, what came back."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain.odds import Prices
from quart_odds.odds import quote as quote_module
from quart_odds.odds.quote import GONE, Quote
from tests.odds.making import NOW, header

Fetch = dict[int, int]


def fresh() -> Quote:
    """A quote that has seen nothing yet."""
    return Quote(1, header(), 1, first_seen_at=NOW, seen_at=NOW)


def later(seconds: float) -> datetime:
    """So many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def epoch(seconds: float) -> int:
    """The epoch second so many seconds after NOW."""
    return int(later(seconds).timestamp())


def take(quote: Quote, fetch: Fetch, seconds: float) -> tuple[tuple[int, int | None, int | None], ...]:
    """One fetch."""
    return quote.take(Prices.from_pairs(fetch.items()), later(seconds))


def test_only_what_moved_is_a_change() -> None:
    """A change has the value before and after; the same fetch again has none, and only the time it was seen moves."""
    quote = fresh()
    assert take(quote, {1: 10, 2: 20}, 0) == ((1, None, 10), (2, None, 20))
    assert take(quote, {1: 10, 2: 20}, 60) == ()
    assert quote.seen_at == later(60)
    assert take(quote, {1: 10, 2: 22}, 120) == ((2, 20, 22),)
    assert list(quote) == [(1, 10, epoch(0)), (2, 22, epoch(120))]


def test_a_price_that_left_is_gone_since_and_last_seen() -> None:
    """It keeps its odds, says since when it is gone and when it was last there, and comes back as new."""
    quote = fresh()
    take(quote, {1: 10, 2: 20}, 0)
    take(quote, {1: 10, 2: 20}, 50)
    assert take(quote, {1: 10}, 60) == ((2, 20, None),)
    assert list(quote) == [(1, 10, epoch(0)), (2, 20 | GONE, epoch(60))]
    assert quote.last_seen == {2: epoch(50)}
    assert quote.price_count == 1
    assert take(quote, {1: 10}, 70) == ()
    assert take(quote, {1: 11}, 80) == ((1, 10, 11),)
    assert quote.last_seen == {2: epoch(50)}
    assert take(quote, {1: 11, 2: 20}, 90) == ((2, None, 20),)
    assert quote.last_seen == {}
    assert quote.price_count == 2


def test_an_empty_fetch_takes_everything_away() -> None:
    """A healthy fetch without a price is believed."""
    quote = fresh()
    take(quote, {1: 10, 2: 20}, 0)
    assert take(quote, {}, 5) == ((1, 10, None), (2, 20, None))
    assert quote.price_count == 0


def test_two_changes_never_share_a_moment() -> None:
    """Changes within one second, or under a clock that steps back, still get ascending moments."""
    quote = fresh()
    moments = []
    for value, seconds in ((1, 0.0), (2, 0.4), (3, 0.9), (4, -30.0), (5, 60.0)):
        take(quote, {7: value}, seconds)
        moments.append(quote.changed[0])
    assert moments == [epoch(0), epoch(0) + 1, epoch(0) + 2, epoch(0) + 3, epoch(60)]


def test_arrays_that_were_handed_out_stay_as_they_are() -> None:
    """A writer that holds the arrays of a moment sees that moment."""
    quote = fresh()
    take(quote, {1: 10, 2: 20}, 0)
    held = quote.keys, quote.values, quote.changed
    before = [list(column) for column in held]
    take(quote, {1: 11, 2: 20}, 1)
    take(quote, {1: 11}, 2)
    assert [list(column) for column in held] == before


fetches = st.lists(st.dictionaries(st.integers(1, 6), st.integers(2, 5), max_size=6), min_size=1, max_size=8)


@given(fetches)
def test_it_is_the_newest_fetch_and_the_memory_of_the_others(seen: list[Fetch]) -> None:
    """After any fetches: what is there is the newest fetch, all else that ever was is gone, changes add up."""
    quote = fresh()
    told: dict[int, int] = {}
    ever: set[int] = set()
    for number, fetch in enumerate(seen):
        for key, old, new in take(quote, fetch, number * 10):
            assert told.get(key) == old
            if new is None:
                del told[key]
            else:
                told[key] = new
        ever |= fetch.keys()
        assert told == fetch
        assert {key: value for key, value, _ in quote if not value & GONE} == fetch
        assert {key for key, value, _ in quote if value & GONE} == ever - fetch.keys() == quote.last_seen.keys()
        assert list(quote.keys) == sorted(ever)
        assert quote.price_count == len(fetch)


def test_of_prices_that_are_gone_only_the_latest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bookmaker that offers other lines at each fetch would fill memory with those of before."""
    monkeypatch.setattr(quote_module, "MAX_GONE", 10)
    quote = fresh()
    for number in range(6):
        changes = take(quote, {100 * number + place: 10 for place in range(4)}, 60 * number)
        assert len(changes) == (4 if number == 0 else 8)
    assert (len(quote.keys), len(quote.last_seen), quote.price_count) == (14, 10, 4)
    assert {400, 401, 402, 403, 500, 501, 502, 503} <= set(quote.keys)
    assert not {0, 1, 2, 3} & set(quote.keys)
