"""BetKing's bodies: copies of an event, lines of prices and of markets, ids of several feeds, and lists by day."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from quart_odds.bookmakers.betking import BETKING, DAYS, LIST_PATH, BetKingSite, parse_event, parse_listed, read_header
from quart_odds.bookmakers.bodies import read_object
from quart_odds.domain.odds import Competition, ListedCompetitions, UnmappedMarket
from quart_odds.errors import IncompleteListError, MalformedBodyError, NotFoundError
from tests.bookmakers import more_wire
from tests.bookmakers.clients import json_answer, listed, opened
from tests.bookmakers.fake_site import Handler, serving, settings_for
from tests.bookmakers.more_wire import BETKING_ITEM, betking_day
from tests.bookmakers.wire import Json, asked, dumps, table, with_, without

BODY = more_wire.BETKING
ASKED = asked(BETKING, "801")


def changed(value: object, *path: str | int) -> Json:
    """Return the body with another value in the first copy of the event."""
    return with_(BODY, value, "AreaMatches", 0, "Items", 0, *path)


def test_the_header_has_utc_from_a_local_time() -> None:
    """`ItemDate` has an offset, and `ItemName` both teams."""
    header = parse_event(dumps(BODY), ASKED).header
    assert header.kickoff == datetime(2026, 8, 21, 9, 30, tzinfo=UTC)
    assert (header.home_team, header.away_team) == ("Rovers", "United - City")
    assert header.competition == Competition("841", "First Division", "Nowhere")
    assert (header.external_id, header.sportradar_id) == ("801", "70000001")


@pytest.mark.parametrize("value", ["545514", "111111170000001", "7000000A", 70000001, None, ""])
def test_an_id_of_another_feed_matches_nothing(value: object) -> None:
    """Only text of 8 or 9 digits is SportRadar's."""
    body = {"AreaMatches": [{"Items": [{**BETKING_ITEM, "ExtProvIDItem": value}]}], "TotalNoOfItems": 1}
    assert parse_event(dumps(body), ASKED).header.sportradar_id is None


def test_prices_of_all_copies_go_by_ids_and_the_line_of_the_price() -> None:
    """The whole table of a body with every peculiarity."""
    event = parse_event(dumps(BODY), ASKED)
    assert table(event) == {
        ("3743", "1", None): (2.15, True),
        ("3743", "X", None): (3.25, True),
        ("3743", "2", None): (3.4, True),
        ("4693", "1X", None): (1.3, True),
        ("4693", "12", None): (1.31, True),
        ("4693", "X2", None): (1.6, True),
        ("5000", "Over", 2.5): (1.95, True),
        ("5000", "Under", 2.5): (1.82, True),
        # Odds of 1.01 are those of a suspended price.
        ("5000", "Over", 0.5): (1.01, False),
        ("5000", "Under", 0.5): (8.5, True),
        ("3795", "Yes", None): (1.74, True),
        ("3795", "No", None): (2.0, True),
        ("3774", "1", -0.5): (2.35, True),
        ("3774", "2", -0.5): (1.57, True),
        ("4724", "1", -1.0): (4.75, True),
        ("4724", "X", -1.0): (4.25, True),
        ("4724", "2", -1.0): (1.56, True),
        ("3747", "1", -0.5): (2.1, True),
        ("3747", "2", -0.5): (1.7, True),
        ("1096783", "Over", 9.5): (1.9, True),
        ("1096783", "Under", 9.5): (1.8, True),
    }
    # A line that is no multiple of 0.25 twice, an unknown outcome, what may be no line twice, two lines, and a line
    # where there is none.
    assert event.dropped == 7
    assert event.unmapped == (UnmappedMarket("777", "Unheard of"), UnmappedMarket("778", "Goalscorer"))
    assert (event.unmapped_prices, event.player_prices) == (9, 7)
    assert not event.is_in_play


def test_copies_that_contradict_each_other_suspend_the_price() -> None:
    """Nobody can tell which is current. Copies that agree are one price."""
    other = with_(BETKING_ITEM, 2.2, "OddsCollection", 0, "MatchOdds", 1, "Outcome", "OddOutcome")
    body = {"AreaMatches": [{"Items": [BETKING_ITEM, BETKING_ITEM, other]}], "TotalNoOfItems": 1}
    prices = table(parse_event(dumps(body), ASKED))
    assert prices["3743", "1", None] == (2.2, False)
    assert prices["3743", "X", None] == (3.25, True)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "x",
        {},
        {"OddsType": None, "MatchOdds": [{}]},
        {"OddsType": {"OddsTypeID": "110"}, "MatchOdds": [{}]},
        {"OddsType": {"OddsTypeID": 110}, "MatchOdds": [{"OddAttribute": {"OddTypeID": 4}, "Outcome": None}]},
        {
            "OddsType": {"OddsTypeID": 110},
            "MatchOdds": [{"OddAttribute": {"OddTypeID": 4, "SpecialValue": []}, "Outcome": {"OddOutcome": 2.0}}],
        },
        {
            "OddsType": {"OddsTypeID": 160},
            "MatchOdds": [{"OddAttribute": {"OddTypeID": 12, "SpecialValue": "nan"}, "Outcome": {"OddOutcome": 2.0}}],
        },
    ],
)
def test_a_bad_market_costs_no_other(bad: object) -> None:
    """The invalid market is dropped and counted; the rest of the table is unchanged."""
    whole = parse_event(dumps(BODY), ASKED)
    spoiled = parse_event(dumps(changed([bad, *BETKING_ITEM["OddsCollection"]], "OddsCollection")), ASKED)
    assert table(spoiled) == table(whole)
    assert spoiled.dropped == whole.dropped + 1


