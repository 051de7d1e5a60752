"""BetPawa's bodies: the current v4, and the v3 events found in recordings."""

from datetime import UTC, datetime

import orjson
import pytest

from quart_odds.bookmakers.betpawa import list_query, parse_competitions, parse_event
from quart_odds.domain.catalogue import promotion_of
from quart_odds.domain.odds import Competition, UnmappedMarket
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import promotion_name
from quart_odds.errors import BlockedError, MalformedBodyError
from tests.bookmakers.reading import betpawa_list
from tests.bookmakers.wire import BETPAWA_CATEGORIES, BETPAWA_V3, BETPAWA_V4, Json, asked, dumps, table, with_, without

ASKED = asked(Platform.BETPAWA, "501")


def test_the_header_comes_from_participants_and_widgets() -> None:
    """Teams are identified by position and not by name, SportRadar ids by the widget's type. The kick-off is aware."""
    header = parse_event(dumps(BETPAWA_V4), ASKED).header
    assert (header.home_team, header.away_team) == ("Rovers", "United - City")
    assert header.sportradar_id == "70000001"
    assert header.kickoff == datetime(2026, 8, 21, 9, 30, tzinfo=UTC)
    assert header.competition == Competition("77", "First Division", "Nowhere")


def test_v4_prices_go_by_type_id_and_row_handicap() -> None:
    """The whole table of a body with every peculiarity of v4."""
    event = parse_event(dumps(BETPAWA_V4), ASKED)
    assert table(event) == {
        ("3743", "1", None): (2.1, True),
        ("3743", "X", None): (3.2, False),
        ("3743", "2", None): (3.5, True),
        ("3743", "1", None, "boosted"): (2.6, True),
        ("3743", "X", None, "boosted"): (3.2, True),
        ("3743", "2", None, "boosted"): (4.1, True),
        ("28000850", "1", None): (2.0, True),
        ("28000850", "X", None): (3.2, True),
        ("5000", "Over", 2.5): (1.9, True),
        ("5000", "Under", 2.5): (1.8, True),
        ("5000", "Over", 2.75): (2.2, True),
        ("5000", "Under", 2.75): (1.6, True),
        ("5000", "Over", 3.5): (3.1, True),
        ("5000", "Under", 3.5): (1.0, False),
        ("3774", "1", -0.5): (2.3, True),
        ("3774", "2", -0.5): (1.5, True),
        ("4724", "1", -1.0): (4.7, True),
        ("4724", "X", -1.0): (4.2, True),
        ("4724", "2", -1.0): (1.5, True),
        ("first_goal_ft", "1", None): (1.9, True),
        ("first_goal_ft", "2", None): (2.1, True),
        ("4693", "1X", None): (1.3, True),
        ("4693", "X2", None): (0.0, False),
    }
    # A row without its line (two prices), and an unknown outcome.
    assert event.dropped == 3
    assert event.unmapped == (UnmappedMarket("28000224|2", "Next Goal"), UnmappedMarket("999", "Unheard Of"))
    assert event.mapped_markets == 7


def test_the_v3_shape_is_read_too() -> None:
    """v3 has `price` for `odds`, always has `suspended`, and keeps the odds of suspended prices."""
    event = parse_event(dumps(BETPAWA_V3), ASKED)
    assert table(event) == {
        ("3743", "1", None): (2.1, True),
        ("3743", "X", None): (100.0, False),
        ("3743", "2", None): (0.0, False),
        ("3743", "1", None, "two_up"): (1.9, True),
        ("4724", "1", 1.0): (1.34, True),
    }
    assert event.header.sportradar_id == "70000001"


MARKED = {
    "4693": ["4694", "4696", "4695"],
    "5000": ["5001", "5002"],
    "3795": ["3796", "3797"],
    "4703": ["4704", "4705"],
    "3774": ["3775", "3776"],
    "4724": ["4725", "4726", "4727"],
    "3743": ["3744", "3745", "3746"],
}
LINES = {"5000": 10, "3774": -2, "4724": -4}


def market(market_id: str, odds: float = 2.0, about: object = None, price_about: object = None) -> Json:
    """Build a market with equal odds for all outcomes, marked as a whole or per price."""
    prices = [
        {"typeId": each, "odds": odds, **({"additionalInfo": price_about} if price_about is not None else {})}
        for each in MARKED.get(market_id, ["28000851", "28000852", "28000853"])
    ]
    row = {"prices": prices, **({"handicap": LINES[market_id]} if market_id in LINES else {})}
    return {
        "marketType": {"id": market_id},
        "row": [row],
        **({"additionalInfo": about} if about is not None else {}),
    }


