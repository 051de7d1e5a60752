"""The CSV export of events."""

import csv
import io

from quart_odds.domain.platforms import Platform
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
