"""The figures beside the prices of one market are those that the API gives for it, at a fraction of the cost."""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from quart_odds.domain.catalogue import CATALOGUE, promoted_key
from quart_odds.domain.fair import Chance, pack_chance
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import BOOSTED, ONE_UP
from quart_odds.odds import OddsCache
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.fair_prices import FairPrices
from quart_odds.odds.row_figures import RowFigures, figures_of
from quart_odds.odds.views import best_prices
from quart_odds.routes.pages.odds import event_row
from tests.odds.making import NOW, OVER_UNDER, STALE_AFTER, X1, header, key, mapped

BETPAWA, SPORTYBET, BET9JA, *_ = Platform
HOME, DRAW, AWAY = X1
WINS = {HOME: 0.4, DRAW: 0.29, AWAY: 0.31}
ONE_X_TWO = CATALOGUE.by_slug["1x2_ft"]


def cached(*fetches: tuple[Platform, Mapping[int, float], Mapping[int, float] | None]) -> CachedEvent:
    """Return the event that these bookmakers list: odds, and the probabilities of the feed."""
    cache = OddsCache()
    for platform, odds, wins in fetches:
        chances = {each: pack_chance(Chance(win)) for each, win in (wins or {}).items()}
        cache.apply(replace(mapped(header(platform), odds), chances=chances), NOW)
    return cache.events[1]


def figures(event: CachedEvent, *platforms: Platform, later: timedelta = timedelta()) -> RowFigures:
    """Return the figures of 1X2."""
    return figures_of(event, ONE_X_TWO, None, platforms or None, NOW + later, STALE_AFTER)


def test_figures_are_fair_odds_value_and_the_lead_of_the_best() -> None:
    """The feed says what the outcomes are worth, the best price is compared with that and with the second."""
    event = cached((SPORTYBET, X1, WINS), (BET9JA, X1 | {HOME: 2.6}, None))
    found = figures(event)
    assert found.fair_source == "sportybet"
    assert [each.best for each in found.outcomes] == [2600, 3300, 3000]
    assert [each.fair_odds for each in found.outcomes] == [2.5, 3.448, 3.226]
    assert [each.value_percent for each in found.outcomes] == [4.0, -4.3, -7.0]
    assert [each.lead_percent for each in found.outcomes] == [8.33, 0.0, 0.0]
    assert found.value_percent == 4.0
    assert found.right_until == NOW + STALE_AFTER


def test_without_a_positive_value_there_is_no_value_of_the_row() -> None:
    """A row is worth something only if one of its prices is."""
    assert figures(cached((SPORTYBET, X1, WINS), (BET9JA, X1, None))).value_percent is None


def test_a_lone_price_leads_nothing() -> None:
    """There is no second, and no margin of the best, but the fair odds are known."""
    found = figures(cached((SPORTYBET, X1, WINS)))
    assert [each.lead_percent for each in found.outcomes] == [None, None, None]
    assert found.best_margin is None
    assert found.outcomes[0].fair_odds == 2.5


def test_fair_odds_end_with_the_age_of_their_prices() -> None:
    """Then nobody knows what a price is worth. The lead remains: it is a comparison of what is shown."""
    event = cached((SPORTYBET, X1, WINS), (BET9JA, X1 | {HOME: 2.6}, None))
    assert figures(event, later=STALE_AFTER).fair_source == "sportybet"
    found = figures(event, later=STALE_AFTER + timedelta(seconds=1))
    assert (found.fair_source, found.value_percent, found.right_until) == (None, None, None)
    assert found.outcomes[0].lead_percent == 8.33


def test_only_the_chosen_bookmakers_count() -> None:
    """Without the feed of the first one, the margin of the second is taken out."""
    event = cached((SPORTYBET, X1, WINS), (BET9JA, X1 | {HOME: 2.6}, None), (BETPAWA, X1, None))
    found = figures(event, BET9JA, BETPAWA)
    assert found.fair_source == "no_vig:power:bet9ja"
    assert figures(event, BETPAWA).outcomes[0].best == 2400
    assert figures(event, Platform.MSPORT).outcomes[0].best is None


@pytest.mark.parametrize("promotion", [ONE_UP, BOOSTED])
def test_figures_are_those_of_the_api(promotion: int) -> None:
    """For plain and promoted prices, in every market that the API compares."""
    odds = {promoted_key(HOME, promotion): 2.9, DRAW: 3.2, AWAY: 3.1} | OVER_UNDER
    event = cached((BETPAWA, odds, None), (SPORTYBET, X1 | OVER_UNDER, WINS), (BET9JA, X1, None))
    told = {
        (each["betpawa_market_id"], each["line"]): (each, until)
        for each, until in best_prices(event, FairPrices(event, NOW, STALE_AFTER))
    }
    assert told
    for (market_id, line), (market, until) in told.items():
        found = figures_of(event, CATALOGUE.by_id[str(market_id)], line, None, NOW, STALE_AFTER)  # type: ignore[arg-type]
        outcomes = market["outcomes"]
        assert found.right_until == until
        assert [
            (each.name, each.best and each.best / 1000, each.fair_odds, found.fair_source, each.value_percent)
            for each in found.outcomes
        ] == [
            tuple(each[name] for name in ("name", "odds", "fair_odds", "fair_source", "value_percent"))
            for each in outcomes  # type: ignore[attr-defined]
        ]
        assert found.best_margin in (None, market["margin"])
    assert figures(event).best_margin == event_row(event, ONE_X_TWO, None).best_margin is not None


def test_figures_of_an_event_with_all_markets_take_well_below_a_millisecond() -> None:
    """A list of 1,300 events is sorted by them."""
    full = {
        key("over_under_ft", name, quarter / 4): 1.5 + quarter / 100
        for quarter in range(1, 400)
        for name in ("Over", "Under")
    }
    wins = dict.fromkeys(full, 0.5) | WINS
    event = cached(*((platform, X1 | full, wins) for platform in Platform))
    least = min(_seconds(event) for _ in range(20))
    assert least < 0.001, f"{least * 1e6:.0f} µs"


def _seconds(event: CachedEvent) -> float:
    before = time.perf_counter()
    figures(event)
    return time.perf_counter() - before
