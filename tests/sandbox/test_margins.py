"""What a client reads from the stand-in bookmakers: every market costs more than it pays."""

import pytest

from quart_odds.bookmakers import RawBody, decode
from quart_odds.domain.fair import Chance, unpack_chance
from quart_odds.domain.odds import Competition, EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsCache
from quart_odds.odds.margin import best_markets
from quart_odds.sandbox.options import SandboxOptions
from tests.sandbox.stand_ins import BETKING, NOW, detail_ask, sites

LUCK = 2.0
"""Percent that a market may gain at one bookmaker, because prices differ by chance and some err on purpose."""


@pytest.mark.parametrize("platform", list(Platform))
def test_no_market_of_one_bookmaker_gains(platform: Platform) -> None:
    """Also where several outcomes win: excluded goals, and combinations with double chance."""
    books, bookmakers = sites(SandboxOptions(events=4, move=0, markets=2000))
    fixture = next(each for each in books.fixtures if each.is_matchable and platform in each.listings)
    listing = fixture.listings[platform]
    body = bookmakers[platform].answer(detail_ask(platform, listing.external_id)).write()
    header = EventHeader(
        platform, listing.external_id, None, listing.home, listing.away, fixture.kickoff, Competition("", "", "")
    )
    mapped = decode(RawBody(platform, body, None, header))
    cache = OddsCache()
    cache.apply(mapped, NOW)
    markets = best_markets(cache.events[1])
    assert len(markets) > (50 if platform is BETKING else 100)
    assert {each.market.winning_outcomes for each in markets} > {1}
    for each in markets:
        assert -40 < each.gain < LUCK, (each.market.slug, each.line, each.gain)
        chances = [unpack_chance(mapped.chances[price.key]) for price in each.prices if price.key in mapped.chances]
        if len(chances) == len(each.prices):
            assert _total(chances) == pytest.approx(each.market.winning_outcomes, abs=0.05), each.market.slug


def _total(chances: list[Chance]) -> float:
    return sum(each.win for each in chances)
