"""Caches of texts from bodies have limits on the number and the length of the entries."""

from collections.abc import Callable
from typing import Any

import pytest

from quart_odds.bookmakers import RawBody, bet9ja, betpawa, decode, decoding, lookup, sportybet
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError
from tests.bookmakers.more_wire import BETKING_ITEM, MSPORT, MSPORT_DATA, betking_day
from tests.bookmakers.wire import BET9JA, BETPAWA_V4, SPORTYBET_DATA, asked, dumps, with_

LONG = "z" * 50_000
BETKING_UNKNOWN = {"OddsType": {"OddsTypeID": 7, "OddsTypeName": LONG}, "MatchOdds": []}


def decoded(platform: Platform, body: Any) -> Any:
    """Decode an event as a run does."""
    if platform == Platform.BETKING:
        external_id = body["AreaMatches"][0]["Items"][0]["ItemID"]
    else:
        external_id = body.get("id") or body.get("data", {}).get("eventId") or body["D"]["ID"]
    return decode(RawBody(platform, dumps(body), None, asked(platform, str(external_id))))


def betpawa_with(*markets: Any) -> Any:
    """Build an event with only these markets."""
    return {**BETPAWA_V4, "markets": list(markets)}


def sportybet_with(*markets: Any) -> Any:
    """Build an event with only these markets."""
    return {"bizCode": 10000, "data": {**SPORTYBET_DATA, "markets": list(markets)}}


def bet9ja_with(odds: Any) -> Any:
    """Build an event with only these odds."""
    return {**BET9JA, "D": {**BET9JA["D"], "O": odds}}


def test_long_specifiers_keys_and_odds_are_not_remembered() -> None:
    """Otherwise a bookmaker could fill gigabytes, event by event."""
    outcome = {"id": "1", "odds": "1." + "5" * 50_000, "isActive": 1}
    known = {"id": "1", "status": 0, "outcomes": [outcome]}
    specifiers = [{"id": "18", "status": 0, "specifier": f"total=2.5|x={each}{LONG}", "outcomes": []} for each in "ab"]
    event = decoded(Platform.SPORTYBET, sportybet_with(known, *specifiers, {"id": LONG, "status": 0, "outcomes": []}))
    assert (len(event.prices), event.dropped) == (0, 1)
    decoded(Platform.BET9JA, bet9ja_with({f"S_OU@{LONG}_O": "1.5", f"S_{LONG}_1": "1.5", "S_1X2_1": "2" + LONG}))
    betpawa._is_promotion.cache_clear()
    about = {LONG: True, "hot": True}
    price = {"typeId": "3744", "odds": 2.0, "additionalInfo": about}
    row = {"handicap": 0, "prices": [price]}
    marked = decoded(Platform.BETPAWA, betpawa_with({"marketType": {"id": "3743"}, "row": [row]}))
    assert marked.promotions
    assert all(len(word) <= 32 for word in marked.promotions)
    for remembered in (sportybet._MARKETS._places, bet9ja._keys, lookup._values):
        assert max((len(str(each)) for each in remembered), default=0) <= 2 * lookup.MAX_REMEMBERED_TEXT
    assert betpawa._is_promotion.cache_info().currsize == 1


@pytest.mark.parametrize("platform", Platform)
def test_ids_and_names_of_unknown_markets_are_cut(platform: Platform) -> None:
    """Ids and names of unknown markets stay in memory and are shown."""
    bodies: dict[Platform, Callable[[], Any]] = {
        Platform.BETPAWA: lambda: betpawa_with({"marketType": {"id": LONG, "displayName": LONG}, "row": []}),
        Platform.SPORTYBET: lambda: sportybet_with({"id": LONG, "desc": LONG, "status": 0, "outcomes": []}),
        Platform.BET9JA: lambda: bet9ja_with({f"S_{LONG}_1": "1.5"}),
        Platform.MSPORT: lambda: {**MSPORT, "data": {**MSPORT_DATA, "markets": [{"id": 7, "name": LONG, "status": 0}]}},
        Platform.BETKING: lambda: betking_day([with_(BETKING_ITEM, [BETKING_UNKNOWN], "OddsCollection")]),
    }
    [market] = decoded(platform, bodies[platform]()).unmapped
    # Ids that are numbers cannot be long.
    assert len(market.market_id) == (1 if platform in (Platform.MSPORT, Platform.BETKING) else lookup.MAX_TEXT)
    assert len(market.name) <= lookup.MAX_TEXT


def test_of_many_unknown_markets_so_many_are_reported_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prices of the others are counted as not understood."""
    monkeypatch.setattr(lookup, "MAX_UNMAPPED", 10)
    prices = [{"id": "1", "odds": "2.0", "isActive": 1}] * 3
    markets = [{"id": str(9_000_000 + each), "status": 0, "outcomes": prices} for each in range(50)]
    event = decoded(Platform.SPORTYBET, sportybet_with(*markets))
    assert len(event.unmapped) == 10
    assert (event.unmapped_prices, event.total, event.understood) == (150, 150, 0)


def test_an_event_of_too_many_prices_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fill the cache's memory."""
    monkeypatch.setattr(decoding, "MAX_PRICES", 2)
    prices = [{"id": each, "odds": "2.0", "isActive": 1} for each in "123"]
    with pytest.raises(MalformedBodyError, match="3 prices, more than 2"):
        decoded(Platform.SPORTYBET, sportybet_with({"id": "1", "status": 0, "outcomes": prices}))
