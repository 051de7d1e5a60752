"""BetPawa's stand-in produces the v4 format, compared with hand-written examples."""

from typing import Any

import orjson
import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.sites.answers import Ask
from quart_odds.sandbox.sites.books import write_detail
from quart_odds.sandbox.world.book import Book
from quart_odds.sandbox.world.world import Fixture
from tests.platforms import FIRST_THREE
from tests.sandbox.stand_ins import HEADERS, ask, by_queries, detail, queries, said, sites

LIST = "/api/sportsbook/v4/events/lists/by-queries"


def _book() -> Book:
    books, _ = sites()
    fixture = next(f for f in books.fixtures if f.number == 4)
    book = books.book(Platform.BETPAWA, fixture)
    for index in range(len(book.cents)):
        book.set(index, 200 + index, False)
    return book


def said_of(book: Book) -> dict[str, Any]:
    """Return the markets of an event's body by id."""
    return {market["marketType"]["id"]: market for market in orjson.loads(write_detail(book))["markets"]}


def test_a_plain_market_is_written_with_texts_for_ids_and_numbers_for_odds() -> None:
    """1X2 has one row, odds are under `odds`, and prices that are not suspended have no `suspended`."""
    books, found = sites()
    fixture = next(f for f in books.fixtures if f.number == 4)
    book = books.book(Platform.BETPAWA, fixture)
    for index, cents in enumerate((241, 329, 302)):
        book.set(index, cents, False)
    event = detail(found[Platform.BETPAWA], fixture)
    market = event["markets"][0]
    assert market["marketType"]["id"] == "3743"
    assert market["marketType"]["name"] == "1X2 - FT"
    assert market["marketType"]["displayName"] == "1X2 | Full Time"
    assert "handicapType" not in market["marketType"]
    (row,) = market["row"]
    assert set(row) == {"id", "prices"}
    expected = [("1", "3744", 2.41), ("X", "3745", 3.29), ("2", "3746", 3.02)]
    assert [(price["name"], price["typeId"], price["odds"]) for price in row["prices"]] == expected
    assert all("suspended" not in price and "handicap" not in price for price in row["prices"])


def test_an_event_has_texts_where_v4_has_texts() -> None:
    """Ids, counts and the version are text, the position is a number, and the kick-off ends in Z."""
    books, found = sites()
    fixture = next(f for f in books.fixtures if len(f.listings) == 3 and f.number % 3)
    event = detail(found[Platform.BETPAWA], fixture)
    listing = fixture.listings[Platform.BETPAWA]
    assert event["id"] == listing.external_id
    assert event["name"] == f"{listing.home} - {listing.away}"
    assert [(p["name"], p["position"]) for p in event["participants"]] == [(listing.home, 1), (listing.away, 2)]
    assert event["startTime"] == f"{fixture.kickoff:%Y-%m-%dT%H:%M:%SZ}"
    assert event["category"] == {"id": "2", "name": "Football"}
    assert event["region"]["name"] == fixture.league.country
    assert event["competition"]["name"] == fixture.league.name
    assert event["additionalInfo"] == {"inplayBooked": True, "inplayBookedActual": True}
    assert isinstance(event["totalMarketCount"], str)
    assert isinstance(event["version"], str)
    assert "results" not in event


def test_the_sportradar_id_stands_twice_beside_another_numbering() -> None:
    """The order varies, and the other number has no retention."""
    books, found = sites()
    orders = set()
    for fixture in books.fixtures:
        if fixture.sportradar_id and Platform.BETPAWA in fixture.listings:
            widgets = detail(found[Platform.BETPAWA], fixture)["widgets"]
            ids = {w["id"] for w in widgets if w["type"] == "SPORTRADAR"}
            assert ids == {fixture.sportradar_id}
            assert all("retention" not in w for w in widgets if w["type"] == "GENIUSSPORTS")
            orders.add(tuple(w.get("retention") for w in widgets))
    assert orders == {("PREMATCH", None, "INPLAY"), ("INPLAY", None, "PREMATCH")}


