"""Expected results for each recorded body. Numbers and ids only, because the bodies belong to the sites."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from quart_odds.bookmakers import RawBody, decode
from quart_odds.bookmakers.bodies import read_json
from quart_odds.bookmakers.coverage import measure
from quart_odds.domain.fair import Chance, unpack_chance
from quart_odds.domain.odds import MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BlockedError
from tests.bookmakers.reading import bet9ja_list, betpawa_list, sportybet_list
from tests.bookmakers.wire import Json, Price, asked, table
from tests.odds import making

pytestmark = pytest.mark.recorded

MATCH = datetime(2026, 5, 6, 11, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Golden:
    """The expected result of an event's body."""

    platform: Platform
    file: str
    external_id: str
    sportradar_id: str
    kickoff: datetime
    prices: int
    open_prices: int
    mapped_markets: int
    unmapped: int
    dropped: int
    odds: dict[str, list[float]]


EVENTS = [
    Golden(
        Platform.BETPAWA,
        "betpawa/event_v3_33289995.json",
        "33289995",
        "68995116",
        MATCH,
        prices=457,
        open_prices=455,
        mapped_markets=78,
        unmapped=1,
        dropped=0,
        odds={
            "3743": [2.41, 3.29, 3.02],
            "4693": [1.39, 1.35, 1.56],
            "3795": [1.77, 2.06],
            "5000@2.5": [1.98, 1.83],
            "4703": [1.72, 2.13],
            "3774@-0.5": [2.32, 1.54],
            "4724@-1": [4.72, 4.23, 1.51],
            "3668": [2.94, 2.1, 3.52],
            "3685": [2.67, 2.47, 3.13],
            "28000810": [1.69, 3.42, 1.9],
        },
    ),
    Golden(
        Platform.SPORTYBET,
        "sportybet/event_68995116.json",
        "sr:match:68995116",
        "68995116",
        MATCH,
        prices=1232,
        open_prices=1212,
        mapped_markets=211,
        unmapped=3,
        dropped=0,
        odds={
            "3743": [2.4, 3.3, 3.0],
            "4693": [1.37, 1.34, 1.53],
            "3795": [1.74, 2.0],
            "5000@2.5": [1.96, 1.81],
            "4703": [1.71, 2.1],
            "3774@-0.5": [2.35, 1.57],
            "4724@-1": [4.75, 4.25, 1.56],
            "3668": [3.0, 2.15, 3.6],
            "3685": [2.75, 2.55, 3.2],
            "28000810": [1.66, 3.3, 1.88],
            "28000850": [2.21, 3.3, 2.71],
            "1096785@-0.5": [1.75, 1.97],
        },
    ),
    Golden(
        Platform.BET9JA,
        "bet9ja/event_769895636.json",
        "769895636",
        "68995116",
        MATCH,
        prices=923,
        open_prices=909,
        mapped_markets=174,
        unmapped=0,
        dropped=0,
        odds={
            "3743": [2.42, 3.1, 2.93],
            "4693": [1.34, 1.3, 1.48],
            "3795": [1.67, 2.08],
            "5000@2.5": [1.9, 1.8],
            "5000@3": [2.56, 1.43],
            "4703": [1.67, 2.03],
            "3774@-0.5": [2.42, 1.48],
            "4724@-1": [4.9, 4.05, 1.48],
            "3668": [2.93, 2.03, 3.4],
            "3685": [2.68, 2.29, 3.15],
            "5006@1.5": [2.23, 1.53],
            "28000810": [1.62, 3.1, 1.81],
            "28000850": [2.33, 3.1, 2.82],
        },
    ),
    Golden(
        Platform.BETPAWA,
        "betpawa/event_v4_36552873.json",
        "36552873",
        "67691078",
        datetime(2026, 8, 21, 9, 30, tzinfo=UTC),
        prices=369,
        open_prices=367,
        mapped_markets=59,
        unmapped=0,
        dropped=0,
        odds={
            "3743": [4.59, 3.9, 1.68],
            "4693": [1.98, 1.24, 1.19],
            "3774@0.5": [2.13, 1.69],
            "4724@1": [2.08, 3.91, 2.68],
            "28000810": [2.28, 4.0, 1.35],
            "28000850": [4.44, 4.0, 1.64],
            "double_chance_1up": [1.68, 1.01, 1.16],
        },
    ),
    # In play: nearly everything is suspended, and there are correct scores that no pre-match body has.
    Golden(
        Platform.BETPAWA,
        "betpawa/event_v3_33247830_live.json",
        "33247830",
        "67645534",
        datetime(2026, 5, 6, 6, 0, tzinfo=UTC),
        prices=182,
        open_prices=0,
        mapped_markets=43,
        unmapped=4,
        dropped=0,
        odds={"3743": [100.0, 100.0, 0.0], "3774@2.5": [1.21, 3.64]},
    ),
    Golden(
        Platform.SPORTYBET,
        "sportybet/event_67645534_live.json",
        "sr:match:67645534",
        "67645534",
        datetime(2026, 5, 6, 6, 0, tzinfo=UTC),
        prices=0,
        open_prices=0,
        mapped_markets=0,
        unmapped=0,
        dropped=0,
        odds={},
    ),
    Golden(
        Platform.MSPORT,
        "msport/event_68995116.json",
        "sr:match:68995116",
        "68995116",
        MATCH,
        prices=792,
        open_prices=792,
        mapped_markets=127,
        unmapped=3,
        dropped=0,
        odds={
            "3743": [2.45, 3.25, 2.99],
            "4693": [1.37, 1.34, 1.53],
            "3795": [1.74, 2.02],
            "5000@2.5": [1.98, 1.83],
            "4703": [1.67, 2.04],
            "3774@-0.5": [2.33, 1.56],
            "4724@-1": [4.7, 4.2, 1.56],
            "3668": [2.95, 2.13, 3.55],
            "3685": [2.7, 2.49, 3.15],
            "5006@1.5": [2.23, 1.56],
            "28000810": [1.69, 3.25, 1.96],
            "28000850": [2.34, 3.25, 2.8],
        },
    ),
    Golden(
        Platform.MSPORT,
        "msport/event_71549302.json",
        "sr:match:71549302",
        "71549302",
        datetime(2026, 5, 21, 15, 30, tzinfo=UTC),
        prices=683,
        open_prices=675,
        mapped_markets=101,
        unmapped=0,
        dropped=0,
        odds={
            "3743": [1.09, 8.6, 29.0],
            "4693": [1.01, 1.05, 4.8],
            "3795": [3.25, 1.29],
            "4724@-1": [1.3, 4.3, 6.8],
            "28000810": [1.02, 8.6, 6.6],
            "28000850": [1.08, 8.6, 24.0],
        },
    ),
    Golden(
        Platform.MSPORT,
        "msport/event_live.json",
        "sr:match:67645534",
        "67645534",
        datetime(2026, 5, 6, 6, 0, tzinfo=UTC),
        prices=0,
        open_prices=0,
        mapped_markets=0,
        unmapped=0,
        dropped=0,
        odds={},
    ),
]


