"""The history of a market, with gaps."""

from datetime import timedelta

from quart_odds.domain.catalogue import CATALOGUE
from quart_odds.odds import OddsCache
from quart_odds.odds.event_odds import GONE, EventOdds
from quart_odds.odds.history import GONE_ODDS, LISTING_KEY, MarketState, OddsHistory, market_keys, market_states
from tests.odds.making import NOW, X1, header, mapped
from tests.odds.making import minutes_on as at

KEYS = market_keys(CATALOGUE.by_slug["1x2_ft"], None)
HOME, DRAW, AWAY = X1
HOME_INDEX = KEYS[HOME]
FIRST = {HOME: 2400 << 1 | 1, DRAW: 3300 << 1 | 1, AWAY: 3000 << 1 | 1}


def epoch(minutes: float) -> int:
    """Return the same as an epoch second."""
    return int(at(minutes).timestamp())


def lived(*fetches: tuple[float, dict[int, float] | None]) -> tuple[EventOdds, OddsHistory]:
    """Return event odds after fetches, each at its minute (None: not listed), and the history as a writer stores it."""
    cache = OddsCache()
    changes: list[tuple[int, int, int]] = []
    opening: dict[int, int] = {}
    event_odds: EventOdds | None = None
    for minute, odds in fetches:
        if odds is None:
            change = cache.mark_missing(header().platform, {}, at(minute))[0]
        else:
            change = cache.apply(mapped(odds=odds), at(minute))
        event_odds = cache.event_odds(change.odds_id)
        if change.is_new:
            opening = {key: new for key, _, new in change.changed if new is not None}
            continue
        changes += [(change.moment, key, GONE_ODDS if new is None else new) for key, _, new in change.changed]
        if change.is_available is not None:
            changes.append((change.moment, LISTING_KEY, 0 if change.is_available else GONE_ODDS))
    assert event_odds is not None
    return event_odds, OddsHistory(epoch(fetches[0][0]), opening, tuple(sorted(changes)))


def test_prices_in_memory_that_lag_behind_the_history_are_not_reported_as_news() -> None:
    """A process that only reads may hold older prices than another one has committed; the committed ones count."""
    event_odds, past = lived((0, X1), (5, X1 | {HOME: 2.5}))
    newer = (epoch(20), HOME, 2700 << 1 | 1)
    found = market_states(event_odds, OddsHistory(past.opened_at, past.opening, (*past.changes, newer)), KEYS)
    assert [(each.at, each.values[HOME_INDEX] >> 1) for each in found] == [
        (at(0), 2400),
        (at(5), 2500),
        (at(20), 2700),
    ]


def test_event_that_came_back_and_is_not_committed_is_reported_when_it_came_back() -> None:
    """The moment is after it was gone, even though its prices changed earlier."""
    event_odds, past = lived((0, X1), (5, None), (10, X1))
    committed = OddsHistory(past.opened_at, past.opening, tuple(each for each in past.changes if each[0] < epoch(10)))
    assert [(minute, is_listed) for minute, _, is_listed, _ in shown(market_states(event_odds, committed, KEYS))] == [
        (0, True),
        (5, False),
        (10, True),
    ]


def test_window_that_ends_before_it_begins_has_nothing() -> None:
    """There are no states outside the window."""
    event_odds, past = lived((0, X1), (5, X1 | {HOME: 2.5}))
    assert market_states(event_odds, past, KEYS, at(20), at(10)) == []


def shown(found: list[MarketState]) -> list[tuple[float, list[int | None], bool, bool]]:
    """Return each state as minutes, odds in thousandths (None: gone), listed, confirmed."""
    return [
        (
            (each.at - NOW) / timedelta(minutes=1),
            [None if value & GONE else value >> 1 for _, value in sorted(each.values.items())],
            each.is_listed,
            each.is_confirmed,
        )
        for each in found
    ]


def test_a_price_that_never_moved_has_its_first_and_its_last_sight() -> None:
    """A chart begins with the opening and ends with the confirmation."""
    found = market_states(*lived((0, X1), (30, X1)), KEYS)
    assert shown(found) == [(0, [2400, 3300, 3000], True, False), (30, [2400, 3300, 3000], True, True)]