def test_an_event_that_sportradar_does_not_know_has_only_the_other_numbering() -> None:
    """There is one such event, and only BetPawa has it."""
    books, found = sites()
    (alone,) = (f for f in books.fixtures if f.sportradar_id is None and Platform.BETPAWA in f.listings)
    assert [w["type"] for w in detail(found[Platform.BETPAWA], alone)["widgets"]] == ["GENIUSSPORTS"]


def test_totals_are_rows_of_one_market_with_the_line_times_four() -> None:
    """2.5 goals is handicap 10 on the row and "2.5" on its prices."""
    body = said_of(_book())
    market = body["5000"]
    assert market["marketType"]["handicapType"] == "NORMAL"
    row = next(row for row in market["row"] if row["handicap"] == 10)
    assert row["specifier"] == {"total": "2.5"}
    assert [(p["name"], p["typeId"], p["handicap"]) for p in row["prices"]] == [
        ("Over", "5001", "2.5"),
        ("Under", "5002", "2.5"),
    ]
    assert row["prices"][0]["displayName"] == "Over {formattedHandicap}"
    assert [row["handicap"] for row in market["row"]] == [2, 6, 10, 14, 18, 22]


@pytest.mark.parametrize(
    ("market", "handicap", "expected"),
    [
        ("3774", -2, {"3775": "-0.5", "3776": "+0.5"}),
        ("3774", 6, {"3775": "+1.5", "3776": "-1.5"}),
        ("4724", -4, {"4725": "Home -1", "4726": "Home -1", "4727": "Away +1"}),
        ("4724", 4, {"4725": "Home +1", "4726": "Away -1", "4727": "Away -1"}),
    ],
)
def test_handicaps_are_of_the_home_side_on_the_row_and_of_its_own_on_the_price(
    market: str, handicap: int, expected: dict[str, str]
) -> None:
    """A row's `handicap` is the home side's line times four. X of a three-way handicap repeats the favoured side."""
    row = next(row for row in said_of(_book())[market]["row"] if row["handicap"] == handicap)
    assert {price["typeId"]: price["handicap"] for price in row["prices"]} == expected
    assert all(price["specifier"] == {"hcp": price["handicap"]} for price in row["prices"])


def test_a_suspended_price_says_so_and_has_no_odds() -> None:
    """`suspended` is present only if true, and the odds are 0.0."""
    book = _book()
    book.set(1, None, True)
    prices = said_of(book)["3743"]["row"][0]["prices"]
    assert [(p["odds"], p.get("suspended")) for p in prices] == [(2.0, None), (0.0, True), (2.02, None)]


def test_wide_markets_take_several_rows_without_an_id() -> None:
    """Half time/full time has three rows of three prices."""
    rows = said_of(_book())["4706"]["row"]
    assert [len(row["prices"]) for row in rows] == [3, 3, 3]
    assert all("id" not in row for row in rows)


def test_a_boosted_market_is_a_second_one_with_the_same_id() -> None:
    """Every twentieth event has its 1X2 a second time, with better odds and marked as boosted."""
    books, found = sites()
    fixture = next(f for f in books.fixtures if f.number % 20 == 3 and Platform.BETPAWA in f.listings)
    markets = detail(found[Platform.BETPAWA], fixture)["markets"]
    plain, boosted = (m for m in markets if m["marketType"]["id"] == "3743")
    assert "boosted" not in plain["additionalInfo"]
    assert boosted["additionalInfo"]["boosted"] is True
    assert boosted["row"][0]["prices"][0]["odds"] > plain["row"][0]["prices"][0]["odds"]


def test_it_refuses_a_request_without_a_brand() -> None:
    """The answer is 400 for any path."""
    _, found = sites()
    site = found[Platform.BETPAWA]
    refusal = site.refuse(Ask("GET", "/api/sportsbook/v4/categories/list/2", headers={"accept": "application/json"}))
    assert refusal is not None
    assert refusal.status == 400


