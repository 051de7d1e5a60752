"""SportyBet's bodies: envelope, specifiers, suspension, and the owner of an event id."""

from datetime import UTC, datetime

import pytest

from quart_odds.bookmakers.sportybet import parse_event, parse_tournaments
from quart_odds.domain.odds import Competition, ListedCompetition, UnmappedMarket
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError, NotFoundError
from tests.bookmakers.reading import sportybet_list
from tests.bookmakers.wire import SPORTYBET, SPORTYBET_DATA, SPORTYBET_TREE, Json, asked, dumps, table, with_, without

ASKED = asked(Platform.SPORTYBET, "sr:match:70000001")


def test_the_header_has_utc_from_milliseconds() -> None:
    """The kick-off is in epoch milliseconds; the competition consists of the sport's category and tournament."""
    header = parse_event(dumps(SPORTYBET), ASKED).header
    assert header.kickoff == datetime(2026, 8, 21, 9, 30, tzinfo=UTC)
    assert header.name == "Rovers FC - United - City"
    assert header.competition == Competition("sr:tournament:5", "First Division", "Nowhere")
    assert header.sportradar_id == "70000001"


def test_prices_go_by_market_specifier_and_outcome_id() -> None:
    """The whole table of a body with every peculiarity."""
    event = parse_event(dumps(SPORTYBET), ASKED)
    assert table(event) == {
        ("3743", "1", None): (2.15, True),
        ("3743", "X", None): (3.25, False),
        ("3743", "2", None): (3.4, True),
        ("28000810", "1", None): (1.66, True),
        ("28000810", "X", None): (3.3, True),
        ("28000810", "2", None): (1.88, True),
        ("28000850", "1", None): (2.01, True),
        ("28000850", "X", None): (3.3, True),
        ("28000850", "2", None): (2.88, True),
        ("4693", "1X", None): (1.3, True),
        ("4693", "12", None): (1.31, True),
        ("4693", "X2", None): (1.6, True),
        ("5000", "Over", 2.5): (1.95, True),
        ("5000", "Under", 2.5): (1.82, True),
        ("5000", "Over", 3.0): (2.6, False),
        ("5000", "Under", 3.0): (1.45, False),
        ("3774", "1", -0.5): (2.35, True),
        ("3774", "2", -0.5): (1.57, True),
        ("4724", "1", -1.0): (4.75, True),
        ("4724", "X", -1.0): (4.25, True),
        ("4724", "2", -1.0): (1.56, True),
        ("4724", "1", 1.0): (1.38, True),
        ("4724", "X", 1.0): (4.5, True),
        ("4724", "2", 1.0): (6.0, True),
        ("1096755", "1 & Under", 2.5): (3.1, True),
        ("1096755", "1 & Over", 2.5): (3.9, True),
        ("28000173", "1", None): (7.8, True),
        ("28000173", "X", None): (1.16, True),
        ("28000173", "2", None): (9.0, True),
        ("4926", "0", None): (9.9, True),
        ("4926", "6+", None): (1.0, False),
        ("3795", "Yes", None): (1.74, True),
        ("3795", "No", None): (0.0, False),
        ("over_under_early_10min_ft", "Over", 1.5): (1.28, True),
        ("over_under_early_10min_ft", "Under", 1.5): (3.4, False),
    }
    # Two prices at a line that is not a multiple of 0.25, and one unknown outcome.
    assert event.dropped == 3
    assert event.unmapped == (UnmappedMarket("105|to=20|from=11", "Market 105"),)
    assert (event.total, event.understood, event.unmapped_prices) == (41, 35, 3)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "x",
        {},
        {"id": "1", "outcomes": [{"id": "1", "odds": "2.00", "isActive": 1}]},
        {"id": "1", "status": "0", "outcomes": [{}]},
        {"id": "1", "status": 0, "outcomes": None, "specifier": 4},
        {"id": "1", "status": 0, "outcomes": [{"id": "1", "odds": "2.00", "isActive": "1"}]},
        {"id": "1", "status": 0, "outcomes": [{"id": "1", "odds": None, "isActive": 1}]},
        {"id": "1", "status": 0, "outcomes": [{"id": ["1"], "odds": "2.00", "isActive": 1}]},
        {"id": "14", "status": 0, "specifier": "hcp=one:0", "outcomes": [{}]},
        {"id": "18", "status": 0, "specifier": "total=nan", "outcomes": [{}]},
        {"id": "18", "status": 0, "specifier": ["total=2.5"], "outcomes": [{}]},
    ],
)
def test_a_bad_market_costs_no_other(bad: object) -> None:
    """The invalid market is dropped and counted; the rest of the table is unchanged."""
    whole = parse_event(dumps(SPORTYBET), ASKED)
    markets = [bad, *SPORTYBET_DATA["markets"]]
    spoiled = parse_event(dumps(with_(SPORTYBET, markets, "data", "markets")), ASKED)
    assert table(spoiled) == table(whole)
    assert spoiled.dropped == whole.dropped + 1


