"""The list of events and their details: contents, queries, and caching."""

import gzip
import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import BaseModel

from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.routes.api.schemas.odds import EventDetail, EventsPage
from tests.odds.making import OVER_UNDER, X1, header, key, mapped
from tests.odds.serving import Served, served
from tests.platforms import FIRST_THREE

HOME = key("1x2_ft", "1")
SOON = timedelta(hours=5)


def held_to(model: type[BaseModel], body: object) -> Any:
    """Return the body after validating it strictly against the model."""
    model.model_validate_json(json.dumps(body), strict=True)
    return body


async def ids(app: Served, query: str) -> list[int]:
    """Return the ids of the events that a query selects, in its order."""
    body: Any = await app.json(f"/api/events?{query}")
    held_to(EventsPage, body)
    assert body["total"] == len(body["events"])
    return [event["id"] for event in body["events"]]


async def test_the_list_has_the_shape_that_clients_know() -> None:
    """Each event has its bookmakers, and each bookmaker the four markets of a list."""
    async with served() as app:
        body: Any = held_to(EventsPage, await app.json("/api/events"))
    assert {name: body[name] for name in ("total", "page", "page_size")} == {"total": 3, "page": 1, "page_size": 50}
    event = body["events"][0]
    assert (event["id"], event["sportradar_id"], event["name"]) == (1, "11", "Arsenal - Bayern München")
    assert (event["tournament_name"], event["tournament_country"]) == ("Premier League", "England")
    assert event["kickoff"].endswith("Z")
    assert [each["bookmaker_slug"] for each in event["bookmakers"]] == ["betpawa", "sportybet", "bet9ja"]
    betpawa = event["bookmakers"][0]
    assert (betpawa["bookmaker_name"], betpawa["external_event_id"], betpawa["has_odds"]) == (
        "BetPawa",
        "betpawa-1",
        True,
    )
    one_x_two, over_under = betpawa["inline_odds"]
    assert (one_x_two["market_id"], one_x_two["line"]) == ("3743", None)
    assert [(each["name"], each["odds"]) for each in one_x_two["outcomes"]] == [("1", 2.4), ("X", 3.3), ("2", 3.0)]
    assert one_x_two["margin"] == pytest.approx(5.3, abs=0.01)
    assert (over_under["market_id"], over_under["line"], over_under["outcomes"][0]["name"]) == ("5000", 2.5, "Over")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [1, 2, 4]),
        ("include_started=true", [3, 1, 2, 4]),
        ("sort=-kickoff", [4, 2, 1]),
        ("sort=bookmakers&include_started=true", [1, 2, 3, 4]),
        ("sort=tournament", [1, 4, 2]),
        ("sort=name", [2, 1, 4]),
        ("min_bookmakers=2", [1, 2]),
        ("min_bookmakers=3", [1]),
        ("search=arsenal", [1, 4]),
        ("search=munchen+arsenal", [1]),
        ("search=SPAIN", [2]),
        ("search=nobody", []),
        ("search=", [1, 2, 4]),
        ("country=spain", [2]),
        ("countries=Spain&countries=England", [1, 2, 4]),
        ("competition=premier", [1, 4]),
        ("tournament_id=1", [1, 4]),
        ("tournament_ids=1&tournament_ids=4", [1, 2, 4]),
        ("availability=betpawa", [1]),
        ("availability=competitor", [2, 4]),
        ("availability=alerts", []),
        ("changed_since=2020-01-01T00:00:00Z", [1, 2, 4]),
        ("changed_since=2999-01-01T00:00:00Z", []),
        ("changed_since=00000000-5", [1, 2, 4]),
        ("something_else=1", [1, 2, 4]),
    ],
)
async def test_the_list_can_be_asked_for_what_is_wanted(query: str, found: list[int]) -> None:
    """Each filter and each order works alone; unknown parameters are ignored."""
    async with served() as app:
        assert await ids(app, query) == found