def test_a_list_is_protobuf_unless_json_is_asked_for() -> None:
    """`Accept: */*` is not enough."""
    _, found = sites()
    headers = {**HEADERS[Platform.BETPAWA], "accept": "*/*"}
    answer = found[Platform.BETPAWA].refuse(Ask("GET", LIST, {"q": queries(["11001"])}, headers))
    assert answer is not None
    assert (answer.status, answer.content_type) == (200, "application/x-protobuf")


def test_more_than_a_hundred_events_are_refused() -> None:
    """The answer is 400 with the site's message."""
    _, found = sites()
    answer = found[Platform.BETPAWA].answer(ask(Platform.BETPAWA, LIST, q=queries(["11001"], take=101)))
    assert answer.status == 400
    assert b'"serverMessage":"The maximum number of events is 100"' in answer.write()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "{}",
        '{"queries":[{}]}',
        '{"queries":[{"query":[]}]}',
        '{"queries":[{"query":{"zones":[1]}}]}',
        '{"queries":7}',
    ],
)
def test_a_malformed_query_is_refused(text: str) -> None:
    """Any malformation is answered with 400."""
    _, found = sites()
    assert found[Platform.BETPAWA].answer(ask(Platform.BETPAWA, LIST, q=text)).status == 400


def test_lists_have_the_markets_asked_for_and_page_by_skip_and_take() -> None:
    """There is neither a total nor a link to the next page. The last page is short."""
    _, found = sites(SandboxOptions(events=500, move=0, markets=20, bookmakers=FIRST_THREE))
    site = found[Platform.BETPAWA]
    first, second = (by_queries(site, ["11001"], skip=skip) for skip in (0, 100))
    assert len(first) == 100
    assert 0 < len(second) < 100
    assert {e["id"] for e in first}.isdisjoint(e["id"] for e in second)
    assert {m["marketType"]["id"] for e in first for m in e["markets"]} == {"3743"}
    assert by_queries(site, ["11001"], skip=200) == []


@pytest.mark.parametrize("markets", [["3743", "4693", "5000", "3795"], ["5000"], []])
def test_an_event_has_exactly_the_markets_asked_for_with_all_lines(markets: list[str]) -> None:
    """As in its own body, boosted prices included."""
    books, found = sites()
    site = found[Platform.BETPAWA]
    boosted = 0
    for competition in ("11001", "11002", "11003", "11004", "11005"):
        wanted = orjson.loads(queries([competition]))
        wanted["queries"][0]["view"] = {"marketTypes": markets}
        body = said(site, ask(Platform.BETPAWA, LIST, q=orjson.dumps(wanted).decode()))
        for event in body["responses"][0]["responses"]:
            fixture = next(f for f in books.fixtures if _is(f, event["id"]))
            own = detail(site, fixture)["markets"]
            assert event["markets"] == [m for m in own if m["marketType"]["id"] in markets]
            assert {m["marketType"]["id"] for m in event["markets"]} == set(markets)
            boosted += sum("boosted" in market["additionalInfo"] for market in event["markets"])
    assert (boosted > 0) == ("3743" in markets)


def _is(fixture: Fixture, external_id: str) -> bool:
    listing = fixture.listings.get(Platform.BETPAWA)
    return listing is not None and listing.external_id == external_id


def test_events_in_play_are_not_to_be_had() -> None:
    """A list of live events is empty."""
    _, found = sites()
    body = said(found[Platform.BETPAWA], ask(Platform.BETPAWA, LIST, q=queries(["11001"], event_type="LIVE")))
    assert body == {"responses": [{"responses": []}]}


@pytest.mark.parametrize(
    "path", ["/api/sportsbook/v3/events/33000011", "/api/sportsbook/v4/events/1", "/api/sportsbook/v4"]
)
def test_what_it_does_not_know_is_404(path: str) -> None:
    """Version 3 is gone, and unknown events do not exist."""
    _, found = sites()
    assert found[Platform.BETPAWA].answer(ask(Platform.BETPAWA, path)).status == 404