def decoded(recorded: Path, golden: Golden) -> MappedEvent:
    """Decode a recorded body."""
    content = (recorded / golden.file).read_bytes()
    return decode(RawBody(golden.platform, content, None, asked(golden.platform, golden.external_id)))


def odds_of(event: MappedEvent, place: str) -> list[float]:
    """Return the odds of a market in the order of its outcomes; `id@line` selects a line."""
    market_id, at, line = place.partition("@")
    wanted = float(line) if at else None
    slugs = {"double_chance_1up": "80000"}
    return [
        odds
        for place, (odds, _) in table(event).items()
        if place[0] == slugs.get(market_id, market_id) and place[2] == wanted
    ]


@pytest.mark.parametrize("golden", EVENTS, ids=lambda golden: golden.file)
def test_an_event_comes_to_its_golden_table(recorded: Path, golden: Golden) -> None:
    """Ids, kick-off, counts, and prices read manually from the body."""
    event = decoded(recorded, golden)
    assert event.header.external_id == golden.external_id
    assert event.header.sportradar_id == golden.sportradar_id
    assert event.header.kickoff == golden.kickoff
    assert len(event.prices) == golden.prices
    assert sum(value & 1 for value in event.prices.values) == golden.open_prices
    assert event.mapped_markets == golden.mapped_markets
    assert len(event.unmapped) == golden.unmapped
    assert event.dropped == golden.dropped
    assert {place: odds_of(event, place) for place in golden.odds} == golden.odds


