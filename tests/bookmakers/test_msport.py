"""MSport's bodies: ids as numbers, the envelope, and a list whose pages follow a cursor."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from quart_odds.bookmakers.bodies import read_object
from quart_odds.bookmakers.msport import LIST_PATH, MSPORT, parse_event, parse_listed
from quart_odds.domain.odds import Competition, ListedCompetitions, UnmappedMarket
from quart_odds.errors import IncompleteListError, MalformedBodyError, NotFoundError
from tests.bookmakers import more_wire
from tests.bookmakers.clients import json_answer, listed, opened
from tests.bookmakers.fake_site import Handler, serving, settings_for
from tests.bookmakers.more_wire import MSPORT_DATA, msport_page
from tests.bookmakers.wire import Json, asked, dumps, table, with_, without

BODY = more_wire.MSPORT
ASKED = asked(MSPORT, "sr:match:70000001")


def test_the_header_has_the_supplier_s_id_and_utc_from_milliseconds() -> None:
    """The event's id is SportRadar's. Competition and country are texts beside it."""
    header = parse_event(dumps(BODY), ASKED).header
    assert header.kickoff == datetime(2026, 8, 21, 9, 30, tzinfo=UTC)
    assert header.name == "Rovers - United - City"
    assert header.competition == Competition("sr:tournament:5", "First Division", "Nowhere")
    assert (header.sportradar_id, header.genius_id) == ("70000001", None)


@pytest.mark.parametrize("digits", ["545514", "111111170000001", "B6EV"])
def test_an_id_of_another_length_is_not_the_supplier_s(digits: str) -> None:
    """It belongs to another feed, so it matches nothing."""
    body = with_(BODY, f"sr:match:{digits}", "data", "eventId")
    assert parse_event(dumps(body), asked(MSPORT, f"sr:match:{digits}")).header.sportradar_id is None


def test_prices_go_by_market_specifiers_and_outcome_id() -> None:
    """The whole table of a body with every peculiarity."""
    event = parse_event(dumps(BODY), ASKED)
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
    }
    # Two prices at a line that is not a multiple of 0.25.
    assert event.dropped == 2
    assert event.unmapped == (UnmappedMarket("60100", "Market 60100"), UnmappedMarket("40", "Market 40"))
    assert (event.unmapped_prices, event.player_prices) == (4, 3)


@pytest.mark.parametrize("market_id", ["1", True, 1.0, None, [1]])
def test_an_id_that_is_no_number_is_not_a_market_that_we_know(market_id: object) -> None:
    """The market is dropped and counted, and the others stay."""
    bad = {**MSPORT_DATA["markets"][0], "id": market_id}
    spoiled = parse_event(dumps(with_(BODY, [*MSPORT_DATA["markets"], bad], "data", "markets")), ASKED)
    whole = parse_event(dumps(BODY), ASKED)
    assert table(spoiled) == table(whole)
    assert spoiled.dropped == whole.dropped + 3


def test_a_market_that_is_not_shown_is_suspended() -> None:
    """Nobody can bet on it."""
    hidden = {**MSPORT_DATA["markets"][0], "isShown": 0}
    event = parse_event(dumps(with_(BODY, [hidden], "data", "markets")), ASKED)
    assert not any(is_open for _, is_open in table(event).values())
    assert len(event.prices) == 3


def test_a_wrong_request_does_not_mean_that_the_event_is_gone() -> None:
    """The site has one code for an unknown event and for a wrong operator id."""
    with pytest.raises(NotFoundError):
        parse_event(dumps({"bizCode": 19000, "message": "Invalid"}), ASKED)
    with pytest.raises(MalformedBodyError, match="invalid operId"):
        parse_event(dumps({"bizCode": 19000, "message": "invalid operId"}), ASKED)
    with pytest.raises(MalformedBodyError):
        parse_event(dumps({"bizCode": 5003, "message": "busy"}), ASKED)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (without(BODY, "bizCode"), "bizCode"),
        (without(BODY, "data"), "data"),
        (without(BODY, "data", "markets"), "data.markets"),
        (without(BODY, "data", "homeTeam"), "homeTeam"),
        (with_(BODY, " ", "data", "awayTeam"), "awayTeam"),
        (with_(BODY, "now", "data", "startTime"), "startTime"),
        (with_(BODY, 10**18, "data", "startTime"), "startTime"),
        (with_(BODY, "sr:match:2", "data", "eventId"), "eventId"),
    ],
)
def test_a_body_without_what_is_needed_names_the_field(body: Json, field: str) -> None:
    """The error names the bookmaker, the event and the field."""
    with pytest.raises(MalformedBodyError) as caught:
        parse_event(dumps(body), ASKED)
    assert (caught.value.platform, caught.value.where, caught.value.field) == (
        MSPORT,
        f"event {ASKED.external_id}",
        field,
    )


@pytest.mark.parametrize(
    "body",
    [
        with_(BODY, 1, "data", "status"),
        with_(BODY, "1", "data", "status"),
        with_(BODY, [{**MSPORT_DATA["markets"][0], "product": 1}], "data", "markets"),
    ],
)
def test_a_match_in_play_is_reported(body: Json) -> None:
    """By its status, or by the product of a market."""
    assert parse_event(dumps(body), ASKED).is_in_play
    assert not parse_event(dumps(BODY), ASKED).is_in_play


def test_an_entry_of_the_list_may_have_no_prices() -> None:
    """Simulated events are left out, matches in play marked, and an invalid event affects no other."""
    page = msport_page([70000001, 70000002, 70000003])
    events = page["data"]["tournaments"][0]["events"]
    events[1]["status"] = 1
    del events[2]["homeTeam"]
    page["data"]["tournaments"].append({**page["data"]["tournaments"][0], "category": "Simulated Reality League"})
    found, errors = parse_listed(read_object(MSPORT, dumps(page), "list"), "list", "the list")
    assert [(each.header.external_id, each.odds, each.is_in_play) for each in found] == [
        ("sr:match:70000001", None, False),
        ("sr:match:70000002", None, True),
    ]
    assert found[0].header.competition == Competition("sr:tournament:5", "First Division", "Nowhere")
    assert {error.field for error in errors} == {"homeTeam"}


def test_prices_in_the_list_are_read() -> None:
    """They have not been seen, but would be the same as in the event's own body."""
    page = with_(msport_page([70000001]), [MSPORT_DATA], "data", "tournaments", 0, "events")
    [entry], errors = parse_listed(read_object(MSPORT, dumps(page), "list"), "list", "the list")
    assert errors == []
    assert entry.odds is not None
    assert table(entry.odds) == table(parse_event(dumps(BODY), ASKED))


