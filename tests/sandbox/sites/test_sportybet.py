"""SportyBet's stand-in produces the factsCenter format, compared with hand-written examples."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.sites.answers import Ask, Site
from quart_odds.sandbox.sites.books import write_detail
from quart_odds.sandbox.world.book import Book
from tests.platforms import FIRST_THREE
from tests.sandbox.stand_ins import NOW, ask, at_all, detail, detail_ask, events_of, said, sites

EVENTS = "/api/ng/factsCenter/pcEvents"
UPCOMING = "/api/ng/factsCenter/pcUpcomingEvents"
WANTED = {"sportId": "sr:sport:1", "marketId": "1,18,16", "tournamentId": [["sr:tournament:1"]]}


@pytest.fixture
def book() -> Book:
    """Create a book with prices 2.00, 2.01, 2.02 and so on, all active."""
    books, _ = sites()
    fixture = at_all(books)
    book = books.book(Platform.SPORTYBET, fixture)
    for index in range(len(book.cents)):
        book.set(index, 200 + index, False)
    return book


def market_of(book: Book, market: str, specifier: str | None = None) -> Any:
    """Return one market of an event's body."""
    event = orjson.loads(write_detail(book))["data"]
    (found,) = (m for m in event["markets"] if m["id"] == market and m.get("specifier") == specifier)
    return found


def test_an_event_is_in_an_envelope_and_its_kickoff_is_milliseconds(book: Book) -> None:
    """bizCode is 10000, and data is the event itself."""
    body = orjson.loads(write_detail(book))
    assert (body["bizCode"], body["message"]) == (10000, "0#0")
    event, fixture = body["data"], book.fixture
    assert event["eventId"] == f"sr:match:{fixture.sportradar_id}"
    assert event["eventSource"]["preMatchSource"] == {"sourceType": "BET_RADAR", "sourceId": fixture.sportradar_id}
    assert event["estimateStartTime"] == int(fixture.kickoff.timestamp()) * 1000
    assert event["sport"]["category"]["tournament"]["name"] == fixture.league.name
    assert (event["status"], event["matchStatus"]) == (0, "Not start")


def test_prices_are_texts_with_two_decimals_and_outcomes_have_ids(book: Book) -> None:
    """1X2 has the outcomes 1, 2, 3."""
    book.set(0, 240, None)
    market = market_of(book, "1")
    assert "specifier" not in market
    assert (market["product"], market["status"], market["name"]) == (3, 0, "1X2")
    outcomes = [(o["id"], o["odds"], o["isActive"], o["desc"]) for o in market["outcomes"]]
    assert outcomes == [("1", "2.40", 1, "Home"), ("2", "2.01", 1, "Draw"), ("3", "2.02", 1, "Away")]
    assert market["outcomes"][0]["voidProbability"] == "0E-10"


@pytest.mark.parametrize(
    ("market", "specifier", "expected"),
    [
        ("10", None, {"9": "Home or Draw", "10": "Home or Away", "11": "Draw or Away"}),
        ("18", "total=2.5", {"12": "Over 2.5", "13": "Under 2.5"}),
        ("29", None, {"74": "Yes", "76": "No"}),
        ("11", None, {"4": "Home", "5": "Away"}),
        ("16", "hcp=-0.5", {"1714": "Home (-0.5)", "1715": "Away (+0.5)"}),
        ("14", "hcp=0:1", {"1711": "Home (0:1)", "1712": "Draw (0:1)", "1713": "Away (0:1)"}),
        ("60200", None, {"1": "Home", "2": "Draw", "3": "Away"}),
    ],
)
def test_every_line_is_a_market_of_its_own(
    book: Book, market: str, specifier: str | None, expected: dict[str, str]
) -> None:
    """Ids and texts of the main markets. The text contains the line."""
    found = market_of(book, market, specifier)
    assert {outcome["id"]: outcome["desc"] for outcome in found["outcomes"]} == expected


