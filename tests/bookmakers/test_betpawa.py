"""BetPawa's bodies: v4 as it is today, and the v3 shape that recordings have."""

from datetime import UTC, datetime

import orjson
import pytest

from quart_odds.bookmakers.betpawa import list_query, parse_competitions, parse_event, parse_list
from quart_odds.domain.odds import Competition, UnmappedMarket
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BlockedError, MalformedBodyError
from tests.bookmakers.wire import BETPAWA_CATEGORIES, BETPAWA_V3, BETPAWA_V4, Json, asked, dumps, table, with_, without

ASKED = asked(Platform.BETPAWA, "501")


def test_the_header_comes_from_participants_and_widgets() -> None:
    """Teams by position, not from the name; the SportRadar id by the widget's type; the kick-off aware."""
    header = parse_event(dumps(BETPAWA_V4), ASKED).header
    assert (header.home_team, header.away_team) == ("Rovers", "United - City")
    assert header.sportradar_id == "70000001"
    assert header.kickoff == datetime(2026, 8, 21, 9, 30, tzinfo=UTC)
    assert header.competition == Competition("77", "First Division", "Nowhere")


def test_v4_prices_go_by_type_id_and_row_handicap() -> None:
    """The whole table of a body with every quirk of v4."""
    event = parse_event(dumps(BETPAWA_V4), ASKED)
    assert table(event) == {
        ("3743", "1", None): (2.1, True),
        ("3743", "X", None): (3.2, False),
        ("3743", "2", None): (3.5, True),
        ("1x2_boosted_ft", "1", None): (2.6, True),
        ("1x2_boosted_ft", "X", None): (3.2, True),
        ("1x2_boosted_ft", "2", None): (4.1, True),
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
    # A row without its line (two prices), and an outcome that nobody knows.
    assert event.dropped == 3
    assert event.unmapped == (UnmappedMarket("28000224|2", "Next Goal"), UnmappedMarket("999", "Unheard Of"))
    assert event.mapped_markets == 8


def test_the_v3_shape_is_read_too() -> None:
    """`price` for `odds`, `suspended` always there, and odds that stay when it is true."""
    event = parse_event(dumps(BETPAWA_V3), ASKED)
    assert table(event) == {
        ("3743", "1", None): (2.1, True),
        ("3743", "X", None): (100.0, False),
        ("3743", "2", None): (0.0, False),
        ("28000850", "1", None): (1.9, True),
        ("4724", "1", 1.0): (1.34, True),
    }
    assert event.header.sportradar_id == "70000001"


def test_a_price_that_pays_early_is_no_1x2_price() -> None:
    """A mark on a single price moves it to the early payout's market."""
    price = {"typeId": "3744", "odds": 1.7, "additionalInfo": {"anyUp": "ONE_UP"}}
    body = with_(BETPAWA_V4, [{"marketType": {"id": "3743"}, "row": [{"prices": [price]}]}], "markets")
    assert table(parse_event(dumps(body), ASKED)) == {("28000810", "1", None): (1.7, True)}


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
    """It is dropped and counted; the rest of the table is the same."""
    whole = parse_event(dumps(BETPAWA_V4), ASKED)
    spoiled = parse_event(dumps(with_(BETPAWA_V4, [bad, *BETPAWA_V4["markets"]], "markets")), ASKED)
    assert table(spoiled) == table(whole)
    assert spoiled.dropped == whole.dropped + 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (without(BETPAWA_V4, "markets"), "markets"),
        (without(BETPAWA_V4, "startTime"), "startTime"),
        (with_(BETPAWA_V4, "soon", "startTime"), "startTime"),
        (with_(BETPAWA_V4, [], "participants"), "participants"),
        (without(BETPAWA_V4, "id"), "id"),
        (with_(BETPAWA_V4, "502", "id"), "id"),
    ],
)
def test_a_body_without_what_is_needed_names_the_field(body: Json, field: str) -> None:
    """The error says which bookmaker, which event and which part."""
    with pytest.raises(MalformedBodyError) as caught:
        parse_event(dumps(body), ASKED)
    assert (caught.value.platform, caught.value.where, caught.value.field) == (Platform.BETPAWA, "event 501", field)


def test_html_is_a_refusal() -> None:
    """A page in place of JSON means that somebody keeps us out."""
    with pytest.raises(BlockedError):
        parse_event(b"\n<!doctype html><title>no</title>", ASKED)


def test_an_event_without_a_sportradar_widget_stands_alone() -> None:
    """Another source's id is not taken for SportRadar's."""
    body = with_(BETPAWA_V4, [{"id": "13", "type": "GENIUSSPORTS"}, {"id": "x1", "type": "SPORTRADAR"}], "widgets")
    assert parse_event(dumps(body), ASKED).header.sportradar_id is None


def test_competitions_are_listed_without_simulated_ones() -> None:
    """Ids in the site's order."""
    assert parse_competitions(dumps(BETPAWA_CATEGORIES)) == (["77", "78"], [])


def test_a_bad_competition_costs_no_other() -> None:
    """It is told, and the others are listed."""
    regions = [{"competitions": [{"competition": {"id": 5}}, {"competition": {"id": "78"}}]}]
    ids, errors = parse_competitions(dumps({"withRegions": [{"regions": regions}]}))
    assert ids == ["78"]
    assert [error.field for error in errors] == ["competition.id"]


def test_a_page_tells_events_errors_and_its_size() -> None:
    """A bad event costs no other, and counts for the size of the page."""
    page = {"responses": [{"responses": [BETPAWA_V4, {"id": "502"}, 3]}]}
    headers, errors, size = parse_list(dumps(page), "competitions 77")
    assert [header.external_id for header in headers] == ["501"]
    assert [error.where for error in errors] == ["event 502 in competitions 77", "competitions 77"]
    assert size == 3


def test_the_query_asks_for_a_page_of_a_hundred() -> None:
    """More is refused by the site."""
    (query,) = orjson.loads(list_query(["77", "78"], 100))["queries"]
    assert (query["skip"], query["take"]) == (100, 100)
    assert query["query"]["zones"] == {"competitions": ["77", "78"]}
