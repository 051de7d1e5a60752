"""How prices move before the kick-off: opening, closing, and the change over an hour and a day."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain.odds import pack_value
from quart_odds.odds.event_odds import GONE
from quart_odds.odds.history import GONE_ODDS, LISTING_KEY, Change
from quart_odds.odds.movement import DAY_SECONDS, HOUR_SECONDS, CurrentPrices, Movement, Quote, movements

KEY, OTHER = 100, 200
KICKOFF = 10_000_000
OPENED = KICKOFF - 3 * DAY_SECONDS
NOW = KICKOFF - 600


def price(odds: float, *, active: bool = True) -> int:
    return pack_value(odds, active)


def moved(
    *changes: tuple[int, float | int],
    now: int = NOW,
    current: int | None = None,
    opening: float | None = 2.0,
    is_listed: bool = True,
) -> Movement:
    """Return how KEY has moved: `changes` are (epoch second, odds, or a packed value)."""
    packed = [(at, KEY, odds if isinstance(odds, int) else price(odds)) for at, odds in changes]
    first = [] if opening is None else [(OPENED, KEY, price(opening))]
    last = [*first, *packed][-1:] or [(OPENED, KEY, price(2.0))]
    value = current if current is not None else last[0][2] if last[0][2] != GONE_ODDS else price(2.0) | GONE
    since = last[0][0] if current is None else now - 1
    prices = CurrentPrices({KEY: (value, since)}, is_listed)
    return movements(first, packed, prices, KICKOFF, now)[KEY]


def test_a_price_is_compared_with_the_one_an_hour_and_a_day_before() -> None:
    """What changed at the very moment counts already."""
    found = moved((NOW - DAY_SECONDS, 2.5), (NOW - HOUR_SECONDS - 1, 4.0), (NOW - 60, 5.0))
    assert found == Movement(Quote(2.0, OPENED), None, 25.0, 100.0, 150.0)


def test_before_the_kickoff_nothing_is_closed() -> None:
    """A price that has never changed has moved by nothing."""
    assert moved() == Movement(Quote(2.0, OPENED), None, 0.0, 0.0, 0.0)


def test_after_the_kickoff_the_last_price_before_it_counts() -> None:
    """Prices in play neither close nor move it."""
    changes = ((KICKOFF - DAY_SECONDS, 2.5), (KICKOFF - 30, 3.0), (KICKOFF, 9.0), (KICKOFF + 60, 12.0))
    found = moved(*changes, now=KICKOFF + 7200)
    assert found == Movement(Quote(2.0, OPENED), Quote(3.0, KICKOFF - 30), 20.0, 20.0, 50.0)


def test_a_price_that_was_not_there_at_a_moment_has_not_moved_since() -> None:
    """Neither has one that opened later, is gone, or whose event was not listed."""
    assert moved((NOW - 7200, GONE_ODDS), (NOW - 60, 3.0)).hour_percent is None
    assert moved((NOW - 7200, GONE_ODDS), (NOW - 60, 3.0)).day_percent == 50.0
    assert moved((NOW - 60, GONE_ODDS)) == Movement(Quote(2.0, OPENED))
    assert moved(is_listed=False) == Movement(Quote(2.0, OPENED))
    late = movements(
        [(OPENED, KEY, price(2.0)), (NOW - 60, OTHER, price(3.0))],
        [(NOW - DAY_SECONDS - 60, LISTING_KEY, GONE_ODDS), (NOW - 7200, LISTING_KEY, 0)],
        CurrentPrices({KEY: (price(2.0), OPENED), OTHER: (price(3.0), NOW - 60)}, is_listed=True),
        KICKOFF,
        NOW,
    )
    assert late == {
        KEY: Movement(Quote(2.0, OPENED), None, 0.0, None, 0.0),
        OTHER: Movement(Quote(3.0, NOW - 60), None, None, None, 0.0),
    }


def test_a_suspended_price_counts_with_its_last_odds_and_opens_nothing() -> None:
    """Bookmakers write any number beside a suspended outcome. One that is suspended now has not moved."""
    suspended = price(1.0, active=False)
    assert moved((NOW - 7200, 4.0), (NOW - 4000, suspended), (NOW - 60, 5.0)).hour_percent == 25.0
    assert moved((NOW - 60, suspended)).hour_percent is None
    found = movements(
        [(OPENED, KEY, suspended)],
        [(NOW - 7200, KEY, price(3.0))],
        CurrentPrices({KEY: (price(3.0), NOW - 7200)}, is_listed=True),
        KICKOFF,
        NOW,
    )
    assert found[KEY] == Movement(Quote(3.0, NOW - 7200), None, 0.0, None, 0.0)


def test_what_is_in_memory_may_be_newer_than_what_is_stored() -> None:
    """Also what has gone. After the kick-off, only what is stored says what there was before."""
    assert moved(current=price(2.2)).hour_percent == 10.0
    assert moved(current=price(2.2) | GONE).hour_percent is None
    assert moved(current=price(9.0), now=KICKOFF + 60).closing == Quote(2.0, OPENED)


def test_a_price_without_history_has_been_the_same_for_long() -> None:
    """Retention removes the first prices of old events, and what has not changed since has no other row."""
    assert moved(opening=None) == Movement(None, None, 0.0, 0.0)
    assert moved((NOW - 60, 3.0), opening=None) == Movement()


odds = st.integers(1001, 50_000).map(lambda thousandths: thousandths / 1000)
change = st.tuples(
    st.integers(OPENED + 1, KICKOFF + 7200),
    st.sampled_from([KEY, OTHER, LISTING_KEY]),
    st.one_of(st.just(GONE_ODDS), odds.map(price), odds.map(lambda each: price(each, active=False))),
)


@given(st.lists(change, max_size=40), st.integers(OPENED, KICKOFF + 7200))
def test_any_history_gives_sound_numbers(changes: list[Change], now: int) -> None:
    """A closing price follows the opening, before the kick-off. A change is above -100 %, and only where prices are."""
    past = sorted(each for each in changes if each[0] <= now)
    past = [(at, key, min(odds, 0) if key == LISTING_KEY else odds) for at, key, odds in past]
    state = {KEY: (price(2.0), OPENED)}
    is_listed = True
    for at, key, value in past:
        if key == LISTING_KEY:
            is_listed = value != GONE_ODDS
        elif value != GONE_ODDS:
            state[key] = (value, at)
        elif key in state:
            state[key] = (state[key][0] | GONE, at)
    found = movements([(OPENED, KEY, price(2.0))], past, CurrentPrices(state, is_listed), KICKOFF, now)
    assert found.keys() == state.keys()
    assert found[KEY].opening == Quote(2.0, OPENED)
    for each in found.values():
        assert each.closing is None or (now >= KICKOFF and each.closing.at < KICKOFF)
        assert all(percent is None or percent > -100 for percent in (each.hour_percent, each.day_percent))
    if now < KICKOFF and not is_listed:
        assert all((each.hour_percent, each.day_percent) == (None, None) for each in found.values())


@pytest.mark.parametrize("seconds", [HOUR_SECONDS - 1, HOUR_SECONDS, HOUR_SECONDS + 1])
def test_the_hour_is_exact(seconds: int) -> None:
    """A change an hour ago is the price of then; one that is a second younger is not."""
    assert moved((NOW - seconds, 3.0)).hour_percent == (50.0 if seconds < HOUR_SECONDS else 0.0)