def test_a_price_is_closed_by_itself_and_a_market_by_its_status(book: Book) -> None:
    """A suspended price has isActive 0. If all are suspended, only the market's status changes from 0."""
    book.set(1, None, True)
    market = market_of(book, "1")
    assert (market["status"], [o["isActive"] for o in market["outcomes"]]) == (0, [1, 0, 1])
    for index in range(3):
        book.set(index, None, True)
    market = market_of(book, "1")
    assert market["status"] in (1, 2)
    assert [o["isActive"] for o in market["outcomes"]] == [1, 1, 1]


def test_early_goals_never_offers_the_under() -> None:
    """Market 60180 is one-sided, as at the real site."""
    books, _ = sites()
    fixture = at_all(books)
    market = market_of(books.book(Platform.SPORTYBET, fixture), "60180", "minsnr=10|total=1.5")
    assert {o["id"]: o["isActive"] for o in market["outcomes"]}["13"] == 0


def test_the_tree_counts_the_events_of_each_tournament() -> None:
    """sportList, categories and tournaments each have an eventSize. Only the requested sport has categories."""
    _, found = sites()
    site = found[Platform.SPORTYBET]
    path = "/api/ng/factsCenter/popularAndSportList"
    (football,) = said(site, ask(Platform.SPORTYBET, path, sportId="sr:sport:1", productId="3"))["data"]["sportList"]
    sizes = [t["eventSize"] for c in football["categories"] for t in c["tournaments"]]
    assert football["eventSize"] == sum(sizes) == len(events_of(site))
    (other,) = said(site, ask(Platform.SPORTYBET, path, sportId="sr:sport:2"))["data"]["sportList"]
    assert other["categories"] == []
    (live,) = said(site, ask(Platform.SPORTYBET, path, sportId="sr:sport:1", productId="1"))["data"]["sportList"]
    assert live["categories"] == []


def test_pc_events_is_a_list_of_tournaments_with_the_markets_asked_for() -> None:
    """Each market has all its lines, and the event has the total number of markets."""
    _, found = sites()
    (tournament,) = said(found[Platform.SPORTYBET], ask(Platform.SPORTYBET, EVENTS, "POST", [WANTED]))["data"]
    assert (tournament["id"], tournament["categoryId"]) == ("sr:tournament:1", "sr:category:1")
    event = tournament["events"][0]
    assert {m["id"] for m in event["markets"]} == {"1", "18", "16"}
    assert sum(m["id"] == "18" for m in event["markets"]) > 5
    assert event["totalMarketSize"] == 45


def test_a_bare_object_a_wrong_content_type_and_a_list_in_a_text_are_refused() -> None:
    """The answers are 403, 500 and bizCode 19000."""
    _, found = sites()
    site = found[Platform.SPORTYBET]
    bare = site.refuse(ask(Platform.SPORTYBET, EVENTS, "POST", WANTED))
    assert bare is not None
    assert bare.status == 403
    form = site.refuse(Ask("POST", EVENTS, headers={"content-type": "text/plain"}, body=orjson.dumps([WANTED])))
    assert form is not None
    assert form.status == 500
    commas = [{**WANTED, "tournamentId": [["sr:tournament:1,sr:tournament:2"]]}]
    assert said(site, ask(Platform.SPORTYBET, EVENTS, "POST", commas))["bizCode"] == 19000


def test_upcoming_events_come_in_pages_with_their_total() -> None:
    """Together the pages have every event once. A tournament can continue on the next page."""
    _, found = sites(SandboxOptions(events=150, move=0, markets=20, bookmakers=FIRST_THREE))
    site = found[Platform.SPORTYBET]
    pages = [
        said(site, ask(Platform.SPORTYBET, UPCOMING, marketId="1", pageSize="100", pageNum=str(number)))["data"]
        for number in (1, 2, 3)
    ]
    ids = [[e["eventId"] for t in page["tournaments"] for e in t["events"]] for page in pages]
    assert len(ids[0]) == 100
    assert ids[2] == []
    assert len(set(ids[0] + ids[1])) == pages[0]["totalNum"] == len(ids[0] + ids[1])