def test_a_market_without_its_line_is_another_market() -> None:
    """Over/under without a line, and 1X2 with one, are not mistaken for the markets that we know."""
    outcomes = [{"id": "12", "odds": "2.00", "isActive": 1}]
    markets = [
        {"id": "18", "status": 0, "outcomes": outcomes},
        {"id": "1", "status": 0, "specifier": "total=2.5", "outcomes": outcomes},
    ]
    event = parse_event(dumps(with_(SPORTYBET, markets, "data", "markets")), ASKED)
    assert len(event.prices) == 0
    assert [market.market_id for market in event.unmapped] == ["18|None", "1|total=2.5"]


def test_a_refused_id_is_an_event_that_is_gone_and_any_other_refusal_is_trouble() -> None:
    """The site reports both with HTTP status 200."""
    with pytest.raises(MalformedBodyError):
        parse_event(dumps({"bizCode": 5003, "message": "busy"}), ASKED)
    with pytest.raises(NotFoundError) as caught:
        parse_event(dumps({"bizCode": 19000, "message": "Invalid"}), ASKED)
    assert caught.value.where == "event sr:match:70000001"


def test_another_biz_code_for_a_list_is_a_bad_answer() -> None:
    """A rejected list does not mean that an event is gone."""
    with pytest.raises(MalformedBodyError, match="19000"):
        sportybet_list(dumps({"bizCode": 19000, "message": "Invalid"}), "sr:tournament:5")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (without(SPORTYBET, "bizCode"), "bizCode"),
        (without(SPORTYBET, "data"), "data"),
        (with_(SPORTYBET, [], "data"), "data"),
        (without(SPORTYBET, "data", "markets"), "data.markets"),
        (without(SPORTYBET, "data", "homeTeamName"), "homeTeamName"),
        (with_(SPORTYBET, " ", "data", "awayTeamName"), "awayTeamName"),
        (with_(SPORTYBET, "now", "data", "estimateStartTime"), "estimateStartTime"),
        (with_(SPORTYBET, 10**18, "data", "estimateStartTime"), "estimateStartTime"),
        (with_(SPORTYBET, "sr:match:2", "data", "eventId"), "eventId"),
    ],
)
def test_a_body_without_what_is_needed_names_the_field(body: Json, field: str) -> None:
    """The error names the bookmaker, the event and the field."""
    with pytest.raises(MalformedBodyError) as caught:
        parse_event(dumps(body), ASKED)
    assert caught.value.platform is Platform.SPORTYBET
    assert caught.value.where == "event sr:match:70000001"
    assert caught.value.field == field


RADAR, GENIUS = "BET_RADAR", "BET_GENIUS"


