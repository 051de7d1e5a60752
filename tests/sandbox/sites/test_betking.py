"""BetKing's stand-in produces the format of its pre-match feed, compared with hand-written examples."""

from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import SandboxOptions, create_sandbox
from quart_odds.sandbox.faults.corrupt import HUGE_MARKETS, OVERCOUNTED
from quart_odds.sandbox.faults.faults import parse_faults
from quart_odds.sandbox.sites.answers import Ask, Site
from quart_odds.sandbox.sites.books import Books, write_detail
from quart_odds.sandbox.world.book import Book
from tests.sandbox.stand_ins import BETKING, BETKING_PATH, HEADERS, NOW, ask, at_all, detail_ask, events_of, said, sites

EMPTY = {"AreaMatches": [], "TotalNoOfItems": 0}


def day_path(day: object) -> str:
    """Return the address of the list of a day."""
    return f"{BETKING_PATH}/GetEvents/en/{day}/0/0/1"


def betking() -> tuple[Books, Site]:
    """Create BetKing alone."""
    books, found = sites(SandboxOptions(move=0, bookmakers=(BETKING,)))
    return books, found[BETKING]


def items_of(body: Any) -> list[dict[str, Any]]:
    """Return the items of all areas."""
    return [item for area in body["AreaMatches"] for item in area["Items"]]


@pytest.fixture
def book() -> Book:
    """Create a book with all markets at prices 2.00, 2.01, 2.02 and so on, all active."""
    books, _ = sites(SandboxOptions(move=0, markets=500))
    book = books.book(BETKING, at_all(books))
    for index in range(len(book.cents)):
        book.set(index, 200 + index, False)
    return book


def odds_of(book: Book, odds_type: int) -> list[dict[str, Any]]:
    """Return the odds of a market in all copies of an event, one for each line."""
    copies = items_of(orjson.loads(write_detail(book)))
    return [o for copy in copies for o in copy["OddsCollection"] if o["OddsType"]["OddsTypeID"] == odds_type]


def test_an_event_is_there_once_for_each_market(book: Book) -> None:
    """The copies are in several areas and differ by their odds alone. They count as one event."""
    body = orjson.loads(write_detail(book))
    copies = items_of(body)
    assert len(body["AreaMatches"]) > 3
    assert len(copies) == 20
    assert len({orjson.dumps({**copy, "OddsCollection": None}) for copy in copies}) == 1
    assert all(len({odds["OddsType"]["OddsTypeID"] for odds in copy["OddsCollection"]}) == 1 for copy in copies)
    assert sum(len(copy["OddsCollection"]) for copy in copies) == len(book.market_list.offers)
    assert body["TotalNoOfItems"] == 1


def test_an_item_names_the_match_and_says_when_it_is_with_an_offset(book: Book) -> None:
    """Both teams are in one text. The offset is two hours throughout the year."""
    (item, *_), fixture = items_of(orjson.loads(write_detail(book))), book.fixture
    listing = fixture.listings[BETKING]
    assert item["ItemID"] == int(listing.external_id)
    assert item["ItemName"] == f"{listing.home} - {listing.away}"
    assert item["ItemDate"].endswith("+02:00")
    assert datetime.fromisoformat(item["ItemDate"]) == fixture.kickoff
    assert item["ExtProvIDItem"] == fixture.sportradar_id
    assert (item["TournamentName"], item["CategoryName"]) == (fixture.league.name, fixture.league.country)


@pytest.mark.parametrize(
    ("odds_type", "expected"),
    [
        (110, {4: "1", 2: "X", 5: "2"}),
        (146, {9: "1X", 11: "X2", 10: "12"}),
        (160, {12: "Over", 13: "Under"}),
        (302, {74: "Yes", 76: "No"}),
        (147, {4: "1", 5: "2"}),
        (305, {1714: "1", 1715: "2"}),
        (342, {1714: "1", 1712: "X", 1715: "2"}),
        (190, {12: "Over", 13: "Under"}),
        (9335, {1714: "1", 1715: "2"}),
    ],
)
def test_prices_have_the_ids_of_their_outcomes(book: Book, odds_type: int, expected: dict[int, str]) -> None:
    """1X2 is 4, 2, 5, and the draw of a three-way handicap is 1712."""
    for odds in odds_of(book, odds_type):
        names = {price["OddAttribute"]["OddTypeID"]: price["OddAttribute"]["OddName"] for price in odds["MatchOdds"]}
        assert names == expected


