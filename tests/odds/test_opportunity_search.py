"""What is an opportunity in the odds of an event, and what is listed apart, with the reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quart_odds.domain.catalogue import CATALOGUE, offer_code, pack_key, promoted_key
from quart_odds.domain.fair import Chance, pack_chance
from quart_odds.domain.opportunities import Reason
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import BOOSTED, TWO_UP
from quart_odds.odds import OddsCache
from quart_odds.odds.opportunity import Opportunity
from quart_odds.odds.opportunity_search import OpportunitySearch
from tests.odds.making import KICKOFF, NOW, STALE_AFTER, header, key, mapped

BETPAWA, SPORTYBET, BET9JA = Platform.BETPAWA, Platform.SPORTYBET, Platform.BET9JA
OVER, UNDER = key("over_under_ft", "Over", 2.5), key("over_under_ft", "Under", 2.5)
HIGHER_UNDER = key("over_under_ft", "Under", 3.5)
HOME, DRAW, AWAY = (key("1x2_ft", name) for name in ("1", "X", "2"))
FAIR = {HOME: 2.6, DRAW: 3.2, AWAY: 2.9}


class Match:
    """One match, with the odds that a test gives it."""

    def __init__(self, books: Mapping[Platform, Mapping[int, float]] | None = None) -> None:
        self.cache = OddsCache()
        for platform, odds in (books or {}).items():
            self.offer(platform, odds)

    def offer(
        self,
        platform: Platform,
        odds: Mapping[int, float],
        at: datetime = NOW,
        *,
        chances: Mapping[int, Chance] | None = None,
        suspended: frozenset[int] = frozenset(),
        is_reversed: bool = False,
    ) -> None:
        """Record a bookmaker's odds."""
        home, away = ("Chelsea", "Arsenal") if is_reversed else ("Arsenal", "Chelsea")
        event = mapped(header(platform, home=home, away=away), odds, suspended=suspended)
        given = {key: pack_chance(chance) for key, chance in (chances or {}).items()}
        self.cache.apply(replace(event, chances=given), at)

    def search(self, now: datetime = NOW) -> OpportunitySearch:
        """Return a search of the match."""
        return OpportunitySearch(self.cache.events[1], now, STALE_AFTER)

    def found(self, kind: str = "arbitrage", now: datetime = NOW) -> list[tuple[float, tuple[Reason, ...]]]:
        """Return the margin of each opportunity of a kind, and the reasons against it."""
        return [(each.margin, each.reasons) for each in self.search(now).whole() if each.kind == kind]


def shape(found: Opportunity) -> tuple[object, ...]:
    """Return what identifies an opportunity and its prices."""
    return found.identity, found.margin, found.reasons, tuple((leg.value, leg.platform) for leg in found.legs)


def test_prices_of_two_bookmakers_that_cost_less_than_they_pay_are_an_arbitrage() -> None:
    """The bookmakers and the gain are those of the best prices."""
    match = Match({BETPAWA: {OVER: 2.1, UNDER: 1.8}, SPORTYBET: {OVER: 1.8, UNDER: 2.1}})
    (found,) = [each for each in match.search().whole() if each.kind == "arbitrage"]
    assert (found.margin, found.reasons) == (5.0, ())
    assert [(leg.outcome.name, leg.odds, leg.platform) for leg in found.legs] == [
        ("Over", 2.1, BETPAWA),
        ("Under", 2.1, SPORTYBET),
    ]


def test_a_bookmaker_that_gains_alone_is_listed_apart_and_no_part_of_others() -> None:
    """What the two others make together stays an opportunity."""
    alone = Match({BETPAWA: {OVER: 2.1, UNDER: 2.1}})
    assert alone.found() == [(5.0, ("one_bookmaker",))]
    match = Match(
        {BETPAWA: {OVER: 2.2, UNDER: 2.1}, SPORTYBET: {OVER: 2.06, UNDER: 1.8}, BET9JA: {OVER: 1.8, UNDER: 2.06}}
    )
    assert match.found() == [(3.0, ()), (7.44, ("one_bookmaker",))]


def test_an_absurd_price_is_an_outlier_and_what_is_there_without_it_stays() -> None:
    """26.0 against 2.60 and 2.55 is listed apart, as an arbitrage and as a value bet."""
    match = Match({BETPAWA: FAIR, SPORTYBET: FAIR | {HOME: 2.55}, BET9JA: FAIR | {HOME: 26.0}})
    assert match.found() == [(43.72, ("one_bookmaker", "outlier", "too_good"))]
    assert [reasons for _, reasons in match.found("value")] == [("one_bookmaker", "outlier", "too_good")]
    match = Match({BETPAWA: {OVER: 2.1, UNDER: 1.8}, SPORTYBET: {OVER: 1.8, UNDER: 2.1}, BET9JA: {OVER: 9.0}})
    assert match.found() == [(5.0, ()), (70.27, ("outlier", "too_good"))]


