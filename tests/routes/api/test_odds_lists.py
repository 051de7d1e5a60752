"""Tournaments, countries, unmatched events, and how the bookmakers overlap."""

from typing import Any

from pydantic import TypeAdapter

from quart_odds.domain.platforms import Platform
from quart_odds.routes.api.schemas.coverage import Coverage, CoverageEvents, MarketsCoverage, Tournament, UnmatchedPage
from tests.odds.serving import served
from tests.platforms import FIRST_THREE
from tests.routes.api.test_odds import held_to


async def test_competitions_are_listed_with_their_events() -> None:
    """Tournaments are sorted by country and name. One that several bookmakers have is listed once, with all its ids."""
    async with served() as app:
        body: Any = await app.json("/api/events/tournaments")
        with_started: Any = await app.json("/api/events/tournaments?include_started=true&availability=betpawa")
    TypeAdapter(list[Tournament]).validate_python(body, strict=True)
    assert [(each["name"], each["country"], each["event_count"]) for each in body] == [
        ("Premier League", "England", 2),
        ("La Liga", "Spain", 1),
    ]
    assert body[0]["id"] == body[0]["ids"][0]
    assert len(set(body[0]["ids"])) == 3
    assert [(each["id"], each["event_count"]) for each in with_started] == [(1, 2)]


async def test_every_id_of_a_competition_finds_all_its_events() -> None:
    """An event that BetPawa lacks is found by the id that the competition has at BetPawa, and the other way round."""
    async with served() as app:
        competition = (await app.json("/api/events/tournaments"))[0]  # type: ignore[index]
        for each in competition["ids"]:
            for query in (f"tournament_id={each}", f"tournament_ids={each}&tournament_ids=999"):
                found: Any = await app.json(f"/api/events?{query}")
                assert [event["id"] for event in found["events"]] == [1, 4]
        assert (await app.json("/api/events?tournament_id=999"))["total"] == 0  # type: ignore[index]


async def test_countries_are_names() -> None:
    """Each country is listed once, sorted."""
    async with served() as app:
        assert await app.json("/api/events/countries") == ["England", "Spain"]
        assert await app.json("/api/events/countries?availability=betpawa") == ["England"]


async def test_unmatched_events_say_why() -> None:
    """Each event shows which bookmakers lack it, and whether an id or a kick-off is the reason."""
    async with served() as app:
        body: Any = held_to(UnmatchedPage, await app.json("/api/events/unmatched?include_started=true"))
        found = {
            each["id"]: (each["reason"], each["missing_platforms"], each["conflicting_event_id"])
            for each in body["events"]
        }
        assert found == {
            2: ("not_listed", ["betpawa"], None),
            3: ("no_sportradar_id", ["sportybet", "bet9ja"], None),
            4: ("kickoff_differs", ["betpawa", "sportybet"], 1),
        }
        only: Any = await app.json("/api/events/unmatched?missing_platform=sportybet")
        assert [each["id"] for each in only["events"]] == [4]
        wrong: Any = await app.json("/api/events/unmatched?missing_platform=nobody", 400)
        assert wrong["errors"][0]["field"] == "missing_platform"


async def test_alerts_count_events_that_lost_something() -> None:
    """An alert is a lost price or a lost listing."""
    async with served() as app:
        assert await app.json("/api/events/alerts/count") == {"count": 0}
        await app.lose(Platform.SPORTYBET, "sportybet-2")
        assert await app.json("/api/events/alerts/count") == {"count": 1}


async def test_coverage_counts_how_the_offers_overlap() -> None:
    """Events count as matched, BetPawa's alone or competitors' alone, overall and by bookmaker."""
    async with served() as app:
        body: Any = held_to(Coverage, await app.json("/api/palimpsest/coverage?include_started=true"))
        held_to(Coverage, await app.json("/api/palimpsest/coverage"))
    counts = ("total_events", "matched_count", "betpawa_only_count", "competitor_only_count", "match_rate")
    assert [body[name] for name in counts] == [4, 1, 1, 2, 25.0]
    assert [each["platform"] for each in body["by_platform"]] == [each for each in Platform if each != "betpawa"]
    bet9ja = body["by_platform"][1]
    assert (bet9ja["total_events"], bet9ja["matched_events"], bet9ja["unmatched_events"]) == (3, 1, 2)


async def test_coverage_lists_every_event_by_competition() -> None:
    """Tournaments are in the order of the query, with counts; a filter does not change the overall coverage."""
    async with served() as app:
        path = "/api/palimpsest/events?include_started=true"
        body: Any = held_to(CoverageEvents, await app.json(path))
        assert body["coverage"]["total_events"] == 4
        assert [each["id"] for group in body["tournaments"] for each in group["events"]] == [3, 1, 4, 2]
        only: Any = held_to(CoverageEvents, await app.json(f"{path}&availability=competitor-only&sort=tournament"))
        assert only["coverage"]["total_events"] == 4
        assert [group["tournament_country"] for group in only["tournaments"]] == ["England", "Spain"]
        assert only["tournaments"][0]["coverage"] == {
            "total": 1,
            "matched": 0,
            "betpawa_only": 0,
            "competitor_only": 1,
        }
        everywhere = "".join(f"&platforms={each}" for each in Platform)
        at_any: Any = await app.json(f"{path}{everywhere}")
        assert at_any["coverage"]["total_events"] == 4
        at_sportybet: Any = await app.json(f"{path}&platforms=sportybet&sort=alphabetical&search=sevilla")
        assert [each["id"] for group in at_sportybet["tournaments"] for each in group["events"]] == [2]
        await app.json(f"{path}&platforms=nobody", 400)


async def test_market_coverage_shows_what_is_mapped_and_what_is_not() -> None:
    """Events are counted by market and bookmaker, and unmapped markets are listed with their counts."""
    async with served() as app:
        body: Any = held_to(MarketsCoverage, await app.json("/api/coverage/markets"))
        one_x_two = next(each for each in body["markets"] if each["market_id"] == "3743")
        assert one_x_two["events"] == {"betpawa": 2, "sportybet": 2, "bet9ja": 3, "msport": 0, "betking": 0}
        assert {(each["bookmaker_slug"], each["market_id"], each["events"]) for each in body["unmapped"]} == {
            (platform.value, "S_OUA", 1) for platform in FIRST_THREE
        }
        await app.lose(Platform.BETPAWA)
        again: Any = await app.json("/api/coverage/markets")
        assert next(each for each in again["markets"] if each["market_id"] == "3743")["events"]["betpawa"] == 0


async def test_an_empty_book_is_no_error() -> None:
    """Every list is empty before the first scrape."""
    async with served(filled=False) as app:
        assert await app.json("/api/events/tournaments") == []
        assert await app.json("/api/events/countries") == []
        held_to(CoverageEvents, await app.json("/api/palimpsest/events"))
        coverage: Any = held_to(Coverage, await app.json("/api/palimpsest/coverage"))
        assert coverage["match_rate"] == 0.0
        held_to(MarketsCoverage, await app.json("/api/coverage/markets"))
        held_to(UnmatchedPage, await app.json("/api/events/unmatched"))