def test_each_change_is_a_point_with_all_outcomes() -> None:
    """Outcomes that did not change keep their odds."""
    found = market_states(*lived((0, X1), (5, X1 | {HOME: 2.5}), (10, X1 | {HOME: 2.5, AWAY: 2.9})), KEYS)
    assert shown(found) == [
        (0, [2400, 3300, 3000], True, False),
        (5, [2500, 3300, 3000], True, False),
        (10, [2500, 3300, 2900], True, False),
    ]


def test_gaps_are_shown() -> None:
    """A price disappears and comes back, and then the event does."""
    without = {DRAW: 3.3, AWAY: 3.0}
    found = market_states(*lived((0, X1), (5, without), (10, X1), (15, None), (20, X1), (25, X1)), KEYS)
    assert shown(found) == [
        (0, [2400, 3300, 3000], True, False),
        (5, [None, 3300, 3000], True, False),
        (10, [2400, 3300, 3000], True, False),
        (15, [2400, 3300, 3000], False, False),
        (20, [2400, 3300, 3000], True, False),
        (25, [2400, 3300, 3000], True, True),
    ]
    assert [each.is_available for each in found] == [True, True, True, False, True, True]


def test_a_window_begins_with_how_things_stood() -> None:
    """The first state is the one at `since`, and states after `until` are left out."""
    event_odds, past = lived((0, X1), (5, X1 | {HOME: 2.5}), (20, X1 | {HOME: 2.6}))
    found = market_states(event_odds, past, KEYS, since=at(10), until=at(30))
    assert shown(found) == [(10, [2500, 3300, 3000], True, False), (20, [2600, 3300, 3000], True, False)]
    assert shown(market_states(event_odds, past, KEYS, until=at(4))) == [(0, [2400, 3300, 3000], True, False)]


def test_without_an_opening_the_last_change_still_counts() -> None:
    """If retention has removed the beginning, a price that has not moved since is known from its last change."""
    event_odds, _ = lived((0, X1), (30, X1))
    found = market_states(event_odds, OddsHistory(None, {}, ()), KEYS)
    assert shown(found) == [(0, [2400, 3300, 3000], True, False), (30, [2400, 3300, 3000], True, True)]


def test_a_market_that_was_never_offered_has_no_history() -> None:
    """There are no states, rather than an empty one."""
    event_odds, past = lived((0, X1))
    assert market_states(event_odds, past, market_keys(CATALOGUE.by_slug["btts_ft"], None)) == []


def test_first_prices_are_told_apart_from_changes() -> None:
    """Also those of an outcome that comes later. What comes back, and what a period begins with, is no opening."""
    event_odds, past = lived(
        (0, X1), (5, X1 | {HOME: 2.6}), (9, X1 | {HOME: 2.5}), (12, {HOME: 2.5}), (15, X1), (20, None)
    )
    found = market_states(event_odds, past, KEYS)
    assert [(each.at, each.is_opening) for each in found] == [
        (at(0), True),
        (at(5), False),
        (at(9), False),
        (at(12), False),
        (at(15), False),
        (at(20), False),
    ]
    only_later = {HOME: 2.6} | {each: odds for each, odds in X1.items() if each != HOME}
    event_odds, past = lived(
        (0, {HOME: 2.4}), (5, {HOME: 2.4} | {each: X1[each] for each in (DRAW, AWAY)}), (9, only_later)
    )
    assert [each.is_opening for each in market_states(event_odds, past, KEYS)] == [True, True, False]
    assert [each.is_opening for each in market_states(event_odds, past, KEYS, since=at(1))] == [False, True, False]
    assert [each.is_opening for each in market_states(event_odds, past, KEYS, since=at(0))] == [True, True, False]
    confirmed = market_states(*lived((0, X1), (7, X1)), KEYS)
    assert [(each.is_opening, each.is_confirmed) for each in confirmed] == [(True, False), (False, True)]


def test_what_retention_has_left_does_not_begin_with_an_opening() -> None:
    """Nobody knows then what came before. Prices that are not stored yet are an opening if they are that new."""
    event_odds, past = lived((0, X1), (5, X1 | {HOME: 2.5}))
    for left in (
        OddsHistory(None, {}, past.changes),
        OddsHistory(epoch(3), {}, past.changes),
        OddsHistory(None, {}, ()),
    ):
        assert not any(each.is_opening for each in market_states(event_odds, left, KEYS))
    event_odds, _ = lived((0, X1))
    assert [each.is_opening for each in market_states(event_odds, OddsHistory(None, {}, ()), KEYS)] == [True]
