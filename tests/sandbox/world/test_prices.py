"""Prices of the same outcome, read independently from the bodies, are close everywhere and move as requested."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.sites.answers import Site
from quart_odds.sandbox.sites.books import write_detail
from quart_odds.sandbox.world.stand_ins import STAND_INS
from quart_odds.sandbox.world.world import Fixture
from tests.platforms import FIRST_THREE
from tests.sandbox.stand_ins import BETKING, MSPORT, at_all, detail, detail_ask, sites

BETPAWA = {
    "3744": "1", "3745": "X", "3746": "2", "4694": "1X", "4695": "X2", "4696": "12", "3796": "gg", "3797": "ng",
    "5001": "over {}", "5002": "under {}", "3775": "asian {} 1", "3776": "asian {} 2", "4704": "dnb 1", "4705": "dnb 2",
    "4725": "three-way {} 1", "4726": "three-way {} X", "4727": "three-way {} 2", "3669": "1st 1", "3687": "2nd X",
}  # fmt: skip
SPORTYBET = {
    ("1", "1"): "1", ("1", "2"): "X", ("1", "3"): "2", ("10", "9"): "1X", ("10", "10"): "12", ("10", "11"): "X2",
    ("29", "74"): "gg", ("29", "76"): "ng", ("18", "12"): "over {}", ("18", "13"): "under {}", ("11", "4"): "dnb 1",
    ("11", "5"): "dnb 2", ("16", "1714"): "asian {} 1", ("16", "1715"): "asian {} 2", ("60", "1"): "1st 1",
    ("14", "1711"): "three-way {} 1", ("14", "1712"): "three-way {} X", ("14", "1713"): "three-way {} 2",
    ("83", "2"): "2nd X",
}  # fmt: skip
BET9JA = {
    "S_1X2_1": "1", "S_1X2_X": "X", "S_1X2_2": "2", "S_DC_1X": "1X", "S_DC_12": "12", "S_DC_X2": "X2",
    "S_GGNG_Y": "gg", "S_GGNG_N": "ng", "S_OU_O": "over {}", "S_OU_U": "under {}", "S_DNB_1": "dnb 1",
    "S_DNB_2": "dnb 2", "S_AH_1": "asian {} 1", "S_AH_2": "asian {} 2", "S_1X2HND_1H": "three-way {} 1",
    "S_1X2HND_XH": "three-way {} X", "S_1X2HND_2H": "three-way {} 2", "S_1X21T_1": "1st 1", "S_1X22T_X": "2nd X",
}  # fmt: skip

BETKING_TYPES = {
    (110, 4): "1", (110, 2): "X", (110, 5): "2", (146, 9): "1X", (146, 10): "12", (146, 11): "X2", (302, 74): "gg",
    (302, 76): "ng", (160, 12): "over {}", (160, 13): "under {}", (147, 4): "dnb 1", (147, 5): "dnb 2",
    (305, 1714): "asian {} 1", (305, 1715): "asian {} 2", (342, 1714): "three-way {} 1",
    (342, 1712): "three-way {} X", (342, 1715): "three-way {} 2",
}  # fmt: skip


def betpawa_prices(body: Any) -> dict[str, float]:
    """Return the active prices by a name of ours, without boosted markets."""
    found = {}
    for market in body["markets"]:
        for row in market["row"] if not market["additionalInfo"].get("boosted") else ():
            for price in row["prices"]:
                if price["typeId"] in BETPAWA and not price.get("suspended"):
                    found[BETPAWA[price["typeId"]].format(row.get("handicap", 0) / 4)] = price["odds"]
    return found


def sportybet_prices(body: Any) -> dict[str, float]:
    """Do the same for SportyBet. A three-way handicap of 0:1 is -1."""
    found = {}
    for market in body["data"]["markets"]:
        line = market.get("specifier", "=0").partition("=")[2]
        home, _, away = line.partition(":")
        number = float(home) - float(away or 0) if "|" not in line and home.strip("-.0123456789") == "" else 0.0
        for outcome in market["outcomes"] if market["status"] == 0 else ():
            name = SPORTYBET.get((market["id"], outcome["id"]))
            if name and outcome["isActive"] == 1:
                found[name.format(number)] = float(outcome["odds"])
    return found


def bet9ja_prices(body: Any) -> dict[str, float]:
    """Do the same for Bet9ja, from the flat keys."""
    found = {}
    for key, odds in body["D"]["O"].items():
        head, _, outcome = key.rpartition("_")
        market, _, line = head.partition("@")
        name = BET9JA.get(f"{market}_{outcome}")
        if name and float(odds) > 1:
            found[name.format(float(line or 0))] = float(odds)
    return found


def msport_prices(body: Any) -> dict[str, float]:
    """Do the same for MSport, whose main markets differ from SportyBet's by the type of their ids and a plural."""
    markets = [
        {**each, "id": str(each["id"]), "specifier": each["specifiers"] or "=0"} for each in body["data"]["markets"]
    ]
    return sportybet_prices({"data": {"markets": markets}})