@pytest.mark.parametrize(
    ("digits", "sources", "sportradar_id", "genius_id"),
    [
        ("70000001", [(RADAR, "70000001")], "70000001", None),
        ("700000012", [(RADAR, "700000012")], "700000012", None),
        ("70000001", [], "70000001", None),
        # An event id of 8 or 9 digits is SportRadar's, whatever the source.
        ("70000001", [("LSPORTS", "B6EV")], "70000001", None),
        ("70000001", [(GENIUS, "111111113000001")], "70000001", "13000001"),
        ("70000001", [(RADAR, "70000001"), (GENIUS, "13000001")], "70000001", "13000001"),
        ("70000001", [(GENIUS, "70000001")], "70000001", None),
        # The source's id has a prefix of seven ones.
        ("70000001", [(RADAR, "111111170000001"), (RADAR, "70000001")], "70000001", None),
        ("111111170000001", [(RADAR, "111111170000001")], "70000001", None),
        ("B6EV||i9", [(RADAR, "111111170000001")], "70000001", None),
        # An id of this form is Genius Sports' if the source says so or there is no source.
        ("111111113000001", [(GENIUS, "111111113000001")], None, "13000001"),
        ("111111113000001", [(GENIUS, "13000001"), (GENIUS, "13000001")], None, "13000001"),
        ("111111113000001", [], None, "13000001"),
        ("111111113000001", [("LSPORTS", "13000001")], None, None),
        ("1111111155", [], None, None),
        ("545514", [(RADAR, "545514")], None, None),
        ("B6EV||i9", [("LSPORTS", "70000001")], None, None),
        ("B6EV||i9", [(RADAR, None), (GENIUS, 13000001)], None, None),
    ],
)
def test_whose_an_id_is(
    digits: str, sources: list[tuple[str, object]], sportradar_id: str | None, genius_id: str | None
) -> None:
    """Length and prefix decide, or else the source."""
    named = zip(("preMatchSource", "liveSource"), sources, strict=False)
    source = {name: {"sourceType": kind, "sourceId": source_id} for name, (kind, source_id) in named}
    event_id = f"sr:match:{digits}"
    body = with_(with_(SPORTYBET, event_id, "data", "eventId"), source, "data", "eventSource")
    header = parse_event(dumps(body), asked(Platform.SPORTYBET, event_id)).header
    assert (header.sportradar_id, header.genius_id) == (sportradar_id, genius_id)


@pytest.mark.parametrize(("path", "value"), [(("status",), 1), (("status",), 4), (("status",), "1")])
def test_a_match_in_play_is_reported(path: tuple[str, ...], value: object) -> None:
    """Any status except that of an upcoming match counts. Lists say so, too, and have no prices then."""
    body = with_(SPORTYBET, value, "data", *path)
    event = parse_event(dumps(body), ASKED)
    assert event.is_in_play
    assert table(event) == table(parse_event(dumps(SPORTYBET), ASKED))
    listed = {"bizCode": 10000, "data": [{"id": "sr:tournament:5", "events": [body["data"]]}]}
    [entry], errors = sportybet_list(dumps(listed), "sr:tournament:5")
    assert (entry.is_in_play, entry.odds, errors) == (True, None, [])


def test_live_markets_are_prices_in_play() -> None:
    """A market's product shows it even if the status does not."""
    live = {**SPORTYBET_DATA["markets"][0], "product": 1}
    assert parse_event(dumps(with_(SPORTYBET, [live], "data", "markets")), ASKED).is_in_play
    assert not parse_event(dumps(SPORTYBET), ASKED).is_in_play
    assert not parse_event(dumps(without(SPORTYBET, "data", "status")), ASKED).is_in_play


def test_marks_that_raise_no_price_leave_it_plain() -> None:
    """Links to early payout markets, and the mark of prices on which customers may use a boost."""
    first, *others = SPORTYBET_DATA["markets"]
    outcomes = [{**outcome, "oddsBoostLfb": True} for outcome in first["outcomes"]]
    marked = {**first, "outcomes": outcomes, "earlyPayoutMarkets": [{"name": "2UP"}], "marketExtendVOS": [{}]}
    event = parse_event(dumps(with_(SPORTYBET, [marked, *others], "data", "markets")), ASKED)
    assert table(event) == table(parse_event(dumps(SPORTYBET), ASKED))