def promotions(*markets: Json) -> list[str | None]:
    """Return the promotion of each price of these markets, after checking that no price was lost."""
    event = parse_event(dumps(with_(BETPAWA_V4, list(markets), "markets")), ASKED)
    assert (event.dropped, event.unmapped) == (0, ())
    return [promotion_name(promotion_of(key), event.promotions) for key in event.prices.keys]


@pytest.mark.parametrize("market_id", MARKED)
@pytest.mark.parametrize(
    ("about", "price_about", "promotion"),
    [
        ({"boosted": True}, None, "boosted"),
        ({"twoUp": True}, None, "two_up"),
        ({"oneUp": True}, None, "one_up"),
        ({"superBoost": True}, None, "super_boost"),
        ({"promotion": "Happy Hour!"}, None, "happy_hour"),
        (None, {"anyUp": "ONE_UP"}, "one_up"),
        (None, {"anyUp": "TWO_UP"}, "two_up"),
        (None, {"anyUp": "THREE_UP"}, "three_up"),
        (None, {"twoUp": True}, "two_up"),
        (None, {"boosted": True}, "boosted"),
        (None, {"anyUp": "NO_UP"}, None),
        (None, {"anyUp": ""}, None),
        (None, {"anyUp": None, "twoUp": False, "hot": True}, None),
        ({"boosted": False, "twoUp": False, "cashoutable": True}, None, None),
        # Marks whose values are neither text nor booleans.
        (None, {"anyUp": 2}, "other"),
        (None, {"anyUp": ["TWO_UP"]}, "other"),
        ({"boosted": {"by": 10}}, None, "other"),
        ({"boosted": 1}, None, "other"),
        (["boosted"], None, "other"),
        (None, "TWO_UP", "other"),
        # Marked twice: a boost outweighs a perk, and so does an unknown promotion.
        ({"boosted": True, "twoUp": True}, None, "boosted"),
        ({"twoUp": True, "boosted": True}, None, "boosted"),
        ({"boosted": True}, {"anyUp": "TWO_UP"}, "boosted"),
        ({"twoUp": True}, {"anyUp": "THREE_UP"}, "three_up"),
        ({"twoUp": True}, {"anyUp": "TWO_UP"}, "two_up"),
        ({"boosted": True}, {"anyUp": "NO_UP"}, "boosted"),
        # A perk of the market from which this price is exempt.
        ({"twoUp": True}, {"anyUp": "NO_UP"}, None),
    ],
)
def test_a_marked_price_is_the_markets_own_under_a_promotion(
    market_id: str, about: object, price_about: object, promotion: str | None
) -> None:
    """This holds in every market. No price is dropped, and a mark that is not understood never counts as plain."""
    found = promotions(market(market_id, about=about, price_about=price_about))
    assert found == [promotion] * len(MARKED[market_id])


@pytest.mark.parametrize("boosted_first", [True, False])
@pytest.mark.parametrize("market_id", MARKED)
def test_a_plain_and_a_boosted_price_both_stand(market_id: str, boosted_first: bool) -> None:
    """The order does not matter."""
    markets = [market(market_id, 2.4, {"boosted": True}), market(market_id, 1.9)]
    event = parse_event(dumps(with_(BETPAWA_V4, markets if boosted_first else markets[::-1], "markets")), ASKED)
    odds = {place[3:]: odds for place, (odds, _) in table(event).items()}
    assert odds == {(): 1.9, ("boosted",): 2.4}
    assert len(event.prices) == 2 * len(MARKED[market_id])


@pytest.mark.parametrize(
    ("about", "price_about", "promotion"),
    [
        ({"twoUp": True}, None, None),
        (None, {"anyUp": "TWO_UP"}, None),
        (None, {"anyUp": "ONE_UP"}, "one_up"),
        ({"boosted": True}, {"anyUp": "TWO_UP"}, "boosted"),
    ],
)
def test_a_market_that_is_a_promotion_ignores_only_the_mark_that_repeats_it(
    about: object, price_about: object, promotion: str | None
) -> None:
    """On a 2UP market, TWO_UP adds nothing, but a boost does."""
    assert promotions(market("28000850", about=about, price_about=price_about)) == [promotion] * 3


def test_words_beyond_the_room_share_one() -> None:
    """An event has room for eleven of the bookmaker's own words. Prices with further words are kept as "other"."""
    marks = [market("3795", 2.0, {"promotion": f"word {number}"}) for number in range(12)]
    names = promotions(*marks)
    assert set(names) == {*(f"word_{number}" for number in range(11)), "other"}
    assert len(names) == 24