def betking_prices(body: Any) -> dict[str, float]:
    """Do the same for BetKing, from all copies of the event."""
    found = {}
    for odds in (odds for area in body["AreaMatches"] for item in area["Items"] for odds in item["OddsCollection"]):
        for price in odds["MatchOdds"]:
            attribute, value = price["OddAttribute"], price["Outcome"]["OddOutcome"]
            name = BETKING_TYPES.get((odds["OddsType"]["OddsTypeID"], attribute["OddTypeID"]))
            if name and value > 1.01:
                found[name.format(float(attribute.get("SpecialValue", odds["SpecialBetValue"])))] = value
    return found


READ = {
    Platform.BETPAWA: betpawa_prices,
    Platform.SPORTYBET: sportybet_prices,
    Platform.BET9JA: bet9ja_prices,
    MSPORT: msport_prices,
    BETKING: betking_prices,
}


def prices(site: Site, fixture: Fixture) -> dict[str, float]:
    """Return the main prices in a bookmaker's body of an event."""
    return READ[site.platform](detail(site, fixture))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_one_outcome_has_close_prices_everywhere(seed: int) -> None:
    """They differ by at most a quarter in main markets, lines and handicaps, for any seed."""
    books, found = sites(SandboxOptions(events=6, seed=seed, move=0, markets=80))
    compared = 0
    for fixture in books.fixtures:
        if not fixture.sportradar_id:
            continue
        of_site = [prices(found[platform], fixture) for platform in fixture.listings]
        for name in set.intersection(*map(set, of_site)):
            odds = [of[name] for of in of_site]
            assert max(odds) / min(odds) < 1.25, (fixture, name, odds)
            compared += 1
    assert compared > 60


def test_margins_are_those_of_bookmakers_and_now_and_then_there_is_an_arbitrage() -> None:
    """One bookmaker's inverse odds of 1X2 nearly always exceed one. The best of three are below one at a few events."""
    books, found = sites(SandboxOptions(events=150, move=0, markets=12, bookmakers=FIRST_THREE))
    sums, best_sums = [], []
    for fixture in books.fixtures:
        of_site = [prices(found[platform], fixture) for platform in fixture.listings]
        full = [of for of in of_site if {"1", "X", "2"} <= set(of)]
        sums += [sum(1 / of[name] for name in ("1", "X", "2")) for of in full]
        if len(full) == 3:
            best_sums.append(sum(min(1 / of[name] for of in full) for name in ("1", "X", "2")))
    assert 1.02 < sum(sums) / len(sums) < 1.1
    assert 0 < sum(best < 1 for best in best_sums) < len(best_sums) / 5


def test_prices_stand_still_without_movement() -> None:
    """Two requests return the same body."""
    books, found = sites()
    for fixture in books.fixtures[:20]:
        for platform in fixture.listings:
            assert detail(found[platform], fixture) == detail(found[platform], fixture)


def test_a_few_prices_move_when_an_event_is_asked_for_again() -> None:
    """By default some events move, the same ones for the same seed."""
    runs = []
    for _ in range(2):
        books, found = sites(SandboxOptions(bookmakers=FIRST_THREE))
        events = [(p, f) for f in books.fixtures for p in f.listings if f.sportradar_id]
        before = {(p, f.number): prices(found[p], f) for p, f in events}
        after = {(p, f.number): prices(found[p], f) for p, f in events}
        runs.append({key for key in before if before[key] != after[key]})
    assert runs[0] == runs[1]
    assert 0.05 < len(runs[0]) / len(before) < 0.5


def test_with_full_movement_every_event_moves_and_prices_stay_close() -> None:
    """New prices are drawn around the model's value, so they never drift apart."""
    books, found = sites(SandboxOptions(events=3, move=1.0, markets=60, bookmakers=FIRST_THREE))
    fixture = at_all(books)
    first = prices(found[Platform.BETPAWA], fixture)
    for _ in range(30):
        last = prices(found[Platform.BETPAWA], fixture)
    common = set(first) & set(last)
    assert sum(first[name] != last[name] for name in common) > len(common) * 0.6
    assert all(0.85 < first[name] / last[name] < 1.2 for name in common)


@pytest.mark.parametrize("platform", STAND_INS)
@pytest.mark.parametrize("kilobytes", [10, 300])
def test_bodies_are_cut_or_padded_to_the_size_asked_for(platform: Platform, kilobytes: int) -> None:
    """The size is within an eighth."""
    books, found = sites(SandboxOptions(events=20, body_kb=kilobytes, bookmakers=(platform,)))
    body = found[platform].answer(detail_ask(platform, at_all(books).listings[platform].external_id)).write()
    assert abs(len(body) / 1000 - kilobytes) < kilobytes / 8


def test_large_worlds_have_bodies_of_real_size() -> None:
    """From 300 events on: 70 to 370 KB, about 170 market lines on average. BetKing has fewer."""
    books, _ = sites(SandboxOptions(events=1300, move=0, bookmakers=FIRST_THREE))
    some = [books.book(platform, f) for f in books.fixtures[::40] for platform in f.listings]
    sizes = [len(write_detail(book)) for book in some]
    assert min(sizes) > 70_000
    assert max(sizes) < 370_000
    assert 130 < sum(len(book.market_list.offers) for book in some) / len(some) < 200
    assert all(orjson.loads(write_detail(book)) for book in some[:3])