def upcoming(site: Site, **query: str) -> list[Any]:
    """Return all pages of the upcoming events."""
    size = int(query.setdefault("pageSize", "100"))
    total = said(site, ask(Platform.SPORTYBET, UPCOMING, pageNum="1", **query))["data"]["totalNum"]
    return [
        said(site, ask(Platform.SPORTYBET, UPCOMING, pageNum=str(number), **query))["data"]
        for number in range(1, total // size + 2)
    ]


def test_both_lists_have_exactly_the_markets_asked_for_with_all_lines() -> None:
    """As in the detail, and with the time of each line's last change."""
    _, found = sites()
    site = found[Platform.SPORTYBET]
    (page,) = upcoming(site, marketId="1,10,18,29")
    (tournament,) = said(site, ask(Platform.SPORTYBET, EVENTS, "POST", [{**WANTED, "marketId": "1,10,18,29"}]))["data"]
    by_id = {event["eventId"]: event for of in page["tournaments"] for event in of["events"]}
    for event in tournament["events"]:
        assert by_id[event["eventId"]] == event
        detail_path = detail_ask(Platform.SPORTYBET, event["eventId"])
        markets = said(site, detail_path)["data"]["markets"]
        assert event["markets"] == [m for m in markets if m["id"] in ("1", "10", "18", "29")]
        assert len(event["markets"]) == 3 + sum(m["id"] == "18" for m in markets)
        times = [m["lastOddsChangeTime"] for m in event["markets"]]
        assert all(NOW - timedelta(hours=12) <= datetime.fromtimestamp(t / 1000, UTC) <= NOW for t in times)


def test_option_1_gives_ten_events_of_a_tournament_and_counts_them_all() -> None:
    """Option 2, or none, gives all of them."""
    _, found = sites(SandboxOptions(events=450, move=0, markets=10, bookmakers=FIRST_THREE))
    site = found[Platform.SPORTYBET]
    listed: dict[str, Counter[str]] = {}
    for option in ("1", "2"):
        pages = upcoming(site, marketId="1", option=option)
        counts = listed[option] = Counter()
        for page in pages:
            assert page["totalNum"] == len(site.shelf.listed())
            for tournament in page["tournaments"]:
                counts[tournament["id"]] += len(tournament["events"])
    assert listed["2"].total() == len(site.shelf.listed())
    assert max(listed["2"].values()) > 100
    assert listed["1"] == {name: min(count, 10) for name, count in listed["2"].items()}


def test_an_unknown_event_is_an_error_with_http_200() -> None:
    """Only the bizCode shows the error."""
    _, found = sites()
    body = said(found[Platform.SPORTYBET], detail_ask(Platform.SPORTYBET, "sr:match:1"))
    assert (body["bizCode"], body["data"]) == (19000, None)


def test_under_another_product_an_event_has_no_markets(book: Book) -> None:
    """productId 3 is pre-match."""
    assert orjson.loads(write_detail(book, "1"))["data"]["markets"] == []


def test_simulated_and_video_game_leagues_are_listed_as_the_site_lists_them() -> None:
    """An SRL league, an id that is not a number, and a synthetic id: clients must leave all of them out."""
    _, found = sites()
    odd = [e for e in events_of(found[Platform.SPORTYBET]) if "England" not in e["sport"]["category"]["name"]]
    sources = {e["eventId"]: e["eventSource"]["preMatchSource"]["sourceType"] for e in odd}
    assert sources["sr:match:B6EVbBGmJS4C0||i9eGgZIw"] == "BETER"
    assert sources["sr:match:11111111734"] == "BET_GENIUS"
    assert any(e["sport"]["category"]["tournament"]["name"].endswith("SRL") for e in odd)


def test_the_detail_has_all_markets_of_the_sheet() -> None:
    """45 by default."""
    books, found = sites()
    fixture = at_all(books)
    assert len(detail(found[Platform.SPORTYBET], fixture)["data"]["markets"]) == 45