def msport_site(pages: Mapping[str, Any]) -> Handler:
    """Serve pages of the list by the cursor that they follow, an empty text for the first."""

    async def answer(request: web.Request) -> web.Response:
        assert request.path == LIST_PATH
        assert request.headers["operid"] == "2"
        assert (request.query["sportId"], request.query["limit"]) == ("sr:sport:1", "100")
        return json_answer(pages[request.query.get("lastEventId", "")])

    return answer


def cursor(number: int) -> str:
    """Return the cursor after an event."""
    return f"sr:match:{number}"


FIRST, SECOND = list(range(70000000, 70000050)), list(range(70000050, 70000120))
PAGES = {"": msport_page(FIRST), cursor(FIRST[-1]): msport_page(SECOND)}
WHOLE = ListedCompetitions(is_tree_whole=True)


@pytest.mark.parametrize(
    "last",
    [msport_page([]), {"bizCode": 10000, "data": {}}, msport_page(SECOND, cursor(SECOND[-1]))],
    ids=["no tournaments", "no list", "the same page and cursor again"],
)
async def test_the_list_is_read_to_its_end(last: Json) -> None:
    """The first page has fewer events than asked for, and each page names the next one."""
    pages = {**PAGES, cursor(SECOND[-1]): last}
    async with serving(msport_site(pages)) as site, opened(MSPORT, settings_for(site.url)) as client:
        headers = await listed(client)
        assert [header.sportradar_id for header in headers] == [str(number) for number in FIRST + SECOND]
        assert client.discovery_errors == []
        assert client.listed == WHOLE


@pytest.mark.parametrize(
    "last",
    [
        msport_page([70000200], cursor(SECOND[-1])),
        msport_page(SECOND, cursor(FIRST[-1])),
        msport_page(FIRST),
        msport_page([70000200], ""),
        msport_page([70000200], "a cursor with spaces"),
    ],
    ids=["same cursor, new event", "leads back", "begins again", "no cursor", "invalid cursor"],
)
async def test_a_list_that_does_not_end_is_not_whole(last: Json) -> None:
    """This is reported, the events are used, and no request is repeated without end."""
    pages = {**PAGES, cursor(SECOND[-1]): last}
    async with serving(msport_site(pages)) as site, opened(MSPORT, settings_for(site.url)) as client:
        headers = await listed(client)
        assert {int(header.sportradar_id or 0) for header in headers} >= {*FIRST, *SECOND}
        [error] = client.discovery_errors
        assert isinstance(error, IncompleteListError)
        assert client.listed == ListedCompetitions()
        assert len(site.requests) == 4


async def test_a_page_that_is_not_understood_makes_the_list_not_whole() -> None:
    """No competition counts as listed, because the page may have had events of any."""
    pages = {**PAGES, cursor(SECOND[-1]): {"bizCode": 10000, "data": {"tournaments": [{}]}}}
    async with serving(msport_site(pages)) as site, opened(MSPORT, settings_for(site.url)) as client:
        assert len(await listed(client)) == len(FIRST + SECOND)
        assert client.listed == ListedCompetitions()
        assert [type(error) for error in client.discovery_errors] == [MalformedBodyError]


async def test_a_list_without_any_tournament_is_a_failure() -> None:
    """A bookmaker always has events."""
    site = msport_site({"": {"bizCode": 10000, "data": {"lastEventId": ""}}})
    async with serving(site) as there, opened(MSPORT, settings_for(there.url)) as client:
        with pytest.raises(MalformedBodyError, match="tournaments"):
            await listed(client)
