"""The kind `opportunities`: a row for each price to back."""

from datetime import timedelta
from typing import Any

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.export.columns import Wanted
from quart_odds.export.kinds import KINDS
from quart_odds.odds import OddsCache
from quart_odds.odds.event import CachedEvent
from tests.odds.making import OVER_UNDER, X1, header, key, mapped

OVER, UNDER = OVER_UNDER
GAIN = {
    Platform.BETPAWA: {OVER: 2.1, UNDER: 1.75},
    Platform.SPORTYBET: {OVER: 1.75, UNDER: 2.1},
    Platform.BET9JA: {OVER: 1.8, UNDER: 1.8, key("1x2_ft", "1"): 26.0},
}


def event(odds: dict[Platform, dict[int, float]]) -> CachedEvent:
    """Return an event with these odds, fetched ten seconds ago."""
    cache = OddsCache()
    now = utc_now()
    for platform, prices in odds.items():
        named = header(platform, f"{platform}-1", kickoff=now + timedelta(hours=3))
        cache.apply(mapped(named, X1 | prices), now - timedelta(seconds=10))
    [only] = cache.events.values()
    return only


async def rows(odds: dict[Platform, dict[int, float]], wanted: Wanted) -> list[dict[str, Any]]:
    """Return the rows of an event with these odds."""
    kind = KINDS["opportunities"]
    names = [column.name for column in kind.columns]
    made = kind.rows(event(odds), wanted, None)  # type: ignore[arg-type]
    return [dict(zip(names, row, strict=True)) async for part in made for row in part]


async def test_each_price_to_back_has_a_row() -> None:
    """Prices that are backed together have the same number, and best comes first."""
    found = [row for row in await rows(GAIN, Wanted()) if row["kind"] == "arbitrage"]
    first = [row for row in found if row["opportunity"] == found[0]["opportunity"]]
    assert [(row["bookmaker"], row["outcome"], row["line"], row["odds"]) for row in first] == [
        ("betpawa", "Over", 2.5, 2.1),
        ("sportybet", "Under", 2.5, 2.1),
    ]
    assert {(row["margin"], row["reasons"], row["suspended"], row["available"]) for row in first} == {
        (5.0, None, False, True)
    }
    assert all(row["home_team"] == "Arsenal" and row["seen_at"] <= utc_now() for row in first)


async def test_what_should_not_be_believed_comes_last_with_the_reasons() -> None:
    """A price of 26 beside 2.4 is an error of somebody, and a price that is too old may be gone."""
    found = await rows(GAIN, Wanted())
    told = [row["reasons"] for row in found]
    assert told == sorted(told, key=lambda reasons: reasons is not None)
    assert {row["odds"] for row in found if row["reasons"] is not None and "outlier" in row["reasons"]} >= {26.0}
    old = await rows(GAIN, Wanted(max_age=timedelta(seconds=5)))
    assert old
    assert all("stale" in row["reasons"] for row in old)


async def test_an_opportunity_needs_all_bookmakers_and_markets_of_its_prices() -> None:
    """One between a wanted and another bookmaker cannot be used."""
    both = frozenset({Platform.BETPAWA, Platform.SPORTYBET})
    assert {row["market_id"] for row in await rows(GAIN, Wanted(both))} == {"5000"}
    assert [row for row in await rows(GAIN, Wanted(frozenset({Platform.BETPAWA}))) if row["kind"] == "arbitrage"] == []
    assert await rows(GAIN, Wanted(both, frozenset({3743}))) == []


async def test_a_better_price_elsewhere_hides_nothing_between_the_wanted_bookmakers() -> None:
    """What a third bookmaker pays more for is still an opportunity between the other two."""
    better = GAIN | {Platform.MSPORT: {OVER: 2.2, UNDER: 1.7}}
    both = frozenset({Platform.BETPAWA, Platform.SPORTYBET})
    found = [row for row in await rows(better, Wanted(both)) if row["kind"] == "arbitrage"]
    assert [(row["bookmaker"], row["odds"]) for row in found] == [("betpawa", 2.1), ("sportybet", 2.1)]