def test_odds_are_numbers(book: Book) -> None:
    """They are in the price's Outcome."""
    (odds,) = odds_of(book, 110)
    assert [price["Outcome"]["OddOutcome"] for price in odds["MatchOdds"]] == [2.0, 2.01, 2.02]


@pytest.mark.parametrize(
    ("odds_type", "lines"),
    [
        (305, [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]),
        (342, [-3, -2, -1, 1, 2, 3]),
        (344, [-0.5, 0.5]),
        (190, [7.5, 8.5, 9.5, 10.5, 11.5]),
    ],
)
def test_lines_of_handicaps_and_corners_are_in_their_prices(book: Book, odds_type: int, lines: list[float]) -> None:
    """The home side's line is in all prices, and SpecialBetValue is 0. Asian handicaps have half lines only."""
    found = odds_of(book, odds_type)
    assert {odds["SpecialBetValue"] for odds in found} == {0}
    assert [{price["OddAttribute"]["SpecialValue"] for price in odds["MatchOdds"]} for odds in found] == [
        {line} for line in lines
    ]


@pytest.mark.parametrize(
    ("odds_type", "lines"),
    [(160, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]), (10332, [3.5, 4.5, 5.5]), (110, [0])],
)
def test_lines_of_other_markets_are_their_special_bet_value(book: Book, odds_type: int, lines: list[float]) -> None:
    """Prices have none. Without a line the value is 0."""
    found = odds_of(book, odds_type)
    assert [odds["SpecialBetValue"] for odds in found] == lines
    assert not any("SpecialValue" in price["OddAttribute"] for odds in found for price in odds["MatchOdds"])


def test_a_closed_price_has_odds_of_one(book: Book) -> None:
    """There is no flag."""
    book.set(1, None, True)
    (odds,) = odds_of(book, 110)
    assert [price["Outcome"]["OddOutcome"] for price in odds["MatchOdds"]] == [2.0, 1.0, 2.02]


def test_an_open_price_is_never_as_low_as_a_closed_one() -> None:
    """1.01 means closed, so the lowest odds are 1.02."""
    books, _ = sites(SandboxOptions(events=60, move=1.0, markets=500, bookmakers=(BETKING,)))
    lowest = []
    for fixture in books.fixtures:
        book = books.book(BETKING, fixture)
        for _ in range(3):
            book.asked(1.0)
        lowest += [book.cents[index] for index in book.open_indices()]
    assert min(lowest) == 102


async def test_odds_that_mean_closed_cannot_be_set() -> None:
    """At other bookmakers 1.01 is a price like any other."""
    given = SandboxOptions(move=0, bookmakers=(Platform.BETPAWA, BETKING))
    client = create_sandbox(given, now=lambda: NOW).test_client()
    fixture = at_all(sites(given)[0])
    wanted = {"sportradar_id": fixture.sportradar_id, "market": "1x2_ft", "outcome": "1", "odds": 1.01}
    assert (await client.post("/_sandbox/odds", json={**wanted, "bookmaker": "betpawa"})).status_code == 200
    refused = await client.post("/_sandbox/odds", json={**wanted, "bookmaker": "betking"})
    assert (await refused.get_json())["error"] == "odds 1.01 are not a number from 1.02 to 500"


def test_a_few_events_have_the_id_of_another_feed() -> None:
    """It has six digits."""
    books, site = betking()
    ids = {str(item["ItemID"]): item["ExtProvIDItem"] for item in events_of(site)}
    other = {f.listings[BETKING].external_id for f in books.fixtures if f.listings[BETKING].other_id}
    assert other
    assert {id_ for id_, external in ids.items() if len(external) == 6} == other
    assert all(len(external) == 8 for id_, external in ids.items() if id_ not in other)


def test_the_list_of_a_day_has_the_main_markets_of_its_events_and_counts_them() -> None:
    """1X2, double chance, over/under with all lines, and both teams to score, as in the events' own bodies."""
    _, site = betking()
    body = said(site, ask(BETKING, day_path("2026-11-26")))
    items = items_of(body)
    assert len(items) == body["TotalNoOfItems"] > 3
    assert len(body["AreaMatches"]) == len({item["TournamentId"] for item in items}) > 1
    for item in items:
        assert {odds["OddsType"]["OddsTypeID"] for odds in item["OddsCollection"]} == {110, 146, 160, 302}
        copies = items_of(said(site, detail_ask(BETKING, str(item["ItemID"]))))
        own = [odds for copy in copies for odds in copy["OddsCollection"]]
        assert all(odds in own for odds in item["OddsCollection"])
        assert sum(odds["OddsType"]["OddsTypeID"] == 160 for odds in item["OddsCollection"]) == 6


