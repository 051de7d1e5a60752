"""Answers that are recorded in another order than they arrived: of each market and line, the newest one counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain.catalogue import offer_code
from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsCache, OddsService
from quart_odds.storage import Store
from tests.odds.making import NOW, OVER_UNDER, X1, header, here, key, listed, mapped, the_odds
from tests.odds.making import seconds_on as at

HOME, *_ = X1
OVER, *_ = OVER_UNDER
BOTH_SCORE = {key("btts_ft", name): odds for name, odds in (("Yes", 1.8), ("No", 1.95))}
OFFERS = (X1, OVER_UNDER, BOTH_SCORE)
END = NOW + timedelta(seconds=100)


@dataclass(frozen=True)
class Fetch:
    """An answer: when it arrived, whether it was a list, and the odds of each of OFFERS that it has."""

    second: int
    is_list: bool
    odds: tuple[float | None, ...]

    def record(self, cache: OddsCache) -> None:
        """Take it into the cache, at the end of the time in which all answers arrived."""
        make = listed if self.is_list else mapped
        odds = {key: value for offer, value in zip(OFFERS, self.odds, strict=True) if value for key in offer}
        if odds or not self.is_list:
            cache.apply(make(odds=odds), at(self.second), END)


def newest(fetches: list[Fetch], place: int) -> float | None:
    """Return the odds of an offer in the newest answer that says anything about it."""
    said = [each for each in fetches if not each.is_list or each.odds[place]]
    return max(said, key=lambda each: each.second).odds[place] if said else None


some_odds = st.sampled_from([None, 1.5, 2.5, 3.5])
fetches = st.lists(
    st.builds(Fetch, st.integers(0, 90), st.booleans(), st.tuples(some_odds, some_odds, some_odds)),
    min_size=1,
    max_size=8,
    unique_by=lambda each: each.second,
)


@given(fetches)
def test_the_newest_answer_of_each_market_counts_in_whatever_order_they_are_recorded(found: list[Fetch]) -> None:
    """A body speaks of all markets, a list of those that it has."""
    cache = OddsCache()
    for each in found:
        each.record(cache)
    event_odds = cache.event_odds(1)
    expected = {key: odds for place, offer in enumerate(OFFERS) if (odds := newest(found, place)) for key in offer}
    assert (here(event_odds) if event_odds is not None else {}) == expected
    if event_odds is not None:
        for place, offer in enumerate(OFFERS):
            said = [each.second for each in found if not each.is_list or each.odds[place]]
            if expected.keys() & offer.keys():
                assert {event_odds.seen_at_of(key) for key in offer} == {at(max(said))}


def test_a_body_that_is_recorded_late_keeps_what_a_list_had_since() -> None:
    """The list's prices, their ages and the bookmaker's own times stay; everything else is taken from the body."""
    cache = OddsCache()
    cache.apply(mapped(), NOW)
    code = offer_code(HOME)
    cache.apply(listed(odds=X1 | {HOME: 2.5}, source_changed={code: 7000}), at(20))
    change = cache.apply(mapped(odds=X1 | OVER_UNDER | {HOME: 2.2, OVER: 2.0}), at(10), at(25))
    event_odds = the_odds(cache)
    assert [key for key, _, _ in change.changed] == [OVER]
    assert here(event_odds) == X1 | OVER_UNDER | {HOME: 2.5, OVER: 2.0}
    assert (event_odds.seen_at_of(HOME), event_odds.seen_at_of(OVER)) == (at(20), at(10))
    assert event_odds.source_times.get(code) == 7000
    assert not cache.apply(listed(odds=X1 | {HOME: 2.5}), at(30)).changed


def test_the_first_body_may_be_older_than_the_list_before_it() -> None:
    """Its other prices are the first ones of their markets."""
    cache = OddsCache()
    cache.apply(listed(odds=X1 | {HOME: 2.5}), at(10))
    change = cache.apply(mapped(), at(5), at(11))
    assert set(change.opened) == set(OVER_UNDER)
    event_odds = the_odds(cache)
    assert here(event_odds) == X1 | OVER_UNDER | {HOME: 2.5}
    assert (event_odds.is_detailed, event_odds.seen_at) == (True, at(5))


@pytest.mark.parametrize("make", [mapped, listed])
def test_an_answer_from_before_the_newest_body_changes_nothing(make: object) -> None:
    """Neither prices nor ages nor the header, whether it was a body or a list."""
    cache = OddsCache()
    cache.apply(mapped(), at(20))
    moved = header(kickoff=header().kickoff + timedelta(hours=1))
    change = cache.apply(make(moved, X1 | {HOME: 9.0}), at(10), at(21))  # type: ignore[operator]
    event_odds = the_odds(cache)
    assert (change.is_change, change.is_header_changed) == (False, False)
    assert (here(event_odds), event_odds.seen_at_of(HOME), event_odds.header) == (X1 | OVER_UNDER, at(20), header())


def test_an_answer_that_waited_long_is_not_taken_for_a_clock_that_was_ahead() -> None:
    """Later changes keep their dates if they are not later than the current time."""
    cache = OddsCache()
    cache.apply(mapped(), NOW)
    cache.apply(listed(odds=X1 | {HOME: 2.5}), at(200))
    change = cache.apply(mapped(odds=X1 | BOTH_SCORE), at(100), at(201))
    assert change.redated_after == 0
    assert here(the_odds(cache)) == X1 | BOTH_SCORE | {HOME: 2.5}


@pytest.mark.parametrize("ahead", [7200, 75])
def test_after_a_clock_that_was_ahead_answers_count_again(ahead: int) -> None:
    """Prices that were only seen again with the wrong time do not outlive what the bookmaker says now."""
    cache = OddsCache()
    cache.apply(mapped(), NOW)
    cache.apply(mapped(), at(ahead))
    cache.apply(listed(), at(ahead + 1))
    cache.apply(listed(odds=X1 | {HOME: 2.5}), at(60))
    cache.apply(mapped(odds=X1 | {HOME: 2.6}), at(70))
    event_odds = the_odds(cache)
    assert here(event_odds) == X1 | {HOME: 2.6}
    assert event_odds.seen_at_of(HOME) == at(70)


async def test_a_late_body_is_recorded_with_its_own_time(store: Store) -> None:
    """Through the service, which knows the current time: what is stored is what counts."""
    odds: Mapping[int, float] = X1 | {HOME: 2.5}
    service = OddsService(store, clock=lambda: at(30))
    await service.record(listed(odds=odds), at(20))
    await service.record(mapped(), at(10))
    await service.close()
    again = OddsService(store, clock=lambda: at(30))
    await again.load()
    event_odds = the_odds(again.cache)
    assert here(event_odds) == X1 | OVER_UNDER | {HOME: 2.5}
    assert (event_odds.seen_at_of(HOME), event_odds.seen_at_of(OVER)) == (at(20), at(10))
    await again.close()


def test_a_body_from_before_the_withdrawal_does_not_bring_an_event_back() -> None:
    """The bookmaker said later that there is no such event."""
    cache = OddsCache()
    cache.apply(mapped(), NOW)
    cache.withdraw(Platform.BETPAWA, "e1", at(60), END)
    assert cache.apply(mapped(odds=X1 | {HOME: 2.5}), at(50), END).is_seen_only
    assert the_odds(cache).gone_at == at(60)
    assert here(the_odds(cache))[HOME] == X1[HOME]
    assert cache.apply(mapped(), at(70), END).is_available is True


def test_a_withdrawal_from_before_the_newest_body_is_ignored() -> None:
    """What was said of the event at the time is known to be over."""
    cache = OddsCache()
    cache.apply(mapped(), at(60))
    assert cache.withdraw(Platform.BETPAWA, "e1", at(50), END) is None
    assert the_odds(cache).gone_at is None
    assert cache.withdraw(Platform.BETPAWA, "e1", at(70), END) is not None


def test_a_withdrawal_dated_by_a_clock_that_was_ahead_does_not_hold_the_event_back() -> None:
    """Else it would be gone until the clock gets there."""
    cache = OddsCache()
    cache.apply(mapped(), NOW)
    cache.withdraw(Platform.BETPAWA, "e1", NOW + timedelta(days=1))
    assert cache.apply(mapped(), at(70), at(70)).is_available is True


def test_a_late_answer_does_not_set_back_when_the_event_changed() -> None:
    """The time of the newest change stays."""
    cache = OddsCache()
    cache.apply(mapped(), NOW)
    cache.apply(listed(odds=X1 | {HOME: 2.5}), at(60), END)
    assert cache.apply(mapped(odds=X1), at(50), END).changed
    event = cache.get(1)
    assert event is not None
    assert event.changed_at == at(60)