def test_an_answer_without_the_event_means_that_it_is_gone() -> None:
    """The site has no other sign of an unknown id."""
    with pytest.raises(NotFoundError):
        parse_event(dumps({"AreaMatches": [], "TotalNoOfItems": 0}), ASKED)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (without(BODY, "AreaMatches"), "AreaMatches"),
        ({"AreaMatches": [{}]}, "AreaMatches.Items"),
        (changed(None, "ItemName"), "ItemName"),
        (changed("Rovers", "ItemName"), "ItemName"),
        (changed("tomorrow", "ItemDate"), "ItemDate"),
        (changed("801", "ItemID"), "ItemID"),
        (changed(802, "ItemID"), "ItemID"),
        (changed({}, "OddsCollection"), "OddsCollection"),
    ],
)
def test_a_body_without_what_is_needed_names_the_field(body: Json, field: str) -> None:
    """The error names the bookmaker, the event and the field, also if only one of the copies is wrong."""
    with pytest.raises(MalformedBodyError) as caught:
        parse_event(dumps(body), ASKED)
    assert (caught.value.platform, caught.value.where, caught.value.field) == (BETKING, "event 801", field)


def test_a_body_tells_its_event_and_a_list_none() -> None:
    """Copies of one event are an event's body."""
    header = read_header(dumps(BODY), "a file")
    assert header is not None
    assert header.external_id == "801"
    assert read_header(dumps(betking_day([BETKING_ITEM, {**BETKING_ITEM, "ItemID": 802}])), "a file") is None
    assert read_header(dumps(betking_day([])), "a file") is None


def test_a_list_has_the_prices_of_its_events() -> None:
    """Simulated events are left out, and an invalid event affects no other."""
    virtual = {**BETKING_ITEM, "ItemID": 802, "CategoryName": "Simulated Reality"}
    body = betking_day([virtual, {"ItemID": 803}, {}, BETKING_ITEM])
    [entry], errors = parse_listed(read_object(BETKING, dumps(body), "list"), "list", "the list")
    assert entry.header.external_id == "801"
    assert entry.odds is not None
    assert entry.odds.is_partial
    assert table(entry.odds)["3743", "1", None] == (2.15, True)
    assert {getattr(error, "field", None) for error in errors} == {"ItemID", "ItemName"}


NOW = datetime(2026, 8, 21, 23, 30, tzinfo=UTC)


def test_the_lists_are_those_of_the_coming_days() -> None:
    """From the day in Nigeria on, which has begun there at 23:30 UTC."""
    listings, errors = BetKingSite(lambda: NOW).listings(dumps(betking_day([])))
    assert errors == []
    first = date(2026, 8, 22)
    days = [first + timedelta(days=number) for number in range(DAYS)]
    assert [listing.request.path for listing in listings] == [f"{LIST_PATH}{day}/0/0/1" for day in days]


def betking_site(days: Mapping[str, Any]) -> Handler:
    """Serve the lists of days, by default an empty one."""

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["referer"] == "https://www.betking.com/"
        assert request.headers["origin"] == "https://www.betking.com"
        day = request.path.removeprefix(LIST_PATH).partition("/")[0]
        return json_answer(days.get(day, betking_day([])))

    return answer


def coming(number: int) -> str:
    """Return the date of a coming day, as the client asks for it."""
    return BetKingSite().listings(dumps(betking_day([])))[0][number].list_name


def item(number: int) -> Json:
    """Return an event of a list."""
    return {**BETKING_ITEM, "ItemID": number, "ExtProvIDItem": str(70000000 + number)}


async def test_every_day_is_read() -> None:
    """All days together cover all competitions."""
    days = {coming(2): betking_day([item(801), item(802)]), coming(3): betking_day([item(803)])}
    async with serving(betking_site(days)) as site, opened(BETKING, settings_for(site.url)) as client:
        headers = await listed(client)
        assert sorted(header.external_id for header in headers) == ["801", "802", "803"]
        assert client.discovery_errors == []
        assert client.listed == ListedCompetitions(is_tree_whole=True)


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        (betking_day([item(801), item(802)], 3), IncompleteListError),
        (betking_day([item(801), item(801), item(802)]), IncompleteListError),
        (betking_day([item(801), item(802)], "many"), MalformedBodyError),
        (betking_day([item(801), item(802), {}]), MalformedBodyError),
    ],
    ids=["fewer than counted", "one twice", "no number", "not understood"],
)
async def test_a_day_that_differs_from_its_own_count_is_not_whole(day: Json, kind: type[Exception]) -> None:
    """The events are used, and none is considered gone, because a day may have events of any competition."""
    async with serving(betking_site({coming(1): day})) as site, opened(BETKING, settings_for(site.url)) as client:
        assert len(await listed(client)) == 2
        assert [type(error) for error in client.discovery_errors] == [kind]
        assert client.listed == ListedCompetitions()