def test_the_perk_of_a_plain_double_chance_stays_on_it() -> None:
    """1X and X2 pay early but 12 does not, although the market as a whole is marked."""
    prices = [
        {"typeId": type_id, "price": 1.5, "additionalInfo": {"hot": False, "twoUp": is_up, "anyUp": word}}
        for type_id, is_up, word in (("4694", True, "TWO_UP"), ("4695", True, "TWO_UP"), ("4696", False, "NO_UP"))
    ]
    body = {"marketType": {"id": "4693"}, "additionalInfo": {"twoUp": True}, "row": [{"prices": prices}]}
    event = parse_event(dumps(with_(BETPAWA_V4, [body], "markets")), ASKED)
    assert list(table(event)) == [("4693", "12", None), ("4693", "1X", None, "two_up"), ("4693", "X2", None, "two_up")]


def test_an_event_may_leave_its_markets_out() -> None:
    """v4 omits empty fields, so an event without prices has no markets."""
    event = parse_event(dumps(without(BETPAWA_V4, "markets")), ASKED)
    assert (len(event.prices), event.total) == (0, 0)


@pytest.mark.parametrize(
    ("value", "path"), [(True, ("additionalInfo", "live")), ({"display": {"minute": "12"}}, ("results",))]
)
def test_a_match_in_play_is_reported(value: object, path: tuple[str, ...]) -> None:
    """The site's mark or existing results say so. The prices are still parsed, but not those in a list."""
    body = with_({**BETPAWA_V4, "additionalInfo": {"live": False}}, value, *path)
    event = parse_event(dumps(body), ASKED)
    assert event.is_in_play
    assert table(event) == table(parse_event(dumps(BETPAWA_V4), ASKED))
    [entry], errors, size = betpawa_list(dumps({"responses": [{"responses": [body]}]}), "competitions 77")
    assert (entry.is_in_play, entry.odds, errors, size) == (True, None, [], 1)


def test_a_match_to_come_is_not_in_play() -> None:
    """Neither v3 nor v4 says so before the kick-off."""
    for body in (BETPAWA_V4, BETPAWA_V3, {**BETPAWA_V4, "additionalInfo": {"live": False}, "results": None}):
        assert not parse_event(dumps(body), ASKED).is_in_play


def test_every_outcome_of_a_body_is_counted() -> None:
    """Understood, dropped and unmapped outcomes add up to the total."""
    event = parse_event(dumps(BETPAWA_V4), ASKED)
    assert (event.total, event.understood, event.dropped, event.unmapped_prices) == (28, 23, 3, 2)
    assert [market.prices for market in event.unmapped] == [1, 1]


def players(*names: str, **about: object) -> Json:
    """Build a market of an unknown type with these outcomes."""
    prices = [{"typeId": str(number), "name": name, "odds": 2.0} for number, name in enumerate(names)]
    return {"marketType": {"id": "129108", "displayName": "Anytime Goalscorer", **about}, "row": [{"prices": prices}]}


SCORERS = ("Jean-Luc O'Neill", "Adriano", "Ngan Cheuk Pan", "J. R. Müller", "Łukasz Nowak", "Zé", "No Goal")


@pytest.mark.parametrize(
    ("unknown", "player_prices"),
    [
        (players(*SCORERS), 7),
        (players(*SCORERS[:2], tabs=["players", "all"]), 2),
        # A few names may be anything, and the players tab alone does not make an outcome a player.
        (players(*SCORERS[:2]), 0),
        (players("Yes", "No", tabs=["players"]), 0),
        (players("Over 0.5", "Under 0.5", tabs=["players"]), 0),
        (players("Home", "Draw", "Away", "Home or Draw", "Neither Team", "Both Teams", "First Half"), 0),
        (players(tabs=["players"]), 0),
    ],
)
def test_a_players_market_is_known_by_its_outcomes(unknown: Json, player_prices: int) -> None:
    """The market stays unmapped and its prices are counted separately."""
    event = parse_event(dumps(with_(BETPAWA_V4, [unknown], "markets")), ASKED)
    assert event.player_prices == player_prices
    assert event.unmapped_prices == event.total == len(unknown["row"][0]["prices"])


