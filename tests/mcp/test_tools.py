"""The tools over a database: what they find, what they leave out, and what they refuse."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from quart_odds.errors import QuartOddsError, StorageError
from quart_odds.mcp.sources import DatabaseSource, ReadError, Source, opened_source
from quart_odds.mcp.tools import TOOLS
from quart_odds.settings import load_settings
from quart_odds.storage import open_store
from tests.export.preparing import PAST_ID, Prepared

BY_NAME = {tool.name: tool for tool in TOOLS}


@pytest_asyncio.fixture
async def source(prepared: Prepared) -> AsyncIterator[Source]:
    """The prepared database. Its prices are an hour old, and count as fresh."""
    async with opened_source(load_settings({}, database_url=prepared.url, stale_after_seconds=86_400)) as opened:
        yield opened


async def ask(source: Source, name: str, **arguments: object) -> Any:
    """Return what a tool answers."""
    return await BY_NAME[name].call(source, arguments)


async def test_events_are_listed_with_the_main_markets_side_by_side(source: Source) -> None:
    """By bookmaker and outcome, without prices that cannot be had, and events that have begun only if asked for."""
    found = await ask(source, "list_events")
    assert [event["id"] for event in found["events"]] == [1, 2, 4]
    first = found["events"][0]
    assert (first["home_team"], first["away_team"], first["tournament_name"]) == (
        "Arsenal",
        "Bayern München",
        "Premier League",
    )
    assert first["bookmakers"] == ["betpawa", "sportybet", "bet9ja"]
    [result, goals] = first["main_markets"]
    assert (result["market_id"], result["line"], goals["line"]) == ("3743", None, 2.5)
    assert result["prices"]["sportybet"] == {"1": 2.4, "X": 3.3, "2": 3.0}
    assert result["prices"]["betpawa"] == {"1": 2.4, "2": 3.0}, "the draw is suspended"
    started = await ask(source, "list_events", include_started=True)
    assert started["total"] == 4


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ({"search": "bayern"}, [1]),
        ({"country": "Spain"}, [2]),
        ({"bookmakers": ["betpawa"]}, [1]),
        ({"min_bookmakers": 2}, [1, 2]),
        ({"sort": "-kickoff"}, [4, 2, 1]),
        ({"page": 2, "page_size": 2}, [4]),
        ({"kickoff_from": "2100-01-01T00:00:00+01:00"}, []),
    ],
)
async def test_events_are_chosen(source: Source, arguments: dict[str, object], ids: list[int]) -> None:
    """By words, country, bookmakers, kick-off and page."""
    assert [event["id"] for event in (await ask(source, "list_events", **arguments))["events"]] == ids


async def test_competitions_are_listed(source: Source) -> None:
    """With the number of their events, by words and page."""
    found = await ask(source, "list_competitions", search="premier")
    named = [(each["name"], each["event_count"]) for each in found["competitions"]]
    assert named == [("Premier League", 2)], "event 4, which BetPawa lacks, is in it too"
    by_page = await ask(source, "list_competitions", page=2, page_size=1)
    assert (by_page["total"], len(by_page["competitions"])) == (2, 1)
    competition = found["competitions"][0]
    events = await ask(source, "list_events", tournament_id=competition["id"])
    assert [event["id"] for event in events["events"]] == [1, 4]


async def test_the_odds_of_an_event_are_side_by_side(source: Source) -> None:
    """Each outcome has the price of each bookmaker, the best one, and whether it can be had."""
    found = await ask(source, "get_event_odds", event_id=2)
    assert (found["total"], found["home_team"]) == (2, "=Sevilla")
    result = found["markets"][0]
    assert (result["market_name"], result["line"]) == ("1X2", None)
    home = result["outcomes"][0]
    assert (home["name"], home["best_odds"], home["best_at"]) == ("1", 2.9, ["bet9ja"])
    assert {price["bookmaker"]: price["odds"] for price in home["prices"]} == {"sportybet": 2.4, "bet9ja": 2.9}
    assert all(price["can_be_had"] for price in home["prices"])
    suspended = (await ask(source, "get_event_odds", event_id=1, market="1x2_ft"))["markets"][0]["outcomes"][1]
    had = {price["bookmaker"]: price["can_be_had"] for price in suspended["prices"]}
    assert had == {"betpawa": False, "sportybet": True, "bet9ja": True}


@pytest.mark.parametrize(
    ("arguments", "total"),
    [
        ({"market": "over_under_ft"}, 1),
        ({"market": "over under"}, 1),
        ({"market": "3743"}, 1),
        ({"line": 2.5}, 1),
        ({"line": 0}, 0),
        ({"market": "no such market"}, 0),
        ({"bookmakers": ["betking"]}, 0),
        ({"page": 3, "page_size": 1}, 2),
    ],
)
async def test_markets_are_chosen(source: Source, arguments: dict[str, object], total: int) -> None:
    """By id, slug, words, line, bookmakers and page."""
    assert (await ask(source, "get_event_odds", event_id=2, **arguments))["total"] == total


async def test_a_past_event_has_its_last_odds(source: Source) -> None:
    """Also if only the database has it."""
    found = await ask(source, "get_event_odds", event_id=PAST_ID)
    assert (found["away_team"], found["total"]) == ("Feyenoord", 2)


async def test_the_history_of_a_market_is_told_by_its_changes(source: Source) -> None:
    """The latest ones, with null for an outcome that had no price."""
    found = await ask(source, "get_odds_history", event_id=1, market="3743", bookmaker="betpawa")
    [book] = found["bookmakers"]
    odds = [point["odds"].get("1") for point in book["points"]]
    assert odds == [2.4, 2.5, None, 2.4]
    assert book["points"][3]["odds"]["X"] is None
    assert [point["is_opening"] for point in book["points"]] == [True, False, False, False]
    assert book["left_out_count"] == 0
    short = await ask(source, "get_odds_history", event_id=1, market="1x2_ft", bookmaker="betpawa", most_points=2)
    assert (len(short["bookmakers"][0]["points"]), short["bookmakers"][0]["left_out_count"]) == (2, 2)


async def test_opportunities_are_listed(source: Source) -> None:
    """With what they are worth and where."""
    found = await ask(source, "list_opportunities", suspicious=True)
    [arbitrage] = found["opportunities"]
    assert (arbitrage["id"], arbitrage["kind"], arbitrage["reasons"]) == (2, "arbitrage", ["one_bookmaker"])
    assert arbitrage["margin"] > 0
    assert [(leg["name"], leg["odds"]) for leg in arbitrage["outcomes"]] == [("1", 2.9), ("X", 3.9), ("2", 3.0)]
    assert all(leg["age_seconds"] > 3000 for leg in arbitrage["outcomes"])
    none = await ask(source, "list_opportunities", suspicious=True, max_age_seconds=0.001)
    assert none["total"] == 0


async def test_freshness_and_runs_are_told(source: Source) -> None:
    """The prices are an hour old, and no run has fetched them."""
    found = {each["bookmaker"]: each for each in (await ask(source, "get_freshness"))["bookmakers"]}
    assert found["bet9ja"]["main"]["p50_seconds"] > 3000
    assert (await ask(source, "list_runs"))["runs"] == []


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("get_event_odds", {"event_id": 99}, "there is no event 99"),
        ("get_event_odds", {"event_id": 0}, "event_id: Input should be greater"),
        ("get_event_odds", {}, "event_id: Field required"),
        ("get_odds_history", {"event_id": 1, "market": "nothing"}, "there is no market 'nothing'"),
        ("get_odds_history", {"event_id": 1, "market": "over_under_ft"}, "line: give the total"),
        ("list_events", {"page_size": 51}, "page_size: Input should be less than or equal to 50"),
        ("list_events", {"bookmakers": ["nobody"]}, "bookmakers"),
        ("list_events", {"kickoff_from": "2026-11-22T10:00:00"}, "kickoff_from: Input should have timezone"),
        ("list_events", {"team": "Arsenal"}, "team: Extra inputs are not permitted"),
        ("get_run", {"run_id": 7}, "no run"),
    ],
)
async def test_what_cannot_be_answered_is_told(
    source: Source, name: str, arguments: dict[str, Any], words: str
) -> None:
    """Each error names the argument, or what there is not."""
    with pytest.raises(QuartOddsError, match=words):
        await ask(source, name, **arguments)


async def test_a_database_is_opened_as_it_is(tmp_path: Path) -> None:
    """A missing one is not created, and an older one is not upgraded."""
    path = tmp_path / "odds.db"
    settings = load_settings({}, database_url=f"sqlite:///{path}")
    with pytest.raises(StorageError, match="no database"):
        async with opened_source(settings):
            pass
    assert not path.exists()
    sqlite3.connect(path).close()
    with pytest.raises(StorageError, match="migrate"):
        async with opened_source(settings):
            pass
    await (await open_store(settings.database_url)).aclose()
    async with opened_source(settings) as opened:
        assert (await ask(opened, "list_events"))["total"] == 0


async def test_a_database_that_fails_is_told(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words that any client may see."""
    assert isinstance(source, DatabaseSource)

    async def fail() -> None:
        raise StorageError("the database is locked", for_operator="/secret/odds.db is locked")

    monkeypatch.setattr(source._reader, "refresh", fail)
    with pytest.raises(StorageError) as raised:
        await ask(source, "list_events")
    assert str(raised.value) == "the database is locked"


def test_every_tool_says_what_it_takes_and_gives() -> None:
    """Names, descriptions with units or limits, and schemas of objects."""
    assert len({tool.name for tool in TOOLS}) == len(TOOLS)
    for tool in TOOLS:
        assert len(tool.description) > 30
        assert tool.takes.model_json_schema()["type"] == "object"
        assert tool.gives.model_json_schema()["type"] == "object"


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://example.com", "http://", "http://x?y=z", "http://x:99999"]
)
async def test_a_wrong_address_is_refused(url: str) -> None:
    """The message says what one looks like."""
    with pytest.raises(QuartOddsError, match="such as http"):
        async with opened_source(load_settings({}), url):
            pass


async def test_a_server_that_is_not_there_is_told() -> None:
    """With its address."""
    async with opened_source(load_settings({}), "http://127.0.0.1:9/odds") as opened:
        with pytest.raises(ReadError, match=r"http://127\.0\.0\.1:9/odds cannot be reached"):
            await ask(opened, "list_events")
