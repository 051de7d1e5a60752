"""The CSV export of events."""

import csv
import io
from typing import Any

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.routes.api import events_csv
from quart_odds.routes.api.events_csv import COLUMNS
from tests.odds.making import X1, mapped
from tests.odds.serving import Served, served


async def lines(app: Served, query: str = "") -> list[dict[str, str]]:
    """Return the rows of a response by column."""
    response = await app.client.get(f"/api/events.csv?{query}")
    assert response.status_code == 200
    assert response.content_type == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(await response.get_data(as_text=True))))


async def test_there_is_a_line_a_price() -> None:
    """The export has every price of the selected events, with when and at which bookmaker it was seen."""
    async with served() as app:
        rows = await lines(app, "min_bookmakers=3")
    assert len(rows) == 3 * 5
    first = rows[0]
    assert tuple(first) == COLUMNS
    assert [first[name] for name in ("event_id", "sportradar_id", "bookmaker", "market_id", "outcome", "odds")] == [
        "1",
        "11",
        "betpawa",
        "3743",
        "1",
        "2.4",
    ]
    assert (first["is_active"], first["line"], rows[3]["line"]) == ("true", "", "2.5")


async def test_no_name_is_a_formula() -> None:
    """A team's name that looks like a formula is marked as text."""
    async with served() as app:
        assert {row["home_team"] for row in await lines(app, "search=sevilla")} == {"'=Sevilla"}


async def test_prices_that_are_gone_say_so() -> None:
    """They are in the export, as not available, with when they were last seen."""
    async with served() as app:
        event = app.odds_service.cache.events[1].odds[Platform.BETPAWA].header
        await app.odds_service.record(mapped(event, X1), app.now)
        rows = [row for row in await lines(app, "availability=betpawa") if row["bookmaker"] == "betpawa"]
        assert [row["available"] for row in rows] == ["true"] * 3 + ["false"] * 2
        assert all(row["last_seen_at"].endswith("Z") and row["changed_at"].endswith("Z") for row in rows)
        assert len(await lines(app, "all_markets=true&availability=betpawa")) == 15


async def test_an_empty_answer_has_its_header() -> None:
    """An empty export has a header, so that a spreadsheet opens it."""
    async with served(filled=False) as app:
        response = await app.client.get("/api/events.csv")
        assert (await response.get_data(as_text=True)).strip() == ",".join(COLUMNS)
        assert (await app.client.get("/api/events.csv?sort=no")).status_code == 400


async def test_an_unknown_parameter_is_refused_and_named() -> None:
    """A mistyped filter would otherwise export everything."""
    async with served() as app:
        body: Any = await app.json("/api/events.csv?contry=Spain&search=x", 400)
        assert [each["field"] for each in body["errors"]] == ["contry"]


async def test_events_are_named_by_id_also_after_their_kick_off() -> None:
    """As in /api/export, and together with other filters."""
    async with served() as app:
        assert {row["event_id"] for row in await lines(app, "event_id=3&event_id=1&event_id=99")} == {"1", "3"}
        assert {row["event_id"] for row in await lines(app, "event_id=3&event_id=1&min_bookmakers=2")} == {"1"}
        app.odds_service.cache.forget(3)
        assert {row["event_id"] for row in await lines(app, "event_id=3")} == {"3"}, "the database still has it"
        assert await lines(app, "event_id=3&country=Spain") == []
        assert await lines(app, "event_id=3&bookmakers=sportybet") == []
        assert await lines(app, "event_id=3&kickoff_from=2100-01-01T00:00:00Z") == []


async def test_pages_have_every_event_once_and_lead_to_the_next() -> None:
    """Each says how many events there are, and about how long it is."""
    async with served() as app:
        found: list[str] = []
        query = "page_size=2&include_started=true&page=1"
        for page in (1, 2):
            response = await app.client.get(f"/api/events.csv?{query}")
            text = await response.get_data(as_text=True)
            found += dict.fromkeys(row["event_id"] for row in csv.DictReader(io.StringIO(text)))
            assert response.headers["Odds-Events"] == "4"
            assert len(text) / 3 < int(response.headers["Odds-Bytes"]) < 10 * len(text)
            assert response.headers["Content-Disposition"] == f'attachment; filename="events-{page}.csv"'
            link = response.headers.get("Link", "")
            assert link.endswith('; rel="next"') == (page == 1)
            query = link[2:].partition(">")[0]
        assert found == ["3", "1", "2", "4"]


async def test_a_response_that_would_be_too_large_says_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of events that it names does fit."""
    monkeypatch.setattr(events_csv, "MOST_BYTES", 4000)
    async with served() as app:
        body: Any = await app.json("/api/events.csv?all_markets=true", 400)
        assert body["errors"][0]["field"] == "page_size"
        assert "/api/export" in body["errors"][0]["message"]
        fitting = int(body["errors"][0]["message"].partition("pages of ")[2].split()[0])
        assert await lines(app, f"all_markets=true&page_size={fitting}")