def test_two_names_for_one_match_are_matched_by_id(recorded: Path) -> None:
    """The four bodies of one match use different names but the same SportRadar id."""
    headers = [header for golden in EVENTS if (header := decoded(recorded, golden).header).sportradar_id == "68995116"]
    assert {header.platform for header in headers} == {each for each in Platform if each != "betking"}
    assert len({header.name for header in headers}) == 2


def test_the_lists_come_to_their_golden_ids(recorded: Path) -> None:
    """External id, SportRadar id and kick-off of each listed event."""
    listed = [
        *betpawa_list((recorded / "betpawa/by_queries_v4_efl.json").read_bytes(), "list")[0],
        *sportybet_list((recorded / "sportybet/pcEvents_epl.json").read_bytes(), "list")[0],
        *sportybet_list((recorded / "sportybet/pcUpcomingEvents_5events.json").read_bytes(), "list")[0],
        *bet9ja_list((recorded / "bet9ja/events_in_group_epl_D_only.json").read_bytes(), "list")[0],
    ]
    headers = [each.header for each in listed]
    assert [(header.external_id, header.sportradar_id, f"{header.kickoff:%m-%d %H:%M}") for header in headers] == [
        ("37536526", "72339802", "09-08 18:45"),
        ("37536525", "72339804", "09-08 18:45"),
        ("37558191", "72339792", "09-08 18:45"),
        ("sr:match:72221292", "72221292", "10-10 11:30"),
        ("sr:match:72221294", "72221294", "10-10 14:00"),
        ("sr:match:67015328", "67015328", "08-15 14:00"),
        ("sr:match:67015330", "67015330", "08-16 15:00"),
        ("sr:match:67015334", "67015334", "08-16 15:00"),
        ("sr:match:67015324", "67015324", "08-16 15:00"),
        ("sr:match:67015326", "67015326", "08-16 17:15"),
        ("828890052", "72221262", "09-14 19:00"),
        ("831880021", "72221274", "09-18 19:00"),
    ]


def test_bodies_in_play_are_reported(recorded: Path) -> None:
    """Only the bodies of the match that had started."""
    assert [golden.file for golden in EVENTS if decoded(recorded, golden).is_in_play] == [
        "betpawa/event_v3_33247830_live.json",
        "sportybet/event_67645534_live.json",
        "msport/event_live.json",
    ]
    content = (recorded / "bet9ja/live_event_9261155.json").read_bytes()
    event = decode(RawBody(Platform.BET9JA, content, None, asked(Platform.BET9JA, "9261155")))
    assert event.is_in_play
    assert event.header.sportradar_id == "67645534"
    assert (event.total, event.understood, event.dropped) == (69, 40, 0)
    # Every price is inactive at odds of 1.
    assert set(event.prices.values) == {2000}


def test_a_match_has_one_genius_id(recorded: Path) -> None:
    """It comes from BetPawa's widget of the other feed."""
    found = [decoded(recorded, golden).header.genius_id for golden in EVENTS]
    assert found == ["13599033", None, None, "13395068", "13571147", *[None] * 4]