def test_a_day_is_one_of_the_dates_that_are_sent() -> None:
    """It begins at 22:00 UTC. Each event is on one day."""
    books, site = betking()
    late = next(f for f in books.fixtures if f.kickoff.hour >= 22)
    number = int(late.listings[BETKING].external_id)
    on_day, before = (
        {item["ItemID"] for item in items_of(said(site, ask(BETKING, day_path(day))))}
        for day in ((late.kickoff + timedelta(days=1)).date(), late.kickoff.date())
    )
    assert number in on_day - before
    assert len(events_of(site)) == len(books.fixtures)


def test_a_day_without_events_an_unknown_event_and_another_sport_are_empty() -> None:
    """The status is 200. A date that does not exist is unknown, like any other address."""
    _, site = betking()
    assert said(site, ask(BETKING, day_path("2027-06-01"))) == EMPTY
    assert said(site, detail_ask(BETKING, "1")) == EMPTY
    for path in (day_path("2026-02-30"), f"{BETKING_PATH}/en/4/841/0/0", day_path("2026-11-26")[:-1] + "2"):
        assert site.answer(ask(BETKING, path)).status == 404
    assert site.answer(ask(BETKING, day_path("2026-11-26"), "POST")).status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"referer": "https://www.betking.com/"},
        {"origin": "https://www.betking.com"},
        {"referer": "https://example.com/", "origin": "https://www.betking.com"},
    ],
)
def test_without_its_referer_and_an_origin_the_cdn_refuses_with_html(headers: dict[str, str]) -> None:
    """The answer is 403."""
    _, site = betking()
    refusal = site.refuse(Ask("GET", day_path("2026-11-26"), {}, headers))
    assert refusal is not None
    assert (refusal.status, refusal.content_type) == (403, "text/html")
    assert site.refuse(ask(BETKING, day_path("2026-11-26"))) is None


def test_the_day_of_the_first_event_is_the_second_page_for_faults() -> None:
    """All other days are the first. Events and other addresses have no number."""
    books, site = betking()
    first = next(f for f in books.fixtures if f.listings[BETKING].external_id == site.shelf.first_event)
    days = [(NOW + timedelta(days=days)).date() for days in range(-1, 8)]
    numbered = {day: site.page_of(ask(BETKING, day_path(day))) for day in days}
    assert [day for day, number in numbered.items() if number == 2] == [(first.kickoff + timedelta(hours=2)).date()]
    assert set(numbered.values()) == {1, 2}
    assert (site.page_of(detail_ask(BETKING, "1")), site.event_of(detail_ask(BETKING, "1"))) == (None, "1")
    assert site.event_of(ask(BETKING, day_path("2026-11-26"))) is None


async def answered(path: str, fault: str) -> Any:
    """Return the JSON of an answer under a fault."""
    given = SandboxOptions(move=0, bookmakers=(BETKING,), faults=parse_faults(f"betking={fault}", (BETKING,)))
    response = await create_sandbox(given, now=lambda: NOW).test_client().get(path, headers=HEADERS[BETKING])
    assert response.status_code == 200
    return await response.get_json()


async def test_the_count_of_a_day_shows_that_its_list_is_short() -> None:
    """Lists may be halved or doubled, or the day may announce three more events than it has."""
    path = day_path("2026-11-26")
    _, site = betking()
    good = said(site, ask(BETKING, path))["TotalNoOfItems"]
    for fault, least, most in (("half", 1, good - 1), ("empty", 0, 0), ("duplicates", 2 * good, 2 * good)):
        body = await answered(path, fault)
        assert body["TotalNoOfItems"] == good
        assert least <= len(items_of(body)) <= most
    body = await answered(path, "overcount")
    assert (body["TotalNoOfItems"], len(items_of(body))) == (good + OVERCOUNTED, good)


async def test_a_huge_event_has_five_thousand_markets() -> None:
    """All in one copy of it."""
    books, _ = betking()
    found = await answered(f"{BETKING_PATH}/event/en/1/{at_all(books).listings[BETKING].external_id}/0", "huge:1.0")
    types = {odds["OddsType"]["OddsTypeID"] for odds in items_of(found)[0]["OddsCollection"]}
    assert len(types) == HUGE_MARKETS
