"""MSport's stand-in produces the facts-center format, compared with hand-written examples."""

from typing import Any

import orjson
import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import SandboxOptions, create_sandbox
from quart_odds.sandbox.faults.corrupt import HUGE_MARKETS
from quart_odds.sandbox.faults.faults import parse_faults
from quart_odds.sandbox.sites.answers import Ask, Site
from quart_odds.sandbox.sites.books import write_detail
from quart_odds.sandbox.world.book import Book
from tests.sandbox.stand_ins import (
    HEADERS,
    MSPORT,
    MSPORT_PATH,
    NOW,
    ask,
    at_all,
    detail_ask,
    events_of,
    events_on,
    msport_pages,
    said,
    sites,
)

LIST = f"{MSPORT_PATH}/sports-matches-list"


def msport(**options: Any) -> Site:
    """Create MSport alone, with events whose prices do not move."""
    return sites(SandboxOptions(**{"move": 0, "bookmakers": (MSPORT,), **options}))[1][MSPORT]


def page(site: Site, **query: str) -> Any:
    """Return a page of the list."""
    return said(site, ask(MSPORT, LIST, **{"sportId": "sr:sport:1", "limit": "100", **query}))["data"]


@pytest.fixture
def book() -> Book:
    """Create a book with prices 2.00, 2.01, 2.02 and so on, all active."""
    books, _ = sites(SandboxOptions(move=0, markets=500))
    book = books.book(MSPORT, at_all(books))
    for index in range(len(book.cents)):
        book.set(index, 200 + index, False)
    return book


def market_of(book: Book, market: int, specifiers: str = "") -> Any:
    """Return one market of an event's body."""
    event = orjson.loads(write_detail(book))["data"]
    (found,) = (m for m in event["markets"] if (m["id"], m["specifiers"]) == (market, specifiers))
    return found


def test_an_event_is_in_an_envelope_and_has_the_names_of_its_teams_and_competition(book: Book) -> None:
    """Its id is SportRadar's, its kick-off is in milliseconds, and its country is a text beside its id."""
    body = orjson.loads(write_detail(book))
    assert (body["bizCode"], body["message"]) == (10000, "success")
    event, fixture = body["data"], book.fixture
    listing = fixture.listings[MSPORT]
    assert event["eventId"] == f"sr:match:{fixture.sportradar_id}"
    assert (event["homeTeam"], event["awayTeam"]) == (listing.home, listing.away)
    assert event["startTime"] == int(fixture.kickoff.timestamp()) * 1000
    assert (event["category"], event["tournament"]) == (fixture.league.country, fixture.league.name)
    assert event["tournamentId"] == f"sr:tournament:{fixture.league.number}"
    assert (event["status"], event["sportId"]) == (0, "sr:sport:1")
    assert event["marketsCount"] == len(event["markets"]) == len(book.market_list.offers)


def test_the_id_of_a_market_is_a_number_and_prices_are_texts(book: Book) -> None:
    """Specifiers are empty if there is none, and probabilities have four decimals."""
    market = market_of(book, 1)
    assert (market["product"], market["status"], market["isShown"], market["specifiers"]) == (3, 0, 1, "")
    outcomes = [(o["id"], o["odds"], o["isActive"], o["description"]) for o in market["outcomes"]]
    assert outcomes == [("1", "2.00", 1, "Home"), ("2", "2.01", 1, "Draw"), ("3", "2.02", 1, "Away")]
    probabilities = [outcome["probability"] for outcome in market["outcomes"]]
    assert {len(text) for text in probabilities} == {len("0.1234")}
    assert sum(map(float, probabilities)) == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize(
    ("market", "specifiers", "expected"),
    [
        (10, "", {"9": "1 X", "10": "1 2", "11": "X 2"}),
        (18, "total=2.5", {"12": "Over 2.5", "13": "Under 2.5"}),
        (29, "", {"74": "Yes", "76": "No"}),
        (11, "", {"4": "Home", "5": "Away"}),
        (16, "hcp=-0.5", {"1714": "Home (-0.5)", "1715": "Away (+0.5)"}),
        (14, "hcp=0:1", {"1711": "Home (0:1)", "1712": "Draw (0:1)", "1713": "Away (0:1)"}),
        (60, "", {"1": "Home", "2": "Draw", "3": "Away"}),
        (5000002, "", {"500000201": "Home", "500000202": "Draw", "500000203": "Away"}),
        (5000001, "", {"500000101": "Home", "500000102": "Draw", "500000103": "Away"}),
        (3000027, "", {"74": "Yes", "76": "No"}),
    ],
)
def test_ids_are_those_of_sportybet_except_for_early_payouts(
    book: Book, market: int, specifiers: str, expected: dict[str, str]
) -> None:
    """Texts differ from SportyBet's and contain the line."""
    found = market_of(book, market, specifiers)
    assert {outcome["id"]: outcome["description"] for outcome in found["outcomes"]} == expected