@pytest.mark.parametrize(
    "bad",
    [
        None,
        7,
        {},
        {"marketType": None, "row": []},
        {"marketType": {"id": ["3743"]}, "row": []},
        {"marketType": {"id": "3743"}},
        {"marketType": {"id": "3743"}, "row": [None]},
        {"marketType": {"id": "3743"}, "row": [{}]},
        {"marketType": {"id": "3743"}, "row": [{"prices": [{"typeId": "3744"}]}]},
        {"marketType": {"id": "3743"}, "row": [{"prices": [{"typeId": "3744", "odds": "2.0x"}]}]},
        {"marketType": {"id": "3743"}, "row": [{"prices": [{"typeId": "3744", "odds": True}]}]},
        {"marketType": {"id": "3743"}, "row": [{"prices": [{"typeId": {}, "odds": 2.0}]}]},
        {"marketType": {"id": "5000"}, "row": [{"handicap": "10", "prices": [{"typeId": "5001", "odds": 2.0}]}]},
    ],
)
def test_a_bad_market_costs_no_other(bad: object) -> None:
    """The invalid market is dropped and counted; the rest of the table is unchanged."""
    whole = parse_event(dumps(BETPAWA_V4), ASKED)
    spoiled = parse_event(dumps(with_(BETPAWA_V4, [bad, *BETPAWA_V4["markets"]], "markets")), ASKED)
    assert table(spoiled) == table(whole)
    assert spoiled.dropped == whole.dropped + 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (with_(BETPAWA_V4, None, "markets"), "markets"),
        (without(BETPAWA_V4, "startTime"), "startTime"),
        (with_(BETPAWA_V4, "soon", "startTime"), "startTime"),
        (with_(BETPAWA_V4, [], "participants"), "participants"),
        (without(BETPAWA_V4, "id"), "id"),
        (with_(BETPAWA_V4, "502", "id"), "id"),
    ],
)
def test_a_body_without_what_is_needed_names_the_field(body: Json, field: str) -> None:
    """The error names the bookmaker, the event and the field."""
    with pytest.raises(MalformedBodyError) as caught:
        parse_event(dumps(body), ASKED)
    assert (caught.value.platform, caught.value.where, caught.value.field) == (Platform.BETPAWA, "event 501", field)


def test_html_is_a_refusal() -> None:
    """An HTML page instead of JSON means that the request was blocked."""
    with pytest.raises(BlockedError):
        parse_event(b"\n<!doctype html><title>no</title>", ASKED)


def test_an_event_without_a_sportradar_widget_stands_alone() -> None:
    """An id of another source is not mistaken for SportRadar's."""
    body = with_(BETPAWA_V4, [{"id": "13", "type": "GENIUSSPORTS"}, {"id": "x1", "type": "SPORTRADAR"}], "widgets")
    header = parse_event(dumps(body), ASKED).header
    assert (header.sportradar_id, header.genius_id) == (None, None)


def test_a_genius_id_is_the_second_key() -> None:
    """It comes from the other feed's widget, separate from SportRadar's. Ids of other lengths belong to neither."""
    widgets = [
        {"id": "545514", "type": "SPORTRADAR"},
        {"id": "13000001", "type": "GENIUSSPORTS"},
        {"id": "70000002", "type": "SPORTRADAR"},
    ]
    header = parse_event(dumps(with_(BETPAWA_V4, widgets, "widgets")), ASKED).header
    assert (header.sportradar_id, header.genius_id) == ("70000002", "13000001")


def test_competitions_are_listed_without_simulated_ones() -> None:
    """Ids are in the site's order."""
    assert parse_competitions(dumps(BETPAWA_CATEGORIES)) == (["77", "78"], [])


def test_a_bad_competition_costs_no_other() -> None:
    """The error is reported, and the other competitions are listed."""
    regions = [{"competitions": [{"competition": {"id": 5}}, {"competition": {"id": "78"}}]}]
    ids, errors = parse_competitions(dumps({"withRegions": [{"regions": regions}]}))
    assert ids == ["78"]
    assert [error.field for error in errors] == ["competition.id"]


def test_a_page_tells_events_errors_and_its_size() -> None:
    """An invalid event does not affect the others, and it counts towards the size of the page."""
    page = {"responses": [{"responses": [BETPAWA_V4, {"id": "502"}, 3]}]}
    listed, errors, size = betpawa_list(dumps(page), "competitions 77")
    assert [each.header.external_id for each in listed] == ["501"]
    assert [error.where for error in errors] == ["event 502 in competitions 77", "competitions 77"]
    assert size == 3


def test_a_page_past_the_end_is_empty() -> None:
    """A response without events omits its list. An invalid response or list is an error."""
    assert betpawa_list(b'{"responses":[{}]}', "competitions 77") == ([], [], 0)
    for bad in (b"{}", b'{"responses":[null]}', b'{"responses":[{"responses":null}]}', b'{"responses":"soon"}'):
        with pytest.raises(MalformedBodyError):
            betpawa_list(bad, "competitions 77")


def test_the_query_asks_for_a_page_of_a_hundred() -> None:
    """The site rejects larger pages."""
    (query,) = orjson.loads(list_query(["77", "78"], 100))["queries"]
    assert (query["skip"], query["take"]) == (100, 100)
    assert query["query"]["zones"] == {"competitions": ["77", "78"]}
    assert query["view"] == {"marketTypes": ["3743", "4693", "5000", "3795"]}