async def test_the_kick_off_window_includes_its_ends() -> None:
    """Both ends are inclusive, in any time zone, whether or not the plus sign is escaped."""
    async with served() as app:
        kickoff = app.odds_service.cache.events[2].header.kickoff
        text = kickoff.isoformat()
        assert await ids(app, f"kickoff_from={quote(text)}&kickoff_to={quote(text)}") == [2]
        assert await ids(app, f"kickoff_from={text}&kickoff_to={text}") == [2]
        just_after = iso_z(kickoff + timedelta(seconds=1))
        assert await ids(app, f"kickoff_from={just_after}") == [4]
        assert await ids(app, f"kickoff_to={just_after}") == [1, 2]


async def test_pages_divide_the_list() -> None:
    """The total counts all events; a page beyond the end is empty."""
    async with served() as app:
        pages: list[Any] = [await app.json(f"/api/events?page_size=2&page={number}") for number in (1, 2, 3)]
    assert [[event["id"] for event in page["events"]] for page in pages] == [[1, 2], [4], []]
    assert {page["total"] for page in pages} == {3}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=one", "page"),
        ("page_size=101", "page_size"),
        ("min_bookmakers=6", "min_bookmakers"),
        ("include_started=perhaps", "include_started"),
        ("kickoff_from=yesterday", "kickoff_from"),
        ("kickoff_from=2026-11-22T10:00:00", "kickoff_from"),
        ("kickoff_to=1790000000", "kickoff_to"),
        ("availability=some", "availability"),
        ("sort=colour", "sort"),
        ("changed_since=once", "changed_since"),
        ("changed_since=2026-11-22T10:00:00", "changed_since"),
        ("tournament_ids=1&tournament_ids=x", "tournament_ids"),
        ("search=" + "x" * 201, "search"),
    ],
)
async def test_a_wrong_query_is_named(query: str, field: str) -> None:
    """An invalid query is answered 400 with a problem that names the field."""
    async with served(filled=False) as app:
        response = await app.client.get(f"/api/events?{query}")
        body = await response.get_json(force=True)
    assert (response.status_code, response.content_type) == (400, "application/problem+json")
    assert (body["status"], body["instance"]) == (400, "/api/events")
    assert [error["field"] for error in body["errors"]] == [field]
    assert all(error["message"] for error in body["errors"])


async def test_every_wrong_field_is_named_at_once() -> None:
    """One response lists all invalid fields."""
    async with served(filled=False) as app:
        body: Any = await app.json("/api/events?page=0&page_size=0&sort=no", 400)
    assert {error["field"] for error in body["errors"]} == {"page", "page_size", "sort"}


async def test_what_the_client_has_is_not_sent_again() -> None:
    """304 while nothing on the page changed, 200 after a change; each encoding has its own ETag."""
    async with served() as app:
        first = await app.client.get("/api/events")
        tag = first.headers["ETag"]
        again = await app.client.get("/api/events", headers={"If-None-Match": f'"other", W/{tag}'})
        assert (again.status_code, await again.get_data()) == (304, b"")
        assert again.headers["ETag"] == tag
        zipped = await app.client.get("/api/events", headers={"Accept-Encoding": "gzip"})
        assert zipped.headers["ETag"] != tag
        event = app.odds_service.cache.events[1].odds[Platform.BETPAWA].header
        await app.odds_service.record(mapped(event, X1 | {HOME: 2.5} | OVER_UNDER), utc_now())
        changed = await app.client.get("/api/events", headers={"If-None-Match": tag})
        assert changed.status_code == 200
        assert changed.headers["ETag"] != tag


async def test_a_large_answer_is_compressed_for_those_who_take_it() -> None:
    """A large response is compressed on request, with the same content; a small one is not."""
    async with served() as app:
        plain = await app.client.get("/api/events", headers={"Accept-Encoding": "gzip;q=0"})
        zipped = await app.client.get("/api/events", headers={"Accept-Encoding": "br, gzip"})
        small = await app.client.get("/api/events?search=nobody", headers={"Accept-Encoding": "gzip"})
        content = await zipped.get_data(as_text=False)
        assert zipped.headers["Content-Encoding"] == "gzip"
        assert zipped.headers["Vary"] == "Accept-Encoding"
        assert gzip.decompress(content) == await plain.get_data(as_text=False)
    assert "Content-Encoding" not in plain.headers
    assert "Content-Encoding" not in small.headers