def test_reversed_sides_make_no_opportunity() -> None:
    """With home and away swapped, prices only seem to gain."""
    match = Match({BETPAWA: {HOME: 1.5, DRAW: 4.0, AWAY: 7.0}})
    match.offer(SPORTYBET, {HOME: 7.0, DRAW: 4.0, AWAY: 1.5}, is_reversed=True)
    assert match.found() == [(86.67, ("reversed_sides", "too_good"))]
    assert match.found("value") == []


def test_prices_in_play_beside_earlier_ones_make_no_opportunity() -> None:
    """One bookmaker was asked after the kick-off and has moved its price; the other was not."""
    match = Match({BETPAWA: {OVER: 1.8, UNDER: 2.1}})
    after = KICKOFF + timedelta(minutes=1)
    match.offer(SPORTYBET, {OVER: 2.1, UNDER: 1.7}, after)
    assert match.found(now=after) == [(5.0, ("stale", "in_play"))]
    live = Match()
    live.offer(BETPAWA, {OVER: 1.8, UNDER: 2.1}, after)
    live.offer(SPORTYBET, {OVER: 2.1, UNDER: 1.7}, after)
    assert live.found(now=after) == [(5.0, ())]


def test_an_old_price_is_set_aside_until_it_is_seen_again() -> None:
    """A fresh one that is nearly as good takes its place."""
    match = Match({BETPAWA: {OVER: 2.1, UNDER: 1.8}, SPORTYBET: {OVER: 1.8, UNDER: 2.1}, BET9JA: {OVER: 2.0}})
    later = NOW + STALE_AFTER + timedelta(seconds=1)
    match.offer(SPORTYBET, {OVER: 1.8, UNDER: 2.1}, later)
    match.offer(BET9JA, {OVER: 2.0}, later)
    assert match.found(now=later) == [(2.44, ()), (5.0, ("stale",))]
    match.offer(BETPAWA, {OVER: 2.1, UNDER: 1.8}, later)
    assert match.found(now=later) == [(5.0, ())]


def test_suspended_and_boosted_prices_make_no_opportunity() -> None:
    """Neither is a price that can be compared."""
    match = Match({BETPAWA: {promoted_key(OVER, BOOSTED): 2.3, UNDER: 1.8}, SPORTYBET: {OVER: 1.8, UNDER: 2.1}})
    assert match.search().whole() == []
    match.offer(BETPAWA, {OVER: 2.3, UNDER: 1.8}, suspended=frozenset({OVER}))
    assert match.search().whole() == []
    match.offer(BETPAWA, {OVER: 2.0, promoted_key(OVER, BOOSTED): 2.3, UNDER: 1.8})
    assert match.found() == [(2.44, ())]


def test_a_double_chance_with_an_early_payout_is_compared_as_its_plain_market() -> None:
    """Its price is the plain one with a perk, and says so."""
    keys = [key("double_chance_ft", name) for name in ("1X", "12", "X2")]
    match = Match(
        {
            BETPAWA: {promoted_key(each, TWO_UP): odds for each, odds in zip(keys, (1.5, 1.38, 1.5), strict=True)},
            SPORTYBET: dict(zip(keys, (1.36, 1.62, 1.36), strict=True)),
        }
    )
    (found,) = [each for each in match.search().whole() if each.kind == "arbitrage"]
    assert (found.margin, found.reasons) == (2.53, ())
    assert [leg.promotion for leg in found.legs] == ["two_up", None, "two_up"]


def test_a_price_above_fair_odds_is_a_value_bet() -> None:
    """What is fair says the feed of a bookmaker, or else the prices with the lowest margin."""
    chances = {OVER: Chance(0.5), UNDER: Chance(0.5)}
    match = Match({BET9JA: {OVER: 2.06, UNDER: 1.75}})
    match.offer(SPORTYBET, {OVER: 1.9, UNDER: 1.9}, chances=chances)
    (found,) = match.search().whole()
    assert (found.kind, found.margin, found.reasons, found.legs[0].platform) == ("value", 3.0, (), BET9JA)
    assert found.fair is not None
    assert (found.fair.source, found.fair.chance.win) == ("sportybet", 0.5)
    plain = Match({BET9JA: {OVER: 2.06, UNDER: 1.75}, BETPAWA: {OVER: 1.9, UNDER: 1.9}})
    (found,) = plain.search().whole()
    assert found.fair is not None
    assert (found.fair.source, found.margin) == ("no_vig:power:betpawa", 3.0)


@pytest.mark.parametrize("others", [(BET9JA,), (BET9JA, BETPAWA)])
def test_a_feed_also_says_what_is_fair_if_its_price_has_a_perk(others: Sequence[Platform]) -> None:
    """Its probabilities are then those of the price with the perk, which is compared as the plain one."""
    keys = [key("double_chance_ft", name) for name in ("1X", "12", "X2")]
    perked = [promoted_key(each, TWO_UP) for each in keys]
    match = Match({platform: dict(zip(keys, (1.55, 1.4, 1.4), strict=True)) for platform in others})
    match.offer(SPORTYBET, dict.fromkeys(perked, 1.45), chances=dict.fromkeys(perked, Chance(2 / 3)))
    assert match.found("value") == [(3.33, ())]