Raw = dict[tuple[str, str, float | None], Price]

BETPAWA_MAIN = {
    "3743": {"3744": "1", "3745": "X", "3746": "2"},
    "3668": {"3669": "1", "3670": "X", "3671": "2"},
    "4693": {"4694": "1X", "4695": "X2", "4696": "12"},
    "5000": {"5001": "Over", "5002": "Under"},
    "3795": {"3796": "Yes", "3797": "No"},
    "4703": {"4704": "1", "4705": "2"},
    "3774": {"3775": "1", "3776": "2"},
    "4724": {"4725": "1", "4726": "X", "4727": "2"},
}
SPORTYBET_MAIN: dict[str, tuple[str, dict[str, str]]] = {
    "1": ("3743", {"1": "1", "2": "X", "3": "2"}),
    "60": ("3668", {"1": "1", "2": "X", "3": "2"}),
    "10": ("4693", {"9": "1X", "10": "12", "11": "X2"}),
    "18": ("5000", {"12": "Over", "13": "Under"}),
    "29": ("3795", {"74": "Yes", "76": "No"}),
    "11": ("4703", {"4": "1", "5": "2"}),
    "16": ("3774", {"1714": "1", "1715": "2"}),
    "14": ("4724", {"1711": "1", "1712": "X", "1713": "2"}),
}
BET9JA_MAIN = {
    "S_1X2": ("3743", {"1": "1", "X": "X", "2": "2"}),
    "S_1X21T": ("3668", {"1": "1", "X": "X", "2": "2"}),
    "S_DC": ("4693", {"1X": "1X", "12": "12", "X2": "X2"}),
    "S_OU": ("5000", {"O": "Over", "U": "Under"}),
    "S_OUA": ("5000", {"O": "Over", "U": "Under"}),
    "S_GGNG": ("3795", {"Y": "Yes", "N": "No"}),
    "S_DNB": ("4703", {"1": "1", "2": "2"}),
    "S_AH": ("3774", {"1": "1", "2": "2"}),
    "S_1X2HND": ("4724", {"1H": "1", "XH": "X", "2H": "2"}),
}


def raw_betpawa(body: Json) -> tuple[Raw, int]:
    """Return the main prices according to the texts that BetPawa shows, and the total number of prices.

    The parser uses the numbers in the rows instead.
    """
    found: Raw = {}
    count = 0
    for market in body["markets"]:
        names = BETPAWA_MAIN.get(market["marketType"]["id"])
        for price in (price for row in market["row"] for price in row["prices"]):
            count += 1
            if names is None:
                continue
            outcome, shown = names[price["typeId"]], price.get("handicap")
            line = None
            if shown is not None:
                side, _, number = shown.rpartition(" ")
                line = float(number)
                if side == "Away" or (market["marketType"]["id"] == "3774" and outcome == "2"):
                    line = -line
            odds = price.get("odds", price.get("price"))
            found[market["marketType"]["id"], outcome, line] = (odds, not price.get("suspended") and odds > 1)
    return found, count


def raw_sportradar(body: Json) -> tuple[Raw, int]:
    """Return the main prices of a body of SportyBet or MSport, and its number of outcomes."""
    found: Raw = {}
    for market in body["data"]["markets"]:
        market_id, names = SPORTYBET_MAIN.get(str(market["id"]), ("", {}))
        text = market.get("specifier", market.get("specifiers", "")).rpartition("=")[2]
        home, colon, away = text.partition(":")
        line = None
        if market_id in ("5000", "3774", "4724"):
            line = float(home) - float(away) if colon else float(text)
        for outcome in market["outcomes"] if market_id else ():
            odds = float(outcome["odds"])
            is_open = market["status"] == 0 and outcome["isActive"] == 1 and odds > 1
            found[market_id, names[outcome["id"]], line] = (odds, is_open)
    return found, sum(len(market["outcomes"]) for market in body["data"]["markets"])


