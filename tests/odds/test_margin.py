"""Margins, best prices, and the full set of outcomes that they need."""

import pytest

from quart_odds.domain.catalogue import CATALOGUE
from quart_odds.domain.odds import pack_value
from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsCache
from quart_odds.odds.event_odds import GONE
from quart_odds.odds.margin import best_markets, gain_of, is_active_price, margin_of, market_margin
from tests.odds.making import NOW, OVER_UNDER, X1, header, key, mapped

ONE_X_TWO = CATALOGUE.by_slug["1x2_ft"]
DOUBLE_CHANCE = CATALOGUE.by_slug["double_chance_ft"]


def active(*odds: float) -> dict[int, int]:
    """Return active prices by outcome index."""
    return {index: pack_value(value, True) for index, value in enumerate(odds)}


def test_a_margin_is_what_the_inverse_odds_exceed_one_by() -> None:
    """2.41, 3.29 and 3.02 have a margin of 5 percent; double chance has two winning outcomes."""
    assert market_margin(ONE_X_TWO, active(2.41, 3.29, 3.02)) == pytest.approx(5.0, abs=0.01)
    assert market_margin(DOUBLE_CHANCE, active(1.39, 1.35, 1.56)) == pytest.approx(5.06, abs=0.01)


@pytest.mark.parametrize(
    "values",
    [
        active(2.41, 3.29),
        active(2.41, 3.29, 3.02) | {2: pack_value(3.02, False)},
        active(2.41, 3.29, 3.02) | {1: pack_value(3.29, True) | GONE},
        active(2.41, 3.29, 1.0),
        {},
    ],
    ids=["two of three", "one suspended", "one gone", "one that pays nothing", "none"],
)
def test_less_than_the_full_set_has_no_margin(values: dict[int, int]) -> None:
    """An incomplete market has no margin, rather than a wrong one."""
    assert market_margin(ONE_X_TWO, values) is None


def test_a_market_that_means_different_things_has_no_margin() -> None:
    """Outcomes that are not the same set at all bookmakers are not added up."""
    odd = next(market for market in CATALOGUE.markets if not market.is_comparable)
    assert market_margin(odd, active(*[3.0] * len(odd.outcomes))) is None


def test_a_price_that_is_suspended_gone_or_one_cannot_be_taken() -> None:
    """Only active odds above 1 count."""
    assert is_active_price(pack_value(1.01, True))
    assert not is_active_price(pack_value(1.0, True))
    assert not is_active_price(pack_value(2.0, False))
    assert not is_active_price(pack_value(2.0, True) | GONE)


def test_gain_and_margin_have_opposite_signs() -> None:
    """Best prices with a profit of 1 percent have a margin of -0.99 percent."""
    values = list(active(2.02, 2.02).values())
    over_under = CATALOGUE.by_slug["over_under_ft"]
    assert gain_of(over_under, values) == 1.0
    assert margin_of(over_under, values) == -0.99


def test_best_prices_are_taken_from_all_that_list_the_event() -> None:
    """Each outcome has its best price and all who offer it; suspended, gone and unlisted prices do not count."""
    cache = OddsCache()
    home, draw, away = X1
    cache.apply(mapped(header(Platform.BETPAWA, "a")), NOW)
    cache.apply(
        mapped(header(Platform.SPORTYBET, "b"), {home: 2.4, draw: 3.5, away: 9.0}, suspended=frozenset({away})), NOW
    )
    cache.apply(mapped(header(Platform.BET9JA, "c"), {home: 9.0, draw: 9.0, away: 9.0}), NOW)
    cache.mark_missing(Platform.BET9JA, {}, NOW)
    best = {(each.market.slug, each.line): each for each in best_markets(cache.events[1])}
    assert set(best) == {("1x2_ft", None), ("over_under_ft", 2.5)}
    found = [
        (price.value >> 1, [event_odds.header.platform for event_odds in price.odds])
        for price in best["1x2_ft", None].prices
    ]
    assert found == [
        (2400, [Platform.BETPAWA, Platform.SPORTYBET]),
        (3500, [Platform.SPORTYBET]),
        (3000, [Platform.BETPAWA]),
    ]
    assert [each for each in best.values() if each.gain > 0] == []


def test_lines_are_never_mixed() -> None:
    """Over 2.5 and under 3.5 do not make a market."""
    cache = OddsCache()
    over, _ = OVER_UNDER
    cache.apply(mapped(odds={over: 2.2, key("over_under_ft", "Under", 3.5): 2.2}), NOW)
    assert best_markets(cache.events[1]) == []