def test_value_beyond_belief_is_listed_apart() -> None:
    """2.5 for an even chance is worth a quarter of the stake."""
    match = Match({BET9JA: {OVER: 2.5, UNDER: 1.4}, BETPAWA: {OVER: 1.9, UNDER: 1.9}})
    assert (25.0, ("too_good",)) in match.found("value")


def test_a_price_that_only_one_bookmaker_has_is_no_value_bet() -> None:
    """Nothing confirms that it is of the same outcome."""
    match = Match()
    match.offer(SPORTYBET, {OVER: 2.1, UNDER: 1.8}, chances={OVER: Chance(0.5), UNDER: Chance(0.5)})
    assert match.search().whole() == []
    match.offer(BETPAWA, {OVER: 2.0})
    assert match.found("value") == [(5.0, ())]


def test_over_a_lower_line_and_under_a_higher_one_are_a_middle() -> None:
    """It loses little unless the total is between the lines, and then both win."""
    match = Match({BETPAWA: {OVER: 1.98, HIGHER_UNDER: 1.3}, SPORTYBET: {OVER: 1.8, HIGHER_UNDER: 1.98}})
    (found,) = match.search().whole()
    assert (found.kind, found.margin, found.best_case, found.reasons) == ("middle", -1.0, 98.0, ())
    assert [(leg.outcome.name, leg.line, leg.platform) for leg in found.legs] == [
        ("Over", 2.5, BETPAWA),
        ("Under", 3.5, SPORTYBET),
    ]


def test_a_poor_price_of_a_line_in_between_hides_no_middle() -> None:
    """A bookmaker may offer a line that the others lack, at a worse price than theirs of a higher line."""
    between = key("over_under_ft", "Under", 3.0)
    match = Match({BETPAWA: {OVER: 1.98, between: 1.5}, SPORTYBET: {HIGHER_UNDER: 1.98}})
    assert match.found("middle") == [(-1.0, ())]


def test_a_middle_needs_two_bookmakers_and_a_small_loss() -> None:
    """One bookmaker would not offer it by intent, and a loss of more than two percent is none worth to list."""
    assert Match({BETPAWA: {OVER: 1.98, HIGHER_UNDER: 1.98}}).found("middle") == []
    assert Match({BETPAWA: {OVER: 1.95}, SPORTYBET: {HIGHER_UNDER: 1.95}}).found("middle") == []


ODDS = st.one_of(st.integers(1010, 1400), st.integers(1700, 2300), st.integers(1010, 9000)).map(
    lambda each: each / 1000
)
PLACES = [
    pack_key(CATALOGUE.by_slug[slug].number, outcome.index, line)
    for slug, lines in (("1x2_ft", (None,)), ("over_under_ft", (1.5, 2.0, 2.5)), ("double_chance_ft", (None,)))
    for line in lines
    for outcome in CATALOGUE.by_slug[slug].outcomes
]
CHANCES = {
    each: CATALOGUE.by_number[each >> 22].winning_outcomes / len(CATALOGUE.by_number[each >> 22].outcomes)
    for each in PLACES
}
BOOK = st.dictionaries(st.sampled_from(PLACES), ODDS, max_size=len(PLACES))


@settings(deadline=None)
@given(st.lists(BOOK, min_size=1, max_size=3), st.booleans())
def test_the_search_of_the_whole_event_leaves_nothing_out(books: list[dict[int, float]], is_fed: bool) -> None:
    """It finds what is found if every market and line is examined, whatever the prices.

    Of probabilities for a part of a market, it need not make use.
    """
    match = Match()
    for platform, odds in zip((SPORTYBET, BETPAWA, BET9JA), books, strict=False):
        chances = {each: Chance(CHANCES[each]) for each in odds} if is_fed and platform is not BET9JA else None
        match.offer(platform, odds, chances=chances)
    examined = match.search().among({offer_code(each) for each in PLACES})
    whole = match.search().whole()
    found, expected = (
        {shape(each) for each in several if not is_fed or each.kind != "value"} for several in (whole, examined)
    )
    assert found == expected
    assert {shape(each) for each in whole} <= {shape(each) for each in examined}
    assert len({each.identity for each in whole}) == len(whole)
    for each in whole:
        assert all(leg.odds > 1 for leg in each.legs)
        if each.kind == "arbitrage" and not each.reasons:
            assert len({leg.platform for leg in each.legs}) > 1
            inverse = sum(1 / leg.odds for leg in each.legs)
            assert each.margin == pytest.approx((each.market.winning_outcomes / inverse - 1) * 100, abs=0.01)