def raw_bet9ja(body: Json) -> tuple[Raw, int]:
    """Return the main prices of Bet9ja's body, and its number of odds."""
    found: Raw = {}
    for key, text in body["D"]["O"].items():
        matched = re.fullmatch(r"(S_[A-Z0-9]+)(?:@(-?[0-9.]+))?_(\w+)", key)
        if matched and matched[1] in BET9JA_MAIN:
            market_id, names = BET9JA_MAIN[matched[1]]
            line = float(matched[2]) if matched[2] else None
            found[market_id, names[matched[3]], line] = (float(text), float(text) > 1)
    return found, len(body["D"]["O"])


RAW = {
    Platform.BETPAWA: raw_betpawa,
    Platform.SPORTYBET: raw_sportradar,
    Platform.BET9JA: raw_bet9ja,
    Platform.MSPORT: raw_sportradar,
}


@pytest.mark.parametrize("golden", EVENTS, ids=lambda golden: golden.file)
def test_every_main_price_equals_its_raw_body(recorded: Path, golden: Golden) -> None:
    """Eight main markets with all lines match an independent reading of the body, and every outcome is counted."""
    raw, count = RAW[golden.platform](orjson.loads((recorded / golden.file).read_bytes()))
    event = decoded(recorded, golden)
    assert {place: price for place, price in table(event).items() if place[0] in BETPAWA_MAIN} == raw
    assert event.total == count
    assert count == 0 or {place[0] for place in raw} >= {"3743", "4693", "5000", "4724"}


@pytest.mark.parametrize(
    ("platform", "least"),
    [(Platform.BETPAWA, 97), (Platform.SPORTYBET, 75), (Platform.BET9JA, 80), (Platform.MSPORT, 100)],
)
def test_the_catalogue_covers_the_recording(recorded: Path, platform: Platform, least: float) -> None:
    """At least this percentage of the prices is mapped, not counting players. No price is dropped."""
    measured = measure(recorded)
    counts = measured.bookmakers[platform]
    assert (counts.mapped_percent_without_players or 0) >= least
    assert counts.dropped == 0
    assert counts.prices == counts.mapped + counts.unmapped
    assert measured.broken == {}
    assert all(market.are_players for market in counts.markets if "scorer" in market.name.lower())


def test_the_refusal_of_a_cdn_is_a_block(recorded: Path) -> None:
    """The body is an HTML page instead of JSON."""
    with pytest.raises(BlockedError):
        read_json(Platform.BET9JA, (recorded / "bet9ja/blocked_403.html").read_bytes(), None)


@pytest.mark.parametrize(
    ("file", "count", "expected"),
    [
        ("sportybet/event_68995116.json", 1232, {("1x2_ft", "1"): (0.395274, 0), ("btts_ft", "Yes"): (0.538976, 0)}),
        ("betpawa/event_v4_36552873.json", 369, {("draw_no_bet_ft", "1"): (0.200702, 0.236001)}),
        ("betpawa/event_v3_33289995.json", 0, {}),
        ("bet9ja/event_769895636.json", 0, {}),
        ("msport/event_68995116.json", 792, {("1x2_ft", "1"): (0.3953, 0), ("btts_ft", "Yes"): (0.539, 0)}),
    ],
)
def test_probabilities_are_those_of_the_body(
    recorded: Path, file: str, count: int, expected: dict[tuple[str, str], tuple[float, float]]
) -> None:
    """BetPawa's v4, SportyBet and MSport give one with each price, v3 hides it, and Bet9ja has none."""
    [golden] = [each for each in EVENTS if each.file == file]
    event = decoded(recorded, golden)
    assert len(event.chances) == count
    for (slug, outcome), chance in expected.items():
        assert unpack_chance(event.chances[making.key(slug, outcome)]) == Chance(*chance)