def test_exact_goals_end_at_five_or_more(book: Book) -> None:
    """At SportyBet at six or more, under other ids."""
    outcomes = market_of(book, 21, "variant=sr:exact_goals:5+")["outcomes"]
    assert {outcome["description"] for outcome in outcomes} == {"0", "1", "2", "3", "4", "5+"}
    assert {outcome["id"] for outcome in outcomes} == {f"sr:exact_goals:5+:{number}" for number in range(1336, 1342)}


def test_nobody_scoring_is_an_outcome_that_is_never_offered(book: Book) -> None:
    """Its odds are 0.00, before the players."""
    first, second, *_ = market_of(book, 40, "type=prematch")["outcomes"]
    assert (first["id"], first["odds"], first["isActive"]) == ("1716", "0.00", 0)
    assert second["id"].startswith("sr:player:")


def test_a_price_is_closed_by_itself_and_a_market_by_its_status(book: Book) -> None:
    """A suspended price has isActive 0. If all are suspended, only the market's status changes from 0."""
    book.set(1, None, True)
    market = market_of(book, 1)
    assert (market["status"], [o["isActive"] for o in market["outcomes"]]) == (0, [1, 0, 1])
    for index in range(3):
        book.set(index, None, True)
    market = market_of(book, 1)
    assert (market["status"], [o["isActive"] for o in market["outcomes"]]) == (1, [1, 1, 1])


def test_under_another_product_an_event_has_no_markets(book: Book) -> None:
    """productId 3 is pre-match."""
    assert orjson.loads(write_detail(book, "1"))["data"]["markets"] == []


def test_the_list_starts_with_fifty_events_and_goes_on_after_a_cursor() -> None:
    """Up to a hundred on each further page, each event once. The limit cannot raise that, but lower it."""
    site = msport(events=300, markets=10)
    pages = msport_pages(site)
    sizes = [len(events_on(each)) for each in pages]
    assert sizes[:2] == [50, 100]
    ids = [event["eventId"] for each in pages for event in events_on(each)]
    assert sorted(ids) == sorted(event.external_id for event in site.shelf.listed())
    assert len(events_on(page(site, limit="7"))) == 7
    assert len(events_on(page(site, limit="1000"))) == 50
    assert len(events_on(page(site, limit="1000", lastEventId=pages[0]["lastEventId"]))) == 100


def test_the_last_cursor_repeats_without_events() -> None:
    """Also an unknown one does."""
    site = msport()
    last = msport_pages(site)[-1]["lastEventId"]
    assert last == site.shelf.listed()[-1].external_id
    assert page(site, lastEventId=last) == {"tournaments": [], "lastEventId": last}
    assert page(site, lastEventId="sr:match:1") == {"tournaments": [], "lastEventId": "sr:match:1"}


def test_the_list_has_events_by_tournament_and_no_markets() -> None:
    """A tournament names its country as a text, and goes on on the next page."""
    site = msport()
    first, second = msport_pages(site)
    tournament = first["tournaments"][0]
    assert tournament.keys() == {"category", "tournament", "tournamentId", "events"}
    assert tournament["events"][0].keys() == {"eventId", "homeTeam", "awayTeam", "startTime"}
    assert {t["tournamentId"] for t in first["tournaments"]} & {t["tournamentId"] for t in second["tournaments"]}


def test_only_football_is_listed() -> None:
    """Other sports and a list without a sport are empty."""
    site = msport()
    assert page(site, sportId="sr:sport:2") == {"tournaments": [], "lastEventId": ""}
    assert said(site, ask(MSPORT, LIST))["data"]["tournaments"] == []
    assert said(site, ask(MSPORT, LIST, sportId="sr:sport:1", limit="0"))["bizCode"] == 19000