async def test_bodies_are_encoded_once_a_change() -> None:
    """A repeated query encodes nothing; after a change, only the changed event is encoded, on the next request."""
    async with served() as app:
        bodies = app.parts.event_bodies
        for query in ("", "", "sort=name", "search=arsenal"):
            await app.client.get(f"/api/events?{query}")
        assert bodies.encoded == 3
        event = app.odds_service.cache.events[2].odds[Platform.BET9JA].header
        await app.odds_service.record(mapped(event, X1), utc_now())
        assert bodies.encoded == 3
        await app.client.get("/api/events")
        assert bodies.encoded == 4


async def test_a_cursor_asks_for_what_changed_since() -> None:
    """Sent back, the Odds-Cursor of a response selects exactly the events that changed after it."""
    async with served() as app:
        cursor = (await app.client.get("/api/events")).headers["Odds-Cursor"]
        assert await ids(app, f"changed_since={cursor}") == []
        seen_only = app.odds_service.cache.events[1].odds[Platform.BETPAWA].header
        await app.odds_service.record(mapped(seen_only), utc_now())
        changed = app.odds_service.cache.events[2].odds[Platform.BET9JA].header
        await app.odds_service.record(mapped(changed, X1), utc_now())
        assert await ids(app, f"changed_since={cursor}") == [2]


async def test_a_kept_list_forgets_what_has_started() -> None:
    """An event leaves the cached list when it kicks off, without any change of odds."""
    async with served() as app:
        bodies = app.parts.event_bodies
        now = app.now
        bodies._clock = lambda: now
        assert await ids(app, "") == [1, 2, 4]
        now = app.now + timedelta(hours=3)
        assert await ids(app, "") == [2, 4]


@pytest.mark.parametrize("word", ["bodo", "BODØ", "koge", "lodz", "thor", "igdir"])
async def test_letters_without_a_plain_form_of_their_own_are_found_by_plain_ones(word: str) -> None:
    """Names are found as typed on any keyboard, and as they are spelt."""
    async with served() as app:
        event = header(Platform.BETPAWA, "n", "99", home="Bodø Køge", away="Łódź Þór Iğdır", kickoff=app.now + SOON)
        await app.odds_service.record(mapped(event), app.now)
        assert await ids(app, f"search={quote(word)}") == [5]


async def test_a_list_kept_under_a_clock_that_was_ahead_is_made_again() -> None:
    """The clock jumps a month ahead, the list is requested, and the clock is corrected: the events are listed again."""
    async with served() as app:
        bodies = app.parts.event_bodies
        now = app.now + timedelta(days=30)
        bodies._clock = lambda: now
        assert await ids(app, "") == []
        now = app.now
        assert await ids(app, "") == [1, 2, 4]


async def test_the_detail_has_every_market_side_by_side() -> None:
    """The detail has all markets at each bookmaker, with margins and ages, and the best price of each outcome."""
    async with served() as app:
        body: Any = held_to(EventDetail, await app.json("/api/events/2"))
    assert [each["bookmaker_slug"] for each in body["markets_by_bookmaker"]] == ["sportybet", "bet9ja"]
    markets = body["markets_by_bookmaker"][1]["markets"]
    assert [(each["betpawa_market_id"], each["line"]) for each in markets] == [("3743", None), ("5000", 2.5)]
    assert [each["odds"] for each in markets[0]["outcomes"]] == [2.9, 3.9, 3.0]
    assert markets[0]["market_groups"] == ["main"]
    best = body["best_prices"][0]
    assert [(each["odds"], each["bookmakers"]) for each in best["outcomes"]] == [
        (2.9, ["bet9ja"]),
        (3.9, ["bet9ja"]),
        (3.0, ["sportybet", "bet9ja"]),
    ]
    assert best["margin"] == markets[0]["margin"]
    assert markets[0]["margin_complete"] is True


