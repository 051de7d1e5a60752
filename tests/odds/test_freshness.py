"""The ages of prices, and the delays of changes."""

from dataclasses import replace
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain.catalogue import offer_code
from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsCache
from quart_odds.odds.delays import BOUNDS, ChangeDelays
from quart_odds.odds.freshness import Ages, BookmakerAges, Freshness, no_ages
from tests.odds.making import KICKOFF, NOW, OVER_UNDER, X1, header, key, listed, mapped
from tests.odds.making import seconds_on as at

HOME, DRAW, AWAY = X1
CORRECT = {key("correct_score_ft", "1-0"): 7.0}


def measured(cache: OddsCache, now: datetime, freshness: Freshness | None = None) -> BookmakerAges:
    """Return BetPawa's ages at a moment."""
    ages = no_ages()
    for event in cache.by_kickoff():
        (freshness or Freshness(cache)).add(ages, event, now)
    return ages[Platform.BETPAWA]


def test_each_market_and_line_counts_once_with_its_own_age() -> None:
    """The event's body had three of them, and a list one of these ten seconds later."""
    cache = OddsCache()
    cache.apply(mapped(odds=X1 | OVER_UNDER | CORRECT), NOW)
    cache.apply(listed(), at(10))
    ages = measured(cache, at(12))
    assert ages.main.counts == {2.0: 1, 12.0: 1}
    assert ages.all.counts == {2.0: 1, 12.0: 2}
    assert (ages.all.quantile(0.5), ages.all.oldest, ages.all.sum) == (12.0, 12.0, 26.0)


def test_what_cannot_be_played_does_not_count() -> None:
    """Neither events that have kicked off or are gone, nor markets without a price."""
    cache = OddsCache()
    freshness = Freshness(cache)
    cache.apply(mapped(odds=X1 | OVER_UNDER), NOW)
    assert measured(cache, at(1), freshness).main.total == 2
    cache.apply(mapped(odds=X1), at(1))
    assert measured(cache, at(2), freshness).main.counts == {1.0: 1}
    assert measured(cache, KICKOFF, freshness).all.total == 0
    cache.mark_missing(Platform.BETPAWA, {}, at(5))
    assert measured(cache, at(6), freshness).all.total == 0


def test_nothing_has_no_age() -> None:
    """There are no figures without prices."""
    ages = measured(OddsCache(), NOW)
    assert (ages.main.quantile(0.5), ages.all.oldest) == (None, None)


@given(st.lists(st.integers(-5, 100), min_size=1), st.sampled_from([0.05, 0.5, 0.95, 1.0]))
def test_a_quantile_is_the_least_age_that_its_share_is_not_above(seconds: list[int], share: float) -> None:
    """Buckets agree with the same definition; no age is below zero."""
    ages = Ages()
    for each in seconds:
        ages.add(each, 1)
    clamped = [max(each, 0) for each in seconds]
    found = ages.quantile(share)
    assert found is not None
    assert sum(each <= found for each in clamped) >= share * len(seconds)
    assert sum(each < found for each in clamped) < share * len(seconds)
    assert ages.at_most((0.0, 10.0, 50.0)) == [sum(each <= bound for each in clamped) for bound in (0, 10, 50)]
    assert ages.oldest == max(clamped)


def test_delays_are_counted_by_market_and_line_where_the_bookmaker_says_when() -> None:
    """The first prices are no change, an unchanged price has no delay, and a clock that is ahead gives none below 0."""
    cache, delays = OddsCache(), ChangeDelays()
    home = offer_code(HOME)
    changed = int(NOW.timestamp() * 1000)

    def take(odds: dict[int, float], source: dict[int, int], seconds: float) -> None:
        mapped_event = replace(listed(header(Platform.SPORTYBET), odds), source_changed=source)
        delays.note(cache.apply(mapped_event, at(seconds)), source, at(seconds))

    take(X1, {home: changed}, 4)
    take(X1, {home: changed}, 8)
    assert delays.by_platform == {}
    take(X1 | {HOME: 2.5, DRAW: 3.4}, {home: changed + 1000}, 13)
    take(X1 | {HOME: 2.6}, {}, 20)
    take(X1 | {HOME: 2.7}, {home: changed + 60_000}, 25)
    found = delays.by_platform[Platform.SPORTYBET]
    assert sum(found.counts) == 2
    assert found.counts[BOUNDS.index(15.0)] == 1
    assert found.counts[0] == 1
    assert found.sum_seconds == 12.0


def test_what_an_events_first_body_adds_to_a_list_is_no_change() -> None:
    """The bookmaker may have set those prices days ago. A price of the list that moved meanwhile is one."""
    cache, delays = OddsCache(), ChangeDelays()
    source = {offer_code(key): int(NOW.timestamp() * 1000) - 86_400_000 for key in OVER_UNDER}
    cache.apply(listed(header(Platform.SPORTYBET), X1), at(0))
    opened = cache.apply(mapped(header(Platform.SPORTYBET), X1 | OVER_UNDER), at(5))
    assert (len(opened.changed), opened.repriced) == (2, ())
    delays.note(opened, source, at(5))
    assert delays.by_platform == {}
    moved = cache.apply(mapped(header(Platform.SPORTYBET), X1 | OVER_UNDER | {HOME: 2.5}), at(9))
    assert [key for key, _, _ in moved.repriced] == [HOME]