@pytest.mark.parametrize(("country", "operator"), [("ng", "2"), ("gh", "3"), ("ke", "1"), ("ug", "4"), ("zm", "5")])
def test_each_country_has_its_own_operator(country: str, operator: str) -> None:
    """Another one, or none, is refused with HTTP status 200 and bizCode 19000."""
    site = msport()
    path, query = LIST.replace("/ng/", f"/{country}/"), {"sportId": "sr:sport:1"}
    assert said(site, Ask("GET", path, query, {"operid": operator}))["bizCode"] == 10000
    for headers in ({}, {"operid": "9"}):
        body = said(site, Ask("GET", path, query, headers))
        assert (body["bizCode"], body["message"], body["data"]) == (19000, "invalid operId", None)


def test_an_unknown_event_is_an_error_with_another_message() -> None:
    """The bizCode is that of a wrong operator."""
    body = said(msport(), detail_ask(MSPORT, "sr:match:1"))
    assert (body["bizCode"], body["message"], body["data"]) == (19000, "match not found", None)


def test_other_addresses_and_countries_are_not_found() -> None:
    """The answer is 404."""
    site = msport()
    for path in (f"{MSPORT_PATH}/sports", LIST.replace("/ng/", "/tz/")):
        assert site.answer(Ask("GET", path, {}, HEADERS[MSPORT])).status == 404
    assert site.answer(Ask("POST", LIST, {}, HEADERS[MSPORT])).status == 404


def test_simulated_leagues_are_listed_and_video_games_are_not() -> None:
    """Clients must leave out the former by their names."""
    site = msport()
    names = {tournament["tournament"] for each in msport_pages(site) for tournament in each["tournaments"]}
    assert any(name.endswith("SRL") for name in names)
    assert all(event["eventId"].removeprefix("sr:match:").isdecimal() for event in events_of(site))


async def answered(path: str, fault: str, **options: Any) -> Any:
    """Return the JSON of an answer under a fault."""
    given = SandboxOptions(move=0, bookmakers=(MSPORT,), faults=parse_faults(f"msport={fault}", (MSPORT,)), **options)
    response = await create_sandbox(given, now=lambda: NOW).test_client().get(path, headers=HEADERS[MSPORT])
    assert response.status_code == 200
    return (await response.get_json())["data"]


async def test_a_stuck_cursor_repeats_before_the_end_of_the_list() -> None:
    """The second page has its events and the cursor of the first. The first page is as ever."""
    first = f"{LIST}?sportId=sr:sport:1&limit=20"
    good = page(msport(), limit="20")
    assert await answered(first, "stuck-cursor") == good
    stuck = await answered(f"{first}&lastEventId={good['lastEventId']}", "stuck-cursor")
    assert stuck["lastEventId"] == good["lastEventId"]
    assert len(events_on(stuck)) == 20


async def test_lists_are_emptied_halved_or_doubled_as_elsewhere() -> None:
    """The cursor stays."""
    good = page(msport())
    for fault, most in (("empty", 0), ("half", 40), ("duplicates", 100)):
        found = await answered(f"{LIST}?sportId=sr:sport:1&limit=100", fault)
        assert found["lastEventId"] == good["lastEventId"]
        assert len(events_on(found)) == most if fault != "half" else 0 < len(events_on(found)) < most


async def test_a_huge_event_has_five_thousand_markets() -> None:
    """Their ids are numbers as well."""
    event = page(msport())["tournaments"][0]["events"][0]["eventId"]
    found = await answered(f"{MSPORT_PATH}/match/detail?eventId={event}&productId=3", "huge:1.0")
    assert len({market["id"] for market in found["markets"]}) >= HUGE_MARKETS - 45
    assert len(found["markets"]) == HUGE_MARKETS
    assert {type(market["id"]) for market in found["markets"]} == {int}


def test_pages_are_numbered_for_faults_of_a_page() -> None:
    """The second is the one after the first fifty events. Events and other addresses have no number."""
    site = msport(events=300, markets=10)
    cursors = ["", *(each["lastEventId"] for each in msport_pages(site))]
    asks = [ask(MSPORT, LIST, limit="100", lastEventId=cursor) for cursor in cursors]
    assert [site.page_of(each) for each in asks][:4] == [1, 2, 3, 4]
    assert site.page_of(detail_ask(MSPORT, "sr:match:1")) is None
    assert site.page_of(ask(MSPORT, LIST, limit="many")) is None
    assert site.event_of(detail_ask(MSPORT, "sr:match:1")) == "sr:match:1"


def test_the_same_event_has_the_same_id_at_sportybet() -> None:
    """Both have SportRadar's."""
    books, _ = sites(SandboxOptions(move=0))
    fixture = at_all(books)
    assert fixture.listings[MSPORT].external_id == fixture.listings[Platform.SPORTYBET].external_id