async def test_suspended_and_gone_prices_are_distinguished() -> None:
    """A suspended price is available but inactive and has no margin; one that is gone shows since when."""
    async with served() as app:
        event = app.odds_service.cache.events[1].odds[Platform.BETPAWA].header
        later = app.now + timedelta(seconds=30)
        await app.odds_service.record(mapped(event, X1, suspended=frozenset({HOME})), later)
        body: Any = held_to(EventDetail, await app.json("/api/events/1"))
        one_x_two, over_under = body["markets_by_bookmaker"][0]["markets"]
        assert [each["is_active"] for each in one_x_two["outcomes"]] == [False, True, True]
        assert (one_x_two["available"], one_x_two["margin"], one_x_two["margin_complete"]) == (True, 0.0, False)
        assert over_under["available"] is False
        assert over_under["unavailable_since"][:19] == iso_z(later)[:19]
        assert {each["last_seen_at"][:19] for each in over_under["outcomes"]} == {iso_z(app.now)[:19]}
        assert await ids(app, "availability=alerts") == [1]

        gone_at = await app.lose(Platform.SPORTYBET, "sportybet-2")
        body = held_to(EventDetail, await app.json("/api/events/1"))
        sportybet = body["markets_by_bookmaker"][1]
        assert (sportybet["available"], sportybet["unavailable_since"]) == (False, iso_z(gone_at))
        assert not any(each["available"] or each["margin_complete"] or each["margin"] for each in sportybet["markets"])
        assert "sportybet" not in str(body["best_prices"])
        assert body["bookmakers"][1]["has_odds"] is False


async def test_an_event_that_is_not_there_is_a_404() -> None:
    """Unknown, impossible and misspelt ids are answered 404."""
    async with served() as app:
        for path in ("/api/events/999", "/api/events/99999999999999999999", "/api/events/first"):
            body: Any = await app.json(path, 404)
            assert body["status"] == 404


async def test_an_event_that_is_long_over_is_read_from_the_database() -> None:
    """A link still works after its event has left memory."""
    async with served() as app:
        app.odds_service.cache.forget(1)
        body: Any = held_to(EventDetail, await app.json("/api/events/1"))
        assert body["name"] == "Arsenal - Bayern München"
        assert [each["bookmaker_slug"] for each in body["bookmakers"]] == list(FIRST_THREE)


async def test_an_event_without_a_price_is_listed_without_odds() -> None:
    """A complete fetch may find no market."""
    async with served(filled=False) as app:
        await app.odds_service.record(mapped(header(kickoff=app.now + timedelta(hours=1)), {}), app.now)
        body: Any = held_to(EventsPage, await app.json("/api/events"))
        assert body["events"][0]["bookmakers"][0]["has_odds"] is False
        held_to(EventDetail, await app.json("/api/events/1"))


async def test_a_bookmaker_says_where_its_page_of_the_event_is() -> None:
    """Wherever a bookmaker is listed; null for an id that is not one of the site's, and for SportyBet."""
    async with served() as app:
        soon = app.now + timedelta(hours=3)
        for platform, external_id in (
            (Platform.BETPAWA, "34567"),
            (Platform.SPORTYBET, "sr:match:55"),
            (Platform.BET9JA, "b/5"),
        ):
            await app.odds_service.record(
                mapped(header(platform, external_id, "55", kickoff=soon, home="Ajax")), app.now
            )
        page: Any = held_to(EventsPage, await app.json("/api/events?search=ajax"))
        [listed] = page["events"]
        detail: Any = held_to(EventDetail, await app.json(f"/api/events/{listed['id']}"))
    for bookmakers in (listed["bookmakers"], detail["bookmakers"], detail["markets_by_bookmaker"]):
        assert {each["bookmaker_slug"]: each["event_url"] for each in bookmakers} == {
            "betpawa": "https://www.betpawa.ng/event/34567",
            "sportybet": None,
            "bet9ja": None,
        }