@pytest.mark.parametrize(
    ("outcomes", "player_prices"),
    [
        ([{"id": "1716", "desc": "No Goal"}, {"id": "sr:player:1"}, {"id": "sr:player:2"}], 3),
        ([{"id": "900", "playerName": "Adriano"}], 1),
        ([{"id": "74", "desc": "Yes"}, {"id": "76", "desc": "No"}, {"id": "sr:player:1"}], 0),
        ([], 0),
    ],
)
def test_a_players_market_is_known_by_its_outcomes(outcomes: list[Json], player_prices: int) -> None:
    """The market stays unmapped and its prices are counted separately."""
    unknown = {"id": "40", "desc": "Anytime Goalscorer", "specifier": "type=prematch", "outcomes": outcomes}
    event = parse_event(dumps(with_(SPORTYBET, [unknown], "data", "markets")), ASKED)
    assert (event.unmapped_prices, event.player_prices) == (len(outcomes), player_prices)


def test_tournaments_are_listed_without_simulated_ones() -> None:
    """Only football, with country, name, and the number of events in the tree."""
    known = Competition("sr:tournament:5", "First Division", "Nowhere")
    assert parse_tournaments(dumps(SPORTYBET_TREE)) == ([ListedCompetition(known, 2)], [])


def test_a_bad_category_costs_no_other() -> None:
    """The error is reported, and the other tournaments are listed."""
    good = {"name": "Nowhere", "tournaments": [{"id": "sr:tournament:5"}]}
    sport = {"id": "sr:sport:1", "categories": [{"name": "Broken"}, good]}
    found, errors = parse_tournaments(dumps({"bizCode": 10000, "data": {"sportList": [sport]}}))
    assert [(each.competition.external_id, each.expected) for each in found] == [("sr:tournament:5", None)]
    assert [error.field for error in errors] == ["categories.tournaments"]


@pytest.mark.parametrize("shape", ["list", "object"])
def test_both_shapes_of_lists_are_read(shape: str) -> None:
    """An invalid event affects no other, and e-sports are left out because of their source."""
    game = with_(SPORTYBET_DATA, {"preMatchSource": {"sourceType": "BETER", "sourceId": "x"}}, "eventSource")
    tournaments = [{"id": "sr:tournament:5", "events": [SPORTYBET_DATA, game, {"eventId": "sr:match:3"}]}]
    data = tournaments if shape == "list" else {"totalNum": 3, "tournaments": tournaments}
    listed, errors = sportybet_list(dumps({"bizCode": 10000, "data": data}), "sr:tournament:5")
    assert [each.header.external_id for each in listed] == ["sr:match:70000001"]
    assert [error.where for error in errors] == ["event sr:match:3 in sr:tournament:5"]


@pytest.mark.parametrize(
    "data",
    [[], {"totalNum": 0, "tournaments": []}, [{"id": "sr:tournament:5", "events": []}]],
)
def test_a_list_may_be_empty(data: object) -> None:
    """An empty list is not an error."""
    assert sportybet_list(dumps({"bizCode": 10000, "data": data}), "sr:tournament:5") == ([], [])


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (None, "data"),
        ("maintenance", "data"),
        ({}, "data.tournaments"),
        ({"tournaments": None}, "data.tournaments"),
        ([{"id": "sr:tournament:5"}], "tournaments.events"),
        ([{"id": "sr:tournament:5", "events": None}], "tournaments.events"),
        ([None], "tournaments.events"),
    ],
)
def test_a_success_without_its_list_is_wrong_and_not_empty(data: object, field: str) -> None:
    """Such an answer says nothing about the tournament's events."""
    with pytest.raises(MalformedBodyError) as caught:
        sportybet_list(dumps({"bizCode": 10000, "data": data}), "sr:tournament:5")
    assert caught.value.field == field
